"""The road of a corpus, which each layout of files has to go: prepare, two steps of training, evaluation."""

import dataclasses
from pathlib import Path

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.data.corpora import read_corpora
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.evaluation.report import evaluate_model
from distilhubert_ko.export import exporting
from distilhubert_ko.model_folder import SplitRecord
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.training import finetune
from tests.support.model import TINY, TINY_TRAINING


def travel(train: recipe.Corpora, evaluation: recipe.Corpora, out: Path, **data: str) -> dict[str, SplitRecord]:
    """Train on a corpus for two steps, evaluate the model on another one, and return the account of the splits.

    Nothing else may be left out than was in preparation, and the evaluation must be of as many clips.
    """
    chosen = recipe.Data(train=train, eval=evaluation, **data)
    reading = Reading(Path(chosen.root), chosen.heldout)
    count = len(read_corpora(train, reading).utterances)
    training = dataclasses.replace(
        TINY_TRAINING, train_batch_size=-(-count // 2), num_epochs=1, eval_steps=2, blank_evaluations=100
    )
    config = recipe.Recipe(name="road", data=chosen, model=TINY, training=training)
    folder = finetune.fine_tune(config, out).folder
    assert [line["step"] for line in model_folder.read_log(folder) if "loss" in line] == [1, 2]
    account = finetune.prepare_dataset(config).report().splits
    exporting.export_graph(folder)
    report = evaluate_model(Transcriber(str(folder)), evaluation, reading=reading)
    assert report.utterances == account["eval"].utterances > 0
    return account
