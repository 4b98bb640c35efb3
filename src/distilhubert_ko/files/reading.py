"""Which files to transcribe, the text to align, and under which names what comes of them is written."""

import glob
import json
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilhubert_ko.errors import InputError, reason

STDIN = "-"
AUDIO = (
    *(".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"),
    *(".3gp", ".aac", ".amr", ".avi", ".flv", ".m4a", ".m4b", ".mka", ".mkv", ".mov", ".mp4", ".webm", ".wma", ".wmv"),
)
"""Suffixes that are looked for in folders; those of the second row need PyAV."""


@dataclass(frozen=True)
class Source:
    """One recording: a path, or standard input. `name` is what its transcripts are called, without a suffix."""

    path: str
    name: str

    def read(self) -> str | bytes:
        """What audio_blocks takes: the path, or all bytes of standard input."""
        return sys.stdin.buffer.read() if self.path == STDIN else self.path


def sources(arguments: Sequence[str]) -> list[Source]:
    """The recordings that arguments name: files, `-`, folders for the audio files in them, and patterns, sorted.

    In a pattern, `**` stands for any folders; a file of that very name comes first. Names are stems; where several
    recordings share one, each keeps its suffix, and after that is counted, so that no transcript overwrites another,
    not even where a file system takes capitals or the forms of Hangul for the same. Raises InputError for a folder
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
        result.append(Source(path, name))
    return result


def _found(argument: str) -> list[str]:
    if argument == STDIN:
        return [argument]
    if Path(argument).is_dir():
        # What starts with a point is hidden, such as the ._ files that macOS leaves on other systems' disks.
        files = sorted(file for file in Path(argument).iterdir() if file.is_file() and not file.name.startswith("."))
        found = [str(file) for file in files if file.suffix.lower() in AUDIO]
        if not found:
            raise InputError(f"{argument}: no audio files in this folder ({', '.join(AUDIO)}); name files instead")
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
    """One spelling for all names that some file system takes for one (macOS, Windows)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def read_text(path: Path) -> str:
    """What a UTF-8 file says, without its byte order mark. InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give the path of a text file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: convert it, e.g. iconv -f CP949 -t UTF-8 {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}): give the path of a text file") from error


def read_json(path: Path, error: type[InputError], remedy: str) -> dict[str, Any]:
    """Return the object in a JSON file. Raises `error`, whose message ends in `remedy`, where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} is missing: {remedy}") from None
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path} cannot be read ({reason(cause)}): {remedy}") from cause
    if not isinstance(content, dict):
        raise error(f"{path} holds no JSON object: {remedy}")
    return content
