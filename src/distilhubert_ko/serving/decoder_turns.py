"""Whose file is decoded next: clients take turns, and small files of a client come first."""

import asyncio
import itertools
import time
from asyncio.subprocess import Process
from collections import Counter
from dataclasses import dataclass, field


@dataclass(eq=False)
class _Waiting:
    """A file that waits for a worker; `size` is in bytes."""

    client: str
    size: int
    worker: "asyncio.Future[Process | None]"
    since: float = field(default_factory=time.monotonic)

    @property
    def weight(self) -> float:
        """Return its size, which counts less the longer it waits, so that large files get their turn too."""
        return self.size / (1 + time.monotonic() - self.since)


class DecoderTurns:
    """So many places for workers. A place without one is None, for whoever takes it to start one."""

    def __init__(self, places: int):
        self.idle: list[Process | None] = [None] * places
        self._most = max(1, places - 1)  # of one client
        self._waiting: list[_Waiting] = []
        self._busy: Counter[str] = Counter()
        self._turns: dict[str, int] = {}  # the last turn of each client that waits or is at work
        self._count = itertools.count()

    async def take(self, client: str, size: int) -> Process | None:
        """Wait for a place, and return its worker. Whoever takes a place must give one back."""
        waiting = _Waiting(client, size, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._serve()
        try:
            return await waiting.worker
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif not waiting.worker.cancelled():  # it was served just before
                self.give(client, waiting.worker.result())
            raise

    def give(self, client: str, worker: Process | None) -> None:
        """Give a place back."""
        self._busy[client] -= 1
        self.idle.append(worker)
        self._serve()

    def _serve(self) -> None:
        while self.idle:
            able = [each for each in self._waiting if self._busy[each.client] < self._most]
            if not able:
                break
            first = min(able, key=lambda each: (self._turns.get(each.client, -1), each.weight))
            self._waiting.remove(first)
            if first.worker.cancelled():
                continue
            self._busy[first.client] += 1
            self._turns[first.client] = next(self._count)
            first.worker.set_result(self.idle.pop())
        for client in self._turns.keys() - {each.client for each in self._waiting}:
            if not self._busy[client]:
                del self._turns[client], self._busy[client]
