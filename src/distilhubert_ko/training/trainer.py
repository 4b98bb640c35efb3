"""The trainer of a recipe, whatever it trains: its batches, optimizer and schedule, a bar, a log, and ways to stop."""

import ctypes
import math
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalPrediction, set_seed

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.audio.frames import FRAMES
from distilhubert_ko.errors import InputError, TrainingError
from distilhubert_ko.files import writing
from distilhubert_ko.training import checkpoints, failures, optimizer, progress, ranks
from distilhubert_ko.training.clips import WIDTH, AugmentedClips, BucketSampler, Clips, Shares, collate
from distilhubert_ko.training.sampling import RowGroupSampler, row_groups
from distilhubert_ko.training.splice import CUTS

CHECKPOINTS = "checkpoints"
STATE = "trainer_state.json"  # of a checkpoint, by Transformers' name
FIRST = {CHECKPOINTS, CUTS, model_folder.RECIPE, model_folder.DATA, model_folder.LOG, "runs"}
"""All that a run leaves before its first checkpoint."""
WORKERS = min(4, os.cpu_count() or 1)  # that decode audio where a corpus does not fit in memory


class InterruptedTrainingError(TrainingError):
    """Training was stopped by SIGINT; everything is saved."""

    exit_code = 130


@dataclass(frozen=True)
class Size:
    """What a batch holds, or all batches of an optimizer step: clips, and the encoder's frames of them."""

    clips: float
    frames: float


