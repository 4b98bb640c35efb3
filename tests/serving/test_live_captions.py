"""Live captions over a WebSocket: the same text as Transcriber.stream(), and every way in which a stream may end."""

import contextlib
import itertools
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.recognition.vad import SpeechDetector
from distilhubert_ko.serving import live_captions, live_streams
from distilhubert_ko.serving.openai_api import MOST_HOTWORDS
from distilhubert_ko.serving.options import ServerLimits, ServerOptions
from distilhubert_ko.serving.server import MESSAGE_BYTES
from tests.support.model import clip
from tests.support.serving import PATIENCE, Running, metric, running, wait_until

STREAMS = 3


@pytest.fixture(scope="module")
def server(exported: Path) -> Iterator[Running]:
    with running(exported, ServerOptions(limits=ServerLimits(streams=STREAMS))) as server:
        yield server


def stream(server: Running, query: str = "", **options: object) -> ClientConnection:
    options = {"subprotocols": ["captions"], "max_size": None, **options}
    return connect(f"ws://{server.address}/v1/audio/stream{query}", **options)


def pcm(wave: np.ndarray) -> bytes:
    return (wave * 32767).astype("<i2").tobytes()


def told(socket: ClientConnection) -> list[dict]:
    """Return all messages until the server closes, for whatever reason."""
    messages = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            messages.append(json.loads(socket.recv(PATIENCE)))
    return messages


def wait_for_streams(server: Running, count: int) -> None:
    wait_until(lambda: metric(server.url, "streams") == count)


SPEECH = pcm(clip(6 * SAMPLE_RATE))


@pytest.mark.parametrize("size", [999, 16_000, len(SPEECH)])
def test_any_messages_give_what_the_stream_of_the_library_gives(server: Running, size: int) -> None:
    """Messages of 999 bytes end in the middle of a sample."""
    with stream(server) as socket:
        assert socket.subprotocol == "captions"
        for start in range(0, len(SPEECH), size):
            socket.send(SPEECH[start : start + size])
        socket.send('{"type": "stop"}')
        messages = told(socket)
        assert socket.close_code == live_captions.NORMAL
    live = server.transcriber.stream()
    live.feed(np.frombuffer(SPEECH, "<i2").astype(np.float32) / 32768)
    expected = live.finish()
    *rest, done = messages
    assert done == {"type": "done", "text": expected.text, "duration": 6.0}
    finals = [message for message in rest if message["type"] == "final"]
    words = [word for message in finals for word in message["words"]]
    assert [word["word"] for word in words] == [word.text for word in expected.words]
    assert " ".join(message["text"] for message in finals) == expected.text
    assert {"start", "end", "probability"} < {*words[0]}
    partials = [message["text"] for message in rest if message["type"] == "partial"]
    assert len(partials) > 5
    for message, following in itertools.pairwise(messages):  # a client keeps a partial until another comes
        assert message["type"] != "final" or following["type"] == "partial"
    assert rest[-1] == {"type": "partial", "text": ""}


def test_what_nobody_said_is_not_written_unless_the_filter_is_off(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.transcriber, "detector", SpeechDetector())
    texts = {}
    for query in ("", "?vad_filter=true", "?vad_filter=false"):
        with stream(server, query) as socket:
            socket.send(SPEECH)
            socket.send('{"type": "stop"}')
            *rest, done = told(socket)
            texts[query] = done["text"]
            assert any(message["text"] for message in rest) == (done["text"] != "")
    assert texts[""] == texts["?vad_filter=true"] == ""
    assert texts["?vad_filter=false"]


