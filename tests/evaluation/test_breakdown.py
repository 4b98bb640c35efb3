"""Breakdowns against counts by hand, and comparisons of two models."""

import dataclasses
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.errors import InputError
from distilhubert_ko.evaluation import breakdown, metrics, significance, syllables
from distilhubert_ko.evaluation.breakdown import Breakdown, Prediction
from distilhubert_ko.evaluation.metrics import ErrorCounts

TEXTS = st.text(alphabet="가각나낙 ", max_size=8)
PREDICTIONS = st.lists(
    st.tuples(TEXTS, TEXTS, st.sampled_from(["s1", "s2", None]), st.floats(0, 40, allow_nan=False)),
    min_size=1,
    max_size=6,
).map(lambda rows: [Prediction(f"u{index}", *row) for index, row in enumerate(rows)])

FEW = [
    Prediction("a", "가나 다라", "가나 다라", "s1", 1.5),
    Prediction("b", "각나", "가나", "s1", 2.0),
    Prediction("c", "각나", "", "s2", 12.0),
    Prediction("d", "각각", "가각가", "s2", 40.0),
]


@settings(max_examples=20)  # a bootstrap for every group
@given(PREDICTIONS)
def test_groups_of_length_hold_every_utterance_once_and_their_counts_add_up(predictions: list[Prediction]) -> None:
    found = Breakdown(predictions)
    groups = found.by_length
    assert sum(group.utterances for group in groups.values()) == len(predictions)
    assert sum((group.cer.counts for group in groups.values()), ErrorCounts()) == sum(
        (each.score.characters for each in predictions), ErrorCounts()
    )
    for (low, high), group in groups.items():
        assert low * group.utterances <= group.seconds
        assert group.seconds < high * group.utterances


@settings(max_examples=20)  # a bootstrap for every group
@given(PREDICTIONS)
def test_groups_of_speakers_hold_the_utterances_whose_speaker_is_known(predictions: list[Prediction]) -> None:
    groups = Breakdown(predictions).by_speaker
    assert {name: group.utterances for name, group in groups.items()} == Counter(
        each.speaker for each in predictions if each.speaker
    )
    rates = [group.cer.rate for group in groups.values()]
    assert rates == sorted(rates, reverse=True)


@given(PREDICTIONS)
def test_tables_of_jamo_count_what_the_positions_count(predictions: list[Prediction]) -> None:
    found = Breakdown(predictions)
    for name, table in found.jamo.items():
        counts = sum((getattr(each.positions, name) for each in predictions), ErrorCounts())
        assert sum(times for (one, other), times in table.items() if one == other) == counts.hits
        assert sum(times for (one, other), times in table.items() if one and not other) == counts.deletions
        assert sum(times for (one, other), times in table.items() if other and not one) == counts.insertions
        assert table.total() == counts.reference + counts.insertions


@given(PREDICTIONS)
def test_confusions_are_the_substitutions_of_the_alignments_the_most_frequent_first(
    predictions: list[Prediction],
) -> None:
    found = Breakdown(predictions)
    pairs = [pair for each in predictions for pair in syllables.syllable_pairs(each.reference, each.hypothesis)]
    expected = Counter((one, other) for one, other in pairs if one and other and one != other)
    assert {(one, other): times for one, other, times, _ in found.confusions} == expected
    assert [row[2] for row in found.confusions] == sorted(expected.values(), reverse=True)
    joined = "".join(each.reference for each in predictions)
    assert all(said == joined.count(one) for one, _, _, said in found.confusions)


def test_figures_are_those_of_the_scores() -> None:
    figures = Breakdown(FEW).figures
    total = sum((metrics.score(each.reference, each.hypothesis) for each in FEW), metrics.Score())
    assert figures["cer"].counts == total.characters
    assert figures["wer"].counts == total.words
    assert figures["cer"].ci95 == metrics.bootstrap_interval([each.score.characters for each in FEW])
    assert figures["cer"].speakers_ci95 is None  # of two speakers
    many = [dataclasses.replace(each, id=f"{n}", speaker=f"s{n}") for n, each in enumerate([*FEW, *FEW])]
    over_speakers = significance.speaker_interval(
        [each.score.characters for each in many], [each.speaker or "" for each in many]
    )
    assert Breakdown(many).figures["cer"].speakers_ci95 == over_speakers is not None
    # 각 heard as 가 twice, 각나 lost, and a 가 too many.
    assert figures["final"].counts == ErrorCounts(hits=6, substitutions=2, deletions=2, insertions=1)
    assert figures["initial"].counts == ErrorCounts(hits=8, deletions=2, insertions=1)


