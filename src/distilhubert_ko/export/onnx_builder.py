"""The parts of any encoder's graph: ONNX nodes, lengths and padding, layers in float32 or in 8 bits, the head.

int8: unsigned activations in ranges that were observed on speech, and signed weights with a scale for each output
channel. Weights keep to 7 bits, since a processor without VNNI adds two products in 16 bits, and 2 x 255 x 64 is what
fits there. What rounding adds to a channel on average is taken off its bias (Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", 2019, section 4.2). The channels of a convolution's input are first
made more similar (Xiao et al., "SmoothQuant", 2023, section 4), since one range for all would leave nothing of the
small ones.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from distilhubert_ko.audio.frames import HUBERT_FRAMES, FrameGrid
from distilhubert_ko.model_folder import NAME

Array = NDArray[Any]
Input = str | Array | np.generic  # of a node: the name of another node's output, or a constant

OPSET = 20  # the first with Gelu
IR_VERSION = 9  # of its time, so that older runtimes, such as those inside other programs, read the file
CONTRIB = "com.microsoft"
CONV_EPS = 1e-5  # of the norms between convolutions, which no config changes
WEIGHT_STEPS = 64
OUT = ".out"  # after the name of a convolution: its output, where the name alone stands for its input


@dataclass(frozen=True)
class Steps:
    """8 bits: a value is scale * (integer - zero), both of them scalars."""

    scale: NDArray[np.float32]
    zero: NDArray[np.uint8]

    @classmethod
    def over(cls, low: float, high: float) -> "Steps":
        """Return steps from low to high or a little beyond, 0 being one of them."""
        low, high = min(low, 0.0), max(high, 1e-6)
        scale = (high - low) / 255
        return cls(np.array(scale, np.float32), np.array(round(-low / scale), np.uint8))

    def integers(self, values: Array) -> NDArray[np.uint8]:
        """Return values as integers, those outside the range as its nearer end."""
        return np.clip(np.round(values / self.scale) + self.zero, 0, 255).astype(np.uint8)

    def values(self, integers: Array) -> NDArray[np.float32]:
        """Return what integers stand for."""
        return (integers.astype(np.float32) - self.zero) * self.scale


@dataclass(frozen=True)
class Observed:
    """The values of a tensor on speech.

    Channels are divided by `span` (channels,) before 8 bits cover them in `steps`. `mean` (channels,) is what they are
    on average, and `rounded_mean` what is left of that in 8 bits.
    """

    steps: Steps
    span: NDArray[np.float32]
    mean: NDArray[np.float64]
    rounded_mean: NDArray[np.float64]


class OnnxBuilder:
    """A graph under construction. The class of an encoder fills in `encoded` and RUNGS."""

    grid: ClassVar[FrameGrid] = HUBERT_FRAMES
    RUNGS: ClassVar[Sequence[tuple[str, ...]]] = ((),)
    """Ends of names of what stays in float32, from the fastest graph to the one that is nearest to float32."""

    def __init__(self, weights: Mapping[str, Array], speech: Mapping[str, Observed] | None) -> None:
        self.weights = dict(weights)
        self.speech = speech or {}
        self.seen: dict[str, tuple[str, bool]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def encoded(self, waves: str, lengths: str, frames: str) -> str:
        """Return the encoder's output (batch, time, width), of which each clip has `frames` (batch,)."""
        raise NotImplementedError

    def model(self, normalise: bool, whole: float | None) -> onnx.ModelProto:
        """Return the whole graph; `normalise` and `whole` are those of `graphs.build_graph`."""
        waves, lengths = "waves", "lengths"
        if whole is not None:
            lengths = self.whole_lengths(waves)
            waves = self.add("Mul", waves, np.float32(whole))
        if normalise:
            waves = self.normalised(waves, lengths)
        frames = self.frames(lengths)
        self.nodes.append(helper.make_node("LogSoftmax", [self.logits(waves, lengths, frames)], ["log_probs"], axis=-1))
        self.nodes.append(helper.make_node("Identity", [frames], ["frames"]))
        if whole is not None:
            return self.finished("waves", "log_probs")
        return self.finished("waves", "log_probs", "lengths", "frames")

    def logits(self, waves: str, lengths: str, frames: str) -> str:
        """Return the head's output (batch, time, vocabulary)."""
        return self.affine(self.encoded(waves, lengths, frames), *self.weight_and_bias("lm_head"))

    def finished(
        self, waves: str, log_probs: str, lengths: str | None = None, frames: str | None = None
    ) -> onnx.ModelProto:
        """Return the model of all nodes so far, with these inputs and outputs. It has none for None."""
        value = helper.make_tensor_value_info
        vocabulary = len(self.weights["lm_head.bias"])
        inputs = [value(waves, TensorProto.FLOAT, ["batch", "samples"])]
        outputs = [value(log_probs, TensorProto.FLOAT, ["batch", "time", vocabulary])]
        for ends, name in ((inputs, lengths), (outputs, frames)):
            if name is not None:
                ends.append(value(name, TensorProto.INT64, ["batch"]))
        graph = helper.make_graph(self.nodes, "ctc", inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name=NAME)

    def observing_model(self, normalise: bool) -> onnx.ModelProto:
        """Return the graph in float32 with what `see` was told of as further outputs (batch, time, channels)."""
        model = self.model(normalise, whole=None)
        for name, (tensor, flipped) in self.seen.items():
            node = helper.make_node("Transpose", [tensor], [name], perm=[0, 2, 1] if flipped else [0, 1, 2])
            shape = ["batch", name, "channels"]
            model.graph.node.append(node)
            model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return model

    def add(self, op: str, *inputs: Input, domain: str = "", **attributes: Any) -> str:
        """Add a node of one output, and return its name."""
        return self.add_many(1, op, *inputs, domain=domain, **attributes)[0]

    def add_many(self, outputs: int, op: str, *inputs: Input, domain: str = "", **attributes: Any) -> list[str]:
        """Add a node, with an initializer for each array among its inputs, and return the names of its outputs."""
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

    def weight_and_bias(self, layer: str) -> tuple[Array, Array]:
        return self.weights[f"{layer}.weight"], self.weights[f"{layer}.bias"]

    # Lengths and padding

    def sized(self, tensor: str, axis: int) -> str:
        """Return the size of an axis, as a scalar."""
        return self.add("Squeeze", self.add("Shape", tensor, start=axis, end=axis + 1))

    def whole_lengths(self, waves: str) -> str:
        """Return the lengths (batch,) of waves (batch, samples) without padding."""
        shape = self.add("Shape", waves)
        return self.add("Expand", self.sized(waves, 1), self.add("Slice", shape, *slice_inputs(0, 1, axis=0)))

    def flipped(self, tensor: str) -> str:
        return self.add("Transpose", tensor, perm=[0, 2, 1])

    def valid(self, tensor: str, counts: str) -> str:
        """Return which steps of (batch, time, ...) are not padding, as booleans (batch, time)."""
        steps = self.add("Range", np.array(0), self.sized(tensor, 1), np.array(1))
        return self.add("Less", steps, self.add("Unsqueeze", counts, np.array([1])))

    def frames(self, lengths: str) -> str:
        for stride, added in self.grid.layers:
            lengths = self.add("Div", self.add("Add", lengths, np.array(added)), np.array(stride))
        return lengths

    def centred(self, tensor: str, counts: str) -> tuple[str, str, str]:
        """Return a tensor's mean, the tensor without it, and `counts` (batch, 1, 1) to divide sums by.

        For (batch, time, channels) the mean over what is not padding is (batch, 1, channels). The rest is 0 in the
        padding.

        In float64: a sum over so many steps is coarse in float32, and depends on padding in its last bits, which 8 bits
        magnify.
        """
        zero = np.float64(0)
        exact = self.add("Cast", tensor, to=TensorProto.DOUBLE)
        valid = self.add("Unsqueeze", self.valid(tensor, counts), np.array([2]))
        number = self.add("Unsqueeze", self.add("Cast", counts, to=TensorProto.DOUBLE), np.array([1, 2]))
        total = self.add("ReduceSum", self.add("Where", valid, exact, zero), np.array([1]))
        mean = self.add("Div", total, number)
        return mean, self.add("Where", valid, self.add("Sub", exact, mean), zero), number

    def normalised(self, waves: str, lengths: str) -> str:
        """Return each clip with zero mean and unit variance over its own samples, and 0 beyond them."""
        _, centred, number = self.centred(self.add("Unsqueeze", waves, np.array([2])), lengths)
        squares = self.add("ReduceSum", self.add("Mul", centred, centred), np.array([1]))
        deviation = self.add("Sqrt", self.add("Add", self.add("Div", squares, number), np.float64(1e-7)))
        result = self.add("Squeeze", self.add("Div", centred, deviation), np.array([2]))
        return self.add("Cast", result, to=TensorProto.FLOAT)

    # Layers. Those that `speech` knows are in int8.

    def see(self, name: str, tensor: str, flipped: bool = False) -> None:
        self.seen[name] = tensor, flipped

    def affine(self, tensor: str, weight: Array, bias: Array) -> str:
        """Add a linear layer (..., in) -> (..., out) in float32, with a weight (out, in)."""
        return self.add("Add", self.add("MatMul", tensor, weight.T), bias)

    def linear(self, tensor: str, name: str, weight: Array, bias: Array) -> str:
        """Add a linear layer as `affine` does, in int8 if `speech` knows it."""
        self.see(name, tensor)
        if name not in self.speech:
            return self.affine(tensor, weight, bias)
        observed = self.speech[name]
        rounded, scales = round_weight(weight)
        bias = bias + weight @ observed.mean - (rounded * scales[:, None]) @ observed.rounded_mean
        return self.add(
            "MatMulIntegerToFloat",
            *(self.quantised(tensor, observed.steps), rounded.T, observed.steps.scale, scales, observed.steps.zero),
            *(np.zeros(len(weight), np.int8), bias.astype(np.float32)),
            domain=CONTRIB,
        )

    def norm(self, tensor: str, layer: str, eps: float) -> str:
        return self.add("LayerNormalization", tensor, *self.weight_and_bias(layer), epsilon=eps)

    def quantised(self, tensor: str, steps: Steps) -> str:
        return self.add("QuantizeLinear", tensor, steps.scale, steps.zero)

    def conv(self, tensor: str, name: str, weight: Array, bias: Array, norm: str = "", **options: Any) -> str:
        """Add a convolution (batch, time, channels) -> (batch, time, channels), its layer norm, if any, and GELU."""
        self.see(name, tensor)
        if name in self.speech:
            result = self.conv8(tensor, name, weight, bias, **options)
        else:
            # Channels first. ONNX Runtime removes two transpositions that meet, so GELU comes before the second.
            result = self.add("Conv", self.flipped(tensor), weight, bias, **options)
            self.see(name + OUT, result, flipped=True)
            if not norm:
                return self.flipped(self.add("Gelu", result))
            result = self.flipped(result)
        return self.add("Gelu", self.norm(result, norm, CONV_EPS) if norm else result)

    def conv8(self, tensor: str, name: str, weight: Array, bias: Array, **options: Any) -> str:
        observed, output = self.speech[name], self.speech[name + OUT].steps
        groups = options.get("group", 1)

        def of_group(channels: Array) -> Array:
            """Return (in,) as (out, in of a group)."""
            return channels.reshape(groups, -1).repeat(len(weight) // groups, axis=0)

        rounded, scales = round_weight(weight * of_group(observed.span)[:, :, None])
        bias = bias + (weight.sum(2) * of_group(observed.mean)).sum(1)
        bias = bias - scales * (rounded.sum(2) * of_group(observed.rounded_mean / observed.span)).sum(1)
        x = self.add(
            "QLinearConv",
            self.quantised(self.add("Mul", tensor, 1 / observed.span), observed.steps),
            *(observed.steps.scale, observed.steps.zero, rounded, scales, np.zeros(len(weight), np.int8)),
            *(output.scale, output.zero, np.round(bias / (observed.steps.scale * scales)).astype(np.int32)),
            domain=CONTRIB,
            channels_last=1,
            **options,
        )
        return self.add("DequantizeLinear", x, output.scale, output.zero)


def round_weight(weight: Array) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a weight (out, ...) in integers, and the scale of each output channel (out,)."""
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    scales = np.maximum(largest, 1e-9) / WEIGHT_STEPS
    return np.round(weight / scales).astype(np.int8), scales.ravel().astype(np.float32)


def slice_inputs(start: int, end: int, axis: int) -> Iterable[Array]:
    return np.array([start]), np.array([end]), np.array([axis])
