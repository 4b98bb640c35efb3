"""Tests of two systems and intervals over speakers, against all choices of signs and against tables."""

from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.errors import InputError
from distilhubert_ko.evaluation import metrics, significance
from distilhubert_ko.evaluation.metrics import ErrorCounts
from tests.support.counts import utterances, width


def by_hand(first: list[ErrorCounts], second: list[ErrorCounts], draws: list[list[int]]) -> list[float]:
    """Return the difference of the two rates in each draw, summed one utterance at a time."""
    found = []
    for draw in draws:
        length = sum(first[index].reference for index in draw)
        errors = [sum(side[index].errors for index in draw) for side in (first, second)]
        found.append((errors[0] - errors[1]) / length)
    return found


def two_systems(number: int) -> tuple[list[ErrorCounts], list[ErrorCounts]]:
    """Return two systems on the same references, the second with its own errors."""
    random = np.random.default_rng(7)
    first = utterances(number)
    wrong = [int(random.binomial(count.reference, 0.12)) for count in first]
    return first, [ErrorCounts(hits=c.reference - e, substitutions=e) for c, e in zip(first, wrong, strict=True)]


def test_a_paired_test_agrees_with_one_that_sums_each_draw_by_hand():
    first, second = two_systems(25)
    random = np.random.default_rng(3)
    draws = [[int(index) for index in random.integers(25, size=25)] for _ in range(4000)]
    differences = np.array(by_hand(first, second, draws))
    found = significance.paired_test(first, second)
    assert found.difference == pytest.approx(sum(first, ErrorCounts()).rate - sum(second, ErrorCounts()).rate)
    assert found.ci95 == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.002)
    better = np.mean(differences < 0) + np.mean(differences == 0) / 2
    assert found.probability == pytest.approx(better, abs=0.02)
    assert found.p == pytest.approx(2 * min(np.mean(differences <= 0), np.mean(differences >= 0)), abs=0.06)


def test_a_paired_test_of_swapped_systems_is_its_mirror_image():
    first, second = two_systems(30)
    one, other = significance.paired_test(first, second), significance.paired_test(second, first)
    assert one.difference == -other.difference
    assert one.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]))
    assert one.probability == pytest.approx(1 - other.probability)
    assert one.p == other.p


def test_a_system_differs_from_itself_by_nothing():
    same = utterances(9)
    assert significance.paired_test(same, same) == significance.PairedTest(0.0, (0.0, 0.0), 0.5, 1.0, 9)


def test_pairing_narrows_the_interval_where_the_same_utterances_are_hard_for_both():
    first = utterances(60)
    second = [ErrorCounts(c.hits - 1, c.substitutions + 1) for c in first]
    found = significance.paired_test(first, second)
    assert width(found.ci95) < width(metrics.bootstrap_interval(first)) / 3
    assert found.ci95[1] < 0
    assert found.probability == 1
    assert found.p == pytest.approx(2 / 2**60)


def test_a_paired_test_over_speakers_takes_all_their_utterances_as_one():
    better, worse = ErrorCounts(hits=10), ErrorCounts(hits=5, substitutions=5)
    first = [better if speaker < 6 else worse for speaker in range(10) for _ in range(20)]
    second = [worse if speaker < 6 else better for speaker in range(10) for _ in range(20)]
    speakers = [f"{speaker}" for speaker in range(10) for _ in range(20)]
    grouped = significance.paired_test(first, second, groups=speakers)
    single = significance.paired_test(first, second)
    assert grouped.difference == single.difference < 0
    assert width(grouped.ci95) > 3 * width(single.ci95)
    assert grouped.p > 0.2 > 0.05 > single.p
    assert (grouped.units, single.units) == (10, 200)


def signed_by_hand(differences: list[int]) -> float:
    """Return the share of all choices of signs whose sum is as far from 0."""
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(abs(each) >= abs(sum(differences)) for each in sums) / len(sums)


@given(st.lists(st.integers(-60, 60), min_size=1, max_size=9))
def test_p_is_the_share_of_all_choices_of_signs(differences: list[int]):
    assert significance.sign_flip_p(np.array(differences, float)) == pytest.approx(signed_by_hand(differences))


@pytest.mark.parametrize("speakers", [2, 5, 6, 10])
def test_p_over_few_speakers_is_never_below_what_their_number_allows(speakers: int):
    counts = [ErrorCounts(hits=9, substitutions=1)] * speakers, [ErrorCounts(substitutions=10)] * speakers
    found = significance.paired_test(*counts, groups=[str(number) for number in range(speakers)])
    assert found.p == pytest.approx(2 / 2**speakers)
    assert (found.ci95 is None) == (speakers < significance.FEWEST)
    assert found.probability is None


def test_a_test_over_many_utterances_agrees_with_the_normal_distribution():
    differences = np.random.default_rng(0).integers(-3, 4, 20_000).astype(float)
    z = abs(differences.sum()) / np.sqrt(np.square(differences).sum())
    assert significance.sign_flip_p(differences) == pytest.approx(2 * (1 - NormalDist().cdf(z)), abs=0.005)


def test_an_interval_is_wider_when_speakers_err_together():
    good, bad = ErrorCounts(hits=19, substitutions=1), ErrorCounts(hits=14, substitutions=6)
    counts = [good if speaker % 2 else bad for speaker in range(10) for _ in range(20)]
    speakers = [f"speaker {speaker}" for speaker in range(10) for _ in range(20)]
    grouped = significance.speaker_interval(counts, speakers)
    assert grouped is not None
    assert width(grouped) > 3 * width(metrics.bootstrap_interval(counts))
    assert grouped[0] < sum(counts, ErrorCounts()).rate < grouped[1]


def test_there_is_no_interval_over_fewer_speakers_than_it_holds_for():
    assert significance.speaker_interval(utterances(40), [str(number % 5) for number in range(40)]) is None
    assert significance.speaker_interval(utterances(40), [str(number % 6) for number in range(40)])
    with pytest.raises(InputError, match="1 groups for 2 utterances"):
        significance.speaker_interval(utterances(2), ["a"])


def test_the_quantile_is_that_of_the_tables():
    for degrees, expected in ((5, 2.571), (6, 2.447), (9, 2.262), (30, 2.042), (1000, 1.962)):
        assert significance.student_quantile(degrees) == pytest.approx(expected, abs=1e-3)


def test_a_paired_test_needs_the_same_references():
    with pytest.raises(InputError, match="different references"):
        significance.paired_test([ErrorCounts(hits=3)], [ErrorCounts(hits=4)])
    with pytest.raises(InputError, match="different references"):
        significance.paired_test(utterances(2), utterances(1))
    with pytest.raises(InputError, match="no utterances"):
        significance.paired_test([], [])


def test_a_paired_test_of_silence_is_finite():
    assert significance.paired_test([ErrorCounts()], [ErrorCounts(insertions=2)]).difference == -2
