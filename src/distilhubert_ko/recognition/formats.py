"""The file formats of transcripts: one class each, and FORMATS, from which every list of formats derives.

To add a format, write its class, put it into FORMATS, and test it. The classes need nothing at run time but the data
that they are given, so the command can list the formats before it imports anything heavy.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distilhubert_ko.recognition.segments import Segment
    from distilhubert_ko.recognition.transcript import Transcript
    from distilhubert_ko.recognition.words import Syllable, Word


class Numerals(StrEnum):
    """How a transcript writes numbers: as they were said, or in digits where they surely are numbers."""

    WORDS = "words"
    DIGITS = "digits"


class Format(ABC):
    """A file format. `extension` is that of its files; the rest says where the format is on offer."""

    extension: str
    transcribed = True  # `transcribe` writes it
    aligned = True  # `align` writes it
    served = False  # the server's transcriptions may ask for it

    @abstractmethod
    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        """Return a transcript, shown in `segments`, as the text of a file."""


class PlainText(Format):
    """Plain text, one line per segment."""

    extension = "txt"
    aligned = False

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        return "".join(f"{speaker_label(segment.speaker)}{segment.text}\n" for segment in segments)


class SubRip(Format):
    """SubRip subtitles."""

    extension = "srt"
    served = True

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        cues = (f"{number}\n{_cue(each, ',')}\n" for number, each in enumerate(segments, start=1))
        return "\n".join(cues)


class WebVtt(Format):
    """WebVTT subtitles."""

    extension = "vtt"
    served = True

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        return "\n".join(["WEBVTT\n", *(f"{_cue(each, '.', escape=True)}\n" for each in segments)])


ASS_HEADER = """[Script Info]
ScriptType: v4.00+
PlayResX: 1920
PlayResY: 1080
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Malgun Gothic,64,&H00FFFFFF,&H00FFFFFF,&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,3,1,2,60,60,60,129

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""  # white with a black edge, below and in the middle; 129 is the character set of Hangul
WORD_JOINER = "\u2060"


class AdvancedSubStation(Format):
    """Advanced SubStation Alpha subtitles, in one style, with the speaker as the name of an event's actor."""

    extension = "ass"

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        return ASS_HEADER + "".join(self._event(each) for each in segments)

    @staticmethod
    def _event(segment: "Segment") -> str:
        """Return a line of [Events]. As FFmpeg, it breaks up what a player would take for markup."""
        lines = (line.replace("\\", f"\\{WORD_JOINER}").replace("{", r"\{") for line in segment.lines)
        text = r"\N".join(lines)
        hundredths = _hundredths(segment.start), _hundredths(segment.end)
        times = ",".join(f"{each // 360_000}:{each // 6_000 % 60:02}:{_seconds(each)}" for each in hundredths)
        name = speaker_label(segment.speaker).removesuffix(": ")
        return f"Dialogue: 0,{times},Default,{name},0,0,0,,{text}\n"


class Lrc(Format):
    """Lyrics with times: one line per segment. A time without text clears the line where a pause follows it."""

    extension = "lrc"

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        lines = []
        for number, each in enumerate(segments, start=1):
            lines.append(f"{self._stamp(each.start)}{speaker_label(each.speaker)}{each.text}\n")
            if number == len(segments) or _hundredths(each.end) < _hundredths(segments[number].start):
                lines.append(f"{self._stamp(each.end)}\n")
        return "".join(lines)

    @staticmethod
    def _stamp(seconds: float) -> str:
        hundredths = _hundredths(seconds)
        return f"[{hundredths // 6_000:02}:{_seconds(hundredths)}]"


class Tsv(Format):
    """A table of the segments: start and end in whole milliseconds, the speaker if known, and the text."""

    extension = "tsv"

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        known = any(segment.speaker for segment in segments)
        rows = [("start", "end", *(["speaker"] if known else []), "text")]
        for each in segments:
            times = str(_milliseconds(each.start)), str(_milliseconds(each.end))
            rows.append((*times, *([str(each.speaker)] if known else []), each.text))
        return "".join("\t".join(row) + "\n" for row in rows)


class Json(Format):
    """All that is known of a transcript: segments, words and syllables, with times in seconds and confidences."""

    extension = "json"

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        table: dict[str, Any] = {
            "text": transcript.text,
            "language": "ko",
            "duration": round(transcript.seconds, 3),
            "segments": [
                {
                    "id": number,
                    "start": round(segment.start, 3),
                    "end": round(segment.end, 3),
                    **({"speaker": segment.speaker} if segment.speaker else {}),
                    "text": segment.text,
                    "confidence": round(segment.confidence, 4),
                    "words": [_word(word) for word in segment.words],
                }
                for number, segment in enumerate(segments)
            ],
        }
        for name in ("alternatives", "unwritten"):
            if found := getattr(transcript, name):
                table[name] = [_rounded(asdict(each)) for each in found]
        return json.dumps(table, ensure_ascii=False, indent=2) + "\n"


