"""The loss curve of several processes beside that of one with as many times the batch.

    python -m checks.ranks --json docs/results/ranks.json

A small network with random weights learns tones in float32 on the CPU, without dropout, which each process draws for
itself; augmentation, length buckets, accumulation and an average of the weights are on. Neither the epoch's last batch
nor its last accumulation is whole. `distilhubert-ko train` runs once alone, and once in several processes by torchrun
(gloo).
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from checks.kills import small, speech
from distilhubert_ko import model_folder, recipe
from distilhubert_ko.files import writing

ENTRY = "from distilhubert_ko.cli.main import main; main()"  # what the command `distilhubert-ko` runs
CLIPS, BATCH, ACCUMULATED = 45, 2, 2  # clips of the corpus, and of a batch of one of several processes


def still(folder: Path, epochs: int) -> recipe.Recipe:
    """The recipe of checks/kills.py without dropout and masks, and a corpus that no batch divides."""
    lines = (folder / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "train.jsonl").write_text("".join(lines[:CLIPS]), encoding="utf-8")
    config = small(folder)
    dropouts = ("hidden", "attention", "activation", "feat_proj", "final")
    zeros: dict[str, Any] = {f"{where}_dropout": 0.0 for where in dropouts}
    zeros |= {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
    training = dataclasses.replace(
        config.training,
        train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATED,
        num_epochs=epochs,
        eval_batch_size=3,
        eval_steps=1,  # in the first steps it babbles, and then it says nothing for long
    )
    return dataclasses.replace(
        config, name="ranks", model=dataclasses.replace(config.model, **zeros), training=training
    )


def run(config: recipe.Recipe, folder: Path, processes: int) -> list[dict[str, Any]]:
    """The training log of a run in so many processes; 1 is without a launcher."""
    out = folder / f"{processes}"
    recipe.save_recipe(config, folder / f"{processes}.toml")
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", f"{processes}", "--no-python", sys.executable]
    command = [sys.executable, *(launcher if processes > 1 else []), "-c", ENTRY, "train", f"{folder / out.name}.toml"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([*command, "--out", str(out)], check=True, env=environment)
    return model_folder.read_log(out)


def compared(alone: list[dict[str, Any]], together: list[dict[str, Any]]) -> dict[str, Any]:
    """The largest relative difference of each kind of loss, and whether every CER is the same.

    `told` are the evaluations in which the network said anything.
    """
    found: dict[str, Any] = {}
    for key in ("loss", "eval_loss", "grad_norm"):
        curves = [[line[key] for line in log if key in line] for log in (alone, together)]
        differences = [abs(one - other) / one for one, other in zip(*curves, strict=True)]
        found[f"{key}_largest_relative_difference"] = max(differences)
        found[key] = dict(zip(("alone", "together"), curves, strict=True))
    rates = [[line["eval_cer"] for line in log if "eval_cer" in line] for log in (alone, together)]
    told = sum(line.get("eval_said", 0) > 0 for line in alone)
    return found | {"evaluations": len(rates[0]), "told": told, "cer_equal": rates[0] == rates[1], "cer": rates[0]}


def measure(folder: Path, processes: int, epochs: int) -> dict[str, Any]:
    speech(folder)
    config = still(folder, epochs)
    together = run(config, folder, processes)
    whole = dataclasses.replace(config.training, train_batch_size=processes * BATCH)
    alone = run(dataclasses.replace(config, training=whole), folder, 1)
    return {
        "ranks": processes,
        "batch_of_a_rank": BATCH,
        "accumulated": ACCUMULATED,
        "clips": CLIPS,
        "epochs": epochs,
        "steps": alone[-1]["step"],
        "torch": torch.__version__,
    } | compared(alone, together)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--json", type=Path, default=Path("docs/results/ranks.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.ranks, options.epochs)
    writing.write_json(options.json, result)
    print(json.dumps({key: value for key, value in result.items() if not isinstance(value, dict | list)}, indent=2))


if __name__ == "__main__":
    main()
