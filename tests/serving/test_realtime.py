"""OpenAI's Realtime API as its official client speaks it: turns, their texts, and every refusal."""

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.recognition.vad import Listening, SpeechDetector, VadOptions
from distilhubert_ko.serving import live_streams, realtime
from distilhubert_ko.serving.options import ServerLimits, ServerOptions
from distilhubert_ko.serving.realtime_audio import FORMS, AudioInput
from tests.support.model import clip
from tests.support.serving import PATIENCE, Everywhere, Running, metric, running, wait_until

RATE = 24_000
STREAMS = 4
DELTA, COMPLETED = (f"conversation.item.input_audio_transcription.{name}" for name in ("delta", "completed"))
COMMITTED = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
MANUAL = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}


class HearingLoud(Listening):
    def _probabilities(self, chunks: np.ndarray) -> np.ndarray:
        return (np.abs(chunks).max(axis=1) > 0.01).astype(np.float32)


class Loud(Everywhere):
    """Takes what is loud for speech."""

    def listen(self) -> Listening:
        return HearingLoud(None)


@pytest.fixture(scope="module")
def server(exported: Path) -> Iterator[Running]:
    limits = ServerLimits(streams=STREAMS)
    with running(exported, ServerOptions(limits=limits), Loud()) as server:
        yield server


def tones(seconds: float, seed: int = 0) -> np.ndarray:
    """Return something loud at 24 kHz (samples,)."""
    return clip(int(seconds * RATE), seed)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * RATE), np.float32)


def encoded(wave: np.ndarray) -> str:
    return base64.b64encode((wave * 32767).astype("<i2").tobytes()).decode()


def at_16k(wave: np.ndarray) -> np.ndarray:
    """Return what the server makes of a wave at 24 kHz."""
    audio = AudioInput(FORMS["audio/pcm"])
    return np.concatenate([audio.samples(encoded(wave)), audio.end()])


def live_text(server: Running, wave: np.ndarray) -> str:
    """Return the text of a stream of the library for a wave at 16 kHz."""
    stream = server.transcriber.stream(VadOptions())
    stream.feed(wave)
    return stream.finish().text


async def append(connection: AsyncRealtimeConnection, wave: np.ndarray, size: int = 4800) -> None:
    for start in range(0, len(wave), size):
        await connection.input_audio_buffer.append(audio=encoded(wave[start : start + size]))


async def until(connection: AsyncRealtimeConnection, kind: str, count: int = 1) -> list[Any]:
    """Return the events up to the one of this kind."""
    events: list[Any] = []
    while sum(each.type == kind for each in events) < count:
        events.append(await asyncio.wait_for(connection.recv(), PATIENCE))
    return events


def spoken(server: Running, *waves: np.ndarray, session: dict | None = None, turns: int = 1) -> list[Any]:
    """Return the events of a session of the official client that appends waves, up to the text of so many turns."""

    async def talk() -> list[Any]:
        client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            await until(connection, "session.created")
            if session:
                await connection.session.update(session=session)
                await until(connection, "session.updated")
            for wave in waves:
                await append(connection, wave)
            if session and session["audio"]["input"].get("turn_detection", "") is None:
                await connection.input_audio_buffer.commit()
            return await until(connection, COMPLETED, turns)

    return asyncio.run(talk())


def opened(server: Running, query: str = "?intent=transcription", **options: Any) -> ClientConnection:
    return connect(f"ws://{server.address}/v1/realtime{query}", max_size=None, **options)


def told(socket: ClientConnection) -> dict:
    return json.loads(socket.recv(PATIENCE))


@pytest.fixture
def session(server: Running) -> Iterator[ClientConnection]:
    with opened(server) as socket:
        assert told(socket)["type"] == "session.created"
        yield socket


def asked(socket: ClientConnection, event: dict) -> dict:
    """Return the answer to one event."""
    socket.send(json.dumps(event))
    return told(socket)


def turn_detection(**given: object) -> dict:
    return {"type": "transcription", "audio": {"input": {"turn_detection": {"type": "server_vad", **given}}}}


# Turns


