"""Hot words: a bonus for hypotheses with given words, paid syllable by syllable, and taken back if a word breaks off.

The automaton is that of Aho and Corasick, "Efficient string matching: an aid to bibliographic search", CACM 1975, with
scores on its states, as contextual biasing uses it. A word counts wherever it stands, so particles may follow it.
"""

from collections import deque
from collections.abc import Iterable

from distilhubert_ko.errors import InputError
from distilhubert_ko.text.normalise import foreign_characters, normalise


class HotWordMatch:
    """The beginning of a hot word that a text ends with: `depth` characters, of which `owed` are not earned yet."""

    __slots__ = ("depth", "fallback", "following", "owed")

    def __init__(self, depth: int, owed: int):
        self.depth, self.owed = depth, owed
        self.following: dict[str, HotWordMatch] = {}
        self.fallback = self


class HotWords:
    """The words, each worth `weight` nats a character. Raises InputError for a word that is not Korean."""

    def __init__(self, words: Iterable[str], weight: float):
        self.start = HotWordMatch(0, 0)
        self.weight = weight
        self.characters: set[str] = set()
        for given in words:
            word = normalise(given, spell=True)
            if not word or foreign_characters(word):
                raise InputError(f"hot word {given!r}: write it in Hangul, as it is spoken")
            self._add(word)
            self.characters |= set(word)
        self._link()

    def _add(self, word: str) -> None:
        match = self.start
        for character in word:
            match = match.following.setdefault(character, HotWordMatch(match.depth + 1, match.depth + 1))
        match.owed = 0

    def _link(self) -> None:
        queue = deque([self.start])
        while queue:
            match = queue.popleft()
            for character, longer in match.following.items():
                longer.fallback = self.start if match is self.start else self.next(match.fallback, character)
                if longer.owed:  # what was earned by a shorter hot word within it is kept
                    kept = max(each.depth - each.owed for each in (match, longer.fallback))
                    longer.owed = longer.depth - kept
                queue.append(longer)

    def next(self, match: HotWordMatch, character: str) -> HotWordMatch:
        """Return the longest beginning of a hot word that the text ends with after one more character."""
        while character not in match.following and match is not self.start:
            match = match.fallback
        return match.following.get(character, self.start)

    def step(self, match: HotWordMatch, character: str) -> tuple[float, HotWordMatch]:
        """Return the gain in nats of one more character, and the match after it.

        A beginning that continues earns its next character. One that breaks off gives back what it owes, and the
        shorter beginning that is left of it earns all of its own.
        """
        after = match.following.get(character)
        if after is not None:
            return self.weight, after
        after = self.next(match, character)
        return self.weight * (after.depth - match.owed), after

    def end(self, match: HotWordMatch) -> float:
        """Return the gain if the text ends here: what it must give back."""
        return -self.weight * match.owed
