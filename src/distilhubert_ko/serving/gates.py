"""Gates that a request passes before it reaches the application, as pure ASGI with one rule per gate.

The limits of the connections themselves are in `connections`, and those of what they send in `intake`.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distilhubert_ko.serving.refusals import Refusal

OPEN = ("/", "/healthz")
OPEN_FOLDER = "/static/"
# Each precedes a token in the subprotocols of a WebSocket, since a browser can send it nowhere else.
BEARERS = ("bearer.", "openai-insecure-api-key.")
HOST = re.compile(r"(?:\[(?P<address>[0-9a-f.:]+)\]|(?P<name>[^:\[\]]+))(?::\d+)?")
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "img-src 'self' data: blob:",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self)",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class SecurityHeaders:
    """Adds HEADERS to every response."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, guarded)


class HeadAsGet:
    """Answers HEAD as GET, wherever GET is answered; the connection leaves the body out.

    FastAPI's routes know only the methods that they name, and then say 405.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self.app(scope, receive, send)
        inner = {**scope, "method": "GET"}
        try:
            await self.app(inner, receive, send)
        finally:
            scope.update({name: inner[name] for name in ("route", "endpoint") if name in inner})


class AccessControl:
    """Refuses foreign hosts and foreign origins, and requires one of `tokens`, if there are any.

    Without these rules, any page in a browser could use a server on the same machine. A page of another origin names
    that as its Origin. A page whose own name was made to resolve to this machine (DNS rebinding) names that as Host.
    Clients other than browsers send no Origin.

    `hosts` are the names and addresses that a client may call the server by, without ports, besides those of loopback.
    A connection over a network may give any address, as that of the machine outside of a container: only names can be
    rebound.
    """

    def __init__(self, app: ASGIApp, tokens: Iterable[str], origins: Iterable[str], hosts: Iterable[str]):
        self.app = app
        self.origins, self.hosts = frozenset(origins), frozenset(host.lower() for host in hosts)
        self._digests = [_digest(token) for token in tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        refused = self._misnamed(scope, headers) or self._foreign(scope, headers) or self._unknown(scope, headers)
        if refused is None:
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":  # answered before the handshake, as HTTP
            await receive()
        await refused.response()(scope, receive, send)

    def _misnamed(self, scope: Scope, headers: Headers) -> Refusal | None:
        host = headers.get("host")
        if host is None:  # HTTP/1.0, which no browser speaks
            return None
        found = HOST.fullmatch(host.lower())
        name = found["address"] or found["name"] if found else ""
        server = _address((scope.get("server") or ("",))[0])
        if name in self.hosts or name == "localhost":
            return None
        if (address := _address(name)) and (address.is_loopback or not server or not server.is_loopback):
            return None
        return Refusal(
            403, "the server is not called by this name: start the server with --allowed-hosts NAME", code="host"
        )

    def _foreign(self, scope: Scope, headers: Headers) -> Refusal | None:
        origin, host = headers.get("origin"), headers.get("host", "").lower()
        if origin is None or scope.get("method") in ("GET", "HEAD", "OPTIONS") or origin in self.origins:
            return None
        if origin in (f"http://{host}", f"https://{host}"):
            return None
        return Refusal(
            403, "a page of another origin may not use this server: start the server with --cors-origin ORIGIN"
        )

    def _unknown(self, scope: Scope, headers: Headers) -> Refusal | None:
        path = scope["path"]
        if not self._digests or path in OPEN or path.startswith(OPEN_FOLDER):
            return None
        given = _digest(_token(scope, headers))
        if sum(
            hmac.compare_digest(given, digest) for digest in self._digests
        ):  # compares with all of them, in constant time
            return None
        return Refusal(
            401,
            "no valid token: send a token of this server as `Authorization: Bearer TOKEN`",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a text is, if it is one. An IPv4 address stays one where IPv6 carries it."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _token(scope: Scope, headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    names = scope.get("subprotocols", ())
    offered = [name.removeprefix(each) for each in BEARERS for name in names if name.startswith(each)]
    return offered[0] if offered else ""


def _digest(token: str) -> bytes:
    """Return a hash, whose fixed length keeps a comparison from revealing the length of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