def test_a_turn_is_found_and_its_text_is_that_of_a_stream_of_the_library(server: Running) -> None:
    wave = np.concatenate([silence(1), tones(3), silence(1)])
    started, *events = spoken(server, wave)
    kinds = [each.type for each in events if each.type != DELTA]
    assert started.type == "input_audio_buffer.speech_started"
    assert kinds == ["input_audio_buffer.speech_stopped", *COMMITTED, COMPLETED]
    assert events[0].type == DELTA  # while it is spoken
    stopped = next(each for each in events if each.type == "input_audio_buffer.speech_stopped")
    assert started.audio_start_ms == pytest.approx(700, abs=40)
    assert stopped.audio_end_ms == pytest.approx(4500, abs=64)
    samples = at_16k(wave)[started.audio_start_ms * 16 : stopped.audio_end_ms * 16]
    expected = live_text(server, samples)
    assert expected
    assert events[-1].transcript == "".join(each.delta for each in events if each.type == DELTA) == expected
    assert {each.item_id for each in events if hasattr(each, "item_id")} == {started.item_id}
    assert events[-1].usage.seconds == pytest.approx(3.8, abs=0.1)


@pytest.mark.parametrize(("milliseconds", "turns"), [(300, 2), (800, 1)])
def test_a_pause_ends_a_turn_after_silence_duration_ms(server: Running, milliseconds: int, turns: int) -> None:
    waves = [tones(1), silence(0.5), tones(1.5, seed=1), silence(1)]
    session = turn_detection(silence_duration_ms=milliseconds, prefix_padding_ms=100)
    events = spoken(server, *waves, session=session, turns=turns)
    starts = [each.audio_start_ms for each in events if each.type == "input_audio_buffer.speech_started"]
    assert starts == [0, pytest.approx(1400, abs=40)][:turns]
    items = [each for each in events if each.type == "conversation.item.added"]
    assert len(items) == turns
    assert [each.previous_item_id for each in items] == [None, items[0].item.id][:turns]


@pytest.mark.parametrize("size", [481, 4800, 60_000])
def test_without_turn_detection_the_client_commits_and_nothing_is_lost(server: Running, size: int) -> None:
    wave = tones(2.5)

    async def talk() -> list[Any]:
        client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            await connection.session.update(session=MANUAL)
            await append(connection, wave, size)
            await connection.input_audio_buffer.commit()
            await append(connection, wave, size)
            await connection.input_audio_buffer.commit()
            return await until(connection, COMPLETED, 2)

    events = asyncio.run(talk())
    texts = [each.transcript for each in events if each.type == COMPLETED]
    assert texts == [live_text(server, at_16k(wave))] * 2 != [""] * 2
    assert not [each for each in events if "speech" in each.type]
    deltas = [each for each in events if each.type == DELTA]
    assert "".join(each.delta for each in deltas) == "".join(texts)


def test_what_is_cleared_is_never_written(server: Running) -> None:
    async def talk() -> list[Any]:
        client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            await connection.session.update(session=MANUAL)
            await append(connection, tones(1))
            await connection.input_audio_buffer.clear()
            await connection.input_audio_buffer.commit(event_id="mine")
            return await until(connection, "error")

    *_, cleared, error = asyncio.run(talk())
    assert cleared.type == "input_audio_buffer.cleared"
    assert (error.error.code, error.error.event_id) == ("input_audio_buffer_commit_empty", "mine")


def test_a_client_may_commit_before_the_silence(server: Running) -> None:
    async def talk() -> list[Any]:
        client = AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            await append(connection, tones(1.5))
            await connection.input_audio_buffer.commit()
            return await until(connection, COMPLETED)

    events = asyncio.run(talk())
    assert events[-1].transcript
    assert "input_audio_buffer.speech_stopped" not in [each.type for each in events]
    assert events[-1].usage.seconds == pytest.approx(1.5, abs=0.05)


def test_keywords_are_hot_words(server: Running) -> None:
    wave = tones(2.5)
    given = {"turn_detection": None, "transcription": {"keywords": ["허파", "서하"]}}
    *_, completed = spoken(server, wave, session={"type": "transcription", "audio": {"input": given}})
    stream = server.transcriber.with_hotwords(["허파", "서하"]).stream(VadOptions())
    stream.feed(at_16k(wave))
    assert completed.transcript == stream.finish().text != live_text(server, at_16k(wave))


def test_what_nobody_said_makes_no_turn(exported: Path) -> None:
    with running(exported, detector=SpeechDetector()) as server, opened(server) as socket:
        told(socket)
        for wave in (silence(2), tones(3), silence(1)):
            socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": encoded(wave)}))
        assert (
            asked(socket, {"type": "input_audio_buffer.commit"})["error"]["code"] == "input_audio_buffer_commit_empty"
        )


# Audio


