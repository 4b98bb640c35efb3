"""Windows over a wave of any length, and their log-probabilities joined into one matrix, piece by piece.

Neighbouring windows overlap by two margins. A frame is taken from the window in which it lies farther from an edge, so
it has at least a margin of context on both sides. Windows start at whole frames, so the pieces join without a seam.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE, FrameGrid, frame_steps

WINDOW = 20 * SAMPLE_RATE  # samples; the full-width network takes 40 MB a second of it
MARGIN = 2 * SAMPLE_RATE
HOP = WINDOW - 2 * MARGIN


class AcousticModel(Protocol):
    """Turns waves (samples,) into log-probabilities (frames, vocabulary)."""

    grid: FrameGrid

    def log_probs(self, waves: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]: ...


@dataclass(frozen=True)
class SpeechRegion:
    """A part of a wave that is recognised as a recording of its own, in samples from `start` to before `end`.

    Both are whole frame steps, except for an `end` that is the end of the wave. `probability` is the highest of speech
    in it, where a detector found it.
    """

    start: int
    end: int
    probability: float = 1.0


@dataclass(frozen=True)
class Window:
    """A part of a wave (samples,) and the frames of it that are kept, `first` to before `last` (None: to the end)."""

    wave: NDArray[np.float32]
    first: int
    last: int | None

    def kept(self, grid: FrameGrid) -> int:
        """Return how many frames are kept."""
        return (grid.count(len(self.wave)) if self.last is None else self.last) - self.first


def cut_windows(blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
    """Yield windows of WINDOW samples, the last one shorter, over a wave that comes in blocks (samples,) of any size.

    A wave no longer than WINDOW is one window, so it gets the same answer as the whole clip.
    """
    margin = frame_steps(MARGIN)
    held = np.empty(0, np.float32)
    first = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) > WINDOW:  # so more than two margins are left for the next one
            yield Window(held[:WINDOW], first, frame_steps(WINDOW) - margin)
            held = held[HOP:]
            first = margin
    yield Window(held, first, None)


def windowed_log_probs(
    network: AcousticModel, blocks: Iterable[NDArray[np.float32]], batch: int = 1
) -> Iterator[NDArray[np.float32]]:
    """Yield the matrix (frames, vocabulary) of a wave that comes in blocks, in pieces that follow one another.

    The network takes `batch` windows at once, and memory holds as many, for any length of the wave.
    """
    cut = cut_windows(blocks)
    while group := [*itertools.islice(cut, batch)]:
        yield from _kept_log_probs(network, group)


def region_log_probs(
    network: AcousticModel,
    blocks: Iterable[NDArray[np.float32]],
    regions: Iterable[SpeechRegion],
    silence: Callable[[int], NDArray[np.float32]],
    batch: int = 1,
) -> Iterator[NDArray[np.float32]]:
    """Yield the matrix of a wave of which only `regions`, which must rise, go through the network.

    Between them stands `silence`. Apart from that, it is the matrix of `windowed_log_probs`.

    `silence` gives the matrix of a number of frames without speech. The pieces have as many frames as those
    of the whole wave, so times stay what they are. A batch takes windows from as many regions as it needs.
    """
    tape = _Tape(blocks)
    done = 0  # frames
    waiting: list[tuple[int, Window]] = []  # each with the frames of silence before it

    def pieces() -> Iterator[NDArray[np.float32]]:
        for (gap, _), piece in zip(waiting, _kept_log_probs(network, [window for _, window in waiting]), strict=True):
            yield silence(gap)
            yield piece

    for region in regions:
        for window in cut_windows(tape.play(region.start, region.end)):
            kept = window.kept(network.grid)
            if not kept:  # a few samples at the very end may begin where the wave's last frame has begun
                continue
            start = max(done, frame_steps(region.start))
            waiting.append((start - done, window))
            done = start + kept
            if len(waiting) == batch:
                yield from pieces()
                waiting.clear()
    if waiting:
        yield from pieces()
    yield silence(network.grid.count(tape.wind()) - done)


def _kept_log_probs(network: AcousticModel, group: Sequence[Window]) -> Iterator[NDArray[np.float32]]:
    """Yield the frames that are kept of each window, computed in one batch."""
    for window, matrix in zip(group, network.log_probs([window.wave for window in group]), strict=True):
        yield matrix[window.first : window.last]


class _Tape:
    """A wave in blocks (samples,), which is played once, from its start to its end."""

    def __init__(self, blocks: Iterable[NDArray[np.float32]]):
        self._blocks = iter(blocks)
        self._held = np.empty(0, np.float32)
        self._at = 0  # the sample with which the held block begins

    def play(self, start: int, end: int) -> Iterator[NDArray[np.float32]]:
        """Yield samples `start` to before `end`, in blocks. Those before `start` are dropped."""
        while self._at < end and (len(self._held) or self._next()):
            first, last = start - self._at, min(end - self._at, len(self._held))
            played = self._held[max(first, 0) : last]
            self._held, self._at = self._held[last:], self._at + last
            if len(played):
                yield played

    def wind(self) -> int:
        """Drop the rest, and return how many samples there were in all."""
        self._at += len(self._held)
        while self._next():
            self._at += len(self._held)
        return self._at

    def _next(self) -> bool:
        block = next(self._blocks, None)
        self._held = np.empty(0, np.float32) if block is None else block
        return block is not None
