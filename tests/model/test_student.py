"""The student, its teacher and the loss between them, against plain Transformers and plain torch."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import (
    HubertConfig,
    HubertForCTC,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from distilhubert_ko import recipe
from distilhubert_ko.errors import ModelError, RecipeError
from distilhubert_ko.model import student
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.student import InitialisedPart, Student, Teacher
from tests.support.model import DROPOUTS, SYLLABLES, TINY, clip, new_network, padded

LENGTHS = (400, 719, 5000, 16_003)  # one frame, one frame and a bit, and two that other clips' padding reaches
DEEP = dataclasses.replace(TINY, num_hidden_layers=3)
SMALL = {
    "conv_dim": (16,) * 7,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}
LARGE = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
ARCHITECTURES: dict[str, tuple[type[PreTrainedModel], dict[str, Any], bool]] = {
    "hubert base": (HubertModel, {}, False),
    "hubert base with a head": (HubertForCTC, {}, False),
    "hubert large": (HubertModel, LARGE, True),
    "wav2vec2 base": (Wav2Vec2Model, {}, True),
    "wav2vec2 large": (Wav2Vec2Model, LARGE, True),
}


def saved(folder: Path, architecture: str) -> PreTrainedModel:
    """A model of plain Transformers with weights that matter, saved with its feature extractor."""
    kind, changes, normalises = ARCHITECTURES[architecture]
    configure = Wav2Vec2Config if "wav2vec2" in architecture else HubertConfig
    torch.manual_seed(0)
    network = kind(configure(**SMALL | changes)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    network.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=normalises).save_pretrained(folder)
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of three layers with a CTC head, and with dropouts that must not act."""
    path = tmp_path_factory.mktemp("teacher")
    new_network(dataclasses.replace(DEEP, **DROPOUTS)).save_pretrained(path)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(path)
    return path


# The teacher


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_targets_are_the_hidden_states_of_plain_transformers(tmp_path: Path, architecture: str) -> None:
    network = saved(tmp_path, architecture)
    base = network.base_model
    wave = clip(9001)
    extracted = Wav2Vec2FeatureExtractor(do_normalize=ARCHITECTURES[architecture][2])(
        wave, sampling_rate=16_000, return_tensors="pt"
    )
    with torch.no_grad():
        expected = base(extracted.input_values, output_hidden_states=True)
    targets = Teacher(tmp_path, (1, 2, 3))(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
    # Transformers 5 leaves the last norm of stable-layer-norm models out of hidden_states.
    for found, wanted in zip(targets, [*expected.hidden_states[1:3], expected.last_hidden_state], strict=True):
        assert found.shape == wanted.shape
        assert (found - wanted).abs().max() < 1e-4 * max(1.0, wanted.abs().max())
        assert not found.requires_grad


@pytest.mark.parametrize("architecture", ["hubert base", "wav2vec2 large"])
def test_a_clip_has_the_same_targets_alone_and_in_a_batch(tmp_path: Path, architecture: str) -> None:
    saved(tmp_path, architecture)
    teacher = Teacher(tmp_path)
    clips = [clip(samples) for samples in LENGTHS]
    together = teacher(*padded(clips, fill=0.5))
    for row, wave in enumerate(clips):
        alone = teacher(torch.from_numpy(wave)[None], torch.tensor([len(wave)]))
        for one, batch in zip(alone, together, strict=True):
            assert (one[0] - batch[row, : one.shape[1]]).abs().max() < 1e-4


def test_a_teacher_says_the_same_twice_and_is_never_trained(folder: Path) -> None:
    teacher = Teacher(folder)
    wave, lengths = padded([clip(8000)])
    assert all(torch.equal(*pair) for pair in zip(teacher(wave, lengths), teacher(wave, lengths), strict=True))
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())


@pytest.mark.parametrize(
    ("depth", "layers"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (6, (2, 4, 6)), (12, (4, 8, 12)), (24, (8, 16, 24))]
)
def test_layers_are_those_of_the_paper_unless_they_are_named(tmp_path: Path, depth: int, layers: tuple[int]) -> None:
    HubertModel(HubertConfig(**SMALL | {"num_hidden_layers": depth})).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    assert Teacher(tmp_path).layers == layers
    assert Teacher(tmp_path, (1,)).layers == (1,)


def test_a_layer_that_the_teacher_has_not_is_refused(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"has 3 layers; choose from 1 to 3"):
        Teacher(folder, (1, 4))


