"""The published recipe against plain Transformers' Trainer, with the settings of the script that wrote the card."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from tests.support.model import TINY
from tests.support.plain_trainer import distances, ours, plain, relative, start
from tests.support.speech import WORDS, tones

STEPS = 30
CLIPS, BATCH, ACCUMULATED = 24, 4, 2  # three steps per epoch, all of whole batches


@pytest.fixture
def config(tmp_path: Path) -> recipe.Recipe:
    """Return zeroth.toml with a tiny network, small whole batches, and clips of one length."""
    random = np.random.default_rng(1)
    lines = []
    for index in range(CLIPS):
        words = " ".join(random.choice(WORDS, 2, replace=False))
        soundfile.write(tmp_path / f"{index}.wav", tones(words, 100 + 7 * index), SAMPLE_RATE)
        lines.append(json.dumps({"audio_filepath": f"{index}.wav", "text": words}) + "\n")
    (tmp_path / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    corpus = f"manifest:{tmp_path}/train.jsonl"
    published = recipe.load_recipe(recipe.find_recipe("zeroth"))
    return dataclasses.replace(
        published,
        data=dataclasses.replace(published.data, train=corpus, eval=corpus),
        model=dataclasses.replace(TINY, freeze_feature_encoder=published.model.freeze_feature_encoder),
        training=dataclasses.replace(
            published.training,
            train_batch_size=BATCH,
            gradient_accumulation_steps=ACCUMULATED,
            lr_scheduler_warmup_steps=5,
            num_epochs=STEPS * BATCH * ACCUMULATED // CLIPS,
            mixed_precision=False,
            eval_steps=STEPS,
            logging_steps=1,
        ),
    )


def test_thirty_steps_of_the_published_recipe_are_those_of_plain_transformers(
    config: recipe.Recipe, tmp_path: Path
) -> None:
    found, expected = ours(config, tmp_path / "ours"), plain(config, tmp_path / "plain")
    assert len(found.logged["loss"]) == len(expected.logged["loss"]) == STEPS
    assert found.logged["learning_rate"] == pytest.approx(expected.logged["learning_rate"], rel=1e-12)
    assert max(relative(found.logged["loss"], expected.logged["loss"])) < 1e-5
    assert max(relative(found.logged["grad_norm"], expected.logged["grad_norm"])) < 1e-4
    begun = start(config)
    kept = [name for name in begun if ".feature_extractor." in name]
    assert all(torch.equal(course.weights[name], begun[name]) for name in kept for course in (found, expected))
    assert max(distances(begun, found.weights, expected.weights).values()) < 1e-4