class RecipeTrainer(Trainer):
    """Trains a network on clips; what that means, a subclass says. The best checkpoint is the lowest in `metric`.

    Where several ranks train, the batches of all are one batch, as the accumulated ones are: `parts` says by what
    compute_loss divides its means, so that the gradients that are averaged over ranks and added up over accumulated
    batches come to those of one large batch, however uneven its parts are.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        config: recipe.Recipe,
        out: Path,
        network: nn.Module,
        clips: AugmentedClips,
        evaluated: Clips,
        metric: str,
        bar: progress.Bar,
    ):
        self.recipe = config
        self.network: Any = network
        self.clips, self.evaluated = clips, evaluated
        self.bar = bar
        self.interrupted = False
        self.parts = Size(1, 1)
        self._step = Size(0, 0)
        self._left_out = 0  # clips that every rank knows of
        self._aside: Path | None = None  # where checkpoints are written while one is
        self.precision = precision(config.training)
        super().__init__(
            model=network,
            args=_arguments(config.training, out, self.precision, 0 if clips.cached else WORKERS, metric),
            data_collator=collate,
            train_dataset=clips,
            eval_dataset=evaluated,
            compute_metrics=self._compute_metrics,
        )
        if self.args.process_index:  # other dropout and masks than in rank 0; the weights are its own
            set_seed(self.args.seed + self.args.process_index)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        for callback in (bar, _Epochs(clips), _Best(self)):
            self.add_callback(callback)
        if ranks.leads():
            self.add_callback(progress.LogFile(out / model_folder.LOG))
            self.add_callback(TensorBoardCallback(SummaryWriter(str(out / "runs"))))

    def run(self, checkpoint: str | None) -> None:
        """Trains to the end, from a checkpoint if one is named.

        The first SIGINT saves a checkpoint at the end of the step and raises InterruptedTrainingError; the second stops
        at once. Raises TrainingError for a full disk and for a process of the data loader that dies, CorpusError where
        too many clips cannot be decoded, AudioError where one of the evaluation cannot, InputError for a checkpoint of
        another number of ranks.
        """
        if checkpoint:
            self._check_ranks(Path(checkpoint))
        if checkpoint and self._has_ended(state := TrainerState.load_from_json(str(Path(checkpoint) / STATE))):
            self._load_from_checkpoint(checkpoint)
            self.state = state
            self.forget_torn_best()
            if ranks.leads():
                writing.write_text(self.home.parent / model_folder.LOG, model_folder.log_text(state.log_history))
            return
        if self.evaluated.cached:
            for index in range(len(self.evaluated)):
                self.evaluated.wave(index)  # or one that cannot be decoded ends the run at its first evaluation
        with _saved_on_interrupt(self), failures.in_training():
            try:
                self.train(resume_from_checkpoint=checkpoint)
            finally:
                self.bar.stop()
        if self.interrupted:
            raise InterruptedTrainingError(
                f"stopped at step {self.state.global_step} of {self.state.max_steps}, which is saved; "
                f"go on with the same command and --resume"
            )

    @property
    def home(self) -> Path:
        """The folder of the checkpoints."""
        return Path(str(self.args.output_dir))

    def best_checkpoint(self) -> Path | None:
        """The checkpoint that was best when evaluated, or None where nothing was."""
        best = self.state.best_global_step
        return checkpoints.folder(self.home, best) if best else None

    def forget_torn_best(self) -> None:
        """To be called when a run goes on, so that no damaged model is its result; later evaluations find another."""
        best = self.best_checkpoint()
        if best and (reason := checkpoints.fault(best)):
            ranks.say(f"{best.name}, the best so far, is torn ({reason}): it is not counted any more")
            self.state.best_global_step = self.state.best_metric = None

    def _check_ranks(self, checkpoint: Path) -> None:
        """Each rank has its random numbers there; and with another number of them, a step would be another one."""
        saved = len([*checkpoint.glob("rng_state*.pth")])
        if saved != self.args.world_size:
            raise InputError(
                f"{checkpoint} is of a run in {saved} processes, and here are {self.args.world_size}: go on with "
                "as many"
            )

    def _has_ended(self, state: TrainerState) -> bool:
        """Whether a run in this state is over, before its last step."""
        return False

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        raise NotImplementedError

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._aside or super()._get_output_dir(trial))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As the Trainer does, but aside, and without deleting another before this one is whole.

        The state names no path, so that a run's folder can be moved: `best_checkpoint` goes by the step.
        """
        step, saves = self.state.global_step, self.args.should_save
        with failures.in_writing(f"the checkpoint of step {step}", self.home):
            with checkpoints.written(self.home, step) if saves else nullcontext():
                self.accelerator.wait_for_everyone()
                self._aside = self.home / checkpoints.ASIDE
                try:
                    super()._save_checkpoint(model, trial)
                    self.state.best_model_checkpoint = None
                    if saves:
                        self.state.save_to_json(str(checkpoints.folder(self._aside, step) / STATE))
                finally:
                    self._aside = None
                self.accelerator.wait_for_everyone()  # each has its random numbers in it
            if saves:
                checkpoints.rotate(self.home, self.state.best_global_step)

    def get_train_dataloader(self) -> DataLoader:
        """This rank's shares of the batches; accelerate's would repeat clips until all ranks have as many."""
        args = self.args
        sampler: Any = self._get_train_sampler(self.clips)
        loader: DataLoader = DataLoader(
            self.clips,
            batch_sampler=Shares(sampler, args.train_batch_size, args.process_index, args.world_size),
            collate_fn=collate,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
        )
        return prepare_data_loader(
            loader,
            args.device,
            num_processes=1,  # for accelerate, which has nothing to divide any more
            process_index=0,
            put_on_device=True,
            use_seedable_sampler=True,
            data_seed=args.seed,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        buckets = self.recipe.training.length_buckets
        lengths = [example.samples for example in self.clips.examples]
        batch_size = self.args.train_batch_size * self.args.world_size
        groups = row_groups(self.clips.examples)
        if any(groups):
            return RowGroupSampler(groups, lengths if buckets else None, batch_size, self.args.seed)
        if not buckets:
            return super()._get_train_sampler(train_dataset)
        return BucketSampler(lengths, batch_size, self.args.seed)

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device) -> tuple[list, Any]:
        """The batches of an optimizer step, after the ranks have told each other what theirs hold."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        sizes = [_size(batch) for batch in batches]
        clips, frames = sum(size.clips for size in sizes), sum(size.frames for size in sizes)
        found = float(self.clips.left_out.sum()) - self._left_out
        clips, frames, found = self.summed(clips, frames, found)
        self._step = Size(clips, frames)
        if found:
            known = self.accelerator.reduce(self.clips.left_out.to(device, torch.int32), "sum").cpu() > 0
            self.clips.left_out[known] = True
            self._left_out = int(known.sum())
        return batches, items

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """A batch's part in the step, by the mean over the ranks: so each stops where one has no number for a loss."""
        self.clips.check()
        own, step, processes = _size(inputs), self._step, self.args.world_size
        if own.clips:
            self.parts = Size(step.clips / (own.clips * processes), step.frames / (own.frames * processes))
        else:  # the others wait for its gradients: zeros
            self.parts = Size(math.inf, math.inf)
            inputs = _silence()
        loss = self.accelerator.reduce(super().training_step(model, inputs, *args, **kwargs), "mean")
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step}: halve training.learning_rate, raise "
                "training.lr_scheduler_warmup_steps, or set training.mixed_precision=false"
            )
        return loss

    def summed(self, *values: float) -> list[float]:
        """Each value summed over the ranks, which all must call this."""
        if self.args.world_size == 1:
            return [*values]
        told = torch.tensor(values, dtype=torch.float64, device=self.args.device)
        summed: list[float] = self.accelerator.reduce(told, "sum").tolist()
        return summed

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            decayed = self.get_decay_parameter_names(self.network)
            kind, options = self.get_optimizer_cls_and_kwargs(self.args, self.network)
            self.optimizer = kind(optimizer.groups(self.network, self.recipe.training, decayed), **options)
        return super().create_optimizer(model)

    def create_scheduler(
        self, num_training_steps: int, optimizer_: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        self.lr_scheduler = optimizer.scheduler(self.create_optimizer(), self.recipe.training, num_training_steps)
        return self.lr_scheduler


def checkpoint(out: Path, resume: bool) -> str | None:
    """The newest whole checkpoint, to go on from; None for a fresh start, or where a run saved none yet.

    Raises InputError for a folder that is not as `resume` says, and where every checkpoint is torn.
    """
    if not resume:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out}: not empty; choose another --out, or add --resume to go on with the run there")
        return None
    home = out / CHECKPOINTS
    if home.is_dir() and (last := checkpoints.last_whole(home)):
        return str(last)
    left = {path.name for path in out.iterdir() if path.suffix != ".tmp"} if out.is_dir() else set()
    if not left or left - FIRST:
        raise InputError(f"{out}: no checkpoint to resume from; leave out --resume and choose a new --out")
    print(f"{out}: no checkpoint was saved yet: starting from the beginning", file=sys.stderr)
    return None


