"""Runs that are killed at random moments, and whether they end with the weights of one that was left in peace.

    python -m checks.kills --kills 20 --json docs/results/kills.json

A small network with random weights learns tones in float32 on the CPU, with everything on that has a state: dropout,
SpecAugment, augmentation, length buckets, a schedule, Adam, an average of the weights. One run is left in peace.
Another is ended by SIGKILL at a moment drawn at random and goes on with --resume, again and again until it is through;
then the next begins, until there were as many kills as asked for. Every last model and every best model is compared,
bit for bit.
"""

import argparse
import itertools
import json
import os
import platform
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from safetensors.torch import load_file

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.files import writing
from distilhubert_ko.training import finetune
from distilhubert_ko.training.checkpoints import (
    CHECKPOINTS,
    TEMPORARY,
    checkpoint_fault,
    checkpoint_folder,
    checkpoint_steps,
)
from tests.support.processes import pristine, start_processes_as_usual

WORDS = ("나무", "바다", "하늘", "구름", "별빛", "강물", "노을", "바람")
SYLLABLE = SAMPLE_RATE // 5  # samples


def speech(folder: Path) -> None:
    """56 utterances of 1 s, each syllable a tone of its own, and a manifest of the first 48 and the last 8."""
    lines = []
    for number, words in enumerate(itertools.permutations(WORDS, 2)):
        written = " ".join(words)
        pitches = np.repeat([130.0 * (1 + ord(syllable) % 16) for syllable in written], SYLLABLE)
        wave = 0.3 * np.sin(2 * np.pi * pitches * np.arange(len(pitches)) / SAMPLE_RATE)
        soundfile.write(folder / f"{number}.wav", wave, SAMPLE_RATE)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": written, "duration": 1.0}) + "\n")
    for name, part in (("train", lines[:-8]), ("dev", lines[-8:])):
        (folder / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")


def small(folder: Path) -> recipe.Recipe:
    network = recipe.Model(
        pretrained="random",
        conv_dim=(32,) * 7,
        hidden_size=64,
        num_attention_heads=2,
        intermediate_size=128,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        mask_time_prob=0.3,
        mask_time_length=2,
        mask_feature_prob=0.1,
    )
    training = recipe.Training(
        learning_rate=1e-3,
        train_batch_size=4,
        eval_batch_size=8,
        gradient_accumulation_steps=2,
        lr_scheduler_type="tri_stage",
        lr_scheduler_warmup_steps=4,
        weight_decay=0.01,
        ema_decay=0.9,
        num_epochs=6,
        length_buckets=True,
        mixed_precision=False,
        eval_steps=2,
        logging_steps=1,
        blank_evaluations=1000,
    )
    data = recipe.Data(train=f"manifest:{folder}/train.jsonl", eval=f"manifest:{folder}/dev.jsonl")
    augment = recipe.Augment(speeds=(0.9, 1.1), reverb_prob=0.5, noise_prob=0.5)
    return recipe.Recipe(name="kills", data=data, model=network, augment=augment, training=training)


def run(config: recipe.Recipe, out: Path, resume: bool) -> None:
    """One process of a run; what it says goes to a file beside its folder."""
    start_processes_as_usual()
    torch.set_num_threads(1)  # or the order of sums would differ
    with out.with_suffix(".log").open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    finetune.fine_tune(config, out, resume=resume)


def life(config: recipe.Recipe, out: Path, seconds: float | None) -> bool:
    """Starts or goes on with a run, and kills it after so many seconds; whether it came to its end before."""
    resume = out.is_dir() and any(out.iterdir())
    process = pristine.Process(target=run, args=(config, out, resume))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        said = out.with_suffix(".log").read_text(encoding="utf-8")
        raise SystemExit(f"the run ended with exit code {process.exitcode}:\n{said[-2000:]}")
    return process.exitcode == 0


def found_after_kill(out: Path, seconds: float) -> dict[str, Any]:
    """What a kill left behind."""
    home = out / CHECKPOINTS
    steps = checkpoint_steps(home)
    return {
        "seconds": round(seconds, 3),
        "checkpoints": steps,
        "torn": [step for step in steps if checkpoint_fault(checkpoint_folder(home, step))],
        "died_while_saving": (home / TEMPORARY).exists(),
    }


def equal(one: Path, other: Path) -> bool:
    pairs = [[load_file(run / where / "model.safetensors") for run in (one, other)] for where in (".", "last")]
    return all(a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) for a, b in pairs)


def measure(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    speech(folder)
    config, undisturbed = small(folder), folder / "undisturbed"
    started = time.monotonic()
    life(config, undisturbed, None)
    whole = time.monotonic() - started
    draw, killed = random.Random(seed), 0
    runs: list[dict[str, Any]] = []
    while killed < kills:
        out, deaths = folder / f"run-{len(runs)}", []
        # At most half a run at a time, so that a run is killed several times.
        while not life(config, out, seconds := draw.uniform(0, whole / 2) if killed < kills else None):
            assert seconds is not None, "without a limit a run comes to its end"
            killed += 1
            deaths.append(found_after_kill(out, seconds))
            print(f"kill {killed}: {deaths[-1]}")
        runs.append({"equal": equal(out, undisturbed), "kills": deaths})
        print(f"run {len(runs)}: the same weights: {runs[-1]['equal']}")
    deaths = [death for run in runs for death in run["kills"]]
    return {
        "kills": killed,
        "runs": len(runs),
        "runs_equal": sum(run["equal"] for run in runs),
        "died_while_saving": sum(death["died_while_saving"] for death in deaths),
        "torn_checkpoints": sum(len(death["torn"]) for death in deaths),
        "seed": seed,
        "steps": json.loads((undisturbed / "training.json").read_text(encoding="utf-8"))["total_steps"],
        "seconds_undisturbed": round(whole, 1),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "detail": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("docs/results/kills.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.kills, options.seed)
    writing.write_json(options.json, result)
    print(f"{result['kills']} kills in {result['runs']} runs, {result['runs_equal']} of them with the same weights")
    if result["runs_equal"] < result["runs"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
