"""From an upload to its transcript: kept in a private folder, decoded, and transcribed among others."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.serving.batcher import Batcher
from distilhubert_ko.serving.decoders import Decoders

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, what a killed server left stays
    fcntl = None  # type: ignore[assignment]

PREFIX = "distilhubert-ko-"
YOUNG = 60.0  # seconds within which a folder may be made and not locked yet


class Uploads:
    """Takes uploads in, an async context manager for as long as the server runs.

    An upload lies in a folder of its own, which only this user may read, until it is decoded. What a server left that
    was killed goes when the next one starts.
    """

    def __init__(self, decoders: Decoders, batcher: Batcher):
        self._decoders, self._batcher = decoders, batcher
        self._folder = Path()
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._folder = stack.enter_context(_private_folder())
            await stack.enter_async_context(self._decoders)
            await stack.enter_async_context(self._batcher)
            self._held = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._held.aclose()

    async def wave(self, upload: BinaryIO) -> np.ndarray:
        """The samples (samples,) at 16 kHz of an upload. Raises what Decoders raises, AudioError most of all."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "upload"
            with path.open("xb") as file:
                await asyncio.to_thread(shutil.copyfileobj, upload, file)
            return await self._decoders.decode(path)

    async def transcript(self, wave: np.ndarray) -> Transcript:
        """Raises BusyError where too many wait."""
        return await self._batcher.transcribe(wave)

    async def texts(self, wave: np.ndarray) -> AsyncIterator[str | Transcript]:
        """The text of a wave in parts as the windows of it are heard, then the transcript, whose text they make."""
        loop = asyncio.get_running_loop()
        parts: asyncio.Queue[str | None] = asyncio.Queue()  # None at the end

        def told(text: str) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, text)

        work = asyncio.ensure_future(self._batcher.transcribe(wave, on_text=told))
        work.add_done_callback(lambda _: parts.put_nowait(None))
        sent = ""
        try:
            while part := await parts.get():
                yield f" {part}" if sent else part
                sent += f" {part}" if sent else part
            transcript = await work
            if rest := transcript.text.removeprefix(sent):
                yield rest
            yield transcript
        finally:
            work.cancel()


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder that is locked, so that others are told from those of servers that are no more, which are removed."""
    if fcntl is None:
        with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
            yield Path(folder)
        return
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(old):
            if old.stat().st_uid == os.getuid() and time.time() - old.stat().st_mtime > YOUNG:
                shutil.rmtree(old)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, _locked(Path(folder)):
        yield Path(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """OSError where another process has the lock, which ends with that process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
