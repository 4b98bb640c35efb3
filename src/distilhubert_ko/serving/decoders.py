"""Decoding of media that nobody vouches for, in processes of its own: a bomb or a crash costs one file only.

`Decoders` is the server's side. A worker is this module run as a program: it reads the paths of files from standard
input, one after another, and answers each on standard output once the wave lies in a file beside it. It has imported
little, can take only so much memory, time and disk, and holds no more than a block of the wave.
"""

import asyncio
import json
import math
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko import errors
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_blocks
from distilhubert_ko.errors import AudioError, DecodingError, TooLongError, UnavailableError
from distilhubert_ko.serving.options import ServerLimits

try:
    import resource
except ImportError:  # Windows knows no such limits: there, time and the length of the audio are limited alone
    resource = None  # type: ignore[assignment]

_READY = b"ready\n"
_FILES = 32  # descriptors that a worker may hold


class Decoders:
    """`workers` processes that decode a file each; an async context manager, at whose end they end.

    Raises UnavailableError on entering where they cannot be started.
    """

    def __init__(self, limits: ServerLimits | None = None, workers: int = 2):
        self.limits = limits or ServerLimits()
        self._count = workers
        self._idle: asyncio.LifoQueue[Process | None] = asyncio.LifoQueue()  # None: to be started when it is needed
        self._alive: set[Process] = set()

    async def __aenter__(self) -> Self:
        for _ in range(self._count - 1):
            self._idle.put_nowait(None)
        self._idle.put_nowait(await self._start())
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*map(self._end, [*self._alive]))

    async def decode(self, path: Path) -> NDArray[np.float32]:
        """The wave (samples,) of a file, as audio.load gives it, read-only and mapped to the disk rather than held.

        Beside `path`, in a folder that should be the request's own, lies for a while a file of 64 kB a second.

        Raises AudioError as audio.load does, naming the file "the file"; TooLongError, as soon as it is known;
        DecodingError where it took too long or ended its worker; and UnavailableError where a worker cannot be
        started or the disk is full.
        """
        wave = path.with_name(f"{path.name}.wave")
        try:
            error = await self._ask(path, wave)
            if error:
                raise getattr(errors, error["type"])(error["message"])
            return np.asarray(np.memmap(wave, np.float32, "r"))  # which stays when the name is gone
        finally:
            wave.unlink(missing_ok=True)

    async def _ask(self, path: Path, wave: Path) -> dict[str, str] | None:
        """The error that a worker met, if any. One that has not answered is ended, and its place is free at once."""
        worker = await self._idle.get()
        spare = None
        try:
            if worker and worker.returncode is not None:  # died with nothing to do
                self._alive.discard(worker)
                worker = None
            worker = worker or await self._start()
            assert worker.stdin is not None
            assert worker.stdout is not None
            async with asyncio.timeout(self.limits.decoding_seconds):
                worker.stdin.write(json.dumps([str(path), str(wave)]).encode() + b"\n")
                line = await worker.stdout.readline()
            if line.endswith(b"\n"):
                spare = worker
                error: dict[str, str] | None = json.loads(line)
                return error
        except TimeoutError:
            raise DecodingError(
                f"decoding the file took more than {self.limits.decoding_seconds:g} s: cut it into parts, or convert "
                "it to WAV"
            ) from None
        finally:
            self._idle.put_nowait(spare)
            if worker and not spare:
                await self._end(worker)
        raise DecodingError(
            "decoding the file ended the process that did it, or took more than "
            f"{self.limits.decoding_memory >> 20:,} MiB: check it, or convert it to WAV"
        )

    async def _start(self) -> Process:
        """A worker that is ready; -P, lest the working directory be searched for modules."""
        command = [sys.executable, "-P", "-m", __name__, json.dumps(asdict(self.limits))]
        alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # every thread takes addresses
        try:
            # A session of its own, since an interrupt from the terminal is for the server, which then drains.
            worker = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, env=alone, start_new_session=True
            )
        except OSError as error:
            raise UnavailableError(f"no process could be started to decode audio ({error}): try again later") from error
        self._alive.add(worker)
        try:
            assert worker.stdout
            if await worker.stdout.readline() != _READY:
                raise UnavailableError("the process that decodes audio did not start; standard error says why")
        except BaseException:
            await self._end(worker)
            raise
        return worker

    async def _end(self, worker: Process) -> None:
        self._alive.discard(worker)
        if worker.returncode is None:
            worker.kill()
        assert worker.stdin
        worker.stdin.close()
        await worker.wait()


def run_worker() -> None:
    """Decodes what standard input names, a JSON list of a file's path and its wave's on each line, until it ends.

    Each answer is a line of JSON: null, or the type and the message of an error.
    """
    limits = ServerLimits(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    sys.stderr = os.fdopen(os.dup(2), "w")  # so that Python's last words are heard, but not libmpg123's many
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    _confine(limits)
    answers.write(_READY.decode())
    answers.flush()
    for line in sys.stdin:
        path, wave = map(Path, json.loads(line))
        _allow_time(limits)
        answers.write(json.dumps(_decoded(path, wave, limits)) + "\n")
        answers.flush()


def _decoded(path: Path, wave: Path, limits: ServerLimits) -> dict[str, str] | None:
    try:
        with wave.open("xb") as file:
            _write(path, file, limits)
    except AudioError as error:
        return {"type": type(error).__name__, "message": str(error).replace(str(path), "the file")}
    except OSError as error:
        reason = f"there is no room for decoded audio ({error.strerror}): try again later"
        return {"type": UnavailableError.__name__, "message": reason}
    return None


def _write(path: Path, file: BinaryIO, limits: ServerLimits) -> None:
    samples = 0
    for block in audio_blocks(path):
        samples += len(block)
        if samples > _samples(limits):
            raise TooLongError(
                f"the file lasts more than {limits.audio_seconds:g} s, the most that is taken here: cut it into parts"
            )
        file.write(block.data)


def _samples(limits: ServerLimits) -> int:
    """Return the most samples that one file may hold."""
    return math.floor(limits.audio_seconds * SAMPLE_RATE)


def _confine(limits: ServerLimits) -> None:
    if resource is None:
        return
    for what, most in (
        (resource.RLIMIT_AS, limits.decoding_memory),
        (resource.RLIMIT_FSIZE, _samples(limits) * np.float32().itemsize),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _limit(what, most)


def _limit(what: int, most: int) -> None:
    """For good, and no higher than the system's own limit."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _allow_time(limits: ServerLimits) -> None:
    """Lets the next file take as much time of the processor as it may take on the clock.

    The server ends a worker first; this ends one that it left behind.
    """
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + limits.decoding_seconds) + 1, hard))


if __name__ == "__main__":
    run_worker()
