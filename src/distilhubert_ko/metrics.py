"""Error rates as counts: counts are summed over utterances, and only the sum is divided.

A rate is errors over the length of the reference: CER over characters, jamo error rate over jamo, WER over
words. The mean of the utterances' rates is another number, and not the one to report. Texts may come composed
or decomposed, and spaces around them do not count; nothing else is normalised here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rapidfuzz.distance import Levenshtein

from distilhubert_ko.errors import InputError
from distilhubert_ko.text import compose, decompose


@dataclass(frozen=True)
class Counts:
    """How a hypothesis differs from its reference, in numbers of characters, jamo or words.

    `sum(counts, Counts())` adds up a corpus.
    """

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def reference(self) -> int:
        """Length of the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over the length of the reference: 0 is perfect, and insertions can take it past 1.

        An empty reference counts as one of length 1, as in jiwer: 0 where nothing was said and nothing heard,
        otherwise the number of insertions. So a rate is always finite.
        """
        return self.errors / max(self.reference, 1)


@dataclass(frozen=True)
class Score:
    """All the counts of one utterance, or of a corpus: `sum(scores, Score()).characters.rate` is its CER."""

    characters: Counts = field(default_factory=Counts)
    characters_no_space: Counts = field(default_factory=Counts)
    jamo: Counts = field(default_factory=Counts)
    words: Counts = field(default_factory=Counts)

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.characters + other.characters,
            self.characters_no_space + other.characters_no_space,
            self.jamo + other.jamo,
            self.words + other.words,
        )


def characters(reference: str, hypothesis: str) -> Counts:
    """Counts of characters; a syllable block is one character and a space between words is another."""
    return _counts(_composed(reference), _composed(hypothesis))


def characters_no_space(reference: str, hypothesis: str) -> Counts:
    """Counts of characters without any spaces: the fair measure where references disagree on spacing."""
    return _counts(_unspaced(compose(reference)), _unspaced(compose(hypothesis)))


def jamo(reference: str, hypothesis: str) -> Counts:
    """Counts of conjoining jamo (initial, medial and final of each syllable), without any spaces.

    A doubled or compound jamo is one, so 값 has three: ㄱ, ㅏ, ㅄ. Any other character stays what it is.
    """
    return _counts(_unspaced(decompose(reference)), _unspaced(decompose(hypothesis)))


def words(reference: str, hypothesis: str) -> Counts:
    """Counts of words (eojeol), as the spaces divide them."""
    return _counts(compose(reference).split(), compose(hypothesis).split())


def score(reference: str, hypothesis: str) -> Score:
    """All the counts of one utterance."""
    return Score(
        characters=characters(reference, hypothesis),
        characters_no_space=characters_no_space(reference, hypothesis),
        jamo=jamo(reference, hypothesis),
        words=words(reference, hypothesis),
    )


def alignment(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    """The pairs (reference character, hypothesis character) that `characters` counts; "" stands for a gap."""
    reference, hypothesis = _composed(reference), _composed(hypothesis)
    pairs: list[tuple[str, str]] = []
    for block in Levenshtein.opcodes(reference, hypothesis):
        said = reference[block.src_start : block.src_end]
        heard = hypothesis[block.dest_start : block.dest_end]
        # A block that deletes or inserts has one empty side; all others have two of the same length.
        pairs += zip(said or [""] * len(heard), heard or [""] * len(said), strict=True)
    return pairs


def interval(
    counts: Sequence[Counts],
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval (low, high) of the rate of the summed counts, by the percentile bootstrap.

    Each resample draws as many utterances as there are, with replacement, and divides the sum of their errors
    by the sum of their lengths: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR
    performance evaluation", ICASSP 2004. With `groups`, one name for each utterance, whole groups are drawn
    instead; give the speakers where each has several utterances, since those err together. `level` is a
    fraction, and the same `seed` gives the same interval. InputError where there are no counts, or where an
    argument does not fit.
    """
    if len(counts) == 0:
        raise InputError("no utterances to take an interval of: give at least one")
    if groups is not None and len(groups) != len(counts):
        raise InputError(f"{len(groups)} groups for {len(counts)} utterances: give one group for each")
    if resamples < 1 or not 0 < level < 1:
        raise InputError(f"resamples={resamples}, level={level}: give 1 or more, and a fraction between 0 and 1")
    units = np.arange(len(counts)) if groups is None else np.unique(list(groups), return_inverse=True)[1]
    errors = np.bincount(units, weights=[count.errors for count in counts])
    lengths = np.bincount(units, weights=[count.reference for count in counts])
    totals = np.stack([errors, lengths], axis=1)

    random = np.random.default_rng(seed)
    drawn = np.empty((resamples, 2))
    # One resample at a time: all at once would take (resamples, utterances) of memory.
    for index in range(resamples):
        times = np.bincount(random.integers(len(totals), size=len(totals)), minlength=len(totals))
        drawn[index] = times @ totals
    rates = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _composed(text: str) -> str:
    return compose(text).strip()


def _unspaced(text: str) -> str:
    return "".join(text.split())


def _counts(reference: Sequence[str], hypothesis: Sequence[str]) -> Counts:
    """Counts of a shortest edit from reference to hypothesis (Levenshtein distance, every edit costing 1)."""
    tags = [edit.tag for edit in Levenshtein.editops(reference, hypothesis)]
    substitutions, deletions = tags.count("replace"), tags.count("delete")
    return Counts(
        hits=len(reference) - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=tags.count("insert"),
    )
