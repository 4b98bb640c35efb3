"""Breakdowns of a model's figures by metric, length, speaker, syllable and jamo, and comparisons of two models.

Everything follows from the predictions, which `evaluate --json` keeps, through `metrics` and `syllables`.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distilhubert_ko.errors import InputError
from distilhubert_ko.evaluation import metrics, significance, syllables
from distilhubert_ko.evaluation.metrics import ErrorCounts, Score
from distilhubert_ko.evaluation.significance import PairedTest
from distilhubert_ko.evaluation.syllables import PositionCounts
from distilhubert_ko.text.hangul import letters_by_position

LENGTHS = (0, 2, 4, 6, 8, 10, 15, 20, 30)
"""The lower ends, in seconds, of the groups of `by_length`."""


@dataclass(frozen=True)
class Prediction:
    """The text that a model recognised in an utterance of `seconds` seconds; `speaker` is None if unknown."""

    id: str
    reference: str
    hypothesis: str
    speaker: str | None = None
    seconds: float = 0.0

    @cached_property
    def score(self) -> Score:
        return metrics.score(self.reference, self.hypothesis)

    @cached_property
    def positions(self) -> PositionCounts:
        return syllables.position_counts(self.reference, self.hypothesis)


@dataclass(frozen=True)
class Figure:
    """A rate as its counts, with 95 % intervals over utterances and over speakers.

    The latter is None if a speaker is unknown or there are too few. Both are None for a figure without intervals.
    """

    counts: ErrorCounts
    ci95: tuple[float, float] | None = None
    speakers_ci95: tuple[float, float] | None = None

    @property
    def rate(self) -> float:
        return self.counts.rate


@dataclass(frozen=True)
class GroupFigures:
    """The CER of the utterances of one speaker, or of one range of lengths."""

    utterances: int
    seconds: float
    cer: Figure


@dataclass(frozen=True)
class Breakdown:
    """Views of one model's predictions, each computed on first use.

    Raises InputError without predictions.
    """

    predictions: Sequence[Prediction]

    def __post_init__(self) -> None:
        if not self.predictions:
            raise InputError("there are no predictions to break down: evaluate the model on a corpus with utterances")

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """Return figures by name: those of report.json, the positions of jamo, and the spaces."""
        views: dict[str, Callable[[Prediction], ErrorCounts]] = {
            "cer": lambda each: each.score.characters,
            "cer_no_space": lambda each: each.score.characters_no_space,
            "jer": lambda each: each.score.jamo,
            "initial": lambda each: each.positions.initial,
            "medial": lambda each: each.positions.medial,
            "final": lambda each: each.positions.final,
            "wer": lambda each: each.score.words,
            "spaces": lambda each: each.positions.spaces,
        }
        groups = known_speakers(self.predictions)
        return {name: _figure([view(each) for each in self.predictions], groups) for name, view in views.items()}

    @cached_property
    def by_length(self) -> dict[tuple[float, float], GroupFigures]:
        """Return (from, to) in seconds -> the utterances at least as long as `from` and shorter than `to`."""
        ranges = zip(LENGTHS, [*LENGTHS[1:], float("inf")], strict=True)
        parts = {(low, high): [p for p in self.predictions if low <= p.seconds < high] for low, high in ranges}
        return {ends: _group(part) for ends, part in parts.items() if part}

    @cached_property
    def by_speaker(self) -> dict[str, GroupFigures]:
        """Return speaker -> utterances for known speakers, highest CER first."""
        parts: dict[str, list[Prediction]] = {}
        for each in self.predictions:
            if each.speaker is not None:
                parts.setdefault(each.speaker, []).append(each)
        groups = {name: _group(part) for name, part in parts.items()}
        return dict(sorted(groups.items(), key=lambda item: (-item[1].cer.rate, item[0])))

    @cached_property
    def pairs(self) -> Counter[tuple[str, str]]:
        """Return (spoken, recognised) -> count over the characters of all alignments, with matches and gaps."""
        return Counter(
            pair for each in self.predictions for pair in syllables.syllable_pairs(each.reference, each.hypothesis)
        )

    @cached_property
    def confusions(self) -> list[tuple[str, str, int, int]]:
        """Return (spoken, recognised, count, count of spoken) per substitution of a character, most frequent first."""
        spoken = _spoken(self.pairs)
        wrong = [(one, other, times) for (one, other), times in self.pairs.items() if one != other and one and other]
        wrong.sort(key=lambda row: (-row[2], row[0], row[1]))
        return [(one, other, times, spoken[one]) for one, other, times in wrong]

    @cached_property
    def jamo(self) -> dict[str, Counter[tuple[str, str]]]:
        """Return position -> (spoken, recognised) -> count over letters of that position; "" is no syllable."""
        tables: dict[str, Counter[tuple[str, str]]] = {"initial": Counter(), "medial": Counter(), "final": Counter()}
        for (spoken, recognised), times in self.pairs.items():
            for table, one, other in zip(
                tables.values(), letters_by_position(spoken), letters_by_position(recognised), strict=True
            ):
                if one or other:
                    table[one, other] += times
        return tables

    def worst(self, most: int) -> list[Prediction]:
        """Return at most `most` utterances with errors, by highest CER, then by most errors."""
        wrong = [each for each in self.predictions if each.score.characters.errors]
        counts = {each.id: each.score.characters for each in wrong}
        return sorted(wrong, key=lambda each: (-counts[each.id].rate, -counts[each.id].errors, each.id))[:most]


@dataclass(frozen=True)
class Contrast:
    """A rate of two models on the same utterances, with paired tests over utterances and over speakers.

    The latter is None if a speaker is unknown or there is only one.
    """

    first: float
    second: float
    over_utterances: PairedTest
    over_speakers: PairedTest | None


@dataclass(frozen=True)
class Comparison:
    """Two models on the utterances that both have, with the same reference."""

    utterances: int
    left_out: int
    """Utterances that only one of them has, or with a different reference, as text rules may differ."""
    cer: Contrast
    cer_no_space: Contrast
    pairs: Sequence[tuple[Prediction, Prediction]] = field(repr=False)

    def changed(self, most: int) -> tuple[list[tuple[Prediction, Prediction]], list[tuple[Prediction, Prediction]]]:
        """Return at most `most` pairs in which the first model is better, and as many in which the second is.

        Pairs are in order of the difference in CER, then in errors, largest first.
        """

        def difference(pair: tuple[Prediction, Prediction]) -> tuple[float, int]:
            one, other = (each.score.characters for each in pair)
            return one.rate - other.rate, one.errors - other.errors

        ordered = sorted(self.pairs, key=lambda pair: (difference(pair), pair[0].id))
        better = [pair for pair in ordered if difference(pair) < (0, 0)]
        worse = [pair for pair in reversed(ordered) if difference(pair) > (0, 0)]
        return better[:most], worse[:most]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as in the JSON of `evaluate --against`."""
        names = ("utterances", "left_out")
        contrasts = {name: dataclasses.asdict(getattr(self, name)) for name in ("cer", "cer_no_space")}
        return {name: getattr(self, name) for name in names} | contrasts


