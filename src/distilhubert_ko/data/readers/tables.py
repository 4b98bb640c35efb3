"""The records of a list however it is written: JSON lines, a JSON array, or values parted by a separator."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distilhubert_ko.audio.reading import HEADERLESS
from distilhubert_ko.data.readers.columns import AUDIO, Columns, plain_name, several
from distilhubert_ko.data.readers.parsing import content_lines, malformed_line, read_content
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.recordings import is_audio_name

SEPARATORS = ",;\t|"
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
Records = Iterator[tuple[int, dict[str, Any]]]


def read_records(file: Path, columns: Columns) -> Records:
    """Yield the records of a list with their lines.

    A list of values without a header has columns named 1, 2 and so on, but "audio" and "text" where it has two, one of
    which is surely a file. Raises CorpusError for a line that is malformed or has other columns, and where no column
    is known as the audio.
    """
    content = read_content(file)
    first = content.lstrip()[:1]
    if first == "[":
        return _array_records(file, content)
    if first == "{" or file.suffix.lower() in JSON_SUFFIXES:
        return _line_records(file, content)
    return _separated_records(file, content, columns)


def _line_records(file: Path, content: str) -> Records:
    for number, line in content_lines(content):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise malformed_line(file, number, "one JSON object per line")
        yield number, record


def _array_records(file: Path, content: str) -> Records:
    decoder, place, number, counted = json.JSONDecoder(), content.index("[") + 1, 1, 0
    while True:
        place = _next(content, place)
        number, counted = number + content.count("\n", counted, place), place
        if content[place : place + 1] == "]" and not content[place + 1 :].strip():
            return
        try:
            record, place = decoder.raw_decode(content, place)
        except (ValueError, RecursionError):
            record = None
        after = _next(content, place)
        if not isinstance(record, dict) or content[after : after + 1] not in (",", "]"):
            raise malformed_line(file, number, "one JSON object per line, or an array of objects")
        place = after + (content[after] == ",")
        yield number, record


def _next(content: str, place: int) -> int:
    """Return the place of the next character that is no space."""
    while content[place : place + 1].isspace():
        place += 1
    return place


def _separated_records(file: Path, content: str, columns: Columns) -> Records:
    if not content.strip():
        return
    separator, names, headed = _layout(file, content, columns)
    reader = csv.reader(io.StringIO(content), delimiter=separator, strict=True)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if headed:
                headed = False
            elif len(cells) != len(names) or any(cell and not name for name, cell in zip(names, cells, strict=True)):
                raise CorpusError(
                    f"{file}, line {reader.line_num} has {len(cells)} fields for {len([*filter(None, names)])} "
                    f"columns: put double quotes around a text with {_called(separator)}"
                )
            else:
                yield reader.line_num, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        told = f"values parted by {_called(separator)}, with double quotes around a text that has some, and those twice"
        raise malformed_line(file, reader.line_num, told) from error


def _layout(file: Path, content: str, columns: Columns) -> tuple[str, list[str], bool]:
    """Return the separator, the names of the columns, and whether the first line has them."""
    rows = {separator: row for separator in SEPARATORS if (row := _first_row(content, separator))}
    if not rows:
        raise malformed_line(file, 1, "comma-separated values")
    ways = sorted(rows, key=lambda separator: len(rows[separator]), reverse=True)
    for separator in ways:
        row = [cell.strip() for cell in rows[separator]]
        known = any(plain_name(name) in AUDIO or name in columns.given.values() for name in row)
        if known and not any(map(_is_file, row)):
            if twice := [name for name, count in Counter(filter(None, row)).items() if count > 1]:
                raise CorpusError(f"{file}, line 1: column {twice[0]} is there twice: rename one of the two")
            return separator, row, True
    for separator in ways:
        files = [*map(_is_file, rows[separator])]
        names = [str(number + 1) for number in range(len(files))]
        if columns.audio in names:
            return separator, names, False
        if sum(files) == 1 and len(files) <= 2:
            return separator, ["audio" if is_file else "text" for is_file in files], False
    found = rows[ways[0]]
    raise CorpusError(
        f"{file}, line 1 has the columns {several(found)}, and it is not sure which is the audio and which the text: "
        f"add a header with audio_filepath and text, or name both, as in {file.name}?audio=COLUMN&text=COLUMN, by "
        f"number (1 to {len(found)}) where there is no header"
    )


def _is_file(cell: str) -> bool:
    name = cell.strip()
    return is_audio_name(name) or Path(name).suffix.lower() == HEADERLESS


def _first_row(content: str, separator: str) -> list[str]:
    try:
        return next((row for row in csv.reader(io.StringIO(content), delimiter=separator, strict=True) if row), [])
    except csv.Error:
        return []


def _called(separator: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(separator, "a |")
