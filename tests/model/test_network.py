"""The padding-safe model against plain Transformers, clip by clip, and against itself in batches."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import HubertForCTC

from distilhubert_ko.audio.frames import HUBERT_FRAMES
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.model.loading import build_network
from distilhubert_ko.model.network import PaddingSafeHubertForCTC, first_convolution, strided_convolution
from tests.support.model import SYLLABLES, TINY, clip, new_network, padded

LENGTHS = (400, 401, 719, 720, 16_000, 16_001, 33_333)
MATES = (400, 9001, 16_000, 48_000)  # samples of the clips of one batch


@pytest.fixture(scope="module")
def network() -> PaddingSafeHubertForCTC:
    return new_network()


@pytest.fixture(scope="module")
def plain(network: PaddingSafeHubertForCTC) -> HubertForCTC:
    """Transformers' own class with the same weights."""
    reference = HubertForCTC(network.config).eval()
    reference.load_state_dict(network.state_dict())
    return reference


def one(samples: int, seed: int = 0) -> Tensor:
    """A clip as a batch: (1, samples)."""
    return torch.from_numpy(clip(samples, seed))[None]


def spell(units: int, seed: int = 0) -> Tensor:
    """Labels (1, units), none of them a special token, no two neighbours alike."""
    random = np.random.default_rng(seed)
    steps = random.integers(1, len(SYLLABLES) - 3, units)
    return torch.from_numpy(3 + np.cumsum(steps) % (len(SYLLABLES) - 3))[None]


def largest_difference(left: Tensor, right: Tensor) -> float:
    assert left.shape == right.shape
    return (left - right).abs().max().item()


def test_the_state_dict_is_that_of_plain_transformers(network: PaddingSafeHubertForCTC) -> None:
    reference = HubertForCTC(network.config).state_dict()
    assert {name: value.shape for name, value in network.state_dict().items()} == {
        name: value.shape for name, value in reference.items()
    }


