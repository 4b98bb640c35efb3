"""Under which names tables give what describes a clip."""

from collections.abc import Sequence
from typing import Any

TEXT = ("text", "transcription", "sentence", "transcript")
SPEAKER = ("speaker", "speaker_id")
GENDER = ("gender", "sex")


def describing_columns(names: Sequence[str]) -> dict[str, str | None]:
    """Return, for each field of Entry that describes a clip, the column of these that has it."""
    return {"text": first_name(names, TEXT), "speaker": first_name(names, SPEAKER), "gender": first_name(names, GENDER)}


def first_name(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Return the first of the wanted names that is among the names."""
    return next((name for name in wanted if name in names), None)


def first_value(record: dict[str, Any], keys: Sequence[str]) -> Any:
    """Return the first value of a record, under one of these keys, that is not None."""
    return next((record[key] for key in keys if record.get(key) is not None), None)
