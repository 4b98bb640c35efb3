"""Simple stand-ins for media_worker and batcher, until those are here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from distilhubert_ko import audio
from distilhubert_ko.errors import AudioError, DistilhubertKoError
from distilhubert_ko.stream import Stream
from distilhubert_ko.transcribe import Transcriber
from distilhubert_ko.transcript import Transcript


class BusyError(DistilhubertKoError, RuntimeError):
    """There is more to do than is taken on; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class TooLongError(AudioError):
    """Audio that lasts longer than is taken."""


class Opened:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


@dataclass(frozen=True)
class Limits:
    audio_seconds: float = 3600.0


class Decoders(Opened):
    def __init__(self, limits: Limits):
        self._limits = limits

    async def decode(self, path: Path) -> np.ndarray:
        try:
            return await asyncio.to_thread(audio.load, path)
        except AudioError as error:
            raise type(error)(str(error).replace(str(path), "the file")) from None


class Batcher(Opened):
    def __init__(self, transcriber: Transcriber, requests: int = 64):
        self._transcriber = transcriber
        self._one = asyncio.Semaphore(1)

    async def transcribe(self, wave: np.ndarray, on_text: Callable[[str], None] | None = None) -> Transcript:
        async with self._one:
            return await asyncio.to_thread(self._transcriber, wave, on_text=on_text)

    def stream(self) -> Stream:
        return self._transcriber.stream()
