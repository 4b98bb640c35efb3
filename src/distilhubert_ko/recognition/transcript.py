"""What a transcription gives: words with times, the segments that subtitles show, and the files that hold them."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from distilhubert_ko.audio.frames import FRAMES
from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.text.tokenizer import Tokenizer

FORMATS = ("txt", "srt", "vtt", "tsv", "json")
PARTED = 1.0  # seconds of silence that no word holds, although the model may see no reason to write a space there
PAUSE = 0.7  # seconds of silence between words that end a segment
LONGEST = 7.0  # seconds of a segment
READABLE = 12.0  # characters a second that a subtitle may ask its reader to read (Netflix's Korean style guide)


@dataclass(frozen=True)
class Syllable:
    """A written syllable. `start` and `end` in seconds; `confidence` in 0..1, the geometric mean over its units."""

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Word:
    """As a syllable; its `syllables` follow one another within it."""

    text: str
    start: float
    end: float
    confidence: float
    syllables: tuple[Syllable, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How wide and how high a subtitle may be, in characters and lines."""

    max_line_width: int = 32
    max_line_count: int = 1

    def lines(self, words: Sequence[Word]) -> list[str]:
        """The words in lines no wider than allowed; a longer word has a line of its own."""
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
    def confidence(self) -> float:
        """In 0..1: the geometric mean over the words, each weighed by its length."""
        weights = [len(word.text) for word in self.words]
        logs = [math.log(max(word.confidence, 1e-9)) for word in self.words]
        return math.exp(sum(w * log for w, log in zip(weights, logs, strict=True)) / sum(weights))


@dataclass(frozen=True)
class Alternative:
    """Another text that may be what was said; `score` is how many nats it is from the best one, so 0 or less."""

    text: str
    score: float


