"""Malformed uploads, requests, messages and events without end: each is answered or cut, and nothing is left of it.

    python -m checks.fuzz_server MODEL [--count 2000] [--seed 1] [--json docs/results/serve_fuzz.json]

The server is the command itself, in a process of its own, with 1 MB an upload. It exits with 1 if any answer was a 5xx
other than 503 and 504, if a stream ended with an internal error, if the log tells of an error, or if processes, files
or descriptors were left. The same seed gives the same attempts.
"""

import argparse
import random
import re
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from checks import fuzz_audio
from checks.fuzz_sockets import EVIL, PATIENCE, WYOMING, commands, messages, sessions
from distilhubert_ko.files import writing
from distilhubert_ko.serving import uploads
from tests.support.serving import Started, started

OPTIONS = ("--max-upload", "1", "--max-seconds", "60", "--wyoming", "tcp://127.0.0.1:0")
AT_ONCE = 8
DECODERS = 2
SLACK = 2 * DECODERS  # descriptors: those of decoders that were ended before and run after
BOUNDARY = b"----fuzz"
DELIBERATE = ("503", "504")
FIELDS = (b"model", b"response_format", b"hotwords", b"vad_filter", b"stream", b"timestamp_granularities[]", b"prompt")
PATHS = (
    b"/",
    b"/healthz",
    b"/metrics",
    b"/docs",
    b"/v1/models",
    b"/v1/models/%00",
    b"/static/..%2f..%2fetc",
    b"//",
    b"*",
)
UPLOAD = b"/v1/audio/transcriptions"

Attempt = Callable[[random.Random, tuple[str, int], dict[str, bytes], int], str]


def part(name: bytes, content: bytes, filename: bytes | None = None) -> bytes:
    file = b"" if filename is None else b'; filename="' + filename + b'"'
    return b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (BOUNDARY, name, file, content)


def form(content: bytes, *parts: bytes) -> bytes:
    return b"".join([*parts, part(b"model", b"m"), part(b"file", content, b"a.wav"), b"--%b--\r\n" % BOUNDARY])


def request(
    body: bytes, *headers: bytes, path: bytes = UPLOAD, method: bytes = b"POST", length: int | None = None
) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: 127.0.0.1", b"Connection: close"]
    if not any(header.lower().startswith(b"content-type") for header in headers):
        lines.append(b"Content-Type: multipart/form-data; boundary=" + BOUNDARY)
    if not any(header.lower().startswith(b"transfer-encoding") for header in headers):
        lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join([*lines, *headers, b"", body])


def exchange(
    address: tuple[str, int], *data: bytes, ending: bool = False, leave: bool = False, pause: float = 0.0
) -> str:
    """The status of the answer, `cut` where there was none, `left` where this side left first. `ending`, this side says
    that no more will come, which the server takes for leaving.
    """
    with socket.create_connection(address, PATIENCE) as connection:
        answer = b""
        try:
            for piece in data:
                connection.sendall(piece)
                time.sleep(pause)
            if leave:
                # Reset, rather than closed in good order.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return "left"
            if ending:
                connection.shutdown(socket.SHUT_WR)
        except OSError:  # refused while it was sent; the answer may lie there already
            pass
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
        return answer[9:12].decode("ascii", "replace") if answer.startswith(b"HTTP/1.1 ") else "cut"


