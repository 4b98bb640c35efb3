"""A model folder on ONNX Runtime: waves in, log-probabilities out. No torch."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from distilhubert_ko import audio
from distilhubert_ko.errors import ModelError, UnavailableError

GRAPH = "model.onnx"
PATTERNS = ["*.json", "*.onnx", "*.safetensors", "*.toml"]  # never pickles, never code


class Runtime:
    """The exported graph of a model folder. Raises ModelError where it is missing or cannot be loaded."""

    def __init__(self, folder: Path, threads: int | None = None):
        path = folder / GRAPH
        if not path.is_file():
            raise ModelError(f"{folder}: no {GRAPH}; write it with `distilhubert-ko export {folder}`")
        options = onnxruntime.SessionOptions()
        self.threads = threads or os.cpu_count() or 1
        options.intra_op_num_threads = self.threads
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class but Exception
            raise ModelError(f"{path}: ONNX Runtime cannot load it ({error}); export it again") from error
        self.vocabulary: int = self.session.get_outputs()[0].shape[2]

    def log_probs(self, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Log-probabilities (frames, vocabulary) of each mono 16 kHz wave (samples,), all in one padded batch.

        Waves too short for a frame give no frames.
        """
        results = [np.zeros((0, self.vocabulary), dtype=np.float32) for _ in waves]
        long = [i for i, wave in enumerate(waves) if audio.frames(len(wave)) > 0]
        if not long:
            return results
        lengths = np.array([len(waves[i]) for i in long], dtype=np.int64)
        batch = np.zeros((len(long), lengths.max()), dtype=np.float32)
        for row, i in enumerate(long):
            batch[row, : lengths[row]] = waves[i]
        log_probs, frames = self.session.run(None, {"waves": batch, "lengths": lengths})
        for row, i in enumerate(long):
            results[i] = log_probs[row, : frames[row]]
        return results


def resolve(model: str) -> Path:
    """The local folder of a model given as a folder or a Hub id, downloaded where it must be.

    Raises ModelError for what is neither, UnavailableError where the Hub cannot give it.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelError(f"{model}: no such folder; give a model folder or a Hub id (owner/name)")
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(model, allow_patterns=PATTERNS))
    except (OSError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise UnavailableError(
            f"{model}: no such folder, and the Hub could not give it ({type(error).__name__}). Make a model offline "
            "with `distilhubert-ko demo`, or name a local one with --model FOLDER"
        ) from error
