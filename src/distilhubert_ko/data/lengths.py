"""How long the clips of a corpus last: measured, listed, or guessed from their text."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from distilhubert_ko.audio.reading import audio_duration
from distilhubert_ko.data.readers.entries import Audio, Entry
from distilhubert_ko.errors import AudioError, UnavailableError

Length = float | str
"""Seconds, or the reason why there are none."""

MEASURED = 64  # clips whose lengths tell how long a character lasts


def measure_lengths(sources: Collection[Audio]) -> dict[Audio, Length]:
    """Return the length of each audio, as its header gives it, or the reason why there is none."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(sources, pool.map(_measure, sources), strict=True))


def guess_lengths(entries: Sequence[Entry]) -> dict[Audio, Length]:
    """Return the lengths that are listed, and guess the others in proportion to the characters.

    How long a character lasts is measured on the first MEASURED clips without a listed length.
    """
    unlisted = [entry for entry in entries if entry.seconds is None][:MEASURED]
    probed = [(entry, _measure(entry.audio)) for entry in unlisted if entry.audio is not None]
    measured = [(length, _characters(entry)) for entry, length in probed if not isinstance(length, str)]
    pace = sum(length for length, _ in measured) / max(1, sum(characters for _, characters in measured))
    return {
        entry.audio: pace * _characters(entry) if entry.seconds is None else entry.seconds
        for entry in entries
        if entry.audio is not None
    }


def _characters(entry: Entry) -> int:
    return max(1, len((entry.text or "").replace(" ", "")))


def _measure(source: Audio) -> Length:
    """Return the seconds, or the reason why there are none."""
    try:
        if isinstance(source, Path):
            if source.is_file():
                return audio_duration(source)
            # A pipe or a device among the files of a corpus might keep the reader for ever.
            return "audio unreadable" if source.exists() else "audio missing"
        return audio_duration(source())
    except FileNotFoundError:
        return "audio missing"
    except UnavailableError:
        raise
    except (AudioError, OSError):
        return "audio unreadable"
