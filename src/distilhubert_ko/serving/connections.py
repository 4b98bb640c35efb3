"""uvicorn's connections with time limits: for the head of a request, and for a client that reads nothing."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

LOOK_SECONDS = 15.0
"""The interval of checks: a connection without a request at two checks in a row is cut."""
STUCK_SECONDS = 30.0
"""A connection whose client reads nothing from a full buffer for so long is cut."""


class _Unstuck(asyncio.Protocol):
    """Cuts a connection whose client reads nothing."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stuck: asyncio.TimerHandle | None = None

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


class HttpConnection(_Unstuck, H11Protocol):
    """HTTP/1.1. Past uvicorn's `limit_concurrency` a connection gets 503, and past twice that it is cut at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seen: Any = None  # the last request at the last check
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)
        if self.limit_concurrency is not None and len(self.connections) > 2 * self.limit_concurrency:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._look.cancel()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._look.cancel()
        super().handle_websocket_upgrade(event)

    def _look_again(self) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        last = (self.cycle,)  # a tuple distinguishes "no request yet" from "no check yet"
        if waiting and self._seen == last:
            self.transport.abort()
            return
        self._seen = last if waiting else None
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)


class WebSocketConnection(_Unstuck, WebSocketsSansIOProtocol):
    """RFC 6455, with pings that detect a vanished client."""

    async def send(self, message: Any) -> None:
        if self.close_sent and message["type"] in ("websocket.send", "websocket.close"):
            # uvicorn has closed because of the client, and would blame the application for this.
            raise ConnectionResetError("the connection is closed")
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        try:
            super().send_receive_event_to_app()
        except InvalidState:  # invalid UTF-8 on a closing connection: uvicorn would close it again
            self.transport.abort()
