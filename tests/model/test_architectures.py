"""Model folders that others made, with Transformers alone: converted and read here, they give what they give there."""

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCTC,
    HubertConfig,
    HubertForCTC,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
    Wav2Vec2Processor,
)

from distilhubert_ko.audio.frames import HUBERT_FRAMES
from distilhubert_ko.cli.common import exported_folder
from distilhubert_ko.errors import ModelError
from distilhubert_ko.export import calibration, exporting, graphs
from distilhubert_ko.model.loading import load_network, wants_normalised_waves
from distilhubert_ko.model.network import normalise_waves
from distilhubert_ko.model_folder import weights
from distilhubert_ko.recognition.transcriber import Transcriber
from tests.support.model import clip, opened, padded, together
from tests.support.transcripts import heard, letters

LENGTHS = (400, 401, 719, 16_001, 33_333)
CLASSES: dict[str, tuple[Any, Any]] = {
    "hubert": (HubertConfig, HubertForCTC),
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2ForCTC),
}
TINY = {
    "conv_dim": (16,) * 7,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
SYLLABLES = ["|", *"가나다라마바사아자차카타파하거너더", "[UNK]", "[PAD]"]  # <s> and </s> come after them
LETTERS = ["[PAD]", "[UNK]", "|", *"ㄱㄴㄷㄹㅁㅅㅇㅏㅓㅗㅣㄳㄶ"]
JAMO = ["[PAD]", "[UNK]", *"ᄀᄂᄃᄅ마ᅥᅩᅵᆨᆫᆯ"]
CAPITALS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJ'"]


@dataclass(frozen=True)
class Made:
    """How others made a model."""

    family: str
    norm: str
    stable: bool
    normalise: bool

    def config(self, **others: Any) -> Any:
        """The configuration; switches that others leave alone here follow from those that they set."""
        switches = {
            "feat_extract_norm": self.norm,
            "do_stable_layer_norm": self.stable,
            "feat_proj_layer_norm": self.stable,  # which wav2vec 2.0 always has
            "conv_bias": self.norm == "layer",
        }
        return CLASSES[self.family][0](**TINY | switches | others)

    def extractor(self) -> Wav2Vec2FeatureExtractor:
        return Wav2Vec2FeatureExtractor(do_normalize=self.normalise, return_attention_mask=self.norm == "layer")

    def network(self, **others: Any) -> Any:
        """Transformers' own, with random weights that have something to say."""
        torch.manual_seed(5)
        network = CLASSES[self.family][1](self.config(**others)).eval()
        extracted = self.extractor()(speech(32_000), sampling_rate=16_000, return_tensors="pt").input_values
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                noise = torch.randn(parameter.shape)
                if parameter.ndim > 1 and not name.endswith("original0"):
                    parameter.copy_(1.5 * noise / parameter[0].numel() ** 0.5)
                else:
                    parameter.add_(0.2 * noise)
            logits = network(extracted).logits[0]  # over its frames, each output gets mean 0 and variance 1
            network.lm_head.weight /= logits.std(0)[:, None]
            network.lm_head.bias.copy_((network.lm_head.bias - logits.mean(0)) / logits.std(0))
        return network

    def save(self, folder: Path, tokens: list[str] = SYLLABLES, shards: str = "1GB", **options: Any) -> Path:
        """Writes a network, a processor and a vocabulary of `tokens`."""
        folder.mkdir(parents=True, exist_ok=True)
        vocabulary = {token: index for index, token in enumerate(tokens)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        named = {} if "<pad>" in tokens else {"pad_token": "[PAD]", "unk_token": "[UNK]"}
        tokenizer = Wav2Vec2CTCTokenizer(folder / "vocab.json", **named, **options)
        network = self.network(vocab_size=len(tokens), pad_token_id=tokenizer.pad_token_id)
        network.save_pretrained(folder, max_shard_size=shards)
        Wav2Vec2Processor(self.extractor(), tokenizer).save_pretrained(folder)
        return folder


ALL = [Made(*each) for each in itertools.product(CLASSES, ("group", "layer"), (False, True), (False, True))]


def theirs(folder: Path, wave: np.ndarray) -> torch.Tensor:
    """Log-probabilities (frames, vocabulary) by Transformers alone."""
    inputs = Wav2Vec2FeatureExtractor.from_pretrained(folder)(wave, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        return AutoModelForCTC.from_pretrained(folder)(inputs.input_values).logits[0].log_softmax(-1)


def speech(samples: int) -> np.ndarray:
    """A clip that is quiet and off centre, so that it matters whether it is normalised."""
    return 0.1 * clip(samples) + np.float32(0.05)


@dataclass(frozen=True)
class Drawn:
    """A network by Transformers, and what graphs of it are built from."""

    made: Made
    network: Any

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}

    def graph(self, speech: Any = None) -> Any:
        return graphs.build_graph(
            self.weights, self.network.config.to_dict(), normalise=self.made.normalise, speech=speech
        )

    def expected(self, wave: np.ndarray) -> np.ndarray:
        """Log-probabilities (frames, vocabulary) by Transformers alone."""
        extracted = self.made.extractor()(wave, sampling_rate=16_000, return_tensors="pt").input_values
        with torch.no_grad():
            return self.network(extracted).logits[0].log_softmax(-1).numpy()


# In torch


@pytest.mark.parametrize("made", ALL, ids=str)
def test_a_clip_gets_what_transformers_gives_alone_and_in_a_batch(made: Made, tmp_path: Path) -> None:
    folder = made.save(tmp_path)
    network = load_network(folder)
    assert wants_normalised_waves(folder) == made.normalise
    reference = CLASSES[made.family][1].from_pretrained(folder)
    assert network.state_dict().keys() == reference.state_dict().keys()
    waves, lengths = padded([speech(samples) for samples in LENGTHS], fill=0.7)
    with torch.no_grad():
        together = network(normalise_waves(waves, lengths) if made.normalise else waves, lengths).logits
    for row, samples in zip(together, LENGTHS, strict=True):
        expected = Drawn(made, reference).expected(speech(samples))
        assert len(expected) == HUBERT_FRAMES.count(samples)
        assert np.abs(row[: len(expected)].log_softmax(-1).numpy() - expected).max() < 1e-3


@pytest.mark.parametrize("wave", [speech(400), 1e-4 * speech(9001), 0 * speech(1000), 0 * speech(1000) + 0.5])
def test_waves_are_normalised_as_the_feature_extractor_does_whatever_the_padding_holds(wave: np.ndarray) -> None:
    expected = Wav2Vec2FeatureExtractor(do_normalize=True)(wave, sampling_rate=16_000, return_tensors="np")
    found = normalise_waves(*padded([wave, clip(10_000)], fill=9.0))[0].numpy()
    # A wave without any variance is amplified as it stands, rounding and all.
    assert np.abs(found[: len(wave)] - expected.input_values[0]).max() < 1e-3
    assert not found[len(wave) :].any()


# In a graph

SWITCHES = [
    (made, {"conv_bias": conv_bias, "feat_proj_layer_norm": projection_norm})
    for made, conv_bias, projection_norm in itertools.product(ALL, (False, True), (False, True))
    if made.family == "hubert" or projection_norm
]


@pytest.mark.parametrize(("made", "switches"), SWITCHES, ids=str)
def test_a_graph_gives_what_transformers_gives_alone_and_in_a_batch(made: Made, switches: dict[str, Any]) -> None:
    """Within 1e-4, but where a group norm takes the mean of waves off centre away, and with it digits of float32."""
    drawn = Drawn(made, made.network(vocab_size=20, **switches))
    waves = [speech(samples) for samples in LENGTHS]
    session = opened(drawn.graph())
    quiet, loud = (together(session, waves, fill) for fill in (0.7, np.nan))
    for wave, in_batch, beside_nan in zip(waves, quiet, loud, strict=True):
        expected = drawn.expected(wave)
        (alone,) = together(session, [wave])
        assert alone.shape == expected.shape == (HUBERT_FRAMES.count(len(wave)), 20)
        for found in (alone, in_batch, beside_nan):
            assert np.abs(found - expected).max() < (1e-4 if made.normalise or made.norm == "layer" else 1e-3)


@pytest.mark.parametrize("size", [1, 2, 7, 16, 19])
def test_positions_are_heard_as_far_as_transformers_hears_them(size: int) -> None:
    """An even number of them gives a frame too many there, which is cut off at the end."""
    made = Made("hubert", "group", False, False)
    drawn = Drawn(made, made.network(vocab_size=20, num_conv_pos_embeddings=size))
    (found,) = together(opened(drawn.graph()), [speech(33_333)])
    assert np.abs(found - drawn.expected(speech(33_333))).max() < 1e-3


@pytest.mark.parametrize("made", [made for made in ALL if made.stable == (made.norm == "layer")], ids=str)
def test_a_graph_in_8_bits_says_nearly_what_transformers_says_whatever_lies_beside_a_clip(made: Made) -> None:
    """Off-centre waves too, where float32 sums in another order would turn roundings to 8 bits."""
    drawn = Drawn(made, made.network(vocab_size=20))
    quiet = [0.1 * clip(24_000, seed) + np.float32(0.05) for seed in range(3)]
    observed = calibration.observe_ranges(drawn.weights, drawn.network.config.to_dict(), quiet, made.normalise)
    session = opened(drawn.graph(observed))
    waves = [speech(samples) for samples in LENGTHS]
    alone = [together(session, [wave])[0] for wave in waves]
    for fill in (0.7, np.nan):
        for one, in_batch in zip(alone, together(session, waves, fill), strict=True):
            assert np.abs(one - in_batch).max() < 1e-5
    expected = np.concatenate([drawn.expected(wave) for wave in waves])
    found = np.concatenate(alone)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95
    assert (found.argmax(1) == expected.argmax(1)).mean() > 0.65


# Converted


@dataclass(frozen=True)
class Converted:
    folder: Path
    made: Made
    transcriber: Transcriber
    before: dict[str, float]


# With the DistilHuBERT of test_export, every two settings of two switches meet in one of these.
CONVERTED: list[tuple[Made, dict[str, Any]]] = [
    (Made("hubert", "layer", True, True), {"tokens": LETTERS, "shards": "30KB"}),
    (Made("wav2vec2", "group", False, True), {"tokens": CAPITALS, "do_lower_case": True}),
    (Made("wav2vec2", "layer", False, False), {"tokens": SYLLABLES}),
    (Made("wav2vec2", "group", True, False), {"tokens": JAMO, "word_delimiter_token": None}),
]


def listing(folder: Path) -> dict[str, float]:
    return {file.name: file.stat().st_mtime for file in folder.iterdir()}


@pytest.fixture(scope="module", params=CONVERTED, ids=lambda one: str(one[0]))
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A model as the command line opens it for the first time."""
    made, options = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        folder = made.save(tmp_path_factory.mktemp("model"), **options)
        before = listing(folder)
        return Converted(folder, made, Transcriber(exported_folder(str(folder)), threads=1), before)


def test_a_converted_model_gives_the_log_probabilities_of_transformers(converted: Converted) -> None:
    waves = [speech(samples) for samples in LENGTHS]
    together = converted.transcriber.runtime.log_probs(waves)
    for wave, row in zip(waves, together, strict=True):
        expected = theirs(converted.folder, wave).numpy()
        (alone,) = converted.transcriber.runtime.log_probs([wave])
        assert alone.shape == row.shape == expected.shape
        assert np.abs(alone - expected).max() < 1e-3
        assert np.abs(row - expected).max() < 1e-3


def test_a_converted_model_gives_the_text_of_transformers(converted: Converted) -> None:
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(converted.folder)
    for samples in (400, 33_333, 80_000):
        ids = theirs(converted.folder, speech(samples)).argmax(-1)
        expected = re.sub("</?s>", "", tokenizer.decode(ids))
        found = heard(converted.transcriber(speech(samples)))
        assert found == letters(expected)
        assert samples < 80_000 or len(found) > 20


def test_converting_leaves_the_folder_as_it_was(converted: Converted) -> None:
    assert listing(converted.folder) == converted.before


def test_several_files_of_weights_are_one_model(tmp_path: Path) -> None:
    folder = ALL[0].save(tmp_path, shards="30KB")
    assert len(weights(folder)) > 1
    assert not (folder / "model.safetensors").exists()
    with torch.no_grad():
        found = load_network(folder)(torch.from_numpy(clip(9001))[None]).logits[0].log_softmax(-1)
    assert (found - theirs(folder, clip(9001))).abs().max() < 1e-3


def test_weights_in_half_precision_are_computed_in_single(tmp_path: Path) -> None:
    folder = ALL[0].save(tmp_path)
    HubertForCTC.from_pretrained(folder).half().save_pretrained(folder)
    assert {parameter.dtype for parameter in load_network(folder).parameters()} == {torch.float32}


def test_older_names_of_the_positional_weights_and_what_is_for_training_alone_do_not_matter(tmp_path: Path) -> None:
    folder = Made("wav2vec2", "group", False, True).save(tmp_path)
    before = theirs(folder, clip(9001))
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["wav2vec2.masked_spec_embed"]
    for new, old in (
        ("parametrizations.weight.original0", "weight_g"),
        ("parametrizations.weight.original1", "weight_v"),
    ):
        name = "wav2vec2.encoder.pos_conv_embed.conv."
        tensors[name + old] = tensors.pop(name + new)
    save_file(tensors | {"quantizer.weight": torch.zeros(1)}, file, metadata={"format": "pt"})
    network = load_network(folder)
    with torch.no_grad():
        waves, lengths = padded([clip(9001)])
        found = network(normalise_waves(waves, lengths), lengths).logits[0].log_softmax(-1)
    assert (found - before).abs().max() < 1e-3


# Refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"add_adapter": True}, "add_adapter True is not supported"),
        ({"adapter_attn_dim": 16}, "adapter_attn_dim 16 is not supported"),
        ({"conv_pos_batch_norm": True}, "conv_pos_batch_norm True is not supported"),
        ({"conv_stride": (5, 2, 2, 2, 2, 2, 1)}, "other frames than HuBERT's"),
        ({"model_type": "wav2vec2-conformer"}, "give a model of hubert or wav2vec2"),
        ({"model_type": "wavlm"}, "give a model of hubert or wav2vec2"),
    ],
)
def test_another_architecture_is_refused_with_what_to_do(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    folder = Made("wav2vec2", "layer", True, True).save(tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(ModelError, match=words):
        load_network(folder)


@pytest.mark.parametrize("name", ["hidden_act", "feat_extract_activation"])
def test_a_graph_of_another_activation_is_refused_with_what_to_do(name: str, tmp_path: Path) -> None:
    folder = ALL[0].save(tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {name: "relu"}), encoding="utf-8")
    with pytest.raises(ModelError, match=f"{name} 'relu' is not supported here: use a checkpoint with 'gelu'"):
        exporting.export_graph(folder)


def test_a_model_without_a_head_is_refused(tmp_path: Path) -> None:
    """Transformers would give it a random one."""
    Wav2Vec2Model(Made("wav2vec2", "group", False, True).config(vocab_size=8)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no weights for lm_head\.bias, lm_head\.weight; .* fine-tuned"):
        load_network(tmp_path)


def test_weights_that_cannot_be_read_are_a_model_error_that_names_the_folder(tmp_path: Path) -> None:
    folder = ALL[0].save(tmp_path)
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match=f"{folder}: the model cannot be loaded"):
        load_network(folder)


def test_a_model_that_does_not_say_how_its_waves_are_or_wants_other_ones_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="says do_normalize"):
        wants_normalised_waves(tmp_path)
    Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="sampling_rate 8000"):
        wants_normalised_waves(tmp_path)
