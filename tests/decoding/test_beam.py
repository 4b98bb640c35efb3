"""Beam search against every path of small lattices, and against best path decoding."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.decoding import beam, ctc
from distilhubert_ko.decoding.beam import BeamSearch
from distilhubert_ko.decoding.pruning import BeamOptions
from distilhubert_ko.errors import InputError

SIZES = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(2, 6))
WIDE = BeamOptions(width=100_000, score_gap=math.inf, token_gap=math.inf, skip_blank=1.0, n_best=8)


def random_log_probs(seed: int, frames: int, vocabulary: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(scale=2.0, size=(frames, vocabulary))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


@dataclass
class Labels:
    """The state of `Bigram`."""

    labels: tuple[int, ...] = ()
    score: float = 0.0

    @property
    def key(self) -> tuple[int, ...]:
        return self.labels[-1:]


class Bigram:
    """A scorer by random numbers for each label after each, some of them above 0."""

    def __init__(self, seed: int, vocabulary: int):
        self.table = np.random.default_rng(seed).normal(-1, 2, size=(vocabulary + 1, vocabulary + 1))
        self.start = Labels()
        self.gain = float(self.table.max())

    def step(self, state: Labels, label: int) -> Labels:
        last = state.labels[-1] if state.labels else -1
        return Labels((*state.labels, label), state.score + self.table[last, label])

    def end(self, state: Labels) -> float:
        return state.score + self.table[state.labels[-1] if state.labels else -1, -1]

    def whole(self, labels: tuple[int, ...]) -> float:
        chain = (-1, *labels, -1)
        return float(sum(self.table[pair] for pair in pairwise(chain)))


def every(log_probs: np.ndarray, worth: Callable[[tuple[int, ...]], float]) -> list[tuple[tuple[int, ...], float]]:
    """All label sequences with the score of their best path and their worth, the best first; by brute force."""
    frames, vocabulary = log_probs.shape
    best: dict[tuple[int, ...], float] = {}
    for path in product(range(vocabulary), repeat=frames):
        labels = tuple(label for label, _ in groupby(path) if label != 0)
        total = float(sum(log_probs[frame, label] for frame, label in enumerate(path)))
        best[labels] = max(total, best.get(labels, -math.inf))
    return sorted(((labels, total + worth(labels)) for labels, total in best.items()), key=lambda each: -each[1])


def labels_of(hypothesis: beam.Hypothesis) -> tuple[int, ...]:
    return tuple(token.id for token in hypothesis.tokens)


@given(SIZES, st.integers(1, 5))
def test_without_a_model_every_width_finds_the_best_path_with_its_frames_and_scores(
    size: tuple[int, int, int], width: int
) -> None:
    log_probs = random_log_probs(*size)
    expected = ctc.greedy(log_probs)
    (found,) = beam.search_beam(log_probs, BeamOptions(width=width, skip_blank=1.0))
    assert [(t.id, t.start, t.end) for t in found.tokens] == [(t.id, t.start, t.end) for t in expected]
    assert [t.score for t in found.tokens] == pytest.approx([t.score for t in expected])
    assert found.score == found.acoustic == pytest.approx(log_probs.max(axis=1).sum())


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(2, 4))
def test_a_wide_beam_gives_what_a_search_of_all_paths_gives(seed: int, frames: int, vocabulary: int) -> None:
    log_probs, scorer = random_log_probs(seed, frames, vocabulary), Bigram(seed, vocabulary)
    for used, worth in ((None, lambda labels: 0.0), (scorer, scorer.whole)):
        expected = every(log_probs, worth)[: WIDE.n_best]
        found = beam.search_beam(log_probs, WIDE, used)
        assert [each.score for each in found] == pytest.approx([score for _, score in expected])
        assert labels_of(found[0]) == expected[0][0]
        assert {labels_of(each) for each in found[:-1]} == {labels for labels, _ in expected[:-1]} or len(found) < 3


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(2, 4))
def test_giving_up_what_cannot_be_told_apart_costs_the_best_hypothesis_nothing(
    seed: int, frames: int, vocabulary: int
) -> None:
    log_probs, scorer = random_log_probs(seed, frames, vocabulary), Bigram(seed, vocabulary)
    one = BeamOptions(width=WIDE.width, score_gap=math.inf, token_gap=math.inf, skip_blank=1.0)
    (found,) = beam.search_beam(log_probs, one, scorer)
    assert found.score == pytest.approx(every(log_probs, scorer.whole)[0][1])


@given(SIZES, st.integers(1, 8), st.booleans())
def test_a_hypothesis_is_a_path_whose_scores_add_up(size: tuple[int, int, int], width: int, with_model: bool) -> None:
    log_probs = random_log_probs(*size)
    scorer = Bigram(size[0], size[2]) if with_model else None
    found = beam.search_beam(log_probs, BeamOptions(width=width, skip_blank=1.0, n_best=width), scorer)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert len({labels_of(each) for each in found}) == len(found)
    for each in found:
        path = np.zeros(len(log_probs), int)
        end = 0
        for token in each.tokens:
            assert end <= token.start < token.end <= len(log_probs)
            path[token.start : token.end], end = token.id, token.end
            assert token.score == pytest.approx(log_probs[token.start : token.end, token.id].mean())
        assert tuple(label for label, _ in groupby(path.tolist()) if label) == labels_of(each)
        assert each.acoustic == pytest.approx(log_probs[np.arange(len(path)), path].sum())
        assert each.score == pytest.approx(each.acoustic + (scorer.whole(labels_of(each)) if scorer else 0))


@given(SIZES, st.lists(st.integers(0, 40), max_size=5), st.integers(1, 3))
def test_pieces_give_what_the_whole_matrix_gives(size: tuple[int, int, int], cuts: list[int], n_best: int) -> None:
    log_probs, scorer = random_log_probs(*size), Bigram(size[0], size[2])
    options = BeamOptions(width=6, skip_blank=0.5, n_best=n_best)
    running = BeamSearch(options, scorer)
    for piece in np.split(log_probs, sorted(cuts)):
        running.feed(piece)
    assert running.finish() == beam.search_beam(log_probs, options, scorer)


def test_a_long_matrix_is_settled_on_the_way_and_its_tokens_are_those_of_greedy() -> None:
    log_probs = random_log_probs(1, 5000, 5)
    running = BeamSearch(BeamOptions(width=8, skip_blank=1.0))
    running.feed(log_probs)
    assert len(beam.chained_runs(running._best_run())) < 500
    (found,) = running.finish()
    assert [(t.id, t.start, t.end) for t in found.tokens] == [(t.id, t.start, t.end) for t in ctc.greedy(log_probs)]


def test_alternatives_far_back_are_given_up_so_that_memory_is_bounded() -> None:
    log_probs = np.full((4000, 3), -30.0)
    log_probs[:, 0] = 0
    log_probs[2] = np.log([1e-9, 0.5, 0.5])  # two labels that nothing ever decides between
    log_probs[2::10, 2] = -0.1
    log_probs[2::10, 0] = -10
    log_probs[2] = np.log([1e-9, 0.5, 0.5])
    running = BeamSearch(BeamOptions(width=4, n_best=2, skip_blank=1.0))
    running.feed(log_probs)
    assert len(beam.chained_runs(running._best_run())) <= beam.HELD / 10 + 30
    assert len(running.finish()[0].tokens) == 400


def test_settling_on_the_way_changes_no_hypothesis() -> None:
    chances = np.full((beam.HELD + 500, 3), 1e-9)
    chances[:, 0] = 1.0
    doubts = {10: 0.05, beam.HELD // 2: 0.499} | {beam.HELD + 100 + 5 * place: 0.45 for place in range(6)}
    for frame, chance in doubts.items():  # of the less likely label
        chances[frame] = 1e-9, 1 - chance, chance
    # Between both halves the six push out what differs in frame 10, after which nothing old is in doubt.
    halves = np.split(np.log(chances / chances.sum(axis=1, keepdims=True)), [beam.HELD + 200])
    found = []
    for settles in (False, True):
        running = BeamSearch(BeamOptions(n_best=2))
        for half in halves:
            running.feed(half)
            if settles:
                running.settle()
        found.append(running.finish())
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_sure_blanks_are_skipped_and_part_equal_labels() -> None:
    log_probs = np.log(np.array([[0.1, 0.9], [0.995, 0.005], [0.995, 0.005], [0.2, 0.8]]))
    for skip in (0.99, 1.0):
        (found,) = beam.search_beam(log_probs, BeamOptions(width=4, skip_blank=skip))
        assert [(t.id, t.start, t.end) for t in found.tokens] == [(1, 0, 1), (1, 3, 4)]
        assert found.score == pytest.approx(log_probs.max(axis=1).sum())


def test_a_certain_blank_of_probability_one_parts_equal_labels() -> None:
    log_probs = np.array([[-30.0, 0.0], [0.0, -30.0], [-30.0, 0.0]])
    assert len(beam.search_beam(log_probs)[0].tokens) == 2


def test_no_frames_are_one_empty_hypothesis() -> None:
    assert beam.search_beam(np.zeros((0, 3))) == [beam.Hypothesis((), 0.0, 0.0)]


def test_a_wrong_shape_or_blank_is_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        beam.search_beam(np.zeros(3))
    with pytest.raises(InputError, match="blank 3"):
        beam.search_beam(np.zeros((2, 3)), blank=3)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"n_best": 0}, {"score_gap": -1}, {"skip_blank": 0}])
def test_options_that_make_no_search_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="give"):
        BeamOptions(**wrong)  # type: ignore[arg-type]
