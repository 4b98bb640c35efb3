"""Lines and tables of the text files that corpora are listed in, with errors that name the line."""

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distilhubert_ko.data.readers.encoding import decoded
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.fence import Fence, outside_error
from distilhubert_ko.files.reading import check_ordinary


def existing_folder(scheme: str, location: str, reading: Reading) -> Path:
    """Return the folder of a corpus. Raises CorpusError where there is none."""
    folder = reading.path(location)
    if not folder.is_dir():
        raise CorpusError(f"{scheme}:{location}: there is no folder {folder}: check the path")
    return folder


def read_content(file: Path) -> str:
    """Return the text of a file in UTF-8, UTF-16 or CP949. Raises CorpusError where it cannot be read."""
    try:
        check_ordinary(file)
        return decoded(file.read_bytes())
    except UnicodeError as error:
        raise CorpusError(f"{file} is not UTF-8, nor surely UTF-16 or CP949: save it as UTF-8") from error
    except OSError as error:
        raise CorpusError(f"{file} cannot be read ({error.strerror}): check the path and the format") from error


def numbered_lines(file: Path, stripped: bool = True) -> Iterator[tuple[int, str]]:
    """Yield what `content_lines` does of a file. Raises CorpusError where it cannot be read."""
    yield from content_lines(read_content(file), stripped)


def content_lines(content: str, stripped: bool = True) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1 and, if `stripped`, without space around them."""
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, line.strip() if stripped else line


def read_table(file: Path, may_be_empty: bool = False) -> dict[str, str]:
    """Return the values of lines `<key> <value>` by key. With `may_be_empty`, a line may lack its value."""
    table: dict[str, str] = {}
    for number, line in numbered_lines(file):
        key, *value = line.split(maxsplit=1)
        key = unicodedata.normalize("NFC", key)
        if not value and not may_be_empty:
            raise malformed_line(file, number, "<id> <value>")
        if key in table:
            raise CorpusError(f"{file}, line {number}: {key} is listed twice: remove one of the lines")
        table[key] = value[0] if value else ""
    return table


def malformed_line(file: Path, number: int, expected: str) -> CorpusError:
    """Return the error for a line that is not as expected."""
    return CorpusError(f"{file}, line {number} is malformed: it should have {expected}")


def check_named(path: Path, fence: Fence | None, line: str) -> None:
    """Raise CorpusError if a manifest may not name `path`, in the line that is called `line`."""
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise CorpusError(f"{line} names {str(path)!r}, which cannot be a file name: write the manifest again")
    if fence is not None and not fence.holds(path):
        raise outside_error(line, str(path), fence.folder)


def cell_text(value: Any) -> str | None:
    """Return a cell of a table as text; None where it is empty."""
    return None if value is None or value == "" else str(value)
