"""AI Hub's annotated transcripts, KsponSpeech's among them: what was said, and how it is written.

`b/ (70%)/(칠십 퍼센트) 확률` was said as 칠십 퍼센트 확률, and is written 70% 확률. docs/text.md has the rules.
"""

import re
from dataclasses import dataclass

from distilhubert_ko.text.hangul import compose

_DUAL = re.compile(r"\(([^()]*)\)\s*/\s*\(([^()]*)\)")
"""A dual transcript, (A)/(B): one side is how it is written, the other how it was said."""
_NOISE = re.compile(r"(?<![A-Za-z0-9])(?:[blnou]/)+(?![A-Za-z0-9])")
"""Breath, laughter, noise, others' speech, and words that nobody could make out."""
_SURE_NOISE = re.compile(r"(?:^|(?<=[\s가-힣.,?!)]))(?:[blnou]/)+(?=[\s가-힣.,?!(]|$)")
_TAG = re.compile(r"\(\s*([A-Z]{2})\s*:([^()]*)\)")
_SILENT_TAGS = ("SN", "NO")  # noise of the speaker, noise around
_FILLER_TAG = "FP"  # a filled pause, which is spoken
_LAUGHTER = re.compile(r"\{[a-z]+\}")
_FILLER = re.compile(r"(?<=[가-힣])/(?![0-9A-Za-z])(?=([가-힣])?)")
_REPEATED = re.compile(r"(?<![0-9A-Za-z])\+|\+(?![0-9A-Za-z])")
_UNCLEAR = re.compile(r"(?<![0-9])\*|\*(?![0-9])")
_STRAY_SLASH = re.compile(r"(?:^|\s)/|(?<![0-9A-Za-z])[A-Za-z]/|[blnou]/(?![0-9A-Za-z])")
_HIDDEN = re.compile(r"[\[\]<>{}#&]|@(?:이름|상호|전화|주소|계정|번호|소속|카드|기관)")
_LATIN = re.compile("[0-9A-Za-z]")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}

BROKEN, SIDE, SLASH, HIDDEN, TAG = (
    "broken dual transcript",
    "empty side of a dual transcript",
    "unclear mark with a slash",
    "anonymised or unclear mark",
    "tag of unknown meaning",
)
"""Why an annotated transcript cannot be read."""


class UnclearTranscriptError(ValueError):
    """An annotated transcript that does not surely say what was said. The message is the reason, one of a few."""


@dataclass(frozen=True)
class Transcript:
    """What was said, and how it is written: the same where the annotators gave one form."""

    spoken: str
    written: str


def read_annotated(text: str) -> Transcript:
    """Return what an annotated transcript says, without its marks.

    Of a dual transcript, the second side was said, unless the first alone is free of digits and Latin letters: some
    corpora put what was said first. Raises UnclearTranscriptError where that is not sure.
    """
    text = _LAUGHTER.sub("", _TAG.sub(_tagged, _narrow(text)))
    spoken = _unmarked(_DUAL.sub(lambda dual: _sides(dual)[1], text))
    if "(" in spoken or ")" in spoken:
        raise UnclearTranscriptError(BROKEN)
    if _HIDDEN.search(spoken):
        raise UnclearTranscriptError(HIDDEN)
    if _STRAY_SLASH.search(spoken):
        raise UnclearTranscriptError(SLASH)
    return Transcript(spoken, _unmarked(_DUAL.sub(lambda dual: _sides(dual)[0], text)))


def find_annotation(text: str) -> str:
    """Return what in a transcript is surely AI Hub's: a dual transcript, a noise mark or a tag; "" if nothing is."""
    text = _narrow(text)
    found = _DUAL.search(text) or _SURE_NOISE.search(text)
    if found:
        return found[0]
    tag = _TAG.search(text)
    return tag[0] if tag and tag[1] in (*_SILENT_TAGS, _FILLER_TAG) else ""


def _tagged(tag: re.Match[str]) -> str:
    """Return what was said of a tag such as (FP:음)."""
    if tag[1] in _SILENT_TAGS:
        return " "
    if tag[1] == _FILLER_TAG:
        return tag[2]
    raise UnclearTranscriptError(TAG)


def _sides(dual: re.Match[str]) -> tuple[str, str]:
    """Return the written and the spoken side of a dual transcript."""
    first, second = (each.strip().removeprefix("@") for each in dual.groups())
    if not first or not second:
        raise UnclearTranscriptError(SIDE)
    if _LATIN.search(_NOISE.sub("", second)) and not _LATIN.search(_NOISE.sub("", first)):
        return second, first
    return first, second


def _unmarked(text: str) -> str:
    """Return a transcript without marks: those of noise go, and the words that others mark stay."""
    text = _UNCLEAR.sub("", _NOISE.sub("", text))
    text = _FILLER.sub(lambda mark: " " if mark[1] else "", _REPEATED.sub(" ", text))
    return " ".join(text.split())


def _narrow(text: str) -> str:
    """Return a text in NFC, with full-width forms in ASCII."""
    return compose(text).translate(_FULL_WIDTH)
