"""uvicorn's connections, with an end to their patience: for a request's head, and for a client that reads nothing."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

LOOK_SECONDS = 15.0
"""A connection that was between two requests at one look, and still is at the next one, is cut."""
STUCK_SECONDS = 30.0
"""So is one whose client has taken nothing of a full buffer for as long."""


class _Unstuck(asyncio.Protocol):
    """Cuts a connection that takes nothing of what is sent."""

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
    """HTTP/1.1. Connections past twice uvicorn's `limit_concurrency`, up to which it answers 503, are cut at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._seen: Any = None  # the request that was the last one at the last look
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
        last = (self.cycle,)  # a tuple, so that no request at all is told from no look at all
        if waiting and self._seen == last:
            self.transport.abort()
            return
        self._seen = last if waiting else None
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)


class WebSocketConnection(_Unstuck, WebSocketsSansIOProtocol):
    """RFC 6455, with pings after which a client that has vanished is cut."""

    async def send(self, message: Any) -> None:
        if self.close_sent and message["type"] in ("websocket.send", "websocket.close"):
            # uvicorn has closed for a fault of the client's; it would call this a fault of the application's.
            raise ConnectionResetError("the connection is closed")
        await super().send(message)

    def send_receive_event_to_app(self) -> None:
        try:
            super().send_receive_event_to_app()
        except InvalidState:  # text that is no UTF-8, in a connection that is closing: uvicorn would close it again
            self.transport.abort()
