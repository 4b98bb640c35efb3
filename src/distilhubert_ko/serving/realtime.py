"""OpenAI's Realtime API for transcription: WS /v1/realtime?intent=transcription, as its official clients speak it.

A turn is an item of the conversation. Its text comes in deltas while it is spoken, and whole once it is committed. The
server commits it after a silence, or the client does if it has turned that off. An error in an event ends no session.

https://developers.openai.com/api/docs/guides/realtime-transcription
"""

import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import QueryParams
from starlette.types import Message
from starlette.websockets import WebSocket

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import DistilhubertKoError, InputError
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.vad import VadOptions
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.serving.live_captions import STEP
from distilhubert_ko.serving.live_streams import GOING_AWAY, POLICY, EndOfStream, LiveConnection, LiveStreams
from distilhubert_ko.serving.realtime_audio import FORMS, AudioInput
from distilhubert_ko.serving.realtime_session import KEYWORDS, SessionSettings
from distilhubert_ko.serving.realtime_turns import TurnDetector
from distilhubert_ko.serving.refusals import Refusal, refusal_of

PATH = "/v1/realtime"
PROTOCOL = "realtime"
IDLE_SECONDS = 600.0  # a client that commits its own turns sends nothing between them
TRANSCRIPTION = "conversation.item.input_audio_transcription"
LONGEST_ID = 512


class Realtime:
    """Sessions in the places of `streams`; `live` returns the Transcriber for the streams of a client's session."""

    def __init__(self, live: Callable[[str], Transcriber], streams: LiveStreams, model: str):
        self._live, self._streams, self._model = live, streams, model

    async def serve(self, socket: WebSocket) -> None:
        """Serve one connection from its handshake to its end."""
        try:
            _check_address(socket.query_params)
        except Refusal as refused:
            return await socket.send_denial_response(refused.response())

        async def talk(connection: LiveConnection) -> int:
            session = _Session(connection, self._live(connection.client), self._model)
            try:
                return await session.run()
            finally:
                socket.state.transcript = " ".join(session.texts)

        await self._streams.hold(socket, PROTOCOL, IDLE_SECONDS, talk)


