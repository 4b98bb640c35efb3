"""What a beam search leaves out: its options, and the labels of each frame that it tries."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.decoding.ctc import check_log_probs
from distilhubert_ko.errors import InputError

TRIED = 2  # times the width: the likeliest continuations of a frame, which the scorer is asked about

Labels = list[tuple[int, float]]
"""Labels with their log-probabilities, the likeliest first."""


@dataclass(frozen=True)
class BeamOptions:
    """The width of a search. With infinite gaps and a `skip_blank` of 1, only `width` leaves anything out.

    After each frame, `width` hypotheses are kept, but none that scores `score_gap` nats less than the best. Labels of a
    frame are tried down to `token_gap` nats below its likeliest. Frames whose blank has a probability above
    `skip_blank` are taken for blanks. `n_best` hypotheses are returned. More than one costs width, since hypotheses
    that differ only far back must be kept.
    """

    width: int = 32
    score_gap: float = 9.0
    token_gap: float = 6.0
    skip_blank: float = 0.99
    n_best: int = 1

    @property
    def tried(self) -> int:
        """The most labels of a frame, and continuations of all hypotheses, that are tried."""
        return TRIED * self.width

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_best < 1:
            raise InputError(f"beam width {self.width} for the {self.n_best} best: give 1 or more for both")
        if not (self.score_gap >= 0 and self.token_gap >= 0 and 0 < self.skip_blank <= 1):
            raise InputError(f"{self}: give gaps of 0 or more, and a probability above 0 and up to 1")


def tried_labels(log_probs: NDArray[np.floating], blank: int, options: BeamOptions) -> Iterator[tuple[Labels, float]]:
    """Yield for each frame of a matrix (frames, vocabulary) the labels to try, and the blank's log-probability.

    Where the blank is sure, there are no labels. Raises InputError where the shape or the blank is wrong.
    """
    check_log_probs(log_probs, blank)
    if len(log_probs) == 0:
        return
    wanted = log_probs >= log_probs.max(axis=1, keepdims=True) - options.token_gap
    wanted[:, blank] = False
    wanted[log_probs[:, blank] > math.log(options.skip_blank)] = False
    rows, labels = np.nonzero(wanted)
    values = log_probs[rows, labels].astype(np.float64)
    order = np.lexsort((-values, rows))
    pairs = list(zip(labels[order].tolist(), values[order].tolist(), strict=True))
    bounds = np.searchsorted(rows, np.arange(len(log_probs) + 1)).tolist()
    # As many of one frame are all of one hypothesis if they are likelier than any other's.
    for index, chance in enumerate(log_probs[:, blank].astype(np.float64).tolist()):
        yield pairs[bounds[index] : min(bounds[index + 1], bounds[index] + options.tried)], chance
