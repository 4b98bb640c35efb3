"""Fine-tuning with CTC: a recipe in, a model folder out, through transformers.Trainer."""

import dataclasses
import importlib.metadata
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerState
from transformers.trainer_utils import EvalPrediction
from transformers.utils import logging as transformers_logging

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.account import describe_data
from distilhubert_ko.data.dataset import Dataset, check_unchanged, prepare_dataset
from distilhubert_ko.data.examples import Example, Split
from distilhubert_ko.data.fitness import has_enough_frames
from distilhubert_ko.errors import CorpusError, RecipeError
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.files import writing
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.frame_teacher import FrameTeacher
from distilhubert_ko.model.loading import build_network, load_network, model_type
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.model.whisper import PaddingSafeWhisperForCTC
from distilhubert_ko.model_folder import TrainingRecord
from distilhubert_ko.training import failures, optimizer, progress, ranks
from distilhubert_ko.training.callbacks import Averaging, BlankCollapse, EarlyStopping
from distilhubert_ko.training.checkpoints import checkpoint_to_resume
from distilhubert_ko.training.clips import AugmentedClips, Clips
from distilhubert_ko.training.consistency import disagreement, two_views
from distilhubert_ko.training.memory import keep_freed_memory
from distilhubert_ko.training.resuming import find_changes
from distilhubert_ko.training.sampling import evaluation_order
from distilhubert_ko.training.splice import CUTS, Splicer, read_or_find_cuts
from distilhubert_ko.training.trainer import RecipeTrainer


@dataclass(frozen=True)
class FineTuned:
    """The folder that a run wrote its model to, and the corpus to test it on, which the run has read already."""

    folder: Path
    test: Split


@ranks.together()
def fine_tune(config: recipe.Recipe, out: Path, *, resume: bool = False) -> FineTuned:
    """Train a recipe, and write the model to `out`: the best with the last in `out`/last, or the reverse in `out`/best.

    Without `resume` the folder must be new or empty; with it, training resumes from the last whole checkpoint there.
    Of several ranks the first writes; all return when it has written. Raises InputError for a folder that is not so,
    CorpusError and AudioError for clips that cannot be decoded, TrainingError where training goes wrong or the disk is
    full, and InterruptedTrainingError after SIGINT.
    """
    started = time.monotonic()
    keep_freed_memory()
    transformers_logging.disable_progress_bar()  # of saving and loading; training has its own
    last = ranks.from_leader(lambda: checkpoint_to_resume(out, resume))
    changes = find_changes(config, out, last)
    if config.model.pretrained != "random":
        model_type(config.model.pretrained)  # a Hub id's config is in the cache from now on, and says which frames
    data = prepare_dataset(config)
    account = data.report()
    check_unchanged(out, account.splits, resumed=last is not None)
    ranks.announce(describe_data(account))
    torch.manual_seed(config.training.seed)
    trainer = CtcTrainer(config, data, out)

    # Not before there is a model: a run that cannot start leaves no folder behind, which would block the next try.
    if ranks.leads():
        recipe.save_recipe(config, out / model_folder.RECIPE)
        writing.write_json(out / model_folder.DATA, account.to_dict())
    ranks.require_visible(out / model_folder.RECIPE)
    trainer.run(last, changes)
    if ranks.leads():
        _save_models(trainer, out)
        record = trainer.record(resumed=resume, train_seconds=round(time.monotonic() - started, 1))
        writing.write_json(out / model_folder.TRAINING, dataclasses.asdict(record))
    return FineTuned(out, data.test)


def _save_models(trainer: "CtcTrainer", out: Path) -> None:
    """Write the last model and the best, of which the recipe says which one is the model of the folder."""
    last, best = out / model_folder.LAST, out
    if trainer.recipe.training.report == "last":
        last, best = out, out / model_folder.BEST
    with failures.in_writing("the model", out):
        with trainer.averaged():
            save_network(trainer.network, last, trainer.tokenizer)
        save_network(trainer.best(), best, trainer.tokenizer)


