"""A DistilHuBERT small enough to build, train and export in seconds, with random weights that say something."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.export import exporting
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.text.tokenizer import Tokenizer

torch.set_num_threads(1)  # for work this small, threads that wait for each other on a busy machine cost ten times more

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
TINY_TRAINING = recipe.Training(
    learning_rate=1e-3,
    train_batch_size=4,
    eval_batch_size=4,
    gradient_accumulation_steps=1,
    lr_scheduler_type="linear",
    lr_scheduler_warmup_steps=0,
    num_epochs=2,
    mixed_precision=False,
    eval_steps=3,
    logging_steps=1,
)
"""Ten steps of the 18 utterances of tiny_speech."""
MODEL_FILES = {
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
}
"""What train.save writes; export adds the graph."""
DROPOUTS: dict[str, Any] = {
    f"{where}_dropout": 0.5 for where in ("hidden", "attention", "activation", "feat_proj", "final")
}
SYLLABLES = Tokenizer.from_texts(["가나다라마바사아자차카타파하 거너더러머버서어저처커터퍼허"], "syllables")
# As many as the syllables, so that the same model can say either; both endings that a vowel can have.
JAMO = Tokenizer("jamo", Tokenizer.from_texts(["각난닫랄맘밥삿앙잦찿캌탙팦핳 겨뎌"], "jamo").tokens[: len(SYLLABLES)])


def new_network(config: recipe.Model = TINY) -> CtcNetwork:
    """With a head for SYLLABLES, in evaluation mode, every weight so large that logits differ by whole units.

    With the weights of a new model all logits are nearly 0, and any comparison would pass.
    """
    with torch.random.fork_rng():
        torch.manual_seed(1)  # of what noise is only added to
        network = build_network(config, SYLLABLES).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1 and not name.endswith("original0"):
                parameter.copy_(1.5 * noise / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.2 * noise)
        # No token is the best of every frame: over the frames, each logit has mean 0 and variance 1, but for two means.
        head = network.lm_head
        logits = network(torch.from_numpy(clip(80_000))[None]).logits[0]
        head.weight /= logits.std(0)[:, None]
        head.bias.copy_((head.bias - logits.mean(0)) / logits.std(0))
        head.bias[SYLLABLES.blank_id] += 1.5
        head.bias[SYLLABLES.delimiter_id] += 1
    return network


def clip(samples: int, seed: int = 0) -> np.ndarray:
    """(samples,) float32: every tenth of a second another tone, another loudness, and a little noise."""
    random = np.random.default_rng((seed, samples))
    count = samples // 1600 + 1
    pitch, loudness = random.uniform(80, 2000, count), random.uniform(0, 0.4, count)
    time, part = np.arange(samples) / SAMPLE_RATE, np.arange(samples) // 1600
    tone = loudness[part] * np.sin(2 * np.pi * pitch[part] * time)
    return (tone + 0.02 * random.normal(size=samples)).astype(np.float32)


def padded(clips: Sequence[np.ndarray], fill: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Waves (batch, samples), `fill` beyond each clip's end, and lengths (batch,)."""
    lengths = torch.tensor([len(one) for one in clips])
    waves = torch.full((len(clips), int(lengths.max())), fill)
    for row, one in enumerate(clips):
        waves[row, : len(one)] = torch.from_numpy(one)
    return waves, lengths


def opened(built: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A graph in memory, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])


def together(session: onnxruntime.InferenceSession, clips: Sequence[np.ndarray], fill: float = 0.0) -> list[np.ndarray]:
    """Log-probabilities (frames, vocabulary) of each clip, all in one batch with `fill` beyond each clip's end."""
    waves, lengths = (tensor.numpy() for tensor in padded(clips, fill))
    log_probs, frames = session.run(["log_probs", "frames"], {"waves": waves, "lengths": lengths})
    return [row[:count] for row, count in zip(log_probs, frames, strict=True)]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved and exported model with dropouts. All tests share it, so change nothing in it."""
    folder = tmp_path_factory.mktemp("model")
    config = dataclasses.replace(TINY, num_hidden_layers=1, **DROPOUTS)
    save_network(new_network(config).train(), folder, SYLLABLES)
    exporting.export_graph(folder)
    return folder