@pytest.mark.parametrize(("form", "subtype"), [("audio/pcmu", "ULAW"), ("audio/pcma", "ALAW")])
def test_g711_is_what_libsndfile_makes_of_it(form: str, subtype: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, clip(8000), 8000, subtype, format="RAW")
    data, plain = file.getvalue(), io.BytesIO(file.getvalue())
    expected, _ = soundfile.read(plain, format="RAW", subtype=subtype, samplerate=8000, channels=1, dtype="float32")
    audio = AudioInput(FORMS[form])
    parts = [audio.samples(base64.b64encode(data[start : start + 333]).decode()) for start in range(0, len(data), 333)]
    found = np.concatenate([*parts, audio.end()])
    assert len(found) == SAMPLE_RATE
    # Every other sample of the doubled rate is the one that was sent, but for what the resampler filters off.
    assert np.corrcoef(found[::2], expected)[0, 1] > 0.97
    assert AudioInput(FORMS[form]).samples("") is not None


def test_parts_may_end_in_the_middle_of_a_sample() -> None:
    data = (clip(5000) * 32767).astype("<i2").tobytes()
    audio = AudioInput(FORMS["audio/pcm"])
    parts = [audio.samples(base64.b64encode(data[at : at + 333]).decode()) for at in range(0, len(data), 333)]
    np.testing.assert_allclose(np.concatenate([*parts, audio.end()]), at_16k(clip(5000)), atol=1e-5)


def test_a_session_of_a_telephone_is_transcribed(server: Running) -> None:
    file = io.BytesIO()
    soundfile.write(file, clip(16_000), 8000, "ULAW", format="RAW")
    with opened(server) as socket:
        told(socket)
        session = {
            "type": "transcription",
            "audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}},
        }
        shown = asked(socket, {"type": "session.update", "session": session})["session"]
        assert shown["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        audio = base64.b64encode(file.getvalue()).decode()
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        while (event := told(socket))["type"] != COMPLETED:
            pass
    assert event["transcript"]
    assert event["usage"]["seconds"] == 2.0


# Settings


def test_a_session_shows_what_is_in_effect_and_an_update_changes_only_what_it_names(session: ClientConnection) -> None:
    first = asked(session, {"type": "session.update", "session": {"type": "transcription"}})["session"]
    assert first["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "noise_reduction": None,
        "transcription": {"model": "tiny", "language": "ko", "keywords": []},
        "turn_detection": {
            "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
        },
    }  # fmt: skip
    asked(session, {"type": "session.update", "session": turn_detection(threshold=0.7)})
    given = {
        "noise_reduction": {"type": "near_field"},
        "transcription": {"model": "gpt-live-transcribe", "prompt": "x"},
    }
    later = asked(session, {"type": "session.update", "session": {"type": "transcription", "audio": {"input": given}}})
    shown = later["session"]["audio"]["input"]
    assert shown["turn_detection"] == {**first["audio"]["input"]["turn_detection"], "threshold": 0.7}
    assert shown["noise_reduction"] is None
    assert shown["transcription"] == {"model": "tiny", "language": "ko", "keywords": []}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"format": {"type": "audio/pcm", "rate": 16_000}}, "format.rate"),
        ({"format": {"type": "audio/opus"}}, "format.type"),
        ({"format": "pcm16"}, "format"),
        ({"transcription": None}, "transcription"),
        ({"transcription": {"language": "en"}}, "transcription.language"),
        ({"transcription": {"languages": ["ko", "en"]}}, "transcription.language"),
        ({"transcription": {"keywords": ["서울", "日"]}}, "transcription.keywords"),
        ({"transcription": {"keywords": "서울"}}, "transcription.keywords"),
        ({"transcription": {"keywords": ["서울"] * 501}}, "transcription.keywords"),
        ({"transcription": {"hotwords": "서울"}}, "transcription.hotwords"),
        ({"turn_detection": {"type": "semantic_vad"}}, "turn_detection.type"),
        ({"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}, "turn_detection.idle_timeout_ms"),
        ({"turn_detection": {"type": "server_vad", "threshold": 1}}, "turn_detection.threshold"),
        ({"turn_detection": {"type": "server_vad", "silence_duration_ms": "5"}}, "turn_detection.silence_duration_ms"),
        ({"turn_detection": {"type": "server_vad", "prefix_padding_ms": -1}}, "turn_detection.prefix_padding_ms"),
    ],
)
def test_a_setting_without_effect_is_refused_by_name_and_the_session_goes_on(
    session: ClientConnection, given: dict, param: str
) -> None:
    update = {
        "type": "session.update",
        "event_id": "e1",
        "session": {"type": "transcription", "audio": {"input": given}},
    }
    error = asked(session, update)["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", f"session.audio.input.{param}")
    assert error["event_id"] == "e1"
    assert asked(session, {"type": "input_audio_buffer.clear"})["type"] == "input_audio_buffer.cleared"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "realtime"}, "session.type"),
        ({"type": "transcription", "include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
        ({"type": "transcription", "instructions": "x"}, "session.instructions"),
        (None, "session"),
    ],
)
def test_a_session_that_is_no_transcription_is_refused(session: ClientConnection, given: Any, param: str) -> None:
    assert asked(session, {"type": "session.update", "session": given})["error"]["param"] == param


