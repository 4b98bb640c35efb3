"""The graph that is shaped by hand: in 8 bits beside float32, and what its parts are made of."""

import dataclasses

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from distilhubert_ko.audio.frames import KERNELS
from distilhubert_ko.export import calibration, graphs
from distilhubert_ko.export.onnx_builder import OUT, WEIGHT_STEPS, Observed, Steps
from tests.support.model import TINY, clip, new_network, opened, together

NETWORK = new_network(dataclasses.replace(TINY, num_hidden_layers=1))
WEIGHTS = {name: tensor.numpy() for name, tensor in NETWORK.state_dict().items()}
CONFIG = NETWORK.config.to_dict()
SPEECH = [clip(48_000, seed) for seed in range(4)]
CONVOLUTIONS = [*(f"conv{number}" for number in range(1, len(KERNELS))), "positions"]
LINEARS = [f"encoder.layers.0.{part}" for part in ("attention", "attention.out_proj")]
LINEARS += [f"encoder.layers.0.feed_forward.{part}" for part in ("intermediate_dense", "output_dense")]


@pytest.fixture(scope="module")
def speech() -> dict[str, Observed]:
    return calibration.observe_ranges(WEIGHTS, CONFIG, SPEECH)


def listed(built: onnx.ModelProto, *operators: str) -> list[onnx.NodeProto]:
    return [node for node in built.graph.node if node.op_type in operators]


# Steps

EDGES = st.floats(-1e4, 1e4, width=32)


@given(EDGES, EDGES)
def test_zero_is_one_of_the_steps(low: float, high: float) -> None:
    steps = Steps.over(low, high)
    zero = np.zeros(1, np.float32)
    assert steps.values(steps.integers(zero)) == zero


@given(EDGES, EDGES, st.lists(st.floats(0, 1), min_size=1))
def test_inside_the_range_a_value_is_off_by_half_a_step_at_most(low: float, high: float, shares: list[float]) -> None:
    low, high = sorted((low, high))
    steps = Steps.over(low, high)
    values = np.array([low + share * (high - low) for share in shares])
    error = np.abs(steps.values(steps.integers(values)) - values).max()
    assert error <= steps.scale * 0.501  # the scale itself is rounded to float32


@given(EDGES, EDGES, st.floats(0, 1e6))
def test_outside_the_range_a_value_is_its_nearer_end(low: float, high: float, beyond: float) -> None:
    low, high = min(low, high, 0.0), max(low, high, 1e-6)
    steps = Steps.over(low, high)
    below, above = steps.integers(np.array([low - 2 * steps.scale - beyond, high + 2 * steps.scale + beyond]))
    assert (below, above) == (0, 255)


# In 8 bits


def test_in_8_bits_a_clip_gets_nearly_the_log_probabilities_of_float32(speech: dict[str, Observed]) -> None:
    clips = [clip(samples, seed=9) for samples in (400, 9001, 16_000, 48_000)]
    exact, near = (
        np.concatenate(together(opened(graphs.build_graph(WEIGHTS, CONFIG, speech=known)), clips))
        for known in (None, speech)
    )
    assert np.corrcoef(exact.ravel(), near.ravel())[0, 1] > 0.99
    assert (exact.argmax(1) == near.argmax(1)).mean() > 0.85
    assert np.abs(exact - near).mean() < 0.12  # of log-probabilities whose standard deviation is 1.1


def test_in_8_bits_neither_the_batch_nor_the_padding_changes_an_answer(speech: dict[str, Observed]) -> None:
    session = opened(graphs.build_graph(WEIGHTS, CONFIG, speech=speech))
    clips = [clip(samples, seed=9) for samples in (400, 9001, 16_000)]
    alone = [together(session, [one])[0] for one in clips]
    for fill in (0.0, 0.7, np.nan):
        for one, in_batch in zip(alone, together(session, clips, fill), strict=True):
            assert np.abs(one - in_batch).max() < 1e-5