def test_hot_words_of_a_stream_change_its_captions_and_those_of_no_other(server: Running) -> None:
    texts = []
    for query in ("", "?hotwords=%ED%95%98%ED%95%98%ED%83%80,,", "?hotwords="):  # 하하타
        with stream(server, query) as socket:
            socket.send(SPEECH)
            socket.send('{"type": "stop"}')
            texts.append(told(socket)[-1]["text"])
    live = server.transcriber.with_hotwords(["하하타"]).stream()
    live.feed(np.frombuffer(SPEECH, "<i2").astype(np.float32) / 32768)
    assert texts == [texts[0], live.finish().text, texts[0]]
    assert texts[1] != texts[0]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("?vad_filter=maybe", "vad_filter"),
        ("?hotwords=%E6%BC%A2", "hotwords"),
        ("?hotwords=%E6%BC%A2&hotwords=%EA%B0%80", "hotwords"),
        ("?hotwords=" + ",".join(["%EA%B0%80"] * (MOST_HOTWORDS + 1)), "hotwords"),
        ("?hotword=%EA%B0%80", "hotword"),
    ],
)
def test_an_address_that_asks_for_what_a_stream_has_not_is_refused_and_is_no_error_of_the_server(
    server: Running, query: str, param: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        stream(server, query)
    assert refused.value.response.status_code == 400
    assert json.loads(refused.value.response.body)["error"]["param"] == param
    time.sleep(0.05)  # uvicorn would log it afterwards
    assert caplog.records == []


@pytest.mark.parametrize("data", [b"", b"\0"])
def test_a_stream_of_nothing_is_done_at_once(server: Running, data: bytes) -> None:
    with stream(server) as socket:
        socket.send(data)
        socket.send('{"type": "stop"}')
        assert told(socket) == [{"type": "done", "text": "", "duration": 0.0}]


@pytest.mark.parametrize("text", ["", "stop", "{}", "[1]", '{"type": "go"}', "[" * 100_000])
def test_text_that_is_no_stop_is_an_error_that_says_what_to_send(server: Running, text: str) -> None:
    with stream(server) as socket:
        socket.send(text)
        (message,) = told(socket)
        assert message["type"] == "error"
        assert '{"type": "stop"}' in message["error"]["message"]
        assert socket.close_code == live_captions.POLICY


def test_a_message_past_the_limit_ends_the_stream(server: Running) -> None:
    """Only the head of the frame is sent: the server closes on its length, and the rest could arrive too late."""
    with stream(server) as socket:
        socket.socket.sendall(b"\x82\xff" + struct.pack(">Q", MESSAGE_BYTES + 1) + bytes(4))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(PATIENCE)
        assert closed.value.rcvd.code == 1009


def test_streams_past_the_limit_are_refused_and_freed_ones_taken_again(server: Running) -> None:
    wait_for_streams(server, 0)
    sockets = [stream(server) for _ in range(STREAMS)]
    with pytest.raises(InvalidStatus) as refused:
        stream(server)
    assert refused.value.response.status_code == 429
    assert int(refused.value.response.headers["retry-after"]) > 0
    for socket in sockets:
        socket.close()
    wait_for_streams(server, 0)
    stream(server).close()


def test_a_stream_takes_the_place_of_one_that_is_silent(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_streams, "SILENT_SECONDS", 0.5)
    wait_for_streams(server, 0)
    silent, *speaking = [stream(server) for _ in range(STREAMS)]
    time.sleep(0.6)
    silent.send(b"")  # which is no audio
    for socket in speaking:
        socket.send(SPEECH[:32_000])
        assert socket.recv(PATIENCE)
    with stream(server) as new:
        (message,) = told(silent)
        assert message["error"]["code"] == "idle"
        new.send('{"type": "stop"}')
        assert told(new)[-1]["type"] == "done"
    for socket in speaking:
        socket.close()
    wait_for_streams(server, 0)


def test_one_client_cannot_hold_all_streams(exported: Path) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(streams=4))) as server:
        held = [stream(server, source_address=("127.0.0.2", 0)) for _ in range(3)]
        with pytest.raises(InvalidStatus):
            stream(server, source_address=("127.0.0.2", 0))
        stream(server).close()
        for socket in held:
            socket.close()


def test_messages_without_audio_keep_no_stream_open(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_captions, "IDLE_SECONDS", 1.0)
    with stream(server) as socket:
        start = time.monotonic()
        with contextlib.suppress(ConnectionClosed):
            while time.monotonic() < start + PATIENCE:
                socket.send(bytes(2))  # 63 microseconds of it
                time.sleep(0.05)
        assert told(socket)[-1]["error"]["code"] == "idle"


def test_a_client_that_vanishes_frees_its_stream(server: Running) -> None:
    wait_for_streams(server, 0)
    socket = stream(server)
    for start in range(0, len(SPEECH), 20_000):  # so that it vanishes in the middle of an answer
        socket.send(SPEECH[start : start + 20_000])
    wait_for_streams(server, 1)
    socket.socket.close()
    wait_for_streams(server, 0)


def test_a_client_that_sends_faster_than_it_is_heard_waits_and_loses_nothing(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0
    hear = live_captions._CaptionStream.feed

    async def slow(self: live_captions._CaptionStream, data: bytes) -> None:
        nonlocal most
        most = max(most, self._socket._receive.__self__.queue.qsize())  # uvicorn's own queue
        await hear(self, data)

    monkeypatch.setattr(live_captions._CaptionStream, "feed", slow)
    part = bytes(500_000)  # digital silence, which no network hears
    with stream(server) as socket:
        for _ in range(40):
            socket.send(part)
        socket.send('{"type": "stop"}')
        *_, done = told(socket)
    assert done["duration"] == 40 * len(part) / 2 / SAMPLE_RATE
    assert most <= 2


def test_a_client_that_falls_silent_is_told_and_closed(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_captions, "IDLE_SECONDS", 0.2)
    with stream(server) as socket:
        (message,) = told(socket)
        assert message["error"]["code"] == "idle"


def test_a_stream_that_lasts_too_long_ends_with_an_error(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_streams, "LONGEST_SECONDS", 3.0)
    with stream(server) as socket:
        socket.send(SPEECH)
        assert "at most" in told(socket)[-1]["error"]["message"]


def test_a_server_that_shuts_down_finishes_the_open_streams(exported: Path) -> None:
    with running(exported) as server:
        socket = stream(server)
        socket.send(SPEECH[: 2 * SAMPLE_RATE])
        assert json.loads(socket.recv(PATIENCE))["type"] == "partial"
    *_, done = told(socket)
    assert done["type"] == "done"
    assert done["duration"] == 1.0
    assert done["text"]
    assert socket.close_code == live_captions.GOING_AWAY
