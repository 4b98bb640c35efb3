"""Live captions: WS /v1/audio/stream, 16 kHz mono PCM16 (little-endian) in, JSON out.

The client sends binary messages of any length, and {"type": "stop"} at the end. The server sends partial, which
replaces the previous one; final, which never changes and is followed by the next partial; done; and error.

A stream computes one step of the network at a time and reads no message meanwhile. So TCP slows down a client that
sends faster than the server recognises.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from prometheus_client import Gauge
from starlette.datastructures import QueryParams
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import DistilhubertKoError, InputError
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.vad import VadOptions
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.serving.clients import client_of, share_of
from distilhubert_ko.serving.openai_api import listed_hotwords
from distilhubert_ko.serving.openai_replies import word_json
from distilhubert_ko.serving.refusals import Refusal, busy_refusal, refusal_of

PATH = "/v1/audio/stream"
PROTOCOL = "captions"
STEP = SAMPLE_RATE // 2  # samples per step: after each, captions are sent and other streams get their turn
IDLE_SECONDS = 30.0
SILENT_SECONDS = 5.0  # without audio, after which another stream may take the place of this one
LONGEST_SECONDS = 4 * 3600.0
NORMAL, GOING_AWAY, POLICY = 1000, 1001, 1008  # RFC 6455, section 7.4.1
VAD_FILTER, HOTWORDS = "vad_filter", "hotwords"  # the parameters of the address
SWITCH = {"true": True, "false": False}
Result = TypeVar("Result")


class LiveCaptions:
    """All open streams of a server, at most `limit`.

    `stream` starts a new one for a client, with VAD or without, and with hot words. It raises InputError for bad ones.

    One client may have three quarters of them. Where no place is left, a new stream takes that of one that has brought
    no audio for a while.
    """

    def __init__(
        self, stream: Callable[[str, VadOptions | None, Sequence[str]], Stream], limit: int, open_streams: Gauge
    ):
        self._stream = stream
        self._limit = limit
        self._gauge = open_streams
        self._pool = ThreadPoolExecutor(limit, thread_name_prefix="captions")
        self._open: dict[WebSocket, _CaptionStream] = {}
        self._closing = asyncio.Event()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection from its handshake to its end."""
        if self._closing.is_set():
            return await socket.send_denial_response(
                Refusal(503, "the server is shutting down: try again later").response()
            )
        client = client_of(socket.scope)
        try:
            stream = self._asked_for(socket.query_params, client)
        except Refusal as refused:
            return await socket.send_denial_response(refused.response())
        if not self._has_room(client):
            full = busy_refusal(f"the server already has {self._limit} open streams: try again later")
            return await socket.send_denial_response(full.response())
        self._gauge.inc()
        caption = self._open[socket] = _CaptionStream(socket, client, stream, self._pool)
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
            code = await self._listen(socket, caption)
            await socket.close(code)
        except WebSocketDisconnect:  # the client left, perhaps in the middle of a message
            pass
        finally:
            self._gauge.dec()
            self._open.pop(socket, None)
            socket.state.audio_seconds, socket.state.transcript = caption.seconds, caption.text

    async def finish(self, seconds: float) -> None:
        """Refuse new streams, finish the open ones with the audio so far, and wait at most `seconds` for them."""
        self._closing.set()
        end = time.monotonic() + seconds
        while self._open and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _asked_for(self, query: QueryParams, client: str) -> Stream:
        """Return a new stream by the parameters of a connection's address. Raises Refusal for bad ones."""
        for name in query:
            if name not in (VAD_FILTER, HOTWORDS):
                known = f"there are {VAD_FILTER} and {HOTWORDS}"
                raise Refusal(400, f"{name[:100]}: no parameter of a stream: leave it out; {known}", param=name[:100])
        switch = query.get(VAD_FILTER, "true")
        if switch not in SWITCH:
            raise Refusal(400, f"{VAD_FILTER} {switch[:100]!r}: give {' or '.join(SWITCH)}", param=VAD_FILTER)
        hotwords = listed_hotwords(",".join(query.getlist(HOTWORDS)))
        try:
            return self._stream(client, VadOptions() if SWITCH[switch] else None, hotwords)
        except InputError as error:
            raise Refusal(400, str(error), param=HOTWORDS) from error

    def _has_room(self, client: str) -> bool:
        """Return whether a stream may open, perhaps because a silent one has just been sent away."""
        own = [each for each in self._open.values() if each.client == client]
        crowded = len(own) >= share_of(self._limit)
        if not crowded and len(self._open) < self._limit:
            return True
        now = asyncio.get_running_loop().time()
        others = own if crowded else self._open.values()
        silent = [each for each in others if each.timer and now - each.heard > SILENT_SECONDS]
        if not silent:
            return False
        longest = min(silent, key=lambda each: each.heard)
        assert longest.timer
        longest.timer.reschedule(now)
        self._open = {socket: each for socket, each in self._open.items() if each is not longest}
        return True

    async def _listen(self, socket: WebSocket, caption: "_CaptionStream") -> int:
        """Transcribe until the client stops, errs or falls silent, or the server closes. Return the closing code."""
        try:
            while message := await self._next(socket, caption):
                if (data := message.get("bytes")) is not None:
                    await caption.feed(data)
                elif _stops(message.get("text")):
                    await caption.finish()
                    return NORMAL
        except (Refusal, DistilhubertKoError) as error:
            refused = error if isinstance(error, Refusal) else refusal_of(error)
            await socket.send_json({"type": "error", "error": refused.error})
            return POLICY
        await caption.finish()
        return GOING_AWAY

    async def _next(self, socket: WebSocket, caption: "_CaptionStream") -> Message | None:
        """Return the next message, or None if the server closes first. Raises WebSocketDisconnect and Refusal."""
        receiving, closing = asyncio.ensure_future(socket.receive()), asyncio.ensure_future(self._closing.wait())
        waiting = {receiving, closing}
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            async with asyncio.timeout(max(caption.patience, 0)) as caption.timer:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if closing in done:
                return None
            message = receiving.result()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            return message
        except TimeoutError:
            raise Refusal(
                408,
                f"too little audio arrived for {IDLE_SECONDS:.0f} s: keep sending audio, even if it is silent",
                code="idle",
            ) from None
        finally:
            caption.timer = None
            caption.patience -= loop.time() - start
            for task in waiting:
                task.cancel()


