"""The page in a real browser: recordings in, live captions, and what goes wrong. test_web_editor.py has the editor.

The words of the tiny model are not Korean, so no test depends on them.
"""

import io
import json
import re
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from tests.support.web import (
    SPEECH,
    TRANSCRIPTIONS,
    WAYS,
    Visit,
    answered,
    answering,
    downloaded,
    failing,
    fits,
    saying,
    streamed,
    texts,
    until,
    upload,
)

if TYPE_CHECKING:
    from playwright import sync_api


EVIL = "<img/src=x/onerror=alert(1)>"
PIECE = SAMPLE_RATE // 5


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


# A recording


def test_what_the_page_asks_of_the_server_is_what_was_chosen(visit: Visit, recording: Path) -> None:
    asked: list[bytes] = []

    def answer(route: "sync_api.Route") -> None:
        asked.append(route.request.post_data_buffer or b"")
        route.fulfill(**streamed(answered(["5,300원"])))

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


def test_the_language_stays_chosen(visit: Visit) -> None:
    page = visit(locale="ko-KR")
    assert page.inner_text("h1") == "한국어 받아쓰기"
    page.click("#english")
    page.reload()
    assert (page.inner_text("h1"), page.get_attribute("html", "lang")) == ("Korean speech to text", "en")
    assert "Korean speech to text" in page.title()


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
    until(page, "media.duration > 1")
    assert times[-1][1] <= page.evaluate("media.duration") + 0.01
    page.locator(".word").first.click()
    until(page, "media.currentTime > 0.1")


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
