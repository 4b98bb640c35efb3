"""A server that really runs, on a free port of this machine: in a thread of the tests' process, or in its own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import numpy as np
import psutil

from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.vad import Listening, SpeechDetector
from distilhubert_ko.serving import server, uploads
from distilhubert_ko.serving.model_facts import gather_facts
from distilhubert_ko.serving.options import ServerOptions

PATIENCE = 300.0  # seconds, on a busy machine
for ask in (httpx2.request, httpx2.get, httpx2.head, httpx2.options, httpx2.post):
    ask.__kwdefaults__["timeout"] = PATIENCE  # not 5 s


@dataclass
class Running:
    """`address` is host:port, and `wyoming` tcp://host:port, if the options ask for that."""

    address: str
    transcriber: Transcriber
    server: server.Server
    wyoming: str = ""

    @property
    def url(self) -> str:
        return f"http://{self.address}"


class HearingAll(Listening):
    def _probabilities(self, chunks: np.ndarray) -> np.ndarray:
        return np.ones(len(chunks), np.float32)


class Everywhere(SpeechDetector):
    """Takes all for speech, since the tones of tests are none."""

    def __init__(self) -> None:
        pass

    def listen(self) -> Listening:
        return HearingAll(None)


@contextmanager
def running(
    folder: Path, options: ServerOptions | None = None, detector: SpeechDetector | None = None
) -> Iterator[Running]:
    """A server of a model folder, which has finished when the block ends. By default, all is speech to it."""
    transcriber = Transcriber(folder, threads=1)
    transcriber.detector = detector or Everywhere()
    options = options or ServerOptions()
    app = server.create_app(transcriber, gather_facts(transcriber, "tiny"), options)
    listening = server.listening_socket("127.0.0.1", 0)
    config = server.uvicorn_config(app, options, *listening.getsockname())
    wyoming = second = None
    if options.wyoming:
        wyoming = server.wyoming_server(app, options), server.listening_socket(*options.wyoming)
        wyoming[1].listen()  # clients may connect before it has begun to answer
        second = "tcp://{}:{}".format(*wyoming[1].getsockname())
    process = server.Server(config, app.state.streams, wyoming)
    thread = threading.Thread(target=process.run, args=([listening],), daemon=True)
    thread.start()
    while not process.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Running(f"127.0.0.1:{listening.getsockname()[1]}", transcriber, process, second or "")
    finally:
        process.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until another thread or process has made a condition true; a busy machine is no reason to fail."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def metric(url: str, name: str) -> float:
    """Return a figure of a running server, such as "requests_held"."""
    lines = httpx2.get(f"{url}/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"distilhubert_ko_{name} ")))


@dataclass(frozen=True)
class Started:
    """A server in a process of its own, whose temporary files lie in `folder`."""

    url: str
    folder: Path
    process: "subprocess.Popen[bytes]"

    def processes(self) -> list[psutil.Process]:
        """The server's own, and those that decode."""
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def memory(self) -> int:
        """Bytes that all of them hold now."""
        return sum(each.memory_info().rss for each in self.processes())


@contextmanager
def started(model: Path, folder: Path, *options: str) -> Iterator[Started]:
    """The command `serve` on a model folder; its log is `folder`/serve.log. It must end well when it is told to."""
    log, temporary = folder / "serve.log", folder / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-c", "from distilhubert_ko.cli.main import main; main()", "serve", "--port", "0"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--model", str(model), *options], stderr=file, env=os.environ | {"TMPDIR": str(temporary)}
        )
    try:
        while not (found := re.search(r"listening on (http://[^\s\"]+)", log.read_text(encoding="utf-8"))):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        yield Started(found[1], temporary, process)
        process.terminate()
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)  # uvicorn passes it on, once all is done
        assert [*temporary.glob(f"{uploads.PREFIX}*")] == []
    finally:
        process.kill()
        process.wait()
