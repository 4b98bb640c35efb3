"""Data sets as the Hub serves them: parquet shards, and a server on this machine that answers as the Hub does."""

import hashlib
import io
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE

NAME = "owner/name"


def sound(wave: np.ndarray) -> bytes:
    """A wave (samples,) as a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE, format="WAV")
    return file.getvalue()


def write_shard(file: Path, clips: Sequence[bytes | None], columns: dict[str, list[Any]], row_group: int) -> None:
    """Sound and other columns as `datasets` writes them, `row_group` clips a row group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    audio = [{"bytes": content, "path": f"{row}.wav"} for row, content in enumerate(clips)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"audio": pa.array(audio, kind), **columns})
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=row_group, compression="none", use_dictionary=False)


class Hub:
    """A server with one data set, the files of `folder` as they are, for the Hub's own client and `datasets`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.fetched: list[int] = []
        """Bytes of each reading of a shard."""
        self.failures = 0
        """So many readings of shards are cut off from now on."""
        self.away = folder.parent / "away"
        """Where this file exists, all of them are, whichever process makes it."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                hub.answer(self)

            do_POST = do_HEAD = do_GET  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def revision(self) -> str:
        """The name of the commit, another one for other files."""
        return hashlib.sha1(repr([(e["path"], e["oid"]) for e in self._entries()]).encode()).hexdigest()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request: a file, or what the Hub knows about the data set or some of its files."""
        path = unquote(urlparse(request.path).path)
        posted = request.rfile.read(int(request.headers.get("content-length") or 0)).decode()
        api, files = f"/api/datasets/{NAME}", f"/datasets/{NAME}/resolve/"
        if path.startswith(files):
            self._file(request, path.removeprefix(files).partition("/")[2])
        elif path == api or path.startswith(f"{api}/revision/"):
            siblings = [{"rfilename": entry["path"]} for entry in self._entries()]
            self._json(request, {"id": NAME, "sha": self.revision, "siblings": siblings, "private": False})
        elif path.startswith(f"{api}/paths-info/"):
            wanted = parse_qs(posted)["paths"]
            self._json(request, [entry for entry in self._entries() if entry["path"] in wanted])
        elif path.startswith(f"{api}/tree/"):
            below = path.removeprefix(f"{api}/tree/").partition("/")[2]
            found = [entry for entry in self._entries() if entry["path"].rpartition("/")[0] == below]
            self._json(request, found)
        else:
            self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})

    def _entries(self) -> list[dict[str, Any]]:
        entries = []
        for path in sorted(self.folder.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            entries.append(
                {
                    "path": path.relative_to(self.folder).as_posix(),
                    "type": "file" if path.is_file() else "directory",
                    "oid": hashlib.sha1(content).hexdigest(),
                    "size": len(content),
                }
            )
        return entries

    def _file(self, request: BaseHTTPRequestHandler, name: str) -> None:
        file = self.folder / name
        if not file.is_file():
            return self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})
        content = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": self.revision}
        wanted = request.headers.get("range")
        if not wanted or request.command == "HEAD":
            return self._send(request, 200, content, headers)
        if self.failures or self.away.exists():
            self.failures = max(0, self.failures - 1)
            request.close_connection = True
            return None
        start, end = (int(place) for place in wanted.removeprefix("bytes=").split("-"))
        part = content[start : end + 1]
        self.fetched.append(len(part))
        return self._send(request, 206, part, headers)

    def _json(self, request: BaseHTTPRequestHandler, answer: Any) -> None:
        self._send(request, 200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send(self, request: BaseHTTPRequestHandler, code: int, content: bytes, headers: dict[str, str]) -> None:
        request.send_response(code)
        for key, value in (headers | {"Content-Length": str(len(content))}).items():
            request.send_header(key, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)


def ask_only(patch: pytest.MonkeyPatch, endpoint: str, home: Path) -> None:
    """From now on, this process knows no other Hub, and keeps what it fetches from it in `home`."""
    import datasets

    patch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub_cache"))
    patch.setattr(datasets.config, "HF_ENDPOINT", endpoint)
    patch.setattr(datasets.config, "HF_DATASETS_CACHE", home / "datasets_cache")
    patch.setenv("XDG_CACHE_HOME", str(home / "cache"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The only Hub there is, with an empty data set NAME, and an empty cache folder for what is fetched from it."""
    pytest.importorskip("datasets")
    (tmp_path / "hub").mkdir()
    server = Hub(tmp_path / "hub")
    ask_only(monkeypatch, server.endpoint, tmp_path)
    yield server
    server.server.shutdown()
    server.server.server_close()
