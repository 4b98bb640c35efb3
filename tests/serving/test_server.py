"""The server as a whole: its gates, limits, operations and shutdown."""

import contextlib
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import psutil
import pytest
import soundfile
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from checks.fuzz_sockets import framed
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.serving import connections, gates, intake, request_log, server
from distilhubert_ko.serving.clients import client_name, is_among, share_of
from distilhubert_ko.serving.options import ServerLimits, ServerOptions
from tests.support.model import clip
from tests.support.serving import PATIENCE, Running, metric, running, wait_until

PATH = "/v1/audio/transcriptions"
OPEN = ("/", "/healthz", "/static/app.js")
CLOSED = ("/v1/models", "/v1/model_facts", "/metrics", "/docs", "/openapi.json", "/v1/nothing")
OPENING = (
    b"GET /v1/audio/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TOKEN = {"authorization": "Bearer second"}


def recording(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, clip(int(seconds * SAMPLE_RATE)), SAMPLE_RATE, format="WAV")
    return file.getvalue()


def form(content: bytes) -> dict:
    return {"files": {"file": ("a.wav", content)}, "data": {"model": "m"}}


def head(length: str = "") -> bytes:
    """Return the head of an upload, and the part of its body before the content of the file."""
    lines = [f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: multipart/form-data; boundary=b", length]
    part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return ("\r\n".join(filter(None, lines)) + "\r\n\r\n" + (part if "chunked" not in length else "")).encode()


def opened(server: Running, source: str = "127.0.0.1") -> socket.socket:
    host, port = server.address.split(":")
    return socket.create_connection((host, int(port)), PATIENCE, (source, 0))


def answered(connection: socket.socket) -> str:
    """Return everything until the other side closes."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data.decode()


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which servers put their folders from now on."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def folders(private: Path) -> list[Path]:
    """Return the folders of servers; a library may have left others beside them."""
    return [*private.glob("distilhubert-ko-*")]


@pytest.fixture(scope="module")
def open_server(exported: Path) -> Iterator[Running]:
    with running(exported) as server:
        yield server


@pytest.fixture(scope="module")
def closed_server(exported: Path) -> Iterator[Running]:
    with running(exported, ServerOptions(tokens=("first", "second"), origins=("https://app.example",))) as server:
        yield server


# Who may come in


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize("given", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic second"}])
def test_without_a_token_of_the_server_all_but_the_page_is_closed(
    closed_server: Running, path: str, given: dict
) -> None:
    answer = httpx2.get(closed_server.url + path, headers=given)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("path", OPEN)
def test_the_page_and_its_health_need_no_token(closed_server: Running, path: str) -> None:
    assert httpx2.get(closed_server.url + path).status_code == 200


@pytest.mark.parametrize("path", CLOSED)
def test_any_of_the_tokens_opens(closed_server: Running, path: str) -> None:
    for token in ("first", "second"):
        answer = httpx2.get(closed_server.url + path, headers={"authorization": f"bearer {token}"})
        assert answer.status_code == (404 if path == "/v1/nothing" else 200)


@pytest.mark.parametrize(
    "opening",
    [
        OPENING.replace(b"/v1/audio/stream", b"/v1/audio/stream?" + b"x" * 9000),
        OPENING[:-2] + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n",
        OPENING[:-2] + b"X: " + b"y" * 9000 + b"\r\n\r\n",
    ],
    ids=["address", "headers", "header"],
)
def test_a_websocket_whose_head_is_too_long_is_refused_and_not_kept(open_server: Running, opening: bytes) -> None:
    with opened(open_server) as connection:
        connection.sendall(opening)
        assert answered(connection).startswith("HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("headers", "subprotocols", "status"),
    [
        ({}, None, 401),
        ({}, ["captions", "bearer.wrong"], 401),
        ({}, ["captions", "bearer.first"], 101),
        (TOKEN, ["captions"], 101),
        (TOKEN, None, 101),
        ({"origin": "https://other.example", **TOKEN}, None, 403),
        ({"origin": "null", **TOKEN}, None, 403),
        ({"origin": "https://app.example", **TOKEN}, None, 101),
    ],
)
def test_a_stream_opens_to_a_token_and_to_no_page_of_another_origin(
    closed_server: Running, headers: dict, subprotocols: list | None, status: int
) -> None:
    options = {"additional_headers": headers, "subprotocols": subprotocols}
    if status == 101:
        with connect(f"ws://{closed_server.address}/v1/audio/stream", **options) as stream:
            assert stream.subprotocol == ("captions" if subprotocols else None)
        return
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{closed_server.address}/v1/audio/stream", **options)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["error"]["message"]


def test_a_page_of_another_origin_cannot_post_and_its_own_page_can(open_server: Running) -> None:
    for origin, status in (("http://evil.example", 403), ("null", 403), (open_server.url, 200), (None, 200)):
        headers = {"origin": origin} if origin else {}
        assert httpx2.post(open_server.url + PATH, headers=headers, **form(recording(0.5))).status_code == status


@pytest.mark.parametrize(
    "origin",
    ["null", "http://[evil", "file://", "chrome-extension://{host}", "//{host}", "http://{host}@evil", "", "http://"],
)
def test_an_origin_of_another_scheme_or_form_is_refused(open_server: Running, origin: str) -> None:
    headers = {"origin": origin.format(host=open_server.address)}
    answer = httpx2.post(open_server.url + PATH, headers=headers, **form(recording(0.5)))
    assert answer.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{open_server.address}/v1/audio/stream", additional_headers=headers)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:8000", 200),
        ("127.9.9.9", 200),
        ("[::1]:8000", 200),
        ("asr.example", 200),
        ("ASR.example:443", 200),
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("localhost.evil.example", 403),
        ("asr.example.evil", 403),
        ("192.168.0.1", 403),
        ("[::1", 403),
        ("127.0.0.1:8000@evil.example", 403),
        ("", 403),
    ],
)
def test_a_name_that_was_rebound_to_this_machine_opens_nothing(exported: Path, host: str, status: int) -> None:
    """A page on evil.example that resolves to 127.0.0.1 sends its own name as Host and as Origin."""
    with running(exported, ServerOptions(hosts=("asr.example",))) as server:
        headers = {"host": host, "origin": f"http://{host.lower()}"}
        assert httpx2.get(server.url, headers=headers).status_code == status
        assert httpx2.post(server.url + PATH, headers=headers, **form(recording(0.5))).status_code == status
        with opened(server) as connection:
            lines = [f"GET /v1/audio/stream HTTP/1.1\r\nHost: {host}", f"Origin: http://{host.lower()}"]
            lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "\r\n"]
            connection.sendall("\r\n".join(lines).encode())
            assert connection.recv(65536)[9:12] == (b"101" if status == 200 else b"403")


@pytest.mark.parametrize(("own", "allowed"), [("127.0.0.1", False), ("172.17.0.2", True), ("::ffff:10.0.0.1", True)])
def test_over_a_network_a_client_may_give_any_address_and_no_name(own: str, allowed: bool) -> None:
    gate = gates.AccessControl(lambda *_: None, (), (), ())  # type: ignore[arg-type, return-value]
    for host, expected in (("192.168.0.1:8000", allowed), ("[fd00::1]:8000", allowed), ("evil.example", False)):
        scope = {"type": "http", "headers": [(b"host", host.encode())], "server": (own, 8000)}
        assert (gate._misnamed(scope, gates.Headers(scope=scope)) is None) is expected


def test_cors_is_off_but_for_origins_that_are_named(open_server: Running, closed_server: Running) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in httpx2.options(open_server.url + PATH, headers=asked).headers
    allowed = httpx2.options(closed_server.url + PATH, headers=asked)  # a browser sends no token with this
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    other = httpx2.options(closed_server.url + PATH, headers=asked | {"origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


# What every answer carries


@pytest.mark.parametrize(
    "path", ["/", "/static/style.css", "/docs", "/v1/models", "/nothing", "/%2e%2e/pyproject.toml"]
)
def test_every_answer_has_the_security_headers(open_server: Running, path: str) -> None:
    headers = httpx2.get(open_server.url + path).headers
    assert headers["content-security-policy"] == gates.POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["permissions-policy"] == "microphone=(self)"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    ["../server.py", "..%2fserver.py", "%2e%2e/server.py", "/etc/passwd", "app.js/", "APP.JS", "app.js%00", "", "."],
)
def test_no_path_of_a_request_reaches_the_file_system(open_server: Running, path: str) -> None:
    with opened(open_server) as connection:  # by hand: a client would tidy the path up
        connection.sendall(f"GET /static/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        status, _, body = answered(connection).partition("\r\n")
    assert " 404 " in status or " 307 " in status
    assert "import" not in body


def test_the_handbook_needs_no_script_and_names_every_endpoint(open_server: Running) -> None:
    page = httpx2.get(f"{open_server.url}/docs").text
    assert "<script" not in page
    assert "style=" not in page
    for path in httpx2.get(f"{open_server.url}/openapi.json").json()["paths"]:
        assert path in page
    assert "timestamp_granularities[]" in page


# Limits


def test_a_body_past_the_limit_is_refused_while_it_comes_in_whatever_its_length_says(
    exported: Path, private: Path
) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(upload_bytes=100_000))) as server:
        assert httpx2.post(server.url + PATH, **form(recording(2))).status_code == 200
        answer = httpx2.post(server.url + PATH, **form(recording(5)))
        assert answer.status_code == 413
        assert answer.json()["error"]["type"] == "invalid_request_error"

        def endless() -> Iterator[bytes]:  # without a length, as chunks
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            for _ in range(30):
                yield bytes(10_000)

        kind = {"content-type": "multipart/form-data; boundary=b"}
        assert httpx2.post(server.url + PATH, content=endless(), headers=kind).status_code == 413
        (folder,) = folders(private)
        assert not [*folder.iterdir()]


def test_a_recording_past_the_limit_is_refused(exported: Path) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(audio_seconds=2))) as server:
        assert httpx2.post(server.url + PATH, **form(recording(2))).status_code == 200
        answer = httpx2.post(server.url + PATH, **form(recording(2.1)))
        assert answer.status_code == 413
        assert "2 s" in answer.json()["error"]["message"]


def test_a_body_that_comes_too_slowly_ends_with_408(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "FIRST_SECONDS", 0.5)
    with running(exported) as server, opened(server) as connection:
        connection.sendall(head("Content-Length: 1000\r\nConnection: close"))
        assert " 408 " in answered(connection).partition("\r\n")[0]


def test_a_head_that_never_ends_and_a_rest_that_never_comes_are_cut(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOOK_SECONDS", 2.0)  # less, and a busy machine has not sent a head by then
    with running(exported) as server, opened(server) as silent, opened(server) as slow, opened(server) as refused:
        refused.sendall(head("Content-Length: 1000000").replace(b"multipart/form-data", b"x/y"))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        for connection in (silent, slow):
            assert answered(connection) == ""
        assert " 400 " in answered(refused).partition("\r\n")[0]


def test_a_client_that_reads_nothing_is_cut(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STUCK_SECONDS", 0.3)
    with running(exported) as server, opened(server) as deaf:
        deaf.settimeout(0.3)
        with contextlib.suppress(TimeoutError, ConnectionError):  # until nothing more is taken, or it is cut already
            for _ in range(10_000):
                deaf.sendall(b"GET /static/app.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 10)
        wait_until(lambda: not server.server.server_state.connections)


def test_a_head_that_is_too_large_is_refused(open_server: Running) -> None:
    with opened(open_server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: " + b"a" * 100_000)
        assert answered(connection)[:12] in ("HTTP/1.1 400", "")  # or cut, with the rest unread


def test_a_connection_past_the_limit_takes_the_place_of_the_one_that_waits_longest(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SAFE_SECONDS", 0.0)
    with running(exported, ServerOptions(limits=ServerLimits(connections=3))) as server:
        live = server.server.server_state.connections
        silent = opened(server)
        half = opened(server)
        half.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        wait_until(lambda: len(live) == 2)
        for gone in (silent, half):
            assert httpx2.get(f"{server.url}/").status_code == 200
            assert answered(gone) == ""
            newer = opened(server)
            wait_until(lambda: len(live) == 2)
            newer.detach()


def test_where_all_places_are_at_work_a_request_gets_503_and_health_is_answered(exported: Path) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(connections=3))) as server:
        live = server.server.server_state.connections
        held = [opened(server) for _ in range(2)]
        for connection in held:
            connection.sendall(head("Content-Length: 1000"))
        wait_until(lambda: all(each.cycle for each in [*live]) and len(live) == 2)
        assert httpx2.get(f"{server.url}/").status_code == 503
        for method in ("GET", "HEAD"):
            assert httpx2.request(method, f"{server.url}/healthz").status_code == 200
        for connection in held:
            connection.close()
        wait_until(lambda: not live)
        assert httpx2.get(f"{server.url}/").status_code == 200


def test_one_client_cannot_hold_all_connections(exported: Path) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(connections=8))) as server:
        live = server.server.server_state.connections
        held = [opened(server, "127.0.0.2") for _ in range(12)]
        wait_until(lambda: len(live) == share_of(8))
        other = opened(server, "127.0.0.3")
        wait_until(lambda: len(live) == share_of(8) + 1)
        assert httpx2.get(f"{server.url}/").status_code == 200
        assert [answered(gone) for gone in held[: 12 - share_of(8)]] == [""] * (12 - share_of(8))
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert " 200 " in answered(other)


def test_a_new_connection_takes_no_place_of_one_whose_request_is_on_its_way(exported: Path) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(connections=4))) as server:
        live = server.server.server_state.connections
        held = [opened(server, "127.0.0.2") for _ in range(share_of(4))]
        for connection in held:
            connection.sendall(head("Content-Length: 1000"))
        wait_until(lambda: all(each.cycle for each in [*live]) and len(live) == len(held))
        first, second = opened(server, "127.0.0.3"), opened(server, "127.0.0.3")
        wait_until(lambda: len(live) == len(held) + 2)
        for connection in (first, second):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert " 200 " in answered(connection)
        for connection in held:
            connection.close()  # the server would wait for them


@pytest.mark.parametrize(
    "flood", [framed(2, b""), framed(9, b""), framed(10, b""), framed(1, b""), framed(2, b"", 0) + framed(0, b"", 0)]
)
def test_a_flood_of_frames_that_carry_nothing_is_cut(open_server: Running, flood: bytes) -> None:
    with opened(open_server) as connection:
        connection.sendall(OPENING)
        assert connection.recv(65536).startswith(b"HTTP/1.1 101")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(flood * 1000)
                time.sleep(0.001)
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass


@pytest.mark.parametrize("samples", [80, 160, 320, 8000])
def test_audio_in_small_messages_is_no_flood(open_server: Running, samples: int) -> None:
    wave = np.round(clip(10 * SAMPLE_RATE) * 32767).astype("<i2")
    with connect(f"ws://{open_server.address}/v1/audio/stream") as stream:
        start = time.monotonic()
        for at in range(0, len(wave), samples):
            stream.send(wave[at : at + samples].tobytes())
            # Twice as fast as real time where messages are of 5 ms, and as fast as possible otherwise.
            time.sleep(max(0.0, start + at / SAMPLE_RATE / 2 - time.monotonic()) if samples < 160 else 0)
        stream.send('{"type": "stop"}')
        *_, done = stream
    assert json.loads(done)["duration"] == 10


def test_a_body_in_chunks_of_one_byte_is_cut(open_server: Running) -> None:
    with opened(open_server) as connection:
        part = head("x: y").partition(b"\r\n\r\n")[2]
        connection.sendall(head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n" % (len(part), part))
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"1\r\na\r\n" * 1000)
        assert answered(connection) == ""


def test_a_network_of_ipv6_is_one_client() -> None:
    assert client_name("2001:db8::1") == client_name("2001:db8::ffff") != client_name("2001:db8:0:1::1")
    assert client_name("::ffff:10.0.0.1") == client_name("10.0.0.1") != client_name("10.0.0.2")
    assert is_among("10.0.0.1", ["10.0.0.0/8"])
    assert not any(is_among(host, ["10.0.0.0/8"]) for host in ("11.0.0.1", "::1", "", "unix:"))


def test_requests_past_the_limit_get_429_and_a_time_before_their_bodies_are_read(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "SAFE_SECONDS", PATIENCE)
    with running(exported, ServerOptions(limits=ServerLimits(requests=2))) as server:
        held = [opened(server) for _ in range(2)]
        for connection in held:
            connection.sendall(head("Content-Length: 1000"))
        wait_until(lambda: metric(server.url, "requests_held") == 2)
        with opened(server) as third:
            third.sendall(head("Content-Length: 1000"))
            start = third.recv(65536).decode()
            assert " 429 " in start.partition("\r\n")[0]
            assert re.search(r"retry-after: [1-9]", start)
            assert '"code":"queue_full"' in start + third.recv(65536).decode() * ("queue_full" not in start)
        counted = f'requests_total{{method="POST",path="{PATH}",status="429"}} 1.0'
        assert counted in httpx2.get(f"{server.url}/metrics").text
        for connection in held:
            connection.close()
        wait_until(lambda: httpx2.post(server.url + PATH, **form(recording(0.5))).status_code == 200)


def test_a_request_takes_the_place_of_the_slowest_upload(exported: Path) -> None:
    with running(exported, ServerOptions(limits=ServerLimits(requests=2))) as server:
        slow, faster = opened(server), opened(server)
        for connection, sent in ((slow, 10), (faster, 10_000)):
            connection.sendall(head("Content-Length: 100000\r\nConnection: close") + bytes(sent))
        wait_until(lambda: metric(server.url, "requests_held") == 2)
        time.sleep(intake.SAFE_SECONDS)
        assert httpx2.post(server.url + PATH, **form(recording(0.5))).status_code == 200
        assert " 408 " in answered(slow).partition("\r\n")[0]
        assert metric(server.url, "requests_held") == 1
        faster.close()


def test_one_client_cannot_hold_all_requests(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its uploads have arrived, they are at work, and nobody takes their place."""
    monkeypatch.setattr(intake, "SAFE_SECONDS", PATIENCE)
    with running(exported, ServerOptions(limits=ServerLimits(requests=4))) as server:
        held = [opened(server, "127.0.0.2") for _ in range(4)]
        for connection in held:
            connection.sendall(head("Content-Length: 1000\r\nConnection: close"))
        wait_until(lambda: metric(server.url, "requests_held") == 3)
        assert httpx2.post(server.url + PATH, **form(recording(0.5))).status_code == 200
        for connection in held:
            connection.close()


def test_many_clients_at_once_get_each_its_own_answer(open_server: Running) -> None:
    sounds = [recording(0.3 + 0.2 * number) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = [
            *pool.map(lambda sound: httpx2.post(open_server.url + PATH, timeout=PATIENCE, **form(sound)), sounds)
        ]
    assert [a.json()["text"] for a in answers] == [open_server.transcriber(sound).text for sound in sounds]


# Operations


def test_metrics_count_requests_by_template_and_seconds_of_audio(exported: Path) -> None:
    with running(exported) as server:
        httpx2.post(server.url + PATH, **form(recording(2)))
        httpx2.get(f"{server.url}/v1/models/some%20name")
        httpx2.get(f"{server.url}/some-secret-path")
        httpx2.request("BREW", f"{server.url}/healthz")
        text = httpx2.get(f"{server.url}/metrics").text
    assert f'requests_total{{method="POST",path="{PATH}",status="200"}} 1.0' in text
    assert f'audio_seconds_total{{path="{PATH}"}} 2.0' in text
    assert 'path="/v1/models/{name:path}",status="404"' in text
    assert 'requests_total{method="GET",path="unmatched",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert "distilhubert_ko_requests_held 0.0" in text
    assert "secret" not in text


def test_head_is_answered_as_get_is_without_its_body(exported: Path) -> None:
    with running(exported) as server:
        for path in ("/", "/healthz", "/static/app.js", "/docs", "/metrics", "/v1/models", "/nothing", PATH):
            got, head = httpx2.get(server.url + path), httpx2.head(server.url + path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers["content-type"] == got.headers["content-type"]
        assert (
            'requests_total{method="HEAD",path="/healthz",status="200"} 1.0' in httpx2.get(f"{server.url}/metrics").text
        )


@pytest.mark.parametrize("log_transcripts", [False, True])
def test_the_log_is_json_lines_without_what_was_said_unless_that_is_asked_for(
    exported: Path, caplog: pytest.LogCaptureFixture, log_transcripts: bool
) -> None:
    with running(exported, ServerOptions(tokens=("hush",), log_transcripts=log_transcripts)) as server:
        caplog.set_level(logging.INFO, request_log.LOGGER)
        key = {"authorization": "Bearer hush"}
        text = httpx2.post(server.url + PATH, headers=key, **form(recording(1))).json()["text"]
        with connect(f"ws://{server.address}/v1/audio/stream", subprotocols=["captions", "bearer.hush"]) as stream:
            stream.send('{"type": "stop"}')
            assert json.loads(stream.recv(PATIENCE))["type"] == "done"
    lines = [request_log.JsonLines().format(record) for record in caplog.records if hasattr(record, "fields")]
    post, socket_line = (json.loads(line) for line in lines)
    assert {"time", "level", "message", "method", "path", "status", "seconds", "audio_seconds"} <= {*post}
    assert (post["path"], post["status"], post["audio_seconds"]) == (PATH, 200, 1.0)
    assert (socket_line["method"], socket_line["status"]) == ("WS", 101)
    assert (post.get("transcript") == text) is log_transcripts
    assert (text in "".join(lines)) is log_transcripts
    assert "hush" not in "".join(lines)


def test_an_error_that_nobody_expected_is_a_500_that_tells_nothing(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object, wave: object, client: str, **options: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr("distilhubert_ko.serving.batcher.Batcher.transcribe", fail)
    with running(exported) as server:
        answer = httpx2.post(server.url + PATH, **form(recording(1)))
        assert answer.status_code == 500
        assert answer.json()["error"]["type"] == "server_error"
        assert "secret" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert httpx2.get(f"{server.url}/healthz").status_code == 200


@pytest.mark.parametrize("where", ["form", "copy", "folder"])
def test_a_full_disk_is_a_503_that_blames_no_upload(
    exported: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with running(exported) as server:
        sound = recording(60)  # of more bytes than a form holds in memory
        with monkeypatch.context() as full:
            match where:
                case "form":
                    full.setattr(tempfile, "TemporaryFile", lambda *_, **__: open("/dev/full", "w+b", 0))  # noqa: SIM115
                case "copy":
                    full.setattr("shutil.copyfileobj", lambda *_: os.write(os.open("/dev/full", os.O_WRONLY), b"x"))
                case "folder":
                    full.setattr(tempfile, "TemporaryDirectory", lambda **_: os.mkdir("/proc/none"))
            answer = httpx2.post(server.url + PATH, timeout=PATIENCE, **form(sound))
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
        assert "the server cannot store the upload" in answer.json()["error"]["message"]
        assert httpx2.post(server.url + PATH, timeout=PATIENCE, **form(sound)).status_code == 200


# What is left behind


def test_an_upload_leaves_nothing_however_it_ends(exported: Path, private: Path) -> None:
    with running(exported) as server:
        (folder,) = folders(private)
        assert folder.stat().st_mode & 0o777 == 0o700
        sound = recording(2)
        for content in (sound, sound[:1000], b"", b"no sound", sound * 3):
            httpx2.post(server.url + PATH, **form(content))
            assert not [*folder.iterdir()]
        with opened(server) as connection:  # it leaves while its body comes
            connection.sendall(head("Content-Length: 5000000") + bytes(1_000_000))
        with opened(server) as connection:  # and while it is transcribed
            long = recording(120)
            ending = b'\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n'
            part = head("x: y").partition(b"\r\n\r\n")[2]
            connection.sendall(head(f"Content-Length: {len(part + long + ending)}") + long + ending)
            time.sleep(0.3)
        wait_until(lambda: not [*folder.iterdir()] and metric(server.url, "requests_held") == 0)
    assert not folders(private)


@pytest.fixture
def process(exported: Path, private: Path) -> Iterator[tuple[subprocess.Popen, str]]:
    """Yield a process of `distilhubert-ko serve` and its address."""
    # Also where the tests themselves run under nohup, which the server would obey.
    script = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n" if hasattr(signal, "SIGHUP") else ""
    script += "from distilhubert_ko.cli.main import main; main()"
    options = ["serve", "--model", str(exported), "--port", "0", "--threads", "1"]
    process = subprocess.Popen([sys.executable, "-c", script, *options], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        line = json.loads(process.stderr.readline())
        yield process, line["message"].removeprefix("listening on ")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_server_told_to_stop_finishes_what_it_holds_and_leaves_nothing(
    process: tuple[subprocess.Popen, str], private: Path, number: signal.Signals
) -> None:
    running, url = process
    decoders = psutil.Process(running.pid).children()
    sound = form(recording(400))
    sound["data"]["vad_filter"] = "false"  # these tones are no speech, and would be done at once
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(httpx2.post, url + PATH, timeout=PATIENCE, **sound) for _ in range(2)]
        wait_until(lambda: metric(url, "requests_held") == 2)
        running.send_signal(number)
        assert [each.result().status_code for each in waiting] == [200] * 2
    assert running.wait(PATIENCE) in (0, -number)
    assert not folders(private)
    assert decoders
    assert not any(each.is_running() for each in decoders)
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"{url}/healthz")


def test_what_a_shutdown_cannot_finish_in_time_gets_503(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FINISH_SECONDS", 1)
    begun, slow = threading.Event(), threading.Event()
    hear = Transcriber.__call__

    def hear_late(*given: Any, **named: Any) -> Transcript:
        begun.set()
        slow.wait(PATIENCE)
        return hear(*given, **named)

    with running(exported) as started, ThreadPoolExecutor(1) as pool:  # its start measures its speed
        monkeypatch.setattr(Transcriber, "__call__", hear_late)
        waiting = pool.submit(httpx2.post, started.url + PATH, timeout=PATIENCE, **form(recording(1)))
        assert begun.wait(PATIENCE)
        started.server.should_exit = True
        answer = waiting.result()
        slow.set()
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
    assert "shut down" in answer.json()["error"]["message"]


def test_what_a_killed_server_left_goes_when_the_next_one_starts(
    process: tuple[subprocess.Popen, str], private: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilhubert_ko.serving.uploads.YOUNG", -1)
    left = folders(private)
    with running(exported):
        assert left[0].exists(), "it belongs to a server that runs"
    process[0].kill()
    process[0].wait()
    (left[0] / "upload").write_bytes(b"private")
    with running(exported):
        assert not left[0].exists()
    assert not folders(private)


def test_a_server_leaves_the_folders_of_other_commands_alone(
    private: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilhubert_ko.serving.uploads.YOUNG", -1)
    others = [
        private / "distilhubert-ko-ray-x",
        private / "distilhubert-ko-x",
    ]
    for folder in others:
        folder.mkdir()
    with running(exported):
        assert all(folder.is_dir() for folder in others)


# Where it listens


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert server.is_loopback(host) is expected


def test_a_port_that_is_taken_is_an_error_that_says_so(open_server: Running) -> None:
    with pytest.raises(InputError, match="another --port"):
        server.listening_socket("127.0.0.1", int(open_server.address.split(":")[1]))
