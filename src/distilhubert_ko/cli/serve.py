"""The command that serves a model to programs and browsers: serve."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated

import typer

from distilhubert_ko.cli.chosen_model import ModelOption, chosen_model
from distilhubert_ko.cli.common import (
    BeamOption,
    Device,
    DeviceOption,
    LmOption,
    ThreadsOption,
    exported_folder,
    model_name,
)
from distilhubert_ko.errors import InputError, MissingExtraError
from distilhubert_ko.serving.options import ServerLimits, ServerOptions

LIMITS = ServerLimits()
MEGABYTE = 1_000_000


def serve_command(
    model: ModelOption = None,
    host: Annotated[str, typer.Option(help="The address to listen on; only this machine by default.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    threads: ThreadsOption = None,
    device: DeviceOption = Device.AUTO,
    lm: LmOption = None,
    beam: BeamOption = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Bearer tokens, one per line; by default no client needs one."),
    ] = None,
    cors_origin: Annotated[
        list[str], typer.Option(metavar="ORIGIN", help="Pages from this origin may use the server too; repeatable.")
    ] = [],  # noqa: B006 (typer copies it)
    allowed_hosts: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="A name that clients call the server by, besides localhost and its address; repeatable. A proxy's "
            "public name belongs here.",
        ),
    ] = [],  # noqa: B006
    forwarded_allow_ips: Annotated[
        list[str],
        typer.Option(
            metavar="ADDRESS",
            help="A proxy, or a network of proxies, whose X-Forwarded-For and X-Forwarded-Proto are believed; "
            "repeatable.",
        ),
    ] = [],  # noqa: B006
    max_upload: Annotated[int, typer.Option(min=1, metavar="MB", help="The largest upload.")] = LIMITS.upload_bytes
    // MEGABYTE,
    max_seconds: Annotated[float, typer.Option(min=1, help="The longest recording.")] = LIMITS.audio_seconds,
    max_requests: Annotated[
        int, typer.Option(min=1, metavar="N", help="Transcriptions at once; further ones get 429.")
    ] = LIMITS.requests,
    max_streams: Annotated[
        int, typer.Option(min=1, metavar="N", help="Live captions at once; further ones get 429.")
    ] = LIMITS.streams,
    wyoming: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Serve Home Assistant's protocol too, at tcp://HOST:PORT, such as tcp://127.0.0.1:10300. It has no "
            "tokens.",
        ),
    ] = None,
    log_transcripts: Annotated[bool, typer.Option("--log-transcripts", help="Write what was said to the log.")] = False,
) -> None:
    """Serve a model: OpenAI's audio API, live captions, and a page for a browser."""
    try:
        from distilhubert_ko.serving import server

        if wyoming is not None:
            from distilhubert_ko.serving import wyoming_server  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f'serving needs pip install "distilhubert-ko[serve]" ({error})') from error
    from distilhubert_ko.recognition.transcriber import Transcriber
    from distilhubert_ko.serving.batcher import INFERENCES
    from distilhubert_ko.serving.model_facts import gather_facts

    options = ServerOptions(
        tokens=_read_tokens(token_file) if token_file else (),
        origins=tuple(map(_checked_origin, cors_origin)),
        hosts=tuple(map(_checked_host, allowed_hosts)),
        proxies=tuple(map(_checked_proxy, forwarded_allow_ips)),
        limits=ServerLimits(
            upload_bytes=max_upload * MEGABYTE,
            audio_seconds=max_seconds,
            requests=max_requests,
            streams=max_streams,
        ),
        log_transcripts=log_transcripts,
        wyoming=_checked_uri(wyoming) if wyoming is not None else None,
    )
    each = max(1, (threads or os.cpu_count() or 1) // INFERENCES)
    name = chosen_model(model)
    transcriber = Transcriber(exported_folder(name), each, device=device.value, lm=lm, beam=beam)
    server.run_server(transcriber, gather_facts(transcriber, model_name(name)), options, host, port)


def _checked_origin(origin: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s*]+", origin):
        raise InputError(f"--cors-origin {origin}: not an origin; give scheme://host or scheme://host:port, lower case")
    return origin


def _checked_host(host: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f.:]+", host):
        raise InputError(f"--allowed-hosts {host}: not a name; give a host such as asr.example.org, without a port")
    return host


def _checked_proxy(address: str) -> str:
    try:
        return str(ipaddress.ip_network(address))
    except ValueError as error:
        raise InputError(
            f"--forwarded-allow-ips {address}: not an address ({error}); give one such as 10.0.0.5 or 10.0.0.0/8"
        ) from error


def _checked_uri(uri: str) -> tuple[str, int]:
    found = re.fullmatch(r"tcp://(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_.-]+)):(?P<port>\d{1,5})", uri)
    if not found or int(found["port"]) > 65535:
        raise InputError(f"--wyoming {uri}: not an address; give one such as tcp://127.0.0.1:10300")
    return found["address"] or found["name"], int(found["port"])


def _read_tokens(file: Path) -> tuple[str, ...]:
    from distilhubert_ko.files.reading import read_text

    tokens = tuple(filter(None, map(str.strip, read_text(file).splitlines())))
    if not tokens:
        raise InputError(f"{file}: no token in it; write one per line, such as `openssl rand -hex 32` gives")
    if bad := [number for number, token in enumerate(tokens, 1) if not token.isascii() or not token.isprintable()]:
        raise InputError(f"{file}: token {bad[0]} has characters that a header cannot carry; use letters and digits")
    return tokens
