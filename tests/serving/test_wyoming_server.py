"""Wyoming as its own client speaks it: the text of an HTTP request, and every way in which a connection may end."""

import asyncio
import contextlib
import io
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
import soundfile
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.recognition.vad import SpeechDetector, VadOptions
from distilhubert_ko.serving import wyoming_server
from distilhubert_ko.serving.options import ServerLimits, ServerOptions
from distilhubert_ko.version import __version__
from tests.support.model import clip
from tests.support.serving import PATIENCE, Running, metric, running, wait_until

HERE = ("127.0.0.1", 0)
LIMITS = ServerLimits(upload_bytes=1_500_000, audio_seconds=20, requests=4)
FORM = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}
SUBTYPES = {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}


@pytest.fixture(scope="module")
def server(exported: Path) -> Iterator[Running]:
    with running(exported, ServerOptions(limits=LIMITS, wyoming=HERE)) as server:
        yield server


def wav(wave: np.ndarray, form: dict[str, int] = FORM) -> bytes:
    """Return a WAV file of a wave (samples,), with the same samples in each channel."""
    file = io.BytesIO()
    waves = np.repeat(wave[:, None], form["channels"], axis=1)
    soundfile.write(file, waves, form["rate"], SUBTYPES[form["width"]], format="WAV")
    return file.getvalue()


def pcm(wave: np.ndarray, form: dict[str, int] = FORM) -> bytes:
    return wav(wave, form).partition(b"data")[2][4:]


def heard(wave: np.ndarray, form: dict[str, int] = FORM) -> np.ndarray:
    """Return the samples at 16 kHz that a WAV file of the wave has."""
    return load_audio(io.BytesIO(wav(wave, form)))


def speech(data: bytes, form: dict[str, Any] = FORM, size: int = 4096, **wanted: Any) -> list[Event]:
    """Return the events of a client that transcribes PCM, in chunks of `size` bytes."""
    chunks = [AudioChunk(**form, audio=data[start : start + size]) for start in range(0, len(data), size)]
    return [each.event() for each in (Transcribe(**wanted), AudioStart(**form), *chunks, AudioStop())]


def told(server: Running, *sent: Event, answers: int = 1) -> list[Event]:
    """Return so many answers of the server to a client of its own, or those before it closed the connection."""

    async def talk() -> list[Event]:
        found: list[Event] = []
        async with AsyncClient.from_uri(server.wyoming) as client:
            client.read_timeout = PATIENCE
            with contextlib.suppress(ConnectionError):
                for each in sent:
                    await client.write_event(each)
                while len(found) < answers and (answer := await client.read_event()):
                    found.append(answer)
        return found

    return asyncio.run(talk())


def text(server: Running, *sent: Event) -> str:
    (answer,) = told(server, *sent)
    assert answer.type == "transcript", answer
    return Transcript.from_event(answer).text


def refusal(server: Running, *sent: Event) -> Error:
    """Return the error, after which the server closes."""
    (answer,) = told(server, *sent, answers=2)
    return Error.from_event(answer)


def test_it_describes_a_korean_recogniser(server: Running) -> None:
    (answer,) = told(server, Describe().event())
    (program,) = Info.from_event(answer).asr
    (model,) = program.models
    assert (program.name, program.version, program.installed) == ("distilhubert-ko", __version__, True)
    assert (model.name, model.languages, model.installed) == ("tiny", ["ko"], True)
    assert not program.supports_transcript_streaming


def test_a_ping_comes_back_and_unknown_events_do_not_matter(server: Running) -> None:
    answers = told(server, Event("select-program", {"name": "x"}), Ping("가").event(), Ping().event(), answers=2)
    assert [Pong.from_event(each).text for each in answers] == ["가", None]