@pytest.mark.parametrize("speakers", [["s1", "s1", "s1", "s1"], ["s1", None, "s2", "s2"], [None] * 4])
def test_without_two_known_speakers_there_is_no_interval_over_them(speakers: list[str | None]) -> None:
    predictions = [dataclasses.replace(each, speaker=name) for each, name in zip(FEW, speakers, strict=True)]
    assert all(figure.speakers_ci95 is None for figure in Breakdown(predictions).figures.values())
    assert breakdown.compare_predictions(predictions, predictions).cer.over_speakers is None


def test_the_worst_come_first_and_what_is_right_is_not_among_them() -> None:
    # c and d have two errors in two characters each, b one.
    assert [each.id for each in Breakdown(FEW).worst(9)] == ["c", "d", "b"]
    assert [each.id for each in Breakdown(FEW).worst(1)] == ["c"]
    assert Breakdown(FEW[:1]).worst(9) == []


def test_an_empty_hypothesis_loses_everything() -> None:
    figures = Breakdown([FEW[2]]).figures
    assert figures["cer"].rate == figures["wer"].rate == figures["final"].rate == 1
    assert figures["spaces"].counts == ErrorCounts()


def test_nothing_cannot_be_broken_down() -> None:
    with pytest.raises(InputError, match="evaluate the model"):
        Breakdown([])


def heard(*hypotheses: str) -> list[Prediction]:
    return [dataclasses.replace(each, hypothesis=text) for each, text in zip(FEW, hypotheses, strict=True)]


def test_a_comparison_takes_the_rates_of_both_and_the_paired_test_between_them() -> None:
    other = heard("가나 다라", "각나", "각", "각각")
    found = breakdown.compare_predictions(FEW, other)
    counts = [[each.score.characters for each in side] for side in (FEW, other)]
    assert found.cer.first == sum(counts[0], ErrorCounts()).rate
    assert found.cer.second == sum(counts[1], ErrorCounts()).rate
    assert found.cer.over_utterances == significance.paired_test(*counts)
    assert found.cer.over_speakers == significance.paired_test(*counts, groups=["s1", "s1", "s2", "s2"])
    assert (found.utterances, found.left_out) == (4, 0)


def test_utterances_that_changed_most_come_first_in_either_direction_and_the_same_are_left_out() -> None:
    found = breakdown.compare_predictions(FEW, heard("나", "각나", "각", "각각"))
    better, worse = found.changed(9)
    assert [pair[0].id for pair in better] == ["a"]
    assert [pair[0].id for pair in worse][-1] in ("b", "c")
    assert {pair[0].id for pair in worse} == {"b", "c", "d"}
    assert breakdown.compare_predictions(FEW, FEW).changed(9) == ([], [])
    assert [len(part) for part in found.changed(1)] == [1, 1]


def test_a_comparison_leaves_out_what_only_one_was_given_or_with_another_reference() -> None:
    other = [FEW[0], dataclasses.replace(FEW[1], reference="각"), FEW[2], Prediction("e", "가", "가")]
    found = breakdown.compare_predictions(FEW, other)
    assert found.utterances == 2
    assert found.left_out == 3  # b differs, d and e are in one alone
    with pytest.raises(InputError, match="in common"):
        breakdown.compare_predictions(FEW[:1], FEW[1:])


def test_the_json_of_a_comparison_has_its_figures_and_no_transcripts() -> None:
    table = breakdown.compare_predictions(FEW, FEW[::-1]).to_dict()
    assert table.keys() == {"utterances", "left_out", "cer", "cer_no_space"}
    assert table["cer"]["over_utterances"].keys() == {"difference", "ci95", "probability", "p", "units"}
