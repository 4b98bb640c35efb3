"""The page in a real browser: recordings, words in time with them, corrections, files and live captions.

The words of the tiny model are not Korean, so no test depends on them.
"""

import io
import itertools
import json
import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pysubs2
import pytest
import soundfile
import webvtt

from distilhubert_ko.audio.frames import SAMPLE_RATE
from tests.support.web import SPEECH, peaks, until

if TYPE_CHECKING:
    from playwright import sync_api


Visit = Callable[..., "sync_api.Page"]
TRANSCRIPTIONS = "**/v1/audio/transcriptions"
EVIL = "<img/src=x/onerror=alert(1)>"
SECONDS = len(SPEECH) / SAMPLE_RATE
PIECE = SAMPLE_RATE // 5
WAYS = [
    pytest.param({"locale": "ko-KR", "color_scheme": "light", "viewport": {"width": 1200, "height": 900}}, id="ko"),
    pytest.param(
        {"locale": "en-US", "color_scheme": "dark", "viewport": {"width": 390, "height": 844}, "has_touch": True},
        id="en-phone",
    ),
]


def upload(page: "sync_api.Page", recording: Path) -> dict[str, Any]:
    """Return the server's response once its words are in the page."""
    with page.expect_response(TRANSCRIPTIONS) as response:
        page.set_input_files("#file", recording)
    page.wait_for_selector(".word")
    return response.value.json()


def answered(words: list[str], probability: float = 0.9, seconds: float = SECONDS) -> dict[str, Any]:
    """Return a response of the server with these words, in equal parts of the time."""
    step = seconds / len(words)
    times = [{"start": round(i * step, 3), "end": round((i + 0.9) * step, 3)} for i in range(len(words))]
    listed = [{"word": word, **each, "probability": probability} for word, each in zip(words, times, strict=True)]
    return {"task": "transcribe", "language": "ko", "duration": seconds, "text": " ".join(words), "words": listed}


def answering(*answers: dict[str, Any]) -> Callable[["sync_api.Page"], None]:
    """Return a preparation of a page whose server gives these responses in turn, and then the last one again."""
    left = list(answers)

    def answer(route: "sync_api.Route") -> None:
        route.fulfill(**(left.pop(0) if len(left) > 1 else left[0]))

    return lambda page: page.route(TRANSCRIPTIONS, answer)


def saying(*words: str, probability: float = 0.9) -> dict[str, Any]:
    return {"json": answered(list(words), probability)}


def texts(page: "sync_api.Page", selector: str = ".word") -> list[str]:
    return page.locator(selector).all_text_contents()  # lines out of view have no inner text


def downloaded(page: "sync_api.Page", form: str) -> tuple[str, str]:
    """Return the name and content of the file."""
    with page.expect_download() as download:
        page.click(f"[data-format={form}]")
    return download.value.suggested_filename, download.value.path().read_text(encoding="utf-8")


def sound(folder: Path, seconds: int) -> Path:
    """Return a recording of this length."""
    path = folder / "sound.wav"
    soundfile.write(path, np.resize(SPEECH, seconds * SAMPLE_RATE), SAMPLE_RATE, subtype="PCM_16")
    return path


def likeness(part: np.ndarray, loop: np.ndarray) -> float:
    """Return the correlation of a wave with the most similar part of a longer, repeated one."""

    def products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.fft.irfft(np.fft.rfft(one) * np.conj(np.fft.rfft(other, len(one))), len(one))

    energies = products(loop**2, np.ones(len(part))) * np.sum(part**2)
    return float(np.max(products(loop, part) / np.sqrt(energies)))


