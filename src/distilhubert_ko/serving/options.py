"""The options of a server: who may use it, and its limits. All defaults of limits are here.

This module loads nothing else, so that the command line can read the defaults without the web framework.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServerLimits:
    """The most that a server takes on, of one upload and of all clients together."""

    upload_bytes: int = 100_000_000
    """Bytes of a request's body."""
    audio_seconds: float = 3600.0
    """Seconds of audio in one recording."""
    decoding_seconds: float = 60.0
    """Seconds to decode one recording."""
    decoding_memory: int = 1 << 30
    """Bytes of addresses of a process that decodes, which has taken 0.2 GB of them before it begins."""
    decoding_rate: int = 1_000_000
    """Samples per second of a recording, over all its channels."""
    decoding_samples: int = 288_000 * 3600
    """Samples of a recording, over all its channels: an hour of six of them at 48 kHz."""
    requests: int = 64
    """Transcriptions at once."""
    waiting_seconds: float = 7200.0
    """Seconds of audio in all transcriptions at once; a recording alone is taken whatever its length."""
    streams: int = 16
    """Live captions at once."""
    connections: int = 256


@dataclass(frozen=True)
class ServerOptions:
    """How a server runs. Without `tokens`, anybody may use it.

    Besides the server's own page, pages of `origins` may use it from a browser. Clients may call it by the names in
    `hosts`, as well as by loopback names and by the address that it listens on. `proxies` are addresses or networks
    whose X-Forwarded-For and X-Forwarded-Proto are believed. Limits per client then count whom they name. `wyoming` is
    the host and the port of a second socket, for Wyoming, if there is to be one.
    """

    tokens: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    limits: ServerLimits = field(default_factory=ServerLimits)
    log_transcripts: bool = False
    wyoming: tuple[str, int] | None = None
