"""Beam search: from log-probabilities to the likeliest texts, under a score that an utterance's text adds.

A hypothesis is a sequence of labels, and its score the natural log-probability of the best single path that spells it
(the paths are those of `ctc`), plus what a `Scorer` gives the labels. So without one the best hypothesis is the best
path, at any width, and every label has the frames of a path. Hypotheses grow as in the prefix search of Graves et al.
(ICML 2006, section 3.2), a frame at a time, with the maximum over paths in the place of their sum.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.decoding.ctc import Token, check_log_probs
from distilhubert_ko.errors import InputError

HELD = 1500  # frames after which hypotheses that differ from the best one before HELD / 2 frames are given up
TRIED = 2  # times the width: continuations in a frame that the scorer is asked about, those likeliest without it
_NEVER = -math.inf


@dataclass(frozen=True)
class BeamOptions:
    """How wide the search is. Gaps are in nats; infinite ones, and `skip_blank` of 1, leave nothing out but by `width`.

    `width` hypotheses go on after each frame, but none that scores `score_gap` less than the best. A frame's labels are
    tried down to `token_gap` below its likeliest. Frames whose blank has a probability above `skip_blank` are taken for
    blanks. `n_best` hypotheses are given; more than one costs width, as those that differ only far back must be kept.
    """

    width: int = 32
    score_gap: float = 9.0
    token_gap: float = 6.0
    skip_blank: float = 0.99
    n_best: int = 1

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_best < 1:
            raise InputError(f"a beam of {self.width} for the {self.n_best} best: give 1 or more of both")
        if not (self.score_gap >= 0 and self.token_gap >= 0 and 0 < self.skip_blank <= 1):
            raise InputError(f"{self}: give gaps of 0 or more, and a probability above 0")


class ScorerState(Protocol):
    """Of a Scorer after some labels: their score so far, and what decides how any labels after them will score."""

    @property
    def score(self) -> float: ...

    @property
    def key(self) -> Hashable: ...


class Scorer(Protocol):
    """What a text is worth. `gain` is the most that one label adds to a score, or a little less than that."""

    @property
    def start(self) -> ScorerState: ...

    @property
    def gain(self) -> float: ...

    def step(self, state: Any, label: int) -> ScorerState:
        """After one more label."""

    def end(self, state: Any) -> float:
        """The score of the labels as a whole text."""


@dataclass(frozen=True)
class Hypothesis:
    """Labels with the frames of their best path. `score` is the path's, `acoustic`, and what the text is worth."""

    tokens: tuple[Token, ...]
    score: float
    acoustic: float


class _Run:
    """Frames that emit one label: the links of a path. A path's links before the last shared by all are let go."""

    __slots__ = ("end", "label", "previous", "start", "total")

    def __init__(self, previous: "_Run | None", label: int, start: int, end: int, total: float):
        self.previous, self.label, self.start, self.end, self.total = previous, label, start, end, total

    def token(self) -> Token:
        return Token(self.label, self.start, self.end, self.total / (self.end - self.start))


class _Node:
    """A hypothesis. The best paths that end in a blank and in its last label: their scores, and their runs.

    The `new_` ones are those of the frame that is being worked on, `stamp`. A node knows those that continue it and not
    the one that it continues, so what no hypothesis can become any more is forgotten.
    """

    __slots__ = (
        *("blank", "blank_run", "children", "label", "new_blank", "new_blank_run", "new_spoken", "new_spoken_run"),
        *("spoken", "spoken_run", "stamp", "state"),
    )

    def __init__(self, label: int, state: ScorerState):
        self.label, self.state = label, state
        self.children: dict[int, _Node] = {}
        self.stamp = -1

    blank: float
    spoken: float
    new_blank: float
    new_spoken: float
    blank_run: _Run | None
    spoken_run: _Run | None
    new_blank_run: _Run | None
    new_spoken_run: _Run | None


class _Nothing:
    """The scorer, and the only state, of texts that are all worth the same."""

    def __init__(self) -> None:
        self.score, self.key, self.gain = 0.0, None, 0.0
        self.start: ScorerState = self

    def step(self, state: ScorerState, label: int) -> ScorerState:
        return state

    def end(self, state: ScorerState) -> float:
        return 0.0