@pytest.mark.parametrize("change", [{"conv_stride": (5, 2, 2, 2, 2, 2, 1)}, {"conv_pos_batch_norm": True}])
def test_a_teacher_that_is_not_padding_safe_here_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    HubertModel(HubertConfig(**SMALL | change)).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="use a checkpoint"):
        Teacher(tmp_path)


def test_a_teacher_that_lacks_weights_of_its_encoder_is_refused(tmp_path: Path) -> None:
    HubertModel(HubertConfig(**SMALL | {"num_hidden_layers": 2})).save_pretrained(tmp_path)
    HubertConfig(**SMALL).save_pretrained(tmp_path)  # which says three
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no weights for hubert\.encoder\.layers\.2"):
        Teacher(tmp_path)


# The loss


@pytest.mark.parametrize("frames", [(1,), (5, 1, 3)])
def test_distances_are_those_of_each_frame_computed_alone(frames: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    shape = (len(frames), max(frames), 7)
    predictions, targets = [torch.randn(shape) for _ in range(2)], [torch.randn(shape) for _ in range(2)]
    valid = torch.arange(max(frames)) < torch.tensor(frames)[:, None]
    found = student.layer_distances(predictions, targets, valid)
    assert found.shape == (len(frames), 2, 2)
    for row, count in enumerate(frames):
        for layer in range(2):
            pairs = [(predictions[layer][row, t], targets[layer][row, t]) for t in range(count)]
            l1 = sum(functional.l1_loss(*pair).item() for pair in pairs)
            cosine = sum(-torch.log(torch.sigmoid(a @ b / (a.norm() * b.norm()))).item() for a, b in pairs)
            assert found[row, layer].tolist() == pytest.approx([l1, cosine], rel=1e-4)


def test_padded_frames_have_no_part_in_the_distances_or_their_gradients() -> None:
    torch.manual_seed(2)
    prediction, target = torch.randn(1, 4, 3, requires_grad=True), torch.randn(1, 4, 3)
    valid = torch.tensor([[True, True, False, False]])
    before = student.layer_distances([prediction], [target], valid)
    (gradient,) = torch.autograd.grad(before.sum(), prediction)
    assert gradient[0, :2].all()
    assert not gradient[0, 2:].any()
    assert torch.equal(
        student.layer_distances([prediction], [target.masked_fill(~valid[..., None], 1e6)], valid), before
    )


# The student


def test_predictions_are_two_linear_layers_on_the_encoder_of_plain_transformers(folder: Path) -> None:
    network = new_network(TINY)
    pupil = Student(network, layers=2, width=5).eval()
    wave = torch.from_numpy(clip(9001))[None]
    with torch.no_grad():
        plain = HubertModel(network.config).eval()
        plain.load_state_dict(network.base_model.state_dict())
        hidden = plain(wave).last_hidden_state
        found = pupil(wave, torch.tensor([9001]))
    for prediction, head in zip(found, pupil.heads, strict=True):
        first, second = head[0], head[2]
        inner = functional.gelu(functional.linear(hidden, first.weight, first.bias))
        assert (functional.linear(inner, second.weight, second.bias) - prediction).abs().max() < 1e-4
        assert prediction.shape == (1, 27, 5)


def test_layer_by_layer_each_hidden_state_of_plain_transformers_makes_one_prediction() -> None:
    network = new_network(DEEP)
    pupil = Student(network, layers=3, width=5, each=True).eval()
    wave = torch.from_numpy(clip(9001))[None]
    plain = HubertModel(network.config).eval()
    plain.load_state_dict(network.base_model.state_dict())
    with torch.no_grad():
        states = plain(wave, output_hidden_states=True).hidden_states[1:]
        found = pupil(wave, torch.tensor([9001]))
    for prediction, head, hidden in zip(found, pupil.heads, states, strict=True):
        assert (functional.linear(hidden, head.weight, head.bias) - prediction).abs().max() < 1e-4


def test_a_layers_prediction_trains_what_is_below_it_alone() -> None:
    pupil = Student(new_network(DEEP), layers=3, width=5, each=True)
    pupil(*padded([clip(8000)]))[1].square().sum().backward()
    layers = pupil.network.base_model.encoder.layers
    assert [layer.feed_forward.output_dense.weight.grad is not None for layer in layers] == [True, True, False]
    assert [head.weight.grad is not None for head in pupil.heads] == [False, True, False]


def test_everything_but_the_unused_head_is_trained() -> None:
    pupil = Student(build_network(TINY, SYLLABLES), layers=1, width=5)
    waves, lengths = padded([clip(8000), clip(5000)])
    sum(prediction.square().sum() for prediction in pupil(waves, lengths)).backward()
    for name, parameter in pupil.named_parameters():
        idle = name.endswith("masked_spec_embed") or ".lm_head." in name
        assert (parameter.grad is None) == idle, name


def test_convolutions_get_a_tenth_of_their_gradients_and_frozen_ones_none() -> None:
    waves, lengths = padded([clip(8000), clip(5000)])

    def gradients(network: CtcNetwork) -> dict[str, torch.Tensor | None]:
        network.encode(waves, lengths)[..., 0].sum().backward()
        return {name: parameter.grad for name, parameter in network.base_model.named_parameters()}

    plain, network = new_network(), new_network()
    network.load_state_dict(plain.state_dict())
    expected, found = gradients(plain), gradients(Student(network, layers=1, width=5).network)
    for name, gradient in expected.items():
        if gradient is not None:
            share = student.CONVOLUTIONS_SHARE if name.startswith("feature_extractor") else 1.0
            torch.testing.assert_close(found[name], share * gradient)
    frozen = build_network(dataclasses.replace(TINY, freeze_feature_encoder=True), SYLLABLES)
    assert gradients(Student(frozen, layers=1, width=5).network)["feature_extractor.conv_layers.0.conv.weight"] is None


def test_a_student_of_the_teachers_shapes_starts_as_its_first_layers_bit_for_bit(folder: Path) -> None:
    teacher = Teacher(folder)
    network = build_network(TINY, SYLLABLES)
    parts = student.copy_teacher_weights(network, teacher.network)
    given = teacher.network.base_model.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in network.base_model.state_dict().items())
    assert all(part.copied == part.tensors > 0 for part in parts)
    assert [part.name for part in parts][1:] == [
        "convolutions", "feature projection", "positional convolution", "encoder's norm", "layer 1", "layer 2",
    ]  # fmt: skip
    assert student.describe_parts(parts).startswith(
        "from the teacher: mask embedding, convolutions, feature projection"
    )
    waves, lengths = padded([clip(8000)])
    with torch.no_grad():
        second = network.eval().encode(waves, lengths)
    assert (second - teacher(waves, lengths)[1]).abs().max() < 1e-5


