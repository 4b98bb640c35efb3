"""The step arithmetic that follows from a recipe: steps, evaluations and learning rates."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from distilhubert_ko.errors import RecipeError
from distilhubert_ko.recipe import Recipe, Training

HELD, FINAL = 0.5, 0.05  # of "tri_stage": 10 % warm-up and 40 % at the peak, then down to 5 % of it


@dataclass(frozen=True)
class PlannedStep:
    """A step with an evaluation."""

    step: int
    epoch: float
    learning_rate: float


@dataclass(frozen=True)
class TrainingPlan:
    """What a recipe will do, as `distilhubert-ko plan --json` prints it."""

    train_utterances: int
    steps_per_epoch: int
    total_steps: int
    evaluations: list[PlannedStep]
    warnings: list[str]
    hyperparameters: dict[str, Any]


def plan_training(recipe: Recipe, utterances: int) -> TrainingPlan:
    """Return steps, evaluations and learning rates for `utterances` training utterances (after filtering).

    The last batch of an epoch may be short and the last accumulation incomplete; both count, as in
    transformers.Trainer. `epoch` is in batches, as the Trainer logs it: after an incomplete accumulation it is whole.
    """
    if utterances < 1:
        raise RecipeError(f"{utterances} training utterances make no step: give 1 or more")
    training = recipe.training
    batches = math.ceil(utterances / training.train_batch_size)
    steps_per_epoch = math.ceil(batches / training.gradient_accumulation_steps)
    total = steps_per_epoch * training.num_epochs

    def epoch(step: int) -> float:
        whole, steps = divmod(step, steps_per_epoch)
        return whole + steps * training.gradient_accumulation_steps / batches

    evaluations = [
        PlannedStep(step, round(epoch(step), 2), learning_rate(training, step, total))
        for step in sorted({*range(training.eval_steps, total + 1, training.eval_steps), total})  # and at the end
    ]
    warnings = []
    if (warmup := training.lr_scheduler_warmup_steps) >= total:
        warnings.append(
            f"the warm-up of {warmup:,} steps is as long as the run of {total:,} or longer, so the learning rate never "
            "reaches training.learning_rate: lower training.lr_scheduler_warmup_steps"
        )
    hyperparameters = dataclasses.asdict(training)
    hyperparameters["total_train_batch_size"] = training.total_train_batch_size
    return TrainingPlan(utterances, steps_per_epoch, total, evaluations, warnings, hyperparameters)


def learning_rate(training: Training, step: int, total: int) -> float:
    """Return the learning rate after `step` of `total` optimizer steps (one cycle for "cosine_with_restarts").

    "tri_stage" stays at the peak until HELD of the steps are done, as in Baevski et al., "wav2vec 2.0", 2020, section
    4.3, and falls exponentially to FINAL of it, as in their code, where the paper says linearly.
    """
    warmup = training.lr_scheduler_warmup_steps
    if step < warmup:
        return training.learning_rate * step / max(1, warmup)
    rest = max(1, total - warmup)
    match training.lr_scheduler_type:
        case "constant_with_warmup":
            factor = 1.0
        case "linear":
            factor = (total - step) / rest
        case "cosine" | "cosine_with_restarts":
            factor = 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / rest))
        case "tri_stage":
            held = max(warmup, HELD * total)
            factor = FINAL ** max(0.0, (step - held) / max(1, total - held))
    return training.learning_rate * factor
