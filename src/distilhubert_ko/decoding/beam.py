"""Beam search: from log-probabilities to the likeliest texts, where a text may add a score of its own.

A hypothesis is a sequence of labels. Its score is the natural log-probability of the best single path that spells it,
plus what a `Scorer` gives the labels. The paths are those of `ctc`. Without a scorer, the best hypothesis is the best
path, at any width. Every label has the frames of a path. Hypotheses grow a frame at a time, as in the prefix search of
Graves et al. (ICML 2006, section 3.2), but with the maximum over paths in place of their sum.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.decoding.ctc import Token, check_log_probs
from distilhubert_ko.decoding.paths import (
    NEVER,
    NoScorer,
    PathRun,
    Scorer,
    SearchNode,
    chained_runs,
    covers,
)
from distilhubert_ko.errors import InputError

HELD = 1500  # frames; hypotheses that have differed from the best one for so long are given up
TRIED = 2  # times the width: the likeliest continuations of a frame, which the scorer is asked about


@dataclass(frozen=True)
class BeamOptions:
    """The width of a search. With infinite gaps and a `skip_blank` of 1, only `width` leaves anything out.

    After each frame, `width` hypotheses are kept, but none that scores `score_gap` nats less than the best. Labels of a
    frame are tried down to `token_gap` nats below its likeliest. Frames whose blank has a probability above
    `skip_blank` are taken for blanks. `n_best` hypotheses are returned. More than one costs width, since hypotheses
    that differ only far back must be kept.
    """

    width: int = 32
    score_gap: float = 9.0
    token_gap: float = 6.0
    skip_blank: float = 0.99
    n_best: int = 1

    def __post_init__(self) -> None:
        if self.width < 1 or self.n_best < 1:
            raise InputError(f"beam width {self.width} for the {self.n_best} best: give 1 or more for both")
        if not (self.score_gap >= 0 and self.token_gap >= 0 and 0 < self.skip_blank <= 1):
            raise InputError(f"{self}: give gaps of 0 or more, and a probability above 0 and up to 1")


@dataclass(frozen=True)
class Hypothesis:
    """Labels with the frames of their best path. `score` is that of the path, `acoustic`, and of the text together."""

    tokens: tuple[Token, ...]
    score: float
    acoustic: float


@dataclass
class BeamSearch:
    """A search that is fed an utterance's matrix (frames, vocabulary) piece by piece.

    Memory holds no more than the last HELD frames' hypotheses and the labels before, on which all agree.
    """

    options: BeamOptions = field(default_factory=BeamOptions)
    scorer: Scorer | None = None
    blank: int = 0

    def __post_init__(self) -> None:
        self._scorer: Scorer = NoScorer() if self.scorer is None else self.scorer
        root = SearchNode(-1, self._scorer.start)
        root.blank, root.blank_run, root.spoken, root.spoken_run = 0.0, None, NEVER, None
        self._beams = [root]
        self._done = 0  # frames
        self._settled: list[Token] = []
        self._blanks: list[float] = []  # the log-probabilities of the last frames, while no hypothesis has them

    def feed(self, log_probs: NDArray[np.floating]) -> None:
        """Take the next frames (frames, vocabulary). Raises InputError where the shape or the blank is wrong."""
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
        """Return the `n_best` hypotheses, the best first; fewer where there are no more.

        Of hypotheses for which `text` gives the same, such as those with two spaces in a row, only the best is kept.
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
            each = Hypothesis((*self._settled, *(link.token() for link in chained_runs(run))), score, acoustic)
            best.setdefault(text(each) if text else number, each)
            if len(best) == self.options.n_best:
                break
        return [*best.values()]

    def _rest(self) -> None:
        """Add the blanks so far to the hypotheses."""
        if not self._blanks:
            return
        total = sum(self._blanks)
        for node in self._beams:
            if node.spoken > node.blank:
                node.blank, node.blank_run = node.spoken, node.spoken_run
            node.blank += total
            node.spoken, node.spoken_run = NEVER, None
        self._blanks.clear()

    def _advance(self, candidates: list[tuple[int, float]], blank: float) -> None:
        """Take one frame. `candidates` are its labels with log-probabilities, the likeliest first."""
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
                node.new_spoken_run = PathRun(run.previous, run.label, run.start, now + 1, run.total + again)
            else:
                node.new_spoken, node.new_spoken_run = NEVER, None
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
                    child = children[label] = SearchNode(label, step(node.state, label))
                if score + child.state.score - gap > floor:
                    floor = score + child.state.score - gap
                    enough = floor - node.state.score
                if child.stamp != now:
                    child.stamp = now
                    child.new_blank, child.new_blank_run = NEVER, None
                    child.new_spoken, child.new_spoken_run = score, PathRun(run, label, now, now + 1, value)
                    touched.append(child)
                elif score > child.new_spoken:
                    child.new_spoken, child.new_spoken_run = score, PathRun(run, label, now, now + 1, value)
        self._select(touched)

    def _crowd(self, candidates: list[tuple[int, float]]) -> float:
        """Return a score that no more continuations reach than the scorer should be asked about."""
        most = TRIED * self.options.width
        if len(self._beams) * len(candidates) <= most:
            return NEVER
        before = [max(node.blank, node.spoken) + node.state.score for node in self._beams]
        sums = np.add.outer(before, [value for _, value in candidates]).ravel()
        return float(np.partition(sums, -most)[-most])

    def _floor(self, nodes: list[SearchNode]) -> float:
        """Return a score that a hypothesis must reach to be kept, as far as `nodes`, which stay in any case, tell."""
        scores = [max(node.new_blank, node.new_spoken) + node.state.score for node in nodes]
        floor = max(scores) - self.options.score_gap
        return max(floor, min(scores)) if len(scores) >= self.options.width else floor

    def _select(self, touched: list[SearchNode]) -> None:
        """Keep the best of the nodes, and only the best of those that no later label can tell apart."""
        scored = [
            (max(node.new_blank, node.new_spoken) + node.state.score, number) for number, node in enumerate(touched)
        ]
        scored.sort(reverse=True)
        floor = scored[0][0] - self.options.score_gap
        kept: list[SearchNode] = []
        seen: dict[Hashable, SearchNode] = {}
        alone = self.options.n_best == 1
        for score, number in scored:
            if score < floor or score == NEVER or len(kept) == self.options.width:
                break
            node = touched[number]
            if alone:
                key = node.label, node.state.key
                better = seen.setdefault(key, node)
                if better is not node and covers(better, node):
                    continue
            kept.append(node)
        for node in kept:
            node.blank, node.blank_run = node.new_blank, node.new_blank_run
            node.spoken, node.spoken_run = node.new_spoken, node.new_spoken_run
        self._beams = kept

    def _settle(self) -> None:
        """Move the labels on which all hypotheses agree, with their frames, to those that are settled."""
        best = self._best_run()
        if best is None:
            return
        chain = chained_runs(best)
        if chain[0].start < self._done - HELD:
            old = [link for link in chain if link.end <= self._done - HELD // 2]
            self._give_up(old[-1] if old else chain[0])
        places = {id(link): place for place, link in enumerate(chain)}
        shared = len(chain) - 1
        for run in self._runs():
            link: PathRun | None = run
            while link is not None and id(link) not in places:
                link = link.previous
            if link is None:
                return
            shared = min(shared, places[id(link)])
        self._settled += [link.token() for link in chain[:shared]]
        chain[shared].previous = None

    def _best_run(self) -> PathRun | None:
        node = max(self._beams, key=lambda node: max(node.blank, node.spoken) + node.state.score)
        return node.blank_run if node.blank >= node.spoken else node.spoken_run

    def _runs(self) -> Iterable[PathRun | None]:
        for node in self._beams:
            if node.blank > NEVER:
                yield node.blank_run
            if node.spoken > NEVER:
                yield node.spoken_run

    def _give_up(self, link: PathRun) -> None:
        """Drop every path that does not go through `link`."""
        for node in self._beams:
            if link not in chained_runs(node.blank_run):
                node.blank, node.blank_run = NEVER, None
            if link not in chained_runs(node.spoken_run):
                node.spoken, node.spoken_run = NEVER, None
        self._beams = [node for node in self._beams if max(node.blank, node.spoken) > NEVER]


def search_beam(
    log_probs: NDArray[np.floating], options: BeamOptions | None = None, scorer: Scorer | None = None, blank: int = 0
) -> list[Hypothesis]:
    """Return the best hypotheses of a whole matrix (frames, vocabulary)."""
    running = BeamSearch(options or BeamOptions(), scorer, blank)
    running.feed(log_probs)
    return running.finish()
