"""NeMo manifests: JSON lines or CSV with audio_filepath, text, and perhaps duration, offset, speaker."""

import csv
import io
import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distilhubert_ko.data.readers.columns import GENDER, SPEAKER, TEXT, first_value
from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.parsing import cell_text, check_named, malformed_line, numbered_lines, read_content
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.fence import Fence

SURPLUS = "\0"  # the key of the fields of a line for which there is no column


def read_manifest(location: str, split: str | None, reading: Reading) -> Listing:
    """List the utterances of a manifest."""
    file = reading.path(location)
    return Listing([entry for _, entry in manifest_entries(file, fence=reading.fence(file.parent))])


def manifest_entries(
    file: Path,
    path_key: str = "audio_filepath",
    split: str | None = None,
    fence: Fence | None = None,
    prefix: str = "",
) -> Iterator[tuple[str, Entry]]:
    """Yield the path of the audio as a CSV or JSON-lines file gives it, which may be a URL, and the entry.

    An entry without an id gets the audio's path as one, below `prefix`, and @offset in a slice. Raises CorpusError for
    a malformed line and for a file that `fence` does not hold; without a fence, files may lie anywhere.
    """
    for number, record in _csv_records(file) if file.suffix.lower() == ".csv" else _json_records(file):
        path = record.get(path_key)
        if not isinstance(path, str) or not path:
            raise malformed_line(file, number, f"a path under {path_key}")
        check_named(file.parent / path, fence, f"{file}, line {number}")
        offset, duration = _slice(file, number, record)
        name = os.path.splitext(os.path.join(prefix, path))[0]
        yield (
            path,
            Entry(
                id=cell_text(record.get("id")) or (f"{name}@{offset}" if offset else name),
                audio=file.parent / path,
                text=cell_text(first_value(record, TEXT)),
                speaker=cell_text(first_value(record, SPEAKER)),
                split=split,
                offset=offset,
                duration=duration,
                gender=cell_text(first_value(record, GENDER)),
            ),
        )


def _slice(file: Path, number: int, record: dict[str, Any]) -> tuple[float, float | None]:
    """Return the offset and the duration of a record in seconds."""
    try:
        offset, duration = _number(record.get("offset")) or 0.0, _number(record.get("duration"))
    except (TypeError, ValueError, OverflowError):
        raise malformed_line(file, number, "numbers of seconds as offset and duration") from None
    if not (0 <= offset < math.inf and (duration is None or 0 < duration < math.inf)):
        raise malformed_line(file, number, "offset >= 0 and duration > 0, in seconds")
    return offset, duration


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def _csv_records(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(read_content(file)), strict=True, restkey=SURPLUS)
    try:
        columns = reader.fieldnames or ()
        if twice := [name for name, count in Counter(columns).items() if count > 1]:
            raise CorpusError(f"{file}, line 1: column {twice[0]} is there twice: rename one of the two")
        for record in reader:
            if surplus := record.get(SURPLUS):
                raise CorpusError(
                    f"{file}, line {reader.line_num} has {len(columns) + len(surplus)} fields for {len(columns)} "
                    "columns: put double quotes around a text with a comma"
                )
            yield reader.line_num, record
    except csv.Error as error:
        raise malformed_line(file, reader.reader.line_num, "comma-separated values") from error


def _json_records(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in numbered_lines(file):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise malformed_line(file, number, "one JSON object per line")
        yield number, record
