"""The trainer of a recipe, whatever network it trains: batches over ranks, optimizer, checkpoints, ways to stop."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerState
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalPrediction, set_seed

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.audio.frames import FrameGrid
from distilhubert_ko.errors import InputError, TrainingError
from distilhubert_ko.files import writing
from distilhubert_ko.training import failures, optimizer, progress, ranks, resuming
from distilhubert_ko.training.arguments import training_arguments, training_precision
from distilhubert_ko.training.callbacks import BeginHook, EpochAnnouncer, StopOnInterrupt
from distilhubert_ko.training.checkpoints import (
    CHECKPOINTS,
    TEMPORARY,
    checkpoint_fault,
    checkpoint_folder,
    delete_old_checkpoints,
    new_checkpoint,
)
from distilhubert_ko.training.clips import WIDTH, AugmentedClips, Clips, collate
from distilhubert_ko.training.loss_watch import LossWatch
from distilhubert_ko.training.sampling import BucketSampler, RankBatches, RowGroupSampler, row_groups

WORKERS = min(8, os.cpu_count() or 1)  # that decode where a corpus does not fit in memory, and augment for a GPU


class InterruptedTrainingError(TrainingError):
    """Training was stopped by SIGINT; everything is saved."""

    exit_code = 130


@dataclass(frozen=True)
class BatchTotals:
    """Clips of a batch, or of all batches of an optimizer step, and the encoder's frames of them."""

    clips: float
    frames: float


