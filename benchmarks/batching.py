"""How a server should share the cores: inferences side by side, threads of each, and clips a batch.

    python -m benchmarks.batching MODEL... [--json docs/results/batching.json]

Each candidate computes the same made-up clips, as if all of them had come at once, in turns with the others. `speed` is
seconds of audio a second, from the best turn; `cpu` is seconds of all cores a second of audio, from the best turn,
which says something even on a machine that others use.
"""

import argparse
import itertools
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from distilhubert_ko import Transcriber
from distilhubert_ko.audio.frames import SAMPLE_RATE

CANDIDATES = [*itertools.product([(1, 2), (1, 1), (2, 1), (2, 2)], [1, 4, 16])]
"""(Inferences side by side, threads of each), and clips a batch."""
CLIPS = {1.0: 32, 3.0: 16, 10.0: 8}
"""Seconds of a clip -> how many of them."""
LONGEST = 20.0  # seconds of audio in a batch: the full-width network takes 40 MB a second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="+", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = {folder.name: measure(folder, arguments.turns) for folder in arguments.model}
    if arguments.json:
        content = {"cores": os.cpu_count(), "turns": arguments.turns, "models": result}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def measure(folder: Path, turns: int) -> list[dict[str, float]]:
    """A row for each length of clips and candidate."""
    transcribers = {threads: Transcriber(folder, threads, device="cpu", lm="none") for threads in (1, 2)}
    random = np.random.default_rng(0)
    rows = []
    for seconds, count in CLIPS.items():
        waves = [*random.normal(0, 0.1, (count, round(seconds * SAMPLE_RATE))).astype(np.float32)]
        candidates = [each for each in CANDIDATES if each[1] * seconds <= LONGEST]
        best = dict.fromkeys(candidates, (np.inf, np.inf))
        for _, candidate in itertools.product(range(turns), candidates):
            (parallel, threads), batch = candidate
            wall, cpu = run(transcribers[threads], waves, parallel, batch)
            best[candidate] = min(best[candidate][0], wall), min(best[candidate][1], cpu)
        for ((parallel, threads), batch), (wall, cpu) in best.items():
            row = {"seconds": seconds, "parallel": parallel, "threads": threads, "batch": batch}
            rows.append(row | {"speed": count * seconds / wall, "cpu": cpu / (count * seconds)})
            print(folder.name, *(f"{name} {value:.4g}" for name, value in rows[-1].items()), flush=True)
    return rows


def run(transcriber: Transcriber, waves: list[np.ndarray], parallel: int, batch: int) -> tuple[float, float]:
    """Seconds on the clock and of all cores."""
    with ThreadPoolExecutor(parallel) as pool:
        groups = [waves[start : start + batch] for start in range(0, len(waves), batch)]
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in pool.map(transcriber.runtime.log_probs, groups):
            pass
        return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
