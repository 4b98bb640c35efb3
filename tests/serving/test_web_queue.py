"""How far a transcription is, as the page shows it, and the queue of several files, in a real browser."""

import asyncio
import re
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distilhubert_ko.errors import InputError
from distilhubert_ko.files.recordings import AUDIO_SUFFIXES, find_recordings
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.serving.batcher import Batcher
from tests.support.web import (
    SECONDS,
    TRANSCRIPTIONS,
    Visit,
    answered,
    answering,
    failing,
    saying,
    streamed,
    texts,
    until,
)

if TYPE_CHECKING:
    from playwright import sync_api


@pytest.fixture
def slow_server(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The server says the first words of each recording, and the rest once the event is set."""
    go_on = threading.Event()

    async def transcribe(*given: object, on_text: Callable, on_progress: Callable, **options: object) -> Transcript:
        on_text("나무 바다")
        on_progress(SECONDS / 4)
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        words = [Word(text, at, at + 1.0, 0.9) for at, text in enumerate(["나무", "바다", "하늘"])]
        return Transcript(tuple(words), SECONDS)

    monkeypatch.setattr(Batcher, "transcribe", transcribe)
    return go_on


# How far it is


def test_the_page_says_how_far_a_recording_is_and_shows_the_text_so_far(
    visit: Visit, recording: Path, slow_server: threading.Event
) -> None:
    page = visit(locale="en-US")
    page.set_input_files("#file", recording)
    page.wait_for_selector("#so-far:not([hidden])")
    assert page.inner_text("#so-far") == "나무 바다"
    assert page.inner_text("#status") == "Transcribing…"
    assert page.inner_text("#progress-detail") == "25% · 0:01 / 0:06"
    assert page.evaluate("progress.value") == pytest.approx(0.25)
    slow_server.set()
    page.wait_for_selector(".word")
    assert texts(page) == ["나무", "바다", "하늘"]
    assert page.is_hidden("#so-far")
    assert page.is_hidden("#progress")


def test_an_error_after_the_first_words_is_told_and_leaves_no_text(
    visit: Visit, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*given: object, on_text: Callable, on_progress: Callable, **options: object) -> None:
        on_text("나무")
        on_progress(1.0)
        await asyncio.sleep(0.05)
        raise InputError("why")

    monkeypatch.setattr(Batcher, "transcribe", broken)
    page = visit(locale="en-US")
    page.set_input_files("#file", recording)
    page.wait_for_selector("#problem:not([hidden])")
    assert "cannot be transcribed" in page.inner_text("#problem-text")
    assert page.inner_text("#problem-detail") == "why"
    assert page.is_hidden("#so-far")


def test_an_answer_that_ends_too_early_is_a_lost_connection(visit: Visit, recording: Path) -> None:
    half: dict[str, Any] = {"type": "transcript.text.delta", "delta": "나무", "seconds": 1.0, "duration": 6.0}
    page = visit(lambda page: page.route(TRANSCRIPTIONS, lambda route: route.fulfill(**streamed(half))), locale="en-US")
    page.set_input_files("#file", recording)
    page.wait_for_selector("#problem:not([hidden])")
    assert "could not be reached" in page.inner_text("#problem-text")


# Several files


def named(folder: Path, *names: str) -> list[Path]:
    """Return files by these names; what they hold, nobody asks."""
    for name in names:
        (folder / name).write_bytes(b"RIFF")
    return [folder / name for name in names]


def by_name(**answers: Any) -> Callable[["sync_api.Page"], None]:
    """Return a preparation of a page whose server answers by the name of the file: a word, or a refusal, once."""

    def answer(route: "sync_api.Route") -> None:
        asked = re.search(rb'filename="(\w+)', route.request.post_data_buffer or b"")
        assert asked
        name = asked[1].decode()
        given = answers.get(name, name)
        if not isinstance(given, str):
            answers[name] = f"{name} again"
            route.fulfill(**given)
        else:
            route.fulfill(**streamed(answered(given.split())))

    return lambda page: page.route(TRANSCRIPTIONS, answer)


def states(page: "sync_api.Page") -> list[str]:
    return page.evaluate("[...jobs.children].map(({ className }) => className)")


def wait_for_states(page: "sync_api.Page", *wanted: str) -> None:
    until(page, "(wanted) => [...jobs.children].map(({ className }) => className).join() === wanted", ",".join(wanted))


def test_several_files_are_transcribed_one_after_another_and_one_click_opens_each(visit: Visit, tmp_path: Path) -> None:
    page = visit(by_name(), locale="en-US")
    page.set_input_files("#file", named(tmp_path, "one.wav", "two.wav", "three.wav"))
    wait_for_states(page, "ready", "ready", "ready")
    assert page.inner_text("#queue-summary") == "3 of 3 done"
    assert (page.inner_text("#name"), texts(page)) == ("one.wav", ["one"])
    assert page.is_hidden("#work")
    page.select_option("#speed", "1.5")
    page.click("text=three.wav")
    assert (page.inner_text("#name"), texts(page)) == ("three.wav", ["three"])
    assert texts(page, "#jobs [aria-current]") == ["three.wav"]
    assert page.evaluate("document.querySelector('video, audio').playbackRate") == 1.5


def test_a_file_alone_has_no_list_and_becomes_its_first_when_more_come(visit: Visit, tmp_path: Path) -> None:
    page = visit(by_name(), locale="en-US")
    first, *more = named(tmp_path, "one.wav", "two.wav", "three.wav", "four.wav")
    page.set_input_files("#file", first)
    page.wait_for_selector(".word")
    assert page.is_hidden("#queue")
    page.set_input_files("#file", more[:2])
    wait_for_states(page, "ready", "ready", "ready")
    assert texts(page, "#jobs .name") == ["one.wav", "two.wav", "three.wav"]
    assert texts(page) == ["one"]
    page.set_input_files("#file", more[2])
    wait_for_states(page, *4 * ["ready"])


def test_what_was_typed_is_kept_while_other_files_are_shown(visit: Visit, tmp_path: Path) -> None:
    page = visit(by_name(one="가 나"), locale="en-US")
    page.set_input_files("#file", named(tmp_path, "one.wav", "two.wav"))
    wait_for_states(page, "ready", "ready")
    for word in ("다", "라"):
        page.locator(".word").first.dblclick()
        page.keyboard.type(word)
        if word == "다":
            page.keyboard.press("Enter")
    page.click("text=two.wav")  # in the middle of a word
    assert texts(page) == ["two"]
    assert page.is_disabled("#undo")
    page.click("text=one.wav")
    assert texts(page) == ["라", "나"]
    for _ in range(2):
        page.click("#undo")
    assert texts(page) == ["가", "나"]
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.click("text=two.wav")
    page.click("[aria-label='Remove one.wav from the list']")
    assert (len(asked), states(page)) == (1, ["ready", "ready"])
    assert page.evaluate("!dispatchEvent(new Event('beforeunload', { cancelable: true }))")


def test_all_that_is_done_comes_in_one_file_with_its_corrections(visit: Visit, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    page = visit(by_name(one="가 나", bad=failing(400)), expected="400", locale="en-US")
    page.set_input_files("#file", [*named(tmp_path, "one.wav", "bad.wav", "two.mp3"), *named(other, "one.mp3")])
    wait_for_states(page, "ready", "failed", "ready", "ready")
    page.locator(".word").first.dblclick()
    page.keyboard.type("다")
    page.keyboard.press("Enter")
    page.click("text=two.mp3")
    page.select_option("#all-format", "srt")
    with page.expect_download() as download:
        page.click("#download-all")
    assert download.value.suggested_filename == "transcripts.zip"
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    assert [*found] == ["one.srt", "two.srt", "one (2).srt"]
    assert ["다 나" in found["one.srt"], "two" in found["two.srt"], "가 나" in found["one (2).srt"]] == 3 * [True]
    assert texts(page, "#all-format option") == texts(page, "[data-format]")
    assert page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))")  # nothing is lost


def test_a_file_that_failed_says_why_and_can_be_tried_again(visit: Visit, tmp_path: Path) -> None:
    page = visit(by_name(two=failing(400, "no audio")), expected="400", locale="en-US")
    page.set_input_files("#file", named(tmp_path, "one.wav", "two.wav", "three.wav"))
    wait_for_states(page, "ready", "failed", "ready")
    assert page.inner_text("#queue-summary") == "2 of 3 done, 1 failed"
    assert page.inner_text(".failed .state").strip() == "This file cannot be transcribed."
    assert page.inner_text(".failed .note") == "no audio"
    assert page.is_hidden("#problem")
    assert texts(page) == ["one"]
    page.click("[aria-label='Try two.wav again']")
    wait_for_states(page, "ready", "ready", "ready")


def test_what_every_file_would_fail_of_stops_the_queue_until_it_is_tried_again(visit: Visit, tmp_path: Path) -> None:
    def lost(route: "sync_api.Route") -> None:
        route.abort()
        page.unroute(TRANSCRIPTIONS)
        by_name()(page)

    page = visit(lambda page: page.route(TRANSCRIPTIONS, lost), expected="ERR_FAILED", locale="en-US")
    page.set_input_files("#file", named(tmp_path, "one.wav", "two.wav"))
    wait_for_states(page, "failed", "waiting")
    assert "could not be reached" in page.inner_text(".failed .state")
    page.click("[aria-label='Try one.wav again']")
    wait_for_states(page, "ready", "ready")


def test_the_keyboard_alone_cancels_removes_and_opens(
    visit: Visit, tmp_path: Path, recording: Path, slow_server: threading.Event
) -> None:
    page = visit(locale="en-US")
    one, two, three = (shutil.copy(recording, tmp_path / name) for name in ("one.wav", "two.wav", "three.wav"))
    page.set_input_files("#file", [one, two, three])
    page.wait_for_selector("#so-far:not([hidden])")
    assert states(page) == ["running", "waiting", "waiting"]
    assert page.inner_text(".running .state") == "Transcribing… 25%"
    assert page.inner_text("#work-name") == "one.wav"
    page.focus("[aria-label='Cancel one.wav']")
    page.keyboard.press("Enter")
    wait_for_states(page, "cancelled", "running", "waiting")
    page.focus("[aria-label='Remove three.wav from the list']")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.ariaLabel") == "Cancel two.wav"
    slow_server.set()
    wait_for_states(page, "cancelled", "ready")
    page.focus("[aria-label='Try one.wav again']")
    page.keyboard.press("Enter")
    wait_for_states(page, "ready", "ready")
    page.focus("#jobs .name")
    page.keyboard.press("Enter")
    assert page.inner_text("#name") == "one.wav"
    for _ in range(2):
        page.focus("#jobs li:last-child .end")
        page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.is_hidden("#queue")
    assert page.is_hidden("#editor")


def test_the_queue_waits_for_the_microphone_and_takes_its_recording(
    visit: Visit, tmp_path: Path, recording: Path, slow_server: threading.Event
) -> None:
    page = visit(locale="en-US")
    page.set_input_files("#file", [shutil.copy(recording, tmp_path / name) for name in ("one.wav", "two.wav")])
    page.wait_for_selector("#so-far:not([hidden])")
    page.click("#record")
    wait_for_states(page, "waiting", "waiting")
    slow_server.set()
    page.click("#stop")
    wait_for_states(page, "ready", "ready", "ready")
    assert page.inner_text("#name").startswith("recording ")
    assert page.is_hidden("#work")


def drop(page: "sync_api.Page", *files: Path) -> None:
    """Drop files on the page by the mouse: a script cannot drop a folder."""
    hand = page.context.new_cdp_session(page)
    held = {"items": [], "files": [*map(str, files)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        hand.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 100, "data": held})


def test_the_recordings_in_a_dropped_folder_are_those_that_the_program_finds(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "녹음"
    (folder / "더").mkdir(parents=True)
    named(
        folder, *(f"{number:03}{suffix}" for number, suffix in enumerate(AUDIO_SUFFIXES * 5)), "a.txt", "b", "._a.wav"
    )
    named(folder / "더", "소리.WAV", "목록.csv")
    page = visit(answering(saying("가")))
    drop(page, folder)
    page.wait_for_selector("#jobs .ready")
    names = [Path(each.path).name for each in find_recordings([str(folder)])]
    assert len(names) > 100, "more than a browser tells at once"
    assert texts(page, "#jobs .name") == names


def test_a_dropped_folder_without_recordings_is_told_as_one_and_stops_no_file(
    visit: Visit, recording: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "녹음"
    folder.mkdir()
    named(folder, "목록.csv")
    page = visit(answering(saying("가")))
    drop(page, folder, recording)
    page.wait_for_selector("#jobs .ready")
    assert texts(page, "#jobs .failed .state span")[0].startswith("이 폴더에는")
    assert texts(page) == ["가"]
