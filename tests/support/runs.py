"""Small training runs that are disturbed: what they share, how they are killed, and how their ends are compared."""

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.training import clips, finetune, trainer
from tests.support.model import TINY
from tests.support.processes import pristine, start_processes_as_usual


def small(speech: Path, **training: Any) -> recipe.Recipe:
    """Everything that has a state: dropout, masks, augmentation, an average, a schedule, buckets, an optimizer."""
    return recipe.Recipe(
        name="small",
        data=recipe.Data(train=f"manifest:{speech}/train.jsonl", eval=f"manifest:{speech}/dev.jsonl"),
        model=dataclasses.replace(
            TINY, hidden_dropout=0.1, mask_time_prob=0.3, mask_time_length=2, mask_feature_prob=0.1
        ),
        augment=recipe.Augment(speeds=(0.9, 1.1), reverb_prob=0.5, noise_prob=0.5),
        training=recipe.Training(
            **{
                "learning_rate": 1e-3,
                "train_batch_size": 4,
                "eval_batch_size": 6,
                "gradient_accumulation_steps": 1,
                "lr_scheduler_type": "tri_stage",
                "lr_scheduler_warmup_steps": 2,
                "weight_decay": 0.01,
                "ema_decay": 0.9,
                "num_epochs": 2,
                "length_buckets": True,
                "mixed_precision": False,
                "eval_steps": 3,
                "logging_steps": 1,
                "blank_evaluations": 100,
            }
            | training
        ),
    )


def assert_the_same_end(out: Path, undisturbed: Path) -> None:
    """Bit for bit, the best and the last weights, and the log but for what a clock decides."""
    for folder in (Path("."), Path("last")):
        found, expected = (load_file(run / folder / "model.safetensors") for run in (out, undisturbed))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)
    assert run_log(out) == run_log(undisturbed)


def run_log(out: Path) -> list[dict[str, float]]:
    clocked = ("runtime", "per_second")
    return [
        {key: value for key, value in line.items() if not key.endswith(clocked)}
        for line in model_folder.read_log(out)
        if "train_loss" not in line
    ]


def account(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "training.json").read_text(encoding="utf-8"))
    return found


def in_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], Any]) -> None:
    """Calls act() while a run computes the loss that leads to `step`; the runs after it are left in peace."""
    compute = finetune.CtcTrainer.training_step

    def watched(self: finetune.CtcTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.state.global_step == step - 1:
            monkeypatch.setattr(finetune.CtcTrainer, "training_step", compute)
            act()
        return compute(self, *args, **kwargs)

    monkeypatch.setattr(finetune.CtcTrainer, "training_step", watched)


def fail(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def with_workers() -> None:
    """From now on, no corpus fits in the memory of this process, and two others read it."""
    clips.CACHE_HOURS = 0.0
    trainer.WORKERS = 2


def train(config: recipe.Recipe, out: Path, resume: bool = False, *prepare: Callable[[], Any]) -> None:
    """A run, to be called in a process of its own, which `prepare` changes before."""
    start_processes_as_usual()
    for change in prepare:
        change()
    finetune.fine_tune(config, out, resume=resume)


def killed_at(fatal: int, folder: Path, count: Any, act: Callable[..., Any], *arguments: Any) -> None:
    """Calls act(*arguments) in a process that SIGKILL ends as it deals with a file in `folder` for the `fatal`-th time.

    Counts those times in count.value; with fatal 0 it lives.
    """
    victim = os.getpid()

    def watch(event: str, args: tuple[Any, ...]) -> None:
        dealings = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
        if event in dealings and str(folder) in str(args[0]) and os.getpid() == victim:
            count.value += 1
            if count.value == fatal:
                os.kill(victim, signal.SIGKILL)

    sys.addaudithook(watch)
    act(*arguments)


def life(fatal: int, folder: Path, act: Callable[..., Any], *arguments: Any) -> tuple[int | None, int]:
    """The exit code of such a process, and how often it dealt with a file."""
    count = pristine.Value("i", 0)
    process = pristine.Process(target=killed_at, args=(fatal, folder, count, act, *arguments))
    process.start()
    process.join()
    return process.exitcode, count.value
