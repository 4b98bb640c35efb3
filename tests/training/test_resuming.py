"""A resumed run is the run that was begun: what cannot change is refused before a write, the rest counts."""

import dataclasses
import json
import logging
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.errors import CorpusError, RecipeError
from distilhubert_ko.evaluation.card import _hyperparameters
from distilhubert_ko.evaluation.model_record import ModelRecord
from distilhubert_ko.training import finetune, resuming
from distilhubert_ko.training.trainer import InterruptedTrainingError
from tests.support.runs import in_step, run_log, small


@pytest.fixture(scope="module")
def speech(tiny_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(tiny_speech, tmp_path_factory.mktemp("corpus") / "speech"))


@pytest.fixture(scope="module")
def config(speech: Path) -> recipe.Recipe:
    return small(speech, logging_steps=4, ema_decay=0.0, eval_steps=3, lr_scheduler_type="linear")


@pytest.fixture(scope="module")
def undisturbed(config: recipe.Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    finetune.fine_tune(config, out)
    return out


@pytest.fixture(scope="module")
def begun(config: recipe.Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted after step 5."""
    out = tmp_path_factory.mktemp("runs") / "begun"
    with pytest.MonkeyPatch.context() as patch:
        in_step(patch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(InterruptedTrainingError):
            finetune.fine_tune(config, out)
    return out


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "run"))


def changed(config: recipe.Recipe, change: str, value: Any) -> recipe.Recipe:
    section, key = change.split(".")
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **{key: value})})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.seed", 7),
        ("training.train_batch_size", 2),
        ("training.gradient_accumulation_steps", 2),
        ("training.ema_decay", 0.5),
        ("training.length_buckets", False),
        ("text.units", "jamo"),
        ("model.hidden_dropout", 0.0),
        ("augment.noise_prob", 0.25),
    ],
)
def test_what_cannot_change_is_refused_in_one_line_and_nothing_is_written(
    key: str, value: Any, config: recipe.Recipe, run: Path
) -> None:
    before = contents(run)
    with pytest.raises(RecipeError, match=f"cannot change this: {key} is .* and was") as error:
        finetune.fine_tune(changed(config, key, value), run, resume=True)
    assert "\n" not in str(error.value)
    assert contents(run) == before


def test_a_finished_run_is_not_changed_by_what_would_have_no_effect(config: recipe.Recipe, undisturbed: Path) -> None:
    before = contents(undisturbed)
    for key, value, told in (
        ("text.units", "jamo", "cannot change"),
        ("training.learning_rate", 1e-4, "has ended at step 10, so training.learning_rate would change nothing"),
    ):
        with pytest.raises(RecipeError, match=told):
            finetune.fine_tune(changed(config, key, value), undisturbed, resume=True)
    assert contents(undisturbed) == before


@pytest.mark.parametrize("change", ["half is gone", "another text", "another length"])
def test_a_corpus_that_is_not_what_it_was_is_refused_and_nothing_is_written(
    change: str, config: recipe.Recipe, run: Path, speech: Path
) -> None:
    manifest = speech / "train.jsonl"
    whole = manifest.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in whole.splitlines()]
    if change == "half is gone":
        lines = lines[::2]
    elif change == "another text":
        lines[0]["text"], lines[1]["text"] = lines[1]["text"], lines[0]["text"]
    else:
        lines[0]["duration"] = 0.8
    before = contents(run)
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    try:
        with pytest.raises(CorpusError, match=r"is not what this run began with \(train: 18 utterances") as error:
            finetune.fine_tune(config, run, resume=True)
    finally:
        manifest.write_text(whole, encoding="utf-8")
    assert "\n" not in str(error.value)
    assert contents(run) == before


def test_a_corpus_that_was_moved_is_the_same(config: recipe.Recipe, run: Path, speech: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(speech, tmp_path / "elsewhere")
    corpora = {name: f"manifest:{moved}/{name}.jsonl" for name in ("train", "dev")}
    data = dataclasses.replace(config.data, train=corpora["train"], eval=corpora["dev"])
    finetune.fine_tune(dataclasses.replace(config, data=data), run, resume=True)


def test_what_may_change_takes_effect_and_is_recorded_with_its_step(
    config: recipe.Recipe, run: Path, undisturbed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "distilhubert_ko")
    halved = config.training.learning_rate / 2
    finetune.fine_tune(changed(config, "training.learning_rate", halved), run, resume=True)
    assert "from step 5 on: training.learning_rate = 0.0005 (before: 0.001)" in caplog.text
    log, before = ({line["step"]: line for line in run_log(each) if "loss" in line} for each in (run, undisturbed))
    assert log[4]["learning_rate"] == before[4]["learning_rate"]
    assert log[8]["learning_rate"] == pytest.approx(before[8]["learning_rate"] / 2)
    assert log[8]["loss"] != before[8]["loss"]
    told = [line for line in model_folder.read_log(run) if model_folder.CHANGED in line]
    assert told == [{model_folder.CHANGED: {"training.learning_rate": [0.001, halved]}, "step": 5}]
    assert recipe.load_recipe(run / model_folder.RECIPE).training.learning_rate == halved
    assert "from step 5 on: training.learning_rate 0.0005 (before: 0.001)" in _hyperparameters(ModelRecord(run))


@pytest.mark.parametrize(
    ("key", "value"), [("weight_decay", 0.2), ("adam_betas", (0.5, 0.9)), ("lr_scheduler_type", "cosine")]
)
def test_settings_of_the_optimizer_that_change_are_those_of_the_later_steps(
    key: str, value: Any, config: recipe.Recipe, run: Path, undisturbed: Path
) -> None:
    finetune.fine_tune(changed(config, f"training.{key}", value), run, resume=True)
    log, before = (run_log(each) for each in (run, undisturbed))
    assert [line for line in log if line["step"] <= 4] == [line for line in before if line["step"] <= 4]
    assert [line for line in log if line["step"] > 8 and "loss" in line] != [
        line for line in before if line["step"] > 8 and "loss" in line
    ] or log[-1] != before[-1]


def test_a_run_may_be_made_longer_after_its_end(config: recipe.Recipe, undisturbed: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(undisturbed, tmp_path / "longer"))
    finetune.fine_tune(changed(config, "training.num_epochs", 3), out, resume=True)
    assert model_folder.read_log(out)[-1]["step"] == 15


def test_the_loss_logged_after_an_interrupt_averages_all_steps_since_the_last_one(
    config: recipe.Recipe, run: Path, undisturbed: Path
) -> None:
    finetune.fine_tune(config, run, resume=True)
    assert run_log(run) == run_log(undisturbed)


def test_before_the_first_checkpoint_everything_may_change(config: recipe.Recipe, tmp_path: Path) -> None:
    recipe.save_recipe(config, tmp_path / model_folder.RECIPE)
    assert resuming.find_changes(changed(config, "text.units", "jamo"), tmp_path, None) == []


def test_every_changeable_key_is_one_of_a_recipe() -> None:
    assert resuming._flat(recipe.Recipe()).keys() >= resuming.CHANGEABLE