def test_a_narrower_student_takes_what_fits_and_says_so(folder: Path) -> None:
    config = dataclasses.replace(TINY, hidden_size=24, num_attention_heads=2, num_hidden_layers=1)
    network = build_network(config, SYLLABLES)
    before = {name: value.clone() for name, value in network.base_model.state_dict().items()}
    parts = student.copy_teacher_weights(network, Teacher(folder).network)
    after = network.base_model.state_dict()
    assert {name.split(".")[0] for name in after if not torch.equal(before[name], after[name])} == {"feature_extractor"}
    line = student.describe_parts(parts)
    assert line.startswith("from the teacher: convolutions; new: mask embedding, feature projection")
    assert "layer 1" in line


def test_a_deeper_student_keeps_its_own_upper_layers(folder: Path) -> None:
    network = build_network(dataclasses.replace(TINY, num_hidden_layers=4, intermediate_size=48), SYLLABLES)
    parts = {part.name: part for part in student.copy_teacher_weights(network, Teacher(folder).network)}
    assert parts["layer 4"] == InitialisedPart("layer 4", 0, 16)
    # A linear layer whose weight does not fit keeps its bias, too: six of them fit (attention, norms).
    assert parts["layer 3"] == InitialisedPart("layer 3", 12, 16)


def test_what_makes_copied_weights_mean_something_else_is_named(tmp_path: Path, folder: Path) -> None:
    network = build_network(dataclasses.replace(TINY, num_attention_heads=4), SYLLABLES)
    assert student.config_differences(network, Teacher(folder).network) == ["num_attention_heads 4 (the teacher's: 2)"]
    saved(tmp_path, "wav2vec2 large")
    found = student.config_differences(build_network(TINY, SYLLABLES), Teacher(tmp_path).network)
    assert [line.split()[0] for line in found] == ["feat_extract_norm", "feat_proj_layer_norm", "do_stable_layer_norm"]


def test_the_thin_recipe_has_a_target_for_each_layer_and_no_more_weights_than_the_shallow_one() -> None:
    thin, shallow = (recipe.load_recipe(recipe.find_recipe(name)) for name in ("thin", "distill"))
    with torch.device("meta"):
        networks = [build_network(config.model, SYLLABLES).base_model for config in (thin, shallow)]
    parameters = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert parameters[0] < parameters[1] < 23_500_000
    assert thin.distill.heads == "each"
    assert len(thin.distill.layers) == thin.model.num_hidden_layers == 12
