"""Parquet as the Hub has it: speech and other columns. No pytest, since checks on other machines use it too."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE


def sound(wave: np.ndarray) -> bytes:
    """A wave (samples,) as a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE, format="WAV")
    return file.getvalue()


def write_shard(file: Path, clips: Sequence[bytes | None], columns: dict[str, list[Any]], row_group: int) -> None:
    """Sound and other columns as `datasets` writes them, `row_group` clips a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    audio = [{"bytes": content, "path": f"{row}.wav"} for row, content in enumerate(clips)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"audio": pa.array(audio, kind), **columns})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=row_group, compression="none", use_dictionary=False)
