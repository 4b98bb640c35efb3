"""The HTTP server: the application with its gates, page, health check and metrics, and the process that runs it."""

import asyncio
import contextlib
import ipaddress
import logging
import logging.config
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import resources
from typing import TYPE_CHECKING

import prometheus_client
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request

from distilhubert_ko.errors import DistilhubertKoError, InputError
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.serving import api_page, connections, gates, live_captions, openai_api, realtime, request_log
from distilhubert_ko.serving.batcher import Batcher
from distilhubert_ko.serving.decoders import Decoders
from distilhubert_ko.serving.form_fields import IGNORED_HEADER
from distilhubert_ko.serving.intake import Intake
from distilhubert_ko.serving.live_captions import LiveCaptions
from distilhubert_ko.serving.live_streams import LiveStreams
from distilhubert_ko.serving.model_facts import ModelFacts
from distilhubert_ko.serving.options import ServerOptions
from distilhubert_ko.serving.realtime import Realtime
from distilhubert_ko.serving.refusals import Refusal, refusal_of
from distilhubert_ko.serving.request_log import Journal, Metrics, RequestLog
from distilhubert_ko.serving.uploads import Uploads, unstored
from distilhubert_ko.version import __version__

if TYPE_CHECKING:  # it needs a package of its own, and is there only where it is asked for
    from distilhubert_ko.serving.wyoming_server import WyomingServer

