"""Whether two systems differ, and how sure a rate is, also for few speakers, whose utterances err together.

Tests are exact sign-flip tests (Fisher, "The Design of Experiments", 1935, section 21). A unit is an utterance or a
speaker. If two systems are equally good, the difference of their errors in a unit could as well have the other sign.
All 2^units choices of signs are counted, so the test holds for any number of units. It can find p < 0.05 from six on.

Intervals over speakers take the sum of a speaker's errors as one observation, and Student's t (Cochran, "Sampling
Techniques", 1977, section 6.4, the ratio estimator). Over utterances they are percentile bootstraps.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.errors import InputError
from distilhubert_ko.evaluation.metrics import ErrorCounts, bootstrap_quantiles, unit_totals

FEWEST = 6
"""Speakers from which there are intervals over them. With fewer, no test of 5 % could ever find a difference."""
RESAMPLES = 10_000


@dataclass(frozen=True)
class PairedTest:
    """The difference of two systems' rates on the same utterances; see `paired_test`."""

    difference: float
    """Rate of the first system minus that of the second: negative if the first is better."""
    ci95: tuple[float, float] | None
    """None over fewer than FEWEST speakers."""
    probability: float | None
    """Share of resamples of utterances in which the first system has fewer errors; a tie counts half. None over
    speakers."""
    p: float
    """Two-sided p-value of the sign-flip test."""
    units: int
    """Utterances or speakers."""


def paired_test(
    first: Sequence[ErrorCounts], second: Sequence[ErrorCounts], *, groups: Sequence[str] | None = None, seed: int = 0
) -> PairedTest:
    """Return the difference of two systems' rates on the same utterances, with an interval and a p-value.

    `groups` has one name per utterance, its speaker: the test then takes all utterances of a speaker as one unit.
    Without it, each utterance is one, and the interval is the paired bootstrap of Bisani and Ney, "Bootstrap estimates
    for confidence intervals in ASR performance evaluation", ICASSP 2004. Raises InputError if the two do not fit each
    other, and without utterances.
    """
    if [count.reference for count in first] != [count.reference for count in second]:
        raise InputError("the two systems have different references: give the same utterances in the same order")
    rows = [[one.errors - other.errors, one.reference] for one, other in zip(first, second, strict=True)]
    totals = unit_totals(rows, groups)
    errors, length = totals.sum(axis=0)
    interval: tuple[float, float] | None
    if groups is None:
        interval, drawn = bootstrap_quantiles(totals, RESAMPLES, 0.95, seed)
        probability = float(np.mean(drawn < 0) + np.mean(drawn == 0) / 2)
    else:
        interval, probability = _ratio_interval(totals), None
    return PairedTest(float(errors / max(length, 1)), interval, probability, sign_flip_p(totals[:, 0]), len(totals))


def speaker_interval(counts: Sequence[ErrorCounts], speakers: Sequence[str]) -> tuple[float, float] | None:
    """Return a 95 % interval (low, high) for the rate of the summed counts; None for fewer than FEWEST speakers.

    `speakers` has one name per count. Raises InputError without counts, or if the two do not fit.
    """
    totals = unit_totals([[count.errors, count.reference] for count in counts], speakers)
    found = _ratio_interval(totals)
    return found and (max(0.0, found[0]), found[1])


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Return the exact two-sided p-value of whole differences (units,) under random signs.

    It is the share of all choices of signs whose sum is at least as far from 0 as the observed sum. The distribution of
    the sum comes from its characteristic function, the product of cosines.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]).astype(np.int64), return_counts=True)
    most = int((sizes * counts).sum())
    observed = abs(int(differences.sum()))
    if observed == 0:
        return 1.0
    length = 2 * most + 1
    turns = np.arange(most + 1) / length
    spectrum = np.prod(np.cos(2 * np.pi * sizes[:, None] * turns) ** counts[:, None], axis=0)
    probability = np.fft.irfft(spectrum, length)  # of each sum from 0 up; the rest mirrors it
    p = 2 * float(probability[observed : most + 1].sum())
    return min(1.0, max(p, 2.0 ** (1 - int(counts.sum()))))  # the transform rounds; no p-value is less than that


def _ratio_interval(totals: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the 95 % interval of the ratio of two sums over units (units, 2); None for fewer than FEWEST."""
    units = len(totals)
    if units < FEWEST:
        return None
    errors, lengths = totals.T
    rate, length = errors.sum() / max(lengths.sum(), 1), max(lengths.sum(), 1)
    squares = float(np.square(errors - rate * lengths).sum())
    half = student_quantile(units - 1) * math.sqrt(units / (units - 1) * squares) / length
    return float(rate - half), float(rate + half)


def student_quantile(degrees: int, level: float = 0.95) -> float:
    """Return the two-sided quantile of Student's t for 5 degrees of freedom or more, to three digits.

    Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5.
    """
    z, v = NormalDist().inv_cdf((1 + level) / 2), degrees
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )
