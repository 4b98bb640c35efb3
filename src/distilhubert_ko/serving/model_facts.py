"""What is known of a model folder: its size, its measured error rate, how fast it is here."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilhubert_ko import model_folder
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.recognition.transcriber import Transcriber

TRIAL = 10  # seconds of noise that speed is measured on


@dataclass(frozen=True)
class ModelFacts:
    """Of a loaded model. None where the folder does not say.

    `size_bytes` is that of the graph; `cer` is a fraction, as measured on `cer_corpus`; `realtime_factor` is how many
    seconds of speech are transcribed in one second, on `threads`.
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


def gather_facts(transcriber: Transcriber, name: str) -> ModelFacts:
    """Those of a model that is called `name`."""
    report = _json(transcriber.folder / "report.json")
    graph = model_folder.graph(transcriber.folder).stat()
    return ModelFacts(
        id=name,
        created=int(graph.st_mtime),
        units=transcriber.tokenizer.units,
        parameters=_parameters(transcriber.folder),
        size_bytes=graph.st_size,
        cer=report.get("cer"),
        cer_corpus=report.get("corpus"),
        language_model=transcriber.decoder.model is not None,
        threads=transcriber.runtime.threads,
        realtime_factor=round(_speed(transcriber), 1),
    )


def _speed(transcriber: Transcriber) -> float:
    """Seconds of audio a second, the second time, when memory is warm."""
    noise = 0.1 * np.random.default_rng(0).normal(size=TRIAL * SAMPLE_RATE).astype(np.float32)
    transcriber(noise)
    start = time.perf_counter()
    transcriber(noise)
    return TRIAL / (time.perf_counter() - start)


def _parameters(folder: Path) -> int | None:
    """Numbers in the safetensors of a folder, from their headers."""
    files = model_folder.weights(folder)
    return sum(_numbers(file) for file in files) if files else None


def _numbers(file: Path) -> int:
    """https://huggingface.co/docs/safetensors: eight bytes of the header's length, little-endian, then JSON."""
    with file.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
