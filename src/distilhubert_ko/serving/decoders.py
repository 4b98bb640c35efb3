"""Decoding of untrusted media in separate processes, so that a bomb or a crash costs one file only.

`Decoders` is the server's side. A worker is this module run as a program. It reads the paths of files from standard
input, one after another, and answers on standard output once the wave of each lies in a file beside it. It imports
little, its memory, time and disk space are limited, and it holds no more than a block of the wave.
"""

import asyncio
import json
import math
import os
import queue
import signal
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko import errors
from distilhubert_ko.audio.channel_names import CHANNELS, Channel
from distilhubert_ko.audio.channels import AudioChoice
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_blocks, audio_header
from distilhubert_ko.errors import AudioError, DecodingError, TooLongError, UnavailableError
from distilhubert_ko.serving.decoder_turns import DecoderTurns
from distilhubert_ko.serving.options import ServerLimits

try:
    import resource
except ImportError:  # Windows has no such limits: there, only the time and the length of the audio are limited
    resource = None  # type: ignore[assignment]

_READY = b"ready\n"
_FROM_OUTSIDE = (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM))
"""Signals that no file causes: the system's when memory runs out, or an administrator's."""
_END_SECONDS = 5.0  # for a worker that answers no more to end by itself
_FILES = 32  # file descriptors that a worker may hold


