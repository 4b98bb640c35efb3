"""A folder that takes another one's place whole, in one step where the system can do that."""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distilhubert_ko.files.writing import sync_tree, temporary_path

HERE = -100  # AT_FDCWD: paths count from the working folder
LINUX_EXCHANGE, MAC_SWAP = 2, 2  # RENAME_EXCHANGE, RENAME_SWAP
BEFORE = ".before"


@contextmanager
def exchanged_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty temporary folder, which takes the place of `folder` when the block ends without an error.

    Whenever the process is killed, `folder` is the old one or the new one. Where the system cannot exchange two
    folders, the old one is called NAME.before for a moment. Errors are those of the system, such as EBUSY for a mount
    point or the working folder, unless that is empty.
    """
    folder = Path(os.path.realpath(folder))
    fixed = folder.is_dir() and (os.path.ismount(folder) or folder == Path.cwd())
    if fixed and any(folder.iterdir()):
        raise OSError(errno.EBUSY, "it is a mount point or the current folder, and not empty", str(folder))
    home = folder if fixed else folder.parent
    home.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(home)
    temporary.mkdir()
    try:
        yield temporary
        sync_tree(temporary)
        if fixed:
            for entry in sorted(temporary.iterdir(), key=lambda each: each.suffix == ".onnx"):
                os.rename(entry, folder / entry.name)
        elif folder.is_dir() and any(folder.iterdir()):
            shutil.copymode(folder, temporary)
            _exchange(temporary, folder)
        else:
            if folder.is_dir():
                folder.rmdir()
            os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, folder: Path) -> None:
    """Exchange two folders, or rename one after the other where the system knows no exchange."""
    if _exchanged(os.fsencode(new), os.fsencode(folder)):
        return
    before = folder.with_name(folder.name + BEFORE)
    os.rename(folder, before)
    try:
        os.rename(new, folder)
    except OSError:
        os.rename(before, folder)
        raise
    shutil.rmtree(before)


def _exchanged(one: bytes, other: bytes) -> bool:
    """Exchange two paths in one step, and return whether the system could."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return bool(library.renameat2(HERE, one, HERE, other, LINUX_EXCHANGE) == 0)  # type: ignore[union-attr]
    if sys.platform == "darwin" and hasattr(library, "renamex_np"):
        return bool(library.renamex_np(one, other, MAC_SWAP) == 0)  # type: ignore[union-attr]
    return False
