"""How far a transcription is, as the page shows it, and the queue of several files, in a real browser."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.serving.batcher import Batcher
from tests.support.web import SECONDS, TRANSCRIPTIONS, Visit, streamed, texts

if TYPE_CHECKING:
    pass


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
