"""Wyoming, Home Assistant's protocol for voice, over TCP: describe, ping, and audio that becomes a transcript.

A client sends transcribe, audio-start, audio-chunk and audio-stop, and gets a transcript. Its audio becomes a WAV file
on the road of an upload. So its limits, its search for speech and its text are those of an HTTP request.

https://github.com/OHF-Voice/wyoming
"""

import asyncio
import logging
import socket
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from prometheus_client import Gauge
from wyoming.asr import Transcribe
from wyoming.asr import Transcript as TranscriptEvent
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong

from distilhubert_ko.errors import DistilhubertKoError
from distilhubert_ko.recognition.language_names import is_korean
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import VadOptions
from distilhubert_ko.serving.clients import client_name, share_of
from distilhubert_ko.serving.connections import FRAMES_PER_SECOND, FREE_PIECES, PIECE_BYTES, STUCK_SECONDS
from distilhubert_ko.serving.model_facts import ModelFacts
from distilhubert_ko.serving.options import ServerLimits
from distilhubert_ko.serving.refusals import Refusal, busy_refusal, refusal_of
from distilhubert_ko.serving.request_log import LOGGER, Journal
from distilhubert_ko.serving.uploads import Uploads
from distilhubert_ko.serving.wav_recording import WavRecording
from distilhubert_ko.serving.wyoming_events import EVENT_BYTES, described, expected_words, printable, read_event

METHOD = "WYOMING"  # in the log and the metrics
IDLE_SECONDS = 30.0
SILENT_SECONDS = 5.0  # without an event, after which another client may take the place of this one
LINGER_SECONDS = 1.0
Result = TypeVar("Result")


