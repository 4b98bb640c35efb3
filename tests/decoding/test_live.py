"""Decoding block by block: what is final never changes, waits for a bounded time, and is what the whole matrix says."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.decoding import beam, ctc
from distilhubert_ko.decoding.beam import BeamSearch
from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.decoding.live import LiveBeam, LiveDecoder, LiveGreedy
from distilhubert_ko.decoding.pruning import BeamOptions
from tests.decoding.test_beam import Bigram, random_log_probs

SPACE = 1
SIZES = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 90), st.integers(3, 6))
CUTS = st.lists(st.integers(0, 90), max_size=6)
OPTIONS = BeamOptions(width=6, skip_blank=0.5)


@dataclass
class Remembering:
    """A scorer, and its states, which no text of other labels equals: hypotheses never become one."""

    key: tuple[int, ...] = ()
    score: float = 0.0
    gain: float = 0.0

    @property
    def start(self) -> "Remembering":
        return self

    def step(self, state: "Remembering", label: int) -> "Remembering":
        return Remembering((*state.key, label))

    def end(self, state: "Remembering") -> float:
        return 0.0


def blocks(log_probs: np.ndarray, cuts: list[int], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pieces of a matrix, each with frames ahead that have nothing to do with it."""
    pieces = np.split(log_probs, sorted(cuts))
    return [(piece, random_log_probs(seed + number, 7, log_probs.shape[1])) for number, piece in enumerate(pieces)]


def decoded(decoder: LiveDecoder, parts: list[tuple[np.ndarray, np.ndarray]]) -> list[list[Token]]:
    """What was open after each block, and after the end."""
    found = []
    for final, ahead in parts:
        decoder.take(final, ahead)
        found.append([*decoder.open])
    decoder.finish()
    return [*found, [*decoder.open]]


@settings(max_examples=60)
@given(SIZES, CUTS, st.sampled_from([1, 2, 6]))
def test_blocks_give_what_the_whole_matrix_gives_where_nothing_is_forced(
    size: tuple[int, int, int], cuts: list[int], width: int
) -> None:
    log_probs, scorer = random_log_probs(*size), Bigram(size[0], size[2])
    options = BeamOptions(width=width, skip_blank=0.5)
    live = LiveBeam(BeamSearch(options, scorer), SPACE, wait=math.inf)
    *_, found = decoded(live, blocks(log_probs, cuts, size[0] // 2))
    assert found == [*beam.search_beam(log_probs, options, scorer)[0].tokens]


@settings(max_examples=60)
@given(SIZES, CUTS, st.integers(0, 30), st.booleans())
def test_a_token_that_is_open_never_changes(
    size: tuple[int, int, int], cuts: list[int], wait: int, remembering: bool
) -> None:
    log_probs = random_log_probs(*size)
    scorer = Remembering() if remembering else Bigram(size[0], size[2])
    live = LiveBeam(BeamSearch(OPTIONS, scorer), SPACE, wait)
    found = decoded(live, blocks(log_probs, cuts, size[0] // 2))
    for before, after in pairwise(found):
        assert after[: len(before)] == before


@given(SIZES, CUTS, st.integers(0, 30))
def test_a_space_of_the_likeliest_text_waits_for_a_bounded_time(
    size: tuple[int, int, int], cuts: list[int], wait: int
) -> None:
    live, done = LiveBeam(BeamSearch(OPTIONS, Remembering()), SPACE, wait), 0
    for final, ahead in blocks(random_log_probs(*size), cuts, size[0] // 2):
        live.take(final, ahead)
        done += len(final)
        waiting = live.rest()[len(live.open) :]
        assert [token for token in waiting if token.id == SPACE and token.end < done - wait] == []


@given(SIZES, CUTS, st.integers(0, 30))
def test_without_a_scorer_blocks_give_the_best_path(size: tuple[int, int, int], cuts: list[int], wait: int) -> None:
    log_probs = random_log_probs(*size)
    parts = blocks(log_probs, cuts, size[0] // 2)
    *_, greedy = decoded(LiveGreedy(0), parts)
    *_, found = decoded(LiveBeam(BeamSearch(BeamOptions(width=2, skip_blank=1.0)), SPACE, wait), parts)
    for tokens in (greedy, found):
        expected = ctc.greedy(log_probs)
        assert [(t.id, t.start, t.end) for t in tokens] == [(t.id, t.start, t.end) for t in expected]
        assert [t.score for t in tokens] == pytest.approx([t.score for t in expected])


class Trigram:
    """Worth two nats for `first`, the space and any label in a row."""

    def __init__(self, first: int):
        self.first, self.gain, self.start = first, 2.0, Remembering()

    def step(self, state: Remembering, label: int) -> Remembering:
        key = (*state.key, label)
        return Remembering(key, state.score + 2.0 * (key[-3:-1] == (self.first, SPACE)))

    def end(self, state: Remembering) -> float:
        return state.score


@pytest.mark.parametrize("first", [2, 3])
def test_frames_ahead_decide_between_words_whose_time_has_come(first: int) -> None:
    """The two words are nearly as likely as each other, until the scorer hears what comes after the space."""
    sure = np.where(np.eye(5), 0.0, -20.0)
    either = np.log([1e-9, 1e-9, 0.51, 0.49, 1e-9])
    live = LiveBeam(BeamSearch(BeamOptions(), Trigram(first)), SPACE)
    live.take(np.array([either, sure[0], sure[SPACE], sure[0]]), sure[[4, 4]])
    assert [token.id for token in live.open] == [first, SPACE]


def test_a_pause_leaves_one_hypothesis_and_opens_all_its_tokens() -> None:
    rng = np.random.default_rng(0)
    log_probs = np.log(np.concatenate([rng.dirichlet(np.full(5, 0.5), 20), [[0.98, *[0.005] * 4]] * 30]) + 1e-9)
    live = LiveBeam(BeamSearch(BeamOptions(width=8, skip_blank=1.0), Remembering()), SPACE, wait=math.inf)
    live.take(log_probs, log_probs[:0])
    expected = live.rest()
    assert len(live.open) < len(expected)
    assert live.last() == expected[-1]
    live.settle()
    assert live.open == live.rest() == expected
    live.take(log_probs[-5:], log_probs[:0])
    assert live.open[: len(expected)] == expected


def test_memory_does_not_grow_with_the_matrix() -> None:
    """In noise the text stays as it is, and ever other labels are tried after it."""
    labels = np.random.default_rng(0).integers(2, 2000, 4000)
    log_probs = np.where(np.arange(2000) == labels[:, None], -2.5, -20.0)
    log_probs[:, 0] = -0.1
    search = BeamSearch(BeamOptions(width=8), Remembering())
    live = LiveBeam(search, SPACE)
    sizes = []
    for start in range(0, len(log_probs), 50):
        live.take(log_probs[start : start + 25], log_probs[start + 25 : start + 50])
        sizes.append(reachable(search))
    assert max(sizes[20:]) <= 1.2 * max(sizes[:20])


def reachable(search: BeamSearch) -> int:
    nodes, runs = {id(node): node for node in search._beams}, set()
    waiting = [*nodes.values()]
    while waiting:
        for child in waiting.pop().children.values():
            if id(child) not in nodes:
                nodes[id(child)] = child
                waiting.append(child)
    for node in nodes.values():
        for name in ("blank_run", "spoken_run", "new_blank_run", "new_spoken_run"):
            runs |= set(map(id, beam.chained_runs(getattr(node, name, None))))
    return len(nodes) + len(runs)
