"""Checkpoints that are there whole or not at all: written to a temporary folder, checksummed, renamed.

Corrupt ones are passed over.

`files.writing.new_folder` does not fit here. All ranks write into one temporary folder, whose name they must know
without asking each other, and the Trainer adds a folder for the step inside it. Everything is flushed to the disk
before the checksums count. An error must stay the system's, since it becomes one that names the free space.
"""

import hashlib
import itertools
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distilhubert_ko import model_folder
from distilhubert_ko.errors import InputError
from distilhubert_ko.files.outputs import check_folder
from distilhubert_ko.training.splice import CUTS

CHECKPOINTS = "checkpoints"
CHECKSUMS = "checksums.json"
TEMPORARY = ".tmp"  # beside the checkpoints: one that is being written, or deleted
FIRST = {CHECKPOINTS, CUTS, model_folder.RECIPE, model_folder.DATA, model_folder.LOG, "runs"}
"""All that a run leaves before its first checkpoint."""

logger = logging.getLogger(__name__)


def checkpoint_folder(home: Path, step: int) -> Path:
    """Return the folder of the checkpoint of a step, by Transformers' name, in the folder of a run's checkpoints."""
    return home / f"checkpoint-{step}"


def checkpoint_steps(home: Path) -> list[int]:
    """Return the steps that have a checkpoint, corrupt ones included, in order."""
    names = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in home.glob("checkpoint-*") if path.is_dir())
    return sorted(int(name[1]) for name in names if name)


@contextmanager
def new_checkpoint(home: Path, step: int) -> Iterator[Path]:
    """Yield a temporary folder, whose folder of the step becomes the step's checkpoint when the block ends.

    One renaming does that, when everything is on the disk, with the checksums. However the block ends, no half of a
    checkpoint is left.
    """
    temporary, target = home / TEMPORARY, checkpoint_folder(home, step)
    shutil.rmtree(temporary, ignore_errors=True)  # a process that was killed while saving left it
    begun = checkpoint_folder(temporary, step)
    begun.mkdir(parents=True)
    try:
        yield temporary
        seal_checkpoint(begun)
        if target.exists():
            os.rename(target, temporary / "replaced")
        os.rename(begun, target)
        _sync(home)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def seal_checkpoint(checkpoint: Path) -> None:
    """Write the checksums of a checkpoint's files into it, and flush everything to the disk."""
    files = sorted(path for path in checkpoint.iterdir() if path.name != CHECKSUMS)
    sums = {path.name: _checksum(path) for path in files}
    (checkpoint / CHECKSUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")
    for path in (*files, checkpoint / CHECKSUMS, checkpoint):
        _sync(path)


def checkpoint_fault(checkpoint: Path) -> str:
    """Return what makes a checkpoint corrupt: a file that is missing or was changed; "" where it is whole."""
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
                return f"{name} was changed after it was saved"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
        except UnicodeEncodeError:
            return f"{CHECKSUMS} is damaged"
    return ""


def checkpoint_to_resume(out: Path, resume: bool) -> str | None:
    """Return the newest whole checkpoint of a run; None for a fresh start, or where the run saved none yet.

    Raises InputError for a folder that is not as `resume` says, and where every checkpoint is corrupt.
    """
    if not resume:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out}: not empty; choose another --out, or add --resume to continue the run there")
        check_folder(out)
        return None
    home = out / CHECKPOINTS
    if home.is_dir() and (last := last_whole_checkpoint(home)):
        return str(last)
    left = {path.name for path in out.iterdir() if path.suffix != ".tmp"} if out.is_dir() else set()
    if not left or left - FIRST:
        raise InputError(f"{out}: no checkpoint to resume from; leave out --resume and choose a new --out")
    logger.warning("%s: no checkpoint was saved yet: starting from the beginning", out)
    return None


def last_whole_checkpoint(home: Path) -> Path | None:
    """Return the newest checkpoint that is whole, or None where there is no checkpoint at all.

    Newer ones, which are corrupt, are named in a warning and moved to corrupt-checkpoint-STEP-1, out of the way of the
    run. Raises InputError where all are corrupt; nothing is moved then.
    """
    shutil.rmtree(home / TEMPORARY, ignore_errors=True)
    corrupt: dict[Path, str] = {}
    for step in reversed(checkpoint_steps(home)):
        checkpoint = checkpoint_folder(home, step)
        reason = checkpoint_fault(checkpoint)
        if not reason:
            for passed_over, why in corrupt.items():
                _move_corrupt(passed_over, why, checkpoint)
            return checkpoint
        corrupt[checkpoint] = reason
    if corrupt:
        reasons = ", ".join(f"{checkpoint.name}: {reason}" for checkpoint, reason in corrupt.items())
        raise InputError(f"{home}: every checkpoint is corrupt ({reasons}); start again with a new --out")
    return None


def _move_corrupt(corrupt: Path, reason: str, whole: Path) -> None:
    names = (corrupt.with_name(f"corrupt-{corrupt.name}-{number}") for number in itertools.count(1))
    kept = next(name for name in names if not name.exists())
    os.rename(corrupt, kept)
    logger.warning(
        "%s is corrupt (%s): resuming from %s; what is left of it is in %s, which may be deleted",
        corrupt.name,
        reason,
        whole.name,
        kept,
    )


def delete_old_checkpoints(home: Path, best: int | None) -> None:
    """Delete all checkpoints but the newest and that of the step `best`, or but the newest two."""
    *older, newest = checkpoint_steps(home)
    kept = {newest, best if best in older else older[-1]} if older else {newest}
    for step in set(older) - kept:
        # Out of the way in one step, or a process that is killed now leaves a corrupt one behind.
        (home / TEMPORARY).mkdir(exist_ok=True)
        os.rename(checkpoint_folder(home, step), checkpoint_folder(home / TEMPORARY, step))
    shutil.rmtree(home / TEMPORARY, ignore_errors=True)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # which opens no folders
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
