"""The text of a recording that has become final while the rest is still being recognised."""

from collections.abc import Sequence

from distilhubert_ko.audio.frames import frame_seconds
from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word, phrases, settled_count, words_from_tokens
from distilhubert_ko.text.tokenizer import Tokenizer


class SettledText:
    """Takes the tokens that have become final, and gives the text that no later one can change.

    The parts of it, joined by spaces, begin the text of the transcript. Digits cannot be known before their phrase has
    ended, so `in_digits` gives whole phrases.
    """

    def __init__(self, tokenizer: Tokenizer, in_digits: bool):
        self._tokenizer, self._in_digits = tokenizer, in_digits
        self._taken = 0  # tokens
        self._held: list[Word] = []  # of a phrase that may continue

    def next(self, tokens: Sequence[Token]) -> str:
        """Return the text that follows what was given before, of all final tokens from the first one on."""
        fresh = tokens[self._taken :]
        fresh = fresh[: settled_count(fresh, self._tokenizer)]
        if not fresh:
            return ""
        self._taken += len(fresh)
        seconds = frame_seconds(fresh[-1].end)
        words = [*self._held, *words_from_tokens(fresh, self._tokenizer, seconds)]
        if self._in_digits:
            *ended, last = phrases(words)
            self._held, words = [*last], [word for phrase in ended for word in phrase]
        found = Transcript(tuple(words), seconds)
        return (found.with_digits() if self._in_digits else found).text
