"""TOML tables as frozen dataclasses, every key and type checked."""

import dataclasses
import difflib
import tomllib
import types
import typing
from typing import Any, Literal

from distilhubert_ko.errors import RecipeError


def set_key(table: dict[str, Any], text: str) -> None:
    """Set one key as `section.key=value` says, with the value in TOML, or a bare word for a string.

    Raises RecipeError where it is not written so.
    """
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or len(parts) > 2 or not all(parts):
        raise RecipeError(f"--set {text}: write it as section.key=value, such as training.num_epochs=3")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):
        parsed = value.strip()  # a bare word, such as a corpus or a folder
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {text}: {part} is no section: write section.key=value, or {part}=value")
    table[parts[-1]] = parsed


def dataclass_from_table(kind: type, table: dict[str, Any], source: str, section: str = "") -> Any:
    """Return an instance of the dataclass `kind` with the values of a table.

    `source` names the file, and `section` is "" or ends in a dot.
    Raises RecipeError for an unknown key, with the nearest known one, and for a value of the wrong type.
    """
    known = typing.get_type_hints(kind)
    values = {}
    for key, value in table.items():
        name = f"{section}{key}"
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {section}{near[0]}?" if near else f"known here: {', '.join(known)}"
            raise RecipeError(f"{source}: unknown key {name}; {hint}")
        if dataclasses.is_dataclass(known[key]):
            if not isinstance(value, dict):
                raise RecipeError(f"{source}: {name} is a section: write [{name}] and its keys below it")
            values[key] = dataclass_from_table(typing.cast(type, known[key]), value, source, f"{name}.")
        else:
            values[key] = _convert(known[key], value, f"{source}: {name}")
    return kind(**values)


def _convert(kind: Any, value: Any, what: str) -> Any:
    origin = typing.get_origin(kind)
    if origin is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise RecipeError(f"{what} is {value!r}: choose one of {', '.join(map(repr, choices))}")
        return value
    if origin is tuple:
        parts = typing.get_args(kind)
        if parts[-1] is Ellipsis and isinstance(value, list | tuple):
            parts = parts[:1] * len(value)
        if not isinstance(value, list | tuple) or len(value) != len(parts):
            raise RecipeError(f"{what} is {value!r}: give {len(parts)} values")
        return tuple(_convert(part, item, what) for part, item in zip(parts, value, strict=True))
    if origin is types.UnionType:  # one value, or a list of such
        one, several = typing.get_args(kind)
        return _convert(several if isinstance(value, list | tuple) else one, value, what)
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise RecipeError(f"{what} is too large a number: give one below 1e308") from None
    if type(value) is not kind:
        raise RecipeError(f"{what} is {value!r}: give a value of type {kind.__name__}")
    return value
