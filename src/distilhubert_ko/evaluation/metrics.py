"""Error rates as counts: counts are summed over utterances, and only the sum is divided.

A rate is the number of errors over the length of the reference: CER counts characters, the jamo error rate jamo, and
WER words. The mean of the rates of utterances is a different number, and not the one to report. Texts may be composed
or decomposed. Spaces around them do not count. Nothing else is normalised here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from distilhubert_ko.errors import InputError
from distilhubert_ko.text.hangul import compose, decompose

_DRAWN = 1 << 18  # units drawn at a time: all resamples of a large corpus would take gigabytes


@dataclass(frozen=True)
class ErrorCounts:
    """The differences of a hypothesis from its reference, counted in characters, jamo or words.

    `sum(counts, ErrorCounts())` adds up a corpus.
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def reference(self) -> int:
        """Return the length of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Return the errors over the length of the reference: 0 is perfect, and insertions can raise it above 1.

        As in jiwer, an empty reference has length 1, so that a rate is always finite: 0 for an empty hypothesis,
        otherwise the number of insertions.
        """
        return self.errors / max(self.reference, 1)


@dataclass(frozen=True)
class Score:
    """All counts of an utterance or a corpus: `sum(scores, Score()).characters.rate` is the CER of a corpus."""

    characters: ErrorCounts = field(default_factory=ErrorCounts)
    characters_no_space: ErrorCounts = field(default_factory=ErrorCounts)
    jamo: ErrorCounts = field(default_factory=ErrorCounts)
    words: ErrorCounts = field(default_factory=ErrorCounts)

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.characters + other.characters,
            self.characters_no_space + other.characters_no_space,
            self.jamo + other.jamo,
            self.words + other.words,
        )


def characters(reference: str, hypothesis: str) -> ErrorCounts:
    """Count characters. A syllable block is one character, and a space between words is another."""
    return _counts(_composed(reference), _composed(hypothesis))


def characters_no_space(reference: str, hypothesis: str) -> ErrorCounts:
    """Count characters without spaces: the fair measure if references disagree on spacing."""
    return _counts(_unspaced(compose(reference)), _unspaced(compose(hypothesis)))


def jamo(reference: str, hypothesis: str) -> ErrorCounts:
    """Count conjoining jamo (initial, medial and final of each syllable) without spaces.

    A doubled or compound jamo is one, so 값 has three: ㄱ, ㅏ, ㅄ. Other characters count as they are.
    """
    return _counts(_unspaced(decompose(reference)), _unspaced(decompose(hypothesis)))


def words(reference: str, hypothesis: str) -> ErrorCounts:
    """Count words (eojeol), divided by spaces."""
    return _counts(compose(reference).split(), compose(hypothesis).split())


def score(reference: str, hypothesis: str) -> Score:
    """Return all counts of one utterance."""
    return Score(
        characters=characters(reference, hypothesis),
        characters_no_space=characters_no_space(reference, hypothesis),
        jamo=jamo(reference, hypothesis),
        words=words(reference, hypothesis),
    )


def character_pairs(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    """Return the pairs (reference character, hypothesis character) that `characters` counts; "" is a gap."""
    reference, hypothesis = _composed(reference), _composed(hypothesis)
    pairs: list[tuple[str, str]] = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        spoken = reference[block.src_start : block.src_end]
        recognised = hypothesis[block.dest_start : block.dest_end]
        # A block that deletes or inserts has one empty side; all others have two of the same length.
        pairs += zip(spoken or [""] * len(recognised), recognised or [""] * len(spoken), strict=True)
    return pairs


def bootstrap_interval(
    counts: Sequence[ErrorCounts], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return a confidence interval (low, high) for the rate of the summed counts, by the percentile bootstrap.

    Each resample draws as many utterances as there are, with replacement. It divides the sum of their errors by the sum
    of their lengths. See Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation",
    ICASSP 2004. `level` is a fraction. The same `seed` gives the same interval. For speakers, whose utterances err
    together, see `significance.speaker_interval`. Raises InputError without counts or for an argument that does not
    fit.
    """
    totals = unit_totals([[count.errors, count.reference] for count in counts], None)
    return bootstrap_quantiles(totals, resamples, level, seed)[0]


def bootstrap_quantiles(
    totals: NDArray[np.float64], resamples: int, level: float, seed: int
) -> tuple[tuple[float, float], NDArray[np.float64]]:
    """Return the percentile interval of the ratio of the sums of `totals` (units, 2), and the first sum of each draw.

    Raises InputError for an argument that does not fit.
    """
    if resamples < 1 or not 0 < level < 1:
        raise InputError(f"resamples={resamples}, level={level}: give 1 or more, and a fraction between 0 and 1")
    errors, lengths = _resampled(totals, resamples, seed).T
    low, high = np.quantile(errors / np.maximum(lengths, 1), [(1 - level) / 2, (1 + level) / 2])
    return (float(low), float(high)), errors


def unit_totals(rows: Sequence[Sequence[int]], groups: Sequence[str] | None) -> NDArray[np.float64]:
    """Return (units, 2): errors and reference lengths per unit, an utterance or a group of them.

    Raises InputError without rows, or if the groups do not fit them.
    """
    if len(rows) == 0:
        raise InputError("there are no utterances for an interval: give at least one")
    if groups is not None and len(groups) != len(rows):
        raise InputError(f"{len(groups)} groups for {len(rows)} utterances: give one group per utterance")
    units = np.arange(len(rows)) if groups is None else np.unique(list(groups), return_inverse=True)[1]
    errors, lengths = np.asarray(rows, dtype=float).T
    return np.stack([np.bincount(units, weights=errors), np.bincount(units, weights=lengths)], axis=1)


def _resampled(totals: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Return (resamples, 2): sums of rows of `totals`, as many as there are, drawn with replacement."""
    random = np.random.default_rng(seed)
    drawn = np.empty((resamples, 2))
    units = len(totals)
    most = max(1, _DRAWN // units)
    for start in range(0, resamples, most):
        part = drawn[start : start + most]
        # Count how often each row draws each unit: an offset per row keeps the rows apart.
        numbers = random.integers(units, size=(len(part), units)) + units * np.arange(len(part))[:, None]
        part[:] = np.bincount(numbers.ravel(), minlength=units * len(part)).reshape(-1, units) @ totals
    return drawn


def _composed(text: str) -> str:
    return compose(text).strip()


def _unspaced(text: str) -> str:
    return "".join(text.split())


def _counts(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Count the edits of a shortest path from reference to hypothesis (Levenshtein distance)."""
    tags = [edit.tag for edit in Levenshtein.editops(reference, hypothesis)]
    substitutions, deletions = tags.count("replace"), tags.count("delete")
    return ErrorCounts(
        hits=len(reference) - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=tags.count("insert"),
    )
