"""A student that predicts the layers of a teacher from speech alone, after DistilHuBERT.

Heng-Jui Chang, Shu-wen Yang and Hung-yi Lee, DistilHuBERT: Speech Representation Learning by Layer-wise Distillation
of Hidden-unit BERT, ICASSP 2022 (arXiv 2110.01900). The student is the teacher's convolutions and first layers; on top
of it stands a head for each layer that it is to predict, and after training the heads go.

Thin and deep students learn layer by layer instead: each of their layers predicts one of the teacher's. Jang et al.,
Recycle-and-Distill (ARMHuBERT), Interspeech 2023 (arXiv 2305.11685), with a linear projection per layer, which is
`layerwise_proj` in its published configuration. Jang et al., STaR, ICASSP 2024 (arXiv 2312.09040), pairs the layers
alike, but compares relations between frames. Neither loss is taken over here. ARMHuBERT's is the squared distance of
masked and of unmasked frames, in which the last layer weighs ten times as much as each other one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from distilhubert_ko.errors import RecipeError
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import load_network, wants_normalised_waves
from distilhubert_ko.model.network import normalise_waves


class _LayerOutputs:
    """What `layers` of a network, in rising order from 1, make of a batch; kept from its pass until they are taken."""

    def __init__(self, network: CtcNetwork, layers: Sequence[int]):
        self.layers = layers
        self.depth: int = network.config.num_hidden_layers
        self._kept: dict[int, Tensor] = {}
        for layer in layers:
            network.base_model.encoder.layers[layer - 1].register_forward_hook(self._keep(layer))

    def take(self, encoded: Tensor) -> list[Tensor]:
        """Return the outputs (batch, frames, width); the last layer's is `encoded`, what the whole encoder gave."""
        outputs = [self._kept.pop(layer) for layer in self.layers]
        return [*outputs[:-1], encoded] if self.layers[-1] == self.depth else outputs

    def _keep(self, layer: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            self._kept[layer] = output[0] if isinstance(output, tuple) else output

        return hook


class Teacher:
    """The network in a folder, frozen, which gives what its layers make of a wave.

    `layers` are counted from 1; none means three of them, evenly spaced, the last included: of 12 layers 4, 8
    and 12, the paper's. A CTC head is not needed and not used. Raises ModelError for a folder that `load_network`
    does not take, and RecipeError for a layer that the teacher does not have.
    """

    def __init__(self, folder: Path, layers: Sequence[int] = ()):
        self.normalises = wants_normalised_waves(folder)
        self.network = load_network(folder, head=False).requires_grad_(False)
        self.width: int = self.network.config.hidden_size
        depth = self.network.config.num_hidden_layers
        self.layers = tuple(layers) or tuple(sorted({round(depth * third / 3) for third in (1, 2, 3)} - {0}))
        if max(self.layers) > depth:
            raise RecipeError(
                f"distill.layers {list(self.layers)}: the teacher {folder} has {depth} layers; choose from 1 to {depth}"
            )
        self._outputs = _LayerOutputs(self.network, self.layers)

    def to(self, device: Any) -> None:
        self.network = self.network.to(device)

    def __call__(self, waves: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return the output (batch, frames, width) of each layer for waves (batch, samples) of `lengths` (batch,).

        The last layer's is the encoder's output, which in models with do_stable_layer_norm comes after a norm.
        """
        with torch.no_grad():
            if self.normalises:
                waves = normalise_waves(waves, lengths)
            last = self.network.encode(waves, lengths)
        return self._outputs.take(last)


CONVOLUTIONS_SHARE = 0.1
"""The convolutions get this share of their gradients, `feature_grad_mult` in S3PRL's distiller. Adam divides by it,
but for its epsilon: at full width, the first steps are 0.7 times as long as with 1."""


class Student(nn.Module):
    """A network and its prediction heads, of which each predicts one of the teacher's `layers`.

    By default all stand on the last layer: two linear layers with GELU between them, as in S3PRL's distiller, the
    authors' implementation. With `each`, one linear layer stands on each layer of the student, which has as many.
    `width` is the teacher's, the student's may differ.
    """

    def __init__(self, network: CtcNetwork, layers: int, width: int, *, each: bool = False):
        super().__init__()
        self.network = network
        self.network.lm_head.requires_grad_(False)  # it is not used here
        for parameter in network.base_model.feature_extractor.parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda gradient: CONVOLUTIONS_SHARE * gradient)
        hidden = network.config.hidden_size
        self._outputs = _LayerOutputs(network, range(1, layers + 1)) if each else None

        def head() -> nn.Module:
            last = nn.Linear(hidden, width)
            return last if each else nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), last)

        self.heads = nn.ModuleList(head() for _ in range(layers))

    def forward(self, input_values: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return a prediction (batch, frames, teacher's width) for each layer, for waves (batch, samples)."""
        encoded = self.network.encode(input_values, lengths)
        seen = self._outputs.take(encoded) if self._outputs else [encoded] * len(self.heads)
        return [head(hidden) for head, hidden in zip(self.heads, seen, strict=True)]


def common_frames(networks: Sequence[CtcNetwork], frames: int, lengths: Tensor) -> Tensor:
    """Return which of `frames` all networks make of the clips: (batch, frames).

    Encoders of other kinds may make one frame more of a clip, at its end.
    """
    counts = torch.stack([network.frame_lengths(lengths) for network in networks]).amin(0)
    return torch.arange(frames, device=lengths.device) < counts[:, None]


def layer_distances(predictions: Sequence[Tensor], targets: Sequence[Tensor], valid: Tensor) -> Tensor:
    """Return the L1 distance and the cosine term of each clip and layer over its valid frames: (batch, layers, 2).

    With D the teacher's width, the two terms of the paper's objective: |prediction - target| / D and
    -log sigmoid(cos(prediction, target)). `predictions` and `targets` have a (batch, frames, D) for each layer.
    """
    sums = []
    for prediction, target in zip(predictions, targets, strict=True):
        prediction, target = prediction.float(), target.float()
        terms = (
            (prediction - target).abs().mean(-1),
            -functional.logsigmoid(functional.cosine_similarity(prediction, target, dim=-1)),
        )
        sums.append(torch.stack([term.masked_fill(~valid, 0.0).sum(1) for term in terms], dim=-1))
    return torch.stack(sums, dim=1)


@dataclass(frozen=True)
class InitialisedPart:
    """A part of the student, and how many of its tensors are copies of the teacher's."""

    name: str
    copied: int
    tensors: int


def copy_teacher_weights(student: CtcNetwork, teacher: CtcNetwork) -> list[InitialisedPart]:
    """Copy the teacher's weights into the student, and return what was copied.

    A module of the student (a linear layer, a convolution, a norm) is copied whole, where the teacher has one in that
    place with those shapes, or not at all.
    """
    own, given = student.base_model.state_dict(), teacher.base_model.state_dict()
    modules = defaultdict(list)
    for name in own:
        modules[name.split(".parametrizations.")[0].rpartition(".")[0]].append(name)
    copied = {
        name: given[name]
        for names in modules.values()
        if all(name in given and given[name].shape == own[name].shape for name in names)
        for name in names
    }
    student.base_model.load_state_dict(copied, strict=False)
    parts: dict[str, list[bool]] = defaultdict(list)
    for name in own:
        parts[_part(name)].append(name in copied)
    return [InitialisedPart(name, sum(flags), len(flags)) for name, flags in parts.items()]


def config_differences(student: CtcNetwork, teacher: CtcNetwork) -> list[str]:
    """Return the keys of the two config.json that make copied weights compute something else than in the teacher."""
    keys = ("num_attention_heads", "hidden_act", "feat_extract_norm", "feat_proj_layer_norm", "do_stable_layer_norm")
    pairs = [(key, getattr(student.config, key, None), getattr(teacher.config, key, None)) for key in keys]
    return [f"{key} {own} (the teacher's: {given})" for key, own, given in pairs if own != given]


def _part(name: str) -> str:
    match name.split("."):
        case ["feature_extractor", *_]:
            return "convolutions"
        case ["feature_projection", *_]:
            return "feature projection"
        case ["encoder", "pos_conv_embed", *_]:
            return "positional convolution"
        case ["encoder", "layers", layer, *_]:
            return f"layer {int(layer) + 1}"
        case ["encoder", *_]:
            return "encoder's norm"
        case _:
            return "mask embedding"


def describe_parts(parts: Sequence[InitialisedPart]) -> str:
    """Return what came from the teacher, as a line for a terminal."""
    whole = [part.name for part in parts if part.copied == part.tensors]
    some = [f"{part.name} ({part.copied} of {part.tensors})" for part in parts if 0 < part.copied < part.tensors]
    none = [part.name for part in parts if not part.copied]
    groups = (("from the teacher", whole), ("in part, by tensors", some), ("new", none))
    return "; ".join(f"{title}: {', '.join(names)}" for title, names in groups if names)
