"""The command `serve`: what it needs, and what it takes for tokens."""

import sys
from pathlib import Path

import pytest

from distilhubert_ko.cli.serve import (
    _checked_host,
    _checked_origin,
    _checked_proxy,
    _checked_uri,
    _read_tokens,
    serve_command,
)
from distilhubert_ko.errors import InputError, MissingExtraError
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.serving import server
from distilhubert_ko.serving.model_facts import ModelFacts
from distilhubert_ko.serving.options import ServerLimits, ServerOptions


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in ("server", "openai_api"):
        monkeypatch.delitem(sys.modules, f"distilhubert_ko.serving.{name}", raising=False)
        monkeypatch.delattr(f"distilhubert_ko.serving.{name}", raising=False)
    with pytest.raises(MissingExtraError, match=r"distilhubert-ko\[serve\]"):
        serve_command("nowhere")


def test_options_become_options(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(server, "run_server", lambda *arguments: given.extend(arguments))
    (tmp_path / "tokens.txt").write_text("one\n\n  two \n", encoding="utf-8")
    serve_command(
        str(exported),
        host="::1",
        port=0,
        threads=1,
        token_file=tmp_path / "tokens.txt",
        cors_origin=["https://a.example"],
        allowed_hosts=["asr.example"],
        forwarded_allow_ips=["10.0.0.5", "fd00::/8"],
        max_upload=2,
        max_seconds=60,
        max_requests=3,
        max_streams=4,
        log_transcripts=True,
        wyoming="tcp://[::1]:10300",
    )
    transcriber, facts, options, *where = given
    assert isinstance(transcriber, Transcriber)
    assert isinstance(facts, ModelFacts)
    assert where == ["::1", 0]
    assert options == ServerOptions(
        tokens=("one", "two"),
        origins=("https://a.example",),
        hosts=("asr.example",),
        proxies=("10.0.0.5/32", "fd00::/8"),
        limits=ServerLimits(upload_bytes=2_000_000, audio_seconds=60, requests=3, streams=4),
        log_transcripts=True,
        wyoming=("::1", 10300),
    )


def test_without_wyoming_only_the_option_for_it_is_refused(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "run_server", lambda *_: None)
    monkeypatch.setitem(sys.modules, "wyoming", None)
    for module in [name for name in sys.modules if name.startswith("wyoming.")]:
        monkeypatch.delitem(sys.modules, module)
    for name in ("wyoming_server", "wyoming_events"):
        monkeypatch.delitem(sys.modules, f"distilhubert_ko.serving.{name}", raising=False)
        monkeypatch.delattr(f"distilhubert_ko.serving.{name}", raising=False)
    with pytest.raises(MissingExtraError, match=r"distilhubert-ko\[serve\]"):
        serve_command(str(exported), wyoming="tcp://127.0.0.1:10300")
    serve_command(str(exported), threads=1)


@pytest.mark.parametrize(("content", "words"), [("\n \n", "no token in it"), ("good\n비밀\n", "token 2")])
def test_a_file_of_tokens_that_cannot_be_used_is_an_error(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        _read_tokens(file)


@pytest.mark.parametrize(
    "origin", ["null", "*", "https://*.example", "a.example", "https://a.example/", "HTTPS://a", ""]
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(InputError, match=r"--cors-origin .*: not an origin"):
        _checked_origin(origin)


@pytest.mark.parametrize("host", ["*", "https://a.example", "a.example:80", "a.example/", "", "a b", "서버.한국"])
def test_what_is_no_name_of_a_host_is_refused(host: str) -> None:
    with pytest.raises(InputError, match=r"--allowed-hosts .*: not a name"):
        _checked_host(host)
    assert [_checked_host(name) for name in ("a.example", "::1")] == ["a.example", "::1"]


@pytest.mark.parametrize("address", ["*", "proxy.example", "10.0.0.1/8", ""])
def test_what_is_no_address_of_a_proxy_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"--forwarded-allow-ips .*: not an address"):
        _checked_proxy(address)


@pytest.mark.parametrize(
    "uri", ["", "10300", "127.0.0.1:10300", "tcp://127.0.0.1", "tcp://:1", "tcp://a:65536", "tcp://a:1/", "unix:///a"]
)
def test_what_is_no_address_for_wyoming_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match=r"--wyoming .*: not an address; give one such as tcp://"):
        _checked_uri(uri)
    assert _checked_uri("tcp://box.local:0") == ("box.local", 0)


def test_a_port_that_is_taken_is_one_line(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        uri = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=r"cannot listen on 127.0.0.1:\d+ \(.*\): give another --wyoming$"):
            serve_command(str(exported), port=0, threads=1, wyoming=uri)
