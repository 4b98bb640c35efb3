"""What a resumed run may change: its recipe against that of the checkpoint, key by key."""

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.files.writing import write_json
from distilhubert_ko.training.callbacks import EarlyStopping

logger = logging.getLogger(__name__)

FREE = {"name", "license", "training.report_to"}
"""Keys that change nothing in what is learnt."""
OPTIMIZER = {
    *("training.learning_rate", "training.head_learning_rate", "training.weight_decay", "training.adam_betas"),
    "training.adam_epsilon",
}
CHANGEABLE = OPTIMIZER | {
    *("training.num_epochs", "training.lr_scheduler_type", "training.lr_scheduler_warmup_steps"),
    *("training.max_grad_norm", "training.mixed_precision", "training.eval_batch_size", "training.logging_steps"),
    *("training.early_stopping_patience", "training.blank_evaluations"),
}
"""Keys that may change between two parts of a run. They take effect, and the log records the step."""
DATA = "data."
"""The beginning of the keys that name corpora. What is in a corpus has to stay, see `data.dataset.check_unchanged`."""
STATE = "trainer_state.json"  # of a checkpoint, by Transformers' name
PENDING = "pending_loss.json"


@dataclass(frozen=True)
class Change:
    """A key of a recipe that a resumed run changes."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key} = {self.after!r} (before: {self.before!r})"


def find_changes(config: recipe.Recipe, out: Path, checkpoint: str | None) -> list[Change]:
    """Return what a recipe changes in the run that `checkpoint` belongs to, as far as it may be changed.

    Before anything is written, raise RecipeError for a key that cannot change. Without a checkpoint, nothing is learnt
    yet, and everything may.
    """
    if checkpoint is None:
        return []
    places = (Path(checkpoint) / model_folder.RECIPE, out / model_folder.RECIPE)  # an earlier version has the second
    place = next((each for each in places if each.is_file()), None)
    if place is None:
        return []
    before, after = _flat(recipe.load_recipe(place)), _flat(config)
    changes = [Change(key, before[key], after[key]) for key in after if before[key] != after[key] and key not in FREE]
    return _changeable(changes, out, config, Path(checkpoint))


def _changeable(changes: list[Change], out: Path, config: recipe.Recipe, checkpoint: Path) -> list[Change]:
    """Return the changes outside [data]. Raises RecipeError for one that cannot be made, or would come too late."""
    fixed = [change for change in changes if change.key not in CHANGEABLE and not change.key.startswith(DATA)]
    if fixed:
        told = ", ".join(f"{each.key} is {each.after!r} and was {each.before!r}" for each in fixed[:3])
        rest = f", and {len(fixed) - 3} keys more" if len(fixed) > 3 else ""
        raise RecipeError(
            f"{out}: a resumed run cannot change this: {told}{rest}. Resume with the recipe as it was, or begin anew "
            "with another --out"
        )
    changes = [change for change in changes if not change.key.startswith(DATA)]
    state = TrainerState.load_from_json(str(checkpoint / STATE))
    patience = config.training.early_stopping_patience
    longer = any(change.key == "training.num_epochs" for change in changes)
    stopped = bool(patience) and EarlyStopping(patience).reached(state)
    if changes and (stopped or (state.global_step >= state.max_steps and not longer)):
        raise RecipeError(
            f"{out}: the run has ended at step {state.global_step:,}, so {changes[0].key} would change nothing: leave "
            "it as it was, or begin anew with another --out"
        )
    return changes


def save_pending(folder: Path, loss: float, since: int) -> None:
    """Keep in a checkpoint the sum of the losses since the last step that was logged."""
    write_json(folder / PENDING, {"loss": loss, "since": since})


def read_pending(folder: Path) -> tuple[float, int] | None:
    """Return what `save_pending` kept; None for a checkpoint of an earlier version."""
    if not (folder / PENDING).is_file():
        return None
    kept = model_folder.read_json(folder / PENDING)
    return float(kept["loss"]), int(kept["since"])


def log_changes(changes: list[Change], step: int) -> dict[str, Any]:
    """Return the line of the training log about what changes at a step, and say so."""
    for change in changes:
        logger.info("from step %s on: %s", f"{step:,}", change)
    return {model_folder.CHANGED: {change.key: [change.before, change.after] for change in changes}, "step": step}


def keep_new_settings(
    optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler, settings: list[dict[str, Any]]
) -> None:
    """Give parameter groups the settings that they were built with, in place of those that a checkpoint has."""
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)
    scheduler.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
    step = scheduler.last_epoch
    factors = [factor(step) for factor in scheduler.lr_lambdas]  # type: ignore[attr-defined]
    for group, rate, factor in zip(optimizer.param_groups, scheduler.base_lrs, factors, strict=True):
        group["lr"] = rate * factor
    scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]


def group_settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return the settings of each parameter group, which a checkpoint would replace."""
    names = ("initial_lr", "betas", "eps", "weight_decay")
    return [{name: group[name] for name in names if name in group} for group in optimizer.param_groups]


def _flat(config: recipe.Recipe) -> dict[str, Any]:
    """Return the values of a recipe by section.key."""
    found: dict[str, Any] = {}
    for name, value in dataclasses.asdict(config).items():
        found |= {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
    return found
