"""What the Hub serves: data sets, models, and a server on this machine that answers as it does."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import pytest

NAME = "owner/name"
TOKEN = "hf_of_the_stand_in"


class Hub:
    """A server with data sets and models for the Hub's own client, `datasets` and Transformers.

    A repository is a folder, served as it is: the data set NAME is `folder`. Models may be uploaded with TOKEN.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.repositories = {f"datasets/{NAME}": folder}
        """Folders by their address: OWNER/NAME of a model, datasets/OWNER/NAME of a data set."""
        self.requests: list[str] = []
        self.fetched: list[int] = []
        """Bytes of each reading of a shard."""
        self.failures = 0
        """So many readings of shards are cut off from now on."""
        self.away = folder.parent / "away"
        """Where this file exists, all of them are, whichever process makes it."""
        self.broken = False
        """Whether every request fails from now on."""
        self.uploads: dict[str, bytes] = {}
        """Large files that were sent before their commit, by their SHA-256."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                hub.answer(self)

            do_POST = do_HEAD = do_PUT = do_GET  # noqa: N815

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def revision(self) -> str:
        """The name of the commit of the data set NAME, another one for other files."""
        return _revision(self.folder)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """One request: a file, what the Hub knows about a repository or some of its files, or a part of an upload."""
        path = unquote(urlparse(request.path).path)
        self.requests.append(f"{request.command} {path}")
        posted = request.rfile.read(int(request.headers.get("content-length") or 0))
        if self.broken:
            return self._send(request, 503, b"", {})
        if request.command in ("POST", "PUT") and "/paths-info/" not in path:
            return self._upload(request, path, posted)
        for address, folder in self.repositories.items():
            kind = "" if address.startswith("datasets/") else "models/"
            api, files = f"/api/{kind}{address}", f"/{address}/resolve/"
            if path.startswith(files):
                return self._file(request, folder, path.removeprefix(files).partition("/")[2])
            if path == api or path.startswith(f"{api}/"):
                return self._described(request, folder, address, path.removeprefix(api), posted.decode())
        return self._send(request, 404, b"", {"X-Error-Code": "RepoNotFound"})

    def _described(self, request: BaseHTTPRequestHandler, folder: Path, address: str, what: str, posted: str) -> None:
        entries = _entries(folder)
        if not what or what.startswith("/revision/"):
            siblings = [{"rfilename": entry["path"]} for entry in entries]
            name = address.removeprefix("datasets/")
            return self._json(request, {"id": name, "sha": _revision(folder), "siblings": siblings, "private": False})
        if what.startswith("/paths-info/"):
            wanted = parse_qs(posted)["paths"]
            return self._json(request, [entry for entry in entries if entry["path"] in wanted])
        if what.startswith("/tree/"):
            below = what.removeprefix("/tree/").partition("/")[2]
            return self._json(request, [entry for entry in entries if entry["path"].rpartition("/")[0] == below])
        return self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})

    def _upload(self, request: BaseHTTPRequestHandler, path: str, posted: bytes) -> None:
        """Take a step of an upload. Weights and graphs go ahead of the commit, as Git LFS has it."""
        if path.startswith("/large/"):
            self.uploads[path.removeprefix("/large/")] = posted
            return self._json(request, {})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._send(request, 401, b"", {"X-Error-Message": "Invalid username or password."})
        if path == "/api/validate-yaml":
            return self._json(request, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            asked = json.loads(posted)
            name = f"{asked['organization']}/{asked['name']}"
            folder = self.repositories.setdefault(name, self.folder.with_name(f"uploaded-{asked['name']}"))
            folder.mkdir(exist_ok=True)
            return self._json(request, {"url": f"{self.endpoint}/{name}"})
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                each | {"actions": {"upload": {"href": f"{self.endpoint}/large/{each['oid']}"}}}
                for each in json.loads(posted)["objects"]
            ]
            return self._json(request, {"transfer": "basic", "objects": objects})
        owner, name, step = path.removeprefix("/api/models/").split("/")[:3]
        if step == "preupload":
            modes = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith((".safetensors", ".onnx")) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(posted)["files"]
            ]
            return self._json(request, {"files": modes})
        folder = self.repositories[f"{owner}/{name}"]
        for line in map(json.loads, posted.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                continue
            large = line["key"] == "lfsFile"
            content = self.uploads[value["oid"]] if large else base64.b64decode(value["content"])
            (folder / value["path"]).parent.mkdir(exist_ok=True)
            (folder / value["path"]).write_bytes(content)
        oid = _revision(folder)
        return self._json(request, {"commitOid": oid, "commitUrl": f"{self.endpoint}/{owner}/{name}/commit/{oid}"})

    def _file(self, request: BaseHTTPRequestHandler, folder: Path, name: str) -> None:
        file = folder / name
        if not file.is_file():
            return self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound"})
        content = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": _revision(folder)}
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


def _entries(folder: Path) -> list[dict[str, Any]]:
    entries = []
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        entries.append(
            {
                "path": path.relative_to(folder).as_posix(),
                "type": "file" if path.is_file() else "directory",
                "oid": hashlib.sha1(content).hexdigest(),
                "size": len(content),
            }
        )
    return entries


def _revision(folder: Path) -> str:
    return hashlib.sha1(repr([(e["path"], e["oid"]) for e in _entries(folder)]).encode()).hexdigest()


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