class _Session:
    """One session: its settings, and the present turn, if there is one."""

    def __init__(self, connection: LiveConnection, live: Transcriber, model: str):
        self._connection, self._live, self._model = connection, live, model
        self.texts: list[str] = []
        """The text of each turn."""
        self._id = _identity("sess")
        self._turn: _Turn | None = None
        self._previous: str | None = None  # the item of the last turn
        self._heard = 0  # samples
        self._configure(SessionSettings())
        self._acts = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit_asked,
            "input_audio_buffer.clear": self._clear,
        }

    async def run(self) -> int:
        """Answer events until the client leaves, lasts too long or falls silent, or the server closes."""
        await self._send("session.created", session=self._settings.shown(self._id, self._model))
        try:
            while message := await self._connection.next():
                await self._take(message)
        except EndOfStream as error:
            await self._send("error", error={**error.error, "event_id": None})
            return POLICY
        await self._finish_turn()
        return GOING_AWAY

    async def _take(self, message: Message) -> None:
        """Act on a message, or answer with an error that names the event. Raises EndOfStream."""
        event: dict[str, Any] = {}
        try:
            event = _event(message.get("text"))
            act = self._acts.get(str(event["type"]))
            if act is None:
                kinds = ", ".join(self._acts)
                raise Refusal(
                    400, f"{str(event['type'])[:60]!r} is no event of a transcription: send {kinds}", param="type"
                )
            await act(event)
        except EndOfStream:
            raise
        except (Refusal, DistilhubertKoError) as error:
            refused = error if isinstance(error, Refusal) else refusal_of(error)
            name = event.get("event_id")
            name = name if isinstance(name, str) and name.isprintable() and len(name) <= LONGEST_ID else None
            await self._send("error", error={**refused.error, "event_id": name})

    async def _update(self, event: dict[str, Any]) -> None:
        settings = self._settings.updated(event.get("session"))
        if settings != self._settings:
            if self._turn:
                raise Refusal(400, "the session cannot change within a turn: commit or clear it first", param="session")
            self._configure(settings)
        await self._send("session.updated", session=settings.shown(self._id, self._model))

    def _configure(self, settings: SessionSettings) -> None:
        """Take other settings, and forget audio that belongs to no turn. Raises Refusal for hot words that are none."""
        try:
            self._expecting = self._live.with_hotwords(settings.keywords) if settings.keywords else self._live
        except InputError as error:
            raise Refusal(400, str(error), param=KEYWORDS) from error
        self._settings = settings
        self._audio = AudioInput(FORMS[settings.format])
        listening = self._live.detector.listen
        self._turns = TurnDetector(listening(), settings.turns, self._heard) if settings.turns else None

    async def _append(self, event: dict[str, Any]) -> None:
        samples = self._audio.samples(event.get("audio"))
        if self._turns is None and event["audio"]:
            self._turn = self._turn or self._begin_turn()
        await self._hear(samples)

    async def _hear(self, samples: NDArray[np.float32]) -> None:
        for start in range(0, len(samples), STEP):
            part = samples[start : start + STEP]
            self._connection.hear(len(part))
            self._heard += len(part)
            if self._turns is None:
                await self._feed(part)
                continue
            for found in await self._connection.run(self._turns.feed, part):
                if found.start is not None:
                    self._turn = self._begin_turn()
                    start_ms = _milliseconds(found.start)
                    await self._send(
                        "input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._turn.id
                    )
                await self._feed(found.samples)
                if found.end is not None and self._turn:
                    end_ms = _milliseconds(found.end)
                    await self._send("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=self._turn.id)
                    await self._commit()

    async def _commit_asked(self, _: dict[str, Any]) -> None:
        if not await self._finish_turn():
            wait = "speak first, or wait for the server to commit" if self._turns else "append audio first"
            raise Refusal(400, f"there is no audio to commit: {wait}", code="input_audio_buffer_commit_empty")

    async def _finish_turn(self) -> bool:
        """Commit the present turn, and tell whether there was one."""
        if self._turn is None:
            return False
        if self._turns:
            await self._feed(self._turns.end())
        else:
            await self._hear(self._audio.end())
            self._audio = AudioInput(FORMS[self._settings.format])
        await self._commit()
        return True

    async def _clear(self, _: dict[str, Any]) -> None:
        self._turn = None
        self._configure(self._settings)
        await self._send("input_audio_buffer.cleared")

    def _begin_turn(self) -> "_Turn":
        turns = self._settings.turns
        return _Turn(self._expecting.stream(VadOptions(threshold=turns.threshold) if turns else VadOptions()))

    async def _feed(self, samples: NDArray[np.float32]) -> None:
        """Recognise more of the turn, and send the words that have become final."""
        turn = self._turn
        if turn is None or not len(samples):
            return
        turn.samples += len(samples)
        try:
            update = await self._connection.run(turn.stream.feed, samples)
        except DistilhubertKoError as error:
            return await self._fail(turn, error)
        await self._send_words(turn, update.final)

    async def _commit(self) -> None:
        """Make the turn an item, and send the rest of its text and the whole."""
        turn, self._turn = self._turn, None
        if turn is None:  # it has failed
            return
        await self._send("input_audio_buffer.committed", item_id=turn.id, previous_item_id=self._previous)
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": turn.id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
        for kind in ("added", "done"):
            await self._send(
                f"conversation.item.{kind}", item={**item, "content": content}, previous_item_id=self._previous
            )
        self._previous = turn.id
        try:
            found = await self._connection.run(turn.stream.finish)
        except DistilhubertKoError as error:
            return await self._fail(turn, error)
        await self._send_words(turn, found.words[turn.words :])
        self.texts.append(found.text)
        await self._send(
            f"{TRANSCRIPTION}.completed",
            item_id=turn.id,
            content_index=0,
            transcript=found.text,
            usage={"type": "duration", "seconds": round(turn.samples / SAMPLE_RATE, 3)},
        )

    async def _fail(self, turn: "_Turn", error: DistilhubertKoError) -> None:
        self._turn = None
        await self._send(f"{TRANSCRIPTION}.failed", item_id=turn.id, content_index=0, error=refusal_of(error).error)

    async def _send_words(self, turn: "_Turn", words: Sequence[Word]) -> None:
        """Send a delta. All deltas of a turn, one after another, are its text."""
        if words:
            delta = " ".join(each.text for each in words)
            delta = f" {delta}" if turn.words else delta
            turn.words += len(words)
            await self._send(f"{TRANSCRIPTION}.delta", item_id=turn.id, content_index=0, delta=delta)

    async def _send(self, kind: str, **content: Any) -> None:
        text = json.dumps({"type": kind, "event_id": _identity("event"), **content}, ensure_ascii=False)
        # An error may quote half a character, which JSON can write and UTF-8 cannot.
        await self._connection.socket.send_text(text.encode("utf-8", "replace").decode())


class _Turn:
    """One turn, its stream, the samples that it got, and the words that were sent."""

    def __init__(self, stream: Stream):
        self.id = _identity("item")
        self.stream = stream
        self.samples = self.words = 0


def _check_address(query: QueryParams) -> None:
    """Raise Refusal for parameters that ask for anything but transcription."""
    for name, value in query.multi_items():
        if name not in ("intent", "model"):
            raise Refusal(400, f"{name[:60]}: no parameter of a session: leave it out", param=name[:60])
        if name == "intent" and value != "transcription":
            raise Refusal(400, f"intent {value[:60]!r}: give transcription, since nobody answers here", param="intent")
    if "intent" not in query:
        raise Refusal(400, "no intent: connect with ?intent=transcription, since nobody answers here", param="intent")


def _event(text: str | None) -> dict[str, Any]:
    """Return the event of a text message. Raises Refusal for any other."""
    try:
        event = json.loads(text or "")
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict) or "type" not in event:
        raise Refusal(400, 'not an event: send a JSON object with a "type" as a text message', param="type")
    return event


def _identity(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(10)}"


def _milliseconds(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE
