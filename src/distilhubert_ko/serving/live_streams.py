"""Live streams over WebSockets, whatever they speak: how many at once, and how long one may last and be silent."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prometheus_client import Gauge
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.serving.clients import client_of, share_of
from distilhubert_ko.serving.refusals import Refusal, busy_refusal

SILENT_SECONDS = 5.0  # without audio, after which another stream may take the place of this one
LONGEST_SECONDS = 4 * 3600.0
NORMAL, GOING_AWAY, POLICY = 1000, 1001, 1008  # RFC 6455, section 7.4.1
Result = TypeVar("Result")


class EndOfStream(Refusal):
    """A refusal that ends a stream."""


class LiveStreams:
    """All open streams of a server, at most `limit`.

    One client may have three quarters of them. Where no place is left, a new stream takes that of one that has brought
    no audio for a while.
    """

    def __init__(self, limit: int, open_streams: Gauge):
        self._limit = limit
        self._gauge = open_streams
        self.pool = ThreadPoolExecutor(limit, thread_name_prefix="captions")
        self._open: set[LiveConnection] = set()
        self.closing = asyncio.Event()

    async def hold(
        self, socket: WebSocket, protocol: str, idle: float, talk: "Callable[[LiveConnection], Awaitable[int]]"
    ) -> None:
        """Serve one connection, if there is a place: accept it, `talk`, and close it with the code that comes back.

        It may bring no audio for `idle` seconds.
        """
        if self.closing.is_set():
            return await socket.send_denial_response(
                Refusal(503, "the server is shutting down: try again later").response()
            )
        client = client_of(socket.scope)
        if not self._has_room(client):
            full = busy_refusal(f"the server already has {self._limit} open streams: try again later")
            return await socket.send_denial_response(full.response())
        connection = LiveConnection(self, socket, client, idle)
        self._gauge.inc()
        self._open.add(connection)
        try:
            await socket.accept(protocol if protocol in socket.scope["subprotocols"] else None)
            await socket.close(await talk(connection))
        except WebSocketDisconnect:  # the client left, perhaps in the middle of a message
            pass
        finally:
            self._gauge.dec()
            self._open.discard(connection)
            socket.state.audio_seconds = connection.seconds

    async def finish(self, seconds: float) -> None:
        """Refuse new streams, finish the open ones with the audio so far, and wait at most `seconds` for them."""
        self.closing.set()
        end = time.monotonic() + seconds
        while self._open and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _has_room(self, client: str) -> bool:
        """Return whether a stream may open, perhaps because a silent one has just been sent away."""
        own = [each for each in self._open if each.client == client]
        crowded = len(own) >= share_of(self._limit)
        if not crowded and len(self._open) < self._limit:
            return True
        now = asyncio.get_running_loop().time()
        others = own if crowded else self._open
        silent = [each for each in others if each.timer and now - each.heard > SILENT_SECONDS]
        if not silent:
            return False
        longest = min(silent, key=lambda each: each.heard)
        assert longest.timer
        longest.timer.reschedule(now)
        self._open.discard(longest)
        return True


class LiveConnection:
    """One stream's connection: its messages, and the time for which the server still waits for audio."""

    def __init__(self, streams: LiveStreams, socket: WebSocket, client: str, idle: float):
        self._streams, self.socket, self.client, self._idle = streams, socket, client, idle
        self._patience = idle  # a second of audio is worth `idle` of it
        self._samples = 0
        self.heard = asyncio.get_running_loop().time()
        """The time of the last audio."""
        self.timer: asyncio.Timeout | None = None

    @property
    def seconds(self) -> float:
        """The seconds of audio so far."""
        return self._samples / SAMPLE_RATE

    def hear(self, samples: int) -> None:
        """Count samples at 16 kHz that came. Raises EndOfStream if they are too many for one stream."""
        if samples:
            self.heard = asyncio.get_running_loop().time()
            self._patience = min(self._idle, max(self._patience, 0) + self._idle * samples / SAMPLE_RATE)
            self._samples += samples
        if self.seconds > LONGEST_SECONDS:
            raise EndOfStream(413, f"a stream may last at most {LONGEST_SECONDS / 3600:.0f} h: open another one")

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return what a function returns that takes a while, from a thread of the streams."""
        return await asyncio.get_running_loop().run_in_executor(self._streams.pool, function, *arguments)

    async def next(self) -> Message | None:
        """Return the next message, or None if the server closes first. Raises WebSocketDisconnect and EndOfStream."""
        receiving = asyncio.ensure_future(self.socket.receive())
        closing = asyncio.ensure_future(self._streams.closing.wait())
        waiting = {receiving, closing}
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with asyncio.timeout(max(self._patience, 0)) as self.timer:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if closing in done:
                return None
            message = receiving.result()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            return message
        except TimeoutError:
            raise EndOfStream(
                408,
                f"too little audio arrived for {self._idle:.0f} s: keep sending audio, even if it is silent",
                code="idle",
            ) from None
        finally:
            self.timer = None
            self._patience -= loop.time() - start
            for task in waiting:
                task.cancel()