class RecipeTrainer(Trainer):
    """Trains a network on clips, with the loss of a subclass. The best checkpoint is the lowest in `metric`.

    Where several ranks train, their batches are one batch, as accumulated ones are. Gradients are averaged over ranks
    and added up over accumulated batches. compute_loss divides its means by `parts`, so that they come to the
    gradients of one large batch, however uneven its parts are.
    """

    loss_is_scaled_for_ga = True
    optimizer: torch.optim.Optimizer | None

    def __init__(
        self,
        config: recipe.Recipe,
        out: Path,
        network: nn.Module,
        clips: AugmentedClips,
        evaluated: Clips,
        metric: str,
        bar: progress.TrainingBar,
        grids: Sequence[FrameGrid],
    ):
        self.recipe = config
        self.network: Any = network
        self.clips, self.evaluated = clips, evaluated
        self.bar = bar
        self.grids = grids  # of the networks whose frames a loss compares
        self.parts = BatchTotals(1, 1)
        self._step = BatchTotals(0, 0)
        self._left_out = 0  # clips that every rank knows of
        self._resumed: Path | None = None
        self._changes: list[resuming.Change] = []
        self._temporary: Path | None = None  # where checkpoints are written, while one is being written
        self.precision = training_precision(config.training)
        workers = 0 if clips.cached and not torch.cuda.is_available() else WORKERS
        super().__init__(
            model=network,
            args=training_arguments(config.training, out / CHECKPOINTS, self.precision, workers, metric),
            data_collator=collate,
            train_dataset=clips,
            eval_dataset=evaluated,
            compute_metrics=self._compute_metrics,
        )
        self.loss_watch = LossWatch(late=self.args.device.type == "cuda")
        if self.args.process_index:  # other dropout and masks than in rank 0; the weights are its own
            set_seed(self.args.seed + self.args.process_index)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        for callback in (bar, EpochAnnouncer(clips), BeginHook(self._begin)):
            self.add_callback(callback)
        if ranks.leads():
            self.add_callback(progress.TrainingLogFile(out / model_folder.LOG))
            self.add_callback(TensorBoardCallback(SummaryWriter(str(out / "runs"))))

    def run(self, checkpoint: str | None, changes: Sequence[resuming.Change] = ()) -> None:
        """Train to the end, from a checkpoint if one is named, with what the recipe changes from there on.

        The first SIGINT saves a checkpoint at the end of the step and raises InterruptedTrainingError; the second stops
        at once. Raises TrainingError for a full disk and for a process of the data loader that dies. Raises CorpusError
        where too many clips cannot be decoded, AudioError where one of the evaluation cannot, and InputError for a
        checkpoint of another number of ranks.
        """
        self._resumed, self._changes = (Path(checkpoint) if checkpoint else None), list(changes)
        if checkpoint:
            self._check_ranks(Path(checkpoint))
        if checkpoint and self._has_ended(state := TrainerState.load_from_json(str(Path(checkpoint) / resuming.STATE))):
            self._load_from_checkpoint(checkpoint)
            self.state = state
            self.forget_corrupt_best()
            if ranks.leads():
                writing.write_text(self.home.parent / model_folder.LOG, model_folder.log_text(state.log_history))
            return
        if self.clips.cached and self.args.dataloader_num_workers:
            self.clips.decode()
        if self.evaluated.cached:
            for index in range(len(self.evaluated)):
                self.evaluated.wave(index)  # or one that cannot be decoded ends the run at its first evaluation
        stop = StopOnInterrupt(self.summed)
        self.add_callback(stop)
        with stop.watching(), failures.in_training():
            try:
                self.train(resume_from_checkpoint=checkpoint)
            finally:
                self.bar.stop()
        if stop.interrupted:
            raise InterruptedTrainingError(
                f"stopped at step {self.state.global_step} of {self.state.max_steps}, which is saved; "
                "rerun the same command with --resume to continue"
            )

    @property
    def home(self) -> Path:
        """Return the folder of the checkpoints."""
        return Path(str(self.args.output_dir))

    def best_checkpoint(self) -> Path | None:
        """Return the checkpoint that was best when evaluated, or None where nothing was."""
        best = self.state.best_global_step
        return checkpoint_folder(self.home, best) if best else None

    def forget_corrupt_best(self) -> None:
        """Stop counting a best checkpoint that is corrupt, when a run resumes; later evaluations find another."""
        best = self.best_checkpoint()
        if best and (reason := checkpoint_fault(best)):
            ranks.announce(f"{best.name}, the best so far, is corrupt ({reason}): it no longer counts")
            self.state.best_global_step = self.state.best_metric = None

    def _begin(self) -> None:
        """Put a resumed run into the state in which it was, and log what its recipe changes."""
        self.forget_corrupt_best()
        if self._resumed and (pending := resuming.read_pending(self._resumed)):
            self._tr_loss += pending[0]
            self._globalstep_last_logged = pending[1]
        if self._changes:
            self.state.log_history.append(resuming.log_changes(self._changes, self.state.global_step))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load what a checkpoint has, but for the settings that the recipe changes."""
        assert self.optimizer is not None, "the Trainer has made it"
        assert self.lr_scheduler is not None
        settings = resuming.group_settings(self.optimizer)
        super()._load_optimizer_and_scheduler(checkpoint)
        if self._changes:
            resuming.keep_new_settings(self.optimizer, self.lr_scheduler, settings)

    def _check_ranks(self, checkpoint: Path) -> None:
        """Raise InputError unless as many ranks saved the checkpoint as there are now.

        Each rank has its random numbers there, and the number of ranks changes what a step is.
        """
        saved = len([*checkpoint.glob("rng_state*.pth")])
        if saved != self.args.world_size:
            raise InputError(
                f"{checkpoint} was saved by {saved} processes, but this run has {self.args.world_size}: resume with "
                f"{saved}"
            )

    def _has_ended(self, state: TrainerState) -> bool:
        """Return whether a run in this state is over, before its last step."""
        return False

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        raise NotImplementedError

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._temporary or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save as the Trainer does, but to a temporary folder, and delete no other before this one is whole.

        The state names no path, so that a run's folder can be moved: `best_checkpoint` goes by the step.
        """
        step, saves = self.state.global_step, self.args.should_save
        with failures.in_writing(f"the checkpoint of step {step}", self.home):
            with new_checkpoint(self.home, step) if saves else nullcontext():
                self.accelerator.wait_for_everyone()
                self._temporary = self.home / TEMPORARY
                try:
                    super()._save_checkpoint(model, trial)
                    self.state.best_model_checkpoint = None
                    if saves:
                        begun = checkpoint_folder(self._temporary, step)
                        self.state.save_to_json(str(begun / resuming.STATE))
                        recipe.save_recipe(self.recipe, begun / model_folder.RECIPE)
                        resuming.save_pending(begun, float(self._tr_loss), self._globalstep_last_logged)
                finally:
                    self._temporary = None
                self.accelerator.wait_for_everyone()  # each has its random numbers in it
            if saves:
                delete_old_checkpoints(self.home, self.state.best_global_step)

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Load the scaler of fp16's gradients if this run has one: it may resume a run of another precision."""
        if self.accelerator.scaler is not None:
            super()._load_scaler(checkpoint)

    def get_train_dataloader(self) -> DataLoader:
        """Return a loader of this rank's batches; accelerate's would repeat clips until all ranks have as many."""
        args = self.args
        sampler: Any = self._get_train_sampler(self.clips)
        loader: DataLoader = DataLoader(
            self.clips,
            batch_sampler=RankBatches(sampler, args.train_batch_size, args.process_index, args.world_size),
            collate_fn=collate,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
        )
        return prepare_data_loader(
            loader,
            args.device,
            num_processes=1,  # for accelerate, which has nothing to divide any more
            process_index=0,
            put_on_device=False,  # before its step: what a batch holds is counted here, without waiting for the GPU
            use_seedable_sampler=True,
            data_seed=args.seed,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        buckets = self.recipe.training.length_buckets
        batch_size = self.args.train_batch_size * self.args.world_size
        groups = row_groups(self.clips.examples)
        if any(groups):
            lengths = [example.samples for example in self.clips.examples]
            return RowGroupSampler(groups, lengths if buckets else None, batch_size, self.args.seed)
        if not buckets:
            return super()._get_train_sampler(train_dataset)
        return BucketSampler(len(self.clips), self.clips.samples, batch_size, self.args.seed)

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """Return the batches of an optimizer step, after the ranks have told each other what theirs hold."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        sizes = [self._totals(batch) for batch in batches]
        clips, frames = sum(size.clips for size in sizes), sum(size.frames for size in sizes)
        found = float(self.clips.left_out.sum()) - self._left_out
        clips, frames, found = self.summed(clips, frames, found)
        self._step = BatchTotals(clips, frames)
        if found:
            known = self.accelerator.reduce(self.clips.left_out.to(device, torch.int32), "sum").cpu() > 0
            self.clips.left_out[known] = True
            self._left_out = int(known.sum())
        return batches, items

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss of a batch, averaged over the ranks, so that all stop where one of them is not finite."""
        self.clips.check()
        own, step, processes = self._totals(inputs), self._step, self.args.world_size
        if own.clips:
            self.parts = BatchTotals(step.clips / (own.clips * processes), step.frames / (own.frames * processes))
        else:  # the others wait for its gradients: zeros
            self.parts = BatchTotals(math.inf, math.inf)
            inputs = _silent_batch()
        inputs = send_to_device(inputs, self.args.device, non_blocking=True)
        loss = self.accelerator.reduce(super().training_step(model, inputs, *args, **kwargs), "mean")
        self.loss_watch.add(loss, self.state.global_step)
        return loss

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        """Log, evaluate and save nothing of a run that has gone wrong."""
        if self.control.should_log or self.control.should_evaluate or self.control.should_save:
            self.loss_watch.check()
        super()._maybe_log_save_evaluate(*args, **kwargs)

    def _totals(self, batch: dict[str, Tensor]) -> BatchTotals:
        """Return the totals of a batch that `collate` made, in the host's memory."""
        lengths = batch["lengths"].numpy()
        frames = np.min([grid.count(lengths) for grid in self.grids], axis=0)
        return BatchTotals(len(lengths), int(np.sum(frames)))

    def summed(self, *values: float) -> list[float]:
        """Return each value summed over the ranks, which all must call this."""
        if self.args.world_size == 1:
            return [*values]
        told = torch.tensor(values, dtype=torch.float64, device=self.args.device)
        summed: list[float] = self.accelerator.reduce(told, "sum").tolist()
        return summed

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            decayed = self.get_decay_parameter_names(self.network)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.network)
            self.optimizer = kind(optimizer.parameter_groups(self.network, self.recipe.training, decayed), **options)
        return super().create_optimizer(model)

    def create_scheduler(
        self, num_training_steps: int, optimizer_: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        self.lr_scheduler = optimizer.rate_schedule(self.create_optimizer(), self.recipe.training, num_training_steps)
        return self.lr_scheduler


def _silent_batch() -> dict[str, Tensor]:
    """Return a batch of one silent clip, for a rank that has none."""
    return collate([{"wave": np.zeros(WIDTH, dtype=np.float32), "labels": np.zeros(0, dtype=np.int64)}])
