"""What a command may write over: never one of its inputs, and only files that this program wrote.

A file that somebody changed after this program wrote it counts as theirs.
"""

import itertools
import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from distilhubert_ko.errors import InputError
from distilhubert_ko.files.digests import remember_written, sha256, was_written
from distilhubert_ko.files.exchange import exchanged_folder
from distilhubert_ko.files.writing import replaced_file, writing_errors

Mark = Callable[[Path], bool]
"""Tells by the content whether this program wrote a file, perhaps on another machine."""

logger = logging.getLogger(__name__)


def check_output(path: Path, inputs: Iterable[str | os.PathLike[str]] = (), mark: Mark | None = None) -> Path:
    """Return the file to write for an output, which is another one if `path` is a link.

    Raises InputError if it is one of `inputs`, if nobody could write there, or if it is there and this program did not
    write it. So a command checks its outputs before its work, and `replaced_output` checks again.
    """
    place = Path(os.path.realpath(path))
    if _same_file(place, inputs):
        raise InputError(f"{path} is an input of this command: give another name for what it writes")
    with writing_errors(path):
        try:
            state = place.stat()
        except FileNotFoundError:
            check_folder(path.parent)
            return place
    if stat.S_ISDIR(state.st_mode):
        raise InputError(f"{path} is a folder: give the name of a file in it")
    if not stat.S_ISREG(state.st_mode):
        raise InputError(f"{path} is no ordinary file: give the name of one")
    if not is_replaceable(place, mark):
        raise InputError(
            f"{path} exists, and this program did not write it, or somebody changed it since: give another name, or "
            "move that file away"
        )
    return place


def is_replaceable(place: Path, mark: Mark | None = None) -> bool:
    """Tell whether this program wrote an existing file, so that it may replace it."""
    try:
        return was_written(place) or (mark is not None and mark(place))
    except OSError:
        return False


@contextmanager
def replaced_output(path: Path, mark: Mark | None = None) -> Iterator[Path]:
    """Yield a temporary path to write an output to, which becomes `path` when the block ends without an error.

    Raises InputError as `check_output` does, and where it cannot be written. Say so if an earlier output is replaced.
    """
    place = check_output(path, mark=mark)
    with writing_errors(path), replaced_file(place) as temporary:
        yield temporary
        remember_written(temporary, place)
        check_output(path, mark=mark)  # it may have come meanwhile
        replaces = place.exists()
    if replaces:
        logger.info("%s: replaced what this program wrote there before", path)


def write_output(path: Path, text: str, mark: Mark | None = None) -> Path:
    """Write `text` to an output as UTF-8, and return `path`. Raises InputError as `replaced_output` does."""
    with replaced_output(path, mark) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
    return path


@contextmanager
def replaced_output_folder(folder: Path, same: Iterable[Path] = ()) -> Iterator[Path]:
    """Yield an empty temporary folder, which takes the place of `folder`, whole, when the block ends without an error.

    Raises InputError as `check_replaceable_folder` does, and where nothing can be written. Say so if an earlier folder
    is replaced.
    """
    kept = tuple(same)
    check_replaceable_folder(folder, kept)
    with writing_errors(folder), exchanged_folder(folder) as temporary:
        yield temporary
        remember_folder(temporary, folder)
        check_replaceable_folder(folder, kept)  # somebody may have put a file there meanwhile
        replaces = folder.is_dir() and any(folder.iterdir())
    if replaces:
        logger.info("%s: replaced what this program wrote there before", folder)


def check_replaceable_folder(folder: Path, same: Iterable[Path] = ()) -> None:
    """Raise InputError if `folder` is a file, or holds anything that this program did not write.

    A file with the content of one of `same`, which will be in the new folder, is no loss.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: give the name of a folder")
    if not folder.exists():
        check_folder(folder)
    with writing_errors(folder):
        found = sorted(folder.rglob("*"))
        kept = {sha256(file) for file in same} if found else set()
        for path in found:
            if path.is_symlink() or not (path.is_dir() or (path.is_file() and _is_no_loss(path, kept))):
                raise InputError(
                    f"{folder} holds {path.relative_to(folder)}, which this program did not write, or somebody "
                    "changed since: give a new folder, or move that one away"
                )


def _is_no_loss(path: Path, kept: set[str]) -> bool:
    return is_replaceable(path) or sha256(path) in kept


def remember_folder(content: Path, place: Path) -> None:
    """Keep the digests of all files of a folder that is about to get to `place`."""
    for file in filter(Path.is_file, content.rglob("*")):
        remember_written(file, place / file.relative_to(content))


def _same_file(place: Path, inputs: Iterable[str | os.PathLike[str]]) -> bool:
    for given in inputs:
        try:
            if os.path.realpath(given) == str(place) or os.path.samefile(given, place):
                return True
        except (OSError, ValueError):  # one of the two is not there
            continue
    return False


def check_folder(folder: Path) -> None:
    """Raise InputError if nothing can be written into a folder, or if it can neither be found nor made."""
    place = Path(os.path.realpath(folder))
    with writing_errors(folder):
        missing = list(itertools.takewhile(lambda each: not os.path.lexists(each), (place, *place.parents)))
        if missing:
            missing[-1].mkdir()  # as root, only trying tells, such as in /proc
            missing[-1].rmdir()
        else:
            with tempfile.TemporaryFile(dir=place):
                pass
