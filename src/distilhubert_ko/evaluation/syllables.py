"""Errors by the parts of a syllable, as counts: initials, medials and finals, and the spaces between words.

`metrics` counts characters, jamo and words, each along its own shortest edit. Confusions of initials need an alignment
of similar syllables, which is the one here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.evaluation.metrics import ErrorCounts
from distilhubert_ko.text.hangul import NO_FINAL, compose, letters_by_position


@dataclass(frozen=True)
class PositionCounts:
    """Counts by position in the syllable, and of the spaces between words; see `position_counts`."""

    initial: ErrorCounts = field(default_factory=ErrorCounts)
    medial: ErrorCounts = field(default_factory=ErrorCounts)
    final: ErrorCounts = field(default_factory=ErrorCounts)
    spaces: ErrorCounts = field(default_factory=ErrorCounts)

    def __add__(self, other: "PositionCounts") -> "PositionCounts":
        return PositionCounts(
            self.initial + other.initial,
            self.medial + other.medial,
            self.final + other.final,
            self.spaces + other.spaces,
        )


def syllable_pairs(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    """Return pairs (reference character, hypothesis character) of similar syllables, without spaces; "" is a gap.

    The jamo of a character have three positions: initial, medial and final. In this alignment, the fewest positions
    differ. A gap, like a missing final, is empty. A lone jamo fills one position. A character that is not Hangul
    differs from any other in all three.
    """
    spoken, recognised = _unspaced(reference), _unspaced(hypothesis)
    rows, columns = _numbers(spoken), _numbers(recognised)
    steps = np.concatenate([[0], np.cumsum((columns > 0).sum(1))])  # the cost of inserting up to each column
    least = np.empty((len(spoken) + 1, len(recognised) + 1), np.int64)
    least[0] = steps
    for i, row in enumerate(rows):
        best = least[i] + (row > 0).sum()
        best[1:] = np.minimum(best[1:], least[i, :-1] + (columns != row).sum(1))
        least[i + 1] = np.minimum.accumulate(best - steps) + steps
    pairs = []
    i, j = len(spoken), len(recognised)
    while i or j:
        if i and j and least[i, j] == least[i - 1, j - 1] + (rows[i - 1] != columns[j - 1]).sum():
            i, j = i - 1, j - 1
            pairs.append((spoken[i], recognised[j]))
        elif i and least[i, j] == least[i - 1, j] + (rows[i - 1] > 0).sum():
            i -= 1
            pairs.append((spoken[i], ""))
        else:
            j -= 1
            pairs.append(("", recognised[j]))
    return pairs[::-1]


def position_counts(reference: str, hypothesis: str) -> PositionCounts:
    """Count initials, medials, finals and spaces in the pairs of `syllable_pairs`.

    A missing final is a class of its own, NO_FINAL, so every syllable of the reference has a final. Recognising 각 as
    가, or the reverse, substitutes it. Losing a syllable deletes all three positions. A character that is not Hangul
    has no positions: a syllable recognised as one is deleted, and a syllable recognised for one is inserted. The errors
    do not add up to those of `metrics.jamo`, which has neither syllables nor missing finals.

    A space is a hit if the other text has one between the same aligned characters. Otherwise it is deleted or inserted.
    """
    pairs = syllable_pairs(reference, hypothesis)
    found = [(letters_by_position(spoken), letters_by_position(recognised)) for spoken, recognised in pairs]
    initial, medial, final = (
        _slot([(spoken[place], recognised[place]) for spoken, recognised in found]) for place in range(3)
    )
    return PositionCounts(initial, medial, final, _spaces(reference, hypothesis, pairs))


def _numbers(characters: str) -> NDArray[np.int64]:
    """Return (characters, 3): a number for the jamo in each position, 0 for none."""
    rows = [letters_by_position(each) for each in characters]
    spelled = [row if any(row) else (each,) * 3 for row, each in zip(rows, characters, strict=True)]
    numbers = [[ord(letter) if letter not in ("", NO_FINAL) else 0 for letter in row] for row in spelled]
    return np.array(numbers, dtype=np.int64).reshape(-1, 3)


def _slot(pairs: Sequence[tuple[str, str]]) -> ErrorCounts:
    """Count one position over aligned pairs of letters; "" is none."""
    return ErrorCounts(
        hits=sum(spoken == recognised != "" for spoken, recognised in pairs),
        substitutions=sum(spoken != recognised and spoken != "" != recognised for spoken, recognised in pairs),
        deletions=sum(spoken != "" == recognised for spoken, recognised in pairs),
        insertions=sum(recognised != "" == spoken for spoken, recognised in pairs),
    )


def _spaces(reference: str, hypothesis: str, pairs: Sequence[tuple[str, str]]) -> ErrorCounts:
    """Count spaces. A space may stand anywhere between the characters around it; two that can meet are a hit."""
    spoken = _gaps(compose(reference).split(), [column for column, pair in enumerate(pairs) if pair[0]])
    recognised = _gaps(compose(hypothesis).split(), [column for column, pair in enumerate(pairs) if pair[1]])
    hits = i = j = 0
    while i < len(spoken) and j < len(recognised):
        if spoken[i][1] < recognised[j][0]:
            i += 1
        elif recognised[j][1] < spoken[i][0]:
            j += 1
        else:
            hits, i, j = hits + 1, i + 1, j + 1
    return ErrorCounts(hits=hits, deletions=len(spoken) - hits, insertions=len(recognised) - hits)


def _gaps(words: Sequence[str], columns: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last column of an alignment before which each space may stand."""
    ends = np.cumsum([len(word) for word in words])[:-1]
    return [(columns[end - 1] + 1, columns[end]) for end in ends]


def _unspaced(written: str) -> str:
    return "".join(compose(written).split())