def test_a_session_cannot_change_within_a_turn(session: ClientConnection) -> None:
    asked(session, {"type": "session.update", "session": MANUAL})
    session.send(json.dumps({"type": "input_audio_buffer.append", "audio": encoded(tones(0.2))}))
    assert (
        "commit or clear" in asked(session, {"type": "session.update", "session": turn_detection()})["error"]["message"]
    )


# Events that are none, and places


@pytest.mark.parametrize(
    ("event", "param"),
    [
        ("", "type"),
        ("[1]", "type"),
        ("{}", "type"),
        ("[" * 100_000, "type"),
        (b"\0\0", "type"),
        ('{"type": "response.create", "event_id": "a"}', "type"),
        ('{"type": ["input_audio_buffer.append"]}', "type"),
        ('{"type": "input_audio_buffer.append", "event_id": "\\ud800"}', "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "가"}', "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "AAA"}', "audio"),
        ('{"type": "session.update", "session": {"\\ud800": 1}}', "session.?"),
    ],
)
def test_what_is_no_event_is_an_error_and_the_session_goes_on(
    session: ClientConnection, event: str | bytes, param: str
) -> None:
    session.send(event)
    answer = told(session)
    assert answer["type"] == "error"
    assert answer["error"]["param"] == param
    assert asked(session, {"type": "input_audio_buffer.clear"})["type"] == "input_audio_buffer.cleared"


@pytest.mark.parametrize(
    ("query", "param"), [("", "intent"), ("?intent=conversation", "intent"), ("?intent=transcription&a=1", "a")]
)
def test_an_address_that_asks_for_anything_else_is_refused(server: Running, query: str, param: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(server, query)
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["error"]["param"] == param


def test_a_browser_may_send_its_token_as_openais_clients_do(exported: Path) -> None:
    with running(exported, ServerOptions(tokens=("secret",))) as server:
        with pytest.raises(InvalidStatus) as refused:
            opened(server)
        assert refused.value.response.status_code == 401
        names = ["realtime", "openai-insecure-api-key.secret"]
        with opened(server, subprotocols=names) as socket:
            assert socket.subprotocol == "realtime"


def test_sessions_and_captions_share_their_places_and_leave_them(server: Running) -> None:
    wait_until(lambda: metric(server.url, "streams") == 0)
    sockets = [opened(server), connect(f"ws://{server.address}/v1/audio/stream"), opened(server)]
    with pytest.raises(InvalidStatus) as refused:  # three quarters of four are one client's
        opened(server)
    assert refused.value.response.status_code == 429
    sockets[0].send(json.dumps({"type": "input_audio_buffer.append", "audio": encoded(tones(2))}))
    for socket in sockets:
        socket.socket.close()  # in the middle of a turn
    wait_until(lambda: metric(server.url, "streams") == 0)


@pytest.mark.parametrize(("name", "words"), [("IDLE_SECONDS", "too little audio"), ("LONGEST_SECONDS", "at most")])
def test_a_session_that_is_silent_or_lasts_too_long_ends(
    server: Running, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setattr(realtime if name == "IDLE_SECONDS" else live_streams, name, 0.3)
    with opened(server) as socket:
        told(socket)
        if name == "LONGEST_SECONDS":
            socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": encoded(silence(1))}))
        assert words in told(socket)["error"]["message"]
        with pytest.raises(Exception, match="1008"):
            told(socket)


def test_a_server_that_shuts_down_commits_the_turn(exported: Path) -> None:
    with running(exported, detector=Loud()) as server:
        socket = opened(server)
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": encoded(tones(2))}))
        while told(socket)["type"] != DELTA:
            pass
    while (event := told(socket))["type"] != COMPLETED:
        pass
    assert event["transcript"]
