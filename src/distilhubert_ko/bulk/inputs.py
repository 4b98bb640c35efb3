"""What a bulk transcription is given: every recording, or slice of one, that a manifest lists or a folder holds.

A location is a path, or a URL such as s3://bucket/talks, which Arrow's file systems open, or fsspec where Arrow knows
no such scheme. What follows a question mark goes to Arrow's: s3://bucket/talks?region=ap-northeast-2.
"""

import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pyarrow
from pyarrow import fs

from distilhubert_ko.data import corpus_formats
from distilhubert_ko.errors import InputError, UnavailableError, reason
from distilhubert_ko.files.fence import Fence, left
from distilhubert_ko.files.reading import AUDIO

_UNKNOWN = 5.0  # seconds that a recording is taken to last of which neither length nor size is known
_BYTES = 32_000  # a second: 16-bit samples at 16 kHz


class Key(NamedTuple):
    """What makes an input the same one in another run."""

    id: str
    audio: str
    offset: float
    length: float | None


@dataclass(frozen=True)
class Input:
    """One recording at an absolute path or a URL, or the `length` seconds of it from `offset` on; None is to the end.

    `seconds` is how long it lasts, guessed from its size where it is not known: for sorting, not for reading.
    """

    id: str
    audio: str
    offset: float = 0.0
    length: float | None = None
    seconds: float = field(default=_UNKNOWN, compare=False)

    @property
    def key(self) -> Key:
        return Key(self.id, self.audio, self.offset, self.length)


@dataclass(frozen=True)
class Storage:
    """Reads at locations; each file system is opened once.

    Every method raises InputError for a location that is of no known kind or cannot be read, and UnavailableError
    where a file system cannot be reached.
    """

    _opened: dict[str, tuple[fs.FileSystem, str]] = field(default_factory=dict)

    def is_folder(self, location: str) -> bool:
        system, path = self._located(location)
        with _told(location):
            return bool(system.get_file_info(path).type == fs.FileType.Directory)

    def read(self, location: str) -> bytes:
        system, path = self._located(location)
        with _told(location), system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def files(self, folder: str) -> list[tuple[str, int]]:
        """The files in a folder and below by their paths in it, and their bytes; what begins with a point is hidden."""
        system, path = self._located(folder)
        with _told(folder):
            found = [info for info in system.get_file_info(fs.FileSelector(path, recursive=True)) if info.is_file]
        names = {info.path[len(path) :].lstrip("/"): info.size or 0 for info in found}
        return [item for item in sorted(names.items()) if not any(part.startswith(".") for part in item[0].split("/"))]

    def _located(self, location: str) -> tuple[fs.FileSystem, str]:
        """The file system of a location and its path there."""
        if not remote(location):
            return fs.LocalFileSystem(), location
        path, mark, query = location.partition("?")
        scheme, _, rest = path.partition("://")
        authority, _, below = rest.partition("/")
        # Only the beginning is parsed as a URL, since names of files have spaces and Hangul.
        root = f"{scheme}://{authority or '/'}{mark}{query}"
        if root not in self._opened:
            self._opened[root] = _opened(root)
        system, top = self._opened[root]
        return system, f"{top.rstrip('/')}/{below}".rstrip("/")


def remote(location: str) -> bool:
    """Whether a location is a URL, not a path."""
    return "://" in location


def read(location: str, storage: Storage, allow_outside: bool = False) -> list[Input]:
    """The inputs of a folder, its subfolders included, or of a manifest (JSONL or CSV, as corpora read it), each once.

    In a folder, an id is the path within it. In a manifest, paths count from where it lies; a URL is taken as it is.
    Only with `allow_outside` may a manifest name what lies outside its folder, and the working folder if that holds it.
    Raises InputError for a folder without audio and for a recording, CorpusError for a manifest that is malformed or
    names what it may not, and what Storage raises.
    """
    location = location if remote(location) else os.path.abspath(location)
    if storage.is_folder(location):
        found = [
            Input(name, _joined(location, name), seconds=size / _BYTES)
            for name, size in storage.files(location)
            if Path(name).suffix.lower() in AUDIO
        ]
        if not found:
            raise InputError(
                f"{location}: no audio files in this folder ({', '.join(AUDIO)}); name another, or a manifest"
            )
        return found
    path, mark, query = location.partition("?") if remote(location) else (location, "", "")
    home, _, name = path.rpartition("/")
    if Path(name).suffix.lower() in AUDIO:
        raise InputError(
            f"{location} is one recording: use `distilhubert-ko transcribe`, or give a folder or a manifest"
        )
    if not remote(location):
        found = _listed(Path(location), home, location, allow_outside)
    else:
        content = storage.read(location)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / name
            copy.write_bytes(content)
            found = _listed(copy, f"{home}{mark}{query}", location, allow_outside)
    if not found:
        raise InputError(f"{location} lists nothing: give a manifest with a line for each recording, or a folder")
    return found


def _listed(manifest: Path, home: str, location: str, allow_outside: bool) -> list[Input]:
    """The inputs of a manifest from `location`, whose relative paths count from `home`."""
    lines: dict[Input, None] = {}
    fence = None if allow_outside or remote(home) else Fence(Path(home), Path())
    for path, entry in corpus_formats.listed(manifest, fence=fence):
        audio = path if remote(path) or Path(path).is_absolute() else _joined(home, path)
        if not allow_outside and (remote(home) or remote(path)) and not _below(home, audio):
            raise left(location, path, home)
        lines[Input(entry.id, audio, entry.offset, entry.duration, entry.duration or _seconds(audio))] = None
    return list(lines)


def _seconds(audio: str) -> float:
    if remote(audio) or not Path(audio).is_file():
        return _UNKNOWN
    return Path(audio).stat().st_size / _BYTES


def _below(folder: str, location: str) -> bool:
    """Whether a location is in a folder of the same file system, whatever dots are on its way."""
    inner, outer = (posixpath.normpath(each.partition("?")[0]) for each in (location, folder))
    return inner.startswith(f"{outer}/")


def _joined(folder: str, name: str) -> str:
    """The location of `name`, which may have several parts, in a folder."""
    if not remote(folder):
        return os.path.normpath(os.path.join(folder, name))
    path, mark, query = folder.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{query}"


def _opened(root: str) -> tuple[fs.FileSystem, str]:
    scheme, _, rest = root.partition("://")
    try:
        try:
            return fs.FileSystem.from_uri(root)
        except pyarrow.ArrowInvalid:  # a scheme that Arrow does not know
            return fs.FileSystem.from_uri(f"fsspec+{scheme}://{rest}")
    except (pyarrow.ArrowInvalid, ValueError) as error:
        raise InputError(
            f"{root}: no known file system ({error}): give a path, or a URL of what Arrow or fsspec knows, such as s3://"
        ) from error
    except ImportError as error:
        raise InputError(f"{root}: {error}") from error  # fsspec says what to install
    except OSError as error:
        raise UnavailableError(f"{root} cannot be reached: check its name, the network and your rights") from error


@contextlib.contextmanager
def _told(location: str) -> Iterator[None]:
    """Errors of a file system as one that says what could not be read."""
    try:
        yield
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{location} cannot be read ({reason(error)}): check the name and your rights") from error
