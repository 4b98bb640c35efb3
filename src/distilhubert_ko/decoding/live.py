"""Decoding of a matrix that comes block by block, where what has been said to be final never changes.

Each block has frames that are final, and frames ahead of them, which are given again with the next block and may then
differ. Frames ahead are never taken into a hypothesis. But they help to choose between hypotheses.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.decoding.beam import BeamSearch
from distilhubert_ko.decoding.ctc import Token, extend_tokens
from distilhubert_ko.decoding.paths import PathRun


class LiveDecoder(Protocol):
    """What a stream decodes with. `open` holds tokens of final frames that it may take out, from the first on.

    Their order is that of the whole matrix, and none of them changes, but for a last one that a next frame prolongs.
    """

    open: list[Token]

    def take(self, final: NDArray[np.floating], ahead: NDArray[np.floating]) -> None:
        """Take the next frames that are final, and those ahead of them, (frames, vocabulary) each."""

    def last(self) -> Token | None:
        """Return the last token of the frames that are final in the likeliest text, if it is not taken out yet."""

    def rest(self) -> list[Token]:
        """Return all tokens of the likeliest text, frames ahead included, that are not taken out yet."""

    def settle(self) -> None:
        """Make the likeliest text of the final frames the only one, and open all its tokens."""

    def finish(self) -> None:
        """Do the same at the end of the matrix."""


class LiveGreedy:
    """The best path."""

    def __init__(self, blank: int):
        self._blank = blank
        self._done = 0  # frames
        self.open: list[Token] = []

    def take(self, final: NDArray[np.floating], ahead: NDArray[np.floating]) -> None:
        extend_tokens(self.open, final, self._done, self._blank)
        self._done += len(final)
        self._ahead = ahead

    def last(self) -> Token | None:
        return self.open[-1] if self.open else None

    def rest(self) -> list[Token]:
        tokens = list(self.open)
        extend_tokens(tokens, self._ahead, self._done, self._blank)
        return tokens

    def settle(self) -> None: ...

    def finish(self) -> None: ...


class LiveBeam:
    """A beam search. A token is open once all hypotheses agree on it.

    A space of the likeliest text that ended `wait` final frames ago, or more, opens all tokens up to it: hypotheses
    that disagree are dropped. The likeliest text is that after the frames ahead, so no more waiting is needed (see the
    lab notes).
    """

    def __init__(self, search: BeamSearch, space: int | None, wait: float = 0):
        self._search, self._space, self._wait = search, space, wait
        self._done = 0  # frames
        self.open = search.settled

    def take(self, final: NDArray[np.floating], ahead: NDArray[np.floating]) -> None:
        self._search.feed(final)
        self._done += len(final)
        self._best = self._search.look_ahead(ahead)
        due = self._done - self._wait
        old = [run for run in self._best if run.label == self._space and run.end <= due]
        if old:
            self._search.give_up(old[-1])
        self._settle()

    def last(self) -> Token | None:
        certain = self._certain()
        return certain[-1].token() if certain else self.open[-1] if self.open else None

    def rest(self) -> list[Token]:
        return [*self.open, *(run.token() for run in self._best)]

    def settle(self) -> None:
        certain = self._certain()
        self._search.keep(certain[-1] if certain else None)
        self._settle()

    def finish(self) -> None:
        (found,) = self._search.finish()
        self.open[:] = found.tokens
        self._best = []

    def _certain(self) -> list[PathRun]:
        """Return the runs of the likeliest text that begin in frames that are final and are not settled."""
        return [run for run in self._best if run.start < self._done]

    def _settle(self) -> None:
        known = len(self.open)
        self._search.settle()
        del self._best[: len(self.open) - known]
