"""Speech of which neither network is sure: coughs, laughter, breath. Nothing is written for it.

A region of speech is in doubt if the detector of speech was never as sure as SPEECH, and the recogniser is never as
sure as LIKELY of a word. Whisper leaves out a segment by the same two probabilities. docs/lab-notes.md says how the
limits were found, and what they cost.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import FRAME_STEP
from distilhubert_ko.recognition.windows import SpeechRegion
from distilhubert_ko.recognition.words import Word

SPEECH = 0.985
LIKELY = 0.66


def are_likely(words: Iterable[Word]) -> bool:
    """Return whether the recogniser is sure of one of the words."""
    return any(word.confidence >= LIKELY for word in words)


def without_doubtful(
    pieces: Iterable[NDArray[np.float32]],
    regions: Sequence[SpeechRegion],
    silence: Callable[[int], NDArray[np.float32]],
    words_of: Callable[[NDArray[np.float32]], Sequence[Word]],
) -> Iterator[NDArray[np.float32]]:
    """Yield the matrix of a wave in pieces (frames, vocabulary), with `silence` in place of regions in doubt.

    `pieces` are those of `windows.region_log_probs` for `regions`. `words_of` returns the words of a matrix. Memory
    holds the pieces of the region that the detector is not sure of.
    """
    unsure = iter([region for region in regions if region.probability < SPEECH])
    region = next(unsure, None)
    held: list[NDArray[np.float32]] = []
    frames = 0
    for piece in pieces:
        if region and frames * FRAME_STEP >= region.end:
            yield _judged(held, silence, words_of)
            region, held = next(unsure, None), []
        if region and frames * FRAME_STEP >= region.start:
            held.append(piece)
        else:
            yield piece
        frames += len(piece)
    if held:
        yield _judged(held, silence, words_of)


def _judged(
    held: Sequence[NDArray[np.float32]],
    silence: Callable[[int], NDArray[np.float32]],
    words_of: Callable[[NDArray[np.float32]], Sequence[Word]],
) -> NDArray[np.float32]:
    """Return the matrix that is held, or as much silence."""
    matrix = np.concatenate([silence(0), *held])
    return matrix if are_likely(words_of(matrix)) else silence(len(matrix))


class Doubt:
    """Holds back the words of a stream while their region is in doubt. They are lost if it stays so."""

    def __init__(self) -> None:
        self.held: list[Word] = []
        self._region = 0
        self._sure = False

    def confirmed(self, words: Iterable[Word], region: int, probability: float) -> list[Word]:
        """Take the next words, and return those that are in doubt no longer.

        `region` is the number of the present region of speech, and `probability` the highest in it so far.
        """
        if region != self._region:
            self.held, self._sure, self._region = [], False, region
        self.held += words
        self._sure = self._sure or probability >= SPEECH or are_likely(self.held)
        if not self._sure:
            return []
        confirmed, self.held = self.held, []
        return confirmed
