"""Distillation: a recipe and a teacher in, an encoder out that loads like ntu-spml/distilhubert."""

import dataclasses
import importlib.metadata
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.trainer_utils import EvalPrediction
from transformers.utils import logging as transformers_logging

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.data.account import describe_split
from distilhubert_ko.data.dataset import check_unchanged, read_unlabelled
from distilhubert_ko.data.examples import Split
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.files import writing
from distilhubert_ko.model import student
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.network import PaddingSafeForCTC
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.model.student import Student, Teacher
from distilhubert_ko.model_folder import SplitsRecord
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training import failures, progress, ranks
from distilhubert_ko.training.checkpoints import checkpoint_to_resume
from distilhubert_ko.training.clips import Clips
from distilhubert_ko.training.crops import CroppedClips
from distilhubert_ko.training.memory import keep_freed_memory
from distilhubert_ko.training.resuming import find_changes
from distilhubert_ko.training.sampling import evaluation_order
from distilhubert_ko.training.trainer import RecipeTrainer

UNUSED = (
    ("training", "head_learning_rate"),
    ("training", "head_only_steps"),
    ("training", "ema_decay"),
    ("training", "early_stopping_patience"),
    ("augment", "splice_prob"),
    ("model", "mask_time_prob"),
    ("model", "mask_feature_prob"),
    ("teaching", "teacher"),
)
"""Keys of a recipe that fine-tuning uses and distillation does not."""
NO_LABELS = Tokenizer("syllables", (Tokenizer.blank_token, Tokenizer.unknown_token, "|"))


@ranks.together()
def distill(config: recipe.Recipe, out: Path, *, resume: bool = False) -> dict[str, Any]:
    """Distil the recipe's teacher into its model, and write the student with the lowest loss to `out`.

    The last one is in `out`/last. Return what is in `out`/distill.json. The student gets raw waves, also where the
    teacher's are normalised: fine-tuning and recognition do not normalise either. Without `resume` the folder must be
    new or empty; with it, training resumes from the last whole checkpoint there. Raises InputError for a folder that is
    not so, RecipeError and ModelError for a teacher or a student that is not possible, CorpusError and AudioError for
    clips that cannot be decoded, TrainingError where training goes wrong or the disk is full, and
    InterruptedTrainingError after SIGINT.
    """
    started = time.monotonic()
    keep_freed_memory()
    transformers_logging.disable_progress_bar()
    last = ranks.from_leader(lambda: checkpoint_to_resume(out, resume))
    changes = find_changes(config, out, last)
    _check(config)
    folder = model_folder.resolve(config.distill.teacher)
    teacher = Teacher(folder, config.distill.layers)
    splits = {
        name: read_unlabelled(getattr(config.data, name), config, measured=name == "eval") for name in ("train", "eval")
    }
    account = SplitsRecord(splits={name: split.summary() for name, split in splits.items()})
    check_unchanged(out, account.splits, resumed=last is not None)
    for name, summary in account.splits.items():
        ranks.announce(describe_split(name, summary))
    torch.manual_seed(config.training.seed)
    network = _student_network(config.model)
    _check_heads(config.distill, network, teacher)
    from_teacher = config.distill.initialise == "teacher"
    initialised = student.copy_teacher_weights(network, teacher.network) if from_teacher else []
    unlike = student.config_differences(network, teacher.network) if initialised else []
    ranks.announce(student.describe_parts(initialised) or f"student: model.pretrained = {config.model.pretrained}")
    if unlike:
        ranks.announce(f"not as in the teacher: {', '.join(unlike)}")
    if teacher.normalises:
        ranks.announce("waves are normalised for the teacher (do_normalize) and not for the student, here and later on")
    pupil = Student(network, len(teacher.layers), teacher.width, each=config.distill.heads == "each")
    trainer = DistillTrainer(config, teacher, pupil, splits, out)

    if ranks.leads():
        recipe.save_recipe(config, out / model_folder.RECIPE)
        writing.write_json(out / model_folder.DATA, account.to_dict())
    ranks.require_visible(out / model_folder.RECIPE)
    trainer.run(last, changes)
    if ranks.leads():
        _save_students(trainer, out)
    report = {
        "teacher": config.distill.teacher,
        "initialised": [dataclasses.asdict(part) for part in initialised],
        "unlike_teacher": unlike,
        "heads": config.distill.heads,
        "teacher_normalises": teacher.normalises,
        **trainer.account(resumed=resume, seconds=round(time.monotonic() - started, 1)),
        "teacher_revision": model_folder.revision(folder),
        "teacher_parameters": sum(parameter.numel() for parameter in teacher.network.base_model.parameters()),
        "data": account.to_dict()["splits"],
        "versions": {name: importlib.metadata.version(name) for name in ("transformers", "torch", "accelerate")},
    }
    if ranks.leads():
        writing.write_json(out / model_folder.DISTILLATION, report)
    return report


def _student_network(config: recipe.Model) -> CtcNetwork:
    """Return the network of the student. Raises RecipeError for a Whisper."""
    network = build_network(config, NO_LABELS)
    if not isinstance(network, PaddingSafeForCTC):
        raise RecipeError(
            f"model.pretrained {config.pretrained} is a Whisper, and distillation makes a DistilHuBERT: set "
            'model.pretrained = "random", or train the Whisper itself with `distilhubert-ko train`'
        )
    return network


