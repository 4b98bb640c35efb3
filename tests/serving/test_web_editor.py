"""The editor of the page in a real browser: a recording, words in time with it, corrections and files.

The words of the tiny model are not Korean, so no test depends on them.
"""

import itertools
import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pysubs2
import pytest
import webvtt

from distilhubert_ko.audio.frames import SAMPLE_RATE
from tests.support.media import encoded
from tests.support.web import (
    SECONDS,
    SPEECH,
    WAYS,
    Visit,
    answered,
    answering,
    downloaded,
    fits,
    peaks,
    saying,
    texts,
    until,
    upload,
)

if TYPE_CHECKING:
    from playwright import sync_api


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
    assert page.evaluate("media.currentTime") >= chosen["start"]
    until(page, "(start) => media.currentTime > start && !media.paused", chosen["start"])
    page.keyboard.press("Space")
    assert page.evaluate("media.paused")
    page.evaluate("(time) => { media.currentTime = time }", (chosen["start"] + chosen["end"]) / 2)
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
    assert page.evaluate("media.playbackRate") == 1.5


def test_what_the_browser_cannot_play_has_a_transcript_all_the_same(visit: Visit, tmp_path: Path) -> None:
    page = visit(answering(saying("가", "나")))
    strange = tmp_path / "strange.amr"
    strange.write_bytes(b"#!AMR\n" + bytes(100))
    upload(page, strange)
    page.wait_for_selector("#no-sound:not([hidden])")
    assert page.is_disabled("#play")
    assert texts(page, "#lanes button") == ["가", "나"]
    assert downloaded(page, "txt") == ("strange.txt", "가 나\n")


