"""Which recordings the arguments of a command name, what a folder of recordings is, and how transcripts are called.

A folder is the audio in it and in its subfolders, for every command and corpus. What is hidden does not belong to it.
"""

import glob
import logging
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilhubert_ko.errors import InputError

logger = logging.getLogger(__name__)

STDIN = "-"
AUDIO_SUFFIXES = (
    *(".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"),
    *(".3gp", ".aac", ".amr", ".avi", ".flv", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4", ".webm", ".wma", ".wmv"),
)
"""Suffixes that are looked for in folders; those of the second row need PyAV."""


@dataclass(frozen=True)
class Recording:
    """One recording: a path, or standard input. `name` is what its transcripts are called, without a suffix."""

    path: str
    name: str

    def read(self) -> str | bytes:
        """Return what `audio_blocks` takes: the path, or all bytes of standard input.

        Raises InputError if that is closed.
        """
        if self.path != STDIN:
            return self.path
        if sys.stdin is None or sys.stdin.closed:
            raise InputError("standard input is closed: give a file, or send audio to the command")
        return sys.stdin.buffer.read()


def find_recordings(arguments: Sequence[str]) -> list[Recording]:
    """Return the recordings that arguments name: files, `-`, folders for the audio files in them, and patterns, sorted.

    In a pattern, `**` stands for any folders; a file of that very name comes first. Names are stems, in a folder below
    the subfolders. Where several recordings share one, each keeps its suffix, and after that is counted. So no
    transcript overwrites another, not even where a file system takes capitals or the forms of Hangul for the same.
    Raises InputError for a folder without audio and a pattern without files.
    """
    found = [pair for argument in arguments for pair in _found(argument)]
    stems = Counter(_same(_stem(name)) for _, name in found)
    taken: set[str] = set()
    result = []
    for path, full in found:
        alone = path == STDIN or stems[_same(_stem(full))] == 1
        wanted = _stem(full) if alone else full
        name, number = wanted, 2
        while _same(name) in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(_same(name))
        result.append(Recording(path, name))
    return result


def folder_files(folder: str) -> Iterator[str]:
    """Yield the path within a folder of every file in it and below, in no order. Raises OSError where it cannot look.

    What starts with a point is hidden, such as the ._ files that macOS leaves on other systems' disks.
    """

    def fail(error: OSError) -> None:
        raise error

    for home, below, names in os.walk(folder, onerror=fail):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            path = os.path.join(home, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield os.path.relpath(path, folder)


def is_audio_name(name: str) -> bool:
    """Tell whether a file is audio by its suffix."""
    return Path(name).suffix.lower() in AUDIO_SUFFIXES


def audio_files(folder: str, names: Iterable[str], used: Iterable[str] = ()) -> list[str]:
    """Return the audio files among the names of a folder's files, sorted; say what else there is, but for `used`."""
    every = sorted(names)
    found = [*filter(is_audio_name, every)]
    if others := {*every} - {*found} - {*used}:
        kinds = Counter(Path(name).suffix.lower() or "no suffix" for name in others).most_common()
        shown = ", ".join(f"{kind}: {count:,}" for kind, count in kinds[:5]) + (", ..." if len(kinds) > 5 else "")
        logger.info("%s: left out %s (%s)", folder, _files(len(others), "no audio by name"), shown)
    return found


def _files(count: int, what: str) -> str:
    return f"1 file that is {what}" if count == 1 else f"{count:,} files that are {what}"


def _found(argument: str) -> list[tuple[str, str]]:
    """Return paths, and what each is called with its suffix."""
    if argument == STDIN:
        return [(argument, "stdin")]
    if Path(argument).is_dir():
        names = audio_files(argument, folder_files(argument))
        if not names:
            raise InputError(
                f"{argument}: no audio files in this folder ({', '.join(AUDIO_SUFFIXES)}); name files instead"
            )
        return [(os.path.join(argument, name), name) for name in names]
    if glob.has_magic(argument) and not os.path.lexists(argument):
        found = sorted(path for path in glob.glob(argument, recursive=True) if not Path(path).is_dir())
        if not found:
            raise InputError(f"{argument}: no file fits this pattern; check it, or name a folder")
        return [(path, Path(path).name) for path in found]
    return [(argument, Path(argument).name)]


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("")) if Path(name).name else name


def _same(name: str) -> str:
    """Return one spelling for all names that some file system takes for one (macOS, Windows)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
