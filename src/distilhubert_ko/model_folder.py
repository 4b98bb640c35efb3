"""A model folder: where its graph and its weights lie, and the folder of a model that the Hub has."""

import hashlib
from pathlib import Path

from distilhubert_ko.errors import ModelError, UnavailableError
from distilhubert_ko.files import writing
from distilhubert_ko.version import __version__

GRAPH = "model.onnx"
SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")  # what a graph depends on, with weights
COPYING = 3600.0  # seconds within which a copy or a download writes the files of a folder, in any order
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
