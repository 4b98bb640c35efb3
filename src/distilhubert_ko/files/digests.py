"""SHA-256 of files, and of those that this program wrote."""

import hashlib
import os
import time
from pathlib import Path

from distilhubert_ko.errors import InputError
from distilhubert_ko.files.writing import user_cache, write_text

WRITTEN = "written"
"""A file in the user's cache: a digest per line, of the place and the content of every output. It names no files."""
DIGITS = 64  # of a digest
LARGE = 1_000_000  # bytes from which the digest of a file is kept
SETTLED = 2.0  # seconds after which a change of a file cannot have the same time as the one before


def sha256(path: Path) -> str:
    """Return the digest of a file in hexadecimal. Errors are those of the system."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kept_sha256(path: Path) -> str:
    """Return the digest of a file, which is kept in the user's cache for a large one until the file changes."""
    state = path.stat()
    if state.st_size < LARGE or time.time() - max(state.st_mtime, state.st_ctime) < SETTLED:
        return sha256(path)
    states = (os.path.realpath(path), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    name = hashlib.sha256(repr(states).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    try:
        kept = user_cache() / "digests" / name
        if kept.is_file() and len(digest := kept.read_text(encoding="ascii")) == DIGITS:
            return digest
        digest = sha256(path)
        write_text(kept, digest)
    except (OSError, InputError, ValueError):  # it is computed again
        return sha256(path)
    return digest


def remember_written(content: Path, place: Path) -> None:
    """Keep the digest of a file's content and of its place, before it gets there.

    Where it cannot be kept, the file counts as a user's.
    """
    try:
        ledger = user_cache() / WRITTEN
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with ledger.open("a", encoding="ascii") as file:
            file.write(f"{_entry(content, place)}\n")
    except (OSError, InputError):
        pass


def was_written(place: Path) -> bool:
    """Tell whether this program wrote a file there, with this very content; a file without content counts."""
    if place.stat().st_size == 0:
        return True
    try:
        return _entry(place, place).encode() in (user_cache() / WRITTEN).read_bytes()
    except (OSError, InputError):
        return False


def _entry(content: Path, place: Path) -> str:
    return hashlib.sha256(os.fsencode(os.path.realpath(place)) + b"\0" + sha256(content).encode()).hexdigest()
