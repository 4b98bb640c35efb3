"""One Transcriber for many clients: the order of their work, its batches, and its limits.

Every request runs the Transcriber's own path in its own thread, so its result is the same as alone. Its calls of the
network wait in one queue for all requests. A recording has only a few windows in the queue at a time, and its next ones
go to the end. So a clip waits for at most a few windows of each earlier recording, however long that is. No clip waits
for others: clips of similar length that are already in the queue form one batch.
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
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.serving.options import ServerLimits

INFERENCES = 2  # at the same time; each takes its own memory
BATCH = 8 * SAMPLE_RATE  # samples with padding: larger batches are no faster on a CPU (docs/lab-notes.md)
SIMILAR = 0.8  # the least length of a clip in a batch, as a share of the longest: padding is computed too
_FIRST_SPEED = 10.0  # seconds of audio per second, until it is measured
_PATIENCE = 600  # seconds: the longest time after which a client is told to retry
_CLOSED = "the server is shutting down: try again later"


class Batcher:
    """Transcribes waves for many clients within `limits`, as an async context manager.

    Leaving it waits for the transcriptions in progress. A recording alone is taken whatever its length. The Transcriber
    should use as many threads as there are cores for each of INFERENCES.
    """

    def __init__(self, transcriber: Transcriber, limits: ServerLimits | None = None):
        self._transcriber = transcriber
        self._queue = _Queue(transcriber.runtime)
        self._limits = limits or ServerLimits()
        self._threads = ThreadPoolExecutor(self._limits.requests, "request")
        self._closed = False
        self.requests = 0
        """Transcriptions in progress."""
        self.audio_seconds = 0.0
        """Seconds of audio in these requests."""

    async def __aenter__(self) -> Self:
        self._queue.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._queue.close)

    def check(self, seconds: float = 0.0) -> None:
        """Raise BusyError if a recording of this length cannot be taken now, or UnavailableError on shutdown."""
        if self._closed:
            raise UnavailableError(_CLOSED)
        full = self.audio_seconds + seconds > self._limits.waiting_seconds
        if self.requests >= self._limits.requests or (self.requests and full):
            wait = math.ceil(self.audio_seconds / self._queue.speed)
            raise BusyError(
                f"{self.requests} recordings of {self.audio_seconds:.0f} s are being transcribed: try again later",
                retry_after=min(max(wait, 1), _PATIENCE),
            )

    async def transcribe(self, wave: NDArray[np.float32], **options: Any) -> Transcript:
        """Return the transcript of a wave (samples,). `options` are those of a call of Transcriber.

        Callbacks such as `on_progress` run in another thread. After cancellation, nothing more is computed. Raises what
        `check` and the Transcriber raise.
        """
        seconds = len(wave) / SAMPLE_RATE
        self.check(seconds)
        turns = _Turns(self._queue)
        self.requests, self.audio_seconds = self.requests + 1, self.audio_seconds + seconds
        try:
            work = partial(self._with(turns), wave, **options)
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            turns.over.set()
            self.requests, self.audio_seconds = self.requests - 1, self.audio_seconds - seconds

    def stream(self) -> Stream:
        """Return new live captions, whose steps go to the head of the queue: they are short, and a person waits."""
        return self._with(_Turns(self._queue, urgent=True)).stream()

    def _with(self, turns: "_Turns") -> Transcriber:
        """Return the Transcriber with the queue in place of the network."""
        shared = copy.copy(self._transcriber)
        shared.runtime = cast(ModelSession, turns)
        shared.batch_size = max(shared.batch_size, INFERENCES)  # a recording alone keeps all inferences busy
        return shared


@dataclass(frozen=True, eq=False)
class _Task:
    """One wave (samples,), its future matrix (frames, vocabulary), and whether its request is over."""

    wave: NDArray[np.float32]
    over: threading.Event
    result: Future[NDArray[np.float32]] = field(default_factory=Future)


class _Queue:
    """The one queue in front of a network, from which INFERENCES threads take batches."""

    def __init__(self, runtime: ModelSession):
        self.runtime = runtime
        self.speed = _FIRST_SPEED
        """Seconds of audio per second, over all inferences."""
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._workers = [threading.Thread(target=self._work, name="inference", daemon=True) for _ in range(INFERENCES)]

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def close(self) -> None:
        """Refuse new tasks, and return when nothing is computed any more."""
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
            except Exception as error:  # the errors of ONNX Runtime share no other base class
                for task in batch:
                    task.result.set_exception(error)
                continue
            for task, matrix in zip(batch, matrices, strict=True):
                task.result.set_result(matrix)
            seconds = sum(len(task.wave) for task in batch) / SAMPLE_RATE
            self.speed += 0.1 * (INFERENCES * seconds / (time.perf_counter() - started) - self.speed)

    def _next(self) -> list[_Task]:
        """Return the first task and those of similar length that fit into its batch, or none at the end."""
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
                if len(lengths) * lengths[-1] <= BATCH and lengths[0] >= SIMILAR * lengths[-1]:
                    batch.append(task)
                    self._waiting.remove(task)
            return batch


class _Turns:
    """The queue as one request sees it, in place of its network; `over` is set when the request has ended."""

    def __init__(self, queue: _Queue, urgent: bool = False):
        self.vocabulary = queue.runtime.vocabulary
        self.over = threading.Event()
        self._queue = queue
        self._urgent = urgent

    def log_probs(self, waves: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        tasks = [_Task(wave, self.over) for wave in waves]
        self._queue.add(tasks, self._urgent)
        return [task.result.result() for task in tasks]
