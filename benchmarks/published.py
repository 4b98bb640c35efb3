"""How far 30 steps of the published recipe are from those of plain Transformers' Trainer, and what padding does.

    python -m benchmarks.published --speech SPEECH --work DIR --json docs/results/published.json

SPEECH holds pansori-tedxkr. The network is a narrow DistilHuBERT from random weights, on one thread, in float32. Each
way starts from the same weights and sees the same clips in the same order. First all clips are cut to one length, so
that no batch is padded; then they are as they are. Plain Transformers has no attention mask, as in the script that made
the published model.
"""

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import soundfile
import torch
import transformers

from benchmarks.accuracy import NARROW
from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import Utterance, read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.files import writing
from distilhubert_ko.text.normalise import foreign_characters, normalise
from tests.support.plain_trainer import Course, distances, ours, plain, relative, start

STEPS = 30
BATCH = 4  # accumulated twice, as in the recipe
CLIPS = 120  # 15 steps
SECONDS = (2.0, 6.0)  # of the clips that are taken


def corpus(utterances: list[Utterance], folder: Path, seconds: float | None) -> str:
    """Write clips and a manifest, cut to `seconds` with as much of their text, and return the manifest's spec."""
    folder.mkdir(parents=True)
    lines = []
    for number, utterance in enumerate(utterances):
        wave, text = utterance.wave(), normalise(utterance.text)
        if seconds:
            text = text[: max(1, int(len(text) * seconds * SAMPLE_RATE / len(wave)))].strip()
            wave = wave[: int(seconds * SAMPLE_RATE)]
        soundfile.write(folder / f"{number}.wav", wave, SAMPLE_RATE)
        lines.append(json.dumps({"audio_filepath": f"{number}.wav", "text": text}) + "\n")
    writing.write_text(folder / "train.jsonl", "".join(lines))
    writing.write_text(folder / "dev.jsonl", "".join(lines[:8]))
    return f"manifest:{folder}/{{}}.jsonl"


def published(spec: str) -> recipe.Recipe:
    """Return zeroth.toml for the corpus, with its warm-up in proportion to the steps."""
    config = recipe.load_recipe(recipe.find_recipe("zeroth"))
    training = dataclasses.replace(
        config.training,
        train_batch_size=BATCH,
        lr_scheduler_warmup_steps=5,
        num_epochs=STEPS * BATCH * config.training.gradient_accumulation_steps // CLIPS,
        mixed_precision=False,
        eval_steps=STEPS,
        logging_steps=1,
    )
    data = dataclasses.replace(config.data, train=spec.format("train"), eval=spec.format("dev"))
    model = dataclasses.replace(NARROW, freeze_feature_encoder=config.model.freeze_feature_encoder)
    return dataclasses.replace(config, data=data, model=model, training=training)


def compare(found: Course, expected: Course, config: recipe.Recipe) -> dict[str, Any]:
    """Return by how much one training differs from another: the largest of all steps, relative to the other."""
    losses = relative(found.logged["loss"], expected.logged["loss"])
    return {
        "first_losses": [found.logged["loss"][0], expected.logged["loss"][0]],
        "last_losses": [found.logged["loss"][-1], expected.logged["loss"][-1]],
        "loss": max(losses),
        "mean_loss": sum(losses) / len(losses),
        "gradient_norm": max(relative(found.logged["grad_norm"], expected.logged["grad_norm"])),
        "learning_rate": max(relative(found.logged["learning_rate"], expected.logged["learning_rate"])),
        "weights": distances(start(config), found.weights, expected.weights),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="a new folder")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    spoken = read_corpus("librispeech:pansori-tedxkr#train", Reading(options.speech, heldout="every 8th speaker"))
    chosen = [
        each
        for each in spoken.utterances
        if SECONDS[0] <= each.seconds <= SECONDS[1] and not foreign_characters(normalise(each.text))
    ][:CLIPS]
    assert len(chosen) == CLIPS
    rows: dict[str, Any] = {}
    cut = published(corpus(chosen, options.work / "cut", SECONDS[0]))
    rows["one length"] = compare(ours(cut, options.work / "cut-ours"), plain(cut, options.work / "cut-plain"), cut)
    whole = published(corpus(chosen, options.work / "whole", None))
    rows["padded"] = compare(
        ours(whole, options.work / "whole-ours"), plain(whole, options.work / "whole-plain"), whole
    )
    found = {
        "steps": STEPS,
        "batch": BATCH,
        "clips": CLIPS,
        "seconds": SECONDS,
        "hidden_size": NARROW.hidden_size,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "machine": os.uname().machine,
        "rows": rows,
    }
    if options.json:
        writing.write_json(options.json, found)


if __name__ == "__main__":
    main()
