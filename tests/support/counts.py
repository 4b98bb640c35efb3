"""Counts of errors as a system might make them."""

import numpy as np

from distilhubert_ko.evaluation.metrics import ErrorCounts


def utterances(number: int, seed: int = 0) -> list[ErrorCounts]:
    """Return utterances of 20 to 60 characters with about one error in ten."""
    random = np.random.default_rng(seed)
    lengths = random.integers(20, 60, size=number)
    return [ErrorCounts(int(n - e), int(e)) for n, e in zip(lengths, random.binomial(lengths, 0.1), strict=True)]


def width(ends: tuple[float, float]) -> float:
    return ends[1] - ends[0]
