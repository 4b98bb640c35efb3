"""The transformer of HuBERT, wav2vec 2.0 and Whisper as ONNX nodes: attention, feed-forward layers and norms."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from distilhubert_ko.export.onnx_builder import Array, Observed, OnnxBuilder


class TransformerGraph(OnnxBuilder):
    """A graph whose encoder ends in a transformer; weights and config have HuBERT's names."""

    def __init__(
        self, weights: Mapping[str, Array], config: Mapping[str, Any], speech: Mapping[str, Observed] | None
    ) -> None:
        super().__init__(weights, speech)
        self.config = config

    def layers(self, hidden: str, valid: str) -> str:
        """Add the transformer's layers and norms; attention sees what is `valid` (batch, time)."""
        mask = self.add("Unsqueeze", valid, np.array([1, 2]))
        mask = self.add("Where", mask, np.float32(0), np.float32(-1e9))  # over keys
        stable, eps = self.config["do_stable_layer_norm"], self.config["layer_norm_eps"]
        if not stable:
            hidden = self.norm(hidden, "encoder.layer_norm", eps)
        for number in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layers.{number}"
            normed = self.norm(hidden, f"{layer}.layer_norm", eps) if stable else hidden
            hidden = self.add("Add", hidden, self.attention(normed, f"{layer}.attention", mask))
            if not stable:
                hidden = self.norm(hidden, f"{layer}.layer_norm", eps)
            normed = self.norm(hidden, f"{layer}.final_layer_norm", eps) if stable else hidden
            hidden = self.add("Add", hidden, self.feed_forward(normed, f"{layer}.feed_forward"))
            if not stable:
                hidden = self.norm(hidden, f"{layer}.final_layer_norm", eps)
        return self.norm(hidden, "encoder.layer_norm", eps) if stable else hidden

    def attention(self, hidden: str, layer: str, mask: str) -> str:
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads
        weight, bias = (
            np.concatenate(
                [
                    self.weights[f"{layer}.q_proj.{kind}"] * np.float32(size**-0.5),
                    self.weights[f"{layer}.k_proj.{kind}"],
                    self.weights[f"{layer}.v_proj.{kind}"],
                ]
            )
            for kind in ("weight", "bias")
        )
        all_ = self.add("Reshape", self.linear(hidden, layer, weight, bias), np.array([0, 0, 3 * heads, size]))
        query, key, value = self.add_many(3, "Split", all_, axis=2, num_outputs=3)
        query, value = (self.add("Transpose", each, perm=[0, 2, 1, 3]) for each in (query, value))
        scores = self.add("MatMul", query, self.add("Transpose", key, perm=[0, 2, 3, 1]))
        attended = self.add("MatMul", self.add("Softmax", self.add("Add", scores, mask), axis=-1), value)
        context = self.add("Transpose", attended, perm=[0, 2, 1, 3])
        context = self.add("Reshape", context, np.array([0, 0, heads * size]))
        return self.linear(context, f"{layer}.out_proj", *self.weight_and_bias(f"{layer}.out_proj"))

    def feed_forward(self, hidden: str, layer: str) -> str:
        for name in ("intermediate_dense", "output_dense"):
            if name == "output_dense":
                hidden = self.add("Gelu", hidden)
            hidden = self.linear(hidden, f"{layer}.{name}", *self.weight_and_bias(f"{layer}.{name}"))
        return hidden
