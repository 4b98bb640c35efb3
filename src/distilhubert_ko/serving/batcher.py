"""One Transcriber for many clients: the order of their work, its batches, and its limits.

Every request runs the Transcriber's own path in its own thread, so its result is the same as alone. Its calls of the
network wait in one queue for all requests. Clients take turns in it: the next one is whose audio has taken least so
far, so one with many recordings slows down another by half at most. A recording has only a few windows in the queue at
a time, and its next ones go to the end. So a clip waits for at most a few windows of each earlier recording of its
client, however long that is. No clip waits for others: clips of similar length that are already in the queue form one
batch. Speech is found in two seconds of each recording at a time, in the order in which they ask.
"""

import asyncio
import copy
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import BusyError, UnavailableError
from distilhubert_ko.recognition import stream, windows
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import Listening, SpeechDetector, VadOptions
from distilhubert_ko.serving.options import ServerLimits

INFERENCES = 2  # at the same time; each takes its own memory
BATCH = 8 * SAMPLE_RATE  # samples with padding: larger batches are no faster on a CPU (docs/lab-notes.md)
SIMILAR = 0.8  # the least length of a clip in a batch, as a share of the longest: padding is computed too
LISTENED = 2 * SAMPLE_RATE  # samples of a recording in which speech is looked for, before others have their turn
_FIRST_SPEED = 10.0  # seconds of audio per second, until it is measured
_PATIENCE = 600  # seconds: the longest time after which a client is told to retry
_AHEAD = 3.0  # seconds that live captions may be ahead of real time: a network delivers in bursts
_BEHIND = 10.0  # seconds that they may be behind, and catch up in a hurry
_MANY = 1000  # clients that are remembered
_CLOSED = "the server is shutting down: try again later"


class Batcher:
    """Transcribes waves for many clients within `limits`, as an async context manager.

    Leaving it waits for the transcriptions in progress. A recording alone is taken whatever its length. The Transcriber
    should use as many threads as there are cores for each of INFERENCES.
    """

    def __init__(self, transcriber: Transcriber, limits: ServerLimits | None = None):
        self.transcriber = transcriber
        self._queue = _Queue(transcriber.runtime)
        self._limits = limits or ServerLimits()
        self._threads = ThreadPoolExecutor(self._limits.requests, "request")
        self._listeners = ThreadPoolExecutor(INFERENCES, "listening")
        transcriber.detector  # noqa: B018 (loaded now, so that requests share it)
        self._closed = False
        self.requests = 0
        """Transcriptions in progress."""
        self.audio_seconds = 0.0
        """Seconds of audio in these requests."""
        self._by_client: Counter[str] = Counter()  # the same for each client

    async def __aenter__(self) -> Self:
        self._queue.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._queue.close)
        await asyncio.to_thread(self._listeners.shutdown)

    def check(self, seconds: float = 0.0, client: str = "") -> None:
        """Raise BusyError if a recording of this length cannot be taken now, or UnavailableError on shutdown.

        A clip of one window is taken however much audio waits, since it finds a place soon.
        """
        if self._closed:
            raise UnavailableError(_CLOSED)
        most = self._limits.waiting_seconds
        held = self._by_client[client]
        full = self.audio_seconds + seconds > most or (held and held + seconds > most - most / 4)
        full = full and seconds * SAMPLE_RATE > windows.WINDOW
        if self.requests >= self._limits.requests or (self.requests and full):
            wait = math.ceil(self.audio_seconds / self._queue.speed)
            raise BusyError(
                f"{self.requests} recordings of {self.audio_seconds:.0f} s are being transcribed: try again later",
                retry_after=min(max(wait, 1), _PATIENCE),
            )

    async def transcribe(
        self, wave: NDArray[np.float32], client: str = "", by: Transcriber | None = None, **options: Any
    ) -> Transcript:
        """Return the transcript of a client's wave (samples,), by the Transcriber or one that shares its network.

        `options` are those of a call of Transcriber.

        Callbacks such as `on_progress` run in another thread. After cancellation, nothing more is computed. Raises what
        `check` and the Transcriber raise.
        """
        seconds = len(wave) / SAMPLE_RATE
        self.check(seconds, client)
        turns = _Turns(self._queue, client)
        self.requests, self.audio_seconds = self.requests + 1, self.audio_seconds + seconds
        self._by_client[client] += seconds  # type: ignore[assignment]  # a Counter counts anything
        try:
            work = partial(self._with(turns, by), wave, **options)
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            turns.over.set()
            self.requests, self.audio_seconds = self.requests - 1, self.audio_seconds - seconds
            self._by_client[client] -= seconds  # type: ignore[assignment]
            if self._by_client[client] <= 0:
                del self._by_client[client]

    def stream(self, client: str = "", vad: VadOptions | None = None, hotwords: Sequence[str] = ()) -> Stream:
        """Return new live captions, whose steps go to the head of the queue: they are short, and a person waits.

        Audio that comes faster than it was spoken takes its client's turns instead. `hotwords` are those of this stream
        alone. Raises InputError for one that is not Korean.
        """
        by = self.transcriber.with_hotwords(hotwords) if hotwords else None
        return self._with(_Turns(self._queue, client, live=True), by).stream(vad)

    def live(self, client: str = "") -> Transcriber:
        """Return the Transcriber for the streams of one connection, which are in a hurry together as `stream` is."""
        return self._with(_Turns(self._queue, client, live=True))

    def _with(self, turns: "_Turns", by: Transcriber | None = None) -> Transcriber:
        """Return the Transcriber, or the one given, with the queue in place of the network."""
        shared = copy.copy(by or self.transcriber)
        shared.runtime = cast(ModelSession, turns)
        if not turns.live:  # a step of captions is too little to wait for
            shared.detector = _SharedDetector(self.transcriber.detector, self._listeners, turns.over)
        shared.batch_size = max(shared.batch_size, INFERENCES)  # a recording alone keeps all inferences busy
        return shared


