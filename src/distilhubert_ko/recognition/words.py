"""Words and their syllables on the time line of a recording, made from CTC tokens."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distilhubert_ko.audio.frames import frame_seconds
from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.text.hangul import COMPATIBILITY_JAMO, CONJOINING_JAMO
from distilhubert_ko.text.tokenizer import Tokenizer

WORD_GAP = 0.6
"""Seconds of silence that no word holds, although the model may see no reason to write a space there.

Less than the pause between segments. Within the words of real speech, 0.15 % of the gaps are as long (lab notes).
"""
LONGEST_RUN = 25
"""Frames for which a label is audible, half a second. A longer run was stretched over a silence or a noise.

In speech, no run is longer than 0.1 s (lab notes).
"""


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


@dataclass(frozen=True)
class Unwritten:
    """What was recognised and is no part of a text: a jamo that forms no syllable, or an unknown unit. In seconds."""

    text: str
    start: float
    end: float


def words_from_tokens(tokens: Sequence[Token], tokenizer: Tokenizer, seconds: float) -> tuple[Word, ...]:
    """Return the words of a recording of `seconds`, split at the word delimiter and at silences of WORD_GAP or more."""
    words = (word_from_tokens(run, tokenizer, seconds) for run in _runs(tokens, tokenizer))
    # Some tokens of others' vocabularies say nothing, such as the beginning of a text.
    return tuple(word for word in words if word.text)


def unwritten_from_tokens(tokens: Sequence[Token], tokenizer: Tokenizer, seconds: float) -> tuple[Unwritten, ...]:
    """Return what `words_from_tokens` leaves out of the words, in order."""
    groups = (
        (group, _spelt(group, tokenizer)) for run in _runs(tokens, tokenizer) for group in _groups(run, tokenizer)
    )
    return tuple(
        Unwritten(spelt, *_times(group, seconds)[:2])
        for group, spelt in groups
        if spelt and not _is_written(spelt, tokenizer)
    )


def word_from_tokens(run: Sequence[Token], tokenizer: Tokenizer, seconds: float, text: str | None = None) -> Word:
    """Return the word that a run of tokens, none a delimiter, spells in a recording of `seconds`.

    `text` is how the word is written, where that differs from what the tokens spell. Jamo that form one syllable are
    one syllable. Without `text`, jamo that form none and unknown units are left out, and the word may be empty.
    """
    groups = [(group, _spelt(group, tokenizer)) for group in _groups(run, tokenizer)]
    if text is None:
        groups = [(group, spelt) for group, spelt in groups if _is_written(spelt, tokenizer)]
    syllables = tuple(Syllable(spelt, *_times(group, seconds)) for group, spelt in groups)
    written = "".join(syllable.text for syllable in syllables)
    audible = [token for group, _ in groups for token in group] or run
    return Word(written if text is None else text, *_times(audible, seconds), syllables)


def _runs(tokens: Sequence[Token], tokenizer: Tokenizer) -> Iterator[list[Token]]:
    """Yield the tokens of each word."""
    run: list[Token] = []
    for token in tokens:
        spoken = token.id != tokenizer.delimiter_id
        if run and (not spoken or frame_seconds(token.start - audible_until(run[-1])) >= WORD_GAP):
            yield run
            run = []
        if spoken:
            run.append(token)
    if run:
        yield run


def _groups(run: Sequence[Token], tokenizer: Tokenizer) -> list[list[Token]]:
    """Return the tokens of a word by the characters that they spell together."""
    groups: list[list[Token]] = []
    for number, token in enumerate(run):
        if groups:
            joined = [*groups[-1], token]
            spelt = _spelt(joined, tokenizer)
            ahead = _spelt([*joined, *run[number + 1 : number + 2]], tokenizer)
            # A consonant that is written as a letter (ㄱ) belongs to a vowel that follows it.
            if len(spelt) == 1 and (len(ahead) == 1 or ahead.startswith(spelt)):
                groups[-1].append(token)
                continue
        groups.append([token])
    return groups


def _is_written(spelt: str, tokenizer: Tokenizer) -> bool:
    if spelt == tokenizer.unknown_token or CONJOINING_JAMO.fullmatch(spelt):
        return False
    # In a vocabulary of syllables, a letter such as ㅋ was written so in the text that it comes from.
    return tokenizer.units != "jamo" or not COMPATIBILITY_JAMO.fullmatch(spelt)


def audible_until(token: Token) -> int:
    """Return the frame at which the run of a token ends, or is no longer audible."""
    return min(token.end, token.start + LONGEST_RUN)


def phrases(words: Sequence[Word]) -> list[Sequence[Word]]:
    """Return the words cut where the speaker changes and at silences of WORD_GAP or more, which no word holds."""
    cuts = [
        number
        for number, (word, following) in enumerate(itertools.pairwise(words), start=1)
        if word.speaker != following.speaker or following.start - word.end >= WORD_GAP
    ]
    return [words[start:end] for start, end in itertools.pairwise([0, *cuts, len(words)])]


def joined_word(words: Sequence[Word], text: str) -> Word:
    """Return one word, written `text`, for words that follow one another. Its confidence weighs them by length."""
    weights = [len(word.text) for word in words]
    logs = [math.log(max(word.confidence, 1e-9)) for word in words]
    confidence = math.exp(sum(w * log for w, log in zip(weights, logs, strict=True)) / sum(weights))
    syllables = tuple(syllable for word in words for syllable in word.syllables)
    if len(words) == 1:
        confidence = words[0].confidence
    return Word(text, words[0].start, words[-1].end, confidence, syllables, words[0].speaker)


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
    end = min(frame_seconds(audible_until(run[-1])), seconds)
    return frame_seconds(run[0].start), end, math.exp(score)
