"""Text files that are there whole or not at all, the room for them, and the folder for what nobody asked for."""

import errno
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from distilhubert_ko.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says of a disk without room."""


def write(path: Path, text: str) -> Path:
    """Writes `text` to `path` as UTF-8, aside first and then renamed; returns `path`.

    Folders are made where they are missing. However it ends, nothing lies beside `path`, and an older file is whole.
    Raises InputError where it cannot be written.
    """
    aside = path.with_name(f".{secrets.token_hex(4)}.tmp")  # short: a name that fits must not become too long
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # or a system that stops now may keep the name and lose the content
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}): name a folder that you may write to, with "
            "room for it, or a shorter name"
        ) from error
    return path


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """As `write`, for an object that JSON knows, with Korean as it is."""
    return write(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def user_cache() -> Path:
    """Where this program keeps what it can make or fetch again; it need not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distilhubert-ko"


def free_gb(place: Path) -> float:
    """What is free on the disk of a file or folder, which need not be there yet."""
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free / 1e9
