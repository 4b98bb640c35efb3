"""The parts of a beam search: the scorer of texts that it asks, and hypotheses with their best paths.

Paths are chains of runs, which share their beginnings.
"""

import math
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from distilhubert_ko.decoding.ctc import Token

NEVER = -math.inf  # the score of a path that is not there


class ScorerState(Protocol):
    """A Scorer after some labels. `score` is theirs so far, and `key` decides how any labels after them will score."""

    @property
    def score(self) -> float: ...

    @property
    def key(self) -> Hashable: ...


class Scorer(Protocol):
    """Scores a text label by label. `gain` is the most that one label adds to a score, or a little less than that."""

    @property
    def start(self) -> ScorerState: ...

    @property
    def gain(self) -> float: ...

    def step(self, state: Any, label: int) -> ScorerState:
        """Return the state after one more label."""

    def end(self, state: Any) -> float:
        """Return the score of the labels as a whole text."""


class NoScorer:
    """The scorer, and the only state, of texts that are all worth the same."""

    def __init__(self) -> None:
        self.score, self.key, self.gain = 0.0, None, 0.0
        self.start: ScorerState = self

    def step(self, state: ScorerState, label: int) -> ScorerState:
        return state

    def end(self, state: ScorerState) -> float:
        return 0.0


class PathRun:
    """Frames that emit one label: a link of a path. Links before the last one that all paths share are let go."""

    __slots__ = ("end", "label", "previous", "start", "total")

    def __init__(self, previous: "PathRun | None", label: int, start: int, end: int, total: float):
        self.previous, self.label, self.start, self.end, self.total = previous, label, start, end, total

    def token(self) -> Token:
        return Token(self.label, self.start, self.end, self.total / (self.end - self.start))


class SearchNode:
    """A hypothesis, with the scores and the runs of its best paths: one that ends in a blank, one in its last label.

    The fields `new_` are those of the frame `stamp`, which is being worked on. A node knows the nodes that continue it,
    but not the one that it continues, so nodes that no hypothesis can reach any more are freed.
    """

    __slots__ = (
        *("blank", "blank_run", "children", "label", "new_blank", "new_blank_run", "new_spoken", "new_spoken_run"),
        *("spoken", "spoken_run", "stamp", "state"),
    )

    def __init__(self, label: int, state: ScorerState):
        self.label, self.state = label, state
        self.children: dict[int, SearchNode] = {}
        self.stamp = -1

    blank: float
    spoken: float
    new_blank: float
    new_spoken: float
    blank_run: PathRun | None
    spoken_run: PathRun | None
    new_blank_run: PathRun | None
    new_spoken_run: PathRun | None


def chained_runs(run: PathRun | None, base: PathRun | None = None) -> list[PathRun]:
    """Return the runs of a path in order, from the one after `base`, or from the first that is not let go."""
    links = []
    while run is not None and run is not base:
        links.append(run)
        run = run.previous
    return links[::-1]


def forget_dropped(hypotheses: Sequence[SearchNode]) -> None:
    """Let go of the continuations of hypotheses that are none themselves and lead to none."""
    parents: dict[int, SearchNode] = {}
    known = [*hypotheses]
    for node in known:  # which grows meanwhile
        for child in node.children.values():
            if id(child) not in parents:
                parents[id(child)] = node
                known.append(child)
    needed: set[int] = set()
    for hypothesis in hypotheses:
        leading: SearchNode | None = hypothesis
        while leading is not None and id(leading) not in needed:
            needed.add(id(leading))
            leading = parents.get(id(leading))
    for node in known:
        node.children = {label: child for label, child in node.children.items() if id(child) in needed}


def covers(better: SearchNode, node: SearchNode) -> bool:
    """Tell whether `better` scores no less than `node`, whatever follows."""
    more = better.state.score - node.state.score
    return better.new_blank + more >= node.new_blank and better.new_spoken + more >= node.new_spoken
