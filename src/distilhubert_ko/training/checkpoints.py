"""Checkpoints that are there whole or not at all: written aside, checksummed, renamed. Torn ones are passed over."""

import hashlib
import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distilhubert_ko.errors import InputError

CHECKSUMS = "checksums.json"
ASIDE = ".tmp"  # beside the checkpoints: one that is being written, or deleted


def folder(home: Path, step: int) -> Path:
    """Where the checkpoint of a step lies, by Transformers' name; `home` is the folder of a run's checkpoints."""
    return home / f"checkpoint-{step}"


def steps(home: Path) -> list[int]:
    """The steps that have a checkpoint, torn ones included, in order."""
    names = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in home.glob("checkpoint-*") if path.is_dir())
    return sorted(int(name[1]) for name in names if name)


@contextmanager
def written(home: Path, step: int) -> Iterator[Path]:
    """A folder to write the files of `folder(aside, step)` into, which becomes `folder(home, step)` by one renaming.

    It does so when everything is on the disk, with the checksums. However it ends, no half of a checkpoint is left.
    """
    aside, target = home / ASIDE, folder(home, step)
    shutil.rmtree(aside, ignore_errors=True)  # a process that was killed while saving left it
    begun = folder(aside, step)
    begun.mkdir(parents=True)
    try:
        yield aside
        seal(begun)
        if target.exists():
            os.rename(target, aside / "replaced")
        os.rename(begun, target)
        _sync(home)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def seal(checkpoint: Path) -> None:
    """Writes the checksums of a checkpoint's files into it, and everything to the disk."""
    files = sorted(path for path in checkpoint.iterdir() if path.name != CHECKSUMS)
    sums = {path.name: _checksum(path) for path in files}
    (checkpoint / CHECKSUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    for path in (*files, checkpoint / CHECKSUMS, checkpoint):
        _sync(path)


def fault(checkpoint: Path) -> str:
    """What makes a checkpoint torn: a file that is missing, or not as it was written; "" where it is whole."""
    try:
        sums = json.loads((checkpoint / CHECKSUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return f"{CHECKSUMS} is missing or damaged"
    # Only files of this folder: another name could lead anywhere, to a device without end, say.
    if not isinstance(sums, dict) or not sums or any(name in ("", "..") or set(name) & {*"/\\\0"} for name in sums):
        return f"{CHECKSUMS} is damaged"
    for name, written_sum in sums.items():
        try:
            if _checksum(checkpoint / name) != written_sum:
                return f"{name} is not as it was written"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        except UnicodeEncodeError:
            return f"{CHECKSUMS} is damaged"
    return ""


def last_whole(home: Path) -> Path | None:
    """The newest checkpoint that is whole, or None where there is no checkpoint at all.

    Newer ones, which are torn, are named on standard error and moved to torn-checkpoint-STEP-1, out of the way of the
    run. Raises InputError where all are torn; nothing is moved then.
    """
    shutil.rmtree(home / ASIDE, ignore_errors=True)
    torn: dict[Path, str] = {}
    for step in reversed(steps(home)):
        checkpoint = folder(home, step)
        reason = fault(checkpoint)
        if not reason:
            for passed_over, why in torn.items():
                _move_torn(passed_over, why, checkpoint)
            return checkpoint
        torn[checkpoint] = reason
    if torn:
        reasons = ", ".join(f"{checkpoint.name}: {reason}" for checkpoint, reason in torn.items())
        raise InputError(f"{home}: every checkpoint is torn ({reasons}); begin again with a new --out")
    return None


def _move_torn(torn: Path, reason: str, whole: Path) -> None:
    names = (torn.with_name(f"torn-{torn.name}-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    os.rename(torn, aside)
    print(
        f"{torn.name} is torn ({reason}): going on from {whole.name}; what is left of it lies in {aside}, "
        "which may be deleted",
        file=sys.stderr,
    )


def rotate(home: Path, best: int | None) -> None:
    """Deletes all checkpoints but the newest and that of the step `best`, or but the newest two."""
    *older, newest = steps(home)
    kept = {newest, best if best in older else older[-1]} if older else {newest}
    for step in set(older) - kept:
        # Out of the way in one step, or a process that is killed now leaves a torn one behind.
        (home / ASIDE).mkdir(exist_ok=True)
        os.rename(folder(home, step), folder(home / ASIDE, step))
    shutil.rmtree(home / ASIDE, ignore_errors=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Has the system write a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # which opens no folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