@dataclass(frozen=True, eq=False)
class _Task:
    """One wave (samples,), its future matrix (frames, vocabulary), and whether its request is over."""

    wave: NDArray[np.float32]
    client: str
    over: threading.Event
    result: Future[NDArray[np.float32]] = field(default_factory=Future)


class _Queue:
    """The one queue in front of a network, from which INFERENCES threads take batches."""

    def __init__(self, runtime: ModelSession):
        self.runtime = runtime
        self.speed = _FIRST_SPEED
        """Seconds of audio per second, over all inferences."""
        self._urgent: deque[_Task] = deque()
        self._waiting: deque[_Task] = deque()
        self._taken: dict[str, float] = {}
        """Seconds of audio of each client. Who comes back or is new starts where the one stands whose turn it is."""
        self._now = 0.0
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
            (self._urgent if urgent else self._waiting).extend(tasks)
            for task in tasks:
                self._taken[task.client] = max(self._taken.get(task.client, 0.0), self._now)
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
        """Return the task whose turn it is, and those of similar length that fit into its batch, or none at the end."""
        with self._changed:
            while (first := self._first()) is None:
                if self._closed:
                    return []
                self._changed.wait()
            batch = [first]
            for line in (self._urgent, self._waiting):
                for task in [*line]:
                    lengths = sorted(len(each.wave) for each in [*batch, task])
                    if len(lengths) * lengths[-1] <= BATCH and lengths[0] >= SIMILAR * lengths[-1]:
                        batch.append(task)
                        line.remove(task)
            for task in batch:
                self._taken[task.client] += len(task.wave) / SAMPLE_RATE
            if len(self._taken) > _MANY:
                waiting = {task.client for line in (self._urgent, self._waiting) for task in line}
                self._taken = {name: each for name, each in self._taken.items() if each > self._now or name in waiting}
            return batch

    def _first(self) -> _Task | None:
        """Take the task out whose turn it is: the oldest urgent one, or one of the client that has taken least."""
        while line := self._urgent or self._waiting:
            task = line[0] if line is self._urgent else min(line, key=lambda each: self._taken[each.client])
            line.remove(task)
            if not task.over.is_set():
                if line is self._waiting:
                    self._now = self._taken[task.client]
                return task
            task.result.cancel()
        self._taken.clear()
        self._now = 0.0
        return None


class _Turns:
    """The queue as one request sees it, in place of its network; `over` is set when the request has ended.

    `live` captions are urgent for as long as their audio comes no faster than it was spoken. A pause earns little
    haste for what follows.
    """

    def __init__(self, queue: _Queue, client: str, live: bool = False):
        self.vocabulary = queue.runtime.vocabulary
        self.over = threading.Event()
        self.live = live
        self._queue, self._client = queue, client
        self._ahead, self._last = 0.0, time.monotonic()

    def log_probs(self, waves: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        now = time.monotonic()
        self._ahead = max(-_BEHIND, self._ahead - (now - self._last)) + stream.STEP / SAMPLE_RATE
        self._last = now
        tasks = [_Task(wave, self._client, self.over) for wave in waves]
        self._queue.add(tasks, urgent=self.live and self._ahead < _AHEAD)
        return [task.result.result() for task in tasks]


class _SharedDetector(SpeechDetector):
    """The detector of speech as one request sees it: its audio waits in one line with that of all requests."""

    def __init__(self, detector: SpeechDetector, line: ThreadPoolExecutor, over: threading.Event):
        self._detector, self._line, self._over = detector, line, over

    def listen(self) -> Listening:
        return cast(Listening, _Listening(self._detector.listen(), self._line, self._over))


class _Listening:
    """A wave in which speech is looked for in LISTENED samples at a time, until its request is over."""

    def __init__(self, listening: Listening, line: ThreadPoolExecutor, over: threading.Event):
        self._listening, self._line, self._over = listening, line, over
        self.finish = listening.finish

    @property
    def samples(self) -> int:
        return self._listening.samples

    def feed(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        found = []
        for start in range(0, len(block), LISTENED):
            if self._over.is_set():
                raise CancelledError
            turn = self._line.submit(self._listening.feed, block[start : start + LISTENED])
            found.append(turn.result())
        return np.concatenate(found) if found else np.empty(0, np.float32)