class _CaptionStream:
    """One stream: the audio that it received and the captions that it sent."""

    def __init__(self, socket: WebSocket, client: str, stream: Stream, pool: ThreadPoolExecutor):
        self._socket, self._stream, self._pool = socket, stream, pool
        self.client = client
        self.patience = IDLE_SECONDS
        """Seconds for which the server still waits; a second of audio is worth IDLE_SECONDS of them."""
        self.heard = asyncio.get_running_loop().time()
        """The time of the last audio."""
        self.timer: asyncio.Timeout | None = None
        self._odd = b""  # half a sample from the end of a message
        self._samples = 0
        self._partial = ""
        self._words = 0  # already sent as final

    @property
    def seconds(self) -> float:
        return self._samples / SAMPLE_RATE

    @property
    def text(self) -> str:
        return self._stream.text

    async def feed(self, data: bytes) -> None:
        data = self._odd + data
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
        if len(samples):
            self.heard = asyncio.get_running_loop().time()
            self.patience = min(IDLE_SECONDS, max(self.patience, 0) + IDLE_SECONDS * len(samples) / SAMPLE_RATE)
        for start in range(0, len(samples), STEP):
            part = samples[start : start + STEP]
            self._samples += len(part)
            if self.seconds > LONGEST_SECONDS:
                raise Refusal(413, f"a stream may last at most {LONGEST_SECONDS / 3600:.0f} h: open another one")
            update = await self._run(self._stream.feed, part)
            await self._send(update.final, update.partial)

    async def finish(self) -> None:
        found = await self._run(self._stream.finish)
        await self._send(found.words[self._words :], "")
        done = {"type": "done", "text": found.text, "duration": round(found.seconds, 3)}
        await self._socket.send_json(done)

    async def _send(self, words: Sequence[Word], partial: str) -> None:
        if words:
            self._words += len(words)
            text = " ".join(each.text for each in words)
            await self._socket.send_json({"type": "final", "text": text, "words": [word_json(each) for each in words]})
        if words or partial != self._partial:
            self._partial = partial
            await self._socket.send_json({"type": "partial", "text": partial})

    async def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def _stops(text: str | None) -> bool:
    """Return True for a text message that says stop. Raises Refusal for any other text."""
    try:
        command = json.loads(text or "")
    except (ValueError, RecursionError):
        command = None
    if not isinstance(command, dict) or command.get("type") != "stop":
        raise Refusal(
            400,
            'not a valid message: send 16 kHz mono PCM16 as binary messages, and {"type": "stop"} at the end',
            param="type",
        )
    return True
