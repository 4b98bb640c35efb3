"""What is built from a recipe or loaded from a folder, and what is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import HubertConfig, HubertModel

from distilhubert_ko import recipe
from distilhubert_ko.errors import ModelError, UnavailableError
from distilhubert_ko.model.loading import build_network, hubert_config, load_network
from tests.support.model import SYLLABLES, TINY, clip, new_network

# The config.json of ntu-spml/distilhubert, as far as it shapes the model or its training.
PUBLISHED = {
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_bias": False,
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "feat_proj_layer_norm": False,
    "feat_proj_dropout": 0.0,
    "hidden_size": 768,
    "hidden_act": "gelu",
    "num_hidden_layers": 2,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
    "layer_norm_eps": 1e-5,
    "layerdrop": 0.0,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.1,
    "final_dropout": 0.0,
    "apply_spec_augment": False,
}


def test_the_default_recipe_has_the_architecture_and_the_size_of_distilhubert() -> None:
    with torch.device("meta"):
        network = build_network(dataclasses.replace(recipe.Model(), pretrained="random"), SYLLABLES)
    written = network.config.to_dict()
    assert {key: list(v) if isinstance(v := written[key], tuple) else v for key in PUBLISHED} == PUBLISHED
    encoder = {name: p for name, p in network.hubert.named_parameters() if name != "masked_spec_embed"}
    assert sum(parameter.numel() for parameter in encoder.values()) == 23_491_200


def test_the_head_fits_the_vocabulary() -> None:
    config = build_network(TINY, SYLLABLES).config
    assert (config.vocab_size, config.pad_token_id) == (len(SYLLABLES), SYLLABLES.blank_id)
    assert config.bos_token_id is None
    assert config.eos_token_id is None


def test_a_local_checkpoint_gives_its_encoder_and_a_new_head_for_the_vocabulary(tmp_path: Path) -> None:
    encoder = HubertModel(hubert_config(TINY))
    encoder.save_pretrained(tmp_path)
    built = build_network(dataclasses.replace(TINY, pretrained=str(tmp_path), attention_dropout=0.25), SYLLABLES)
    for name, value in encoder.state_dict().items():
        assert torch.equal(built.hubert.state_dict()[name], value), name
    assert built.lm_head.out_features == len(SYLLABLES)
    assert built.config.attention_dropout == 0.25
    assert built.config.layerdrop == 0.0
    assert not built.config.apply_spec_augment


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_checkpoint_in_half_precision_is_trained_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    encoder = HubertModel(hubert_config(TINY)).to(dtype)
    encoder.save_pretrained(tmp_path)
    built = build_network(dataclasses.replace(TINY, pretrained=str(tmp_path)), SYLLABLES)
    assert {parameter.dtype for parameter in built.parameters()} == {torch.float32}
    assert built.config.dtype == torch.float32
    weights = built.hubert.state_dict()
    assert all(torch.equal(weights[name], value.float()) for name, value in encoder.state_dict().items())


def test_a_saved_model_comes_back_in_evaluation_mode(tmp_path: Path) -> None:
    network = new_network()
    network.save_pretrained(tmp_path)
    again, wave = load_network(tmp_path), torch.from_numpy(clip(9001))[None]
    assert not again.training
    with torch.no_grad():
        assert torch.equal(again(wave).logits, network(wave).logits)


def test_a_checkpoint_that_the_hub_cannot_give_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError, match="nobody/nothing") as error:
        build_network(dataclasses.replace(TINY, pretrained="nobody/nothing"), SYLLABLES)
    assert "its folder" in str(error.value)
    assert 'model.pretrained = "random"' in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"feat_extract_norm": "layer"},
        {"conv_bias": True},
        {"conv_stride": (5, 2, 2, 2, 2, 2, 1)},
        {"conv_kernel": (10, 3, 3, 3, 3, 3, 2)},
    ],
)
def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    config = HubertConfig.from_dict(hubert_config(TINY).to_dict() | change)
    HubertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="use a checkpoint"):
        build_network(dataclasses.replace(TINY, pretrained=str(tmp_path)), SYLLABLES)


def test_a_folder_without_a_checkpoint_is_a_model_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        build_network(dataclasses.replace(TINY, pretrained=str(tmp_path)), SYLLABLES)
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_network(tmp_path)


def test_a_checkpoint_with_a_head_for_another_vocabulary_gives_its_encoder_and_a_new_head(tmp_path: Path) -> None:
    other = build_network(TINY, type(SYLLABLES).from_texts(["가나다"], "syllables"))
    other.save_pretrained(tmp_path)
    built = build_network(dataclasses.replace(TINY, pretrained=str(tmp_path)), SYLLABLES)
    assert built.lm_head.weight.shape[0] == len(SYLLABLES) != other.lm_head.weight.shape[0]
    for name, value in other.hubert.state_dict().items():
        assert torch.equal(built.hubert.state_dict()[name], value), name


def test_a_checkpoint_whose_weights_do_not_fit_its_configuration_is_refused(tmp_path: Path) -> None:
    build_network(TINY, SYLLABLES).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 96}), encoding="utf-8")
    with pytest.raises(ModelError, match="do not fit its own config"):
        build_network(dataclasses.replace(TINY, pretrained=str(tmp_path)), SYLLABLES)


def test_an_encoder_without_one_of_its_weights_is_refused_and_one_without_a_head_is_loaded_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    HubertModel(hubert_config(TINY)).save_pretrained(tmp_path)
    capfd.readouterr()
    build_network(dataclasses.replace(TINY, pretrained=str(tmp_path)), SYLLABLES)
    assert (capfd.readouterr().err, caplog.messages) == ("", [])
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layers.1.attention.k_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no weights for hubert\.encoder\.layers\.1\.attention\.k_proj\.weight: down"):
        build_network(dataclasses.replace(TINY, pretrained=str(tmp_path)), SYLLABLES)
