"""A DistilHuBERT small enough to build, train and export in seconds, with random weights that say something."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from distilhubert_ko import export, model, recipe, train
from distilhubert_ko.audio import SAMPLE_RATE
from distilhubert_ko.text import Tokenizer

torch.set_num_threads(2)

TINY = recipe.Model(
    pretrained="random",
    conv_dim=(16,) * 7,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=2,
    hidden_dropout=0.0,
    attention_dropout=0.0,
    activation_dropout=0.0,
)
SENTENCES = (
    "나는 학교에 간다",
    "너는 어디에 가니",
    "오늘 날이 좋다",
    "내일 또 보자",
    "아침에 일찍 나간다",
    "물 좀 주다",
)


def new_tokenizer(units: str = "syllables") -> Tokenizer:
    return Tokenizer.from_texts(SENTENCES, units)


def new_network(vocabulary: Tokenizer, config: recipe.Model = TINY) -> model.PaddingSafeHubertForCTC:
    """In evaluation mode, with every weight drawn anew, so large that logits differ by whole units.

    From the weights of a fresh model, all logits are nearly 0, and any comparison would pass.
    """
    network = model.build(config, vocabulary).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1 and not name.endswith("original0"):
                parameter.copy_(1.5 * noise / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.2 * noise)
    return network


def clip(samples: int, seed: int = 0) -> np.ndarray:
    """(samples,) of noise around tones that change ten times a second, as speech does in loudness and pitch."""
    random = np.random.default_rng((seed, samples))
    syllable = np.arange(samples) // 1600
    pitch, loudness = random.uniform(80, 2000, samples // 1600 + 1), random.uniform(0, 0.4, samples // 1600 + 1)
    tone = np.sin(2 * np.pi * pitch[syllable] * np.arange(samples) / SAMPLE_RATE)
    return (loudness[syllable] * tone + 0.02 * random.normal(size=samples)).astype(np.float32)


def padded(clips: list[np.ndarray], fill: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Waves (batch, samples), `fill` beyond each clip's end, and lengths (batch,)."""
    lengths = torch.tensor([len(one) for one in clips])
    waves = torch.full((len(clips), int(lengths.max())), fill)
    for row, one in enumerate(clips):
        waves[row, : len(one)] = torch.from_numpy(one)
    return waves, lengths


def write_corpus(folder: Path, name: str, count: int) -> str:
    """Writes `count` clips of 0.7 to 1.3 s with a sentence each as a manifest; its spec."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(count):
        wave = clip(11_200 + 1_600 * (index * 5 % 7), seed=index)
        soundfile.write(folder / f"{name}{index}.wav", wave, SAMPLE_RATE)
        line = {"audio_filepath": f"{name}{index}.wav", "text": SENTENCES[index % len(SENTENCES)]}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return f"manifest:{folder / name}.jsonl"


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved and exported model; exporting takes seconds, so change nothing in it."""
    folder = tmp_path_factory.mktemp("model")
    vocabulary = new_tokenizer()
    train.save(new_network(vocabulary), vocabulary, folder)
    export.export(folder)
    return folder
