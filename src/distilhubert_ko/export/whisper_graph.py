"""The ONNX graph of Whisper's encoder with a CTC head, from waves to log-probabilities.

Inputs and outputs are those of `graph`, and clips get the same answer alone and in any batch. The log-mel is two matrix
products with the matrices of `model.log_mel`, always in float32. The convolutions are matrix products too, over frames
that stand side by side, so that in int8 they are like the linear layers.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from distilhubert_ko.audio.frames import WHISPER_FRAMES
from distilhubert_ko.export.onnx_builder import Array, Observed, slice_inputs
from distilhubert_ko.export.transformer_graph import TransformerGraph
from distilhubert_ko.model.log_mel import BEYOND, FLOOR, HOP, RANGE, REACH, WINDOW, fourier_matrix, mel_filters

EPS = 1e-5  # of every norm; no config changes it
END = np.iinfo(np.int64).max
NAMES = (
    (r"^model\.", ""),
    (r"\.self_attn_layer_norm\.", ".layer_norm."),
    (r"\.self_attn\.", ".attention."),
    (r"\.fc1\.", ".feed_forward.intermediate_dense."),
    (r"\.fc2\.", ".feed_forward.output_dense."),
)
"""Pattern in the names of Whisper's weights -> what HuBERT with do_stable_layer_norm calls the same layer."""


class WhisperGraph(TransformerGraph):
    """Whisper's encoder, whose layers are those of HuBERT with do_stable_layer_norm."""

    grid = WHISPER_FRAMES
    RUNGS = ((), ("conv1", "conv2"), ("conv1", "conv2", "output_dense"))

    def __init__(
        self, weights: Mapping[str, Array], config: Mapping[str, Any], speech: Mapping[str, Observed] | None
    ) -> None:
        names = {
            "do_stable_layer_norm": True,
            "layer_norm_eps": EPS,
            "hidden_size": config["d_model"],
            "num_hidden_layers": config["encoder_layers"],
            "num_attention_heads": config["encoder_attention_heads"],
        }
        named = {}
        for name, value in weights.items():
            for theirs, ours in NAMES:
                name = re.sub(theirs, ours, name)
            named[name] = value
        for number in range(config["encoder_layers"]):  # keys have no bias
            named[f"encoder.layers.{number}.attention.k_proj.bias"] = np.zeros(config["d_model"], np.float32)
        super().__init__(named, {**config, **names}, speech)

    def encoded(self, waves: str, lengths: str, frames: str) -> str:
        mels = self.add("Div", lengths, np.array(HOP))
        hidden = self.convolved(self.log_mel(waves, lengths, mels), mels)
        positions = self.add(
            "Slice",
            self.weights["encoder.embed_positions.weight"],
            np.array([0]),
            self.add("Shape", hidden, start=1, end=2),
        )
        return self.layers(self.add("Add", hidden, positions), self.valid(hidden, frames))

    def log_mel(self, waves: str, lengths: str, mels: str) -> str:
        """Return the log-mel (batch, frames, mels), 0 beyond the `mels` (batch,) frames of each clip."""
        spectra = self.add("MatMul", self.windowed(waves, lengths), fourier_matrix())
        cosines, sines = self.add_many(2, "Split", self.add("Mul", spectra, spectra), axis=2, num_outputs=2)
        power = self.add("MatMul", self.add("Add", cosines, sines), mel_filters(self.config["num_mel_bins"]))
        # (log10(x) + 4) / 4, with what is RANGE below the maximum cut off
        levels = self.add(
            "Mul", self.add("Log", self.add("Max", power, np.float32(FLOOR))), np.float32(0.25 / np.log(10))
        )
        own = self.add("Unsqueeze", self.valid(levels, mels), np.array([2]))
        loudest = self.add("ReduceMax", self.add("Where", own, levels, np.float32(-np.inf)), np.array([1, 2]))
        levels = self.add("Max", levels, self.add("Sub", loudest, np.float32(RANGE / 4)))
        return self.add("Where", own, self.add("Add", levels, np.float32(1)), np.float32(0))

    def windowed(self, waves: str, lengths: str) -> str:
        """Return the windows (batch, frames, WINDOW) of waves (batch, samples), reflected at both ends of each clip."""
        waves = self.add("Where", self.valid(waves, lengths), waves, np.float32(0))
        wide = self.add("Pad", waves, np.array([0, 0, 0, REACH]))
        before = self.add("Slice", wide, *slice_inputs(REACH, 0, axis=1), np.array([-1]))
        row = self.add("Concat", before, wide, axis=1)
        ends = self.add("Unsqueeze", lengths, np.array([1]))
        ahead = np.arange(BEYOND)
        mirrored = self.add("GatherElements", waves, self.add("Sub", ends, ahead + 2), axis=1)
        row = self.add("ScatterElements", row, self.add("Add", ends, ahead + REACH), mirrored, axis=1)
        # Hops side by side: a window is two and a half of them.
        count = self.add("Div", self.add("Shape", waves, start=1, end=2), np.array(HOP))
        stop = self.add("Add", count, np.array(2))
        row = self.add("Slice", row, np.array([0]), self.add("Mul", stop, np.array(HOP)), np.array([1]))
        hops = self.add("Reshape", row, np.array([0, -1, HOP]))
        first = self.add("Slice", hops, *slice_inputs(0, -2, axis=1))
        second = self.add("Slice", hops, *slice_inputs(1, -1, axis=1))
        third = self.add("Slice", hops, np.array([2, 0]), np.array([END, WINDOW - 2 * HOP]), np.array([1, 2]))
        return self.add("Concat", first, second, third, axis=2)

    def convolved(self, mel: str, mels: str) -> str:
        """Add the two convolutions and their GELU: (batch, frames, mels) -> (batch, half the frames, hidden size)."""
        hidden = self.convolution(mel, "encoder.conv1", stride=1)
        own = self.add("Unsqueeze", self.valid(hidden, mels), np.array([2]))
        return self.convolution(self.add("Where", own, hidden, np.float32(0)), "encoder.conv2", stride=2)

    def convolution(self, hidden: str, name: str, stride: int) -> str:
        """Add a convolution over three frames, and its GELU; zeros stand before the first frame and after the last."""
        weight, bias = self.weight_and_bias(name)
        padded = self.add("Pad", hidden, np.array([0, 1, 0, 0, 1, 0]))
        taps = [
            self.add(
                "Slice",
                padded,
                np.array([tap]),
                np.array([END if tap == 2 else tap - 2]),
                np.array([1]),
                np.array([stride]),
            )
            for tap in range(3)
        ]
        flat = weight.transpose(0, 2, 1).reshape(len(weight), -1)  # (out, 3 x in), as the frames stand side by side
        return self.add("Gelu", self.linear(self.add("Concat", *taps, axis=2), name, flat, bias))
