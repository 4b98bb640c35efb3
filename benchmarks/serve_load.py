"""A server under load, on this machine: 64 clients with recordings of 1 to 60 s in five formats.

    python -m benchmarks.serve_load MODEL CORPUS [--clients 64] [--seconds 180] [--json docs/results/serve_load.json]

CORPUS is scheme:location#split, as in a recipe; its speech is joined to recordings. The server is the command, in
a process of its own; the clients are the official openai package, in this one. Each sends one recording after another,
waits as long as a 429 says, and compares each answer with that of Transcriber on the same file. Memory is that of the
server and of the processes that decode. Then short clips come from one client at a time, and from 16 at once.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openai
import soundfile

from distilhubert_ko import Transcriber, VadOptions
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import encode_mp3
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.files import writing
from tests.support.media import encoded
from tests.support.serving import Started, started

SECONDS = (1, 2, 3, 5, 8, 13, 20, 35, 60)
SHORT = (3, 5)
FORMATS = ("wav", "flac", "mp3", "m4a", "webm")
THIRDS = ("first_third", "middle_third", "last_third")
RATE = 48_000  # of webm, whose Opus knows no other


@dataclass(frozen=True)
class Recording:
    name: str
    content: bytes
    seconds: float
    text: str


@dataclass
class Tally:
    """What became of the requests of one run of `wall` seconds."""

    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of a recording, and seconds until its answer."""
    wall: float = 0.0

    def figures(self) -> dict[str, Any]:
        short = [latency for seconds, latency in self.latencies if seconds <= max(SHORT)]
        return {
            "answers": len(self.latencies),
            "outcomes": dict(self.outcomes),
            "requests_per_second": round(len(self.latencies) / self.wall, 2),
            "audio_per_second": round(sum(seconds for seconds, _ in self.latencies) / self.wall, 1),
            "latency": quantiles([latency for _, latency in self.latencies]),
            "latency_short": quantiles(short),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    recordings = recorded(arguments.corpus, arguments.model)
    with tempfile.TemporaryDirectory() as folder, started(arguments.model, Path(folder)) as server:
        result = asyncio.run(measure(server, recordings, arguments.clients, arguments.seconds))
    print(json.dumps(result, indent=2))
    if arguments.json:
        writing.write_json(arguments.json, {"cores": os.cpu_count(), "model": arguments.model.name} | result)
    bad = set(result["load"]["outcomes"]) - {"equal", "refused"}
    sys.exit(f"lost or wrong: {', '.join(sorted(bad))}" if bad else 0)


def recorded(corpus: str, model: Path) -> list[Recording]:
    """A recording of each length and format, no two with the same speech, and what the Transcriber makes of it."""
    transcriber = Transcriber(model, threads=1)
    waves = (each.wave() for each in read_corpus(corpus).utterances)
    held = np.empty(0, np.float32)
    found = []
    for seconds in SECONDS:
        for kind in FORMATS:
            while len(held) < seconds * SAMPLE_RATE:
                held = np.concatenate([held, next(waves)])
            wave, held = np.split(held, [seconds * SAMPLE_RATE])
            content = written(wave, kind)
            found.append(Recording(f"{seconds}.{kind}", content, seconds, transcriber(content, VadOptions()).text))
    return found


def written(wave: np.ndarray, kind: str) -> bytes:
    match kind:
        case "m4a":
            return encoded(wave, SAMPLE_RATE, "ipod", "aac")
        case "webm":
            return encoded(np.repeat(wave, RATE // SAMPLE_RATE), RATE, "webm", "libopus")
        case "mp3":
            return encode_mp3(wave)
    with tempfile.TemporaryFile() as file:
        soundfile.write(file, wave, SAMPLE_RATE, format=kind)
        file.seek(0)
        return file.read()


async def measure(server: Started, recordings: list[Recording], clients: int, seconds: float) -> dict[str, Any]:
    short = [each for each in recordings if each.seconds in SHORT]
    memory: list[int] = []
    watching = asyncio.create_task(watch(server, memory))
    load = await run(server.url, recordings, clients, seconds)
    watching.cancel()
    alone = await run(server.url, short, 1, seconds / 6)
    crowd = await run(server.url, short, 16, seconds / 6)
    parts = [*np.array_split(np.array(memory) / 2**20, 3)]
    return {
        "clients": clients,
        "seconds": seconds,
        "load": load.figures(),
        "memory_mib": {name: round(float(np.mean(part))) for name, part in zip(THIRDS, parts, strict=True)}
        | {"peak": round(float(max(map(np.max, parts))))},
        "one": alone.figures(),
        "sixteen": crowd.figures(),
    }


async def watch(server: Started, memory: list[int]) -> None:
    """Bytes that the server holds, twice a second."""
    while True:
        memory.append(server.memory())
        await asyncio.sleep(0.5)


async def run(url: str, recordings: Sequence[Recording], clients: int, seconds: float) -> Tally:
    """So many clients, each with one request at a time, for so long; then what is under way is waited for."""
    tally = Tally()
    start = time.monotonic()
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600) as client:
        await asyncio.gather(*(send(client, recordings, seed, start + seconds, tally) for seed in range(clients)))
    tally.wall = time.monotonic() - start
    return tally


async def send(
    client: openai.AsyncOpenAI, recordings: Sequence[Recording], seed: int, until: float, tally: Tally
) -> None:
    drawn = random.Random(seed)
    while time.monotonic() < until:
        recording = drawn.choice(recordings)
        start = time.monotonic()
        try:
            file = (recording.name, recording.content)
            answer = await client.audio.transcriptions.create(model="any", file=file)
        except openai.RateLimitError as error:
            tally.outcomes["refused"] += 1
            await asyncio.sleep(float(error.response.headers["retry-after"]))
            continue
        except openai.APIStatusError as error:
            tally.outcomes[f"failed: {error.status_code}"] += 1
            continue
        except openai.APIConnectionError as error:
            tally.outcomes[f"lost: {error.__cause__!r}"] += 1
            continue
        tally.outcomes["equal" if answer.text == recording.text else "unequal"] += 1
        tally.latencies.append((recording.seconds, time.monotonic() - start))


def quantiles(latencies: list[float]) -> dict[str, float]:
    """Median and 99th percentile, in seconds; none of no latencies."""
    if not latencies:
        return {}
    median, high = np.percentile(latencies, [50, 99])
    return {"median": round(float(median), 3), "p99": round(float(high), 3)}


if __name__ == "__main__":
    main()