class Decoders:
    """A pool of `workers` processes that decode one file each, as an async context manager.

    Entering it raises UnavailableError if no worker can be started. Leaving it ends all workers.
    """

    def __init__(self, limits: ServerLimits | None = None, workers: int = 2):
        self.limits = limits or ServerLimits()
        self._turns = DecoderTurns(workers)
        self._alive: set[Process] = set()

    async def __aenter__(self) -> Self:
        self._turns.idle[-1] = await self._start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*map(self._end, [*self._alive]))

    async def decode(self, path: Path, client: str = "", channel: Channel = Channel.MIX) -> NDArray[np.float32]:
        """Return the wave (samples,) of a file as `load_audio` does, but read-only and mapped to the disk.

        With Channel.SPLIT, return those of all channels (channels, samples). All together they have the limits of one.

        Clients take turns, and one client gets all but one of the workers at most. Meanwhile a file of 64 kB per second
        of audio lies beside `path`, whose folder should belong to the request.

        Raises AudioError as `load_audio` does, with "the file" for its name, and TooLongError as soon as the length is
        known. Raises DecodingError if decoding took too long or ended its worker. Raises UnavailableError if no worker
        can be started, if it was killed from outside, or if the disk is full.
        """
        wave = path.with_name(f"{path.name}.wave")
        try:
            found = await self._ask(path, wave, client, channel)
            if isinstance(found, dict):
                raise getattr(errors, found["type"])(found["message"])
            mapped = np.asarray(np.memmap(wave, np.float32, "r"))  # the mapping outlives the name
            return mapped.reshape(found, -1) if channel == Channel.SPLIT else mapped
        finally:
            wave.unlink(missing_ok=True)

    async def _ask(self, path: Path, wave: Path, client: str, channel: Channel) -> int | dict[str, str]:
        """Return the number of waves, or the error. A worker that does not answer is ended and replaced."""
        worker = await self._turns.take(client, path.stat().st_size)
        spare = None
        try:
            if worker and worker.returncode is not None:  # it died while idle
                self._alive.discard(worker)
                worker = None
            worker = worker or await self._start()
            assert worker.stdin is not None
            assert worker.stdout is not None
            async with asyncio.timeout(self.limits.decoding_seconds):
                worker.stdin.write(json.dumps([str(path), str(wave), channel]).encode() + b"\n")
                line = await worker.stdout.readline()
            if line.endswith(b"\n"):
                spare = worker
                answer: int | dict[str, str] = json.loads(line)
                return answer
            with suppress(TimeoutError):  # so that its end tells the cause, rather than `_end`
                await asyncio.wait_for(worker.wait(), _END_SECONDS)
        except TimeoutError:
            raise DecodingError(
                f"decoding the file took more than {self.limits.decoding_seconds:g} s: cut it into parts or convert "
                "it to WAV"
            ) from None
        finally:
            self._turns.give(client, spare)
            if worker and not spare:
                await self._end(worker)
        assert worker
        if -(worker.returncode or 0) in _FROM_OUTSIDE:
            raise UnavailableError("the process that decoded the file was killed: try again later")
        raise DecodingError(
            "decoding the file crashed, or took more than "
            f"{self.limits.decoding_memory >> 20:,} MiB of memory: check the file, or convert it to WAV"
        )

    async def _start(self) -> Process:
        """Start a worker and return it once it is ready. With -P, Python ignores modules in the working directory."""
        command = [sys.executable, "-P", "-m", __name__, json.dumps(asdict(self.limits))]
        alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # every thread takes address space
        try:
            # A session of its own: an interrupt from the terminal is for the server, which then drains.
            worker = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, env=alone, start_new_session=True
            )
        except OSError as error:
            raise UnavailableError(
                f"no process for decoding audio could be started ({error}): try again later"
            ) from error
        self._alive.add(worker)
        try:
            assert worker.stdout
            if await worker.stdout.readline() != _READY:
                raise UnavailableError(
                    "the process for decoding audio did not start: read standard error for the cause"
                )
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
    """Decode the files that standard input names until it ends.

    Each line is a JSON list of the path of a file, the path for its waves, and the channel. Each answer is a line of
    JSON: the number of waves, or the type and the message of an error.
    """
    limits = ServerLimits(**json.loads(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w")
    sys.stderr = os.fdopen(os.dup(2), "w")  # keeps Python's own errors, without the many of libmpg123
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    _confine(limits)
    answers.write(_READY.decode())
    answers.flush()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    while True:
        path, wave, channel = json.loads(lines.get())
        _allow_time(limits)
        answers.write(json.dumps(_decoded(Path(path), Path(wave), Channel(channel), limits)) + "\n")
        answers.flush()


def _listen(lines: "queue.SimpleQueue[str]") -> None:
    """Pass lines on, and end the process with its server, even in the middle of a file."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _decoded(path: Path, wave: Path, channel: Channel, limits: ServerLimits) -> int | dict[str, str]:
    try:
        with wave.open("xb") as file:
            return _write(path, file, channel, limits)
    except AudioError as error:
        return {"type": type(error).__name__, "message": str(error).replace(str(path), "the file")}
    except OSError as error:
        reason = f"the disk has no space for decoded audio ({error.strerror}): try again later"
        return {"type": UnavailableError.__name__, "message": reason}


def _write(path: Path, file: BinaryIO, channel: Channel, limits: ServerLimits) -> int:
    """Write the wave of a channel, or of all of them one after another, and return how many waves there are."""
    header = audio_header(path)
    choices = [AudioChoice(CHANNELS.get(channel))]
    if channel == Channel.SPLIT:
        if header.channels < 2:
            raise AudioError("the file has one channel, so it cannot be split into speakers: choose the channel mix")
        choices = [AudioChoice(number) for number in range(1, header.channels + 1)]
    each = header.samplerate * header.channels
    if each > limits.decoding_rate:
        raise AudioError(
            f"the file has {header.channels} channels at {header.samplerate:,} Hz, more than this server decodes "
            f"({limits.decoding_rate:,} samples per second): convert it to mono at 16 kHz"
        )
    longest = min(limits.audio_seconds, limits.decoding_samples / each) / len(choices)
    late = f"the file lasts more than {longest:.6g} s, the limit of this server: cut it into parts"
    if longest * len(choices) < limits.audio_seconds:
        late = f"{late}, or convert it from {header.channels} channels at {header.samplerate:,} Hz to mono at 16 kHz"
    if header.seconds is not None and header.seconds > longest + 1:  # a header may err by a little
        raise TooLongError(late)
    for choice in choices:
        samples = 0
        for block in audio_blocks(path, choice=choice):
            samples += len(block)
            if samples > math.floor(longest * SAMPLE_RATE):
                raise TooLongError(late)
            file.write(np.ascontiguousarray(block).data)
    return len(choices)


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
    """Lower a limit of this process for good, to no more than the system's own limit."""
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _allow_time(limits: ServerLimits) -> None:
    """Allow the next file as much processor time as wall-clock time. Normally the server ends a slow worker first."""
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + limits.decoding_seconds) + 1, hard))


if __name__ == "__main__":
    run_worker()
