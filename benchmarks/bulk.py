"""Bulk transcription on Ray: what a second worker adds, what Ray costs, and what is left when workers are killed.

    python -m benchmarks.bulk --model MODEL --json docs/results/bulk.json

The recordings are tones in noise: what the network says of them does not matter, only that it stays the same. Each
worker has one core, and so has the plain loop, which calls the Transcriber for a file after the other. A run over one
short clip tells how long it takes to start the workers and load the model; that is subtracted, and told apart.
"""

import argparse
import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
import soundfile
from pyarrow import parquet

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.bulk import run as bulk
from distilhubert_ko.bulk.engine import ray_engine
from distilhubert_ko.files import writing
from distilhubert_ko.recognition.transcriber import Transcriber


def speech(folder: Path, clips: int, longest: float) -> Path:
    """A folder of so many recordings of 1 s to `longest` seconds."""
    folder.mkdir()
    generator = np.random.default_rng(clips)
    for number, seconds in enumerate(generator.uniform(1.0, longest, clips)):
        moments = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        pitches = np.repeat(generator.uniform(80, 2000, len(moments) // 1600 + 1), 1600)[: len(moments)]
        wave = 0.3 * np.sin(2 * np.pi * pitches * moments) + 0.02 * generator.normal(size=len(moments))
        soundfile.write(folder / f"{number:04d}.wav", wave, SAMPLE_RATE)
    return folder


def seconds_of(source: Path, out: Path, model: str, workers: int) -> tuple[float, bulk.BulkCounts]:
    begun = time.perf_counter()
    counts = bulk.transcribe_all(str(source), out, bulk.WorkerOptions(model, 1, {}), workers=workers)
    return time.perf_counter() - begun, counts


def scaling(folder: Path, model: str, minutes: float) -> dict[str, Any]:
    """Throughput of one and two workers on `minutes` of speech, and of a plain loop."""
    source = speech(folder / "speech", round(minutes * 60 / 8), 15.0)  # 8 s on average
    short = speech(folder / "short", 2, 1.1)
    found: dict[str, Any] = {}
    transcriber = Transcriber(model, 1, device="cpu")
    begun = time.perf_counter()
    for path in sorted(source.iterdir()):
        transcriber(path).to_json()
    found["plain_seconds"] = time.perf_counter() - begun
    for workers in (1, 2):
        start, _ = seconds_of(short, folder / f"short-{workers}", model, workers)
        whole, counts = seconds_of(source, folder / f"out-{workers}", model, workers)
        found |= {
            f"start_seconds_{workers}": start,
            f"seconds_{workers}": whole - start,
            "speech_seconds": counts.seconds,
        }
    found["second_worker"] = found["seconds_1"] / found["seconds_2"]
    found["overhead"] = found["seconds_1"] / found["plain_seconds"] - 1
    return found


def kills(folder: Path, model: str, clips: int, every: float) -> dict[str, Any]:
    """A run over short clips, during which a worker is killed every so many seconds, compared with the Transcriber."""
    source = speech(folder / "clips", clips, 3.0)
    ended, killed = threading.Event(), 0

    def kill() -> None:
        nonlocal killed
        while not ended.wait(every):
            workers = [each for each in psutil.Process().children(recursive=True) if each.name().startswith("ray::Map")]
            if workers:
                workers[killed % len(workers)].kill()
                killed += 1

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        took, counts = seconds_of(source, folder / "out", model, 2)
    finally:
        ended.set()
        killer.join()
    rows = [row for place in (folder / "out").glob("*.parquet") for row in parquet.read_table(place).to_pylist()]
    transcriber = Transcriber(model, 1, device="cpu")
    right = sum(row["error"] is None and row["text"] == transcriber(row["audio"]).text for row in rows)
    once = sum(number == 1 for number in Counter(row["audio"] for row in rows).values())
    return {
        "clips": clips,
        "kills": killed,
        "kill_every_seconds": every,
        "killed_run_seconds": took,
        "records": counts.records,
        "inputs_with_one_record": once,
        "records_right": right,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="an exported model's folder")
    parser.add_argument("--minutes", type=float, default=10.0, help="of speech, for the overhead")
    parser.add_argument("--scaling-minutes", type=float, default=60.0, help="of speech, for the second worker")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between kills")
    parser.add_argument("--json", type=Path, default=Path("docs/results/bulk.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ray_engine(None, 1, 2):
        folder = Path(name)
        parts = {}
        for key, minutes in (("overhead", options.minutes), ("scaling", options.scaling_minutes)):
            (folder / key).mkdir()
            parts[key] = scaling(folder / key, options.model, minutes)
        parts["kills"] = kills(folder, options.model, options.clips, options.every)
    writing.write_json(options.json, parts | {"ray": ray.__version__, "cores": psutil.cpu_count()})
    print(json.dumps(parts, indent=2))


if __name__ == "__main__":
    main()
