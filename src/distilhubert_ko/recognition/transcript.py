"""Transcript: what a transcription gives."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.recognition.formats import render_transcript, speaker_label
from distilhubert_ko.recognition.segments import Layout, Segment, split_into_segments
from distilhubert_ko.recognition.words import (
    Unwritten,
    Word,
    joined_word,
    phrases,
    unwritten_from_tokens,
    words_from_tokens,
)
from distilhubert_ko.text.numbers import group_words, to_digits
from distilhubert_ko.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Alternative:
    """Another text that may be what was said; `score` is how many nats it is from the best one, so 0 or less."""

    text: str
    score: float


@dataclass(frozen=True)
class Transcript:
    """The words of one recording of `seconds`, and other texts that were asked for, likelier ones first.

    `unwritten` is what was recognised and is not part of the words.
    """

    words: tuple[Word, ...]
    seconds: float
    alternatives: tuple[Alternative, ...] = ()
    unwritten: tuple[Unwritten, ...] = ()

    @classmethod
    def from_tokens(cls, tokens: Sequence[Token], tokenizer: Tokenizer, seconds: float) -> "Transcript":
        """Return the transcript that CTC tokens spell."""
        unwritten = unwritten_from_tokens(tokens, tokenizer, seconds)
        return cls(words_from_tokens(tokens, tokenizer, seconds), seconds, unwritten=unwritten)

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    def with_digits(self) -> "Transcript":
        """Return the transcript with numbers in digits. A written number has the times of all its words."""
        words: list[Word] = []
        for spoken in phrases(self.words):
            groups = group_words([word.text for word in spoken])
            words += (joined_word(spoken[start:end], written) for start, end, written in groups)
        others = (replace(each, text=to_digits(each.text)) for each in self.alternatives)
        return replace(self, words=tuple(words), alternatives=tuple(others))

    @property
    def dialogue(self) -> str:
        """The text in one line, or of several speakers in one line per turn."""
        turns = itertools.groupby(self.segments, key=lambda segment: segment.speaker)
        lines = (speaker_label(speaker) + " ".join(segment.text for segment in turn) for speaker, turn in turns)
        return "\n".join(lines)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Segments of at most two lines of 18 characters; `segmented` gives others."""
        return self.segmented(Layout())

    def segmented(self, layout: Layout) -> tuple[Segment, ...]:
        """Return segments that end at pauses, at `layout`'s width and height, and at 7 s."""
        return split_into_segments(self.words, layout, self.seconds)

    def one_word_each(self) -> tuple[Segment, ...]:
        """Return a segment for each word."""
        return tuple(Segment(word.start, word.end, (word.text,), (word,)) for word in self.words)

    def to_txt(self) -> str:
        """Return the text with one line per segment."""
        return render_transcript(self, "txt")

    def to_srt(self) -> str:
        """Return the segments as SubRip subtitles."""
        return render_transcript(self, "srt")

    def to_vtt(self) -> str:
        """Return the segments as WebVTT subtitles."""
        return render_transcript(self, "vtt")

    def to_tsv(self) -> str:
        """Return a table of the segments, with times in milliseconds."""
        return render_transcript(self, "tsv")

    def to_json(self) -> str:
        """Return all that is known, as JSON with times in seconds."""
        return render_transcript(self, "json")
