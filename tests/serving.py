"""A server that really runs, in a thread of the tests' process, on a free port of this machine."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distilhubert_ko import server
from distilhubert_ko.facts import facts
from distilhubert_ko.server import Settings
from distilhubert_ko.transcribe import Transcriber

PATIENCE = 60.0  # seconds, on a busy machine


@dataclass
class Running:
    """`address` is host:port."""

    address: str
    transcriber: Transcriber
    server: server.Server

    @property
    def url(self) -> str:
        return f"http://{self.address}"


@contextmanager
def running(folder: Path, settings: Settings | None = None) -> Iterator[Running]:
    """A server of a model folder, which has finished when the block ends."""
    transcriber = Transcriber(folder, threads=1)
    settings = settings or Settings()
    app = server.build(transcriber, facts(transcriber, "tiny"), settings)
    listening = server.listen("127.0.0.1", 0)
    config = server.configured(app, settings, *listening.getsockname())
    process = server.Server(config, app.state.live)
    thread = threading.Thread(target=process.run, args=([listening],), daemon=True)
    thread.start()
    while not process.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Running(f"127.0.0.1:{listening.getsockname()[1]}", transcriber, process)
    finally:
        process.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()
