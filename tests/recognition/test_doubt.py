"""Coughs and laughter: where neither network is sure that somebody speaks, nothing is written."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import FRAME_STEP
from distilhubert_ko.recognition.doubt import LIKELY, SPEECH, Doubt, without_doubtful
from distilhubert_ko.recognition.windows import SpeechRegion
from distilhubert_ko.recognition.words import Word


def word(text: str, confidence: float) -> Word:
    return Word(text, 0.0, 1.0, confidence)


def silence(frames: int) -> np.ndarray:
    return np.zeros((frames, 1), np.float32)


def heard(matrix: np.ndarray) -> Sequence[Word]:
    """One word, as likely as the highest value of the matrix."""
    return [word("말", float(matrix.max(initial=0)))]


@given(
    regions=st.lists(
        st.tuples(
            st.integers(0, 4),  # frames of silence before it
            st.lists(st.integers(1, 3), min_size=1, max_size=3),  # frames of its windows
            st.sampled_from([0.5, SPEECH]),
            st.sampled_from([0.1, LIKELY]),
        ),
        max_size=5,
    ),
    rest=st.integers(0, FRAME_STEP - 1),
)
def test_only_regions_of_which_neither_network_is_sure_are_silence(
    regions: list[tuple[int, list[int], float, float]], rest: int
) -> None:
    pieces, expected, found, frames = [], [], [], 0
    for gap, windows, probability, likely in regions:
        spoken = [np.full((count, 1), likely, np.float32) for count in windows]
        length = sum(windows)
        pieces += [silence(gap), *spoken]
        kept = probability >= SPEECH or likely >= LIKELY
        expected += [silence(gap), *(spoken if kept else [silence(length)])]
        start = frames + gap
        frames = start + length
        found.append(SpeechRegion(start * FRAME_STEP, frames * FRAME_STEP, probability))
    if found:  # the end of a wave is no whole step
        found[-1] = replace(found[-1], end=found[-1].end + rest)
    end = silence(3)
    made = [*without_doubtful(iter([*pieces, end]), found, silence, heard)]
    np.testing.assert_array_equal(np.concatenate(made), np.concatenate([*expected, end]))


def test_regions_of_which_the_detector_is_sure_are_not_held_back() -> None:
    piece = np.full((4, 1), 0.1, np.float32)
    pieces = iter([piece, piece])
    made = without_doubtful(pieces, [SpeechRegion(0, 8 * FRAME_STEP, SPEECH)], silence, heard)
    assert next(made) is piece
    assert len([*pieces]) == 1


@pytest.mark.parametrize(
    "sign", [pytest.param((SPEECH, 0.1), id="the detector is sure"), pytest.param((0.6, LIKELY), id="a word is likely")]
)
def test_words_of_a_stream_wait_for_the_first_sign_that_they_are_words(sign: tuple[float, float]) -> None:
    doubt = Doubt()
    probability, confidence = sign
    first, second, third = word("가", 0.1), word("나", confidence), word("다", 0.1)
    assert doubt.confirmed([first], region=1, probability=0.6) == []
    assert doubt.confirmed([], region=1, probability=0.6) == []
    assert doubt.confirmed([second], region=1, probability=probability) == [first, second]
    assert doubt.confirmed([third], region=1, probability=probability) == [third]
    assert not doubt.held


def test_words_that_stayed_in_doubt_are_lost_when_somebody_speaks_again() -> None:
    doubt = Doubt()
    cough, spoken, laugh = word("아", 0.3), word("예", 0.9), word("하", 0.3)
    assert doubt.confirmed([cough], region=1, probability=0.6) == []
    assert doubt.confirmed([spoken], region=2, probability=SPEECH) == [spoken]
    assert doubt.confirmed([laugh], region=3, probability=0.6) == []
    assert doubt.held == [laugh]