def compare_predictions(first: Sequence[Prediction], second: Sequence[Prediction]) -> Comparison:
    """Compare two models on one corpus. Raises InputError if they have no utterance in common."""
    others = {each.id: each for each in second}
    pairs = [(each, others[each.id]) for each in first if each.id in others]
    pairs = [(one, other) for one, other in pairs if one.reference == other.reference]
    if not pairs:
        raise InputError(
            "the two models have no utterance with the same reference in common: evaluate both on the same corpus "
            "with the same text rules"
        )
    groups = known_speakers([one for one, _ in pairs])

    def contrast(view: Callable[[Score], ErrorCounts]) -> Contrast:
        one, other = ([view(each.score) for each in side] for side in zip(*pairs, strict=True))
        return Contrast(
            sum(one, ErrorCounts()).rate,
            sum(other, ErrorCounts()).rate,
            significance.paired_test(one, other),
            significance.paired_test(one, other, groups=groups) if groups else None,
        )

    return Comparison(
        len(pairs),
        len({each.id for each in [*first, *second]}) - len(pairs),
        contrast(lambda score: score.characters),
        contrast(lambda score: score.characters_no_space),
        pairs,
    )


def known_speakers(predictions: Sequence[Prediction]) -> list[str] | None:
    """Return the speaker of each utterance, or None if one is unknown or there is only one."""
    names = [each.speaker for each in predictions if each.speaker is not None]
    return names if len(names) == len(predictions) and len(set(names)) > 1 else None


def _figure(counts: Sequence[ErrorCounts], groups: Sequence[str] | None) -> Figure:
    by_speaker = significance.speaker_interval(counts, groups) if groups else None
    return Figure(sum(counts, ErrorCounts()), metrics.bootstrap_interval(counts), by_speaker)


def _group(predictions: Sequence[Prediction]) -> GroupFigures:
    seconds = sum(each.seconds for each in predictions)
    return GroupFigures(len(predictions), seconds, _figure([each.score.characters for each in predictions], None))


def _spoken(pairs: Counter[tuple[str, str]]) -> Counter[str]:
    """Return how often each character or letter was spoken."""
    total: Counter[str] = Counter()
    for (spoken, _), times in pairs.items():
        total[spoken] += times
    return total