class CtcTrainer(RecipeTrainer):
    """Trainer of a CTC network, scored by CER, that stops when training has gone wrong."""

    def __init__(self, config: recipe.Recipe, data: Dataset, out: Path):
        self.tokenizer = data.tokenizer
        network = build_network(config.model, data.tokenizer)
        examples = [
            example for example in data.eval.examples if has_enough_frames(example, data.tokenizer, network.grid)
        ]
        examples = evaluation_order(examples)
        self.references = [example.text for example in examples]
        _check_longest(config, network, examples)
        self.teacher = FrameTeacher(config.teaching, data.tokenizer) if config.teaching.teacher else None
        super().__init__(
            config,
            out,
            network,
            _training_clips(config, data, out),
            Clips(examples, data.tokenizer),
            "cer",
            progress.TrainingBar(data.train.hours),
            [network.grid, *([self.teacher.network.grid] if self.teacher else [])],
        )
        decay = config.training.ema_decay  # not before the network is where it is trained
        self.average = optimizer.WeightAverage(network, decay) if decay else None
        if self.teacher:
            self.teacher.to(self.args.device)
        self.add_callback(BlankCollapse(config.training.blank_evaluations))
        if config.training.early_stopping_patience:
            self.add_callback(EarlyStopping(config.training.early_stopping_patience))
        if self.average:
            self.add_callback(Averaging(self.average, lambda: self.accelerator.optimizer_step_was_skipped))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return CTC's loss with what the recipe adds to it; evaluation measures CTC's loss alone."""
        weight = self.recipe.training.consistency_weight
        if weight:
            inputs = two_views(inputs)
        loss, output = super().compute_loss(model, inputs, True, num_items_in_batch)
        if weight:
            frames = self.network.frame_lengths(inputs["lengths"])
            loss = loss + weight * disagreement(output.logits, frames, inputs["labels"])
        loss = loss / self.parts.clips
        if self.teacher:
            waves, lengths = inputs["input_values"], inputs["lengths"]
            with self.accelerator.autocast():  # in the student's precision
                loss = self.teacher.mixed(self.network, loss, output.logits, waves, lengths, self.parts.frames)
        return (loss, output) if return_outputs else loss

    def record(self, *, resumed: bool, train_seconds: float) -> TrainingRecord:
        """Return what training.json says of a finished run."""
        return TrainingRecord(
            best_step=self.state.best_global_step or self.state.global_step,
            total_steps=self.state.global_step,
            ranks=self.args.world_size,
            unreadable=self.clips.unreadable(),
            unfit=self.clips.unfit(),
            precision=self.precision,
            device=str(self.args.device),
            pretrained_revision=model_folder.revision(self.recipe.model.pretrained),
            pretrained_is_folder=Path(self.recipe.model.pretrained).is_dir(),
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            hidden_size=self.network.config.hidden_size,
            num_hidden_layers=self.network.config.num_hidden_layers,
            versions={name: importlib.metadata.version(name) for name in ("transformers", "torch", "accelerate")},
            resumed=resumed,
            train_seconds=train_seconds,
            report=self.recipe.training.report,
        )

    def _has_ended(self, state: TrainerState) -> bool:
        patience = self.recipe.training.early_stopping_patience
        return bool(patience) and EarlyStopping(patience).reached(state)

    def averaged(self) -> AbstractContextManager[None]:
        """Give the network its averaged weights within the block, where the recipe asks for an average."""
        return self.average.applied() if self.average else nullcontext()

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with self.averaged():
            return super().evaluate(*args, **kwargs)

    def best(self) -> CtcNetwork:
        """Return the network of the checkpoint with the lowest CER, or the last one where nothing was evaluated."""
        if (folder := self.best_checkpoint()) is None:
            if self.average:
                self.network.load_state_dict(self.average.weights)
            return self.network
        network = load_network(folder)
        if self.average:
            network.load_state_dict(optimizer.read_average(folder))
        return network

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write config and safetensors; the Trainer's own method adds its arguments as a pickle."""
        folder = output_dir or str(self.args.output_dir)
        self.network.save_pretrained(folder, state_dict=state_dict)
        if self.average:
            self.average.save(Path(folder))

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(checkpoint, model)
        if self.average:
            self.average.load(Path(checkpoint), int(checkpoint.rpartition("-")[2]))

    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[None, tuple[Tensor, Tensor], Tensor]:
        """Return the best token of each frame (the blank in the padding), the loss of each clip, and labels.

        There is no loss of the batch: the Trainer would average those, however many clips each has.
        """
        inputs = self._prepare_inputs(inputs)
        labels = inputs["labels"]
        with torch.no_grad(), self.compute_loss_context_manager():
            logits = model(inputs["input_values"], inputs["lengths"]).logits
        frames = self.network.frame_lengths(inputs["lengths"])
        losses = self.network.losses(logits, frames, labels, "none") / (labels >= 0).sum(1).clamp(min=1)
        best = logits.argmax(-1)
        padding = torch.arange(best.shape[1], device=best.device) >= frames[:, None]
        return None, (best.masked_fill(padding, self.tokenizer.blank_id), losses.float()), labels

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        counts = metrics.ErrorCounts()
        said = 0
        predictions: Any = prediction.predictions
        best, losses = predictions
        for row, reference in zip(best, self.references, strict=True):
            # -100 is what the Trainer pads rows of different batches with.
            row = row[row >= 0]
            ids = row[(row != self.tokenizer.blank_id) & (row != [-1, *row[:-1]])]
            said += len(ids)
            counts += metrics.characters(reference, self.tokenizer.decode(ids.tolist()))
        loss = float(losses.mean(dtype=float))
        return {"loss": loss, "cer": counts.rate, "said": said / max(1, len(self.references))}


def _training_clips(config: recipe.Recipe, data: Dataset, out: Path) -> AugmentedClips:
    examples, augment, splicer = data.train.examples, config.augment, None
    if augment.splice_prob:
        cuts = ranks.from_leader(lambda: read_or_find_cuts(out / CUTS, augment.splice_model, examples))
        splicer = Splicer(examples, cuts)
    return AugmentedClips(examples, data.tokenizer, augment, splicer, config.training.seed, config.data, data.grid)


def _check_longest(config: recipe.Recipe, network: CtcNetwork, evaluated: Sequence[Example]) -> None:
    """Raise RecipeError where a training clip may be longer, when slowed down, than the network takes.

    Raise CorpusError where a clip of the evaluation is longer.
    """
    if not isinstance(network, PaddingSafeWhisperForCTC):
        return
    limit, slowest = network.longest / SAMPLE_RATE, min(config.augment.speeds)
    longest = config.data.max_seconds / slowest
    if longest > limit:
        slowed = f", played at {slowest} of its speed {longest:.1f} s," if slowest < 1 else ""
        raise RecipeError(
            f"data.max_seconds {config.data.max_seconds:g}{slowed} is more than the {limit:g} s that Whisper's encoder "
            f"takes: set data.max_seconds = {limit * min(1.0, slowest):g}"
        )
    long = [example.utterance for example in evaluated if example.utterance.seconds > limit]
    if long:
        raise CorpusError(
            f"{len(long)} clips of data.eval are longer than the {limit:g} s that Whisper's encoder takes, e.g. "
            f"{long[0].id} ({long[0].seconds:.1f} s): name a corpus without them, or cut them"
        )
