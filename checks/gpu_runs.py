"""Runs of the recipes through the project's own trainer, one of them stopped half way and resumed."""

import dataclasses
import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from checks.gpu_stand_in import CheckError, NotThereError, Scale, corpus, recipe_models, save_teacher
from distilhubert_ko import model_folder, recipe
from distilhubert_ko.training import finetune
from distilhubert_ko.training.checkpoints import CHECKPOINTS, checkpoint_folder, last_whole_checkpoint
from distilhubert_ko.training.distill import distill
from distilhubert_ko.training.resuming import STATE
from distilhubert_ko.training.trainer import InterruptedTrainingError, RecipeTrainer

WARM = 5  # steps that no speed is taken from
ZEROTH = "zeroth"  # the folder of the first run, whose model is the teacher of another


@dataclass
class Watch:
    """When steps began."""

    began: list[float]

    def steps_per_second(self, accumulated: int) -> float:
        """Return the speed of the steps after WARM, each of so many batches."""
        times = self.began[::accumulated][min(WARM, len(self.began) // accumulated - 2) :]
        return (len(times) - 1) / (times[-1] - times[0])


@contextmanager
def watched(stop_after: int | None = None) -> Iterator[Watch]:
    """Note when batches begin, and send SIGINT in the step `stop_after`."""
    watch, trained = Watch([]), RecipeTrainer.training_step

    def training_step(self: RecipeTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        nonlocal stop_after
        watch.began.append(time.monotonic())
        if self.state.global_step + 1 == stop_after:
            stop_after = None  # a second one would stop at once
            signal.raise_signal(signal.SIGINT)
        return trained(self, *args, **kwargs)

    with mock.patch.object(RecipeTrainer, "training_step", training_step):
        yield watch


def stand_in(name: str, scale: Scale, folder: Path, steps: int, changes: dict[str, Any]) -> recipe.Recipe:
    """Return a recipe of the project on stand-in speech for about `steps`, with a checkpoint half way."""
    data = corpus(folder / "speech", scale)
    config = recipe.load_recipe(recipe.find_recipe(name))
    an_epoch = math.ceil(scale.clips / config.training.total_train_batch_size)
    epochs = max(1, round(steps / an_epoch))
    total = epochs * an_epoch
    training = dataclasses.replace(
        config.training,
        num_epochs=epochs,
        eval_steps=total // 2,
        logging_steps=max(1, total // 10),
        blank_evaluations=1000,  # so early, every model says nothing
        **changes,
    )
    limits: dict[str, Any] = {"min_seconds": config.data.min_seconds, "max_seconds": config.data.max_seconds}
    return dataclasses.replace(config, data=dataclasses.replace(data, **limits), training=training)


def judge(out: Path, steps: int, found: dict[str, Any]) -> None:
    """Add the losses of a finished run. Raise CheckError unless each step is logged once, and the loss falls."""
    lines = [line for line in model_folder.read_log(out) if "loss" in line]
    losses = [line["loss"] for line in lines]
    found |= {"losses": losses, "rates": [line["learning_rate"] for line in lines]}
    logged = [line["step"] for line in lines]
    if logged != sorted(set(logged)) or not steps - max(1, steps // 10) < logged[-1] <= steps:
        raise CheckError(f"of {steps} steps, those logged are {logged}")
    if not all(map(math.isfinite, losses)):
        raise CheckError(f"losses {losses}")
    if not losses[-1] < losses[0]:
        raise CheckError(f"the loss does not fall: {losses}")


def speed(watch: Watch, config: recipe.Recipe, scale: Scale) -> dict[str, float]:
    """Return hours of speech an hour through the whole trainer, with the loader and without evaluations."""
    training = config.training
    steps = watch.steps_per_second(training.gradient_accumulation_steps)
    clips = scale.clips / math.ceil(scale.clips / training.total_train_batch_size)  # of an average step
    found = {
        "steps_per_second": round(steps, 3),
        "hours_per_hour": round(steps * clips * sum(scale.seconds) / 2, 1),
    }
    if scale.device == "cuda":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


def check_zeroth(scale: Scale, folder: Path, found: dict[str, Any], name: str = ZEROTH, steps: int = 0) -> None:
    """Run zeroth.toml's own settings at full width, stop it half way by SIGINT, and resume it."""
    config = stand_in("zeroth", scale, folder, steps or scale.steps, scale.zeroth)
    config = dataclasses.replace(config, model=scale.model)
    half, out = config.training.eval_steps, folder / name
    try:
        with watched(stop_after=half) as watch:
            finetune.fine_tune(config, out)
    except InterruptedTrainingError:
        found |= speed(watch, config, scale)
    else:
        raise CheckError(f"SIGINT in step {half} did not stop the run")
    checkpoint = last_whole_checkpoint(out / CHECKPOINTS)
    if checkpoint != checkpoint_folder(out / CHECKPOINTS, half):
        raise CheckError(f"stopped in step {half}, and the last checkpoint is {checkpoint}")
    found["checkpoint"] = sorted(path.name for path in checkpoint.iterdir())
    with watched() as watch:
        finetune.fine_tune(config, out, resume=True)
    record = json.loads((out / model_folder.TRAINING).read_text(encoding="utf-8"))
    found |= {key: record[key] for key in ("precision", "device", "total_steps", "parameters")}
    batches = config.training.gradient_accumulation_steps * (record["total_steps"] - half)
    if len(watch.began) != batches:
        raise CheckError(f"resumed at step {half}, the run took {len(watch.began)} batches more, not {batches}")
    judge(out, record["total_steps"], found)


def check_fp16(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
    """Do the same in fp16, as on a GPU that has no bf16: the scaler of the gradients goes through the checkpoint."""
    if scale.device != "cuda":
        raise NotThereError("Transformers trains in fp16 on a GPU alone")
    out = folder / "fp16"
    with mock.patch.object(torch.cuda, "is_bf16_supported", return_value=False):
        check_zeroth(scale, folder, found, out.name, scale.short_steps)
    half, end = (
        scaler_state(checkpoint)
        for checkpoint in sorted(
            (out / CHECKPOINTS).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1])
        )
    )
    found |= {"scaler_half_way": half, "scaler_at_the_end": end}
    if found["precision"] != "fp16" or not half["scale"] > 0:
        raise CheckError(f"precision {found['precision']}, scaler {half}")
    if end["_growth_tracker"] <= half["_growth_tracker"] and end["scale"] >= half["scale"]:
        raise CheckError(f"the scaler did not go on from {half} but is {end}")


def scaler_state(checkpoint: Path) -> dict[str, Any]:
    path = checkpoint / "scaler.pt"
    if not path.is_file():
        raise CheckError(f"{checkpoint.name} has no scaler.pt")
    state: dict[str, Any] = torch.load(path, weights_only=True)
    return {key: float(state[key]) for key in ("scale", "_growth_tracker")}


def train_briefly(config: recipe.Recipe, out: Path, scale: Scale, found: dict[str, Any]) -> None:
    with watched() as watch:
        if config.distill.teacher:
            distill(config, out)
        else:
            finetune.fine_tune(config, out)
    found |= speed(watch, config, scale)
    checkpoint = last_whole_checkpoint(out / CHECKPOINTS)
    assert checkpoint, "a run that ended has a checkpoint"
    state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    judge(out, state["max_steps"], found)


def check_whisper(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
    """Run whisper.toml, but for its warm-up: augmentation, masks, length buckets, an average of the weights."""
    config = stand_in("whisper", scale, folder, scale.short_steps, scale.short)
    model = recipe_models(scale, folder)["Whisper"]
    train_briefly(dataclasses.replace(config, model=model), folder / "whisper", scale, found)


def check_distillation(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
    """Run distill.toml, but for its warm-up, with a teacher of HuBERT base's size."""
    config = stand_in("distill", scale, folder, scale.short_steps, scale.short)
    teacher = save_teacher(folder / "teacher", scale)
    changed = dataclasses.replace(config.distill, teacher=str(teacher), layers=())
    train_briefly(dataclasses.replace(config, model=scale.model, distill=changed), folder / "distilled", scale, found)


def check_teaching(scale: Scale, folder: Path, found: dict[str, Any]) -> None:
    """Run zeroth.toml, but for its warm-up, with the model of the first run as its teacher."""
    config = stand_in("zeroth", scale, folder, scale.short_steps, scale.short)
    teaching = recipe.Teaching(teacher=str(folder / ZEROTH))
    train_briefly(dataclasses.replace(config, model=scale.model, teaching=teaching), folder / "taught", scale, found)
