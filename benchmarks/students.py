"""What the students of distill.toml and thin.toml cost: parameters, multiplications and speed on one CPU core.

    python -m benchmarks.students --json docs/results/students.json

The networks have random weights, which change none of the three. Multiplications are those of matrix products and
convolutions, counted by torch.utils.flop_counter. Speed is that of the exported graphs on one thread, in seconds of
speech per second of processor time, since other processes may use the machine: the best of several turns, in which
the graphs take their places one after another.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.scaling import operations
from benchmarks.transcribe import int8
from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.export import exporting
from distilhubert_ko.files import writing
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.text.tokenizer import Tokenizer

RECIPES = ("distill", "thin")
SECONDS = 10  # of noise, which takes as long as speech
TURNS = 20
TOKENIZER = Tokenizer.from_texts(["가나다라마바사 아자차카타파하"], "jamo")


def graphs(config: recipe.Recipe, folder: Path, wave: np.ndarray) -> dict[str, ModelSession]:
    """Export the student of a recipe, and return its graphs by precision, each on one thread."""
    save_network(build_network(config.model, TOKENIZER), folder / "float32", TOKENIZER)
    exporting.export_graph(folder / "float32")
    int8(folder / "float32", folder / "int8", [wave])
    return {name: ModelSession(folder / name, threads=1, device="cpu") for name in ("float32", "int8")}


def processor_seconds(session: ModelSession, wave: np.ndarray) -> float:
    """Return the processor time of one pass."""
    started = time.process_time()
    session.log_probs([wave])
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    wave = np.random.default_rng(0).normal(0, 0.1, SECONDS * SAMPLE_RATE).astype(np.float32)
    rows: dict[str, dict[str, Any]] = {}
    sessions = {}
    with tempfile.TemporaryDirectory() as name:
        for student in RECIPES:
            config = recipe.load_recipe(recipe.find_recipe(student))
            with torch.device("meta"):
                encoder = build_network(config.model, TOKENIZER).base_model
            rows[student] = {
                "layers": config.model.num_hidden_layers,
                "hidden_size": config.model.hidden_size,
                "parameters": sum(parameter.numel() for parameter in encoder.parameters()),
                "multiplications": operations(config)["forward_flops"] / 2,
            }
            for precision, session in graphs(config, Path(name) / student, wave).items():
                sessions[student, precision] = session
    best = dict.fromkeys(sessions, float("inf"))
    for _ in range(TURNS):
        for key, session in sessions.items():
            best[key] = min(best[key], processor_seconds(session, wave))
    for student, row in rows.items():
        row["speed"] = {precision: SECONDS / best[student, precision] for precision in ("float32", "int8")}
    found = {
        "seconds": SECONDS,
        "turns": TURNS,
        "onnxruntime": onnxruntime.__version__,
        "machine": os.uname().machine,
        "rows": rows,
    }
    print(found)
    if options.json:
        writing.write_json(options.json, found)


if __name__ == "__main__":
    main()
