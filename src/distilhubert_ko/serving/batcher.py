"""One Transcriber for many clients: whose turn it is, what is computed together, and how much is taken on.

Every request runs the Transcriber's own path in a thread of its own, so its answer is the one that it gets alone. What
it asks of the network waits in one line for all requests: no more than a few windows of one recording stand in it, and
the next ones go to its end, so that a clip waits for at most a few windows of each recording before it, however long
they are. Nothing waits for company: clips of like length that stand in line when their turn comes are one batch.
"""

import asyncio
import copy
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import BusyError, UnavailableError
from distilhubert_ko.recognition.session import Runtime
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.serving.options import ServerLimits

INFERENCES = 2  # at the same time: each takes memory of its own
BATCH = 8 * SAMPLE_RATE  # samples, padding included: larger batches are no faster on a CPU (docs/lab-notes.md)
LIKE = 0.8  # of the longest clip of a batch, the least length of the others: padding is computed, too
_FIRST_SPEED = 10.0  # seconds of audio a second, until it is measured
_PATIENCE = 600  # seconds: the most that a client is told to wait
_CLOSED = "the server is shutting down: try again later"


class Batcher:
    """Transcribes waves for as many clients, with as much audio in all, as `limits` says; an async context manager,
    whose end waits for what was begun.

    One recording is taken whatever its length where nothing else is. The Transcriber should use as many threads as
    there are cores for each of INFERENCES.
    """

    def __init__(self, transcriber: Transcriber, limits: ServerLimits | None = None):
        self._transcriber = transcriber
        self._line = _Queue(transcriber.runtime)
        self._limits = limits or ServerLimits()
        self._threads = ThreadPoolExecutor(self._limits.requests, "request")
        self._closed = False
        self.requests = 0
        """Taken on and not answered."""
        self.audio_seconds = 0.0
        """Of these requests."""

    async def __aenter__(self) -> Self:
        self._line.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._line.close)

    def check(self, seconds: float = 0.0) -> None:
        """Raises BusyError where a recording of so many seconds would not be taken now, UnavailableError at the end."""
        if self._closed:
            raise UnavailableError(_CLOSED)
        full = self.audio_seconds + seconds > self._limits.waiting_seconds
        if self.requests >= self._limits.requests or (self.requests and full):
            wait = math.ceil(self.audio_seconds / self._line.speed)
            raise BusyError(
                f"{self.requests} recordings of {self.audio_seconds:.0f} s are being transcribed: try again later",
                retry_after=min(max(wait, 1), _PATIENCE),
            )

    async def transcribe(self, wave: NDArray[np.float32], **options: Any) -> Transcript:
        """What the Transcriber makes of a wave (samples,), with the options of its call, such as `on_progress`, which
        is called in another thread. Cancelled, it computes nothing more.

        Raises what `check` and the Transcriber raise.
        """
        seconds = len(wave) / SAMPLE_RATE
        self.check(seconds)
        turns = _Turns(self._line)
        self.requests, self.audio_seconds = self.requests + 1, self.audio_seconds + seconds
        try:
            work = partial(self._with(turns), wave, **options)
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            turns.over.set()
            self.requests, self.audio_seconds = self.requests - 1, self.audio_seconds - seconds

    def stream(self) -> Stream:
        """Live captions, whose steps go to the head of the line: they are short, and somebody waits for each."""
        return self._with(_Turns(self._line, urgent=True)).stream()

    def _with(self, turns: "_Turns") -> Transcriber:
        """The Transcriber, with the line in the network's place."""
        shared = copy.copy(self._transcriber)
        shared.runtime = cast(Runtime, turns)
        shared.batch_size = max(shared.batch_size, INFERENCES)  # so that a recording alone keeps all inferences busy
        return shared


@dataclass(frozen=True, eq=False)
class _Task:
    """One wave (samples,), its matrix (frames, vocabulary) to come, and whether anybody still wants it."""

    wave: NDArray[np.float32]
    over: threading.Event
    result: Future[NDArray[np.float32]] = field(default_factory=Future)


class _Queue:
    """The one line before a network, from which INFERENCES threads take batches."""

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.speed = _FIRST_SPEED
        """Seconds of audio a second, over all inferences."""
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._workers = [threading.Thread(target=self._work, name="inference", daemon=True) for _ in range(INFERENCES)]

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def close(self) -> None:
        """Refuses what still comes; returns when nothing is computed any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def add(self, tasks: Sequence[_Task], urgent: bool) -> None:
        with self._changed:
            if self._closed:
                raise UnavailableError(_CLOSED)
            if urgent:
                self._waiting.extendleft(reversed(tasks))
            else:
                self._waiting.extend(tasks)
            self._changed.notify_all()

    def _work(self) -> None:
        while batch := self._next():
            started = time.perf_counter()
            try:
                matrices = self.runtime.log_probs([task.wave for task in batch])
            except Exception as error:  # ONNX Runtime's own share no other base class
                for task in batch:
                    task.result.set_exception(error)
                continue
            for task, matrix in zip(batch, matrices, strict=True):
                task.result.set_result(matrix)
            seconds = sum(len(task.wave) for task in batch) / SAMPLE_RATE
            self.speed += 0.1 * (INFERENCES * seconds / (time.perf_counter() - started) - self.speed)

    def _next(self) -> list[_Task]:
        """The first task in line and those of like length that fit into its batch; none once all is done."""
        with self._changed:
            while True:
                while self._waiting and self._waiting[0].over.is_set():
                    self._waiting.popleft().result.cancel()
                if self._waiting:
                    break
                if self._closed:
                    return []
                self._changed.wait()
            batch = [self._waiting.popleft()]
            for task in [*self._waiting]:
                lengths = sorted(len(each.wave) for each in [*batch, task])
                if len(lengths) * lengths[-1] <= BATCH and lengths[0] >= LIKE * lengths[-1]:
                    batch.append(task)
                    self._waiting.remove(task)
            return batch


class _Turns:
    """What one request has in its network's place; `over` is set when nobody wants its answer any more."""

    def __init__(self, line: _Queue, urgent: bool = False):
        self.vocabulary = line.runtime.vocabulary
        self.over = threading.Event()
        self._line = line
        self._urgent = urgent

    def log_probs(self, waves: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        tasks = [_Task(wave, self.over) for wave in waves]
        self._line.add(tasks, self._urgent)
        return [task.result.result() for task in tasks]