@pytest.mark.parametrize("options", WAYS)
def test_the_picture_of_a_video_is_shown_with_the_transcript_as_captions(
    visit: Visit, recording: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    video = tmp_path / "video.webm"
    video.write_bytes(encoded(SPEECH, SAMPLE_RATE, "webm", "libopus", pictures=6, picture_codec="libvpx"))
    page = visit(answering(saying("<가>", "나")), **options)
    upload(page, video)
    until(page, "media.videoWidth === 16")
    assert page.is_visible("#media")
    assert page.evaluate("media.getBoundingClientRect().height <= innerHeight / 3")
    assert fits(page)
    captions = "[...media.textTracks[0].activeCues].map((each) => each.getCueAsHTML().textContent)"
    page.locator("#lanes button").last.click()
    until(page, "media.currentTime > 3")
    page.click("#media")
    assert page.evaluate("media.paused")
    assert page.evaluate(captions) == ["<가> 나"]
    page.locator(".word").last.dblclick()
    page.keyboard.type("바다")
    page.keyboard.press("Enter")
    assert page.evaluate(captions) == ["<가> 바다"]
    downloaded(page, "txt")
    upload(page, recording)
    assert page.is_hidden("#media")
    assert page.evaluate("media.textTracks[0].cues.length") == 1


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
    for _ in range(24):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
    controls = "korean english file record captions digits split hotwords play speed zoom-out zoom-fit zoom-in".split()
    controls += "wave TXT SRT VTT ASS LRC TSV JSON copy search-open".split()
    assert reached[: len(controls) + 1] == [*controls, "가가가"]
    page.locator(".word").first.focus()
    for key, word in {"ArrowRight": "나나나", "End": "하하하", "ArrowLeft": "파파파", "Home": "가가가"}.items():
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.textContent") == word
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('li') === segments.children[1]")
    page.focus("#wave")
    page.keyboard.press("End")
    assert page.evaluate("media.currentTime") == pytest.approx(SECONDS, abs=0.01)
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


# Find and replace


SAID = ["나는", "한강에", "갔다", "ABC", "한강은", "넓다", "abc", "나는", "한강에", "산다"]
MARKED = """() => ["found", "found-now"].map((name) => [...CSS.highlights.get(name)].map((each) => {
    const range = document.createRange();
    range.setStart(each.startContainer, each.startOffset);
    range.setEnd(each.endContainer, each.endOffset);
    return range.toString();
}))"""


def searching(page: "sync_api.Page", recording: Path) -> "sync_api.Page":
    upload(page, recording)
    page.locator("#search-open").focus()
    page.keyboard.press("Enter")
    return page


@pytest.mark.parametrize("options", WAYS)
def test_a_text_is_found_across_words_and_gone_to_with_the_keyboard(
    visit: Visit, recording: Path, options: dict[str, Any]
) -> None:
    page = searching(visit(answering(saying(*SAID)), **options), recording)
    page.keyboard.type(unicodedata.normalize("NFD", "는 한강"))
    assert page.inner_text("#found") == "1/2"
    assert page.evaluate(MARKED) == [["는 한강"], ["는 한강"]]
    for key, count in [("Enter", "2/2"), ("Enter", "1/2"), ("Shift+Enter", "2/2")]:
        page.keyboard.press(key)
        assert page.inner_text("#found") == count
    assert page.get_attribute("#found-told", "role") == "status"
    told = page.inner_text("#found-told")
    assert told.startswith({"ko": "2개 중 2번째: ", "en": "2 of 2: "}[options["locale"][:2]])
    assert "나는 한강에" in told
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("abc")
    assert page.evaluate(MARKED) == [["abc"], ["ABC"]]  # from the top again
    assert fits(page)
    page.keyboard.press("Escape")
    assert page.is_hidden("#search")
    assert page.evaluate("document.activeElement.textContent") == "ABC"
    assert page.evaluate(MARKED) == [[], []]


def test_a_replacement_is_a_correction_and_all_at_once_are_one(visit: Visit, recording: Path) -> None:
    page = searching(visit(answering(saying(*SAID))), recording)
    before = json.loads(downloaded(page, "json")[1])["words"]
    page.fill("#find", "한강")
    page.fill("#replacement", "한강한강")
    page.keyboard.press("Enter")
    assert texts(page) == [*SAID[:1], "한강한강에", *SAID[2:]]
    assert page.inner_text("#found") == "3/4"  # it goes on behind what it wrote
    page.click("#undo")
    page.fill("#replacement", "큰 강")
    page.click("#replace-all")
    assert " ".join(texts(page)) == " ".join(SAID).replace("한강", "큰 강")
    assert page.inner_text("#found") == page.inner_text("#found-told") == "3개를 바꿨습니다"
    after = json.loads(downloaded(page, "json")[1])["words"]
    assert [each for each in after if each["probability"] is not None] == [
        each for each in before if "한강" not in each["word"]
    ]
    assert (after[1]["start"], after[2]["end"]) == (before[1]["start"], before[1]["end"])
    page.click("#undo")
    assert texts(page) == SAID
    assert page.is_disabled("#undo")


def test_what_is_nowhere_is_told_and_changes_nothing(visit: Visit, recording: Path) -> None:
    page = searching(visit(answering(saying(*SAID)), locale="en-US"), recording)
    page.keyboard.type("바다")
    assert page.inner_text("#found") == page.inner_text("#found-told") == "No matches"
    for button in ("#find-next", "#find-previous", "#replace", "#replace-all"):
        page.click(button)
        assert page.inner_text("#found-told") == "No matches"
    assert texts(page) == SAID
    assert page.is_disabled("#undo")
    page.fill("#find", " ")
    assert page.inner_text("#found") == ""


def test_an_enter_that_ends_a_syllable_is_no_command(visit: Visit, recording: Path) -> None:
    page = searching(visit(answering(saying(*SAID))), recording)
    page.fill("#find", "한강")
    for field in ("find", "replacement"):
        for key in ("Enter", "Escape"):
            page.evaluate(
                """([id, key]) => document.getElementById(id).dispatchEvent(
                    new KeyboardEvent("keydown", { key, isComposing: true, bubbles: true }))""",
                [field, key],
            )
    assert (page.inner_text("#found"), texts(page)) == ("1/3", SAID)


def test_the_marks_follow_a_correction_and_end_with_the_recording(visit: Visit, recording: Path) -> None:
    page = searching(visit(answering(saying(*SAID))), recording)
    page.fill("#find", "한강")
    page.locator(".word").nth(1).dblclick()
    page.keyboard.type("남산에")
    page.keyboard.press("Enter")
    assert page.inner_text("#found") == "1/2"
    assert page.evaluate(MARKED) == [["한강"], ["한강"]]
    page.click("#undo")
    assert page.inner_text("#found") == "1/3"
    downloaded(page, "txt")
    upload(page, recording)
    assert page.is_hidden("#search")
    assert page.evaluate(MARKED) == [[], []]


def test_a_match_far_down_is_scrolled_to_below_what_covers_the_lines(visit: Visit, recording: Path) -> None:
    page = searching(visit(answering(saying(*60 * SAID, "바다", *60 * SAID))), recording)
    page.keyboard.type("바다")
    places = "[found, document.querySelector('.player')].map((each) => each.getBoundingClientRect().bottom)"
    page.evaluate("window.found = [...CSS.highlights.get('found-now')][0].startContainer.parentElement")
    bottom, covered = page.evaluate(places)
    assert covered < bottom < page.viewport_size["height"]
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.keyboard.press("Enter")
    bottom, covered = page.evaluate(places)
    assert covered < bottom - 20 < page.viewport_size["height"]
