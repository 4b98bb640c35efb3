"""The values of a network's tensors on speech: the ranges and means that its int8 graph is built with."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from distilhubert_ko.export.graphs import build_observing_graph
from distilhubert_ko.export.onnx_builder import OUT, Observed, Steps

KEPT = 20_000  # values of each clip and tensor that the search for a range looks at; 5,000 cost up to 0.4 points
GELU_ZERO = -4.0  # below it, GELU is 0 in 8 bits
SHARES = np.linspace(1.0, 0.1, 46)  # of the whole range, tried


def observe_ranges(
    weights: Mapping[str, NDArray[Any]],
    config: Mapping[str, Any],
    waves: Sequence[NDArray[np.float32]],
    normalise: bool = False,
) -> dict[str, Observed]:
    """Return what `build_graph` must know of each tensor, in two passes over waves of 400 samples or more."""
    model = build_observing_graph(weights, config, normalise=normalise)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()[2:]]

    def tensors(wave: NDArray[np.float32]) -> list[tuple[str, NDArray[np.float32]]]:
        inputs = {"waves": wave[None], "lengths": np.array([len(wave)])}
        return [(name, values[0]) for name, values in zip(names, session.run(names, inputs), strict=True)]

    random = np.random.default_rng(0)
    kept: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    lows, highs, means, rounded_means = ({name: np.zeros(1) for name in names} for _ in range(4))
    frames = dict.fromkeys(names, 0)
    for wave in waves:
        for name, values in tensors(wave):
            kept[name].append(values[random.permutation(len(values))[: KEPT // values.shape[1] + 1]])
            lows[name] = np.minimum(lows[name], values.min(0))
            highs[name] = np.maximum(highs[name], values.max(0))
            frames[name] += len(values)
            means[name] = means[name] + (values.mean(0, dtype=np.float64) - means[name]) * len(values) / frames[name]

    spans = {name: _span(name, highs[name] - lows[name]) for name in names}
    steps = {}
    for name in names:
        edges = np.stack([lows[name], highs[name]])
        floor = GELU_ZERO if name.endswith(OUT) and not _normed(name, config) else -np.inf
        steps[name] = _steps(np.concatenate([*kept[name], edges]) / spans[name], floor)
    for wave in waves:
        for name, values in tensors(wave):
            rounded = steps[name].values(steps[name].integers(values / spans[name])) * spans[name]
            rounded_means[name] = rounded_means[name] + rounded.sum(0, dtype=np.float64) / frames[name]
    return {name: Observed(steps[name], spans[name], means[name], rounded_means[name]) for name in names}


def _normed(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a norm follows a convolution, and not its GELU at once."""
    return name.startswith("conv") and config["feat_extract_norm"] == "layer"


def _span(name: str, ranges: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return what to divide channels by: before a convolution, the geometric mean of the own and the widest range."""
    if name.startswith(("conv", "positions")) and not name.endswith(OUT):
        return np.sqrt(np.maximum(ranges, 1e-6) * ranges.max()).astype(np.float32)
    return np.ones(len(ranges), np.float32)


def _steps(values: NDArray[np.floating], floor: float) -> Steps:
    """Return the steps with the least mean square error; they may cut off rare large values, and all below `floor`."""
    low, high = max(float(values.min()), floor), float(values.max())
    values = np.maximum(values, low)

    def error(steps: Steps) -> float:
        return float(np.square(steps.values(steps.integers(values)) - values).mean())

    return min((Steps.over(low * share, high * share) for share in SHARES), key=error)
