"""A model folder on ONNX Runtime: waves in, log-probabilities out. No torch."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from distilhubert_ko import __version__, audio, writing
from distilhubert_ko.errors import InputError, ModelError, UnavailableError

GRAPH = "model.onnx"
SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")  # what a graph depends on, with weights
COPYING = 3600.0  # seconds within which a copy or a download writes the files of a folder, in any order
DEVICES = ("auto", "cpu", "cuda")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PATTERNS = [
    "*.json",
    "*.onnx",
    "*.safetensors",
    "*.toml",
    "language_model/*.arpa",
    "language_model/*.bin",
    "language_model/*.binary",
    "language_model/unigrams.txt",
]  # never pickles, never code


class Runtime:
    """The exported graph of a model folder, on a CPU or a CUDA GPU; "auto" is the GPU where ONNX Runtime has one.

    Raises ModelError where the graph is missing or cannot be loaded, InputError for a device of another name, and
    UnavailableError for a GPU that ONNX Runtime cannot use.
    """

    def __init__(self, folder: Path, threads: int | None = None, device: str = "auto"):
        providers = _providers(device)
        path = graph(folder)
        if not path.is_file():
            raise ModelError(
                f"{folder}: no {GRAPH}, or one older than the weights; write it with `distilhubert-ko export {folder}`"
            )
        options = onnxruntime.SessionOptions()
        self.threads = threads or os.cpu_count() or 1
        options.intra_op_num_threads = self.threads
        try:
            with contextlib.redirect_stdout(sys.stderr):  # ONNX Runtime prints what it misses of CUDA
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


def _providers(device: str) -> list[str]:
    """What ONNX Runtime computes with on a device, the best first; the CPU does what a GPU does not."""
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


def weights(folder: Path) -> list[Path]:
    """The safetensors of a model folder, one file or several; none where it has none."""
    return sorted(folder.glob("model*.safetensors"))


def graph(folder: Path) -> Path:
    """Where the graph of a model folder lies, or is to be written on first use.

    It is `folder`/model.onnx unless the weights were written after it. Otherwise it is a file in the user's cache, so
    that nothing is written unasked into a folder that may be read-only or the Hub's. The weights' path, size and time
    name that file, so it is never older than they are.
    """
    beside, stored = folder / GRAPH, weights(folder)
    newest = max((file.stat().st_mtime for file in stored), default=0.0)
    if not stored or (beside.is_file() and beside.stat().st_mtime > newest - COPYING):
        return beside
    sources = [*stored, *filter(Path.is_file, (folder / name for name in SETTINGS))]
    states = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in sources]
    name = hashlib.sha256(repr((__version__, states)).encode()).hexdigest()[:16]
    return writing.user_cache() / name / GRAPH


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
            "with `distilhubert-ko demo`, or name the folder of one that you have"
        ) from error


def revision(model: str | Path) -> str | None:
    """The commit of a model that lies in the Hub's cache, given as its folder there or as its id; None for others."""
    folder = Path(model)
    if not folder.is_dir():
        import huggingface_hub

        config = huggingface_hub.try_to_load_from_cache(str(model), "config.json")
        folder = Path(config).parent if isinstance(config, str) else folder
    return folder.name if folder.parent.name == "snapshots" else None
