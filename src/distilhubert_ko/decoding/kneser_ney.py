"""N-gram language models: sentences of units in, an ARPA file out, by interpolated modified Kneser-Ney smoothing.

Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", TR-10-98, Harvard 1998, section
4.1, with the choices of KenLM's lmplz (Heafield et al., "Scalable Modified Kneser-Ney Language Model Estimation", ACL
2013). Unigrams are interpolated with the uniform distribution, which is what an unknown unit gets. N-grams that begin a
sentence keep their plain counts. Counting is sorting, all in numpy.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.errors import InputError
from distilhubert_ko.files.outputs import write_output

UNKNOWN, BEGIN, END = "<unk>", "<s>", "</s>"
BEGIN_ID = 1
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts of n-grams seen once, twice and more often, where there are too few to estimate them, as in lmplz."""


@dataclass(frozen=True)
class NgramLevel:
    """All n-grams of one order; each array has one entry per n-gram. Probabilities are plain, not logarithms.

    `context` is the row of the n-gram without its last unit in the level below, `suffix` of that without its first.
    `backoff` is the weight of the shorter context after this n-gram. What was cut is not `kept`.
    """

    context: NDArray[np.int64]
    suffix: NDArray[np.int64]
    unit: NDArray[np.int64]
    probability: NDArray[np.float64]
    backoff: NDArray[np.float64]
    kept: NDArray[np.bool_]


@dataclass(frozen=True)
class Ngrams:
    """A model: `units[id]`, of which the first three are UNKNOWN, BEGIN and END, and a level for each order from 1."""

    units: tuple[str, ...]
    levels: tuple[NgramLevel, ...]

    @property
    def order(self) -> int:
        return len(self.levels)

    def sizes(self) -> list[int]:
        """Return how many n-grams of each order are kept."""
        return [int(level.kept.sum()) for level in self.levels]


@dataclass(frozen=True)
class _Counted:
    """The n-grams of one order in the text: their rows below, and how often each occurs."""

    context: NDArray[np.int64]
    suffix: NDArray[np.int64]
    unit: NDArray[np.int64]
    count: NDArray[np.int64]
    begins: NDArray[np.bool_]


def train_ngrams(sentences: Iterable[Sequence[str]], order: int, cutoffs: Sequence[int] = ()) -> Ngrams:
    """Return the model of sentences, each a sequence of units.

    N-grams of order 1, 2, ... that occur `cutoffs` times or less are left out, and their probability goes to shorter
    ones. The last cutoff holds for all orders from there on, and cutoffs must not fall. By default nothing is left
    out. Training takes about 100 bytes of memory for each unit of the text and each order.

    Raises InputError for an order below 1, cutoffs that fall or that cut unigrams, and a text without a unit.
    """
    if order < 1:
        raise InputError(f"order {order}: give 1 or more")
    cutoffs = [*cutoffs, *[cutoffs[-1] if cutoffs else 0] * (order - len(cutoffs))][:order]
    if cutoffs[0] != 0 or sorted(cutoffs) != cutoffs:
        raise InputError(f"cutoffs {cutoffs}: give 0 for order 1, and no less than for the order before")
    units, text = _read(sentences)
    counted = _count(text, len(units), order)
    levels: list[NgramLevel] = []
    for number, (level, cutoff) in enumerate(zip(counted, cutoffs, strict=True)):
        count = _adjusted(level, counted[number + 1]) if number + 1 < order else level.count
        below = levels[-1] if levels else None
        kept = level.count > cutoff if below else np.ones(len(level.count), bool)
        probability, left = _smoothed(level, count, kept, below, len(units))
        if below:
            levels[-1] = NgramLevel(below.context, below.suffix, below.unit, below.probability, left, below.kept)
        levels.append(NgramLevel(level.context, level.suffix, level.unit, probability, np.ones(len(count)), kept))
    return Ngrams(units, tuple(levels))


