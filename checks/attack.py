"""Attacks on a server, and how long an honest client waits beside each: one clip of 3 s after another, and /healthz.

    python -m checks.attack MODEL [--seconds 15] [--only NAME ...] [--json docs/results/attack.json]

The server is the command itself, in a process of its own. The honest client comes from 127.0.0.1. Each attack comes
from 127.0.0.2, and then from the honest client's own address, where no limit per client can help. A wait counts from
the first try, refusals and their Retry-After included. It exits with 1 if a clip had no answer within LONGEST seconds,
or if /healthz ever failed or took longer than HEALTHY seconds.
"""

import argparse
import http.client
import io
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import soundfile

from checks.fuzz_server import BOUNDARY, UPLOAD, form, request
from checks.fuzz_sockets import framed
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.files import writing
from tests.support.serving import started

HONEST, OTHER = "127.0.0.1", "127.0.0.2"
CLIP_SECONDS = 3
LONGEST, HEALTHY = 15.0, 2.0  # seconds
PAUSE = 0.2  # seconds between two clips, and between two looks at /healthz
ATTACKERS = 64
SETTLE = 2.0  # seconds that an attack gets before its effect is measured
OPENING = (
    b"GET /v1/audio/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

Address = tuple[str, int]
Bodies = dict[str, bytes]


@dataclass(frozen=True)
class Target:
    """A server and the address that an attack comes from."""

    server: Address
    source: str

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.server, LONGEST, (self.source, 0))
        connection.settimeout(1.0)
        return connection

    def keep(self, count: int, first: bytes, then: bytes = b"", every: float = 1.0) -> None:
        """Hold so many connections with `first` sent, send `then` on each, and replace those that were cut."""
        held: list[socket.socket] = []
        while True:
            for connection in [*held]:
                try:
                    connection.sendall(then)
                    connection.setblocking(False)
                    if connection.recv(65536) == b"" and not then:
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    connection.close()
                    held.remove(connection)
            try:
                while len(held) < count:
                    held.append(self.connect())
                    held[-1].sendall(first)
            except OSError:
                pass
            time.sleep(every)

    def flood(self, first: bytes, then: bytes) -> None:
        """Send `then` for ever after `first`, on a new connection whenever one is cut."""
        while True:
            try:
                with self.connect() as connection:
                    connection.sendall(first)
                    while True:
                        connection.sendall(then)
            except OSError:
                time.sleep(0.02)

    def post(self, body: bytes) -> None:
        """Upload the same recording for ever, and wait for each answer."""
        while True:
            try:
                with self.connect() as connection:
                    connection.settimeout(120)
                    connection.sendall(request(body))
                    while connection.recv(65536):
                        pass
            except OSError:
                pass
            time.sleep(0.1)


