"""The first fields of an ONNX file, read without ONNX: who made it, and what it was made of."""

from pathlib import Path
from typing import BinaryIO

PRODUCER, ORIGIN = 2, 6  # ModelProto.producer_name and .doc_string
GRAPH_FIELD = 7  # ModelProto.graph, which comes after the fields read here
LONGEST = 10_000  # bytes of a field
VARINT, BYTES = 0, 2  # wire types of protobuf


def read_head(path: Path) -> dict[int, str]:
    """Return the texts before the graph of an ONNX file by field number; fewer or none for other files.

    Errors are those of the system.
    """
    found: dict[int, str] = {}
    with path.open("rb") as file:
        try:
            while True:
                field, kind = divmod(_varint(file), 8)
                if not 0 < field < GRAPH_FIELD:
                    return found
                size = _varint(file)
                if kind == BYTES and size <= LONGEST:
                    found[field] = file.read(size).decode("utf-8")
                elif kind != VARINT:
                    return found
        except ValueError:
            return found


def _varint(file: BinaryIO) -> int:
    """Return the next number. Raises ValueError at the end of the file, or for a number that does not end."""
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            break
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("no number of protobuf")
