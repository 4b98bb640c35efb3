"""The utterances of a corpus as its files list them, before any audio is opened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Audio = Path | Callable[[], bytes]
"""An audio file, or a function that fetches the content of one when it is wanted."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One utterance as its corpus lists it. What the corpus does not give is None; times are in seconds."""

    id: str
    audio: Audio | None = None
    text: str | None = None
    written: str | None = None
    """How the text is written, where the corpus tells that from what was said: 70% for 칠십 퍼센트."""
    problem: str = ""
    """Why the transcript cannot be used, where the corpus has one."""
    speaker: str | None = None
    split: str | None = None
    offset: float = 0.0
    duration: float | None = None
    gender: str | None = None
    seconds: float | None = None
    """The length, where the corpus lists it and the audio is far away; elsewhere the audio itself is measured."""


@dataclass(frozen=True)
class Listing:
    """What a reader found."""

    entries: Sequence[Entry]
    revision: str | None = None
    """The commit of a corpus on the Hub."""
    streamed: bool = False
    """Whether the audio stays on the Hub and is fetched when it is wanted."""
    hint: str = ""
    """What to say where no entry can be used."""
    annotated: bool = False
    """Whether AI Hub's annotations are expected in the transcripts, and have been read."""