@dataclass(frozen=True)
class Transcript:
    """The words of one recording of `seconds`, and other texts that were asked for, likelier ones first."""

    words: tuple[Word, ...]
    seconds: float
    alternatives: tuple[Alternative, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Segments of one line of at most 32 characters; `segmented` gives others."""
        return self.segmented(Layout())

    def segmented(self, layout: Layout) -> tuple[Segment, ...]:
        """Segments that end at pauses, at `layout`'s width and height, and at 7 s.

        A segment too quick to read stays until it can be read, or until the next one starts.
        """
        groups = list(_groups(self.words, layout))
        segments = []
        for number, group in enumerate(groups, start=1):
            following = groups[number][0].start if number < len(groups) else self.seconds
            lines = layout.lines(group)
            wanted = group[0].start + sum(map(len, lines)) / READABLE
            end = max(group[-1].end, min(wanted, following))
            segments.append(Segment(group[0].start, end, tuple(lines), tuple(group)))
        return tuple(segments)

    def one_word_each(self) -> tuple[Segment, ...]:
        """A segment for each word."""
        return tuple(Segment(word.start, word.end, (word.text,), (word,)) for word in self.words)

    def to_txt(self) -> str:
        """A line a segment."""
        return write(self, "txt")

    def to_srt(self) -> str:
        return write(self, "srt")

    def to_vtt(self) -> str:
        return write(self, "vtt")

    def to_tsv(self) -> str:
        return write(self, "tsv")

    def to_json(self) -> str:
        return write(self, "json")


def from_tokens(tokens: Sequence[Token], tokenizer: Tokenizer, seconds: float) -> Transcript:
    """Words from CTC tokens, split at the word delimiter and at silences of PARTED or more."""
    words: list[Word] = []
    run: list[Token] = []
    for token in tokens:
        spoken = token.id != tokenizer.delimiter_id
        if run and (not spoken or FRAMES.seconds(token.start - run[-1].end) >= PARTED):
            words.append(word(run, tokenizer, seconds))
            run = []
        if spoken:
            run.append(token)
    if run:
        words.append(word(run, tokenizer, seconds))
    # Some tokens of others' vocabularies say nothing, such as the beginning of a text.
    return Transcript(tuple(word for word in words if word.text), seconds)


def settled(tokens: Sequence[Token], tokenizer: Tokenizer) -> int:
    """How many of the tokens so far make words that no later token can change: those up to the last delimiter."""
    ends = [number for number, token in enumerate(tokens, 1) if token.id == tokenizer.delimiter_id]
    return ends[-1] if ends else 0


def word(run: Sequence[Token], tokenizer: Tokenizer, seconds: float, text: str | None = None) -> Word:
    """The word that a run of tokens, none a delimiter, spells in a recording of `seconds`; `text` as written by others.

    Jamo that form one syllable are one syllable.
    """
    groups: list[list[Token]] = []
    for token in run:
        if groups and len(_spelt([*groups[-1], token], tokenizer)) == 1:
            groups[-1].append(token)
        else:
            groups.append([token])
    syllables = tuple(Syllable(_spelt(group, tokenizer), *_times(group, seconds)) for group in groups)
    return Word(_spelt(run, tokenizer) if text is None else text, *_times(run, seconds), syllables)


def write(transcript: Transcript, form: str, segments: Sequence[Segment] | None = None) -> str:
    """The transcript as the text of a file: txt, srt (SubRip), vtt (WebVTT), tsv or json.

    TSV has start and end in integer milliseconds, JSON seconds, segments, words and confidences.
    """
    shown = transcript.segments if segments is None else segments
    match form:
        case "txt":
            return "".join(f"{segment.text}\n" for segment in shown)
        case "srt":
            cues = (f"{number}\n{_cue(each, ',')}\n" for number, each in enumerate(shown, start=1))
            return "\n".join(cues)
        case "vtt":
            return "\n".join(["WEBVTT\n", *(f"{_cue(each, '.', escape=True)}\n" for each in shown)])
        case "tsv":
            rows = (f"{_milliseconds(s.start)}\t{_milliseconds(s.end)}\t{s.text}\n" for s in shown)
            return "".join(["start\tend\ttext\n", *rows])
        case "json":
            return json.dumps(_table(transcript, shown), ensure_ascii=False, indent=2) + "\n"
    raise ValueError(f"{form!r} is no transcript format: choose one of {', '.join(FORMATS)}")


def _groups(words: Sequence[Word], layout: Layout) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and (
            word.start - group[-1].end >= PAUSE
            or word.end - group[0].start > LONGEST
            or len(layout.lines([*group, word])) > layout.max_line_count
        ):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _spelt(run: Sequence[Token], tokenizer: Tokenizer) -> str:
    return tokenizer.decode(token.id for token in run)


def _times(run: Sequence[Token], seconds: float) -> tuple[float, float, float]:
    """Start, end and confidence of a run."""
    score = sum(token.score for token in run) / len(run)
    # A frame starts where its window does; the last window may end a little after its successor starts.
    end = min(FRAMES.seconds(run[-1].end), seconds)
    return FRAMES.seconds(run[0].start), end, math.exp(score)


def _cue(segment: Segment, point: str, escape: bool = False) -> str:
    lines = "\n".join(segment.lines)
    if escape:  # what WebVTT would take for markup
        lines = lines.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"{_clock(segment.start, point)} --> {_clock(segment.end, point)}\n{lines}"


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(_milliseconds(seconds), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _table(transcript: Transcript, segments: Sequence[Segment]) -> dict[str, Any]:
    return {
        "text": transcript.text,
        "language": "ko",
        "duration": round(transcript.seconds, 3),
        "segments": [
            {
                "id": number,
                "start": round(segment.start, 3),
                "end": round(segment.end, 3),
                "text": segment.text,
                "confidence": round(segment.confidence, 4),
                "words": [_rounded(asdict(word)) for word in segment.words],
            }
            for number, segment in enumerate(segments)
        ],
        **(
            {"alternatives": [_rounded(asdict(each)) for each in transcript.alternatives]}
            if transcript.alternatives
            else {}
        ),
    }


def _rounded(value: Any) -> Any:
    """`value` with every float in it, however deep, in four decimals."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case tuple():
            return [_rounded(each) for each in value]
    return value