def _check_heads(config: recipe.Distill, network: CtcNetwork, teacher: Teacher) -> None:
    """Raise RecipeError where each layer of the student is to have a target, and there are more or fewer."""
    depth, targets = network.config.num_hidden_layers, [*teacher.layers]
    if config.heads == "each" and len(targets) != depth:
        raise RecipeError(
            f'distill.heads is "each", but there are {len(targets)} targets {targets} for {depth} layers of the '
            "student: name one layer of the teacher for each in distill.layers, or set model.num_hidden_layers"
        )


def _save_students(trainer: "DistillTrainer", out: Path) -> None:
    """Write the last student and the best."""
    network = trainer.pupil.network
    with failures.in_writing("the student", out):
        save_network(network, out / model_folder.LAST)
        if best := trainer.best_checkpoint():
            trainer.pupil.load_state_dict(load_file(best / model_folder.WEIGHTS))
        save_network(network, out)


def _check(config: recipe.Recipe) -> None:
    for section, key in UNUSED:
        value = getattr(getattr(config, section), key)
        if value:
            raise RecipeError(
                f"{section}.{key} is {value}, but distillation does not use it: leave it out, or set it to "
                f"{type(value)()!r}"
            )
    if config.training.report == "last":
        raise RecipeError(
            "training.report is 'last', but distillation keeps the student with the lowest loss, and the last one in "
            "`last`: leave it out"
        )
    if not config.distill.teacher:
        raise RecipeError(
            "distill.teacher is missing: name a HuBERT, wav2vec 2.0 or Whisper model, a folder or a Hub id"
        )
    if config.distill.initialise == "teacher" and config.model.pretrained != "random":
        raise RecipeError(
            f'model.pretrained is "{config.model.pretrained}" and the weights are to come from the teacher: set '
            'model.pretrained = "random" and the student\'s widths in [model], or distill.initialise = "model"'
        )


class DistillTrainer(RecipeTrainer):
    """Trainer of a Student on the outputs of a Teacher for the same waves."""

    def __init__(self, config: recipe.Recipe, teacher: Teacher, pupil: Student, splits: dict[str, Split], out: Path):
        self.teacher, self.pupil = teacher, pupil
        evaluated = evaluation_order(splits["eval"].examples)
        super().__init__(
            config,
            out,
            pupil,
            CroppedClips(
                *(splits["train"].examples, NO_LABELS, config.augment, None, config.training.seed, config.data),
                seconds=config.distill.crop_seconds,
            ),
            Clips(evaluated, NO_LABELS),
            "loss",
            progress.TrainingBar(splits["train"].hours, "loss", "validation"),
            [pupil.network.grid, teacher.network.grid],
        )
        self.teacher.to(self.args.device)

    def account(self, *, resumed: bool, seconds: float) -> dict[str, Any]:
        """Return what distill.json says of the finished run itself."""
        return {
            **self.losses(self.state.best_global_step or self.state.global_step),
            "total_steps": self.state.global_step,
            "ranks": self.args.world_size,
            "resumed": resumed,
            "unreadable": self.clips.unreadable(),
            "unfit": self.clips.unfit(),
            "seconds": seconds,
            "precision": self.precision,
            "device": str(self.args.device),
            "parameters": sum(parameter.numel() for parameter in self.pupil.network.base_model.parameters()),
        }

    def losses(self, step: int) -> dict[str, Any]:
        """Return what the evaluation at `step` found, as distill.json has it."""
        found = next(line for line in self.state.log_history if line["step"] == step and "eval_loss" in line)
        layers = {
            str(layer): {term: found[f"eval_{term}_{layer}"] for term in ("l1", "cosine")}
            for layer in self.teacher.layers
        }
        return {"best_step": step, "eval_loss": found["eval_loss"], "layers": layers}

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Return both terms averaged over the batch's valid frames, weighted and added, then averaged over the layers.

        The paper sums over layers and frames; S3PRL's distiller averages, as here, but over padded frames, too.
        """
        terms, frames = self._distances(model, inputs)
        means = terms.sum(0) / frames.sum()
        return (means[:, 0] + self.recipe.distill.cosine_weight * means[:, 1]).mean() / self.parts.frames

    def _distances(self, model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the sums (batch, layers, 2) of `student.layer_distances`, and frames (batch,)."""
        waves, lengths = inputs["input_values"], inputs["lengths"]
        with self.accelerator.autocast():  # in the student's precision
            targets = self.teacher(waves, lengths)
        predictions = model(waves, lengths)
        frames = min(predictions[0].shape[1], targets[0].shape[1])
        valid = student.common_frames([self.pupil.network, self.teacher.network], frames, lengths)
        predictions, targets = ([each[:, :frames] for each in layers] for layers in (predictions, targets))
        return student.layer_distances(predictions, targets, valid), valid.sum(1)

    def prediction_step(
        self, model: Any, inputs: dict[str, Tensor], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[None, Tensor, Tensor]:
        """Return each clip's sums and frames, and no loss, which the Trainer would average over batches."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            terms, frames = self._distances(model, inputs)
        return None, terms, frames

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        means = np.asarray(prediction.predictions, dtype=float).sum(0) / np.sum(prediction.label_ids)
        loss = (means[:, 0] + self.recipe.distill.cosine_weight * means[:, 1]).mean()
        named = {
            f"{term}_{layer}": float(value)
            for layer, pair in zip(self.teacher.layers, means, strict=True)
            for term, value in zip(("l1", "cosine"), pair, strict=True)
        }
        return {"loss": float(loss)} | named

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the student and its heads as safetensors; the Trainer's own method adds its arguments as a pickle."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_file(state_dict or self.pupil.state_dict(), folder / model_folder.WEIGHTS, {"format": "pt"})