def keep_freed_memory() -> None:
    """Has glibc keep large freed blocks instead of returning them to the system after every operation.

    Zeroing them anew took a third of a training step on a CPU (docs/lab-notes.md).
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own mapping
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never shrink the heap


def precision(training: recipe.Training) -> str:
    if training.mixed_precision and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Without the instructions, bf16 on a CPU is emulated, several times slower than float32.
    if training.mixed_precision and torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    return "fp32"


def _arguments(training: recipe.Training, out: Path, precision: str, workers: int, metric: str) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(out / CHECKPOINTS),
        learning_rate=training.learning_rate,
        per_device_train_batch_size=training.train_batch_size,
        per_device_eval_batch_size=training.eval_batch_size,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        seed=training.seed,
        optim="adamw_torch",  # Adam where weight_decay is 0
        adam_beta1=training.adam_betas[0],
        adam_beta2=training.adam_betas[1],
        adam_epsilon=training.adam_epsilon,
        max_grad_norm=training.max_grad_norm,
        num_train_epochs=training.num_epochs,
        use_cpu=not torch.cuda.is_available(),  # else bf16 is refused on a CPU
        fp16=precision == "fp16",
        bf16=precision == "bf16",
        eval_strategy="steps",
        eval_steps=training.eval_steps,
        save_strategy="steps",
        save_steps=training.eval_steps,
        load_best_model_at_end=False,  # the last model is saved, too
        metric_for_best_model=metric,
        greater_is_better=False,
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,
        dataloader_num_workers=workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several are for several ranks; DataParallel would average wrongly
    return arguments


def _size(batch: dict[str, Tensor]) -> Size:
    """Of a batch that `collate` made."""
    lengths = batch["lengths"].cpu().numpy()
    return Size(len(lengths), int(np.sum(FRAMES.count(lengths))))


def _silence() -> dict[str, Tensor]:
    """A batch of one clip in which nothing is said, for a rank that has none."""
    return collate([{"wave": np.zeros(WIDTH, dtype=np.float32), "labels": np.zeros(0, dtype=np.int64)}])


class _Epochs(TrainerCallback):
    """Tells the clips which epoch begins, so that they sound different in each."""

    def __init__(self, clips: AugmentedClips):
        self.clips = clips

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.clips.epoch = int(state.epoch or 0)


class _Best(TrainerCallback):
    def __init__(self, trainer: RecipeTrainer):
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.trainer.forget_torn_best()


class _StopOnRequest(TrainerCallback):
    def __init__(self, trainer: RecipeTrainer):
        self.trainer = trainer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        (asked,) = self.trainer.summed(self.trainer.interrupted)  # an interrupt may have reached one rank alone
        if asked:
            self.trainer.interrupted = True
            control.should_save = True
            control.should_training_stop = True


@contextmanager
def _saved_on_interrupt(trainer: RecipeTrainer) -> Iterator[None]:
    """The first SIGINT saves a checkpoint at the end of the step and stops; the second stops at once."""

    def stop(number: int, frame: Any) -> None:
        trainer.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    trainer.add_callback(_StopOnRequest(trainer))
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
