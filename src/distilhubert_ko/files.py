"""Which files to transcribe, the text to align, and under which names what comes of them is written."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilhubert_ko.errors import InputError

STDIN = "-"
AUDIO = (".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav")  # looked for in folders


@dataclass(frozen=True)
class Source:
    """One recording: a path, or standard input. `name` is what its transcripts are called, without a suffix."""

    path: str
    name: str

    def read(self) -> str | bytes:
        """What audio.blocks takes: the path, or all bytes of standard input."""
        return sys.stdin.buffer.read() if self.path == STDIN else self.path


def sources(arguments: Sequence[str]) -> list[Source]:
    """The recordings that arguments name: files, `-`, and folders for the audio files in them, sorted.

    Names are stems; where several recordings share one, each keeps its suffix, and after that is counted, so that
    no transcript overwrites another. Raises InputError for a folder without audio.
    """
    paths: list[str] = []
    for argument in arguments:
        if argument != STDIN and Path(argument).is_dir():
            found = sorted(str(file) for file in Path(argument).iterdir() if file.suffix.lower() in AUDIO)
            if not found:
                raise InputError(f"{argument}: no audio files in this folder ({', '.join(AUDIO)}); name files instead")
            paths += found
        else:
            paths.append(argument)
    stems = Counter(_stem(path) for path in paths)
    taken: set[str] = set()
    result = []
    for path in paths:
        wanted = _stem(path) if stems[_stem(path)] == 1 else Path(path).name
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name)
        result.append(Source(path, name))
    return result


def _stem(path: str) -> str:
    return "stdin" if path == STDIN else Path(path).stem


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


def save(text: str, folder: Path, name: str) -> Path:
    """Writes `text` to `folder`/`name`, aside first and then renamed; the folder is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    aside = folder / f".{name}.tmp"
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
    return path
