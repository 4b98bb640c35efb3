"""Transformers' TrainingArguments for a recipe, and the precision that the machine can train in."""

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import TrainingArguments

from distilhubert_ko import recipe
from distilhubert_ko.errors import TrainingError


def training_precision(training: recipe.Training) -> str:
    """Return "bf16", "fp16" or "fp32": what [training] asks for as far as this machine computes in it."""
    if training.mixed_precision and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    # Without the instructions, bf16 on a CPU is emulated, several times slower than float32.
    if training.mixed_precision and torch.cpu._is_avx512_bf16_supported():
        return "bf16"
    return "fp32"


def training_arguments(
    training: recipe.Training, folder: Path, precision: str, workers: int, metric: str
) -> TrainingArguments:
    """Return the arguments for [training], with checkpoints in `folder`. The best one has the lowest `metric`.

    Raises TrainingError where a service of `report_to` is not installed.
    """
    arguments = TrainingArguments(
        output_dir=str(folder),
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
        report_to=_reporters(training) or "none",
        run_name=folder.parent.name,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several are for several ranks; DataParallel would average wrongly
    return arguments


def _reporters(training: recipe.Training) -> list[str]:
    for name in training.report_to:
        if find_spec(name) is None:
            raise TrainingError(f"training.report_to has {name}, which is not installed: pip install {name}")
    return [*training.report_to]
