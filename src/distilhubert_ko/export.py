"""torch -> ONNX: waves and lengths in, log-probabilities and frame counts out, with a parity check."""

import logging
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from distilhubert_ko import model
from distilhubert_ko.errors import ExportError
from distilhubert_ko.runtime import GRAPH, Runtime

OPSET = 18
TOLERANCE = 1e-3  # of log-probabilities in float32
EXAMPLE = (400, 9000, 32_123)  # samples of the clips that the graph is traced with, in one padded batch
CHECKED = ((400,), (401, 33_333), (720, 48_000, 9001))  # and of those in the batches that parity is checked on


class _Exported(nn.Module):
    """`normalise`: each clip, or each window of a long recording, gets mean 0 and variance 1 before all else."""

    def __init__(self, network: model.PaddingSafeForCTC, normalise: bool):
        super().__init__()
        self.network = network
        self.normalise = normalise

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        # Up to a length at which no convolution leaves a rest, and two frames or more: at any other, the exporter takes
        # the example's rests and its many frames for a rule, and the graph fails for other lengths. The padding may
        # hold anything; here it repeats the last sample.
        samples = waves.shape[1]
        padded = (samples + 559) // 320 * 320 + 80
        waves = waves[:, torch.arange(padded).clamp(max=samples - 1)]
        if self.normalise:
            waves = model.normalised(waves, lengths)
        logits = self.network(waves, lengths).logits
        return logits.log_softmax(-1), self.network.frame_lengths(lengths)


def export(folder: Path, path: Path | None = None) -> float:
    """Writes `path` (`folder`/model.onnx) from the folder's weights; the largest difference of log-probabilities.

    Raises ModelError for a folder that cannot be loaded. Raises ExportError, and leaves what was there, where the
    graph does not give what the model gives in torch, or is too large for one file.
    """
    network = _Exported(model.load(folder), model.normalises(folder)).eval()
    path = path or folder / GRAPH
    path.parent.mkdir(parents=True, exist_ok=True)
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples", min=400)
    temporary = tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent)
    with temporary as name, torch.no_grad(), warnings.catch_warnings():
        aside = Path(name)
        warnings.simplefilter("ignore")  # of the exporter, about its own insides
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            _padded(EXAMPLE),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["waves", "lengths"],
            output_names=["log_probs", "frames"],
            dynamic_shapes={"waves": {0: batch, 1: samples}, "lengths": {0: batch}},
        )
        assert program is not None  # only the old exporter gives None
        program.save(aside / GRAPH)
        if len(list(aside.iterdir())) > 1:  # weights beside the graph
            raise ExportError(f"{folder}: more than the 2 GiB that fit into one ONNX file; use a smaller model")
        difference = _difference(network, Runtime(aside))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{folder}: the exported graph is off by {difference:.2g} in log-probabilities (allowed {TOLERANCE}); "
                f"the old {GRAPH}, if any, is untouched. Please report the versions of torch and onnxruntime"
            )
        os.replace(aside / GRAPH, path)
    return difference


def _difference(network: _Exported, runtime: Runtime) -> float:
    """The largest difference of log-probabilities, over batches whose shapes are not the example's."""
    largest = 0.0
    for lengths in CHECKED:
        waves, samples = _padded(lengths)
        expected = network(waves, samples)[0].numpy()
        clips = [wave[:count].numpy() for wave, count in zip(waves, lengths, strict=True)]
        for row, result in enumerate(runtime.log_probs(clips)):
            # Unlike max(), this hands a NaN on.
            largest = float(np.maximum(largest, np.abs(result - expected[row, : len(result)]).max()))
    return largest


def _padded(lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Noise in a batch (clips, samples), zero beyond each clip's length, and the lengths."""
    waves = 0.1 * torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(0))
    samples = torch.tensor(lengths)
    return waves * (torch.arange(max(lengths)) < samples[:, None]), samples