@pytest.mark.parametrize("samples", LENGTHS)
def test_a_single_clip_gets_the_logits_and_the_loss_of_plain_transformers(
    network: PaddingSafeHubertForCTC, plain: HubertForCTC, samples: int
) -> None:
    wave, labels = one(samples), spell(max(1, HUBERT_FRAMES.count(samples) // 3))
    with torch.no_grad():
        ours, theirs = network(wave, labels=labels), plain(wave, labels=labels)
    assert ours.logits.shape == (1, HUBERT_FRAMES.count(samples), len(SYLLABLES))
    assert theirs.logits.std() > 1  # or the comparison says little
    assert largest_difference(ours.logits, theirs.logits) < 1e-4
    assert ours.loss.item() == pytest.approx(theirs.loss.item(), rel=1e-4)


@pytest.mark.parametrize("samples", [721, 16_001])
def test_a_single_clip_gets_the_gradients_of_plain_transformers(
    network: PaddingSafeHubertForCTC, plain: HubertForCTC, samples: int
) -> None:
    wave, labels = one(samples), spell(max(1, HUBERT_FRAMES.count(samples) // 3))
    ours, theirs = (gradients(one_of, wave, labels) for one_of in (network, plain))
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert (ours[name] - gradient).norm() <= tolerance(gradient), name


def gradients(network: HubertForCTC, wave: Tensor, labels: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    network(wave.clone(), labels=labels).loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def tolerance(gradient: Tensor) -> float:
    """One in a thousand. The gradient of some (the bias of keys) is 0 but for rounding; those of others are about 1."""
    return 1e-3 * max(gradient.norm().item(), 0.01)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_clip_gets_the_same_logits_alone_and_in_any_batch(mode: str) -> None:
    network = new_network().train(mode == "train")  # its dropouts are 0
    clips = [clip(samples) for samples in MATES]
    with torch.no_grad():
        alone = [network(torch.from_numpy(wave)[None]).logits[0] for wave in clips]
        for order in ([0, 1, 2, 3], [3, 0], [1, 2, 1], [0, 0, 1]):
            together = network(*padded([clips[i] for i in order])).logits
            for row, i in zip(together, order, strict=True):
                assert largest_difference(row[: len(alone[i])], alone[i]) < 1e-4


def test_plain_transformers_gives_a_clip_other_logits_in_a_batch(plain: HubertForCTC) -> None:
    """So the test above can fail."""
    clips = [clip(samples) for samples in MATES]
    waves, lengths = padded(clips)
    mask = torch.arange(waves.shape[1]) < lengths[:, None]
    with torch.no_grad():
        alone = plain(torch.from_numpy(clips[1])[None]).logits[0]
        together = plain(waves, attention_mask=mask.long()).logits[1, : len(alone)]
    assert largest_difference(together, alone) > 0.1


def test_the_gradients_of_a_batch_are_the_mean_of_those_of_its_clips() -> None:
    network = new_network()
    clips, labels = [clip(samples) for samples in MATES[1:]], [spell(units, seed=units) for units in (4, 9, 20)]
    waves, lengths = padded(clips, fill=0.5)
    network.zero_grad()
    network(waves, lengths, padded_labels(labels)).loss.backward()
    together = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    alone = [gradients(network, torch.from_numpy(c)[None], text) for c, text in zip(clips, labels, strict=True)]
    for name, gradient in together.items():
        expected = sum(part[name] for part in alone) / len(alone)
        assert (gradient - expected).norm() <= tolerance(expected), name


@pytest.mark.parametrize("fill", [0.7, -1e3])
def test_what_the_padding_holds_does_not_matter(network: PaddingSafeHubertForCTC, fill: float) -> None:
    clips = [clip(samples) for samples in MATES]
    with torch.no_grad():
        silent, loud = (network(*padded(clips, fill=value)).logits for value in (0.0, fill))
    for before, after, samples in zip(silent, loud, MATES, strict=True):
        frames = HUBERT_FRAMES.count(samples)
        assert largest_difference(before[:frames], after[:frames]) < 1e-4


def test_the_loss_of_a_padded_batch_is_the_mean_of_its_clips(network: PaddingSafeHubertForCTC) -> None:
    clips, labels = [clip(samples) for samples in MATES], [spell(units, seed=units) for units in (1, 5, 9, 30)]
    ctc = nn.CTCLoss(blank=SYLLABLES.blank_id, reduction="mean")  # the mean over labels, for one clip
    alone = []
    with torch.no_grad():
        for wave, text in zip(clips, labels, strict=True):
            log_probs = network(torch.from_numpy(wave)[None]).logits.log_softmax(-1).transpose(0, 1)
            alone.append(ctc(log_probs, text, torch.tensor([len(log_probs)]), torch.tensor([text.shape[1]])))
        waves, lengths = padded(clips)
        together = network(waves, lengths, padded_labels(labels)).loss
    assert together.item() == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def padded_labels(labels: list[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence([text[0] for text in labels], batch_first=True, padding_value=-100)


def test_frame_lengths_are_those_of_audio(network: PaddingSafeHubertForCTC) -> None:
    samples = np.arange(400, 3000)
    assert network.frame_lengths(torch.from_numpy(samples)).tolist() == HUBERT_FRAMES.count(samples).tolist()


SOUNDS = {
    "plain": lambda wave: wave,
    "quiet": lambda wave: 1e-3 * wave,
    "very quiet": lambda wave: 1e-5 * wave,
    "loud": lambda wave: 30 * wave,
    "with a DC offset": lambda wave: wave + 0.5,
    "silence": lambda wave: 0 * wave,
    "nothing but a DC offset": lambda wave: 0 * wave + 0.5,
}


@pytest.mark.parametrize("sound", SOUNDS)
@pytest.mark.parametrize("samples", [400, 404, 405, 16_003])
def test_the_first_convolution_is_a_convolution_and_a_group_norm(sound: str, samples: int) -> None:
    weight, norm = first_layer()
    wave = SOUNDS[sound](one(samples))
    ours = first_convolution(wave, torch.tensor([samples]), weight, norm)
    # In double precision, where the order of the operations does not matter.
    expected = norm.double()(functional.conv1d(wave.double()[:, None], weight.double(), stride=5)).transpose(1, 2)
    assert largest_difference(ours.double(), expected) < 1e-3 * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("samples", [400, 404, 405, 1603])
def test_the_first_convolution_has_the_gradients_of_a_convolution_and_a_group_norm(samples: int) -> None:
    weight, norm = first_layer()
    wave = one(samples)
    gradient = torch.randn(1, (samples - 10) // 5 + 1, len(weight), generator=torch.Generator().manual_seed(0))
    of = [weight, norm.weight, norm.bias]
    ours = torch.autograd.grad(first_convolution(wave, torch.tensor([samples]), weight, norm), of, gradient)
    reference = norm(functional.conv1d(wave[:, None], weight, stride=5)).transpose(1, 2)
    for found, expected in zip(ours, torch.autograd.grad(reference, of, gradient), strict=True):
        assert (found - expected).norm() <= 1e-3 * expected.norm()


def first_layer() -> tuple[Tensor, nn.GroupNorm]:
    torch.manual_seed(3)
    norm = nn.GroupNorm(6, 6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return torch.randn(6, 1, 10, requires_grad=True), norm


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("frames", [3, 4, 5, 6, 7, 8, 49])
def test_a_strided_convolution_is_a_convolution(kernel: int, frames: int) -> None:
    torch.manual_seed(4)
    hidden = torch.randn(2, frames, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, kernel, dtype=torch.float64, requires_grad=True)
    ours = strided_convolution(hidden, weight)
    expected = functional.conv1d(hidden.transpose(1, 2), weight, stride=2).transpose(1, 2)
    assert largest_difference(ours, expected) < 1e-12
    gradient = torch.randn_like(expected)
    found, wanted = (torch.autograd.grad(result, (hidden, weight), gradient) for result in (ours, expected))
    assert all(largest_difference(*pair) < 1e-12 for pair in zip(found, wanted, strict=True))


def test_a_frozen_feature_encoder_gets_no_gradient_and_the_rest_does() -> None:
    network = build_network(dataclasses.replace(TINY, freeze_feature_encoder=True), SYLLABLES).train()
    network(one(16_000), labels=spell(5)).loss.backward()
    for name, parameter in network.named_parameters():
        # Nothing is masked, so the mask's embedding has no gradient either way.
        idle = name.startswith("hubert.feature_extractor.") or name == "hubert.masked_spec_embed"
        assert (parameter.grad is None) == idle, name


def test_dropouts_are_those_of_the_recipe_and_act_in_training_alone() -> None:
    network = new_network(dataclasses.replace(TINY, final_dropout=0.5))
    wave = one(16_000)
    with torch.no_grad():
        assert torch.equal(network(wave).logits, network(wave).logits)
        network.train()
        assert not torch.equal(network(wave).logits, network(wave).logits)


def test_masks_that_do_not_fit_are_refused_by_name_or_wait_for_a_longer_batch() -> None:
    with pytest.raises(RecipeError, match="mask_feature_length is 33: give 32"):
        build_network(dataclasses.replace(TINY, mask_feature_prob=0.1, mask_feature_length=33), SYLLABLES)
    config = dataclasses.replace(TINY, mask_time_prob=0.5, mask_time_length=20)
    network = build_network(config, SYLLABLES).train()
    short, long = (padded([clip(samples)]) for samples in (6400, 6720))  # 19 frames and 20
    torch.testing.assert_close(network(*short).logits, network.eval()(*short).logits)
    assert not torch.allclose(network.train()(*long).logits, network.eval()(*long).logits)


def test_masks_replace_frames_by_the_trained_embedding_in_training_alone() -> None:
    config = dataclasses.replace(TINY, mask_time_prob=0.5, mask_time_length=4)
    network = new_network(config)
    with torch.no_grad():
        network.hubert.masked_spec_embed.fill_(7)
    waves = torch.from_numpy(clip(16_000))[None]
    seen: list[torch.Tensor] = []
    network.hubert.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    with torch.no_grad():
        network(waves)
        np.random.seed(0)
        network.train()(waves)
    plain, masked = (each[0] for each in seen)
    replaced = (masked == 7).all(1)
    assert 0.2 < replaced.float().mean() < 0.8
    assert torch.equal(masked[~replaced], plain[~replaced])


def test_masks_never_reach_into_the_padding_and_the_embedding_learns() -> None:
    config = dataclasses.replace(TINY, mask_time_prob=0.5, mask_time_length=4)
    network = new_network(config).train()
    waves, lengths = padded([clip(16_000), clip(6_400)])
    seen: list[torch.Tensor] = []
    network.hubert.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    np.random.seed(0)
    network(waves, lengths=lengths).logits.sum().backward()
    embedding = network.hubert.masked_spec_embed
    assert not (seen[0][1, 19:] == embedding).all(1).any()
    assert embedding.grad is not None
    assert embedding.grad.abs().sum() > 0


# Mixed precision


@pytest.mark.parametrize(("hidden", "groups"), [(192, 16), (32, 4), (64, 2)])
def test_in_bf16_logits_stay_near_those_of_float32(hidden: int, groups: int) -> None:
    """oneDNN's own bf16 convolution of 12 channels a group gives noise on processors with AMX."""
    config = dataclasses.replace(
        TINY, hidden_size=hidden, num_conv_pos_embeddings=64, num_conv_pos_embedding_groups=groups
    )
    narrow = new_network(config)
    waves, lengths = padded([clip(samples) for samples in MATES])
    with torch.no_grad():
        exact = narrow(waves, lengths).logits
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = narrow(waves, lengths).logits.float()
    for row, frames in enumerate(narrow.frame_lengths(lengths)):
        assert (logits[row, :frames] - exact[row, :frames]).norm() < 0.1 * exact[row, :frames].norm()