def _read(sentences: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the units, and the text as ids with every sentence between BEGIN and END."""
    ids = {UNKNOWN: 0, BEGIN: BEGIN_ID, END: 2}
    text: list[int] = []
    for sentence in sentences:
        text.append(BEGIN_ID)
        text += [ids.setdefault(unit, len(ids)) for unit in sentence]
        text.append(2)
    if len(ids) == 3:
        raise InputError("the texts hold no sentence that a language model can be trained on: give Korean text")
    return tuple(ids), np.array(text, dtype=np.int64)


def _count(text: NDArray[np.int64], vocabulary: int, order: int) -> list[_Counted]:
    """Return a level for each order. Row 1 of the first level is BEGIN, which is only ever a context."""
    begins = text == BEGIN_ID
    place = np.arange(len(text)) - np.maximum.accumulate(np.where(begins, np.arange(len(text)), 0))
    rows = text  # of the n-gram that ends at each position, where the sentence is long enough
    unigrams = np.arange(vocabulary)
    nothing = np.zeros(vocabulary, np.int64)
    counts = np.bincount(text, minlength=vocabulary)
    counts[BEGIN_ID] = 0
    levels = [_Counted(nothing, nothing, unigrams, counts, unigrams == BEGIN_ID)]
    for number in range(1, order):
        ends = np.flatnonzero(place >= number)
        keys, first, inverse, counts = np.unique(
            rows[ends - 1] * vocabulary + text[ends], return_index=True, return_inverse=True, return_counts=True
        )
        levels.append(
            _Counted(
                keys // vocabulary,
                rows[ends[first]],
                keys % vocabulary,
                counts,
                place[ends[first]] == number,
            )
        )
        rows = np.zeros(len(text), np.int64)
        rows[ends] = inverse
    return levels


def _adjusted(level: _Counted, above: _Counted) -> NDArray[np.int64]:
    """Return in how many contexts of one unit an n-gram occurs, or how often, for one that begins a sentence."""
    return np.where(level.begins, level.count, np.bincount(above.suffix, minlength=len(level.count)))


def _smoothed(
    level: _Counted, count: NDArray[np.int64], kept: NDArray[np.bool_], below: NgramLevel | None, vocabulary: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability of every n-gram, and what each context leaves to the shorter one."""
    discount = np.array([0.0, *_discounts(count)])[np.minimum(count, 3)]
    taken = np.where(kept, count - discount, 0.0)
    contexts = len(below.unit) if below else 1
    total = np.bincount(level.context, weights=count, minlength=contexts)
    untaken = np.bincount(level.context, weights=count - taken, minlength=contexts)
    left = np.where(total > 0, untaken / np.maximum(total, 1), 1.0).astype(np.float64)
    shorter = below.probability[level.suffix] if below else np.full(vocabulary, 1 / (vocabulary - 1))
    seen = taken / np.maximum(total, 1)[level.context]
    return seen + left[level.context] * shorter, left


def _discounts(count: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return Chen and Goodman's equations 26, from how many n-grams were counted once to four times."""
    seen = np.bincount(np.minimum(count, 5), minlength=6)[1:5].tolist()
    if not all(seen):
        return FALLBACK
    share = seen[0] / (seen[0] + 2 * seen[1])
    once, twice, more = (number - (number + 1) * share * seen[number] / seen[number - 1] for number in (1, 2, 3))
    usable = all(0 < value <= number for number, value in enumerate((once, twice, more), 1))
    return (once, twice, more) if usable else FALLBACK


def write_arpa(model: Ngrams, path: Path) -> Path:
    """Write an ARPA file, whole or not at all, and return `path`. Raises InputError where it cannot be written."""
    return write_output(path, "".join(arpa_lines(model)))


def arpa_lines(model: Ngrams) -> Iterator[str]:
    """Yield the lines of a model's ARPA file."""
    yield "\\data\\\n"
    for order, size in enumerate(model.sizes(), 1):
        yield f"ngram {order}={size}\n"
    written: list[str] = []
    for order, level in enumerate(model.levels, 1):
        yield f"\n\\{order}-grams:\n"
        words = [model.units[unit] for unit in level.unit.tolist()]
        if order > 1:
            words = [f"{written[row]} {word}" for row, word in zip(level.context.tolist(), words, strict=True)]
        written = words
        logs = np.log10(np.maximum(level.probability, 1e-99))
        logs[(level.unit == BEGIN_ID) & (order == 1)] = -99  # no unit is ever followed by it
        backoffs = np.log10(np.maximum(level.backoff, 1e-99)).tolist() if order < model.order else []
        probabilities = logs.tolist()
        for row in np.flatnonzero(level.kept).tolist():
            end = f"\t{backoffs[row]:.6g}" if backoffs else ""
            yield f"{probabilities[row]:.7g}\t{written[row]}{end}\n"
    yield "\n\\end\\\n"
