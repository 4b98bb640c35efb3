"""The gate that takes requests in: how many at once, how large, and how fast their bodies must come.

Requests for transcriptions are counted before their bodies arrive, so disk space and memory have a bound.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass

from prometheus_client import Gauge
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distilhubert_ko.serving.clients import client_of, share_of
from distilhubert_ko.serving.refusals import RETRY_SECONDS, Refusal, busy_refusal

FIRST_SECONDS = 30.0  # for a body to begin; it may lag behind by as much later
SLOWEST = 20_000  # bytes per second at which a body must arrive after that
SAFE_SECONDS = 1.0  # in which nobody takes the place of a body that is arriving


@dataclass(eq=False)
class _Body:
    """The body of one request while it arrives; `timer` ends the wait for its next part, if there is one now."""

    client: str
    start: float
    size: int = 0
    timer: asyncio.Timeout | None = None

    def speed(self, now: float) -> float:
        """Return bytes per second so far."""
        return self.size / (now - self.start)


class Intake:
    """Limits bodies to `size` bytes (413) and to a minimum speed (408), and requests for `path` to `count` (429).

    One client may have three quarters of `count`. Where no place is left, a request takes that of the body that
    arrives most slowly, of the client that has most of them. So slow uploads keep nobody out.

    Bytes are counted as they arrive. After FIRST_SECONDS, they must arrive at SLOWEST bytes per second. Time that the
    application takes between two parts does not count.
    """

    def __init__(self, app: ASGIApp, path: str, size: int, count: int, held: Gauge):
        self.app = app
        self.path, self.size, self.count = path, size, count
        self._gauge = held
        self._held: Counter[str] = Counter()  # requests by client
        self._arriving: set[_Body] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        promised = Headers(scope=scope).get("content-length", "0")
        if promised.isdigit() and int(promised) > self.size:
            return await self._too_large().response()(scope, receive, send)
        body = _Body(client_of(scope), asyncio.get_running_loop().time())
        if scope["path"] != self.path:
            return await self.app(scope, self._measured(body, receive), send)
        if not self._has_room(body.client):
            full = busy_refusal(f"the server already works on {self.count} requests: try again in {RETRY_SECONDS} s")
            return await full.response()(scope, receive, send)
        self._held[body.client] += 1
        self._arriving.add(body)
        self._gauge.inc()
        try:
            await self.app(scope, self._measured(body, receive), send)
        finally:
            self._held[body.client] -= 1
            self._held += Counter()  # forgets clients that hold nothing
            self._arriving.discard(body)
            self._gauge.dec()

    def _measured(self, body: _Body, receive: Receive) -> Receive:
        """Return `receive` with the limits on the body."""
        loop = asyncio.get_running_loop()
        left, more = FIRST_SECONDS, True

        async def measured() -> Message:
            nonlocal left, more
            if not more:  # only a disconnect can follow
                return await receive()
            start = loop.time()
            try:
                async with asyncio.timeout(max(left, 0)) as body.timer:
                    message = await receive()
            except TimeoutError:
                raise Refusal(408, "the body arrived too slowly: send it faster, or send a smaller file") from None
            finally:
                body.timer = None
            more = message.get("more_body", False)
            came = len(message.get("body", b""))
            body.size += came
            left += came / SLOWEST - (loop.time() - start)
            if body.size > self.size:
                raise self._too_large()
            if not more:
                self._arriving.discard(body)
            return message

        return measured

    def _has_room(self, client: str) -> bool:
        """Return whether a request may come in, perhaps because a slow one has just been sent away."""
        crowded = self._held[client] >= share_of(self.count)
        if not crowded and self._held.total() < self.count:
            return True
        now = asyncio.get_running_loop().time()
        slow = [
            body
            for body in self._arriving
            if body.timer and now - body.start > SAFE_SECONDS and (not crowded or body.client == client)
        ]
        if not slow:
            return False
        slowest = max(slow, key=lambda body: (self._held[body.client], -body.speed(now)))
        assert slowest.timer
        slowest.timer.reschedule(now)
        self._arriving.discard(slowest)
        return True

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body has more than {self.size:,} bytes: send a shorter or compressed recording")
