"""torch -> ONNX: waves and lengths in, log-probabilities and frame counts out, with a parity check."""

import logging
import os
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
LENGTHS = (400, 9000, 32123)  # samples of the clips that parity is checked on, in one padded batch


class _Exported(nn.Module):
    def __init__(self, network: model.PaddingSafeHubertForCTC):
        super().__init__()
        self.network = network

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(waves, lengths).logits
        return logits.log_softmax(-1), self.network.frame_lengths(lengths)


def export(folder: Path) -> float:
    """Writes `folder`/model.onnx from its weights; the largest difference of log-probabilities to torch.

    Raises ExportError, and leaves what was there, where the graph does not give what the model gives.
    """
    network = _Exported(model.load(folder)).eval()
    waves, lengths = _clips()
    batch, samples = torch.export.Dim("batch"), torch.export.Dim("samples", min=400)
    aside = folder / ".export"
    aside.mkdir(exist_ok=True)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own insides
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (waves, lengths),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["waves", "lengths"],
            output_names=["log_probs", "frames"],
            dynamic_shapes={"waves": {0: batch, 1: samples}, "lengths": {0: batch}},
        )
        assert program is not None  # only the old exporter gives None
        program.save(aside / GRAPH)
        expected = network(waves, lengths)[0].numpy()
    difference = 0.0
    clips = [wave[:length].numpy() for wave, length in zip(waves, lengths, strict=True)]
    for row, result in enumerate(Runtime(aside).log_probs(clips)):
        difference = max(difference, float(np.abs(result - expected[row, : len(result)]).max()))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{folder}: the exported graph is off by {difference:.2g} in log-probabilities (allowed {TOLERANCE}); "
            f"the old {GRAPH}, if any, is untouched. Please report the versions of torch and onnxruntime"
        )
    os.replace(aside / GRAPH, folder / GRAPH)
    aside.rmdir()
    return difference


def _clips() -> tuple[Tensor, Tensor]:
    lengths = torch.tensor(LENGTHS)
    waves = 0.1 * torch.randn(len(LENGTHS), max(LENGTHS), generator=torch.Generator().manual_seed(0))
    return waves * (torch.arange(max(LENGTHS)) < lengths[:, None]), lengths
