"""The score of a hypothesis' text in a beam search, by a language model and hot words, for any units of the network.

Labels that are jamo are scored in the syllables that they compose. A syllable that could still get a final consonant
counts as the likeliest syllable that it can become. So the score of a hypothesis only falls towards that of its text,
and no good hypothesis is dropped because a syllable was not finished.
"""

from collections.abc import Hashable, Sequence
from typing import Any

from distilhubert_ko.decoding.hotwords import HotWordMatch, HotWords
from distilhubert_ko.decoding.kneser_ney import END
from distilhubert_ko.decoding.language_model import BOUNDARY, LN10, LanguageModel, LmWeights
from distilhubert_ko.decoding.paths import Scorer, ScorerState
from distilhubert_ko.text.hangul import compose, decompose, jamo_roles
from distilhubert_ko.text.tokenizer import Tokenizer


class Written:
    """A text, as far as it decides the score of what follows: model state, unfinished word, and match of hot words.

    After a space, `bare` is the gain of the space and the text before it, for a text that ends in a space.
    """

    __slots__ = ("bare", "match", "state", "word")

    def __init__(self, state: Any, word: str, match: HotWordMatch, bare: "tuple[float, Written] | None" = None):
        self.state, self.word, self.match, self.bare = state, word, match, bare

    @property
    def key(self) -> Hashable:
        return self.state, self.word, self.match


class TextScore:
    """The gain of a text by each character, a Hangul syllable or a space, from the language model and the hot words.

    A space at the beginning, at the end or after a space is not written, and gains nothing.
    """

    def __init__(self, model: LanguageModel | None, weights: LmWeights, hotwords: HotWords):
        self.model, self.weights, self.hotwords = model, weights, hotwords
        self._unknown = weights.alpha * weights.unk_score_offset * LN10
        self.start = Written(model.start if model else None, "", hotwords.start)
        self.most = (max(weights.beta, 0.0) if model else 0.0) + (2 * hotwords.weight if hotwords.characters else 0.0)

    def add(self, written: Written, character: str) -> tuple[float, Written]:
        """Return the gain of one more character, and the text with it."""
        space = character == " "
        if space and (written is self.start or written.bare):
            return 0.0, written
        gain, match = self.hotwords.step(written.match, character) if self.hotwords.characters else (0.0, written.match)
        state, word = written.state, written.word
        if self.model is not None:
            if not self.model.of_words:
                more, state = self._unit(state, BOUNDARY if space else character)
                gain += more
            elif not space:
                if self._leaves(word, character):
                    gain += self._unknown
                word += character
            else:
                more, state = self._unit(state, word)
                gain, word = gain + more, ""
        return gain, Written(state, word, match, (gain, written) if space else None)

    def best(self, written: Written, characters: Sequence[str]) -> float:
        """Return the highest gain of some characters, one or more, or somewhat more than that."""
        if self.hotwords.characters:
            return max(self.add(written, character)[0] for character in characters)
        if self.model is None:
            return 0.0
        if self.model.of_words:
            return self._unknown if all(self._leaves(written.word, each) for each in characters) else 0.0
        return self.weights.alpha * self.model.best(written.state, characters) + self.weights.beta

    def end(self, written: Written) -> float:
        """Return the gain if the text ends there."""
        if written.bare:
            gain, before = written.bare
            return self.end(before) - gain
        gain = self.hotwords.end(written.match)
        if self.model is not None:
            state = written.state
            if written.word:
                more, state = self._unit(state, written.word)
                gain += more
            gain += self.weights.alpha * self.model.score(state, END)[0]
        return gain

    def _unit(self, state: Any, unit: str) -> tuple[float, Any]:
        assert self.model is not None
        score, after = self.model.score(state, unit)
        gain = self.weights.alpha * score + self.weights.beta
        if self._unknown and unit not in self.model and (self.model.begins is None or unit in self.model.begins):
            gain += self._unknown
        return gain, after

    def _leaves(self, word: str, character: str) -> bool:
        """Tell whether a word becomes unknown with this character, so that its offset is due before the word ends."""
        begins = self.model.begins if self.model else None
        return begins is not None and word + character not in begins and (not word or word in begins)


class _Whole:
    """A text in whole characters."""

    __slots__ = ("score", "written")

    def __init__(self, score: float, written: Written):
        self.score, self.written = score, written

    @property
    def key(self) -> Hashable:
        return self.written.key