def recording(seconds: float, rate: int = SAMPLE_RATE, channels: int = 1, silent: bool = False) -> bytes:
    """Return a FLAC file of noise, or of silence."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, "PCM_16", format="FLAC") as written:
        loud = 0 if silent else 1000
        block = np.random.default_rng(0).normal(0, loud, (rate, channels)).astype(np.int16)
        for _ in range(round(seconds)):
            written.write(block)
    return file.getvalue()


def together(count: int, work: Callable[..., None], *given: Any) -> None:
    threads = [threading.Thread(target=work, args=given, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def nothing(target: Target, bodies: Bodies) -> None:
    """Leave the honest client alone."""


def slow_uploads(target: Target, bodies: Bodies) -> None:
    target.keep(ATTACKERS, request(form(bytes(1000)), length=1_000_000)[:400], b"x")


def half_heads(target: Target, bodies: Bodies) -> None:
    target.keep(255, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")


def idle_connections(target: Target, bodies: Bodies) -> None:
    target.keep(600, b"")


def costly_clips(target: Target, bodies: Bodies) -> None:
    together(6, target.post, bodies["costly"])


def long_recordings(target: Target, bodies: Bodies) -> None:
    together(ATTACKERS, target.post, bodies["long"])


def idle_streams(target: Target, bodies: Bodies) -> None:
    target.keep(ATTACKERS, OPENING, framed(2, b""), every=5.0)


def empty_frames(target: Target, bodies: Bodies) -> None:
    together(4, target.flood, OPENING, framed(2, b"") * 10_000)


def pings(target: Target, bodies: Bodies) -> None:
    together(4, target.flood, OPENING, framed(9, b"") * 10_000)


def fragments(target: Target, bodies: Bodies) -> None:
    together(4, target.flood, OPENING + framed(2, b"", 0), framed(0, b"", 0) * 10_000)


def tiny_chunks(target: Target, bodies: Bodies) -> None:
    together(4, target.flood, request(b"", b"Transfer-Encoding: chunked"), b"1\r\na\r\n" * 10_000)


def deaf_clients(target: Target, bodies: Bodies) -> None:
    """Ask for large answers and read none of them."""
    target.keep(ATTACKERS, b"GET /static/app.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 400)


ATTACKS: dict[str, Callable[[Target, Bodies], None]] = {
    "64 slow uploads": slow_uploads,
    "255 half-sent heads": half_heads,
    "600 idle connections": idle_connections,
    "6 clips of 8 channels at 655 kHz": costly_clips,
    "64 recordings of 60 s": long_recordings,
    "64 streams of empty messages": idle_streams,
    "a flood of empty frames": empty_frames,
    "a flood of pings": pings,
    "a flood of fragments": fragments,
    "a flood of chunks of 1 byte": tiny_chunks,
    "64 clients that read nothing": deaf_clients,
}


OWN_LOAD = "64 recordings of 60 s"


@dataclass
class Waits:
    """Seconds that the honest client waited for each text, and for each answer of /healthz."""

    clips: list[float] = field(default_factory=list)
    refusals: int = 0
    health: list[float] = field(default_factory=list)
    sick: int = 0
    """Looks at /healthz that got no 200."""

    def figures(self) -> dict[str, Any]:
        return {
            "answers": len(self.clips),
            "refusals": self.refusals,
            "clip": quantiles(self.clips),
            "health": quantiles(self.health),
            "health_failures": self.sick,
        }


def honest(server: Address, seconds: float) -> Waits:
    """Return the waits of a client that sends one clip after another, while another looks at /healthz."""
    waits, end = Waits(), time.monotonic() + seconds
    body = form(recording(CLIP_SECONDS))
    looking = threading.Thread(target=look, args=(server, end, waits))
    looking.start()
    while time.monotonic() < end:
        waits.clips.append(clip_wait(server, body, waits))
        time.sleep(PAUSE)
    looking.join()
    return waits


def clip_wait(server: Address, body: bytes, waits: Waits) -> float:
    """Return the seconds until a clip has its text, infinite past LONGEST."""
    start = time.monotonic()
    while (left := start + LONGEST - time.monotonic()) > 0:
        status, again = asked(server, "POST", UPLOAD.decode(), left, body)
        if status == 200:
            return time.monotonic() - start
        waits.refusals += 1
        time.sleep(min(again, max(0.0, start + LONGEST - time.monotonic())))
    return float("inf")


def look(server: Address, end: float, waits: Waits) -> None:
    while time.monotonic() < end:
        start = time.monotonic()
        status, _ = asked(server, "GET", "/healthz", LONGEST)
        waits.health.append(time.monotonic() - start)
        waits.sick += status != 200
        time.sleep(PAUSE)


def asked(server: Address, method: str, path: str, timeout: float, body: bytes | None = None) -> tuple[int, float]:
    """Return the status of an answer, 0 without one, and the seconds after which to retry."""
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY.decode()}"} if body else {}
    connection = http.client.HTTPConnection(*server, timeout=timeout, source_address=(HONEST, 0))
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, float(answer.headers.get("retry-after", 1))
    except (OSError, http.client.HTTPException):
        return 0, 1.0
    finally:
        connection.close()


def quantiles(waits: list[float]) -> dict[str, float]:
    """Return median and 99th percentile in seconds, by the nearest wait."""
    median, high = np.percentile(waits, [50, 99], method="nearest")
    return {"median": round(float(median), 3), "p99": round(float(high), 3)}


def attacked(model: Path, names: list[str], seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the figures beside each attack, on a new server each, and those without an attack first."""
    context = multiprocessing.get_context("spawn")
    bodies = {"long": form(recording(60)), "costly": form(recording(400, 655_350, 8, silent=True))}
    for name in ["no attack", *names]:
        for source in [OTHER, HONEST] if name in ATTACKS else [HONEST]:
            with tempfile.TemporaryDirectory() as folder, started(model, Path(folder)) as server:
                address = urlsplit(server.url).hostname or "", urlsplit(server.url).port or 0
                honest(address, 1.0)  # the first request starts a decoder
                attack = context.Process(
                    target=ATTACKS.get(name, nothing), args=(Target(address, source), bodies), daemon=True
                )
                attack.start()
                time.sleep(SETTLE)
                figures = honest(address, seconds).figures()
                attack.kill()
                attack.join()
            yield {"attack": name, "same_address": source == HONEST} | figures


def failed(row: dict[str, Any]) -> bool:
    """Return whether an honest client was shut out where the server could have helped."""
    if row["attack"] == OWN_LOAD and row["same_address"]:
        return False
    return row["clip"]["p99"] > LONGEST or row["health"]["p99"] > HEALTHY or row["health_failures"] > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--only", nargs="*", choices=ATTACKS, default=[*ATTACKS])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows, failures = [], 0
    for row in attacked(arguments.model, arguments.only, arguments.seconds):
        rows.append(row)
        bad = failed(row)
        failures += bad
        print("FAILED" if bad else "ok    ", row, flush=True)
    if arguments.json:
        writing.write_json(arguments.json, {"cores": os.cpu_count(), "model": arguments.model.name, "attacks": rows})
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
