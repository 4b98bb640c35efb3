"""Whisper's encoder under a CTC head, against Transformers' own Whisper, and in batches."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperFeatureExtractor, WhisperModel

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import HUBERT_FRAMES, WHISPER_FRAMES
from distilhubert_ko.data.corpora import Utterance
from distilhubert_ko.data.examples import Example
from distilhubert_ko.errors import CorpusError, ModelError, RecipeError
from distilhubert_ko.model import whisper
from distilhubert_ko.model.loading import build_network, load_network, wants_normalised_waves
from distilhubert_ko.model.log_mel import HOP, WINDOW, log_mel, mel_filters
from distilhubert_ko.model.whisper import PaddingSafeWhisperForCTC
from distilhubert_ko.training import finetune
from tests.support.model import MODEL_FILES, SYLLABLES, clip, padded
from tests.support.whisper import UNDROPPED, new_whisper, save_whisper

HALF_MINUTE = 480_000  # samples


def batch(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(clip(samples))[None], torch.tensor([samples])


@pytest.fixture(scope="module")
def network(tiny_whisper: Path) -> Any:
    return new_whisper(tiny_whisper)


# Against Transformers


@pytest.mark.parametrize("mels", whisper.MELS)
def test_the_mel_filters_are_those_of_transformers(mels: int) -> None:
    assert np.abs(mel_filters(mels) - WhisperFeatureExtractor(feature_size=mels).mel_filters).max() < 1e-8


@pytest.mark.parametrize("mels", whisper.MELS)
@pytest.mark.parametrize("samples", [400, 401, 479, 480, 559, 560, 16_000, 33_333, HALF_MINUTE])
def test_the_log_mel_is_that_of_the_feature_extractor_without_padding(samples: int, mels: int) -> None:
    extractor = WhisperFeatureExtractor(feature_size=mels)
    options: Any = {"sampling_rate": 16_000, "return_tensors": "pt", "padding": False}
    expected = extractor(clip(samples), **options).input_features[0].T
    found = log_mel(*batch(samples), mels)[0]
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-4


def test_on_half_a_minute_encoder_and_log_mel_are_those_of_transformers(tiny_whisper: Path, network: Any) -> None:
    features = WhisperFeatureExtractor()(clip(HALF_MINUTE), sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        expected = WhisperModel.from_pretrained(tiny_whisper).eval().encoder(features).last_hidden_state
        hidden = network.features(*batch(HALF_MINUTE))
        found = network.base_model.encoder(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool))[0]
        encoded = network.encode(*batch(HALF_MINUTE))
    assert found.shape == expected.shape == (1, 1500, 32)
    assert (found - expected).abs().max() < 1e-4
    assert torch.equal(encoded, found)


@pytest.mark.parametrize("samples", [3200, 16_000, 48_320])
def test_a_short_clip_is_encoded_as_by_a_whisper_of_that_many_positions(
    samples: int, tiny_whisper: Path, network: Any
) -> None:
    reference = WhisperModel.from_pretrained(tiny_whisper).eval().encoder
    positions = samples // 320
    reference.config.max_source_positions = positions
    weight = reference.embed_positions.weight.detach()[:positions]
    reference.embed_positions = torch.nn.Embedding.from_pretrained(weight)
    with torch.no_grad():
        expected = reference(log_mel(*batch(samples), 80).transpose(1, 2)).last_hidden_state
        found = network.encode(*batch(samples))
    assert (found - expected).abs().max() < 1e-4


# Frames


def test_whisper_has_a_frame_for_each_of_huberts_and_at_most_one_more_where_hubert_has_any() -> None:
    samples = np.arange(200_000)
    more = WHISPER_FRAMES.count(samples) - HUBERT_FRAMES.count(samples)
    assert set(more) == {0, 1}


@pytest.mark.parametrize("samples", [160, 161, 399, 400, 401, 559, 560, 719, 720, 961, 16_000, 16_079, 16_080, 33_333])
def test_the_network_gives_as_many_frames_as_its_grid(samples: int, network: Any) -> None:
    waves, lengths = batch(samples)
    with torch.no_grad():
        logits = network(waves, lengths).logits
    assert torch.isfinite(logits).all()
    assert logits.shape[1] == WHISPER_FRAMES.count(samples) == int(network.frame_lengths(lengths))


# Padding


@pytest.mark.parametrize("fill", [0.0, 0.5, torch.nan])
def test_a_clip_has_the_same_logits_alone_and_in_any_batch(network: Any, fill: float) -> None:
    clips = [clip(samples, seed) for seed, samples in enumerate((48_000, 400, 16_001, 33_333, 719))]
    with torch.no_grad():
        together = network(*padded(clips, fill)).logits
        for row, one in enumerate(clips):
            alone = network(torch.from_numpy(one)[None]).logits[0]
            assert (alone - together[row, : len(alone)]).abs().max() < 1e-4


def test_a_quiet_clip_keeps_its_own_floor_beside_a_loud_one(network: Any) -> None:
    quiet, loud = 1e-3 * clip(16_000), 10 * clip(16_000, seed=1)
    with torch.no_grad():
        together = network(*padded([quiet, loud])).logits[0]
        assert (network(*padded([quiet])).logits[0] - together).abs().max() < 1e-4


def test_a_batch_may_be_wider_than_half_a_minute_if_no_clip_is(network: Any) -> None:
    one = clip(16_000)
    waves = torch.zeros(1, HALF_MINUTE + 6400)
    waves[0, : len(one)] = torch.from_numpy(one)
    with torch.no_grad():
        wide = network(waves, torch.tensor([len(one)])).logits[0, : WHISPER_FRAMES.count(len(one))]
        assert (wide - network(torch.from_numpy(one)[None]).logits[0]).abs().max() < 1e-4


# Keys of the recipe


def built(folder: Path, **keys: Any) -> Any:
    return build_network(recipe.Model(pretrained=str(folder), **UNDROPPED | keys), SYLLABLES)


def test_the_model_type_alone_decides_and_all_weights_but_the_heads_are_those_of_the_checkpoint(
    tiny_whisper: Path,
) -> None:
    network = built(tiny_whisper)
    assert isinstance(network, PaddingSafeWhisperForCTC)
    given = load_file(tiny_whisper / "model.safetensors")
    own = {name: value for name, value in network.state_dict().items() if not name.startswith("lm_head.")}
    assert own
    assert all(torch.equal(value, given[name]) for name, value in own.items())


def test_a_whisper_without_a_decoder_will_do(tiny_whisper: Path, tmp_path: Path) -> None:
    WhisperModel.from_pretrained(tiny_whisper).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        {key: value for key, value in weights.items() if key.startswith("encoder.")}, tmp_path / "model.safetensors"
    )
    own, other = built(tmp_path).state_dict(), built(tiny_whisper).state_dict()
    assert all(torch.equal(own[name], other[name]) for name in own if not name.startswith("lm_head."))


def test_encoder_layers_keeps_the_first_ones(tiny_whisper: Path) -> None:
    network = built(tiny_whisper, encoder_layers=1)
    assert len(network.base_model.encoder.layers) == network.config.num_hidden_layers == 1
    with pytest.raises(RecipeError, match=r"encoder_layers is 3: .* has 2"):
        built(tiny_whisper, encoder_layers=3)
    with pytest.raises(RecipeError, match="only a Whisper"):
        build_network(recipe.Model(pretrained="random", encoder_layers=1), SYLLABLES)


def test_freezing_keeps_the_convolutions_and_positions_never_move(tiny_whisper: Path) -> None:
    frozen = {
        freeze: {
            name
            for name, value in built(tiny_whisper, freeze_feature_encoder=freeze).named_parameters()
            if not value.requires_grad
        }
        for freeze in (False, True)
    }
    assert frozen[False] == {"model.encoder.embed_positions.weight"}
    convolutions = {f"model.encoder.conv{n}.{kind}" for n in (1, 2) for kind in ("weight", "bias")}
    assert frozen[True] - frozen[False] == convolutions


@pytest.mark.parametrize("key", ["mask_time_prob", "mask_feature_prob"])
def test_masks_are_drawn_in_training_alone_and_the_same_from_the_same_random_numbers(
    key: str, tiny_whisper: Path
) -> None:
    network = built(tiny_whisper, **{key: 0.5})
    clips = padded([clip(16_000), clip(8000)])

    def heard(seed: int) -> torch.Tensor:
        np.random.seed(seed)
        with torch.no_grad():
            found: torch.Tensor = network.features(*clips)
        return found

    network.eval()
    assert torch.equal(heard(0), heard(1))
    network.train()
    assert torch.equal(heard(0), heard(0))
    assert not torch.equal(heard(0), heard(1))


def test_keys_that_the_encoder_cannot_follow_are_refused(tiny_whisper: Path) -> None:
    with pytest.raises(RecipeError, match=r"feat_proj_dropout is 0\.1: Whisper has no feature projection"):
        built(tiny_whisper, feat_proj_dropout=0.1)
    with pytest.raises(RecipeError, match="mask_feature_length is 81: give 80"):
        built(tiny_whisper, mask_feature_prob=0.1, mask_feature_length=81)
    with pytest.raises(RecipeError, match="encoder_layers is -1"):
        recipe.Recipe(model=recipe.Model(encoder_layers=-1))


def test_dropouts_act_in_training(tiny_whisper: Path) -> None:
    for key in ("hidden_dropout", "attention_dropout", "activation_dropout", "final_dropout"):
        network = built(tiny_whisper, **{key: 0.5}).train()
        first, second = (network(*batch(16_000)).logits for _ in range(2))
        assert not torch.equal(first, second), key


def test_the_loss_is_ctcs_own_and_leads_down(network: Any) -> None:
    waves, lengths = padded([clip(16_000), clip(9001)])
    labels = torch.tensor([[3, 4, 5], [6, -100, -100]])
    output = network(waves, lengths, labels)
    log_probs = output.logits.float().log_softmax(-1).transpose(0, 1)
    frames = network.frame_lengths(lengths)
    blank = SYLLABLES.blank_id
    expected = torch.nn.functional.ctc_loss(log_probs, labels.clamp(min=0), frames, torch.tensor([3, 1]), blank)
    assert torch.isclose(output.loss, expected)


# The saved folder


def test_a_saved_folder_opens_with_the_same_answers(exported_whisper: Path, tiny_whisper: Path) -> None:
    files = {path.name for path in exported_whisper.iterdir()}
    assert files == MODEL_FILES - {"processor_config.json"} | {"model.onnx"}
    network = load_network(exported_whisper)
    assert not network.training
    assert network.config.model_type == "whisper"
    with torch.no_grad():
        expected = new_whisper(tiny_whisper)(*batch(20_000)).logits
        assert (network(*batch(20_000)).logits - expected).abs().max() < 1e-5
    assert not wants_normalised_waves(exported_whisper)


def test_plain_transformers_reads_the_config_the_extractor_and_the_encoder(exported_whisper: Path) -> None:
    extractor = WhisperFeatureExtractor.from_pretrained(exported_whisper)
    assert (extractor.feature_size, extractor.hop_length, extractor.n_fft) == (80, HOP, WINDOW)
    found = WhisperModel.from_pretrained(exported_whisper).encoder.state_dict()
    given = load_file(exported_whisper / "model.safetensors")
    assert all(torch.equal(value, given[f"model.encoder.{name}"]) for name, value in found.items())


# Bad input


def changed(folder: Path, to: Path, **config: Any) -> Path:
    """A copy of a folder with other keys in its config.json."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    path = to / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | config), encoding="utf-8")
    return to


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        built(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_missing_part_is_named(tiny_whisper: Path, tmp_path: Path) -> None:
    changed(tiny_whisper, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.encoder.layers.1.fc2.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    assert "no weights for model.encoder.layers.1.fc2.weight: download" in refused(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert "neither model.safetensors nor pytorch_model.bin here" in refused(tmp_path)


def test_another_number_of_mels_is_refused(tiny_whisper: Path, tmp_path: Path) -> None:
    assert "num_mel_bins 64: give a Whisper of 80 or 128 mels" in refused(save_whisper(tmp_path / "a", num_mel_bins=64))
    assert "do not fit its own config.json" in refused(changed(tiny_whisper, tmp_path / "b", num_mel_bins=128))


def test_a_quantised_whisper_is_refused(tiny_whisper: Path, tmp_path: Path) -> None:
    quantised = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    assert "its weights are quantised" in refused(changed(tiny_whisper, tmp_path, quantization_config=quantised))


def test_an_activation_that_is_not_whispers_is_refused(tiny_whisper: Path, tmp_path: Path) -> None:
    assert "activation_function 'relu'" in refused(changed(tiny_whisper, tmp_path, activation_function="relu"))


def test_a_whisper_with_its_own_vocabulary_is_no_ctc_model(tiny_whisper: Path) -> None:
    with pytest.raises(
        ModelError, match=r"no weights for lm_head.bias, lm_head.weight; give a model fine-tuned with CTC"
    ):
        load_network(tiny_whisper)


def test_a_clip_longer_than_half_a_minute_is_refused_with_its_length(network: Any) -> None:
    with pytest.raises(ModelError, match=r"a clip of 30.4 s: Whisper's encoder takes 30 s at most"):
        network(*batch(HALF_MINUTE + 6400))


@pytest.mark.parametrize(
    ("longest", "speeds", "advice"),
    [(31.0, (1.0,), "max_seconds = 30$"), (30.0, (0.9, 1.0), "33.3 s, is more .*max_seconds = 27$")],
)
def test_training_clips_that_may_become_too_long_are_refused_before_training(
    longest: float, speeds: tuple[float, ...], advice: str, network: Any
) -> None:
    config = recipe.Recipe(data=recipe.Data(max_seconds=longest), augment=recipe.Augment(speeds=speeds))
    with pytest.raises(RecipeError, match=advice):
        finetune._check_longest(config, network, [])


def test_clips_of_the_evaluation_that_are_too_long_are_named_before_training(network: Any, tmp_path: Path) -> None:
    utterances = [
        Utterance(id=f"u{seconds:g}", audio=tmp_path, text="가", speaker=None, seconds=seconds)
        for seconds in (29.0, 30.0, 30.1, 31.0)
    ]
    examples = [Example(utterance, "가") for utterance in utterances]
    config = recipe.Recipe()
    with pytest.raises(CorpusError, match=r"2 clips of data.eval .* e\.g\. u30\.1 \(30\.1 s\)"):
        finetune._check_longest(config, network, examples)
    finetune._check_longest(config, network, examples[:2])
