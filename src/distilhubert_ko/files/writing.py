"""Files and folders that are there whole or not at all, and the room for them on the disk.

What is written goes to a temporary name beside its place and is renamed when it is whole. A killed process leaves its
temporary files behind. The next process that writes beside them removes them.
"""

import errno
import functools
import json
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distilhubert_ko.errors import DistilhubertKoError, InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of the system for a disk without room."""
TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp")
"""Host, process and a random part, so that nobody removes what another process is still writing."""
HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
FORGOTTEN = 24 * 3600.0  # seconds after which a temporary file of another host is taken for one of a dead process


@contextmanager
def replaced_file(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write a file to, which becomes `path` when the block ends without an error.

    Make missing folders. However the block ends, nothing temporary stays, and until the end an older file is whole.
    Without `sync` the content may be lost if the machine stops within seconds, for files that can be made again.
    Errors are those of the system.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path.parent)
    try:
        yield temporary
        if sync:
            _sync(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, which becomes `folder` when the block ends without an error.

    If another process has made `folder` meanwhile, that one stays. Its files are not synced: they can be made again.
    Errors are those of the system.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(folder.parent)
    temporary.mkdir()
    try:
        yield temporary
        if not folder.is_dir():
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def replaced_files(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, whose files go to `folder` when the block ends without an error.

    Each replaces the file of its name. What else is in `folder` stays, and a folder that was made for this goes again
    if the block fails. Errors are those of the system.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(folder)
    temporary.mkdir()
    try:
        yield temporary
        files = sorted(temporary.iterdir())
        for file in files:
            _sync(file)
        for file in files:
            os.replace(file, folder / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if new and not any(folder.iterdir()):
            folder.rmdir()


def write_text(path: Path, text: str) -> Path:
    """Write `text` to `path` as UTF-8, whole or not at all, and return `path`.

    Make missing folders. Raises InputError where it cannot be written.
    """
    with writing_errors(path), replaced_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
    return path


@contextmanager
def writing_errors(path: Path) -> Iterator[None]:
    """Raise InputError where the system refuses to write `path` within the block."""
    try:
        yield
    except DistilhubertKoError:  # some are of the system's kind, too
        raise
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}): name a folder that you may write to, with room "
            "for it, or a shorter name"
        ) from error


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write an object as JSON with Korean as it is; otherwise as `write_text`."""
    return write_text(path, json_text(content, indent=2) + "\n")


def json_text(content: Any, indent: int | None = None) -> str:
    """Return JSON with Korean as it is, and with what no UTF-8 has, such as bytes of a name in EUC-KR, escaped."""
    written = json.dumps(content, ensure_ascii=False, indent=indent)
    return re.sub("[\ud800-\udfff]", lambda lone: f"\\u{ord(lone[0]):04x}", written)


@functools.cache  # once for each folder and process: a folder may have many files
def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders that killed processes left in `folder`, the first time it is asked to."""
    for entry in os.scandir(folder):
        if (match := TEMPORARY.fullmatch(entry.name)) and _is_left_over(Path(entry.path), match[1], int(match[2])):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)


def user_cache() -> Path:
    """Return the folder for what this program can make or fetch again; it need not be there yet."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distilhubert-ko"
    except RuntimeError as error:  # no HOME, and a user without one
        raise InputError("the user has no home folder: set XDG_CACHE_HOME to a folder for what can be kept") from error


def free_gb(place: Path) -> float:
    """Return the gigabytes that are free on the disk of a file or folder, which need not be there yet."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free / 1e9


def temporary_path(folder: Path) -> Path:
    """Return a new name in `folder`, short, so that a name that fits the file system does not become too long."""
    remove_leftovers(folder)
    return folder / f".{HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp"


def _is_left_over(path: Path, host: str, process: int) -> bool:
    if host == HOST and os.name == "posix":  # elsewhere, os.kill would end the process
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it belongs to another user, so it is alive
            return False
        return False
    try:
        return time.time() - path.stat().st_mtime > FORGOTTEN
    except OSError:  # removed meanwhile
        return False


def sync_tree(folder: Path) -> None:
    """Flush every file in a folder and below to the disk."""
    for file in filter(Path.is_file, folder.rglob("*")):
        _sync(file)


def _sync(file: Path) -> None:
    """Flush a file to the disk: otherwise a system that stops now may keep its name and lose its content."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
