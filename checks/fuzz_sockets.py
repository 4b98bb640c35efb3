"""What `fuzz_server` sends over sockets that stay open: captions, OpenAI's Realtime API, and Wyoming."""

import base64
import json
import random
import socket
import struct
from typing import Any
from urllib.parse import quote

PATIENCE = 300.0  # seconds for an answer, on a busy machine
EVIL = [
    b"",
    b"\0",
    b"\xff\xfe",
    "가\u202e".encode(),
    b"../../etc/passwd",
    b"A" * 70_000,
    b"%00%n%s",
    b"nan",
    b"-1",
    b"1e999",
]
EVIL += [b"[]", b'{"a":' * 500, b"true", b"\r\nX: y", b"srt", b"verbose_json"]
TURNS = ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")
WYOMING: dict[int, int] = {}  # its ports by those of HTTP


def messages(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    """A stream that is opened well, mostly, and then gets anything."""
    hotwords = quote(drawn.choice([b"", "하늘,바다".encode(), drawn.choice(EVIL)[:999]])).encode()
    return conversation(
        drawn, address, b"/v1/audio/stream?hotwords=" + hotwords, [frame(drawn) for _ in range(drawn.randint(1, 5))]
    )


def sessions(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    """A session of OpenAI's Realtime API, mostly, whose events are right, nearly right, or anything."""
    intent = b"transcription" if drawn.random() < 0.95 else drawn.choice([b"", b"%00", b"x" * 9999])
    frames = [frame(drawn) if drawn.random() < 0.1 else framed(1, event(drawn)) for _ in range(drawn.randint(1, 9))]
    return conversation(drawn, address, b"/v1/realtime?intent=" + intent, frames)


def event(drawn: random.Random) -> bytes:
    """A client's event in JSON, in which any value may be another."""

    def odd(value: Any) -> Any:
        others: list[Any] = [None, True, -1, 1e308, "", "\ud800", "가" * 99, [], {}, [[]], {"type": "x"}, 10**400]
        return drawn.choice(others) if drawn.random() < 0.1 else value

    turns = {"type": "server_vad", **{name: odd(drawn.choice([0, 0.3, 1, 100, 9999])) for name in TURNS}}
    form = {"type": odd(drawn.choice(["audio/pcm", "audio/pcmu", "audio/pcma"])), "rate": odd(24_000)}
    heard = {"turn_detection": odd(drawn.choice([None, turns])), "transcription": odd({"language": odd("ko")})}
    session = {"type": odd("transcription"), "audio": odd({"input": odd({"format": odd(form), **heard})})}
    audio = base64.b64encode(drawn.randbytes(drawn.choice([0, 1, 3, 333, 4001, 20_001]))).decode()
    kind = drawn.choice(["session.update", *["input_audio_buffer." + name for name in ("append", "commit", "clear")]])
    content = {"type": odd(kind), "event_id": odd("e"), "audio": odd(audio), "session": odd(session)}
    return json.dumps(content).encode()


def conversation(drawn: random.Random, address: tuple[str, int], path: bytes, frames: list[bytes]) -> str:
    """A WebSocket on which frames are sent, and how it ends."""
    key = b"dGhlIHNhbXBsZSBub25jZQ==" if drawn.random() < 0.95 else drawn.choice(EVIL)[:99]
    opening = b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    opening += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
    with socket.create_connection(address, PATIENCE) as connection:
        try:
            connection.sendall(opening)
            answer = connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 101"):
                return answer[9:12].decode("ascii", "replace") if answer else "cut"
            for each in frames:
                connection.sendall(each)
            if drawn.random() < 0.3:
                return "left"
            connection.sendall(framed(8, struct.pack("!H", 1000)))
            answer = answer.partition(b"\r\n\r\n")[2]
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    if answer.endswith(b"keepalive ping timeout"):  # the server waits for the rest of a frame, and this side is mute
        return "no pong"
    at = answer.rfind(b"\x88")
    code = answer[at + 2 : at + 4]
    return f"close {struct.unpack('!H', code)[0]}" if at >= 0 and len(code) == 2 else "closed"


def commands(drawn: random.Random, address: tuple[str, int], seeds: dict[str, bytes], number: int) -> str:
    """Events of Wyoming, with odd lengths and values."""
    sent = b"".join(command(drawn) for _ in range(drawn.randint(1, 9)))
    with socket.create_connection((address[0], WYOMING[address[1]]), PATIENCE) as connection:
        try:
            connection.sendall(sent)
            if drawn.random() < 0.3:
                return "left"
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            return "cut"
    return "error" if b'"type": "error"' in answer else "answered" if answer else "closed"


def command(drawn: random.Random) -> bytes:
    """One that is right, but says anything; or one that is broken."""
    if drawn.random() < 0.2:
        return drawn.choice(EVIL) + drawn.choice([b"", b"\n"])
    kind = drawn.choice(["describe", "ping", "transcribe", "audio-start", *["audio-chunk"] * 4, *["audio-stop"] * 2])
    form = {
        "rate": drawn.choice([16_000, 8000, 0, "x", None, 10**400]),
        "width": drawn.choice([1, 2, 2, 2, 9]),
        "channels": 1,
    }
    if drawn.random() < 0.7:
        form = {"rate": 16_000, "width": 2, "channels": 1}
    data = json.dumps({**form, "language": drawn.choice(["ko", "ko", "en", 5, "\ud800"]), "text": "\ud800"}).encode()
    payload = drawn.randbytes(drawn.choice([0, 1, 3, 4001, 70_001])) if kind == "audio-chunk" else b""
    lie = drawn.choice([-1, 1, 10**6, 10**12, 1.5, "1", None]) if drawn.random() < 0.1 else len(payload)
    head = {"type": kind, "data_length": len(data), "payload_length": lie}
    return json.dumps(head).encode() + b"\n" + data + payload


def frame(drawn: random.Random) -> bytes:
    """One that is right, but says anything; or one that is broken."""
    match drawn.randrange(6):
        case 0:
            return framed(2, drawn.randbytes(drawn.choice([0, 1, 3, 4001, 70_001])))
        case 1:
            return framed(1, drawn.choice(EVIL))
        case 2:
            texts = [b'{"type": "stop"}', b'{"type": 1}', b"[" * 10_000, b"null", b'{"type": "start"}']
            return framed(1, drawn.choice(texts))
        case 3:
            return framed(2, bytes((1 << 20) + 1))
        case 4:
            return framed(drawn.randrange(16), drawn.randbytes(drawn.randrange(200)), drawn.randrange(256))
    return drawn.randbytes(drawn.randrange(1, 100))


def framed(opcode: int, payload: bytes, flags: int = 0x80) -> bytes:
    """RFC 6455, section 5.2, with a mask of zeros, which changes nothing."""
    size = len(payload)
    head = bytes([(flags & 0xF0) | opcode])
    if size < 126:
        return head + bytes([0x80 | size]) + bytes(4) + payload
    if size < 1 << 16:
        return head + b"\xfe" + struct.pack("!H", size) + bytes(4) + payload
    return head + b"\xff" + struct.pack("!Q", size) + bytes(4) + payload