FORMS = [
    FORM,
    *(
        {"rate": rate, "width": width, "channels": channels}
        for rate, width, channels in [(8000, 1, 1), (22_050, 2, 2), (44_100, 3, 1), (48_000, 4, 2)]
    ),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_any_rate_width_and_channels_give_the_text_of_the_same_file(server: Running, form: dict[str, int]) -> None:
    wave = clip(3 * form["rate"])
    expected = server.transcriber(heard(wave, form), VadOptions()).text
    assert expected
    assert text(server, *speech(pcm(wave, form), form, size=999)) == expected


def test_its_text_is_that_of_an_http_request(server: Running) -> None:
    wave = clip(5 * SAMPLE_RATE)
    answer = httpx2.post(
        f"{server.url}/v1/audio/transcriptions", files={"file": ("a.wav", wav(wave))}, data={"model": "m"}
    )
    assert text(server, *speech(pcm(wave), language="ko-KR")) == answer.json()["text"] != ""


def test_a_connection_transcribes_one_recording_after_another(server: Running) -> None:
    waves = [clip(2 * SAMPLE_RATE), clip(3 * SAMPLE_RATE)]
    answers = told(server, *speech(pcm(waves[0])), *speech(pcm(waves[1])), answers=2)
    assert [Transcript.from_event(each).text for each in answers] == [
        server.transcriber(heard(wave)).text for wave in waves
    ]


def test_silence_and_nothing_at_all_are_an_empty_text(exported: Path) -> None:
    with running(exported, ServerOptions(wyoming=HERE), SpeechDetector()) as server:
        assert text(server, *speech(bytes(2 * SAMPLE_RATE))) == ""
        assert text(server, *speech(pcm(clip(3 * SAMPLE_RATE)))) == ""  # tones are not speech
        assert text(server, *speech(b"")) == ""
        assert text(server, AudioStop().event()) == ""
        assert text(server, *speech(bytes(2))) == ""


def test_names_and_terms_that_a_client_expects_are_hot_words(server: Running) -> None:
    wave = clip(3 * SAMPLE_RATE)
    expected = server.transcriber.with_hotwords(["허파", "서하"])(heard(wave)).text
    assert expected != server.transcriber(heard(wave)).text
    given = {"transcript_names": ["허파", "TV", 5, ""], "transcript_terms": ["서하"]}
    request, *audio = speech(pcm(wave))
    assert text(server, Event(request.type, given), *audio) == expected


@pytest.mark.parametrize("language", ["en", "ja-JP", ["ko"]])
def test_another_language_is_refused(server: Running, language: Any) -> None:
    error = refusal(server, *speech(pcm(clip(SAMPLE_RATE)), language=language))
    assert "is not supported: give ko" in error.text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({**FORM, "rate": 0}, "audio of rate 0: give 4,000 to 384,000"),
        ({**FORM, "width": 5}, "audio of width 5"),
        ({**FORM, "channels": "2"}, "audio of channels 2"),
        ({"rate": 384_000, "width": 1, "channels": 32}, "32 channels at 384,000 Hz"),
    ],
)
def test_a_form_that_is_none_is_refused(server: Running, form: dict, words: str) -> None:
    sent = [Event("audio-start", form), Event("audio-chunk", form, bytes(384)), AudioStop().event()]
    assert words in refusal(server, *sent).text


def test_a_form_that_changes_is_refused(server: Running) -> None:
    other = AudioChunk(**{**FORM, "rate": 8000}, audio=bytes(100)).event()
    start, *rest = speech(bytes(1000))
    assert "another form" in refusal(server, start, *rest[:2], other, rest[-1]).text


def test_more_bytes_and_more_seconds_than_of_an_upload_are_refused(server: Running) -> None:
    wide = {"rate": 48_000, "width": 4, "channels": 2}
    assert "1,500,000 bytes" in refusal(server, *speech(bytes(1_600_000), wide, size=100_000)).text
    assert "more than 20 s" in refusal(server, *speech(bytes(170_000), {**FORM, "rate": 4000}, size=17_000)).text


def test_an_event_that_is_too_large_is_refused_before_it_is_read(server: Running) -> None:
    host, port = urlsplit(server.wyoming).hostname, urlsplit(server.wyoming).port
    with socket.create_connection((host, port), PATIENCE) as connection:
        connection.sendall(b'{"type": "audio-chunk", "payload_length": 1000000000000}\n')
        with connection.makefile("rb") as answer:
            assert b"1,000,000,000,000 bytes" in answer.read()


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b"{}\n", b'{"type": "ping", "data": []}\n', b"[" * 60_000 + b"\n", b"\xff\n",
     b'{"type": "ping", "data_length": "1"}\n', b'{"type": "ping", "data_length": 3}\n[1]', b"x" * 200_000,
     b'{"type": "ping", "data_length": 1.5}\n  '],
)  # fmt: skip
def test_what_is_no_event_is_cut(server: Running, data: bytes) -> None:
    host, port = urlsplit(server.wyoming).hostname, urlsplit(server.wyoming).port
    with socket.create_connection((host, port), PATIENCE) as connection:
        connection.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(65536) == b""
    assert told(server, Ping().event())


