"""Live captions: WS /v1/audio/stream, 16 kHz mono PCM16 (little-endian) in, JSON out.

The client sends binary messages of any length, and {"type": "stop"} at the end. The server sends partial, which
replaces the previous one; final, which never changes and is followed by the next partial; done; and error.

A stream computes one step of the network at a time and reads no message meanwhile. So TCP slows down a client that
sends faster than the server recognises.
"""

import json
from collections.abc import Callable, Sequence

import numpy as np
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import DistilhubertKoError, InputError
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.vad import VadOptions
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.serving.clients import client_of
from distilhubert_ko.serving.live_streams import GOING_AWAY, NORMAL, POLICY, LiveConnection, LiveStreams
from distilhubert_ko.serving.openai_api import listed_hotwords
from distilhubert_ko.serving.openai_replies import word_json
from distilhubert_ko.serving.refusals import Refusal, refusal_of

PATH = "/v1/audio/stream"
PROTOCOL = "captions"
STEP = SAMPLE_RATE // 2  # samples per step: after each, captions are sent and other streams get their turn
IDLE_SECONDS = 30.0
VAD_FILTER, HOTWORDS = "vad_filter", "hotwords"  # the parameters of the address
SWITCH = {"true": True, "false": False}


class LiveCaptions:
    """Live captions in the places of `streams`.

    `stream` starts a new one for a client, with VAD or without, and with hot words. It raises InputError for bad ones.
    """

    def __init__(self, stream: Callable[[str, VadOptions | None, Sequence[str]], Stream], streams: LiveStreams):
        self._stream, self._streams = stream, streams

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection from its handshake to its end."""
        try:
            stream = self._asked_for(socket.query_params, client_of(socket.scope))
        except Refusal as refused:
            return await socket.send_denial_response(refused.response())

        async def talk(connection: LiveConnection) -> int:
            caption = _CaptionStream(connection, stream)
            try:
                return await self._listen(connection, caption)
            finally:
                socket.state.transcript = caption.text

        await self._streams.hold(socket, PROTOCOL, IDLE_SECONDS, talk)

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

    async def _listen(self, connection: LiveConnection, caption: "_CaptionStream") -> int:
        """Transcribe until the client stops, errs or falls silent, or the server closes. Return the closing code."""
        try:
            while message := await connection.next():
                if (data := message.get("bytes")) is not None:
                    await caption.feed(data)
                elif _stops(message.get("text")):
                    await caption.finish()
                    return NORMAL
        except (Refusal, DistilhubertKoError) as error:
            refused = error if isinstance(error, Refusal) else refusal_of(error)
            await connection.socket.send_json({"type": "error", "error": refused.error})
            return POLICY
        await caption.finish()
        return GOING_AWAY


class _CaptionStream:
    """One stream: the audio that it received and the captions that it sent."""

    def __init__(self, connection: LiveConnection, stream: Stream):
        self._connection, self._socket, self._stream = connection, connection.socket, stream
        self._odd = b""  # half a sample from the end of a message
        self._partial = ""
        self._words = 0  # already sent as final

    @property
    def text(self) -> str:
        return self._stream.text

    async def feed(self, data: bytes) -> None:
        data = self._odd + data
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768
        for start in range(0, len(samples), STEP):
            part = samples[start : start + STEP]
            self._connection.hear(len(part))
            update = await self._connection.run(self._stream.feed, part)
            await self._send(update.final, update.partial)

    async def finish(self) -> None:
        found = await self._connection.run(self._stream.finish)
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
