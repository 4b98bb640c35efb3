"""The ONNX graph of HuBERT and wav2vec 2.0 with a CTC head, shaped by hand for ONNX Runtime on a CPU.

In: `waves` (batch, samples) float32, padded with anything, and `lengths` (batch,) int64 samples without padding, 400
or more each. Out: `log_probs` (batch, frames, vocabulary) and `frames` (batch,). A clip gets the same answer alone
and in any batch.

As in model/network.py, the group norm after the first convolution is folded into its weights, for each clip: its
statistics follow from the 10 x 10 covariance of the windows. Its shift is an eleventh tap on an input that is always 1.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto

from distilhubert_ko.audio.frames import KERNELS, STRIDES
from distilhubert_ko.export.onnx_builder import CONV_EPS, Array, Observed, slice_inputs
from distilhubert_ko.export.transformer_graph import TransformerGraph

LATER = tuple(tuple(f"conv{number}" for number in range(first, len(KERNELS))) for first in (4, 3, 2, 0))


class HubertGraph(TransformerGraph):
    """The network of a HuBERT or a wav2vec 2.0."""

    RUNGS = ((), ("positions",), *(("positions", *convolutions) for convolutions in LATER))

    def __init__(
        self, weights: Mapping[str, Array], config: Mapping[str, Any], speech: Mapping[str, Observed] | None
    ) -> None:
        # Without "hubert." or "wav2vec2.", so that both read alike.
        named = {k if k.startswith("lm_head.") else k.split(".", 1)[1]: v for k, v in weights.items()}
        super().__init__(named, config, speech)

    def encoded(self, waves: str, lengths: str, frames: str) -> str:
        hidden = self.projection(self.convolutions(waves, lengths))
        return self.encoder(hidden, self.valid(hidden, frames))

    # The convolutions in front

    def convolutions(self, waves: str, lengths: str) -> str:
        windows, counts = self.windows(waves, lengths)
        by_frame = self.config["feat_extract_norm"] == "layer"
        hidden = self.first_by_frame(windows) if by_frame else self.first_by_clip(windows, counts)
        for number in range(1, len(KERNELS)):
            layer = f"feature_extractor.conv_layers.{number}"
            norm = f"{layer}.layer_norm" if by_frame else ""
            weight, bias = self.conv_weights(layer)
            hidden = self.conv(hidden, f"conv{number}", weight, bias, norm, strides=[STRIDES[number]])
        return hidden

    def first_by_frame(self, windows: str) -> str:
        """Add the first convolution, its layer norm and GELU."""
        layer = "feature_extractor.conv_layers.0"
        weight, bias = self.conv_weights(layer)
        hidden = self.affine(windows, weight[:, 0], bias)
        return self.add("Gelu", self.norm(hidden, f"{layer}.layer_norm", CONV_EPS))

    def first_by_clip(self, windows: str, counts: str) -> str:
        """Add the first convolution, its group norm and GELU."""
        always = self.add("Slice", windows, *slice_inputs(0, 1, axis=2))
        always = self.add("Add", self.add("Mul", always, np.float32(0)), np.float32(1))
        taps, windows = self.folded(windows, counts), self.add("Concat", windows, always, axis=2)
        if "conv1" in self.speech:
            return self.add("Gelu", self.add("MatMul", windows, taps))
        # Channels first from here on, as the convolutions in float32 are.
        return self.flipped(self.add("Gelu", self.add("MatMul", self.flipped(taps), self.flipped(windows))))

    def conv_weights(self, layer: str) -> tuple[Array, Array]:
        weight = self.weights[f"{layer}.conv.weight"]
        return weight, self.weights.get(f"{layer}.conv.bias", np.zeros(len(weight), np.float32))

    def windows(self, waves: str, lengths: str) -> tuple[str, str]:
        """Return the first convolution's windows (batch, steps, 10), and how many of them each clip has (batch,)."""
        stride = np.array([STRIDES[0]])
        samples = self.add("Shape", waves, start=1, end=2)
        whole = self.add("Mul", self.add("Div", samples, stride), stride)
        hops = self.add("Slice", waves, np.array([0]), whole, np.array([1]))
        hops = self.add("Reshape", hops, np.array([0, -1, STRIDES[0]]))
        first = self.add("Slice", hops, *slice_inputs(0, -1, axis=1))
        second = self.add("Slice", hops, *slice_inputs(1, np.iinfo(np.int64).max, axis=1))
        counts = self.add("Sub", self.add("Div", lengths, stride), np.array(1))
        return self.add("Concat", first, second, axis=2), counts

    def folded(self, windows: str, counts: str) -> str:
        """Return the first convolution and its group norm as taps (batch, 11, channels) on windows with a 1 appended.

        A channel with weights w has mean w·E[x] and variance w·Cov[x]·w over the windows x of a clip.
        """
        layer = "feature_extractor.conv_layers.0"
        kernel, weight, bias = (
            self.weights[f"{layer}.{name}"].astype(np.float64)
            for name in ("conv.weight", "layer_norm.weight", "layer_norm.bias")
        )
        kernel = kernel[:, 0].T
        mean, centred, number = self.centred(windows, counts)
        covariance = self.add("Div", self.add("MatMul", self.flipped(centred), centred), number)
        variance = self.add("ReduceSum", self.add("Mul", self.add("MatMul", covariance, kernel), kernel), np.array([1]))
        deviation = self.add("Sqrt", self.add("Add", variance, np.float64(CONV_EPS)))
        scale = self.add("Div", weight, deviation)  # (batch, 1, channels)
        shift = self.add("Sub", bias, self.add("Mul", self.add("MatMul", mean, kernel), scale))
        taps = self.add("Concat", self.add("Mul", scale, kernel), shift, axis=1)
        return self.add("Cast", taps, to=TensorProto.FLOAT)

    # The transformer

    def projection(self, hidden: str) -> str:
        if "feature_projection.layer_norm.weight" in self.weights:
            hidden = self.norm(hidden, "feature_projection.layer_norm", self.config["layer_norm_eps"])
        return self.affine(hidden, *self.weight_and_bias("feature_projection.projection"))

    def encoder(self, hidden: str, valid: str) -> str:
        hidden = self.add("Where", self.add("Unsqueeze", valid, np.array([2])), hidden, np.float32(0))
        return self.layers(self.add("Add", hidden, self.positions(hidden)), valid)

    def positions(self, hidden: str) -> str:
        conv = "encoder.pos_conv_embed.conv"
        size, direction = (self.weights[f"{conv}.parametrizations.weight.original{number}"] for number in (0, 1))
        weight = direction * (size / np.linalg.norm(direction, axis=(0, 1), keepdims=True))
        bias = self.weights[f"{conv}.bias"]
        kernel = weight.shape[2]
        before = kernel // 2
        groups = self.config["num_conv_pos_embedding_groups"]
        pads = [before, kernel - 1 - before]  # as many steps out as in
        return self.conv(hidden, "positions", weight, bias, group=groups, pads=pads)
