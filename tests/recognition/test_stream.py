"""Live captions: any chunks give one transcript, final words stay, and memory is that of a window."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import FRAME_STEP, HUBERT_FRAMES, SAMPLE_RATE
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import InputError
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.recognition import stream
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import WORD_GAP, Word
from tests.support.model import SYLLABLES, clip
from tests.support.streams import check_chunks_change_nothing

SECOND = SAMPLE_RATE


class Planted:
    """A network without context: the best label of a frame is the wave's own value where the frame starts."""

    def __init__(self) -> None:
        self.longest = 0

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        self.longest = max(self.longest, len(wave))
        labels = wave[: FRAME_STEP * HUBERT_FRAMES.count(len(wave)) : FRAME_STEP].astype(int)
        return np.where(np.arange(len(SYLLABLES)) == labels[:, None], -0.1, -9.0)


def wave_of(labels: list[int]) -> np.ndarray:
    """A wave in which Planted hears these labels, and a half frame that it does not."""
    return np.append(np.repeat(np.array(labels, np.float32), FRAME_STEP), np.zeros(240, np.float32))


def whole(labels: list[int]) -> Transcript:
    wave = wave_of(labels)
    tokens = ctc.greedy(Planted()(wave), SYLLABLES.blank_id)
    return Transcript.from_tokens(tokens, SYLLABLES, len(wave) / SECOND)


RUNS = st.lists(
    st.tuples(
        st.sampled_from([SYLLABLES.blank_id, SYLLABLES.delimiter_id, *SYLLABLES.encode("가나다")]), st.integers(1, 70)
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(RUNS, st.lists(st.integers(0, 30_000), max_size=12))
def test_a_network_without_context_gives_exactly_the_transcript_of_the_whole(
    runs: list[tuple[int, int]], sizes: list[int]
) -> None:
    labels = [label for label, count in runs for _ in range(count)]
    network = Planted()
    live = Stream(network, SYLLABLES)
    for chunk in np.split(wave_of(labels), np.cumsum(sizes)):
        live.feed(chunk)
    found, expected = live.finish(), whole(labels)
    assert [(w.text, w.start, w.end) for w in found.words] == [(w.text, w.start, w.end) for w in expected.words]
    assert [w.confidence for w in found.words] == pytest.approx([w.confidence for w in expected.words])
    assert found.seconds == expected.seconds
    assert network.longest <= stream.LEFT + stream.RIGHT + stream.STEP


@pytest.fixture(scope="module")
def transcriber(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=1)


@pytest.mark.parametrize("size", [1, 160, 1601, 8000])
def test_the_size_of_the_chunks_changes_nothing(transcriber: Transcriber, size: int) -> None:
    check_chunks_change_nothing(transcriber, clip(4 * SECOND + 123), size)


def test_final_text_only_grows_and_no_final_word_is_lost(transcriber: Transcriber) -> None:
    wave = clip(15 * SECOND)
    live = transcriber.stream()
    words: list[Word] = []
    partials = set()
    for start in range(0, len(wave), 3000):
        before = live.text
        update = live.feed(wave[start : start + 3000])
        words += update.final
        assert live.text.startswith(before)
        assert live.text == " ".join(word.text for word in words)
        partials.add(update.partial)
    assert len(words) > 10
    assert len(partials) > 10
    done = live.finish()
    assert done.words[: len(words)] == tuple(words)
    assert done.text == live.text
    assert done.seconds == 15.0
    times = [time for word in done.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= done.seconds


def test_a_word_is_final_a_step_and_the_right_context_after_its_space() -> None:
    (ga,) = SYLLABLES.encode("가")
    live = Stream(Planted(), SYLLABLES)
    update = live.feed(wave_of([ga] * 5 + [SYLLABLES.delimiter_id] + [SYLLABLES.blank_id] * 19)[: stream.STEP])
    assert (update.final, update.partial) == ((), "가")
    update = live.feed(np.zeros(stream.RIGHT, np.float32))
    assert [word.text for word in update.final] == ["가"]
    assert update.partial == ""


def test_a_word_is_final_after_a_long_silence_without_a_space() -> None:
    (ga,) = SYLLABLES.encode("가")
    live = Stream(Planted(), SYLLABLES)
    live.feed(wave_of([ga] * 5))
    update = live.feed(np.zeros(stream.RIGHT + int(WORD_GAP * SECOND) + 2 * stream.STEP, np.float32))
    assert [word.text for word in update.final] == ["가"]


def test_a_stream_says_much_the_same_as_a_transcription_of_the_whole(transcriber: Transcriber) -> None:
    """Not exactly: group norm sees a window of 9.5 s here and up to 20 s there.

    A trained model of the demo differs in 3 % of the characters; random weights, sure of nothing, in 46 %.
    """
    wave = clip(40 * SECOND)
    live = transcriber.stream()
    live.feed(wave)
    expected, other = transcriber(wave).text, transcriber(clip(40 * SECOND, seed=1)).text
    assert len(expected) > 100
    assert metrics.characters(expected, live.finish().text).rate < 0.55
    assert metrics.characters(expected, other).rate > 0.8


def test_a_clip_shorter_than_the_right_context_gets_exactly_its_transcript(transcriber: Transcriber) -> None:
    wave = clip(SECOND)
    live = transcriber.stream()
    live.feed(wave)
    assert live.finish() == transcriber(wave)
    assert transcriber(wave).text


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_a_stream_of_nothing_has_an_empty_transcript(transcriber: Transcriber, samples: int) -> None:
    live = transcriber.stream()
    assert live.feed(clip(samples)) == stream.StreamUpdate((), "")
    assert live.finish() == live.finish() == Transcript((), samples / SECOND)


def test_digital_silence_says_nothing_for_any_time(transcriber: Transcriber) -> None:
    live = transcriber.stream()
    assert live.feed(np.zeros(20 * SECOND, np.float32)) == stream.StreamUpdate((), "")
    assert len(live._held) <= stream.LEFT + stream.RIGHT
    assert live.finish() == Transcript((), 20.0)


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (np.array([0, np.nan], np.float32), "NaN or infinite"),
        (np.array([0, np.inf], np.float32), "NaN or infinite"),
        (np.zeros((100, 2), np.float32), "average the channels"),
        (np.zeros(100), "float32 samples, not float64"),
        (np.zeros(100, np.int16), "/ 32768"),
        (b"\0\0", "not bytes"),
    ],
)
def test_chunks_that_are_no_waves_say_what_to_do_and_leave_the_stream_as_it_was(
    transcriber: Transcriber, chunk: np.ndarray, words: str
) -> None:
    live = transcriber.stream()
    live.feed(clip(10_000))
    with pytest.raises(InputError, match=words):
        live.feed(chunk)
    assert live.finish().seconds == 10_000 / SECOND


def test_a_finished_stream_takes_no_more(transcriber: Transcriber) -> None:
    live = transcriber.stream()
    live.finish()
    with pytest.raises(InputError, match=r"Transcriber\.stream"):
        live.feed(clip(100))


def test_a_buffer_may_be_filled_again_once_it_was_fed(transcriber: Transcriber) -> None:
    wave = clip(20_000)
    live, buffer = transcriber.stream(), np.empty(1000, np.float32)
    for start in range(0, len(wave), 1000):
        buffer[:] = wave[start : start + 1000]
        live.feed(buffer)
    expected = transcriber.stream()
    expected.feed(wave)
    assert live.finish() == expected.finish()
