"""The graph of each encoder: model_type in a model's config decides which class builds it."""

from collections.abc import Mapping
from typing import Any

import onnx

from distilhubert_ko.export.graph import HubertGraph
from distilhubert_ko.export.onnx_builder import Array, Observed
from distilhubert_ko.export.transformer_graph import TransformerGraph
from distilhubert_ko.export.whisper_graph import WhisperGraph

GRAPHS: dict[str, type[TransformerGraph]] = {
    "hubert": HubertGraph,
    "wav2vec2": HubertGraph,
    "whisper": WhisperGraph,
}
"""model_type -> the class of its graph."""


def graph_class(config: Mapping[str, Any]) -> type[TransformerGraph]:
    """Return the class that builds the graph for a config as Transformers writes it."""
    return GRAPHS[config["model_type"]]


def build_graph(
    weights: Mapping[str, Array],
    config: Mapping[str, Any],
    *,
    normalise: bool = False,
    whole: float | None = None,
    speech: Mapping[str, Observed] | None = None,
) -> onnx.ModelProto:
    """Return the graph for Transformers' state dict and config: in int8 with `speech`, else in float32.

    `normalise` gives each clip zero mean and unit variance first, as a feature extractor with do_normalize does.
    `whole` is for programs that know one input and one output: `waves` without padding, which they have normalised, and
    `log_probs`. It is the root mean square that speech had before, and the graph restores it: norms have an epsilon and
    convolutions a bias, so loudness matters.
    """
    return graph_class(config)(weights, config, speech).model(normalise, whole)


def build_observing_graph(
    weights: Mapping[str, Array], config: Mapping[str, Any], *, normalise: bool = False
) -> onnx.ModelProto:
    """Return the graph in float32, with what `speech` must know as further outputs (batch, time, channels), by name."""
    return graph_class(config)(weights, config, None).observing_model(normalise)