MESSAGE_BYTES = 1 << 20  # the largest WebSocket message: half a minute of speech
HEAD_BYTES = 32 * 1024  # the largest head of a request
KEEP_ALIVE_SECONDS = 5
FINISH_SECONDS = 30
"""The time that live captions have to finish on shutdown, and after them the requests in progress."""
FIELD_BYTES = 64 * 1024  # the largest form field that is not a file
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Server(uvicorn.Server):
    """uvicorn's server, which also logs its address and lets live streams finish before it closes connections.

    A server of Wyoming on its socket starts and ends with it.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        streams: LiveStreams,
        wyoming: "tuple[WyomingServer, socket.socket] | None" = None,
    ):
        super().__init__(config)
        self._streams, self._wyoming = streams, wyoming

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        logging.getLogger(request_log.LOGGER).info(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
        if self._wyoming:
            wyoming, listening = self._wyoming
            await wyoming.start(listening)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in self.servers:
            listening.close()
        finishing = [self._streams.finish(FINISH_SECONDS)]
        if self._wyoming:
            finishing.append(self._wyoming[0].finish(FINISH_SECONDS))
        await asyncio.gather(*finishing)
        await super().shutdown(sockets)


def create_app(transcriber: Transcriber, facts: ModelFacts, options: ServerOptions) -> FastAPI:
    """Return the application. Its `state` holds the live streams, and what a server of Wyoming shares with it."""
    metrics, limits = Metrics(), options.limits
    journal = Journal(metrics, options.log_transcripts)
    batcher = Batcher(transcriber, limits)
    uploads = Uploads(Decoders(limits), batcher)
    streams = LiveStreams(limits.streams, metrics.streams)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with uploads:
            yield

    app = FastAPI(
        title="distilhubert-ko",
        version=__version__,
        description=api_page.DESCRIPTION,
        responses=api_page.REFUSED,
        docs_url=None,  # Swagger and ReDoc would load scripts from other servers
        redoc_url=None,
        lifespan=lifespan,
        form_limits={"max_files": 1, "max_fields": 32, "max_part_size": FIELD_BYTES},
    )
    app.state.uploads, app.state.facts, app.state.streams, app.state.journal = uploads, facts, streams, journal
    app.include_router(openai_api.router)
    app.add_api_websocket_route(live_captions.PATH, LiveCaptions(batcher.stream, streams).serve)
    app.add_api_websocket_route(realtime.PATH, Realtime(batcher.live, streams, facts.id).serve)
    _add_operations(app, metrics)
    _add_page(app)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(DistilhubertKoError, _failed)
    # A request passes the middleware that was added last first.
    app.add_middleware(gates.HeadAsGet)
    app.add_middleware(Intake, openai_api.TRANSCRIPTIONS, limits.upload_bytes, limits.requests, metrics.held)
    app.add_middleware(gates.AccessControl, options.tokens, options.origins, options.hosts)
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after", IGNORED_HEADER],
        )
    app.add_middleware(RequestLog, journal, (openai_api.TRANSCRIPTIONS, live_captions.PATH, realtime.PATH))
    app.add_middleware(gates.SecurityHeaders)
    return app


def uvicorn_config(app: FastAPI, options: ServerOptions, host: str, port: int) -> uvicorn.Config:
    """Return uvicorn's configuration for the application, with its limits."""
    return uvicorn.Config(
        app,
        host,
        port,
        http=connections.HttpConnection,
        ws=connections.WebSocketConnection,
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # audio hardly compresses, and a compression bomb would grow
        log_config=None,  # `run_server` has set up logging
        access_log=False,
        server_header=False,
        limit_concurrency=options.limits.connections,
        forwarded_allow_ips=[*options.proxies],
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


def run_server(transcriber: Transcriber, facts: ModelFacts, options: ServerOptions, host: str, port: int) -> None:
    """Serve until a signal stops the process. Raises InputError if it cannot listen on this address."""
    logging.config.dictConfig(request_log.logging_config())
    app = create_app(transcriber, facts, replace(options, hosts=(*options.hosts, host)))
    config = uvicorn_config(app, options, host, port)
    listening = listening_socket(host, port)
    logger = logging.getLogger(request_log.LOGGER)
    if not is_loopback(host):
        tokens = "" if options.tokens else " Anybody may use the server: give --token-file to require a token."
        logger.warning(
            f"other machines can reach {host} without encryption: put a proxy with TLS in front of it.{tokens}"
        )
    wyoming = None
    if options.wyoming:
        wyoming = wyoming_server(app, options), listening_socket(*options.wyoming, option="--wyoming")
        if not is_loopback(options.wyoming[0]):
            logger.warning(f"other machines can use {options.wyoming[0]} by Wyoming, without a token or encryption")
    server = Server(config, app.state.streams, wyoming)
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup and signal.getsignal(hangup) == signal.SIG_DFL:  # not where nohup ignores it
        signal.signal(hangup, server.handle_exit)
    server.run([listening])


def wyoming_server(app: FastAPI, options: ServerOptions) -> "WyomingServer":
    """Return a server of Wyoming that shares the application's road from audio to text, its log and its metrics."""
    from distilhubert_ko.serving.wyoming_server import WyomingServer

    state = app.state
    return WyomingServer(state.uploads, state.facts, options.limits, state.journal, state.journal.metrics.held)


def listening_socket(host: str, port: int, option: str = "--port or --host") -> socket.socket:
    """Return a socket bound to this address; port 0 takes any free one. Raises InputError if that fails."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port} ({error.strerror}): give another {option}") from error
    return listening


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _add_operations(app: FastAPI, metrics: Metrics) -> None:
    @app.get(connections.HEALTH, tags=["Operations"])
    async def health() -> dict[str, str]:
        """Tell that the server is running."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["Operations"], response_class=PlainTextResponse)
    async def measured() -> Response:
        """Return the counters for Prometheus."""
        content = prometheus_client.generate_latest(metrics.registry)
        return Response(content, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(api_page.api_page_html(app.openapi()), media_type="text/html")


def _add_page(app: FastAPI) -> None:
    """Add the page and its files, all read now, so that the path of a request never reaches the file system."""
    files = {
        file.name: Response(file.read_bytes(), media_type=MEDIA_TYPES[suffix])
        for file in resources.files("distilhubert_ko.serving").joinpath("web").iterdir()
        if (suffix := file.name.rpartition(".")[2]) in MEDIA_TYPES
    }

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return await static("index.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in files:
            raise Refusal(404, "no such file: open the page at /")
        return files[name]


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """Return Starlette's own errors (404, 405, 413 ...) in the shape of the API's errors."""
    assert isinstance(error, HTTPException)
    if isinstance(error, Refusal):
        return error.response()
    if isinstance(error.__cause__, OSError):  # of the form's temporary file: FastAPI blames the body
        return refusal_of(unstored(error.__cause__)).response()
    return Refusal(error.status_code, str(error.detail), headers=dict(error.headers or {})).response()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = str(first["loc"][-1])
    return Refusal(400, f"{param}: {first['msg']}", param=param).response()


async def _left(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # the code that nginx logs; the client is gone


async def _failed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DistilhubertKoError)
    return refusal_of(error).response()
