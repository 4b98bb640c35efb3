"""What checks/gpu.py runs on: how much of everything, speech that costs nothing, and networks with random weights."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.clips import collate
from tests.support.parquet import sound, write_shard

SYLLABLES = [chr(0xAC00 + 9 * number) for number in range(1200)]  # about as many as Zeroth-Korean's transcripts have
SYLLABLE = SAMPLE_RATE // 5  # samples
EVALUATED = 16  # clips
SHARDS = 3  # files of each split
UNDROPPED = {f"{where}_dropout": 0.0 for where in ("hidden", "attention", "activation", "feat_proj", "final")}
UNMASKED = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
SHORT = {"lr_scheduler_warmup_steps": 2, "head_only_steps": 0}
"""What differs from [training] of a recipe in runs that end before its own warm-up does."""


class CheckError(Exception):
    """Something is not as it should be."""


class NotThereError(Exception):
    """This machine has not what a part needs."""


@dataclass(frozen=True)
class Scale:
    """How much of everything a check takes, and where."""

    device: str
    steps: int
    """Of the run of zeroth.toml, even."""
    seconds: tuple[float, float]
    """Length of the shortest and of the longest clip."""
    model: recipe.Model = dataclasses.field(default_factory=lambda: recipe.Model(pretrained="random"))
    teacher: recipe.Model = dataclasses.field(
        default_factory=lambda: recipe.Model(pretrained="random", num_hidden_layers=12)
    )
    whisper: tuple[int, int, int] = (512, 6, 8)
    """Width, layers and heads: those of openai/whisper-base."""
    zeroth: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What differs from zeroth.toml's own [training]."""
    short: dict[str, Any] = dataclasses.field(default_factory=lambda: SHORT)
    """What differs from a recipe's [training] in the other runs."""
    short_steps: int = 50
    """Of each other run, about, even."""
    timed: int = 10
    """Steps that are timed, of each kind."""
    batches: tuple[int, int] = (16, 32)
    """Clips of a timed batch: of DistilHuBERT's and of Whisper's, as in their recipes."""
    clips: int = 320
    """Of the training corpus: 10 steps of zeroth.toml."""


def full(device: str, steps: int) -> Scale:
    return Scale(device, steps, (4.0, 12.0))


def small(device: str) -> Scale:
    """Return the same in little, for a CPU."""
    tiny = recipe.Model(
        pretrained="random",
        conv_dim=(32,) * 7,
        hidden_size=64,
        num_attention_heads=2,
        intermediate_size=128,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    return Scale(
        device=device,
        steps=8,
        seconds=(0.8, 1.6),
        model=tiny,
        teacher=dataclasses.replace(tiny, num_hidden_layers=3),
        whisper=(64, 2, 2),
        zeroth=SHORT | {"learning_rate": 5e-3},
        short=SHORT | {"learning_rate": 5e-3},
        short_steps=4,
        timed=1,
        batches=(2, 2),
        clips=32,
    )


def random_clips(count: int, seconds: tuple[float, float], seed: int) -> list[tuple[np.ndarray, str]]:
    """Return waves (samples,) and their texts, each syllable a tone of its own in a little noise."""
    random = np.random.default_rng(seed)
    clips = []
    for length in random.uniform(*seconds, count):
        samples = int(length * SAMPLE_RATE)
        words = ["".join(random.choice(SYLLABLES, 2)) for _ in range(max(1, samples // (3 * SYLLABLE)))]
        written = " ".join(words)[: max(1, samples // SYLLABLE)]  # a clip of one frame has room for one label
        pitches = np.repeat([80.0 + ord(sign) % 3001 for sign in written], math.ceil(samples / len(written)))[:samples]
        wave = 0.3 * np.sin(2 * np.pi * pitches * np.arange(samples) / SAMPLE_RATE)
        clips.append(((wave + 0.01 * random.standard_normal(samples)).astype(np.float32), written))
    return clips


def corpus(folder: Path, scale: Scale) -> recipe.Data:
    """Return a recipe's [data] of training and test speech in `folder`, written unless it is there.

    It lies as Zeroth-Korean does on the Hub: WAV files and texts in shards of parquet, a third of them in each.
    """
    for name, count, seed in (("train", scale.clips, 1), ("test", EVALUATED, 2)):
        if not [*folder.glob(f"data/{name}-*")]:
            clips = random_clips(count, scale.seconds, seed)
            size = math.ceil(count / SHARDS)
            for shard in range(SHARDS):
                path = folder / f"data/{name}-{shard:05}-of-{SHARDS:05}.parquet"
                part = clips[shard * size : (shard + 1) * size]
                write_shard(path, [sound(wave) for wave, _ in part], {"text": [written for _, written in part]}, size)
    return recipe.Data(train=f"hub:{folder}#train", eval=f"hub:{folder}#test")


def tokenizer() -> Tokenizer:
    return Tokenizer.from_texts([" ".join(SYLLABLES)], "syllables")


def batch(clips: list[tuple[np.ndarray, str]], units: Tokenizer) -> dict[str, torch.Tensor]:
    """Return clips as the trainer's batches are."""
    return collate([{"wave": wave, "labels": np.array(units.encode(text), np.int64)} for wave, text in clips])


def save_whisper(folder: Path, scale: Scale) -> Path:
    """Write a Whisper with random weights, as Transformers saves one, unless it is there; return its folder."""
    if not folder.exists():
        width, layers, heads = scale.whisper
        sizes = {"d_model": width, "encoder_layers": layers, "encoder_attention_heads": heads}
        decoder = {"decoder_layers": 1, "decoder_attention_heads": heads, "decoder_ffn_dim": 64}
        config = WhisperConfig(**sizes, **decoder, encoder_ffn_dim=4 * width)
        WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder


def save_teacher(folder: Path, scale: Scale) -> Path:
    """Write a HuBERT with random weights for distillation, without a head; return its folder."""
    save_network(build_network(scale.teacher, tokenizer()), folder)
    return folder


def recipe_models(scale: Scale, folder: Path) -> dict[str, recipe.Model]:
    """Return [model] of zeroth.toml and of whisper.toml, with random weights."""
    whisper = recipe.load_recipe(recipe.find_recipe("whisper")).model
    pretrained = str(save_whisper(folder / "random-whisper", scale))
    return {"DistilHuBERT": scale.model, "Whisper": dataclasses.replace(whisper, pretrained=pretrained)}


def networks(scale: Scale, folder: Path, **changes: Any) -> dict[str, CtcNetwork]:
    """Return both networks as their recipes build them, but for `changes` in [model], the same at each call."""
    built = {}
    for name, model in recipe_models(scale, folder).items():
        torch.manual_seed(0)
        built[name] = build_network(dataclasses.replace(model, **changes), tokenizer()).train()
    return built
