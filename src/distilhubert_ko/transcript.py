"""What a transcription gives: text, and words with times and confidences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from distilhubert_ko import audio
from distilhubert_ko.ctc import Token
from distilhubert_ko.text import Tokenizer


@dataclass(frozen=True)
class Word:
    """`start` and `end` in seconds; `confidence` in 0..1, the geometric mean over the word's units."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """The words of one recording of `seconds`."""

    words: tuple[Word, ...]
    seconds: float

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def from_tokens(tokens: Sequence[Token], tokenizer: Tokenizer, seconds: float) -> Transcript:
    """Words from CTC tokens, split at the word delimiter."""
    words: list[Word] = []
    run: list[Token] = []
    for token in [*tokens, None]:
        if token is not None and token.id != tokenizer.delimiter_id:
            run.append(token)
        elif run:
            words.append(_word(run, tokenizer, seconds))
            run = []
    return Transcript(tuple(words), seconds)


def _word(run: Sequence[Token], tokenizer: Tokenizer, seconds: float) -> Word:
    score = sum(token.score for token in run) / len(run)
    # A frame starts where its window does; the last window may end a little after its successor starts.
    end = min(audio.seconds(run[-1].end), seconds)
    return Word(tokenizer.decode(token.id for token in run), audio.seconds(run[0].start), end, math.exp(score))
