"""The training log of a model folder: what the Trainer logged, a JSON object a line, in the order of the steps."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LOG = "training_log.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a log. Raises OSError where it cannot be read, ValueError where a line is no JSON."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(lines: Iterable[dict[str, Any]]) -> str:
    """The lines as the file has them."""
    return "".join(json.dumps(line) + "\n" for line in lines)
