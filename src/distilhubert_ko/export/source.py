"""What graphs are built from, and the check of a graph against the network in torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from google.protobuf.message import EncodeError
from torch import Tensor

from distilhubert_ko import model_folder
from distilhubert_ko.errors import ExportError, ModelError
from distilhubert_ko.export import graphs
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import load_network, wants_normalised_waves
from distilhubert_ko.model.network import normalise_waves
from distilhubert_ko.model_folder import GRAPH
from distilhubert_ko.recognition.session import ModelSession

TOLERANCE = 1e-3  # of log-probabilities in float32
CHECKED = ((400,), (401, 33_333), (720, 48_000, 9001))  # samples of the clips in the batches that are compared


@dataclass(frozen=True)
class ExportSource:
    """The weights of a model folder, and the network in torch that its graphs must agree with."""

    folder: Path
    network: CtcNetwork
    normalise: bool
    weights: Mapping[str, np.ndarray]
    made_of: dict[str, str]
    """What the graphs say that they were made of, see `model_folder.origin`."""

    @classmethod
    def load(cls, folder: Path) -> "ExportSource":
        """Read a model folder. Raises ModelError where it cannot be loaded, or has an activation without a graph."""
        transformers.utils.logging.disable_progress_bar()  # loading takes no time that one would watch
        made_of = model_folder.origin(folder)
        network = load_network(folder)
        for name in ("hidden_act", "feat_extract_activation"):
            if (value := getattr(network.config, name, "gelu")) != "gelu":
                raise ModelError(f"{folder}: {name} {value!r} is not supported here: use a checkpoint with 'gelu'")
        weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        return cls(folder, network, wants_normalised_waves(folder), weights, made_of)

    def graph(self, speech: Mapping[str, Observed] | None = None) -> onnx.ModelProto:
        """Return the graph: what `speech` knows in int8, the rest in float32."""
        config = self.network.config.to_dict()
        return graphs.build_graph(self.weights, config, normalise=self.normalise, speech=speech)

    def write_graph(self, built: onnx.ModelProto, path: Path) -> None:
        """Write a graph of this model to `path`. Raises ExportError where it is too large for one file."""
        built.doc_string = model_folder.origin_text(self.made_of)
        try:
            path.write_bytes(built.SerializeToString())
        except (ValueError, EncodeError) as error:  # by protobuf's implementation, for its own limit
            raise ExportError(
                f"{self.folder}: more than the 2 GiB that fit into one ONNX file; use a smaller model"
            ) from error

    def check_parity(self, exported: Path) -> float:
        """Return the largest difference of log-probabilities between the graph in `exported` and torch.

        Raises ExportError where it is more than TOLERANCE.
        """
        difference = self._difference(ModelSession(exported))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{self.folder}: the exported graph is off by {difference:.2g} in log-probabilities (allowed "
                f"{TOLERANCE}); the old {GRAPH}, if any, is untouched. Please report the versions of torch and "
                "onnxruntime"
            )
        return difference

    def _difference(self, runtime: ModelSession) -> float:
        """Return the largest difference of log-probabilities over batches of awkward shapes."""
        largest = 0.0
        for lengths in CHECKED:
            waves, samples = _padded(lengths)
            with torch.no_grad():
                prepared = normalise_waves(waves, samples) if self.normalise else waves
                expected = self.network(prepared, samples).logits.log_softmax(-1).numpy()
            clips = [wave[:count].numpy() for wave, count in zip(waves, lengths, strict=True)]
            for row, result in enumerate(runtime.log_probs(clips)):
                # Unlike max(), this hands a NaN on.
                largest = float(np.maximum(largest, np.abs(result - expected[row, : len(result)]).max()))
        return largest


def _padded(lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return noise in a batch (clips, samples), zero beyond each clip's length, and the lengths."""
    waves = 0.1 * torch.randn(len(lengths), max(lengths), generator=torch.Generator().manual_seed(0))
    samples = torch.tensor(lengths)
    return waves * (torch.arange(max(lengths)) < samples[:, None]), samples
