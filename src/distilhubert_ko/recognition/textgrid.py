"""Praat's TextGrid, in its long text format: tiers of words and syllables over the whole of a recording.

The format is in Praat's manual under "TextGrid file formats".
"""

from collections.abc import Iterator, Sequence

from distilhubert_ko.recognition.transcript import Syllable, Transcript, Word


def write(transcript: Transcript) -> str:
    """The transcript as the text of a file with the tiers `words` and `syllables`.

    The intervals of a tier lie end to end from 0 s to the end of the recording; the empty ones say nothing.
    """
    tiers: dict[str, Sequence[Word | Syllable]] = {
        "words": transcript.words,
        "syllables": [syllable for word in transcript.words for syllable in word.syllables],
    }
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        *_span(0.0, transcript.seconds),
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, spoken) in enumerate(tiers.items(), start=1):
        lines.append(f"    item [{number}]:")
        lines += [f"        {line}" for line in _tier(name, spoken, transcript.seconds)]
    return "\n".join(lines) + "\n"


def _tier(name: str, spoken: Sequence[Word | Syllable], seconds: float) -> Iterator[str]:
    intervals = list(_intervals(spoken, seconds))
    yield 'class = "IntervalTier"'
    yield f'name = "{name}"'
    yield from _span(0.0, seconds)
    yield f"intervals: size = {len(intervals)}"
    for number, (start, end, text) in enumerate(intervals, start=1):
        yield f"intervals [{number}]:"
        yield from (f"    {line}" for line in _span(start, end))
        quoted = text.replace('"', '""')
        yield f'    text = "{quoted}"'


def _intervals(spoken: Sequence[Word | Syllable], seconds: float) -> Iterator[tuple[float, float, str]]:
    """Start, end and text of what is spoken and of the gaps; Praat takes no interval of no length."""
    done = 0.0
    for each in spoken:
        if each.start > done:
            yield done, each.start, ""
        yield each.start, each.end, each.text
        done = each.end
    if seconds > done:
        yield done, seconds, ""


def _span(start: float, end: float) -> tuple[str, str]:
    return f"xmin = {round(start, 6)}", f"xmax = {round(end, 6)}"
