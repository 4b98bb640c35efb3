"""Transcripts that tests make by hand."""

import re
import unicodedata

from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word


def spoken(*words: tuple[str, float, float]) -> Transcript:
    """Return a transcript of words with start and end in seconds, and 5 s of silence after them."""
    return Transcript(tuple(Word(text, start, end, 0.5) for text, start, end in words), words[-1][2] + 5)


TWO = spoken(("안녕하세요", 0.5, 1.2), ("여러분", 1.3, 1.75), ("반갑습니다", 3.0, 3.9))
"""Two segments, of two words and of one."""


def heard(transcript: Transcript) -> str:
    """Return all that was heard, in the order of time and without spaces: what is written, and what is not."""
    written = [(syllable.start, syllable.text) for word in transcript.words for syllable in word.syllables]
    parts = [*written, *((one.start, one.text) for one in transcript.unwritten)]
    return letters("".join(text for _, text in sorted(parts, key=lambda part: part[0])))


def letters(text: str) -> str:
    """Return a text without spaces, and Hangul as the letters of its jamo, whichever form it is in."""
    names = (unicodedata.name(one) for one in unicodedata.normalize("NFD", "".join(text.split())))
    return "".join(unicodedata.lookup(re.sub("CHOSEONG|JUNGSEONG|JONGSEONG", "LETTER", name)) for name in names)
