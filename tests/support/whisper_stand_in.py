"""A stand-in for faster-whisper, which is not installed with the tests: its names, and segments as a test says them."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest


@dataclass
class Segment:
    """The fields of faster-whisper's Segment that are read."""

    text: str
    avg_logprob: float = -0.3
    compression_ratio: float = 1.0
    no_speech_prob: float = 0.05
    tokens: Sequence[int] = (1, 2, 3)


@dataclass
class StandIn:
    """What the stand-in says, and how it was called."""

    folder: Path
    """A folder with the files that a model needs."""
    segments: list[Segment] = field(default_factory=list)
    multilingual: bool = True
    mels: int = 80
    broken: Exception | None = None
    download: Path | Exception | None = None
    opened: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def whisper(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Install the stand-in as faster_whisper, and return what decides what it says."""
    stand_in = StandIn(tmp_path_factory.mktemp("whisper"))
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (stand_in.folder / name).touch()

    class WhisperModel:
        def __init__(self, folder: str, **settings: Any):
            if stand_in.broken:
                raise stand_in.broken
            stand_in.opened.append({"folder": folder, **settings})
            self.model = SimpleNamespace(is_multilingual=stand_in.multilingual, n_mels=80)
            self.feature_extractor = SimpleNamespace(mel_filters=np.zeros((stand_in.mels, 201)))

        def transcribe(self, wave: np.ndarray, **settings: Any) -> tuple[Iterator[Segment], None]:
            stand_in.calls.append({"samples": len(wave), **settings})
            return iter(stand_in.segments), None

    def download_model(name: str) -> str:
        if isinstance(stand_in.download, Exception):
            raise stand_in.download
        return str(stand_in.download)

    module = ModuleType("faster_whisper")
    module.__dict__.update(WhisperModel=WhisperModel, download_model=download_model)
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return stand_in
