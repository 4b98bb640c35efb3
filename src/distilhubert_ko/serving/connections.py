"""uvicorn's connections with limits on what one client may cost: time, places, and pieces that are too small."""

import asyncio
from collections import Counter
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from distilhubert_ko.serving.clients import client_name, is_among, share_of

LOOK_SECONDS = 15.0
"""The interval of checks: a connection without a request at two checks in a row is cut."""
STUCK_SECONDS = 30.0
"""A connection whose client reads nothing from a full buffer for so long is cut."""

SAFE_SECONDS = 1.0
"""The time in which a request should follow a connection."""
HEALTH = "/healthz"
"""The path that is answered however many connections there are."""
FREE_PIECES = 500
"""Chunks of a body, or frames of a WebSocket, that may be of any size. Each costs as much as a large one."""
PIECE_BYTES = 320  # of each further one, on average: 10 ms of audio for live captions
FRAMES_PER_SECOND = 100  # that may be of any size, besides
SLICE = 4096  # bytes that are parsed before the frames in them are counted


class _Watched(asyncio.Protocol):
    """Knows its client, and cuts a connection whose client reads nothing."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    client: tuple[str, int] | None
    name = ""
    """The client, as its holdings are counted."""
    _stuck: asyncio.TimerHandle | None = None

    @property
    def stuck(self) -> bool:
        """Return whether the client reads nothing now."""
        return self._stuck is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.name = client_name((self.client or ("",))[0])

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self.loop.call_later(STUCK_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._unwatch()

    def _unwatch(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class _TooManyPiecesError(Exception):
    """A body came in very many tiny chunks."""


class _CountedChunks(h11.Connection):
    """An HTTP connection that counts the pieces of bodies."""

    _pieces = _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces, self._bytes = self._pieces + 1, self._bytes + len(event.data)
            if self._pieces > FREE_PIECES + self._bytes // PIECE_BYTES:
                raise _TooManyPiecesError
        return event


class HttpConnection(_Watched, H11Protocol):
    """HTTP/1.1, where a new connection finds room at the cost of one that only waits.

    From uvicorn's `limit_concurrency` on, or from one client's share of it, the connection is cut that has waited
    longest for a request, or for its client to read. Within SAFE_SECONDS, a request may be on its way: then only a
    client with more connections loses one. Only where none can be cut, a request gets 503. /healthz is answered in any
    case.
    """

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self.conn = _CountedChunks(h11.SERVER, cast(int, self.config.h11_max_incomplete_event_size))
        self._most = self.config.limit_concurrency

    @property
    def limit_concurrency(self) -> int | None:
        """Return the limit that uvicorn compares with before it answers a request."""
        return None if self.scope and self.scope["path"] == HEALTH else self._most

    @limit_concurrency.setter
    def limit_concurrency(self, _: int | None) -> None:
        """Take no notice of what uvicorn sets: it is the configuration's."""

    @property
    def waits(self) -> bool:
        """Return whether it waits for a request."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        self._seen: Any = None  # the last request at the last check
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)
        self._make_room()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._look.cancel()

    def handle_events(self) -> None:
        try:
            super().handle_events()
        except _TooManyPiecesError:
            self.transport.abort()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._look.cancel()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        if self._most is None or len(self.connections) < share_of(self._most):
            return
        held = cast("set[_Watched]", self.connections)
        counts = Counter(each.name for each in held)
        crowded = counts[self.name] > share_of(self._most) and not is_among(self.name, self.config.forwarded_allow_ips)
        if not crowded and len(self.connections) < self._most:
            return
        idle = [
            each
            for each in held
            if isinstance(each, HttpConnection)
            and each is not self
            and (each.waits or each.stuck)
            and not each.transport.is_closing()
            and (
                each.name == self.name
                if crowded
                else counts[each.name] > counts[self.name] or self.since - each.since > SAFE_SECONDS
            )
        ]
        if idle:
            max(idle, key=lambda each: (counts[each.name], -each.since)).transport.abort()

    def _look_again(self) -> None:
        last = (self.cycle,)  # a tuple distinguishes "no request yet" from "no check yet"
        if self.waits and self._seen == last:
            self.transport.abort()
            return
        self._seen = last if self.waits else None
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)


class WebSocketConnection(_Watched, WebSocketsSansIOProtocol):
    """RFC 6455, with pings that detect a vanished client, and an end for one that floods."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self._start = self.loop.time()
        self._frames = self._bytes = 0
        self._asked = False  # whether a whole head has come

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), SLICE):
            if self.transport.is_closing():
                return
            self._bytes += len(data[start : start + SLICE])
            super().data_received(data[start : start + SLICE])
            if self.conn.handshake_exc and not self._asked:  # a head that is too long: uvicorn would wait for ever
                self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
                self.transport.close()

    def handle_connect(self, event: Any) -> None:
        self._asked = True
        super().handle_connect(event)

    def handle_events(self) -> None:
        self._frames += len(self.conn.events)
        free = FREE_PIECES + FRAMES_PER_SECOND * (self.loop.time() - self._start)
        if self._frames > free + self._bytes // PIECE_BYTES:
            self.conn.fail(1008, "too many messages: send at least 10 ms of audio in each")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.transport.close()
            return
        super().handle_events()

    async def send(self, message: Any) -> None:
        if self.close_sent and message["type"] in ("websocket.send", "websocket.close"):
            # uvicorn has closed because of the client, and would blame the application for this.
            raise ConnectionResetError("the connection is closed")
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # by a refusal, for which uvicorn would log an error

    def send_receive_event_to_app(self) -> None:
        try:
            super().send_receive_event_to_app()
        except InvalidState:  # invalid UTF-8 on a closing connection: uvicorn would close it again
            self.transport.abort()
