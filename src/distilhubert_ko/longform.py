"""Windows over a wave of any length, and their log-probabilities stitched into one matrix, piece by piece.

Neighbouring windows overlap by two margins. A frame is taken from the window in which it lies farther from an edge, so
it has heard at least a margin on both sides. Windows start at whole frames, so the pieces join without a seam.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko import audio
from distilhubert_ko.runtime import Runtime

WINDOW = 30 * audio.SAMPLE_RATE  # samples
MARGIN = 2 * audio.SAMPLE_RATE
HOP = WINDOW - 2 * MARGIN


@dataclass(frozen=True)
class Window:
    """A part of a wave (samples,) and the frames of it that are kept, `first` to before `last` (None: to the end)."""

    wave: NDArray[np.float32]
    first: int
    last: int | None


def windows(blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
    """Windows of WINDOW samples, the last one shorter, over a wave that comes in blocks (samples,) of any size.

    A wave no longer than WINDOW is one window, so that it gets the answer of the whole clip.
    """
    margin = audio.whole_frames(MARGIN)
    held = np.empty(0, np.float32)
    first = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > WINDOW:  # so more than two margins are left for the next one
            yield Window(held[:WINDOW], first, audio.whole_frames(WINDOW) - margin)
            held = held[HOP:]
            first = margin
    yield Window(held, first, None)


def log_probs(runtime: Runtime, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """The matrix (frames, vocabulary) of a wave that comes in blocks, in pieces that follow one another.

    Memory holds one window, whatever the length of the wave.
    """
    for window in windows(blocks):
        (matrix,) = runtime.log_probs([window.wave])
        yield matrix[window.first : window.last]
