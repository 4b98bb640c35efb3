"""Which recordings the arguments of a command name, and what their transcripts are called."""

import glob
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilhubert_ko.errors import InputError

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

    In a pattern, `**` stands for any folders; a file of that very name comes first. Names are stems. Where several
    recordings share one, each keeps its suffix, and after that is counted. So no transcript overwrites another, not
    even where a file system takes capitals or the forms of Hangul for the same. Raises InputError for a folder
    without audio and a pattern without files.
    """
    paths = [path for argument in arguments for path in _found(argument)]
    stems = Counter(_same(_stem(path)) for path in paths)
    taken: set[str] = set()
    result = []
    for path in paths:
        alone = path == STDIN or stems[_same(_stem(path))] == 1
        wanted = _stem(path) if alone else Path(path).name
        name, number = wanted, 2
        while _same(name) in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(_same(name))
        result.append(Recording(path, name))
    return result


def _found(argument: str) -> list[str]:
    if argument == STDIN:
        return [argument]
    if Path(argument).is_dir():
        # What starts with a point is hidden, such as the ._ files that macOS leaves on other systems' disks.
        files = sorted(file for file in Path(argument).iterdir() if file.is_file() and not file.name.startswith("."))
        found = [str(file) for file in files if file.suffix.lower() in AUDIO_SUFFIXES]
        if not found:
            raise InputError(
                f"{argument}: no audio files in this folder ({', '.join(AUDIO_SUFFIXES)}); name files instead"
            )
        return found
    if glob.has_magic(argument) and not os.path.lexists(argument):
        found = sorted(path for path in glob.glob(argument, recursive=True) if not Path(path).is_dir())
        if not found:
            raise InputError(f"{argument}: no file fits this pattern; check it, or name a folder")
        return found
    return [argument]


def _stem(path: str) -> str:
    return "stdin" if path == STDIN else Path(path).stem


def _same(name: str) -> str:
    """Return one spelling for all names that some file system takes for one (macOS, Windows)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