def fits(page: "sync_api.Page") -> bool:
    """Return whether nothing is wider than the window."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


# A recording


def test_what_the_page_asks_of_the_server_is_what_was_chosen(visit: Visit, recording: Path) -> None:
    asked: list[bytes] = []

    def answer(route: "sync_api.Route") -> None:
        asked.append(route.request.post_data_buffer or b"")
        route.fulfill(json=answered(["5,300원"]))

    def upload_again() -> str:
        page.set_input_files("#file", recording)
        until(page, "document.querySelector('#status').dataset.text === 'ready'")
        return asked.pop().decode(errors="replace")

    page = visit(lambda page: page.route(TRANSCRIPTIONS, answer))
    plain = upload_again()
    assert not [field for field in ("numerals", "channel", "hotwords") if f'name="{field}"' in plain]
    page.check("#digits")
    page.check("#split")
    page.fill("#hotwords", " 서울, 한강 ")
    full = upload_again()
    for field, value in (("numerals", "digits"), ("channel", "split"), ("hotwords", "서울, 한강")):
        assert f'name="{field}"\r\n\r\n{value}\r\n' in full
    assert texts(page) == ["5,300원"]


def test_each_speaker_of_a_call_has_a_name_in_the_lines_a_row_below_the_sound_and_a_place_in_the_files(
    visit: Visit, recording: Path
) -> None:
    answer = answered(["여보세요", "네", "누구세요"])
    for word, (speaker, start) in zip(answer["words"], [(1, 0.0), (2, 0.2), (2, 0.9)], strict=True):
        word.update(speaker=speaker, start=start, end=start + 0.6)
    page = visit(answering({"json": answer}))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_input_files("#file", recording)
    page.wait_for_selector(".word")
    assert texts(page, ".words strong") == ["화자 1", "화자 2"]
    rows = dict(page.evaluate("[...lanes.children].map((each) => [each.textContent, each.offsetTop])"))
    assert rows["여보세요"] < rows["네"] == rows["누구세요"]
    assert downloaded(page, "tsv")[1].splitlines()[1:] == ["0\t1000\t1\t여보세요", "200\t1500\t2\t네 누구세요"]
    page.click("#copy")
    until(page, "document.getElementById('copy').dataset.text === 'copied'")
    assert page.evaluate("navigator.clipboard.readText()") == "화자 1: 여보세요\n화자 2: 네 누구세요\n"
    page.select_option("#speed", "1.5")
    assert page.evaluate("audio.playbackRate") == 1.5


@pytest.mark.parametrize("options", WAYS)
def test_a_recording_is_seen_heard_corrected_and_taken_away(
    visit: Visit, recording: Path, options: dict[str, Any]
) -> None:
    page = visit(**options)
    assert page.get_attribute("html", "lang") == options["locale"][:2]
    answer = upload(page, recording)
    words = [each["word"] for each in answer["words"]]
    assert len(words) > 3
    assert texts(page) == words
    assert fits(page)

    chosen = answer["words"][2]
    page.locator(".word").nth(2).click()
    assert page.evaluate("audio.currentTime") >= chosen["start"]
    until(page, "(start) => audio.currentTime > start && !audio.paused", chosen["start"])
    page.keyboard.press("Space")
    assert page.evaluate("audio.paused")
    page.evaluate("(time) => { audio.currentTime = time }", (chosen["start"] + chosen["end"]) / 2)
    page.wait_for_selector(".word.now")
    assert texts(page, ".word.now") == [chosen["word"]]
    assert texts(page, "#lanes .now") in ([chosen["word"]], [])  # a narrow window may have no room for it

    page.keyboard.press("ArrowRight")
    page.keyboard.press("F2")
    page.keyboard.type("고친 말")
    page.keyboard.press("Enter")
    corrected = [*words[:3], "고친", "말", *words[4:]]
    assert texts(page) == corrected
    assert fits(page)
    name, content = downloaded(page, "srt")
    assert name == recording.with_suffix(".srt").name
    cues = pysubs2.SSAFile.from_string(content, format_="srt")
    assert " ".join(cue.plaintext for cue in cues).split() == corrected
    assert cues[0].start == round(1000 * answer["words"][0]["start"])
    assert cues[-1].end <= 1000 * SECONDS
    assert all(one.end <= other.start for one, other in itertools.pairwise(cues))

    shown = json.loads(downloaded(page, "json")[1])
    assert [each["word"] for each in shown["words"]] == corrected
    replaced = answer["words"][3]
    first, second = shown["words"][3:5]
    assert (first["start"], second["end"]) == (replaced["start"], replaced["end"])
    assert first["end"] == second["start"] == pytest.approx((2 * replaced["end"] + replaced["start"]) / 3, abs=0.002)
    assert [each for each in shown["words"] if each["probability"] is not None] == answer["words"][:3] + answer[
        "words"
    ][4:]
    cues = webvtt.from_string(downloaded(page, "vtt")[1])
    assert " ".join(cue.text for cue in cues).split() == corrected
    assert downloaded(page, "txt")[1].split() == corrected

    page.keyboard.press("Control+z")
    assert texts(page) == words


def test_a_recording_can_be_dropped_anywhere(visit: Visit) -> None:
    page = visit(answering(saying("가", "나")))
    page.evaluate("""() => {
        const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(9)], "떨어진.wav"));
        for (const kind of ["dragover", "drop"]) {
            const event = new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
            if (document.querySelector("footer").dispatchEvent(event)) throw Error("the browser would leave the page");
        }
    }""")
    page.wait_for_selector(".word")
    assert page.inner_text("#name") == "떨어진.wav"


def test_words_stand_below_their_sound(visit: Visit, recording: Path) -> None:
    page = visit(viewport={"width": 1200, "height": 900}, expected="willReadFrequently")
    answer = upload(page, recording)
    width = page.evaluate("track.clientWidth")
    places = dict(page.evaluate("[...lanes.children].map((each) => [each.textContent, each.offsetLeft])"))
    starts = {each["word"]: each["start"] for each in answer["words"]}
    assert len(places) > 3
    for word, x in places.items():
        if sum(each["word"] == word for each in answer["words"]) == 1:
            assert x == pytest.approx(starts[word] / SECONDS * width, abs=2), word
    until(page, "document.getElementById('length').textContent !== '0:00.0'")
    inked = """() => [...Array(60).keys()].map((part) => {
        const [x, wide] = [part * wave.width / 60, wave.width / 60];
        const pixels = wave.getContext("2d").getImageData(x, 0, wide, wave.height).data;
        return pixels.reduce((sum, value, index) => sum + (index % 4 === 3 && value > 0), 0);
    })"""
    loudness = [peaks(part / 10, (part + 1) / 10) for part in range(60)]
    assert np.corrcoef(page.evaluate(inked), loudness)[0, 1] > 0.9


def test_a_line_is_corrected_and_what_is_not_wanted_is_left(visit: Visit, recording: Path) -> None:
    page = visit(answering(saying("가", "나", "다", "라")))
    upload(page, recording)
    page.locator(".edit").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("가 바다 나 다")
    page.keyboard.press("Escape")
    assert texts(page) == ["가", "나", "다", "라"]
    page.locator(".edit").first.click()
    line = page.locator("textarea").input_value()
    page.keyboard.press("Control+a")
    page.keyboard.type(line.replace("나", "").replace("다", "바다 다"))
    page.keyboard.press("Enter")
    assert "나" not in texts(page)
    assert texts(page)[:3] == ["가", "바다", "다"]
    page.locator(".word").first.dblclick()
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    assert texts(page)[:2] == ["바다", "다"]
    for _ in range(2):
        page.click("#undo")
    assert texts(page) == ["가", "나", "다", "라"]
    assert page.is_disabled("#undo")


def test_the_keyboard_alone_reaches_everything(visit: Visit, recording: Path) -> None:
    page = visit(answering(saying(*(3 * each for each in "가나다라마바사아자차카타파하"))))  # two lines
    upload(page, recording)
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(23):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
    controls = "korean english file record captions digits split hotwords play speed zoom-out zoom-fit zoom-in".split()
    controls += "wave TXT SRT VTT ASS LRC TSV JSON copy".split()
    assert reached[: len(controls) + 1] == [*controls, "가가가"]
    page.locator(".word").first.focus()
    for key, word in {"ArrowRight": "나나나", "End": "하하하", "ArrowLeft": "파파파", "Home": "가가가"}.items():
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.textContent") == word
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('li') === segments.children[1]")
    page.focus("#wave")
    page.keyboard.press("End")
    assert page.evaluate("audio.currentTime") == pytest.approx(SECONDS, abs=0.01)
    page.keyboard.press("ArrowLeft")
    assert float(page.get_attribute("#wave", "aria-valuenow") or 0) == pytest.approx(SECONDS - 1, abs=0.1)


def test_words_that_are_likely_wrong_are_marked_for_eyes_and_for_ears(visit: Visit, recording: Path) -> None:
    page = visit(answering(saying("나무", probability=0.42)), locale="en-US")
    upload(page, recording)
    word = page.locator(".word")
    assert "dotted" in word.evaluate(
        "(each) => getComputedStyle(each).textDecorationLine + getComputedStyle(each).textDecorationStyle"
    )
    assert (word.get_attribute("title"), word.get_attribute("aria-label")) == (
        "Confidence 42 %",
        "나무, confidence 42 %",
    )
    page.click("#korean")
    assert (word.get_attribute("title"), word.get_attribute("aria-label")) == ("확신도 42%", "나무, 확신도 42%")
    word.dblclick()
    page.keyboard.type("바다")
    page.keyboard.press("Enter")
    assert page.locator(".word").get_attribute("title") is None


def test_text_of_the_server_is_never_taken_for_markup(visit: Visit, recording: Path) -> None:
    def prepare(page: "sync_api.Page") -> None:
        answering(saying(EVIL, "나", probability=0.1))(page)
        facts = {"id": EVIL, "cer": 0.1, "cer_corpus": EVIL, "limits": {"upload_bytes": 1e8, "audio_seconds": 60}}
        page.route("**/v1/model_facts", lambda route: route.fulfill(json=facts))

    page = visit(prepare)
    upload(page, recording)
    assert texts(page)[0] == EVIL
    assert page.locator("#facts dd").all_inner_texts()[0] == EVIL
    assert page.locator("img").count() == 0
    assert "&lt;img" in downloaded(page, "vtt")[1]


def test_what_the_browser_cannot_play_has_a_transcript_all_the_same(visit: Visit, tmp_path: Path) -> None:
    page = visit(answering(saying("가", "나")))
    strange = tmp_path / "strange.amr"
    strange.write_bytes(b"#!AMR\n" + bytes(100))
    upload(page, strange)
    page.wait_for_selector("#no-sound:not([hidden])")
    assert page.is_disabled("#play")
    assert texts(page, "#lanes button") == ["가", "나"]
    assert downloaded(page, "txt") == ("strange.txt", "가 나\n")


def test_the_language_stays_chosen(visit: Visit) -> None:
    page = visit(locale="ko-KR")
    assert page.inner_text("h1") == "한국어 받아쓰기"
    page.click("#english")
    page.reload()
    assert (page.inner_text("h1"), page.get_attribute("html", "lang")) == ("Korean speech to text", "en")
    assert "Korean speech to text" in page.title()


def test_corrections_are_not_lost_unasked(visit: Visit, recording: Path) -> None:
    page = visit(answering(saying("가", "나")))
    upload(page, recording)
    page.locator(".word").first.dblclick()
    page.keyboard.type("다")
    page.keyboard.press("Enter")
    asked: list[str] = []

    def refuse(dialog: "sync_api.Dialog") -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.set_input_files("#file", recording)
    assert len(asked) == 1
    assert texts(page) == ["다", "나"]
    downloaded(page, "txt")
    upload(page, recording)
    assert len(asked) == 1
    assert texts(page) == ["가", "나"]


# The microphone


@pytest.mark.parametrize("options", WAYS)
def test_live_captions_come_as_one_speaks_and_can_be_corrected_after(visit: Visit, options: dict[str, Any]) -> None:
    page = visit(**options)
    page.fill("#hotwords", "서울, 한강")
    with page.expect_websocket() as socket:
        page.click("#captions")
    assert parse_qs(urlsplit(socket.value.url).query) == {"hotwords": ["서울, 한강"]}
    until(page, "document.querySelectorAll('#final span').length > 3")
    until(page, "partial.textContent !== ''")
    assert fits(page)
    assert page.get_attribute("#final", "aria-live") == "polite"
    page.click("#stop")
    page.wait_for_selector("#live", state="hidden")
    said = page.locator("#final span").all_text_contents()
    assert texts(page) == said
    times = [(each["start"], each["end"]) for each in json.loads(downloaded(page, "json")[1])["words"]]
    assert times == sorted(times)
    until(page, "audio.duration > 1")
    assert times[-1][1] <= page.evaluate("audio.duration") + 0.01
    page.locator(".word").first.click()
    until(page, "audio.currentTime > 0.1")


@pytest.mark.parametrize("resamples", [True, False], ids=["browser-resamples", "page-resamples"])
def test_what_the_microphone_hears_is_recorded_whole_and_sent(visit: Visit, resamples: bool) -> None:
    kept = """
        const send = XMLHttpRequest.prototype.send;
        XMLHttpRequest.prototype.send = function (form) { window.sent = form.get("file"); send.call(this, form); };
        window.heard = [];
        window.AudioWorkletNode = class extends AudioWorkletNode {
            constructor(...all) {
                super(...all);
                this.port.addEventListener("message", ({ data }) => heard.push(...(data ?? [])));
            }
        };
    """
    as_firefox = """
        const open = AudioContext.prototype.createMediaStreamSource;
        AudioContext.prototype.createMediaStreamSource = function (stream) {
            if (this.sampleRate === 16000) throw new DOMException("another rate", "NotSupportedError");
            window.rate = this.sampleRate;
            return open.call(this, stream);
        };
    """
    if not resamples:
        kept += as_firefox
    page = visit(lambda page: page.add_init_script(kept), locale="en-US")
    page.click("#record")
    until(page, "document.getElementById('live-clock').textContent >= '0:03'")
    page.click("#stop")
    page.wait_for_selector(".word")
    assert page.evaluate("window.rate ?? 16000") in ([16000] if resamples else [44100, 48000])
    sent = bytes(page.evaluate("sent.arrayBuffer().then((each) => [...new Uint8Array(each)])"))
    with wave.open(io.BytesIO(sent)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        recorded = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert recorded.tolist() == page.evaluate("heard")
    assert len(recorded) > 3 * SAMPLE_RATE
    # On a busy machine the browser itself loses moments of its microphone: most of the pieces have no such moment.
    pieces = np.split(recorded[: len(recorded) // PIECE * PIECE] / 32768, len(recorded) // PIECE)
    assert np.median([likeness(piece, SPEECH) for piece in pieces if piece.any()]) > 0.9


def test_what_was_recorded_can_be_thrown_away(visit: Visit) -> None:
    page = visit()
    page.click("#captions")
    page.wait_for_selector("#live:not([hidden])")
    assert page.is_disabled("#record")
    page.click("#discard")
    assert page.is_hidden("#live")
    assert page.is_hidden("#editor")
    assert page.is_enabled("#record")


def test_captions_survive_the_loss_of_the_connection(visit: Visit) -> None:
    def lose(socket: "sync_api.WebSocketRoute") -> None:
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            socket.send(message)
            if isinstance(message, str) and '"final"' in message:
                socket.close(code=1011)

        server.on_message(pass_on)

    page = visit(lambda page: page.route_web_socket("**/v1/audio/stream", lose), locale="en-US")
    page.click("#captions")
    page.wait_for_selector("#problem:not([hidden])")
    assert "connection was lost" in page.inner_text("#problem-text")
    assert texts(page) == page.locator("#final span").all_text_contents() != []
    page.click("#retry")
    until(page, "document.querySelector('#status').dataset.text === 'ready'")


# What goes wrong


def failing(status: int, message: str = "why", **headers: str) -> dict[str, Any]:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return {"status": status, "json": {"error": error}, "headers": headers}


@pytest.mark.parametrize(
    ("status", "english", "korean"),
    [
        (413, "too large", "너무 크거나 깁니다"),
        (400, "cannot be transcribed", "받아쓸 수 없습니다"),
        (500, "on the server (500)", "서버에 문제가 생겼습니다(500)"),
        (504, "too long", "너무 오래"),
    ],
)
def test_a_refusal_is_told_in_plain_words_of_both_languages(
    visit: Visit, recording: Path, status: int, english: str, korean: str
) -> None:
    page = visit(answering(failing(status, EVIL), saying("가", "나")), expected=str(status), locale="en-US")
    page.set_input_files("#file", recording)
    page.wait_for_selector("#problem:not([hidden])")
    assert english in page.inner_text("#problem-text")
    assert page.inner_text("#problem-detail") == EVIL
    assert page.is_hidden("#editor")
    page.click("#korean")
    assert korean in page.inner_text("#problem-text")
    page.click("#retry")
    page.wait_for_selector(".word")
    assert page.is_hidden("#problem")


@pytest.mark.parametrize(
    ("param", "chosen", "told"), [("file", "#split", "If it has one channel"), ("hotwords", "#digits", "in Hangul")]
)
def test_a_choice_that_the_server_refuses_is_told_as_what_to_choose(
    visit: Visit, recording: Path, param: str, chosen: str, told: str
) -> None:
    refusal = failing(400)
    refusal["json"]["error"]["param"] = param
    page = visit(answering(refusal), expected="400", locale="en-US")
    page.check(chosen)
    page.set_input_files("#file", recording)
    page.wait_for_selector("#problem:not([hidden])")
    assert told in page.inner_text("#problem-text")


def test_a_busy_server_is_asked_again_when_it_says(visit: Visit, recording: Path) -> None:
    busy = failing(429, **{"Retry-After": "1"})
    page = visit(answering(busy, busy, saying("가")), expected="429", locale="en-US")
    page.evaluate("""() => {
        const status = document.getElementById("status");
        window.said = [];
        new MutationObserver(() => said.push(status.textContent)).observe(status, { childList: true });
    }""")
    upload(page, recording)
    waits = [each for each in page.evaluate("said") if "busy" in each]
    assert waits == 2 * ["The server is busy. Trying again in 1 s."]


def test_a_server_that_is_gone_is_told(visit: Visit, recording: Path) -> None:
    page = visit(lambda page: page.route(TRANSCRIPTIONS, lambda route: route.abort()), "ERR_FAILED", locale="en-US")
    page.set_input_files("#file", recording)
    page.wait_for_selector("#problem:not([hidden])")
    assert "could not be reached" in page.inner_text("#problem-text")


def test_a_token_is_asked_for_once_and_kept_for_the_tab_alone(visit: Visit, guarded: str, tmp_path: Path) -> None:
    page = visit(url=guarded, expected="401", locale="en-US")
    for token in ("wrong", "abc~1"):
        page.wait_for_selector("#token-dialog[open]")
        page.fill("#token", token)
        with page.expect_response("**/v1/model_facts"):
            page.keyboard.press("Enter")
    page.wait_for_selector("#facts dd")
    upload(page, sound(tmp_path, 1))
    assert page.evaluate("[sessionStorage.token, localStorage.length, document.cookie]") == ["abc~1", 0, ""]
    page.click("#captions")
    page.wait_for_selector("#final span")  # so the socket has the token, too
    page.click("#discard")


def test_limits_of_the_server_itself_are_told(visit: Visit, guarded: str, tmp_path: Path) -> None:
    def known(page: "sync_api.Page") -> None:
        page.add_init_script("sessionStorage.token = 'abc~1'")

    page = visit(known, url=guarded, locale="en-US")
    until(page, "document.getElementById('limits').textContent.startsWith('At most')")
    page.set_input_files("#file", sound(tmp_path, 300))  # it is not even sent
    page.wait_for_selector("#problem:not([hidden])")
    assert "too large" in page.inner_text("#problem-text")
    page.click("#captions")
    page.wait_for_selector("#final span")
    other = visit(known, url=guarded, expected="WebSocket connection", locale="en-US")
    other.click("#captions")
    other.wait_for_selector("#problem:not([hidden])")
    assert "did not start live captions" in other.inner_text("#problem-text")
    assert other.is_enabled("#captions")
    page.click("#stop")
    page.wait_for_selector(".word")


def test_an_upload_can_be_cancelled(visit: Visit, recording: Path) -> None:
    page = visit(lambda page: page.route(TRANSCRIPTIONS, lambda route: None), locale="en-US")
    with page.expect_event("requestfailed", lambda request: "transcriptions" in request.url):
        page.set_input_files("#file", recording)
        page.wait_for_selector("#progress:not([hidden])")
        page.click("#cancel")
    assert page.inner_text("#status") == "Cancelled."
    assert page.is_hidden("#progress")


def test_the_facts_are_those_of_the_server(visit: Visit, address: str) -> None:
    page = visit(locale="en-US")
    facts = page.evaluate("fetch('/v1/model_facts').then((each) => each.json())")
    shown = dict(zip(texts(page, "#facts dt"), texts(page, "#facts dd"), strict=True))
    assert shown["Name"] == facts["id"]
    assert shown["Units"] == facts["units"]
    assert shown["Size"] == f"{facts['size_bytes'] / 1e6:.1f} MB"
    assert ("Character error rate" in shown) == (facts["cer"] is not None)
    assert re.fullmatch(r"[\d,.]+ × real time", shown["Speed"])


@pytest.mark.parametrize(
    ("corpus", "synthetic"),
    [("synthetic:demo#dev", True), ("synthetic:demo#dev + zeroth#test", False), ("zeroth#test", False)],
)
def test_synthetic_speech_is_said_in_words_beside_its_error_rate(visit: Visit, corpus: str, synthetic: bool) -> None:
    limits = {"upload_bytes": 1e8, "audio_seconds": 60}
    facts = {"id": "demo", "cer": 0.02, "cer_corpus": corpus, "limits": limits}
    page = visit(lambda page: page.route("**/v1/model_facts", lambda route: route.fulfill(json=facts)), locale="en-US")
    page.wait_for_selector("#facts dd")
    assert (corpus in page.inner_text("#facts"), "synthetic speech" in page.inner_text("#facts")) == (True, synthetic)
