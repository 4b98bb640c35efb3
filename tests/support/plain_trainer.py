"""A recipe's training as plain Transformers does it: HubertForCTC, the Trainer, no attention mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import HubertConfig, HubertForCTC, Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.data.dataset import prepare_dataset
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.training.clips import Clips
from distilhubert_ko.training.finetune import fine_tune
from distilhubert_ko.training.optimizer import HEAD

LOGGED = ("loss", "learning_rate", "grad_norm")


@dataclass(frozen=True)
class Course:
    """What a training went through: a value per step for each of LOGGED, and the weights at the end."""

    logged: dict[str, list[float]]
    weights: dict[str, Tensor]

    @classmethod
    def of(cls, log: list[dict[str, Any]], weights: dict[str, Tensor]) -> "Course":
        steps = [line for line in log if "loss" in line]
        return cls({name: [float(step[name]) for step in steps] for name in LOGGED}, weights)


def start(config: recipe.Recipe) -> dict[str, Tensor]:
    """Return the weights that `fine_tune` starts from."""
    torch.manual_seed(config.training.seed)
    return build_network(config.model, prepare_dataset(config).tokenizer).state_dict()


def ours(config: recipe.Recipe, folder: Path) -> Course:
    """Train a recipe as this project does."""
    fine_tune(config, folder)
    kept = folder if config.training.report == "last" else folder / model_folder.LAST
    return Course.of(model_folder.read_log(folder), load_file(kept / model_folder.WEIGHTS))


def plain(config: recipe.Recipe, folder: Path) -> Course:
    """Train a recipe as Transformers' CTC example does, from the same weights, in float32 on the CPU."""
    data, training = prepare_dataset(config), config.training
    weights = start(config)
    network = HubertForCTC(HubertConfig.from_dict(build_network(config.model, data.tokenizer).config.to_dict()))
    network.load_state_dict(weights)
    # Transformers 5 takes HuBERT's **kwargs for a promise, and adds accumulated losses up; 4.21 averaged them.
    network.accepts_loss_kwargs = False
    if config.model.freeze_feature_encoder:
        network.freeze_feature_encoder()

    def collate(clips: list[Any]) -> dict[str, Tensor]:
        waves = [torch.from_numpy(clip["wave"]) for clip in clips]
        labels = [torch.from_numpy(clip["labels"]) for clip in clips]
        return {
            "input_values": pad_sequence(waves, batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
        }

    trainer = Trainer(
        network,
        TrainingArguments(
            output_dir=str(folder),
            learning_rate=training.learning_rate,
            per_device_train_batch_size=training.train_batch_size,
            gradient_accumulation_steps=training.gradient_accumulation_steps,
            seed=training.seed,
            adam_beta1=training.adam_betas[0],
            adam_beta2=training.adam_betas[1],
            adam_epsilon=training.adam_epsilon,
            lr_scheduler_type=training.lr_scheduler_type,
            warmup_steps=training.lr_scheduler_warmup_steps,
            num_train_epochs=training.num_epochs,
            use_cpu=True,
            remove_unused_columns=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
        ),
        data_collator=collate,
        train_dataset=Clips(data.train.examples, data.tokenizer),
    )
    for shown in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown)
    trainer.train()
    return Course.of(trainer.state.log_history, network.state_dict())


def relative(found: list[float], expected: list[float]) -> list[float]:
    """Return by how much each value differs, relative to what is expected."""
    return [abs(one - other) / abs(other) if other else abs(one) for one, other in zip(found, expected, strict=True)]


def distances(begun: dict[str, Tensor], found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Return how far two trainings are apart, over how far the expected one went, for the encoder and the head."""
    moved: dict[str, list[tuple[Tensor, Tensor]]] = {"encoder": [], "head": []}
    for name, before in begun.items():
        pair = (found[name] - expected[name]).norm(), (expected[name] - before).norm()
        moved["head" if name.startswith(HEAD) else "encoder"].append(pair)
    return {
        part: float(torch.stack([apart for apart, _ in pairs]).norm() / torch.stack([went for _, went in pairs]).norm())
        for part, pairs in moved.items()
    }
