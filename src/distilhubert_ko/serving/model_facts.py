"""Facts about a loaded model: its size, its measured error rate, and its speed on this machine."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distilhubert_ko import model_folder
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import ModelError
from distilhubert_ko.model_folder import ReportRecord
from distilhubert_ko.recognition.transcriber import Transcriber

TRIAL = 10  # seconds of noise for measuring the speed


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a loaded model; None if the folder does not tell.

    `size_bytes` is the size of the graph. `cer` is a fraction, measured on `cer_corpus`. `realtime_factor` is the
    seconds of speech transcribed in one second on `threads` threads.
    """

    id: str
    created: int
    units: str
    parameters: int | None
    size_bytes: int
    cer: float | None
    cer_corpus: str | None
    language_model: bool
    threads: int
    realtime_factor: float | None = None


LONGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors library


def gather_facts(transcriber: Transcriber, name: str) -> ModelFacts:
    """Return the facts about a model that is called `name`."""
    report = _measured(transcriber.folder)
    graph = model_folder.graph(transcriber.folder).stat()
    return ModelFacts(
        id=name,
        created=int(graph.st_mtime),
        units=transcriber.tokenizer.units,
        parameters=_parameters(transcriber.folder),
        size_bytes=graph.st_size,
        cer=report.cer if report else None,
        cer_corpus=report.corpus if report else None,
        language_model=transcriber.decoder.model is not None,
        threads=transcriber.runtime.threads,
        realtime_factor=round(_speed(transcriber), 1),
    )


def _measured(folder: Path) -> ReportRecord | None:
    """Return what report.json says, or None for a folder without one that can be read."""
    try:
        return model_folder.read_record(ReportRecord, folder / model_folder.REPORT)
    except ModelError:
        return None


def _speed(transcriber: Transcriber) -> float:
    """Return seconds of audio per second, measured on a second call, when memory is warm."""
    noise = 0.1 * np.random.default_rng(0).normal(size=TRIAL * SAMPLE_RATE).astype(np.float32)
    transcriber(noise)
    start = time.perf_counter()
    transcriber(noise)
    return TRIAL / (time.perf_counter() - start)


def _parameters(folder: Path) -> int | None:
    """Return the number of parameters that the headers of the safetensors files say; None for damaged ones."""
    try:
        files = model_folder.weights(folder) or model_folder.weights(model_folder.converted(folder))
        return sum(_numbers(file) for file in files) if files else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _numbers(file: Path) -> int:
    """Count the numbers in a safetensors file (https://huggingface.co/docs/safetensors).

    The file begins with the length of its JSON header in eight bytes, little-endian. Raises ValueError for a header
    that is longer than the format allows.
    """
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > LONGEST_HEADER:
            raise ValueError(f"{file}: a header of {size:,} bytes")
        header = json.loads(stream.read(size))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
