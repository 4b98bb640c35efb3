"""Uploads: from a file in a private folder, through decoding, to a transcript."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from distilhubert_ko.audio.channel_names import Channel
from distilhubert_ko.errors import UnavailableError
from distilhubert_ko.recognition.speakers import merge_speakers
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.serving.batcher import Batcher
from distilhubert_ko.serving.decoders import Decoders

try:
    import fcntl
except ImportError:  # Windows has no such locks: there, files of a killed server stay
    fcntl = None  # type: ignore[assignment]

PREFIX = "distilhubert-ko-serve-"  # which nothing else begins with: what has no lock is removed
YOUNG = 60.0  # seconds in which a new folder may not be locked yet


@dataclass(frozen=True)
class Part:
    """More of a text, which may be nothing, and the seconds of the recording that are recognised."""

    text: str
    seconds: float


class Uploads:
    """Decodes and transcribes uploads, as an async context manager for as long as the server runs.

    Until it is decoded, an upload lies in a folder of its own, which only this user may read. When a server starts, it
    removes the folders of killed servers.
    """

    def __init__(self, decoders: Decoders, batcher: Batcher):
        self._decoders, self._batcher = decoders, batcher
        self.limits = decoders.limits
        self.transcriber = batcher.transcriber
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

    async def wave(self, upload: BinaryIO, client: str, channel: Channel = Channel.MIX) -> np.ndarray:
        """Return the wave (samples,) of a client's upload at 16 kHz, or those of all its channels (channels, samples).

        Raises what `Decoders.decode` raises, and UnavailableError if the disk is full.
        """
        async with AsyncExitStack() as stack:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(dir=self._folder))
                path = Path(folder) / "upload"
                with path.open("xb") as file:
                    await asyncio.to_thread(shutil.copyfileobj, upload, file)
            except OSError as error:
                raise unstored(error) from error
            return await self._decoders.decode(path, client, channel)

    async def transcript(
        self, wave: np.ndarray, client: str, on_progress: Callable[[float], None] | None = None, **options: Any
    ) -> Transcript:
        """Transcribe a client's wave (samples,) with options of `Batcher.transcribe`, and raise what that raises.

        Waves of several channels (channels, samples) are speakers. `on_progress` receives seconds of the recording.
        """
        if wave.ndim == 1:
            return await self._batcher.transcribe(wave, client, on_progress=on_progress, **options)
        lanes: list[Transcript] = []
        for lane in wave:
            done = sum(each.seconds for each in lanes)
            advance = (lambda now, done=done: on_progress((done + now) / len(wave))) if on_progress else None
            lanes.append(await self._batcher.transcribe(lane, client, on_progress=advance, **options))
        return merge_speakers(lanes)

    async def parts(self, wave: np.ndarray, client: str, **options: Any) -> AsyncIterator[Part | Transcript]:
        """Yield the text of a client's wave in parts that make it up, as it is recognised, and then the transcript.

        The turns of several speakers are known only at the end, so all their text is in the last part.
        """
        loop = asyncio.get_running_loop()
        parts: asyncio.Queue[Part | None] = asyncio.Queue()  # None at the end
        texts: list[str] = []

        def on_progress(seconds: float) -> None:
            loop.call_soon_threadsafe(parts.put_nowait, Part(" ".join(texts), seconds))
            texts.clear()

        on_text = texts.append if wave.ndim == 1 else None
        work = asyncio.ensure_future(self.transcript(wave, client, on_progress, on_text=on_text, **options))
        work.add_done_callback(lambda _: parts.put_nowait(None))
        sent, seconds = "", 0.0
        try:
            while part := await parts.get():
                text = f" {part.text}" if sent and part.text else part.text
                if text or part.seconds > seconds:
                    yield Part(text, part.seconds)
                sent, seconds = sent + text, part.seconds
            transcript = await work
            if rest := transcript.text.removeprefix(sent):
                yield Part(rest, transcript.seconds)
            yield transcript
        finally:
            work.cancel()


def unstored(error: OSError) -> UnavailableError:
    """Return the error of an upload that could not be written to the disk."""
    return UnavailableError(f"the server cannot store the upload ({error.strerror or error}): try again later")


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a locked private folder, after removing folders without a lock, whose servers are dead."""
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
    """Hold the lock of a folder, which ends with the process. Raises OSError if another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