@dataclass
class BeamSearch:
    """A search that is fed an utterance's matrix (frames, vocabulary) piece by piece.

    Memory holds no more than the last HELD frames' hypotheses and the labels before, on which all agree.
    """

    options: BeamOptions = field(default_factory=BeamOptions)
    scorer: Scorer | None = None
    blank: int = 0

    def __post_init__(self) -> None:
        self._scorer: Scorer = _Nothing() if self.scorer is None else self.scorer
        root = _Node(-1, self._scorer.start)
        root.blank, root.blank_run, root.spoken, root.spoken_run = 0.0, None, _NEVER, None
        self._beams = [root]
        self._done = 0  # frames
        self._settled: list[Token] = []
        self._blanks: list[float] = []  # the log-probabilities of the last frames, if no hypothesis was told of them

    def feed(self, log_probs: NDArray[np.floating]) -> None:
        """Takes the next frames. InputError where the shape or the blank is wrong."""
        check_log_probs(log_probs, self.blank)
        if len(log_probs) == 0:
            return
        wanted = log_probs >= log_probs.max(axis=1, keepdims=True) - self.options.token_gap
        wanted[:, self.blank] = False
        wanted[log_probs[:, self.blank] > math.log(self.options.skip_blank)] = False
        rows, labels = np.nonzero(wanted)
        values = log_probs[rows, labels].astype(np.float64)
        order = np.lexsort((-values, rows))
        pairs = list(zip(labels[order].tolist(), values[order].tolist(), strict=True))
        most = TRIED * self.options.width  # and those are all of one hypothesis if they are likelier than any other's
        bounds = np.searchsorted(rows, np.arange(len(log_probs) + 1)).tolist()
        for index, blank in enumerate(log_probs[:, self.blank].astype(np.float64).tolist()):
            candidates = pairs[bounds[index] : min(bounds[index + 1], bounds[index] + most)]
            if candidates:
                self._rest()
                self._advance(candidates, blank)
            else:
                self._blanks.append(blank)
            self._done += 1
            if self._done % 250 == 0:
                self._rest()
                self._settle()

    def finish(self, text: Callable[[Hypothesis], Hashable] | None = None) -> list[Hypothesis]:
        """The `n_best` hypotheses, the best first; fewer where there are no more.

        Of those that `text` tells to be the same, such as with a second space in a row, the best alone.
        """
        self._rest()
        found = []
        for node in self._beams:
            acoustic, run = max((node.blank, node.blank_run), (node.spoken, node.spoken_run), key=lambda pair: pair[0])
            worth = self._scorer.end(node.state)
            found.append((acoustic + worth, acoustic, run))
        found.sort(key=lambda each: -each[0])
        best: dict[Hashable, Hypothesis] = {}
        for number, (score, acoustic, run) in enumerate(found):
            each = Hypothesis((*self._settled, *(link.token() for link in _chain(run))), score, acoustic)
            best.setdefault(text(each) if text else number, each)
            if len(best) == self.options.n_best:
                break
        return [*best.values()]

    def _rest(self) -> None:
        """Tells the hypotheses of the blanks so far."""
        if not self._blanks:
            return
        total = sum(self._blanks)
        for node in self._beams:
            if node.spoken > node.blank:
                node.blank, node.blank_run = node.spoken, node.spoken_run
            node.blank += total
            node.spoken, node.spoken_run = _NEVER, None
        self._blanks.clear()

    def _advance(self, candidates: list[tuple[int, float]], blank: float) -> None:
        """One frame, of which `candidates` are labels with log-probabilities, the likeliest first."""
        now, step = self._done, self._scorer.step
        frame = dict(candidates)
        touched = []
        for node in self._beams:
            node.stamp = now
            if node.blank >= node.spoken:
                node.new_blank, node.new_blank_run = node.blank + blank, node.blank_run
            else:
                node.new_blank, node.new_blank_run = node.spoken + blank, node.spoken_run
            again = frame.get(node.label)
            run = node.spoken_run
            if again is not None and run is not None:
                node.new_spoken = node.spoken + again
                node.new_spoken_run = _Run(run.previous, run.label, run.start, now + 1, run.total + again)
            else:
                node.new_spoken, node.new_spoken_run = _NEVER, None
            touched.append(node)
        floor, top = max(self._floor(touched) - self._scorer.gain, self._crowd(candidates)), candidates[0][1]
        gap = self.options.score_gap + self._scorer.gain
        for node in self._beams:
            if node.blank >= node.spoken:
                best, best_run = node.blank, node.blank_run
            else:
                best, best_run = node.spoken, node.spoken_run
            enough = floor - node.state.score
            if best + top < enough:
                continue
            children, last = node.children, node.label
            for label, value in candidates:
                score = best + value
                if score < enough:
                    break
                run = best_run
                if label == last:
                    score, run = node.blank + value, node.blank_run
                    if score < enough:
                        continue
                child = children.get(label)
                if child is None:
                    child = children[label] = _Node(label, step(node.state, label))
                if score + child.state.score - gap > floor:
                    floor = score + child.state.score - gap
                    enough = floor - node.state.score
                if child.stamp != now:
                    child.stamp = now
                    child.new_blank, child.new_blank_run = _NEVER, None
                    child.new_spoken, child.new_spoken_run = score, _Run(run, label, now, now + 1, value)
                    touched.append(child)
                elif score > child.new_spoken:
                    child.new_spoken, child.new_spoken_run = score, _Run(run, label, now, now + 1, value)
        self._select(touched)

    def _crowd(self, candidates: list[tuple[int, float]]) -> float:
        """A score that only so many continuations reach as are worth asking the scorer about."""
        most = TRIED * self.options.width
        if len(self._beams) * len(candidates) <= most:
            return _NEVER
        before = [max(node.blank, node.spoken) + node.state.score for node in self._beams]
        sums = np.add.outer(before, [value for _, value in candidates]).ravel()
        return float(np.partition(sums, -most)[-most])

    def _floor(self, nodes: list[_Node]) -> float:
        """A score that a hypothesis must reach to go on, as far as those tell that are there in any case."""
        scores = [max(node.new_blank, node.new_spoken) + node.state.score for node in nodes]
        floor = max(scores) - self.options.score_gap
        return max(floor, min(scores)) if len(scores) >= self.options.width else floor

    def _select(self, touched: list[_Node]) -> None:
        """Keeps the best of the nodes, and of those that cannot be told apart from here on only the best."""
        scored = [
            (max(node.new_blank, node.new_spoken) + node.state.score, number) for number, node in enumerate(touched)
        ]
        scored.sort(reverse=True)
        floor = scored[0][0] - self.options.score_gap
        kept: list[_Node] = []
        seen: dict[Hashable, _Node] = {}
        alone = self.options.n_best == 1
        for score, number in scored:
            if score < floor or score == _NEVER or len(kept) == self.options.width:
                break
            node = touched[number]
            if alone:
                key = node.label, node.state.key
                better = seen.setdefault(key, node)
                if better is not node and _covers(better, node):
                    continue
            kept.append(node)
        for node in kept:
            node.blank, node.blank_run = node.new_blank, node.new_blank_run
            node.spoken, node.spoken_run = node.new_spoken, node.new_spoken_run
        self._beams = kept

    def _settle(self) -> None:
        """Moves the labels on which all hypotheses agree, frames and all, to those that are settled."""
        best = self._best_run()
        if best is None:
            return
        chain = _chain(best)
        if chain[0].start < self._done - HELD:
            old = [link for link in chain if link.end <= self._done - HELD // 2]
            self._give_up(old[-1] if old else chain[0])
        places = {id(link): place for place, link in enumerate(chain)}
        shared = len(chain) - 1
        for run in self._runs():
            link: _Run | None = run
            while link is not None and id(link) not in places:
                link = link.previous
            if link is None:
                return
            shared = min(shared, places[id(link)])
        self._settled += [link.token() for link in chain[:shared]]
        chain[shared].previous = None

    def _best_run(self) -> _Run | None:
        node = max(self._beams, key=lambda node: max(node.blank, node.spoken) + node.state.score)
        return node.blank_run if node.blank >= node.spoken else node.spoken_run

    def _runs(self) -> Iterable[_Run | None]:
        for node in self._beams:
            if node.blank > _NEVER:
                yield node.blank_run
            if node.spoken > _NEVER:
                yield node.spoken_run

    def _give_up(self, link: _Run) -> None:
        """Drops every path that does not go through `link`."""
        for node in self._beams:
            if link not in _chain(node.blank_run):
                node.blank, node.blank_run = _NEVER, None
            if link not in _chain(node.spoken_run):
                node.spoken, node.spoken_run = _NEVER, None
        self._beams = [node for node in self._beams if max(node.blank, node.spoken) > _NEVER]


def _covers(better: _Node, node: _Node) -> bool:
    """Whether whatever follows makes `better` no worse than `node`."""
    more = better.state.score - node.state.score
    return better.new_blank + more >= node.new_blank and better.new_spoken + more >= node.new_spoken


def _chain(run: _Run | None) -> list[_Run]:
    """The runs of a path that are not settled, the first one first."""
    links = []
    while run is not None:
        links.append(run)
        run = run.previous
    return links[::-1]


def search_beam(
    log_probs: NDArray[np.floating], options: BeamOptions | None = None, scorer: Scorer | None = None, blank: int = 0
) -> list[Hypothesis]:
    """The best hypotheses of a whole matrix (frames, vocabulary)."""
    running = BeamSearch(options or BeamOptions(), scorer, blank)
    running.feed(log_probs)
    return running.finish()
