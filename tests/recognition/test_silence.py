"""Silence does not go through the network: nothing is written there, and what stands beside it is as it is alone."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE
from distilhubert_ko.decoding import ctc
from distilhubert_ko.recognition.alignment import align_text
from distilhubert_ko.recognition.segments import LONGEST
from distilhubert_ko.recognition.silence import PADDING, SHORTEST, SILENCE, regions_with_audio
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.windows import SpeechRegion
from tests.support.media import encoded, with_pauses
from tests.support.model import clip

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def transcriber(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=1)


def quiet(samples: int) -> np.ndarray:
    """Digital silence with dither."""
    return (RNG.integers(-1, 2, samples) / 32768).astype(np.float32)


@given(st.lists(st.tuples(st.integers(1, 30_000), st.integers(0, 30_000)), min_size=1, max_size=5))
def test_regions_hold_all_that_is_loud_and_no_long_silence(parts: list[tuple[int, int]]) -> None:
    wave = np.concatenate(
        [np.full(samples, value, np.float32) for pair in parts for samples, value in zip(pair, (0, 1), strict=True)]
    )
    regions = regions_with_audio(wave)
    held = np.zeros(len(wave), bool)
    for region in regions:
        assert region.start % FRAME_STEP == 0
        assert region.end % FRAME_STEP == 0 or region.end == len(wave)
        held[region.start : region.end] = True
        assert wave[region.start : region.end].any()
    assert held[wave > 0].all()
    assert all(right.start - left.end >= SHORTEST - 2 * PADDING for left, right in pairwise(regions))


def test_silence_shorter_than_that_between_words_is_kept() -> None:
    loud = clip(16_000)
    for samples, count in ((SHORTEST - FRAME_STEP, 1), (SHORTEST + FRAME_STEP, 2)):
        assert len(regions_with_audio(np.concatenate([loud, quiet(samples), loud]))) == count
    assert regions_with_audio(loud) == [SpeechRegion(0, 16_000)]
    assert regions_with_audio(quiet(160_000)) == regions_with_audio(np.zeros(0, np.float32)) == []


@pytest.mark.parametrize("level", [0.0, SILENCE / 2])
def test_speech_beside_silence_is_what_it_is_alone_and_silence_is_nothing(
    transcriber: Transcriber, level: float
) -> None:
    first, second = clip(32_000), clip(40_000, 2)
    long = np.full(5 * SAMPLE_RATE, level, np.float32)
    wave = np.concatenate([first, long, second])
    pad = np.full(PADDING, level, np.float32)
    found = transcriber(wave)
    alone = [transcriber(np.concatenate([first, pad])).text, transcriber(np.concatenate([pad, second])).text]
    assert found.text == " ".join(alone)
    assert found.seconds == len(wave) / SAMPLE_RATE
    assert not any(2.3 < word.start < 6.7 or 2.3 < word.end < 6.7 for word in found.words)
    assert transcriber(long).text == ""


def test_a_pause_of_silence_parts_words_though_the_model_writes_no_space(transcriber: Transcriber) -> None:
    wave = np.concatenate([clip(32_000), np.zeros(int(0.75 * SAMPLE_RATE), np.float32), clip(40_000, 2)])
    (log_probs,) = transcriber.log_probs([wave])
    words = transcriber.transcript(log_probs, len(wave)).words
    assert not any(word.start < 2.3 and word.end > 2.4 for word in words)
    tokens = ctc.greedy(log_probs, transcriber.tokenizer.blank_id)
    spaces = [token.start for token in tokens if token.id == transcriber.tokenizer.delimiter_id]
    assert (2 * SAMPLE_RATE + PADDING) // FRAME_STEP in spaces


@pytest.mark.parametrize("seconds", [30, 63])
def test_no_cue_spans_a_silence(transcriber: Transcriber, seconds: int) -> None:
    wave = np.concatenate([clip(40_000), np.zeros(seconds * SAMPLE_RATE, np.float32), clip(40_000, 2)])
    for segment in transcriber(wave).segments:
        assert segment.end - segment.start <= LONGEST
        assert not (segment.start < 3 and segment.end > 4 + seconds / 2)


def test_a_wave_with_silence_gets_the_same_answer_alone_and_in_a_batch(transcriber: Transcriber) -> None:
    waves = [
        np.concatenate([clip(20_000, seed), np.zeros(pause, np.float32), clip(9_000, seed + 1)])
        for seed, pause in ((1, 0), (3, 8_000), (5, 40_001), (7, 400_000))
    ]
    for wave, together in zip(waves, transcriber.log_probs(waves), strict=True):
        (alone,) = transcriber.log_probs([wave])
        np.testing.assert_allclose(together, alone, atol=2e-4)
        assert len(alone) == transcriber.grid.count(len(wave))


def test_a_stream_says_nothing_in_silence(transcriber: Transcriber) -> None:
    live = transcriber.stream()
    for _ in range(40):
        assert live.feed(quiet(8_000)).partial == ""
    assert live.finish().words == ()


@pytest.mark.parametrize("seconds", [5, 63])
def test_no_text_is_placed_in_silence(transcriber: Transcriber, seconds: int) -> None:
    wave = np.concatenate([clip(40_000), np.zeros(seconds * SAMPLE_RATE, np.float32), clip(40_000, 2)])
    first, second = align_text(transcriber, wave, "가나다라 마바\n거너 더러").segments
    assert first.end <= 2.5 + PADDING / SAMPLE_RATE
    assert second.start >= 2.5 + seconds - PADDING / SAMPLE_RATE


def test_a_cue_stands_where_the_audio_of_a_video_is(transcriber: Transcriber) -> None:
    content = encoded(clip(40_000), SAMPLE_RATE, "matroska", "pcm_f32le", pictures=7)
    words = transcriber(with_pauses(content, "matroska", {-1.0: 4.0})).words
    assert words
    assert words[0].start == pytest.approx(4, abs=0.3)
    assert words[-1].end == pytest.approx(6.5, abs=0.3)
