"""Metrics for Prometheus, and the log: one JSON line per request on standard error.

Neither contains transcripts, unless they are requested, nor names or addresses of clients, nor tokens.
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distilhubert_ko.serving.refusals import Refusal

LOGGER = "distilhubert_ko"
METHODS = ("GET", "HEAD", "POST", "OPTIONS")  # all others count as one, because a client may invent any number
BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """The counters of one server in their own registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "distilhubert_ko_requests", "Requests answered.", ["method", "path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "distilhubert_ko_request_seconds",
            "From the head of a request to the last byte of its response.",
            ["path"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.audio = Counter("distilhubert_ko_audio_seconds", "Audio transcribed.", ["path"], registry=registry)
        self.held = Gauge("distilhubert_ko_requests_held", "Transcriptions in progress.", registry=registry)
        self.streams = Gauge("distilhubert_ko_streams", "Open live captions.", registry=registry)


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, message, and the `fields` of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def logging_config() -> dict[str, Any]:
    """Return a configuration for logging.config.dictConfig: JSON lines on standard error, libraries included."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            LOGGER: {"level": "INFO"},
            "uvicorn": {"level": "WARNING"},
        },
    }


class Journal:
    """Counts and logs each request once it is over, by whatever protocol it came."""

    def __init__(self, metrics: Metrics, log_transcripts: bool):
        self.metrics, self.log_transcripts = metrics, log_transcripts
        self._logger = logging.getLogger(LOGGER)

    def note(self, method: str, path: str, status: int, seconds: float, state: dict[str, Any]) -> None:
        """Note a request that took so many seconds. `state` may hold `audio_seconds` and `transcript`."""
        self.metrics.requests.labels(method, path, status).inc()
        self.metrics.seconds.labels(path).observe(seconds)
        fields: dict[str, Any] = {"method": method, "path": path, "status": status, "seconds": round(seconds, 4)}
        if "audio_seconds" in state:
            self.metrics.audio.labels(path).inc(state["audio_seconds"])
            fields["audio_seconds"] = round(state["audio_seconds"], 3)
        if self.log_transcripts and "transcript" in state:
            fields["transcript"] = state["transcript"]
        self._logger.info("request", extra={"fields": fields})


class RequestLog:
    """Counts and logs each request. Answers 500 to an unexpected error, and 503 to what a shutdown cut off.

    An endpoint leaves `audio_seconds` and `transcript` in the state of its request. Paths are templates of the
    application, so that no text of a client becomes a label or a line. `paths` are those that a gate may refuse before
    the application looks them up.
    """

    def __init__(self, app: ASGIApp, journal: Journal, paths: Iterable[str]):
        self.app, self.journal, self.paths = app, journal, frozenset(paths)
        self._logger = logging.getLogger(LOGGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        start, status = time.perf_counter(), 0  # 0: the client left, or there was no answer

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            await send(message)

        state = scope.setdefault("state", {})
        try:
            await self.app(scope, receive, watched)
        except asyncio.CancelledError:  # by uvicorn, when the time to finish is over
            if scope["type"] != "http" or status:
                raise
            late = Refusal(503, "the server shut down before this was done: try again later")
            await late.response()(scope, receive, watched)
        except Exception:
            if scope["type"] != "http" or status:
                raise  # uvicorn logs it, and cuts the connection
            self._logger.exception("internal server error")
            await Refusal(500, "internal server error: read the log of the server").response()(scope, receive, watched)
        finally:
            self._note(scope, status, time.perf_counter() - start, state)

    def _note(self, scope: Scope, status: int, seconds: float, state: dict[str, Any]) -> None:
        method = scope.get("method", "WS")
        method = method if method in (*METHODS, "WS") else "other"
        path = getattr(scope.get("route"), "path", scope["path"] if scope["path"] in self.paths else "unmatched")
        self.journal.note(str(method), str(path), status, seconds, state)
