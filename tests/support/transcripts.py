"""Transcripts that tests make by hand."""

from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word


def spoken(*words: tuple[str, float, float]) -> Transcript:
    """Return a transcript of words with start and end in seconds, and 5 s of silence after them."""
    return Transcript(tuple(Word(text, start, end, 0.5) for text, start, end in words), words[-1][2] + 5)


TWO = spoken(("안녕하세요", 0.5, 1.2), ("여러분", 1.3, 1.75), ("반갑습니다", 3.0, 3.9))
"""Two segments, of two words and of one."""