class TextGrid(Format):
    """Praat's TextGrid in its long text format, with the tiers `words` and `syllables`; it shows no segments.

    The intervals of a tier lie end to end from 0 s to the end of the recording; the empty ones say nothing. The format
    is in Praat's manual under "TextGrid file formats".
    """

    extension = "TextGrid"  # as Praat spells it
    transcribed = False

    def render(self, transcript: "Transcript", segments: "Sequence[Segment]") -> str:
        tiers: dict[str, Sequence[Word | Syllable]] = {
            "words": transcript.words,
            "syllables": [syllable for word in transcript.words for syllable in word.syllables],
        }
        lines = [
            'File type = "ooTextFile"',
            'Object class = "TextGrid"',
            "",
            *self._span(0.0, transcript.seconds),
            "tiers? <exists>",
            f"size = {len(tiers)}",
            "item []:",
        ]
        for number, (name, spoken) in enumerate(tiers.items(), start=1):
            lines.append(f"    item [{number}]:")
            lines += [f"        {line}" for line in self._tier(name, spoken, transcript.seconds)]
        return "\n".join(lines) + "\n"

    def _tier(self, name: str, spoken: "Sequence[Word | Syllable]", seconds: float) -> Iterator[str]:
        intervals = list(self._intervals(spoken, seconds))
        yield 'class = "IntervalTier"'
        yield f'name = "{name}"'
        yield from self._span(0.0, seconds)
        yield f"intervals: size = {len(intervals)}"
        for number, (start, end, text) in enumerate(intervals, start=1):
            yield f"intervals [{number}]:"
            yield from (f"    {line}" for line in self._span(start, end))
            quoted = text.replace('"', '""')
            yield f'    text = "{quoted}"'

    @staticmethod
    def _intervals(spoken: "Sequence[Word | Syllable]", seconds: float) -> Iterator[tuple[float, float, str]]:
        """Yield start, end and text of what is spoken and of the gaps; Praat takes no interval of no length."""
        done = 0.0
        for each in spoken:
            if each.start > done:
                yield done, each.start, ""
            yield each.start, each.end, each.text
            done = each.end
        if seconds > done:
            yield done, seconds, ""

    @staticmethod
    def _span(start: float, end: float) -> tuple[str, str]:
        return f"xmin = {round(start, 6)}", f"xmax = {round(end, 6)}"


FORMATS: dict[str, Format] = {
    "txt": PlainText(),
    "srt": SubRip(),
    "vtt": WebVtt(),
    "ass": AdvancedSubStation(),
    "lrc": Lrc(),
    "tsv": Tsv(),
    "json": Json(),
    "textgrid": TextGrid(),
}
TRANSCRIPT_FORMATS = tuple(name for name, form in FORMATS.items() if form.transcribed)
ALIGNMENT_FORMATS = tuple(name for name, form in FORMATS.items() if form.aligned)
SERVED_FORMATS = tuple(name for name, form in FORMATS.items() if form.served)


def render_transcript(transcript: "Transcript", name: str, segments: "Sequence[Segment] | None" = None) -> str:
    """Return a transcript as the text of a file in the format `name`, with its own segments by default."""
    if name not in FORMATS:
        raise ValueError(f"{name!r} is no transcript format: choose one of {', '.join(FORMATS)}")
    return FORMATS[name].render(transcript, transcript.segments if segments is None else segments)


def speaker_label(speaker: int | None) -> str:
    """Return what stands before the words of a speaker, "" where speakers were not told apart."""
    return f"화자 {speaker}: " if speaker else ""


def _word(word: "Word") -> dict[str, Any]:
    table = asdict(word)
    if word.speaker is None:
        del table["speaker"]
    return {name: _rounded(value) for name, value in table.items()}


def _cue(segment: "Segment", point: str, escape: bool = False) -> str:
    lines = "\n".join(segment.lines)
    if escape:  # what WebVTT would take for markup
        lines = lines.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if segment.speaker:
            lines = f"<v {speaker_label(segment.speaker).removesuffix(': ')}>{lines}"
    else:
        lines = speaker_label(segment.speaker) + lines
    return f"{_clock(segment.start, point)} --> {_clock(segment.end, point)}\n{lines}"


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(_milliseconds(seconds), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _hundredths(seconds: float) -> int:
    return round(seconds * 100)


def _seconds(hundredths: int) -> str:
    """Return the seconds of a minute with two decimals, as 07.50."""
    return f"{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def _rounded(value: Any) -> Any:
    """Return `value` with every float in it, however deep, in four decimals."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case tuple():
            return [_rounded(each) for each in value]
    return value
