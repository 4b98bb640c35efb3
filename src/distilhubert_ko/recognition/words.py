"""Words and their syllables on the time line of a recording, made from CTC tokens."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from distilhubert_ko.audio.frames import frame_seconds
from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.text.tokenizer import Tokenizer

WORD_GAP = 1.0  # seconds of silence that no word holds, although the model may see no reason to write a space there


@dataclass(frozen=True)
class Syllable:
    """A written syllable. `start` and `end` in seconds; `confidence` in 0..1, the geometric mean over its units."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Word:
    """A written word, with times and a confidence like a syllable's. Its `syllables` follow one another within it.

    `speaker` is counted from 1, None where the speakers of a recording were not told apart.
    """

    text: str
    start: float
    end: float
    confidence: float
    syllables: tuple[Syllable, ...] = ()
    speaker: int | None = None


def words_from_tokens(tokens: Sequence[Token], tokenizer: Tokenizer, seconds: float) -> tuple[Word, ...]:
    """Return the words of a recording of `seconds`, split at the word delimiter and at silences of WORD_GAP or more."""
    words: list[Word] = []
    run: list[Token] = []
    for token in tokens:
        spoken = token.id != tokenizer.delimiter_id
        if run and (not spoken or frame_seconds(token.start - run[-1].end) >= WORD_GAP):
            words.append(word_from_tokens(run, tokenizer, seconds))
            run = []
        if spoken:
            run.append(token)
    if run:
        words.append(word_from_tokens(run, tokenizer, seconds))
    # Some tokens of others' vocabularies say nothing, such as the beginning of a text.
    return tuple(word for word in words if word.text)


def word_from_tokens(run: Sequence[Token], tokenizer: Tokenizer, seconds: float, text: str | None = None) -> Word:
    """Return the word that a run of tokens, none a delimiter, spells in a recording of `seconds`.

    `text` is how the word is written, where that differs from what the tokens spell. Jamo that form one syllable are
    one syllable.
    """
    groups: list[list[Token]] = []
    for token in run:
        if groups and len(_spelt([*groups[-1], token], tokenizer)) == 1:
            groups[-1].append(token)
        else:
            groups.append([token])
    syllables = tuple(Syllable(_spelt(group, tokenizer), *_times(group, seconds)) for group in groups)
    return Word(_spelt(run, tokenizer) if text is None else text, *_times(run, seconds), syllables)


def settled_count(tokens: Sequence[Token], tokenizer: Tokenizer) -> int:
    """Return how many tokens make words that no later token can change: those up to the last delimiter."""
    ends = [number for number, token in enumerate(tokens, 1) if token.id == tokenizer.delimiter_id]
    return ends[-1] if ends else 0


def _spelt(run: Sequence[Token], tokenizer: Tokenizer) -> str:
    return tokenizer.decode(token.id for token in run)


def _times(run: Sequence[Token], seconds: float) -> tuple[float, float, float]:
    """Return the start, end and confidence of a run."""
    score = sum(token.score for token in run) / len(run)
    # A frame starts where its window does; the last window may end a little after its successor starts.
    end = min(frame_seconds(run[-1].end), seconds)
    return frame_seconds(run[0].start), end, math.exp(score)
