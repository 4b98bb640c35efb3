"""Training: a recipe in, a model folder out, through transformers.Trainer."""

import ctypes
import importlib.metadata
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import EvalPrediction, get_last_checkpoint
from transformers.utils import logging as transformers_logging

from distilhubert_ko import dataset, metrics, model, optimizer, progress, recipe, teaching, training_log, writing
from distilhubert_ko.batching import AugmentedClips, BucketSampler, Clips, collate
from distilhubert_ko.errors import InputError, TrainingError
from distilhubert_ko.splice import CUTS, Splicer, read_or_find
from distilhubert_ko.text import Tokenizer

CHECKPOINTS = "checkpoints"
WORKERS = min(4, os.cpu_count() or 1)  # that decode audio where a corpus does not fit in memory


class InterruptedTrainingError(TrainingError):
    """Training was stopped by SIGINT; everything is saved."""

    exit_code = 130


def train(config: recipe.Recipe, out: Path, *, resume: bool = False) -> Path:
    """Trains the recipe and leaves the best model in `out` (the last in `out`/last); returns `out`.

    Without `resume` the folder must be new or empty; with it, training goes on from the last checkpoint there.
    Raises InputError for a folder that is not as said, TrainingError where training goes wrong, and
    InterruptedTrainingError after SIGINT.
    """
    started = time.monotonic()
    keep_freed_memory()
    transformers_logging.disable_progress_bar()  # of saving and loading; training has its own
    resumed = checkpoint(out, resume)
    data = dataset.prepare(config)
    account = data.report()
    print(dataset.describe(account), file=sys.stderr)
    torch.manual_seed(config.training.seed)
    trainer = CtcTrainer(config, data, out)

    # Not before there is a model: a run that cannot begin leaves no folder behind that would be in its own way.
    recipe.save(config, out / "recipe.toml")
    writing.write_json(out / "data.json", account)
    with saved_on_interrupt(trainer):
        try:
            trainer.train(resume_from_checkpoint=resumed)
        finally:
            trainer.bar.stop()
    if trainer.interrupted:
        raise InterruptedTrainingError(
            f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}, which is saved; "
            f"go on with the same command and --resume"
        )
    with trainer.averaged():
        save(trainer.network, data.tokenizer, out / "last")
    save(trainer.best(), data.tokenizer, out)
    run = {
        "best_step": trainer.state.best_global_step or trainer.state.global_step,
        "total_steps": trainer.state.global_step,
        "resumed": resume,
        "train_seconds": round(time.monotonic() - started, 1),
        "precision": trainer.precision,
        "device": str(trainer.args.device),
        "parameters": sum(parameter.numel() for parameter in trainer.network.parameters()),
        "hidden_size": trainer.network.config.hidden_size,
        "num_hidden_layers": trainer.network.config.num_hidden_layers,
        "versions": {name: importlib.metadata.version(name) for name in ("transformers", "torch", "accelerate")},
    }
    writing.write_json(out / "training.json", run)
    return out


