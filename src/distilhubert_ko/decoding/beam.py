"""Beam search: from log-probabilities to the likeliest texts, where a text may add a score of its own.

A hypothesis is a sequence of labels. Its score is the natural log-probability of the best single path that spells it,
plus what a `Scorer` gives the labels. The paths are those of `ctc`. Without a scorer, the best hypothesis is the best
path, at any width. Every label has the frames of a path. Hypotheses grow a frame at a time, as in the prefix search of
Graves et al. (ICML 2006, section 3.2), but with the maximum over paths in place of their sum.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.decoding.paths import (
    NEVER,
    NoScorer,
    PathRun,
    Scorer,
    SearchNode,
    chained_runs,
    covers,
    forget_dropped,
)
from distilhubert_ko.decoding.pruning import BeamOptions, Labels, tried_labels

HELD = 1500  # frames; hypotheses that have differed from the best one for so long are given up
TIDIED = 250  # frames after which labels are settled, and memory that no hypothesis needs is freed


@dataclass(frozen=True)
class Hypothesis:
    """Labels with the frames of their best path. `score` is that of the path, `acoustic`, and of the text together."""

    tokens: tuple[Token, ...]
    score: float
    acoustic: float


@dataclass
class BeamSearch:
    """A search that is fed an utterance's matrix (frames, vocabulary) piece by piece.

    Memory holds no more than the last HELD frames' hypotheses, and `settled`, the labels before on which all agree.
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
        self._stamp = 0  # of the last frame that was worked on, also while looking ahead
        self.settled: list[Token] = []
        self._base: PathRun | None = None  # the last run that is settled, which all paths go through
        self._blanks: list[float] = []  # the log-probabilities of the last frames, while no hypothesis has them

    def feed(self, log_probs: NDArray[np.floating]) -> None:
        """Take the next frames (frames, vocabulary). Raises InputError where the shape or the blank is wrong."""
        for candidates, blank in tried_labels(log_probs, self.blank, self.options):
            self._take(candidates, blank)
            if self._done % TIDIED == 0:
                self._rest()
                self.settle()  # first, so that what was settled between pieces makes no difference to what is old
                self._give_up_old()
                forget_dropped(self._beams)

    def look_ahead(self, log_probs: NDArray[np.floating]) -> list[PathRun]:
        """Return the runs of the best path after those that are settled, if these frames came next, and take none."""
        before = [(node, node.blank, node.blank_run, node.spoken, node.spoken_run) for node in self._beams]
        done, blanks = self._done, [*self._blanks]
        for candidates, chance in tried_labels(log_probs, self.blank, self.options):
            self._take(candidates, chance)
        best = self._chain(self._best_run())
        self._done, self._blanks = done, blanks
        self._beams = [each[0] for each in before]
        for node, blank, blank_run, spoken, spoken_run in before:
            node.blank, node.blank_run, node.spoken, node.spoken_run = blank, blank_run, spoken, spoken_run
        return best

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
            each = Hypothesis((*self.settled, *(link.token() for link in self._chain(run))), score, acoustic)
            best.setdefault(text(each) if text else number, each)
            if len(best) == self.options.n_best:
                break
        return [*best.values()]

    def _take(self, candidates: Labels, blank: float) -> None:
        if candidates:
            self._rest()
            self._advance(candidates, blank)
        else:
            self._blanks.append(blank)
        self._done += 1

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

    def _advance(self, candidates: Labels, blank: float) -> None:
        """Take one frame. `candidates` are its labels with log-probabilities, the likeliest first."""
        now, step = self._done, self._scorer.step
        self._stamp += 1
        stamp = self._stamp
        frame = dict(candidates)
        touched = []
        for node in self._beams:
            node.stamp = stamp
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
                if child.stamp != stamp:
                    child.stamp = stamp
                    child.new_blank, child.new_blank_run = NEVER, None
                    child.new_spoken, child.new_spoken_run = score, PathRun(run, label, now, now + 1, value)
                    touched.append(child)
                elif score > child.new_spoken:
                    child.new_spoken, child.new_spoken_run = score, PathRun(run, label, now, now + 1, value)
        self._select(touched)

    def _crowd(self, candidates: Labels) -> float:
        """Return a score that no more continuations reach than the scorer should be asked about."""
        most = self.options.tried
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

    def settle(self) -> None:
        """Move the labels on which all hypotheses agree, and whose frames are known, to those that are settled."""
        chain = self._chain(self._best_run())
        places = {id(link): place for place, link in enumerate(chain, 1)}
        shared = len(chain)
        for run, grows in self._runs():
            link = run
            while link is not self._base and link is not None and id(link) not in places:
                link = link.previous
            place = places.get(id(link), 0)
            shared = min(shared, place - 1 if grows and link is run else place)
        if shared > 0:
            self.settled += [link.token() for link in chain[:shared]]
            self._base = chain[shared - 1]
            self._base.previous = None

    def keep(self, last: PathRun | None) -> None:
        """Drop every path that does not end in `last`, or in what is settled, and then in blanks. One must."""
        self._rest()
        self._beams = [node for node in self._beams if node.blank_run is (last or self._base)]
        for node in self._beams:
            node.spoken, node.spoken_run = NEVER, None

    def give_up(self, link: PathRun) -> None:
        """Drop every path that does not go through `link`. One must."""
        for node in self._beams:
            if link not in self._chain(node.blank_run):
                node.blank, node.blank_run = NEVER, None
            if link not in self._chain(node.spoken_run):
                node.spoken, node.spoken_run = NEVER, None
        self._beams = [node for node in self._beams if max(node.blank, node.spoken) > NEVER]

    def _give_up_old(self) -> None:
        chain = self._chain(self._best_run())
        if chain and chain[0].start < self._done - HELD:
            old = [link for link in chain if link.end <= self._done - HELD // 2]
            self.give_up(old[-1] if old else chain[0])
            self.settle()

    def _chain(self, run: PathRun | None) -> list[PathRun]:
        """Return the runs of a path that are not settled, in order."""
        return chained_runs(run, self._base)

    def _best_run(self) -> PathRun | None:
        node = max(self._beams, key=lambda node: max(node.blank, node.spoken) + node.state.score)
        return node.blank_run if node.blank >= node.spoken else node.spoken_run

    def _runs(self) -> Iterator[tuple[PathRun | None, bool]]:
        """Yield the last run of each path, and whether the next frame may belong to it."""
        for node in self._beams:
            if node.blank > NEVER:
                yield node.blank_run, False
            if node.spoken > NEVER:
                yield node.spoken_run, not self._blanks


def search_beam(
    log_probs: NDArray[np.floating], options: BeamOptions | None = None, scorer: Scorer | None = None, blank: int = 0
) -> list[Hypothesis]:
    """Return the best hypotheses of a whole matrix (frames, vocabulary)."""
    running = BeamSearch(options or BeamOptions(), scorer, blank)
    running.feed(log_probs)
    return running.finish()