class WyomingServer:
    """All connections of a server, as many as `limits.requests`, three quarters of them of one client.

    Where no place is left, a new connection takes that of one that has brought no event for a while.
    """

    def __init__(self, uploads: Uploads, facts: ModelFacts, limits: ServerLimits, journal: Journal, held: Gauge):
        self.uploads, self.limits, self.journal, self.held = uploads, limits, journal, held
        self.info = described(facts)
        self._open: set[_Connection] = set()
        self._refused: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve the clients of a bound socket."""
        self._server = await asyncio.start_server(self._serve, sock=listening)
        host, port = listening.getsockname()[:2]
        logging.getLogger(LOGGER).info(f"listening on tcp://{f'[{host}]' if ':' in host else host}:{port} for Wyoming")

    async def finish(self, seconds: float) -> None:
        """Refuse new clients, answer those whose audio is being transcribed within `seconds`, and cut all others."""
        end = time.monotonic() + seconds
        if self._server:
            self._server.close()
        while self._open:
            for each in self._open:
                if not each.busy or time.monotonic() > end:
                    each.cut()
            await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = client_name((writer.get_extra_info("peername") or ("",))[0])
        connection = _Connection(self, client, reader, writer)
        has_room = self._has_room(client)
        line = self._open if has_room else self._refused
        line.add(connection)
        try:
            if has_room:
                await connection.run()
            else:
                most = self.limits.requests
                await connection.refuse(busy_refusal(f"the server already has {most} clients: try again later"))
            if len(self._refused) <= self.limits.requests:
                await connection.linger()
        except (ConnectionError, TimeoutError):  # the client left, or reads nothing
            writer.transport.abort()
        finally:
            line.discard(connection)
            connection.close()

    def _has_room(self, client: str) -> bool:
        """Return whether a client may come in, perhaps because a silent one has just been sent away."""
        own = [each for each in self._open if each.client == client]
        crowded = len(own) >= share_of(self.limits.requests)
        if not crowded and len(self._open) < self.limits.requests:
            return True
        now = asyncio.get_running_loop().time()
        others = own if crowded else self._open
        silent = [each for each in others if not each.busy and now - each.heard > SILENT_SECONDS]
        if not silent:
            return False
        longest = min(silent, key=lambda each: each.heard)
        self._open.discard(longest)
        longest.cut()
        return True


class _Connection:
    """One client: its events in order, and the recording that they make."""

    def __init__(self, server: WyomingServer, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._server, self.client, self._reader, self._writer = server, client, reader, writer
        self.heard = self._start = asyncio.get_running_loop().time()
        """The time of the last event."""
        self.busy = False
        """Whether its audio is being transcribed."""
        self._patience = IDLE_SECONDS  # a second of audio is worth IDLE_SECONDS of it
        self._events = self._bytes = 0
        self._hotwords: list[str] = []
        self._recording: WavRecording | None = None
        self._refused = False
        self._reading = asyncio.ensure_future(read_event(reader))  # one event ahead, which tells when the client leaves

    async def run(self) -> None:
        """Answer events until the client leaves or errs. Raises ConnectionError and TimeoutError if it cannot."""
        try:
            while event := await self._next():
                try:
                    if not self._refused:
                        await self._take(event)
                except (Refusal, DistilhubertKoError) as error:
                    await self.refuse(error if isinstance(error, Refusal) else refusal_of(error))
                if self._refused and AudioStop.is_type(event.type):
                    return  # what came until now was on its way before the client knew
        except Refusal as error:
            await self.refuse(error)

    async def refuse(self, refusal: Refusal) -> None:
        """Send an error, and delete the recording. No other event gets an answer after it."""
        if not self._refused:
            self._refused = True
            if self._recording is None:
                self._server.journal.note(METHOD, "transcribe", refusal.status_code, 0.0, {})
            self._end_recording(refusal.status_code)
            await self._send(Error(refusal.detail, refusal.code or refusal.error["type"]))

    async def linger(self) -> None:
        """Read what a refused client still sends, for a moment: unread, it would take the error with it."""
        if self._refused:
            self._reading.cancel()
            await asyncio.wait({self._reading})
            self._writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    while await self._reader.read(EVENT_BYTES):
                        pass

    def cut(self) -> None:
        self._writer.close()

    def close(self) -> None:
        """Close the connection, and keep nothing of it."""
        self._end_recording(status=0)
        self._reading.cancel()
        self._writer.close()

    async def _next(self) -> Event | None:
        """Return the next event, or None if the client has left. Raises Refusal for what is none, and for silence."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.wait({self._reading}, timeout=max(self._patience, 0))
        self.heard = loop.time()
        self._patience -= self.heard - start
        if not self._reading.done():
            raise Refusal(408, f"too little audio arrived for {IDLE_SECONDS:.0f} s: send it as it comes", code="idle")
        event = self._reading.result()
        self._reading = asyncio.ensure_future(read_event(self._reader))
        if isinstance(event, Refusal):
            raise event
        self._events, self._bytes = self._events + 1, self._bytes + len((event and event.payload) or b"")
        free = FREE_PIECES + FRAMES_PER_SECOND * (self.heard - self._start)
        if self._events > free + self._bytes // PIECE_BYTES:
            raise Refusal(400, "too many events: send at least 10 ms of audio in each")
        return event

    async def _take(self, event: Event) -> None:
        """Act on one event; those of other services are none of ours. Raises Refusal and DistilhubertKoError."""
        if Describe.is_type(event.type):
            await self._send(self._server.info)
        elif Ping.is_type(event.type):
            await self._send(Pong(printable(event.data.get("text"))))
        elif Transcribe.is_type(event.type):
            language = event.data.get("language")
            if language and not (isinstance(language, str) and is_korean(language)):
                shown = str(language)[:40]
                raise Refusal(
                    400, f"the language {shown!r} is not supported: give ko, the only one that the model knows"
                )
            self._hotwords = expected_words(event.data)
        elif AudioStart.is_type(event.type):
            self._end_recording(status=0)
            self._begin_recording(event.data)
        elif AudioChunk.is_type(event.type):
            if self._recording is None:
                self._begin_recording(event.data)
            assert self._recording
            seconds = self._recording.add(event.data, event.payload or b"")
            self._patience = min(IDLE_SECONDS, max(self._patience, 0) + IDLE_SECONDS * seconds)
        elif AudioStop.is_type(event.type):
            await self._answer()

    async def _answer(self) -> None:
        """Transcribe the recording, and send its text."""
        text = ""
        if self._recording and self._recording.seconds:
            self.busy = True
            try:
                found = await self._unless_left(self._transcribe(self._recording))
            finally:
                self.busy = False
            self._end_recording(200, found)
            text = found.text
        self._end_recording(200)
        self._hotwords = []
        self._patience = IDLE_SECONDS
        await self._send(TranscriptEvent(text, language="ko"))

    async def _transcribe(self, recording: WavRecording) -> Transcript:
        uploads = self._server.uploads
        wave = await uploads.wave(recording.finish(), self.client)
        by = uploads.transcriber.with_hotwords(self._hotwords) if self._hotwords else None
        return await uploads.transcript(wave, self.client, vad=VadOptions(), by=by)

    async def _unless_left(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return the result of `work`. If the client leaves, cancel it and raise ConnectionResetError."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait({working, self._reading}, return_when=asyncio.FIRST_COMPLETED)
            if self._reading.done() and self._reading.result() is None and not working.done():
                raise ConnectionResetError("the client left")
            return await working
        finally:
            working.cancel()

    def _begin_recording(self, form: dict[str, Any]) -> None:
        limits = self._server.limits
        self._recording = WavRecording(form, limits.upload_bytes, limits.audio_seconds)
        self._server.held.inc()

    def _end_recording(self, status: int, found: Transcript | None = None) -> None:
        """Note what became of the recording, if there is one, and delete it; status 0 says that the client left."""
        if self._recording is None:
            return
        self._server.held.dec()
        state = {"audio_seconds": found.seconds, "transcript": found.text} if found else {}
        self._server.journal.note(METHOD, "transcribe", status, time.perf_counter() - self._recording.start, state)
        self._recording.close()
        self._recording = None

    async def _send(self, event: Eventable) -> None:
        async with asyncio.timeout(STUCK_SECONDS):
            await async_write_event(event.event(), self._writer)
