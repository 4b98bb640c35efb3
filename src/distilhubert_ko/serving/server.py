"""The HTTP server: the application with its gates, the page, health and metrics, and the process that runs it."""

import contextlib
import ipaddress
import logging
import logging.config
import socket
from collections.abc import AsyncIterator
from importlib import resources

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
from distilhubert_ko.serving import api_page, connections, gates, live_captions, openai_api, request_log
from distilhubert_ko.serving.batcher import Batcher
from distilhubert_ko.serving.decoders import Decoders
from distilhubert_ko.serving.live_captions import LiveCaptions
from distilhubert_ko.serving.model_facts import ModelFacts
from distilhubert_ko.serving.options import ServerOptions
from distilhubert_ko.serving.refusals import Refusal, refusal_of
from distilhubert_ko.serving.request_log import Metrics, RequestLog
from distilhubert_ko.serving.uploads import Uploads
from distilhubert_ko.version import __version__

MESSAGE_BYTES = 1 << 20  # of a WebSocket message: half a minute of speech
HEAD_BYTES = 32 * 1024  # of a request's head
KEEP_ALIVE_SECONDS = 5
FINISH_SECONDS = 30
"""What the requests that are held at the end have for themselves, and before them the live captions."""
FIELD_BYTES = 64 * 1024  # of a form's field that is no file
MEDIA_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Server(uvicorn.Server):
    """uvicorn's, which says where it listens, and lets live captions end before it closes their connections."""

    def __init__(self, config: uvicorn.Config, live: LiveCaptions):
        super().__init__(config)
        self._live = live

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        logging.getLogger(request_log.LOGGER).info(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in self.servers:
            listening.close()
        await self._live.finish(FINISH_SECONDS)
        await super().shutdown(sockets)


def create_app(transcriber: Transcriber, facts: ModelFacts, options: ServerOptions) -> FastAPI:
    """The application. `state.live` are its live captions."""
    metrics, limits = Metrics(), options.limits
    batcher = Batcher(transcriber, limits)
    uploads = Uploads(Decoders(limits), batcher)
    live = LiveCaptions(batcher.stream, limits.streams, metrics.streams)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with uploads:
            yield

    app = FastAPI(
        title="distilhubert-ko",
        version=__version__,
        description=api_page.DESCRIPTION,
        responses=api_page.REFUSED,
        docs_url=None,  # Swagger's and ReDoc's come from elsewhere, with scripts of their own
        redoc_url=None,
        lifespan=lifespan,
        form_limits={"max_files": 1, "max_fields": 32, "max_part_size": FIELD_BYTES},
    )
    app.state.uploads, app.state.facts, app.state.live = uploads, facts, live
    app.include_router(openai_api.router)
    app.add_api_websocket_route(live_captions.PATH, live.serve)
    _add_operations(app, metrics)
    _add_page(app)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(DistilhubertKoError, _failed)
    # The last one added is the first one passed.
    app.add_middleware(gates.BodyLimit, limits.upload_bytes)
    app.add_middleware(gates.Admission, openai_api.TRANSCRIPTIONS, limits.requests, metrics.held)
    app.add_middleware(gates.AccessControl, options.tokens, options.origins)
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
        )
    app.add_middleware(RequestLog, metrics, options.log_transcripts, (openai_api.TRANSCRIPTIONS, live_captions.PATH))
    app.add_middleware(gates.SecurityHeaders)
    return app


def uvicorn_config(app: FastAPI, options: ServerOptions, host: str, port: int) -> uvicorn.Config:
    """uvicorn's configuration for the application, with its limits."""
    return uvicorn.Config(
        app,
        host,
        port,
        http=connections.HttpConnection,
        ws=connections.WebSocketConnection,
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # sound does not shrink, and a bomb would grow
        log_config=None,  # `serve` has set it up
        access_log=False,
        server_header=False,
        limit_concurrency=options.limits.connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


def run_server(transcriber: Transcriber, facts: ModelFacts, options: ServerOptions, host: str, port: int) -> None:
    """Serves until a signal says stop. Raises InputError where it cannot listen there."""
    logging.config.dictConfig(request_log.logging_config())
    app = create_app(transcriber, facts, options)
    config = uvicorn_config(app, options, host, port)
    listening = listening_socket(host, port)
    if not is_loopback(host):
        tokens = "" if options.tokens else " Nobody is asked for a token: give --token-file."
        logging.getLogger(request_log.LOGGER).warning(
            f"{host} is reached from other machines, unencrypted: put a proxy with TLS before it.{tokens}"
        )
    Server(config, app.state.live).run([listening])


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that is bound there; port 0 is any free one. Raises InputError where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port} ({error.strerror}): give another --port or --host") from error
    return listening


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _add_operations(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/healthz", tags=["Operations"])
    async def health() -> dict[str, str]:
        """Whether the server answers."""
        return {"status": "ok"}

    @app.get("/metrics", tags=["Operations"], response_class=PlainTextResponse)
    async def measured() -> Response:
        """Counters for Prometheus."""
        content = prometheus_client.generate_latest(metrics.registry)
        return Response(content, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(api_page.page(app.openapi()), media_type="text/html")


def _add_page(app: FastAPI) -> None:
    """The page and its files, all read now: no path of a request reaches the file system."""
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
            raise Refusal(404, "no such file: the page is at /")
        return files[name]


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """Starlette's own refusals (404, 405, 413 ...) in the shape of ours."""
    assert isinstance(error, HTTPException)
    if isinstance(error, Refusal):
        return error.response()
    return Refusal(error.status_code, str(error.detail), headers=dict(error.headers or {})).response()


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = str(first["loc"][-1])
    return Refusal(400, f"{param}: {first['msg']}", param=param).response()


async def _left(_: Request, error: Exception) -> Response:
    return Response(status_code=499)  # as nginx logs it; nobody reads it


async def _failed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DistilhubertKoError)
    return refusal_of(error).response()