def test_a_flood_of_empty_events_is_cut(server: Running) -> None:
    answers = told(server, *[Event("nothing")] * 3000, Ping().event(), answers=2)
    assert "pong" not in [each.type for each in answers]


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(server: Running) -> None:
    async def leave() -> None:
        async with AsyncClient.from_uri(server.wyoming) as client:
            for each in speech(pcm(clip(4 * SAMPLE_RATE)))[:20]:
                await client.write_event(each)
            await asyncio.to_thread(wait_until, lambda: metric(server.url, "requests_held") == 1)

    asyncio.run(leave())
    wait_until(lambda: metric(server.url, "requests_held") == 0)
    wait_until(lambda: not server.server._wyoming[0]._open)


def test_a_client_that_leaves_before_its_answer_stops_the_work(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, cancelled = asyncio.Event(), []

    async def endless(*_: Any, **__: Any) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    monkeypatch.setattr(server.server._wyoming[0].uploads, "transcript", endless)

    async def leave() -> None:
        async with AsyncClient.from_uri(server.wyoming) as client:
            for each in speech(pcm(clip(SAMPLE_RATE))):
                await client.write_event(each)
            await asyncio.to_thread(wait_until, began.is_set)

    asyncio.run(leave())
    wait_until(lambda: bool(cancelled))
    wait_until(lambda: metric(server.url, "requests_held") == 0)


def test_a_client_that_falls_silent_is_told_and_closed(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wyoming_server, "IDLE_SECONDS", 0.2)
    assert refusal(server, AudioStart(**FORM).event()).code == "idle"


def test_clients_past_the_limit_are_refused_or_take_the_place_of_a_silent_one(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crowd() -> list[Event | None]:
        clients = [AsyncClient.from_uri(server.wyoming) for _ in range(3)]  # a client's share of four
        for each in clients:
            await each.connect()
            await each.write_event(Ping().event())
            await each.read_event()
        full = await asyncio.to_thread(told, server, Describe().event())
        monkeypatch.setattr(wyoming_server, "SILENT_SECONDS", 0.0)
        await asyncio.sleep(0.05)
        place = await asyncio.to_thread(told, server, Describe().event())
        gone = await clients[0].read_event()
        for each in clients:
            await each.disconnect()
        return [*full, *place, gone]

    wait_until(lambda: not server.server._wyoming[0]._open)
    full, place, gone = asyncio.run(crowd())
    assert Error.from_event(full).code == "queue_full"
    assert place.type == "info"
    assert gone is None


def test_a_server_that_shuts_down_cuts_those_that_wait_and_answers_the_others(exported: Path) -> None:
    async def talk(server: Running) -> list[Event | None]:
        waiting, working = AsyncClient.from_uri(server.wyoming), AsyncClient.from_uri(server.wyoming)
        await waiting.connect()
        await working.connect()
        for each in speech(pcm(clip(15 * SAMPLE_RATE)))[:-1]:
            await working.write_event(each)
        await working.write_event(Ping().event())
        await working.read_event()  # all is heard
        await working.write_event(AudioStop().event())
        await asyncio.to_thread(wait_until, lambda: any(each.busy for each in server.server._wyoming[0]._open))
        server.server.should_exit = True
        found = [await working.read_event(), await waiting.read_event()]
        await waiting.disconnect()
        await working.disconnect()
        return found

    with running(exported, ServerOptions(wyoming=HERE)) as server:
        answer, cut = asyncio.run(talk(server))
        assert Transcript.from_event(answer).text
        assert cut is None


def test_the_log_has_a_line_of_each_transcription(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "distilhubert_ko"):
        text(server, *speech(pcm(clip(SAMPLE_RATE))))
        end = time.monotonic() + PATIENCE
        while not (lines := [each.fields for each in caplog.records if hasattr(each, "fields")]):
            assert time.monotonic() < end
    line = {key: lines[0][key] for key in ("method", "path", "status", "audio_seconds")}
    assert line == {"method": "WYOMING", "path": "transcribe", "status": 200, "audio_seconds": 1.0}
    assert "transcript" not in lines[0]