def save(network: model.PaddingSafeForCTC, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the folder that plain Transformers loads: config, safetensors, tokenizer and feature extractor."""
    aside = folder / ".tmp"
    network.save_pretrained(aside)
    # It names the class that was saved; readers look for one of Transformers' own.
    network.config.architectures = ["HubertForCTC"]
    network.config.save_pretrained(aside)
    tokenizer.save(aside)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=False)
    Wav2Vec2Processor(extractor, Wav2Vec2CTCTokenizer.from_pretrained(aside)).save_pretrained(aside)
    # The processor's own save leaves out preprocessor_config.json, which older readers ask for, and rewrites
    # the tokenizer's files.
    extractor.save_pretrained(aside)
    tokenizer.save(aside)
    for file in aside.iterdir():
        os.replace(file, folder / file.name)
    aside.rmdir()


def checkpoint(out: Path, resume: bool) -> str | None:
    """The checkpoint to go on from; None for a fresh start."""
    if not resume:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"{out}: not empty; choose another --out, or add --resume to go on with the run there")
        return None
    checkpoints = out / CHECKPOINTS
    last = get_last_checkpoint(str(checkpoints)) if checkpoints.is_dir() else None
    if last is None:
        raise InputError(f"{out}: no checkpoint to resume from; leave out --resume and choose a new --out")
    return last


class CtcTrainer(Trainer):
    """Trainer for clips with lengths, scored by CER, that stops when training has gone wrong."""

    def __init__(self, config: recipe.Recipe, data: dataset.Dataset, out: Path):
        self.recipe = config
        self.tokenizer = data.tokenizer
        self.interrupted = False
        examples = [example for example in data.eval.examples if dataset.has_frames(example, data.tokenizer)]
        examples.sort(key=lambda example: example.samples)  # like lengths together: less padding
        self.references = [example.text for example in examples]
        self.clips = _training_clips(config, data, out)
        self.network = model.build(config.model, data.tokenizer)
        self.teacher = teaching.FrameTeacher(config.teaching, data.tokenizer) if config.teaching.teacher else None
        self.precision = precision(config.training)
        self.average = optimizer.Average(self.network, config.training.ema_decay) if config.training.ema_decay else None
        super().__init__(
            model=self.network,
            args=arguments(config.training, out, self.precision, 0 if self.clips.cached else WORKERS),
            data_collator=collate,
            train_dataset=self.clips,
            eval_dataset=Clips(examples, data.tokenizer),
            compute_metrics=self._compute_metrics,
        )
        if self.teacher:
            self.teacher.to(self.args.device)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.bar = progress.Bar(data.train.hours)
        self.add_callback(self.bar)
        self.add_callback(progress.LogFile(out / training_log.LOG))
        self.add_callback(_Epochs(self.clips))
        self.add_callback(BlankCollapse(config.training.blank_evaluations))
        if config.training.early_stopping_patience:
            self.add_callback(EarlyStopping(config.training.early_stopping_patience))
        if self.average:
            self.add_callback(_Averaging(self.average))
        self.add_callback(TensorBoardCallback(SummaryWriter(str(out / "runs"))))

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        if not self.recipe.training.length_buckets:
            return super()._get_train_sampler(train_dataset)
        lengths = [example.samples for example in self.clips.examples]
        return BucketSampler(lengths, self.args.train_batch_size, self.args.seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """In training, with the teacher's share; evaluation measures CTC's loss alone."""
        loss, output = super().compute_loss(model, inputs, True, num_items_in_batch)
        if self.teacher:
            loss = self.teacher.mixed(loss, output.logits, inputs["input_values"], inputs["lengths"])
        return (loss, output) if return_outputs else loss

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step}: halve training.learning_rate, raise "
                "training.lr_scheduler_warmup_steps, or set training.mixed_precision=false"
            )
        return loss

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

    def averaged(self) -> AbstractContextManager[None]:
        """Within it the network has its averaged weights, where the recipe asks for an average."""
        return self.average.applied() if self.average else nullcontext()

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with self.averaged():
            return super().evaluate(*args, **kwargs)

    def best(self) -> model.PaddingSafeForCTC:
        """The network of the checkpoint with the lowest CER, or the last one where nothing was evaluated."""
        if (folder := self.state.best_model_checkpoint) is None:
            if self.average:
                self.network.load_state_dict(self.average.weights)
            return self.network
        network = model.load(Path(folder))
        if self.average:
            network.load_state_dict(optimizer.averaged(Path(folder)))
        return network

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Config and safetensors; the Trainer's own adds its arguments as a pickle."""
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
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, the best token of each frame (the blank in the padding), and labels."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            output = model(**inputs)
        frames = self.network.frame_lengths(inputs["lengths"])
        best = output.logits.argmax(-1)
        padding = torch.arange(best.shape[1], device=best.device) >= frames[:, None]
        return output.loss.float(), best.masked_fill(padding, self.tokenizer.blank_id), inputs["labels"]

    def _compute_metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        counts = metrics.Counts()
        said = 0
        for row, reference in zip(prediction.predictions, self.references, strict=True):
            # -100 is what the Trainer pads rows of different batches with.
            row = row[row >= 0]
            ids = row[(row != self.tokenizer.blank_id) & (row != [-1, *row[:-1]])]
            said += len(ids)
            counts += metrics.characters(reference, self.tokenizer.decode(ids.tolist()))
        return {"cer": counts.rate, "said": said / max(1, len(self.references))}


def keep_freed_memory() -> None:
    """Has glibc keep large freed blocks instead of returning them to the system after every operation.

    Zeroing them anew took a third of a training step on a CPU (docs/lab-notes.md).
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own mapping
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never shrink the heap


def _training_clips(config: recipe.Recipe, data: dataset.Dataset, out: Path) -> AugmentedClips:
    examples, augment, splicer = data.train.examples, config.augment, None
    if augment.splice_prob:
        splicer = Splicer(examples, read_or_find(out / CUTS, augment.splice_model, examples))
    return AugmentedClips(examples, data.tokenizer, augment, splicer, config.training.seed)


def precision(training: recipe.Training) -> str:
    if training.mixed_precision and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Without the instructions, bf16 on a CPU is emulated, several times slower than float32.
    if training.mixed_precision and torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    return "fp32"


def arguments(training: recipe.Training, out: Path, precision: str, workers: int) -> TrainingArguments:
    return TrainingArguments(
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
        save_total_limit=2,
        load_best_model_at_end=False,  # the last model is saved, too
        metric_for_best_model="cer",
        greater_is_better=False,
        logging_steps=training.logging_steps,
        logging_nan_inf_filter=False,
        dataloader_num_workers=workers,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        label_names=["labels"],
        report_to="none",
    )


class BlankCollapse(TrainerCallback):
    """Stops a run whose model says nothing in several evaluations in a row, which it rarely recovers from."""

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        said = [line["eval_said"] for line in state.log_history if "eval_said" in line][-self.patience :]
        if len(said) == self.patience and not any(said):
            raise TrainingError(
                f"blank collapse: the model said nothing in {self.patience} evaluations in a row, the last at step "
                f"{state.global_step}. Try a lower training.learning_rate, a longer "
                "training.lr_scheduler_warmup_steps, text.units=jamo, or model.freeze_feature_encoder=true; raise "
                "training.blank_evaluations if the loss still falls"
            )


class EarlyStopping(TrainerCallback):
    """Ends a run after several evaluations in a row without a lower CER.

    Transformers' own counts in memory, and would count anew after a resumption.
    """

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        rates = [line["eval_cer"] for line in state.log_history if "eval_cer" in line]
        if len(rates) > self.patience and min(rates[-self.patience :]) >= min(rates[: -self.patience]):
            control.should_training_stop = True


class _Averaging(TrainerCallback):
    def __init__(self, average: optimizer.Average):
        self.average = average

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.average.update()


class _Epochs(TrainerCallback):
    """Tells the clips which epoch begins, so that they sound different in each."""

    def __init__(self, clips: AugmentedClips):
        self.clips = clips

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.clips.epoch = int(state.epoch or 0)


class _StopOnRequest(TrainerCallback):
    def __init__(self, trainer: Any):
        self.trainer = trainer

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.trainer.interrupted:
            control.should_save = True
            control.should_training_stop = True


@contextmanager
def saved_on_interrupt(trainer: Any) -> Iterator[None]:
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
