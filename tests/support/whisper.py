"""A Whisper small enough to build, train and export in seconds, with random weights, as Transformers saves one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from distilhubert_ko import recipe
from distilhubert_ko.export import exporting
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.text.tokenizer import Tokenizer
from tests.support.model import SYLLABLES, clip

TINY_WHISPER: dict[str, Any] = {
    "vocab_size": 100,
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 64,
    "max_target_positions": 20,
    "pad_token_id": 99,
    "bos_token_id": 99,
    "eos_token_id": 99,
    "decoder_start_token_id": 98,
    "begin_suppress_tokens": None,
}
UNDROPPED = {f"{where}_dropout": 0.0 for where in ("hidden", "attention", "activation")}


def save_whisper(folder: Path, **changes: Any) -> Path:
    """Write a Whisper with its decoder, of TINY_WHISPER's sizes but for `changes`, into `folder`."""
    torch.manual_seed(0)
    whisper = WhisperForConditionalGeneration(WhisperConfig(**TINY_WHISPER | changes))
    with torch.no_grad():
        for name, parameter in whisper.model.encoder.named_parameters():
            if parameter.ndim > 1 and "embed_positions" not in name:
                parameter.normal_(0, 1.2 * parameter[0].numel() ** -0.5)
    whisper.save_pretrained(folder)
    return folder


def new_whisper(folder: Path, tokenizer: Tokenizer = SYLLABLES, **keys: Any) -> CtcNetwork:
    """Return the network of a recipe in evaluation mode, with a head whose logits have a spread of 1 or so."""
    network = build_network(recipe.Model(pretrained=str(folder), **UNDROPPED | keys), tokenizer).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        head = network.lm_head
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * head.in_features**-0.5)
        logits = network(torch.from_numpy(clip(80_000))[None]).logits[0]
        head.weight /= logits.std(0)[:, None]
        head.bias.copy_((head.bias - logits.mean(0)) / logits.std(0))
        head.bias[tokenizer.blank_id] += 1.5
    return network


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random Whisper with its decoder; change nothing in it."""
    return save_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture(scope="session")
def exported_whisper(tiny_whisper: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved and exported CTC model on that encoder. All tests share it, so change nothing in it."""
    folder = tmp_path_factory.mktemp("whisper_ctc")
    save_network(new_whisper(tiny_whisper, final_dropout=0.5).train(), folder, SYLLABLES)
    exporting.export_graph(folder)
    return folder
