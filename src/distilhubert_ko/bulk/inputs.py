"""The inputs of a bulk transcription: recordings, or parts of them, from a manifest or a folder.

A location is a path or a URL such as s3://bucket/talks. Arrow's file systems open URLs, and fsspec opens those whose
scheme Arrow does not know. Options for Arrow follow a question mark: s3://bucket/talks?region=ap-northeast-2.
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

from distilhubert_ko.data.readers.manifest import manifest_entries
from distilhubert_ko.errors import InputError, UnavailableError, reason
from distilhubert_ko.files.fence import Fence, outside_error
from distilhubert_ko.files.recordings import AUDIO_SUFFIXES, audio_files, folder_files, is_audio_name

UNKNOWN = 5.0  # seconds assumed for a recording whose length and size are both unknown
_BYTES = 32_000  # per second: 16-bit samples at 16 kHz


class InputKey(NamedTuple):
    """The fields that identify an input across runs."""

    id: str
    audio: str
    offset: float
    length: float | None


@dataclass(frozen=True)
class BulkInput:
    """One recording at an absolute path or a URL, or `length` seconds of it from `offset` on (None: to the end).

    `seconds` is its duration, or a guess from the file size where the duration is unknown. It serves only for sorting.
    """

    id: str
    audio: str
    offset: float = 0.0
    length: float | None = None
    seconds: float = field(default=UNKNOWN, compare=False)

    @property
    def key(self) -> InputKey:
        """Return the key, as a record has it: bytes of a name that is not UTF-8 are escaped."""
        return InputKey(readable_name(self.id), readable_name(self.audio), self.offset, self.length)


@dataclass(frozen=True)
class Storage:
    """Reads from locations and opens each file system once.

    Every method raises InputError for a location of an unknown kind or one that cannot be read. It raises
    UnavailableError when a file system cannot be reached.
    """

    _opened: dict[str, tuple[fs.FileSystem, str]] = field(default_factory=dict)

    def is_folder(self, location: str) -> bool:
        if not is_remote(location):
            return os.path.isdir(location)
        system, path = self._located(location)
        with _readable(location):
            return bool(system.get_file_info(path).type == fs.FileType.Directory)

    def read(self, location: str) -> bytes:
        system, path = self._located(location)
        with _readable(location), system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def files(self, folder: str) -> list[tuple[str, int]]:
        """Return the path within `folder` and the size in bytes of every file below it, without hidden files."""
        if not is_remote(folder):
            with _readable(folder):
                return [(name, os.path.getsize(os.path.join(folder, name))) for name in sorted(folder_files(folder))]
        system, path = self._located(folder)
        with _readable(folder):
            found = [info for info in system.get_file_info(fs.FileSelector(path, recursive=True)) if info.is_file]
        names = {info.path[len(path) :].lstrip("/"): info.size or 0 for info in found}
        return [item for item in sorted(names.items()) if not any(part.startswith(".") for part in item[0].split("/"))]

    def _located(self, location: str) -> tuple[fs.FileSystem, str]:
        """Return the file system of a location and the path within it."""
        if not is_remote(location):
            return fs.LocalFileSystem(), location
        path, mark, query = location.partition("?")
        scheme, _, rest = path.partition("://")
        authority, _, below = rest.partition("/")
        # Parse only the beginning as a URL, because file names may contain spaces and Hangul.
        root = f"{scheme}://{authority or '/'}{mark}{query}"
        if root not in self._opened:
            self._opened[root] = _opened(root)
        system, top = self._opened[root]
        return system, f"{top.rstrip('/')}/{below}".rstrip("/")


def is_remote(location: str) -> bool:
    """Return whether a location is a URL rather than a path."""
    return "://" in location


def read_inputs(location: str, storage: Storage, allow_outside: bool = False) -> list[BulkInput]:
    """Return the distinct inputs of a folder with its subfolders, or of a manifest (JSONL or CSV, as for a corpus).

    In a folder, the id of an input is its path within the folder. In a manifest, paths are relative to its own folder,
    and URLs are used as they are. By default, a manifest may only refer to audio inside its own folder, or inside the
    working folder if that holds the manifest; `allow_outside` lifts this.

    Raises InputError for a folder without audio and for a single recording, CorpusError for a manifest that is
    malformed or refers to audio that it may not use, and whatever Storage raises.
    """
    location = location if is_remote(location) else os.path.abspath(location)
    if storage.is_folder(location):
        sizes = dict(storage.files(location))
        found = [
            BulkInput(name, _joined(location, name), seconds=sizes[name] / _BYTES)
            for name in audio_files(location, sizes)
        ]
        if not found:
            raise InputError(
                f"{location}: no audio files in this folder ({', '.join(AUDIO_SUFFIXES)}); give another folder or a "
                "manifest"
            )
        return found
    path, mark, query = location.partition("?") if is_remote(location) else (location, "", "")
    home, _, name = path.rpartition("/")
    if is_audio_name(name):
        raise InputError(
            f"{location} is a single recording: use `distilhubert-ko transcribe`, or give a folder or a manifest"
        )
    if not is_remote(location):
        found = _manifest_inputs(Path(location), home, location, allow_outside)
    else:
        content = storage.read(location)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / name
            copy.write_bytes(content)
            found = _manifest_inputs(copy, f"{home}{mark}{query}", location, allow_outside)
    if not found:
        raise InputError(f"{location} is an empty manifest: give one with a line per recording, or a folder")
    return found


def _manifest_inputs(manifest: Path, home: str, location: str, allow_outside: bool) -> list[BulkInput]:
    """Return the inputs of a manifest from `location`, whose relative paths start at `home`."""
    lines: dict[BulkInput, None] = {}
    fence = None if allow_outside or is_remote(home) else Fence(Path(home), Path())
    for path, entry in manifest_entries(manifest, fence=fence):
        if is_remote(path) or is_remote(home):
            audio = path if is_remote(path) or Path(path).is_absolute() else _joined(home, path)
        else:
            audio = str(entry.audio) if Path(path).is_absolute() else os.path.normpath(str(entry.audio))
        if not allow_outside and (is_remote(home) or is_remote(path)) and not _below(home, audio):
            raise outside_error(location, path, home)
        lines[BulkInput(entry.id, audio, entry.offset, entry.duration, entry.duration or _seconds(audio))] = None
    return list(lines)


def readable_name(name: str) -> str:
    """Return a name in UTF-8, with other bytes escaped as in \\xc7."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _seconds(audio: str) -> float:
    if is_remote(audio) or not Path(audio).is_file():
        return UNKNOWN
    return Path(audio).stat().st_size / _BYTES


def _below(folder: str, location: str) -> bool:
    """Return whether a location is inside a folder of the same file system, after resolving dots in its path."""
    inner, outer = (posixpath.normpath(each.partition("?")[0]) for each in (location, folder))
    return inner.startswith(f"{outer}/")


def _joined(folder: str, name: str) -> str:
    """Return the location of `name`, which may have several parts, in a folder."""
    if not is_remote(folder):
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
            f"{root}: unknown file system ({error}): give a path, or a URL that Arrow or fsspec can open, such as s3://"
        ) from error
    except ImportError as error:
        raise InputError(f"{root}: {error}") from error  # fsspec says what to install
    except OSError as error:
        raise UnavailableError(f"{root} cannot be reached: check its name, the network and your permissions") from error


@contextlib.contextmanager
def _readable(location: str) -> Iterator[None]:
    """Turn errors of a file system into an InputError that names the location."""
    try:
        yield
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{location} cannot be read ({reason(error)}): check the name and your permissions") from error