class SyllableScorer:
    """Scores labels that are syllables."""

    def __init__(self, tokenizer: Tokenizer, worth: TextScore):
        self.gain = worth.most
        self.start: ScorerState = _Whole(0.0, worth.start)
        self._worth = worth
        self._characters = label_characters(tokenizer)

    def step(self, state: Any, label: int) -> ScorerState:
        character = self._characters[label]
        if not character:
            return state
        gain, written = self._worth.add(state.written, character)
        return _Whole(state.score + gain, written)

    def end(self, state: Any) -> float:
        return state.score + self._worth.end(state.written)


class _Growing:
    """A text whose last syllable may grow.

    `written` is the text before the jamo of that syllable, `pending`, and its score is `settled`. `closed` is the score
    and the text with the syllable as it stands, once known. `shorter` is the state without a final consonant that may
    begin another syllable; `lead` is that consonant.
    """

    __slots__ = ("closed", "lead", "pending", "score", "settled", "shorter", "written")

    def __init__(self, settled: float, written: Written, pending: str):
        self.settled, self.written, self.pending = settled, written, pending
        self.score = settled
        self.closed: tuple[float, Written] | None = None
        self.shorter: _Growing | None = None
        self.lead = ""

    @property
    def key(self) -> Hashable:
        return self.written.state, self.written.word, self.written.match, self.pending


class JamoScorer:
    """Scores labels that are jamo, in the syllables that they compose."""

    def __init__(self, tokenizer: Tokenizer, worth: TextScore):
        self.gain = worth.most
        self.start: ScorerState = _Growing(0.0, worth.start, "")
        self._worth = worth
        self._characters = label_characters(tokenizer)
        self._roles = [jamo_roles(character) for character in self._characters]
        self._grown = _grown(worth)

    def step(self, state: Any, label: int) -> ScorerState:
        first, medial, final = self._roles[label]
        pending = state.pending
        if final and len(pending) == 2:
            grown = self._pend(state.settled, state.written, pending + final)
            if first:
                grown.shorter, grown.lead = state, first
            return grown
        if medial and len(pending) == 1:
            return self._pend(state.settled, state.written, pending + medial)
        if medial and state.shorter is not None:
            return self._pend(*self._close(state.shorter), state.lead + medial)
        if first:
            return self._pend(*self._close(state), first)
        character = self._characters[label]
        if not character:
            return state
        score, written = self._close(state)
        gain, written = self._worth.add(written, character)
        return _Growing(score + gain, written, "")

    def end(self, state: Any) -> float:
        score, written = self._close(state)
        return score + self._worth.end(written)

    def _pend(self, settled: float, written: Written, pending: str) -> _Growing:
        state = _Growing(settled, written, pending)
        if len(pending) == 2:
            state.score += self._worth.best(written, self._grown.get(pending) or [compose(pending)])
        elif len(pending) == 3:
            state.score, _ = self._close(state)
        return state

    def _close(self, state: _Growing) -> tuple[float, Written]:
        if not state.pending:
            return state.settled, state.written
        if state.closed is None:
            gain, written = self._worth.add(state.written, compose(state.pending))
            state.closed = state.settled + gain, written
        return state.closed


def _grown(worth: TextScore) -> dict[str, list[str]]:
    """Return what an initial and a medial may become: their own syllable, and all that the model or a hot word has."""
    grown: dict[str, list[str]] = {}
    for code in range(ord("가"), ord("힣") + 1):
        syllable = chr(code)
        model = worth.model
        known = syllable in worth.hotwords.characters or (
            model is not None and (model.begins is not None or syllable in model)
        )
        if known or (code - ord("가")) % 28 == 0:
            grown.setdefault(decompose(syllable)[:2], []).append(syllable)
    return grown


def label_characters(tokenizer: Tokenizer) -> list[str]:
    """Return what each label writes: a character, a space, or "" for those that say nothing."""
    silent = {tokenizer.blank_token, tokenizer.bos_token, tokenizer.eos_token}
    space = tokenizer.delimiter_token
    return [
        " " if token == space else "" if token in silent else token.lower() if tokenizer.lower_case else token
        for token in tokenizer.tokens
    ]


def text_scorer(
    tokenizer: Tokenizer, model: LanguageModel | None, weights: LmWeights, hotwords: HotWords
) -> Scorer | None:
    """Return the scorer of texts of this vocabulary, or None where there is neither a model nor a hot word."""
    if model is None and not hotwords.characters:
        return None
    worth = TextScore(model, weights, hotwords)
    return JamoScorer(tokenizer, worth) if tokenizer.units == "jamo" else SyllableScorer(tokenizer, worth)
