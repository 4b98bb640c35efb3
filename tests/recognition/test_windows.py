"""Windows over long waves: every frame once, and each from where it is heard best."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from distilhubert_ko.audio import libsndfile
from distilhubert_ko.audio.frames import HUBERT_FRAMES, SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_blocks, load_audio
from distilhubert_ko.recognition import windows as longform
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.windows import SpeechRegion
from tests.support.model import clip

SIZES = [0, 1, 399, 400, longform.WINDOW - 1, longform.WINDOW, longform.WINDOW + 1]
SIZES += [longform.WINDOW + longform.HOP + offset for offset in (-1, 0, 1, 319, 320, 400)]


class Positions:
    """A runtime whose "log-probabilities" of a frame are the wave's own values there: where the frame was heard."""

    grid = HUBERT_FRAMES

    def __init__(self) -> None:
        self.longest = 0
        self.batches: list[int] = []

    def log_probs(self, waves: list[np.ndarray]) -> list[np.ndarray]:
        self.longest = max(self.longest, *map(len, waves))
        self.batches.append(len(waves))
        return [wave[: 320 * HUBERT_FRAMES.count(len(wave)) : 320, None] for wave in waves]


@pytest.mark.parametrize("samples", SIZES)
@pytest.mark.parametrize("block", [7919, longform.WINDOW, 10**9])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_pieces_hold_every_frame_of_the_wave_once_and_in_order(samples: int, block: int, batch: int) -> None:
    wave = np.arange(samples, dtype=np.float64).astype(np.float32)  # exact: there are fewer than 2**24
    runtime = Positions()
    blocks = (wave[start : start + block] for start in range(0, samples, block))
    pieces = [*longform.windowed_log_probs(runtime, blocks, batch)]  # type: ignore[arg-type]
    heard = np.concatenate(pieces)[:, 0] if pieces else np.empty(0)
    assert np.array_equal(heard, 320.0 * np.arange(HUBERT_FRAMES.count(samples)))
    assert runtime.longest <= longform.WINDOW


@settings(max_examples=30)
@given(st.lists(st.integers(0, longform.WINDOW), max_size=8))
def test_how_a_wave_is_cut_into_blocks_changes_nothing(sizes: list[int]) -> None:
    wave = np.random.default_rng(0).normal(size=sum(sizes)).astype(np.float32)
    blocks = np.split(wave, np.cumsum(sizes)[:-1]) if sizes else []
    cut, whole = [*longform.cut_windows(blocks)], [*longform.cut_windows([wave])]
    assert [(each.first, each.last) for each in cut] == [(each.first, each.last) for each in whole]
    assert all(np.array_equal(a.wave, b.wave) for a, b in zip(cut, whole, strict=True))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 200), max_size=8), st.integers(0, 70_000), st.integers(1, 30_000), st.integers(1, 5))
@example([9, 10], 2881, 100, 1)  # a region of one sample, after the last frame has begun
def test_frames_within_regions_are_those_of_the_wave_and_silence_stands_between(
    edges: list[int], samples: int, block: int, batch: int
) -> None:
    wave = np.arange(samples, dtype=np.float32) + 1
    steps = sorted({min(320 * edge, samples) for edge in edges})
    regions = [SpeechRegion(start, end) for start, end in zip(steps[::2], steps[1::2], strict=False)]
    blocks = (wave[start : start + block] for start in range(0, samples, block))
    pieces = longform.region_log_probs(Positions(), blocks, regions, lambda frames: np.zeros((frames, 1)), batch)  # type: ignore[arg-type]
    expected = np.zeros(HUBERT_FRAMES.count(samples))
    for region in regions:
        starts = region.start + 320 * np.arange(HUBERT_FRAMES.count(region.end - region.start))
        expected[starts // 320] = starts + 1
    assert np.array_equal(np.concatenate([*pieces])[:, 0], expected)


def test_windows_of_long_regions_and_of_several_are_computed_together() -> None:
    wave = np.arange(3 * longform.WINDOW, dtype=np.float32) + 1
    regions = [SpeechRegion(0, longform.WINDOW + 3200), SpeechRegion(longform.WINDOW + 6400, longform.WINDOW + 9600)]
    network = Positions()
    pieces = longform.region_log_probs(network, [wave], regions, lambda frames: np.zeros((frames, 1)), 2)  # type: ignore[arg-type]
    assert sum(map(len, pieces)) == HUBERT_FRAMES.count(len(wave))
    assert network.batches == [2, 1]


@pytest.mark.parametrize("batch", [1, 4])
def test_no_more_is_read_ahead_than_a_batch_of_windows(batch: int) -> None:
    """So memory is bounded, whatever the length of the wave."""
    read, block = 0, 16_000

    def blocks() -> Iterator[np.ndarray]:
        nonlocal read
        for _ in range(300):
            read += block
            yield np.zeros(block, np.float32)

    network, done = Positions(), 0
    for piece in longform.windowed_log_probs(network, blocks(), batch):  # type: ignore[arg-type]
        assert read - 320 * done <= longform.WINDOW + batch * longform.HOP + block
        done += len(piece)
    assert done == HUBERT_FRAMES.count(300 * block)
    assert max(network.batches) == batch


def test_a_frame_in_a_window_after_the_first_has_a_margin_on_its_left_and_right() -> None:
    wave = np.zeros(3 * longform.WINDOW, np.float32)
    windows = [*longform.cut_windows([wave])]
    assert len(windows) > 3
    margin = longform.MARGIN // 320
    assert all(each.first == margin for each in windows[1:])
    assert all(each.last == longform.WINDOW // 320 - margin for each in windows[:-1])


def test_a_recording_of_minutes_gets_the_same_answer_in_batches_of_any_size(exported: Path) -> None:
    wave = clip(180 * SAMPLE_RATE)
    alone, *others = (Transcriber(exported, threads=1, batch_size=size) for size in (1, 2, 5))
    expected, text = np.concatenate([*longform.windowed_log_probs(alone, [wave])]), alone(wave).text
    assert len(text) > 100
    for transcriber in others:
        found = np.concatenate([*longform.windowed_log_probs(transcriber, [wave], transcriber.batch_size)])
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
        assert transcriber(wave).text == text


def test_a_long_recording_gets_the_same_answer_in_a_batch_and_in_a_call_of_its_own(exported: Path) -> None:
    transcriber = Transcriber(exported, threads=1)
    waves = [clip(9000), clip(longform.WINDOW + 5 * SAMPLE_RATE), clip(40_000)]
    for wave, log_probs in zip(waves, transcriber.log_probs(waves), strict=True):
        assert len(log_probs) == HUBERT_FRAMES.count(len(wave))
        alone, expected = transcriber(wave), transcriber.transcript(log_probs, len(wave))
        assert alone.text
        assert [(w.text, w.start, w.end) for w in alone.words] == [(w.text, w.start, w.end) for w in expected.words]
        confidences = [[word.confidence for word in each.words] for each in (alone, expected)]
        assert confidences[0] == pytest.approx(confidences[1], abs=1e-4)


def test_a_file_of_another_rate_gives_the_same_samples_in_blocks_as_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import soundfile

    soundfile.write(tmp_path / "speech.wav", clip(100_000), 44_100)
    whole = load_audio(tmp_path / "speech.wav")
    monkeypatch.setattr(libsndfile, "_BLOCK", 10_007)
    pieces = [*audio_blocks(tmp_path / "speech.wav")]
    assert len(pieces) > 5
    assert np.array_equal(np.concatenate(pieces), whole)
    assert len(whole) == pytest.approx(100_000 * 16_000 / 44_100, abs=1)
