"""Text and JSON files, with errors that say what to do."""

import errno
import json
import stat
from pathlib import Path
from typing import Any

from distilhubert_ko.errors import InputError, reason


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file without its byte order mark. Raises InputError where it cannot be read."""
    try:
        if path.is_char_device() or path.is_block_device():
            raise OSError(errno.EINVAL, "it is a device")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give the path of a text file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: convert it, e.g. iconv -f CP949 -t UTF-8 {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}): give the path of a text file") from error


def check_ordinary(path: Path) -> None:
    """Raise OSError for a device or a pipe, which may have no end, where a file of somebody else's names it."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "it is no ordinary file", str(path))


def read_json_object(path: Path, error: type[InputError], remedy: str) -> dict[str, Any]:
    """Return the object in a JSON file. Raises `error`, whose message ends in `remedy`, where there is none."""
    try:
        check_ordinary(path)
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path} is missing: {remedy}") from None
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path} cannot be read ({reason(cause)}): {remedy}") from cause
    if not isinstance(content, dict):
        raise error(f"{path} holds no JSON object: {remedy}")
    return content
