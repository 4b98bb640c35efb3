"""Segments: words that a subtitle shows together, split at pauses, at a width and height, and at a length."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distilhubert_ko.recognition.words import Word

PAUSE = 0.7  # seconds of silence between words that end a segment
SHORTEST = 1.0  # seconds that a segment is shown, where there is room
LONGEST = 7.0  # seconds of a segment
READABLE = 12.0  # characters a second that a subtitle may ask its reader to read (Netflix's Korean style guide)


@dataclass(frozen=True)
class Layout:
    """The width and height that a subtitle may have, in characters and lines.

    Netflix allows 16 characters in a line of Korean and counts a space as half of one, Korean broadcasters allow 20.
    """

    max_line_width: int = 18
    max_line_count: int = 2

    def lines(self, words: Sequence[Word]) -> list[str]:
        """Return the words in lines no wider than allowed; a longer word has a line of its own."""
        lines = [words[0].text]
        for word in words[1:]:
            if len(lines[-1]) + 1 + len(word.text) <= self.max_line_width:
                lines[-1] += f" {word.text}"
            else:
                lines.append(word.text)
        return lines


@dataclass(frozen=True)
class Segment:
    """Words that are shown together. `end` may lie after the last word, so that there is time to read."""

    start: float
    end: float
    lines: tuple[str, ...]
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    @property
    def speaker(self) -> int | None:
        """The speaker of all its words, counted from 1, None where speakers were not told apart."""
        return self.words[0].speaker

    @property
    def confidence(self) -> float:
        """In 0..1: the geometric mean over the words, each weighed by its length."""
        weights = [len(word.text) for word in self.words]
        logs = [math.log(max(word.confidence, 1e-9)) for word in self.words]
        return math.exp(sum(w * log for w, log in zip(weights, logs, strict=True)) / sum(weights))


def split_into_segments(words: Sequence[Word], layout: Layout, seconds: float) -> tuple[Segment, ...]:
    """Return the words of a recording of `seconds` in segments, those of each speaker apart, sorted by their starts.

    A segment ends at a PAUSE, where `layout` is full, and before LONGEST. One too quick to read stays until it can be
    read and for SHORTEST, or until the next one of the same speaker starts. If that comes before SHORTEST, the pause
    between them ends no segment.
    """
    speakers = dict.fromkeys(word.speaker for word in words)
    lanes = ([word for word in words if word.speaker == speaker] for speaker in speakers)
    found = [segment for lane in lanes for segment in _segments(lane, layout, seconds)]
    return tuple(sorted(found, key=lambda segment: segment.start) if len(speakers) > 1 else found)


def _segments(words: Sequence[Word], layout: Layout, seconds: float) -> list[Segment]:
    groups = list(_groups(words, layout))
    segments = []
    for number, group in enumerate(groups, start=1):
        following = groups[number][0].start if number < len(groups) else seconds
        lines = layout.lines(group)
        wanted = group[0].start + max(SHORTEST, sum(map(len, lines)) / READABLE)
        end = min(max(group[-1].end, min(wanted, following)), group[0].start + LONGEST)
        segments.append(Segment(group[0].start, end, tuple(lines), tuple(group)))
    return segments


def _groups(words: Sequence[Word], layout: Layout) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and (
            (word.start - group[-1].end >= PAUSE and word.start - group[0].start >= SHORTEST)
            or word.end - group[0].start > LONGEST
            or len(layout.lines([*group, word])) > layout.max_line_count
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group
