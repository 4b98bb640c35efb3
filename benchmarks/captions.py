"""How long after a word was said live captions show it, in real time, to one client and to several at once.

    distilhubert-ko serve --model MODEL &
    python -m benchmarks.captions FILE... [--url URL] [--streams 1 4] [--json docs/results/captions.json]

Each stream plays its share of the files, a tenth of a second each tenth of a second, and two seconds and a half of
silence after each file, as a microphone would give: the end of a stream makes all words final at once. When a word
ended, the server's own transcript of the whole file says; words that the captions spell otherwise have no such time and
are left out. `partial` is the time until the word was shown for the first time as it stayed, `final` until it could not
change any more.
"""

import argparse
import asyncio
import io
import itertools
import json
import os
import urllib.request
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import soundfile
from websockets import Subprotocol
from websockets.asyncio.client import ClientConnection, connect

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.files import writing

CHUNK = SAMPLE_RATE // 10
SILENCE = np.zeros(SAMPLE_RATE * 5 // 2, np.float32)


@dataclass(frozen=True)
class Shown:
    """What was on the screen from a time on, in seconds since the first sample: words, the first `final` for good."""

    time: float
    words: tuple[str, ...]
    final: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with urllib.request.urlopen(f"{arguments.url}/v1/model_facts") as answer:
        model = json.load(answer)
    rows = []
    for count in arguments.streams:
        rows.append({"streams": count} | asyncio.run(measure(arguments.url, arguments.file, count)))
        print(json.dumps(rows[-1]))
    if arguments.json:
        kept = {name: model[name] for name in ("id", "parameters", "threads")}
        writing.write_json(arguments.json, {"cores": os.cpu_count(), "model": kept, "rows": rows})


async def measure(url: str, files: list[Path], count: int) -> dict[str, Any]:
    """Latencies over all files, shared among `count` streams that play at the same time."""
    shares = [files[number::count] for number in range(count)]
    found = await asyncio.gather(*(play_all(url, share) for share in shares))
    words, partial, final = (list(itertools.chain(*column)) for column in zip(*found, strict=True))
    if not final:
        raise SystemExit(f"none of {len(words)} words could be timed: take a trained model, and more files")
    return {
        "files": len(files),
        "words": len(words),
        "words_timed": len(final),
        "partial": figures(partial),
        "final": figures(final),
    }


def figures(latencies: list[float]) -> dict[str, float]:
    """Median and 99th percentile, in seconds."""
    median, high = np.percentile(latencies, [50, 99])
    return {"median": round(float(median), 3), "p99": round(float(high), 3)}


async def play_all(url: str, files: list[Path]) -> tuple[list[str], list[float], list[float]]:
    """The words of all files, and the latencies of those that could be timed, until partial and until final."""
    words: list[str] = []
    partial: list[float] = []
    final: list[float] = []
    for file in files:
        wave = await asyncio.to_thread(load_audio, file)
        said = await asyncio.to_thread(transcribed, url, wave)
        words += [word["word"] for word in said]
        for times, latencies in zip(latency(said, await play(url, wave)), (partial, final), strict=True):
            latencies += times
    return words, partial, final


def transcribed(url: str, wave: np.ndarray) -> list[dict[str, Any]]:
    """The words of the server's transcript of a whole wave."""
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    fields = {"model": "any", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
    answer = httpx2.post(
        f"{url}/v1/audio/transcriptions", data=fields, files={"file": ("a.wav", file.getvalue())}, timeout=300
    )
    return answer.raise_for_status().json()["words"]


async def play(url: str, wave: np.ndarray) -> list[Shown]:
    """What a client saw while it sent a wave in real time."""
    loop = asyncio.get_running_loop()
    samples = (np.concatenate([wave, SILENCE]).clip(-1, 1) * 32767).astype("<i2")
    address = f"{url.replace('http', 'ws', 1)}/v1/audio/stream"
    async with connect(address, subprotocols=[Subprotocol("captions")]) as socket:
        start = loop.time()
        watching = asyncio.create_task(watch(socket, start))
        for first in range(0, len(samples), CHUNK):
            chunk = samples[first : first + CHUNK]
            await asyncio.sleep(start + (first + len(chunk)) / SAMPLE_RATE - loop.time())  # once it was spoken
            await socket.send(chunk.tobytes())
        await socket.send('{"type": "stop"}')
        return await watching


async def watch(socket: ClientConnection, start: float) -> list[Shown]:
    shown: list[Shown] = []
    final: list[str] = []
    async for text in socket:
        message = json.loads(text)
        partial: list[str] = []
        match message["type"]:
            case "final":
                final += [word["word"] for word in message["words"]]
            case "partial":
                partial = message["text"].split()
            case "error":
                raise SystemExit(message["error"]["message"])
        shown.append(Shown(asyncio.get_running_loop().time() - start, (*final, *partial), len(final)))
    return shown


def latency(said: list[dict[str, Any]], shown: list[Shown]) -> tuple[list[float], list[float]]:
    """Seconds from each word's end until it was shown, and until it was final, for words that are in both texts."""
    last = shown[-1].words
    partial, final = [], []
    matches = SequenceMatcher(None, [word["word"] for word in said], last, autojunk=False).get_matching_blocks()
    for first, other, size in matches:
        for offset in range(size):
            end, place = said[first + offset]["end"], other + offset
            partial.append(next(s.time for s in shown if s.words[place : place + 1] == (last[place],)) - end)
            final.append(next(s.time for s in shown if s.final > place) - end)
    return partial, final


if __name__ == "__main__":
    main()
