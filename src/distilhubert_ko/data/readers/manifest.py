"""Manifests, which list audio files and what is said in them: NeMo's JSON lines, or any usual list."""

import json
import math
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilhubert_ko.data.readers.columns import (
    AUDIO,
    GENDER,
    NONE_GIVEN,
    SPEAKER,
    TEXT,
    Columns,
    first_name,
    plain_name,
    several,
)
from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.names import NameForms
from distilhubert_ko.data.readers.parsing import cell_text, check_named, malformed_line
from distilhubert_ko.data.readers.tables import read_records
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.fence import Fence


def read_manifest(location: str, split: str | None, reading: Reading) -> Listing:
    """List the utterances of a manifest."""
    file = reading.path(location)
    entries = [entry for _, entry in manifest_entries(file, fence=reading.fence(file.parent), columns=reading.columns)]
    return Listing(entries, hint=hint_without_text(file, entries, reading.columns))


def hint_without_text(file: Path, entries: Sequence[Entry], columns: Columns) -> str:
    """Return what to say of a list none of whose entries has a text, "" of others."""
    if not entries or any(entry.text for entry in entries):
        return ""
    _, record = next(iter(read_records(file, columns)))
    wanted = ", ".join(TEXT)
    return f"the columns are {several(record)}, and the text is wanted under {wanted}, or in {file.name}?text=COLUMN"


def manifest_entries(
    file: Path,
    path_key: str = "audio_filepath",
    split: str | None = None,
    fence: Fence | None = None,
    prefix: str = "",
    columns: Columns = NONE_GIVEN,
) -> Iterator[tuple[str, Entry]]:
    """Yield the path of the audio as a list gives it, which may be a URL, and the entry.

    The path stands under `path_key`, or another usual name, or that of `columns`. An entry without an id gets the
    audio's path as one, in NFC, below `prefix`, and @offset in a slice. Raises CorpusError for a malformed line, for
    columns that are not sure, and for a file that `fence` does not hold; without a fence, files may lie anywhere.
    """
    forms, known = NameForms(), dict[tuple[str, ...], _Roles]()
    for number, record in read_records(file, columns):
        names = tuple(record)
        if names not in known:
            known[names] = _Roles.found(file, number, names, path_key, columns)
        roles = known[names]
        path = record.get(roles.audio)
        if not isinstance(path, str) or not path:
            raise malformed_line(file, number, f"a path under {roles.audio}")
        line = f"{file}, line {number}"
        check_named(file.parent / path, fence, line)
        audio = forms.find(file.parent / path)
        if audio != file.parent / path:
            check_named(audio, fence, line)
        offset, duration = _slice(file, number, record)
        name = unicodedata.normalize("NFC", os.path.splitext(os.path.join(prefix, path))[0])
        yield (
            path,
            Entry(
                id=cell_text(record.get("id")) or (f"{name}@{offset}" if offset else name),
                audio=audio,
                text=_text(file, number, record, roles.texts),
                written=cell_text(record.get("written")),
                speaker=cell_text(record[roles.speaker] if roles.speaker else None),
                split=split,
                offset=offset,
                duration=duration,
                gender=cell_text(record[roles.gender] if roles.gender else None),
            ),
        )


@dataclass(frozen=True)
class _Roles:
    """The columns of a record: the audio's, those that may be the text's, the speaker's and the gender's."""

    audio: str
    texts: Sequence[str]
    speaker: str | None
    gender: str | None

    @classmethod
    def found(cls, file: Path, number: int, names: Sequence[str], path_key: str, columns: Columns) -> "_Roles":
        """Return the roles of columns of these names. Raises CorpusError where they are not sure."""
        if not names:
            raise malformed_line(file, number, f"a path under {path_key}")
        if missing := [name for name in columns.given.values() if name not in names]:
            raise CorpusError(
                f"{file}, line {number} has the columns {several(names)}, but not {missing[0]}: name one of these"
            )
        audios = [name for name in names if plain_name(name) in AUDIO]
        first = path_key if path_key in names else None
        audio = columns.audio or first or (audios[0] if len(audios) == 1 else None)
        if audio is None:
            raise CorpusError(
                f"{file}, line {number} has the columns {several(names)}, and {several(audios) or 'none'} may be the "
                f"audio: name that {path_key}, or say which it is: {file.name}?audio=COLUMN"
            )
        texts = [columns.text] if columns.text else [name for name in names if plain_name(name) in TEXT]
        return cls(audio, texts, columns.speaker or first_name(names, SPEAKER), first_name(names, GENDER))


def _text(file: Path, number: int, record: dict[str, Any], columns: Sequence[str]) -> str | None:
    """Return the text of a record. Raises CorpusError where it is a list, or where two columns have two texts."""
    texts = {name: record[name] for name in columns if record[name] not in (None, "")}
    for name, value in texts.items():
        if isinstance(value, list | dict | bool) or _is_json(value):
            raise CorpusError(
                f"{file}, line {number} has a {_kind(value)} under {name}, not a text: write what is said as one string"
            )
    if len({str(value) for value in texts.values()}) > 1:
        raise CorpusError(
            f"{file}, line {number} has different texts under {' and '.join(texts)}: say which is said in the audio: "
            f"{file.name}?text={next(iter(texts))}"
        )
    return cell_text(next(iter(texts.values()), None))


def _is_json(value: Any) -> bool:
    """Tell whether a text is a JSON list or object."""
    if not isinstance(value, str) or value.strip()[:1] + value.strip()[-1:] not in ("[]", "{}"):
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _kind(value: Any) -> str:
    return {dict: "JSON object", bool: "truth value"}.get(type(value), "JSON list")


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
