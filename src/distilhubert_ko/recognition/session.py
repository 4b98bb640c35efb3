"""A session of ONNX Runtime with the graph of a model folder: waves in, log-probabilities out. No torch."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from distilhubert_ko import model_folder
from distilhubert_ko.errors import DistilhubertKoError, InputError, ModelError, UnavailableError

DEVICES = ("auto", "cpu", "cuda")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class ModelSession:
    """The exported graph of a model folder, on a CPU or a CUDA GPU. "auto" is the GPU where ONNX Runtime has one.

    Raises ModelError where the graph is missing or cannot be loaded, InputError for a device that is not one of
    DEVICES, and UnavailableError for a GPU that ONNX Runtime cannot use.
    """

    def __init__(self, folder: Path, threads: int | None = None, device: str = "auto"):
        providers = _providers(device)
        path = model_folder.graph(folder)
        if not path.is_file():
            raise ModelError(
                f"{folder}: no {model_folder.GRAPH} of these weights and this vocabulary; write it with "
                f"`distilhubert-ko export {folder}`"
            )
        options = onnxruntime.SessionOptions()
        self.threads = threads or os.cpu_count() or 1
        options.intra_op_num_threads = self.threads
        try:
            with contextlib.redirect_stdout(sys.stderr):  # ONNX Runtime prints what it lacks of CUDA
                if CUDA in providers:
                    onnxruntime.preload_dlls()  # CUDA's libraries, where pip installed them
                self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # onnxruntime's own exceptions share no base class but Exception
            raise ModelError(f"{path}: ONNX Runtime cannot load it ({error}); export it again") from error
        if device == "cuda" and CUDA not in self.session.get_providers():
            raise UnavailableError(
                "the GPU cannot be used: ONNX Runtime found no CUDA GPU, or not the libraries that it needs; "
                "pip install 'onnxruntime-gpu[cuda,cudnn]', or use the device cpu"
            )
        self.grid = model_folder.frame_grid(folder)
        self.vocabulary: int = self.session.get_outputs()[0].shape[2]

    def log_probs(self, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return log-probabilities (frames, vocabulary) of each mono 16 kHz wave (samples,), in one padded batch.

        Waves too short for a frame give no frames. Raises DistilhubertKoError if the graph cannot be computed.
        """
        results = [np.zeros((0, self.vocabulary), dtype=np.float32) for _ in waves]
        long = [i for i, wave in enumerate(waves) if self.grid.count(len(wave)) > 0]
        if not long:
            return results
        lengths = np.array([len(waves[i]) for i in long], dtype=np.int64)
        batch = np.zeros((len(long), lengths.max()), dtype=np.float32)
        for row, i in enumerate(long):
            batch[row, : lengths[row]] = waves[i]
        try:
            log_probs, frames = self.session.run(None, {"waves": batch, "lengths": lengths})
        except Exception as error:  # as above
            raise DistilhubertKoError(
                f"{model_folder.GRAPH}: ONNX Runtime cannot run it ({error}); give it more memory, or export it again"
            ) from error
        for row, i in enumerate(long):
            results[i] = log_probs[row, : frames[row]]
        return results


def _providers(device: str) -> list[str]:
    """Return what ONNX Runtime computes with on a device, the best first. The CPU does what a GPU cannot."""
    if device not in DEVICES:
        raise InputError(f"{device}: no such device; choose one of {', '.join(DEVICES)}")
    if device == "cpu" or (device == "auto" and CUDA not in onnxruntime.get_available_providers()):
        return [CPU]
    if CUDA not in onnxruntime.get_available_providers():
        raise UnavailableError(
            "this onnxruntime has no CUDA: pip uninstall onnxruntime, then pip install onnxruntime-gpu; "
            "or use the device cpu"
        )
    return [CUDA, CPU]