def test_weights_keep_to_what_processors_without_vnni_can_add(speech: dict[str, Observed]) -> None:
    built = graphs.build_graph(WEIGHTS, CONFIG, speech=speech)
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in built.graph.initializer}
    nodes = [(node, node.input[3]) for node in listed(built, "QLinearConv")]
    nodes += [(node, node.input[1]) for node in listed(built, "MatMulIntegerToFloat")]
    assert len(nodes) == len(CONVOLUTIONS) + len(LINEARS)
    for node, name in nodes:
        assert tensors[name].dtype == np.int8
        outputs = 0 if node.op_type == "QLinearConv" else 1  # the axis; each channel uses the whole of its steps
        others = tuple(axis for axis in range(tensors[name].ndim) if axis != outputs)
        assert set(np.abs(tensors[name].astype(int)).max(others)) == {WEIGHT_STEPS}
    assert 2 * 255 * WEIGHT_STEPS < 2**15


@pytest.mark.parametrize("left", [(), ("positions",), ("conv3", "conv5"), tuple(CONVOLUTIONS)])
def test_what_speech_does_not_know_stays_in_float32(left: tuple[str, ...], speech: dict[str, Observed]) -> None:
    known = {name: seen for name, seen in speech.items() if name.removesuffix(OUT) not in left}
    built = graphs.build_graph(WEIGHTS, CONFIG, speech=known)
    convolutions = listed(built, "Conv", "QLinearConv")
    operators = dict(zip(CONVOLUTIONS, (node.op_type for node in convolutions), strict=True))
    assert operators == {name: "Conv" if name in left else "QLinearConv" for name in CONVOLUTIONS}
    assert len(listed(built, "MatMulIntegerToFloat")) == len(LINEARS)


# Bias correction


def tensor_on_speech(built: onnx.ModelProto, tensor: str) -> NDArray[np.float64]:
    """(frames, channels): what a tensor (1, frames, channels) of a graph holds on all of SPEECH."""
    if tensor not in [output.name for output in built.graph.output]:
        built.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    session = opened(built)
    runs = [session.run([tensor], {"waves": wave[None], "lengths": np.array([len(wave)])})[0][0] for wave in SPEECH]
    return np.concatenate(runs).astype(np.float64)


def off(known: dict[str, Observed], operator: str, expected: NDArray[np.float64]) -> tuple[float, float]:
    """By how much the means of channels are off where one layer is in 8 bits, and without the correction of its bias.

    In standard deviations of what the layer gives, `expected` (frames, channels) in float32.
    """
    nothing = {name: dataclasses.replace(s, mean=0 * s.mean, rounded_mean=0 * s.mean) for name, s in known.items()}
    means = []
    for each in (known, nothing):
        built = graphs.build_graph(WEIGHTS, CONFIG, speech=each)
        (node,) = listed(built, operator)
        means.append(tensor_on_speech(built, node.output[0]).mean(0))
    first, second = (float(np.abs(mean - expected.mean(0)).max() / expected.std()) for mean in means)
    return first, second


@pytest.mark.parametrize("name", LINEARS[1:])
def test_a_linear_layer_in_8_bits_gives_on_average_what_it_gives_in_float32(
    name: str, speech: dict[str, Observed]
) -> None:
    weight, bias = (WEIGHTS[f"hubert.{name}.{kind}"] for kind in ("weight", "bias"))
    expected = tensor_on_speech(graphs.build_observing_graph(WEIGHTS, CONFIG), name) @ weight.T + bias
    corrected, plain = off({name: speech[name]}, "MatMulIntegerToFloat", expected)
    assert corrected < 1e-5
    assert plain > 0.01


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_in_8_bits_gives_on_average_what_it_gives_in_float32(
    name: str, speech: dict[str, Observed]
) -> None:
    """But for its edges, where its input is shorter, and for the rounding of its output."""
    steps = speech[name + OUT].steps
    expected = steps.values(
        steps.integers(tensor_on_speech(graphs.build_observing_graph(WEIGHTS, CONFIG), name + OUT))
    ).astype(np.float64)
    known = {each: speech[each] for each in (name, name + OUT)}
    corrected, plain = off(known, "DequantizeLinear", expected)
    assert corrected < 4e-3
    assert plain > 4 * corrected