def media(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    _, content = fuzz_audio.mutated(seeds, 7, number)
    return exchange(address, request(form(content)))


def fields(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    parts = [part(drawn.choice(FIELDS), drawn.choice(EVIL)) for _ in range(drawn.randint(1, 40))]
    return exchange(address, request(form(seeds["wav"], *parts)))


def multipart(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    """A form whose bytes are changed among the first and the last 300, or that ends early."""
    body = bytearray(form(seeds["mp3"], part(b"response_format", b"vtt")))
    for _ in range(drawn.randint(1, 8)):
        body[drawn.choice([drawn.randrange(300), -1 - drawn.randrange(60)])] = drawn.randrange(256)
    if drawn.random() < 0.3:
        del body[drawn.randrange(len(body)) :]
    kinds = [b"multipart/form-data", b"multipart/form-data; boundary=", b"application/json", b"text/plain", b"\xff"]
    headers = [b"Content-Type: " + drawn.choice(kinds)] if drawn.random() < 0.3 else []
    return exchange(address, request(bytes(body), *headers))


def length(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    """A length that lies, or chunks that are none."""
    body = form(seeds["flac"])
    if drawn.random() < 0.3:
        chunks = drawn.choice(
            [b"zz\r\n", b"fffffffffffffff\r\n", b"5\r\nab", b"-1\r\n", b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"]
        )
        return exchange(address, request(chunks, b"Transfer-Encoding: chunked"), ending=True)
    lie = drawn.choice([0, 1, len(body) // 2, len(body) + 99, 10**6, 10**12])
    return exchange(address, request(body, length=lie), ending=lie > len(body))


def head(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    """A head that is too long, or none at all, or of odd methods, paths and names."""
    match drawn.randrange(4):
        case 0:
            return exchange(address, drawn.randbytes(drawn.randrange(1, 2000)), ending=True)
        case 1:
            return exchange(
                address, request(b"", *[b"X-%d: %b" % (n, b"y" * 500) for n in range(drawn.randrange(200))])
            )
        case 2:
            return exchange(address, request(b"", b"Origin: \xff\0", b"Authorization: " + drawn.choice(EVIL)[:999]))
    method = drawn.choice([b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PURGE", b"P\xff"])
    return exchange(address, request(b"", path=drawn.choice([*PATHS, UPLOAD]), method=method))


def oversize(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    body = form(bytes(drawn.randint(1_000_000, 3_000_000)))
    if drawn.random() < 0.5:
        return exchange(address, request(body))
    return exchange(address, request(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), b"Transfer-Encoding: chunked"))


def leaving(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    """A client that leaves in the middle of its body, or before its answer."""
    data = request(form(seeds["m4a"], part(b"stream", b"true")))
    return exchange(address, data[: drawn.choice([len(data), drawn.randrange(len(data))])], leave=True)


def slow(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    data = request(form(seeds["ogg"]))
    step = len(data) // drawn.randint(2, 6) + 1
    return exchange(address, *(data[at : at + step] for at in range(0, len(data), step)), pause=0.05)


ATTEMPTS: list[Attempt] = [
    media,
    media,
    media,
    media,
    fields,
    fields,
    multipart,
    multipart,
    length,
    head,
    messages,
    messages,
]
ATTEMPTS += [messages, messages, sessions, sessions, sessions, commands, commands, leaving, slow]
RARE: list[Attempt] = [oversize]


def attempt(address: tuple[str, int], seeds: dict[str, bytes], seed: int, number: int) -> tuple[str, str]:
    """What was tried, and what became of it."""
    drawn = random.Random(f"{seed} {number}")
    tried = drawn.choice(RARE if number % 25 == 0 else ATTEMPTS)
    return tried.__name__, tried(drawn, address, seeds, number)


def survey(server: Started, seed: int, first: int, count: int) -> tuple[Counter[str], list[str]]:
    """What became of how many, and a line for each failure."""
    counts: Counter[str] = Counter()
    failures = []
    address = urlsplit(server.url).hostname or "", urlsplit(server.url).port or 0
    log = server.folder.with_name("serve.log")
    while not (second := re.search(r"listening on tcp://[^ ]*:(\d+)", log.read_text(encoding="utf-8"))):
        time.sleep(0.05)
    WYOMING[address[1]] = int(second[1])
    seeds = fuzz_audio.seeds()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda number: attempt(address, seeds, seed, number), range(first, first + count))
        for number, (tried, result) in enumerate(found, first):
            counts[f"{tried}: {result}"] += 1
            if (result.startswith("5") and result not in DELIBERATE) or result == "close 1011":
                failures.append(f"--seed {seed} --first {number} --count 1: {tried}: {result}")
    return counts, failures


def held(server: Started, files: int | None = None) -> dict[str, int]:
    """What the server holds: processes, descriptors, files, bytes of memory; once it holds no connection and no more
    than so many files, or after PATIENCE.
    """
    own = server.processes()[0]
    end = time.monotonic() + PATIENCE
    while True:
        found = len([*server.folder.glob(f"{uploads.PREFIX}*/**/*")])
        connected = any(each.status != "LISTEN" for each in own.net_connections())
        if (not connected and (files is None or found <= files)) or time.monotonic() > end:
            break
        time.sleep(0.5)
    return {
        "processes": len(server.processes()),
        "descriptors": own.num_fds(),
        "files": found,
        "memory": server.memory(),
    }


def errors(log: Path) -> list[str]:
    """Lines of errors, but for text in a message that is no UTF-8, which uvicorn logs as one."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if '"level": "error"' in line and "Invalid UTF-8 sequence" not in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, started(arguments.model, Path(name), *OPTIONS) as server:
        start = time.monotonic()
        warm = arguments.count // 4  # what a server holds for good it holds by then
        files = held(server)["files"]
        counts, failures = survey(server, arguments.seed, arguments.first, warm)
        before = held(server, files) | {"files": files}
        more, others = survey(server, arguments.seed, arguments.first + warm, arguments.count - warm)
        after = held(server, files)
        failures += others + leaks(before, after)
        failures += errors(Path(name) / "serve.log")
        seconds = time.monotonic() - start
    counts += more
    for result, number in sorted(counts.items()):
        print(f"{number:7,}  {result}")
    print(before, after, *failures, sep="\n")
    if arguments.json:
        content: dict[str, Any] = {"attempts": counts.total(), "seconds": round(seconds), "failures": len(failures)}
        content |= {"outcomes": dict(sorted(counts.items())), "before": before, "after": after}
        writing.write_json(arguments.json, content)
    sys.exit(1 if failures else 0)


def leaks(before: dict[str, int], after: dict[str, int]) -> list[str]:
    """A line for what has grown. Memory may by a fifth, and a decoder that was ended starts when it is needed."""
    allowed = {"processes": 1 + DECODERS, "descriptors": before["descriptors"] + SLACK, "files": before["files"]}
    allowed["memory"] = before["memory"] * 6 // 5
    return [
        f"FAILED: {name}: {before[name]:,} before, {after[name]:,} after"
        for name, most in allowed.items()
        if after[name] > most
    ]


if __name__ == "__main__":
    main()
