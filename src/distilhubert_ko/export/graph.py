"""The ONNX graph of HuBERT and wav2vec 2.0 with a CTC head, shaped by hand for ONNX Runtime on a CPU.

In: `waves` (batch, samples) float32, padded with anything, and `lengths` (batch,) int64 samples without padding, 400
or more each. Out: `log_probs` (batch, frames, vocabulary) and `frames` (batch,). A clip gets the same answer alone
and in any batch.

float32: as in model.py, the group norm after the first convolution is folded into its weights, for each clip anew:
its statistics follow from the 10 x 10 covariance of the windows. Its shift is an eleventh tap that always hears 1.

int8: unsigned activations in ranges that were observed on speech, and signed weights with a scale for each output
channel. Weights keep to 7 bits, since a processor without VNNI adds two products in 16 bits, and 2 x 255 x 64 is what
fits there. What rounding adds to a channel on average is taken off its bias (Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", 2019, section 4.2). What a convolution hears is first made more alike
from channel to channel (Xiao et al., "SmoothQuant", 2023, section 4), since one range for all would leave nothing of
the small ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilhubert_ko.audio.reading import KERNELS, STRIDES

Array = NDArray[Any]
Input = str | Array | np.generic  # of a node: the name of another's output, or a constant

OPSET = 20  # the first with Gelu
IR_VERSION = 9  # of its time, so that older runtimes, such as those inside other programs, read the file
CONTRIB = "com.microsoft"
CONV_EPS = 1e-5  # of the norms between convolutions, which no config changes
WEIGHT_STEPS = 64
GELU_ZERO = -4.0  # below it, GELU is 0 in 8 bits
OUT = ".out"  # after the name of a convolution: what it gives, where its own name stands for what it hears


@dataclass(frozen=True)
class Steps:
    """8 bits: a value is scale * (integer - zero), both of them scalars."""

    scale: NDArray[np.float32]
    zero: NDArray[np.uint8]

    @classmethod
    def over(cls, low: float, high: float) -> "Steps":
        """From low to high or a little beyond, 0 being one of the steps."""
        low, high = min(low, 0.0), max(high, 1e-6)
        scale = (high - low) / 255
        return cls(np.array(scale, np.float32), np.array(round(-low / scale), np.uint8))

    def integers(self, values: Array) -> NDArray[np.uint8]:
        return np.clip(np.round(values / self.scale) + self.zero, 0, 255).astype(np.uint8)

    def values(self, integers: Array) -> NDArray[np.float32]:
        return (integers.astype(np.float32) - self.zero) * self.scale


@dataclass(frozen=True)
class Observed:
    """What a tensor held on speech.

    Channels are divided by `span` (channels,) before 8 bits cover them in `steps`. `mean` (channels,) is what they are
    on average, and `rounded_mean` what is left of that in 8 bits.
    """

    steps: Steps
    span: NDArray[np.float32]
    mean: NDArray[np.float64]
    rounded_mean: NDArray[np.float64]


def build(
    weights: Mapping[str, Array],
    config: Mapping[str, Any],
    *,
    normalise: bool = False,
    whole: float | None = None,
    speech: Mapping[str, Observed] | None = None,
) -> onnx.ModelProto:
    """The graph for a state dict and a config as Transformers writes them: in int8 with `speech`, else in float32.

    `normalise` gives each clip zero mean and unit variance first, as a feature extractor with do_normalize does.
    `whole` is for programs that know one input and one output: `waves` without padding, which they have normalised,
    and `log_probs`. It is the root mean square that speech had before that, and gets again: norms have an epsilon and
    convolutions a bias, so that loudness matters.
    """
    return _Network(weights, config, speech).model(normalise, whole)


def observing(weights: Mapping[str, Array], config: Mapping[str, Any], normalise: bool = False) -> onnx.ModelProto:
    """The graph in float32, with what `speech` must know as further outputs (batch, time, channels), by name."""
    network = _Network(weights, config, None)
    model = network.model(normalise, whole=None)
    for name, (tensor, flipped) in network.seen.items():
        perm = [0, 2, 1] if flipped else [0, 1, 2]
        model.graph.node.append(helper.make_node("Transpose", [tensor], [name], perm=perm))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", name, "channels"]))
    return model


class _Network:
    def __init__(
        self, weights: Mapping[str, Array], config: Mapping[str, Any], speech: Mapping[str, Observed] | None
    ) -> None:
        # Without "hubert." or "wav2vec2.", so that both read alike.
        self.weights = {k if k.startswith("lm_head.") else k.split(".", 1)[1]: v for k, v in weights.items()}
        self.config = config
        self.speech = speech or {}
        self.seen: dict[str, tuple[str, bool]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, op: str, *inputs: Input, domain: str = "", **attributes: Any) -> str:
        return self.add_many(1, op, *inputs, domain=domain, **attributes)[0]

    def add_many(self, outputs: int, op: str, *inputs: Input, domain: str = "", **attributes: Any) -> list[str]:
        """A node; an array among its inputs becomes an initializer. Returns the names of its outputs."""
        names = [f"{op}.{len(self.nodes)}.{number}" for number in range(outputs)]
        given = []
        for each in inputs:
            if not isinstance(each, str):
                # Not ascontiguousarray, which makes a vector of a scalar.
                each = numpy_helper.from_array(np.array(each, order="C"), f"initializer.{len(self.initializers)}")
                self.initializers.append(each)
                each = each.name
            given.append(each)
        self.nodes.append(helper.make_node(op, given, names, domain=domain, **attributes))
        return names

    def model(self, normalise: bool, whole: float | None) -> onnx.ModelProto:
        waves, lengths = "waves", "lengths"
        if whole is not None:
            shape = self.add("Shape", waves)
            lengths = self.add("Expand", self.sized(waves, 1), self.add("Slice", shape, *_slice(0, 1, axis=0)))
            waves = self.add("Mul", waves, np.float32(whole))
        if normalise:
            waves = self.normalised(waves, lengths)
        hidden = self.projection(self.convolutions(waves, lengths))
        frames = self.frames(lengths)
        hidden = self.encoder(hidden, self.valid(hidden, frames))
        logits = self.affine(hidden, *self.weight_and_bias("lm_head"))
        self.nodes.append(helper.make_node("LogSoftmax", [logits], ["log_probs"], axis=-1))
        self.nodes.append(helper.make_node("Identity", [frames], ["frames"]))
        value = helper.make_tensor_value_info
        vocabulary = len(self.weights["lm_head.bias"])
        inputs = [
            value("waves", TensorProto.FLOAT, ["batch", "samples"]),
            value("lengths", TensorProto.INT64, ["batch"]),
        ]
        outputs = [
            value("log_probs", TensorProto.FLOAT, ["batch", "time", vocabulary]),
            value("frames", TensorProto.INT64, ["batch"]),
        ]
        last = 2 if whole is None else 1
        graph = helper.make_graph(self.nodes, "ctc", inputs[:last], outputs[:last], self.initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="distilhubert-ko")

    # Lengths and padding

    def sized(self, tensor: str, axis: int) -> str:
        """The size of an axis, as a scalar."""
        return self.add("Squeeze", self.add("Shape", tensor, start=axis, end=axis + 1))

    def valid(self, tensor: str, counts: str) -> str:
        """(batch, time) booleans: what is not padding in (batch, time, ...)."""
        steps = self.add("Range", np.array(0), self.sized(tensor, 1), np.array(1))
        return self.add("Less", steps, self.add("Unsqueeze", counts, np.array([1])))

    def frames(self, lengths: str) -> str:
        for kernel, stride in zip(KERNELS, STRIDES, strict=True):
            lengths = self.add("Div", self.add("Add", lengths, np.array(stride - kernel)), np.array(stride))
        return lengths

    def centred(self, tensor: str, counts: str) -> tuple[str, str, str]:
        """The mean (batch, 1, channels) of (batch, time, channels) over what is no padding, what is left without it, 0
        in the padding, and `counts` (batch, 1, 1) to divide sums by.

        In float64: a sum over so many steps is coarse in float32, and depends on padding in its last bits, which 8 bits
        magnify.
        """
        zero = np.float64(0)
        heard = self.add("Cast", tensor, to=TensorProto.DOUBLE)
        valid = self.add("Unsqueeze", self.valid(tensor, counts), np.array([2]))
        number = self.add("Unsqueeze", self.add("Cast", counts, to=TensorProto.DOUBLE), np.array([1, 2]))
        total = self.add("ReduceSum", self.add("Where", valid, heard, zero), np.array([1]))
        mean = self.add("Div", total, number)
        return mean, self.add("Where", valid, self.add("Sub", heard, mean), zero), number

    def normalised(self, waves: str, lengths: str) -> str:
        """Each clip with zero mean and unit variance over its own samples, and 0 beyond them."""
        _, centred, number = self.centred(self.add("Unsqueeze", waves, np.array([2])), lengths)
        squares = self.add("ReduceSum", self.add("Mul", centred, centred), np.array([1]))
        deviation = self.add("Sqrt", self.add("Add", self.add("Div", squares, number), np.float64(1e-7)))
        result = self.add("Squeeze", self.add("Div", centred, deviation), np.array([2]))
        return self.add("Cast", result, to=TensorProto.FLOAT)

    # Layers. Those that `speech` knows are in int8.

    def see(self, name: str, tensor: str, flipped: bool = False) -> None:
        self.seen[name] = tensor, flipped

    def affine(self, tensor: str, weight: Array, bias: Array) -> str:
        """(..., in) -> (..., out) in float32 for a weight (out, in)."""
        return self.add("Add", self.add("MatMul", tensor, weight.T), bias)

    def linear(self, tensor: str, name: str, weight: Array, bias: Array) -> str:
        """As `affine`, in int8 if `speech` knows it."""
        self.see(name, tensor)
        if name not in self.speech:
            return self.affine(tensor, weight, bias)
        heard = self.speech[name]
        rounded, scales = _rounded(weight)
        bias = bias + weight @ heard.mean - (rounded * scales[:, None]) @ heard.rounded_mean
        return self.add(
            "MatMulIntegerToFloat",
            *(self.quantised(tensor, heard.steps), rounded.T, heard.steps.scale, scales, heard.steps.zero),
            *(np.zeros(len(weight), np.int8), bias.astype(np.float32)),
            domain=CONTRIB,
        )

    def norm(self, tensor: str, layer: str, eps: float) -> str:
        return self.add("LayerNormalization", tensor, *self.weight_and_bias(layer), epsilon=eps)

    def quantised(self, tensor: str, steps: Steps) -> str:
        return self.add("QuantizeLinear", tensor, steps.scale, steps.zero)

    def conv(self, tensor: str, name: str, weight: Array, bias: Array, norm: str = "", **options: Any) -> str:
        """A convolution (batch, time, channels) -> (batch, time, channels), its layer norm, if any, and GELU."""
        self.see(name, tensor)
        if name in self.speech:
            result = self.conv8(tensor, name, weight, bias, **options)
        else:
            # Channels first. ONNX Runtime takes out two turns that meet, so GELU comes before the turn back.
            result = self.add("Conv", self.flipped(tensor), weight, bias, **options)
            self.see(name + OUT, result, flipped=True)
            if not norm:
                return self.flipped(self.add("Gelu", result))
            result = self.flipped(result)
        return self.add("Gelu", self.norm(result, norm, CONV_EPS) if norm else result)

    def conv8(self, tensor: str, name: str, weight: Array, bias: Array, **options: Any) -> str:
        heard, said = self.speech[name], self.speech[name + OUT].steps
        groups = options.get("group", 1)

        def of_group(channels: Array) -> Array:
            """(in,) -> (out, in of a group)."""
            return channels.reshape(groups, -1).repeat(len(weight) // groups, axis=0)

        rounded, scales = _rounded(weight * of_group(heard.span)[:, :, None])
        bias = bias + (weight.sum(2) * of_group(heard.mean)).sum(1)
        bias = bias - scales * (rounded.sum(2) * of_group(heard.rounded_mean / heard.span)).sum(1)
        x = self.add(
            "QLinearConv",
            self.quantised(self.add("Mul", tensor, 1 / heard.span), heard.steps),
            *(heard.steps.scale, heard.steps.zero, rounded, scales, np.zeros(len(weight), np.int8)),
            *(said.scale, said.zero, np.round(bias / (heard.steps.scale * scales)).astype(np.int32)),
            domain=CONTRIB,
            channels_last=1,
            **options,
        )
        return self.add("DequantizeLinear", x, said.scale, said.zero)

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
        """The first convolution, its layer norm and GELU."""
        layer = "feature_extractor.conv_layers.0"
        weight, bias = self.conv_weights(layer)
        hidden = self.affine(windows, weight[:, 0], bias)
        return self.add("Gelu", self.norm(hidden, f"{layer}.layer_norm", CONV_EPS))

    def first_by_clip(self, windows: str, counts: str) -> str:
        """The first convolution, its group norm and GELU."""
        always = self.add("Slice", windows, *_slice(0, 1, axis=2))
        always = self.add("Add", self.add("Mul", always, np.float32(0)), np.float32(1))
        taps, windows = self.folded(windows, counts), self.add("Concat", windows, always, axis=2)
        if "conv1" in self.speech:
            return self.add("Gelu", self.add("MatMul", windows, taps))
        # Channels first from here on, as the convolutions in float32 are.
        return self.flipped(self.add("Gelu", self.add("MatMul", self.flipped(taps), self.flipped(windows))))

    def flipped(self, tensor: str) -> str:
        return self.add("Transpose", tensor, perm=[0, 2, 1])

    def conv_weights(self, layer: str) -> tuple[Array, Array]:
        weight = self.weights[f"{layer}.conv.weight"]
        return weight, self.weights.get(f"{layer}.conv.bias", np.zeros(len(weight), np.float32))

    def windows(self, waves: str, lengths: str) -> tuple[str, str]:
        """What the first convolution hears (batch, steps, 10), and how many steps of it each clip has (batch,)."""
        stride = np.array([STRIDES[0]])
        samples = self.add("Shape", waves, start=1, end=2)
        whole = self.add("Mul", self.add("Div", samples, stride), stride)
        hops = self.add("Slice", waves, np.array([0]), whole, np.array([1]))
        hops = self.add("Reshape", hops, np.array([0, -1, STRIDES[0]]))
        first = self.add("Slice", hops, *_slice(0, -1, axis=1))
        second = self.add("Slice", hops, *_slice(1, np.iinfo(np.int64).max, axis=1))
        counts = self.add("Sub", self.add("Div", lengths, stride), np.array(1))
        return self.add("Concat", first, second, axis=2), counts

    def folded(self, windows: str, counts: str) -> str:
        """The first convolution and its group norm as taps (batch, 11, channels) on windows to which a 1 is added.

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
        hidden = self.add("Add", hidden, self.positions(hidden))
        mask = self.add("Unsqueeze", valid, np.array([1, 2]))
        mask = self.add("Where", mask, np.float32(0), np.float32(-1e9))  # over keys
        stable, eps = self.config["do_stable_layer_norm"], self.config["layer_norm_eps"]
        if not stable:
            hidden = self.norm(hidden, "encoder.layer_norm", eps)
        for number in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layers.{number}"
            heard = self.norm(hidden, f"{layer}.layer_norm", eps) if stable else hidden
            hidden = self.add("Add", hidden, self.attention(heard, f"{layer}.attention", mask))
            if not stable:
                hidden = self.norm(hidden, f"{layer}.layer_norm", eps)
            heard = self.norm(hidden, f"{layer}.final_layer_norm", eps) if stable else hidden
            hidden = self.add("Add", hidden, self.feed_forward(heard, f"{layer}.feed_forward"))
            if not stable:
                hidden = self.norm(hidden, f"{layer}.final_layer_norm", eps)
        return self.norm(hidden, "encoder.layer_norm", eps) if stable else hidden

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

    def weight_and_bias(self, layer: str) -> tuple[Array, Array]:
        return self.weights[f"{layer}.weight"], self.weights[f"{layer}.bias"]


def _rounded(weight: Array) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A weight (out, ...) in integers, and what a step is worth in each output channel (out,)."""
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    scales = np.maximum(largest, 1e-9) / WEIGHT_STEPS
    return np.round(weight / scales).astype(np.int8), scales.ravel().astype(np.float32)


def _slice(start: int, end: int, axis: int) -> Iterable[Array]:
    return np.array([start]), np.array([end]), np.array([axis])
