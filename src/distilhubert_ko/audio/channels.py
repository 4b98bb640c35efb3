"""From the channels of a recording to one wave: mixed, or one of them.

Channels stand in the columns of a block (samples, channels), float32.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.errors import AudioError, InputError

Block = NDArray[np.float32]

CANCELS = 0.1
"""Channels cancel if their mean has less than this share of the energy that unrelated channels would leave in it.

For two of the same loudness, that is a correlation below -0.9.
"""

_BLOCK = 1 << 20  # samples mixed at a time, over all channels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioChoice:
    """Which audio of a recording is read: a track of a video and a channel of it, both counted from 1.

    Without a channel, all are averaged. Without a track, the first one is read that is not silent. Raises InputError
    for numbers below 1.
    """

    channel: int | None = None
    track: int | None = None

    def __post_init__(self) -> None:
        for name in ("channel", "track"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise InputError(f"{name} {number}: count from 1")


USUAL = AudioChoice()


def mixing_grid(rate: int, channels: int) -> int:
    """Return how many samples are mixed at a time: a second at `rate`, or less of very many channels."""
    return max(1, min(rate, _BLOCK // channels))


def one_channel(blocks: Iterable[Block], channel: int | None, grid: int, name: str) -> Iterator[Block]:
    """Yield blocks (samples, channels) as blocks (samples,): one channel, counted from 1, or the mean of all.

    Where the channels cancel, the loudest is taken instead. That is decided for `grid` samples at a time, counted from
    the first one, so that it does not hang on the sizes of the blocks.

    Raises AudioError where the recording lacks the channel.
    """
    if channel is not None:
        for block in blocks:
            if channel > block.shape[1]:
                raise AudioError(f"{name} has no channel {channel}, only {block.shape[1]}: choose the channel mix")
            yield block[:, channel - 1]
        return
    told = False
    for block in _regrouped(blocks, grid):
        with np.errstate(all="ignore"):  # what is not finite is refused later
            mean, cancels = _mean(block)
        if cancels and not told:
            told = True
            logger.warning(
                "%s: the channels cancel each other (opposite phase), so the louder one is read: choose it with "
                "--channel left or right",
                name,
            )
        yield mean


def _regrouped(blocks: Iterable[Block], grid: int) -> Iterator[Block]:
    """Yield the same samples in blocks of `grid`, or of any size where there is nothing to mix.

    A block is shorter at the end, and where the number of channels changes.
    """
    held: list[Block] = []
    count = 0
    for block in blocks:
        if held and held[0].shape[1] != block.shape[1]:
            yield np.concatenate(held)
            held, count = [], 0
        if block.shape[1] == 1:
            yield block
            continue
        while count + len(block) >= grid:
            yield np.concatenate([*held, block[: grid - count]])
            block = block[grid - count :]
            held, count = [], 0
        if len(block):
            held.append(block)
            count += len(block)
    if held:
        yield np.concatenate(held)


def _mean(block: Block) -> tuple[Block, bool]:
    """Return the mean of the channels (samples,), or the loudest of them where they cancel, and whether they do."""
    mean = block.mean(axis=1, dtype=np.float32)
    channels = block.shape[1]
    if channels == 1:
        return mean, False
    energies = np.einsum("ij,ij->j", block, block, dtype=np.float64)
    # Unrelated channels leave the sum of their energies, divided by the square of their number.
    unrelated = energies.sum() / channels**2
    if np.dot(mean, mean) < CANCELS * unrelated:
        return block[:, energies.argmax()], True
    return mean, False
