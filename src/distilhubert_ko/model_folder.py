"""A model folder, which every command takes and `train` leaves: its files, its records, its graph, its Hub copy."""

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from distilhubert_ko.errors import InputError, ModelError, UnavailableError, reason
from distilhubert_ko.files.digests import kept_sha256
from distilhubert_ko.files.hub_client import hub_or_cache
from distilhubert_ko.files.onnx_head import ORIGIN, PRODUCER, read_head
from distilhubert_ko.files.reading import read_json_object
from distilhubert_ko.files.writing import user_cache
from distilhubert_ko.version import __version__

if TYPE_CHECKING:
    from distilhubert_ko.audio.frames import FrameGrid

# What Transformers reads.
CONFIG = "config.json"
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
"""Weights as Transformers saved them until 2023, in one file or in several; only without safetensors are they read."""
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
VOCABULARY, ADDED_TOKENS = "vocab.json", "added_tokens.json"
TOKENIZER, SPECIAL_TOKENS = "tokenizer_config.json", "special_tokens_map.json"
# What transcription reads.
GRAPH = "model.onnx"
LANGUAGE_MODEL = "language_model"
# What training and evaluation record.
RECIPE, DATA, TRAINING, LOG = "recipe.toml", "data.json", "training.json", "training_log.jsonl"
DISTILLATION = "distill.json"
REPORT, PREDICTIONS = "report.json", "predictions.jsonl"
CARD, LEARNING_CURVE = "README.md", "learning-curve.png"
LAST, BEST = "last", "best"  # folders in it, with the weights that did not become the model
CHANGED = "changed"  # in a line of the log: {key of the recipe: [before, after]}, from that step on

SETTINGS = (CONFIG, PREPROCESSOR, PROCESSOR)  # what a graph depends on, with the weights
NAME, MADE_OF = "distilhubert-ko", "made of"  # in a graph: who made it, and of what
COPYING = 3600.0  # seconds within which a copy or a download writes the files of a folder, in any order
PATTERNS = [
    "*.json",
    "*.onnx",
    "*.safetensors",
    "*.toml",
    f"{LANGUAGE_MODEL}/*.arpa",
    f"{LANGUAGE_MODEL}/*.bin",
    f"{LANGUAGE_MODEL}/*.binary",
    f"{LANGUAGE_MODEL}/unigrams.txt",
]  # never code
ENCODER = [CONFIG, WEIGHTS, WEIGHTS_INDEX, "model-*-of-*.safetensors"]
"""What training starts from, of a model on the Hub."""

AnyRecord = TypeVar("AnyRecord")


@dataclass(frozen=True, kw_only=True)
class SplitRecord:
    """What is kept of a corpus, in data.json."""

    corpus: str
    revision: str | None = None
    """The commit of a corpus on the Hub."""
    utterances: int
    hours: float
    hours_from: str = "audio"
    """Where lengths come from: see Utterance."""
    speakers: int
    distinct_sentences: int | None = None
    """None where the corpus has no transcripts."""
    dropped: dict[str, int]
    """Reason -> utterances."""
    source: dict[str, Any] | None = None
    """The shards of a streamed corpus."""
    dropped_clips: dict[str, list[str]] | None = None
    """Reason -> ids; None if none was dropped."""
    digest: str | None = None
    """SHA-256 of the ids, texts and measured lengths of all clips."""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as data.json has it: without what is as it is by default."""
        fields = dataclasses.fields(self)
        return {f.name: value for f in fields if (value := getattr(self, f.name)) != f.default}


@dataclass(frozen=True, kw_only=True)
class OverlapRecord:
    """What a split has in common with the training split."""

    shared_sentences: int
    shared_speakers: int | None
    """None where the speakers of one of the two are unknown."""
    unknown_characters: dict[str, int]
    """Units of the split that the vocabulary lacks, counted."""


@dataclass(frozen=True, kw_only=True)
class SplitsRecord:
    """data.json of a distilled student, which reads no transcripts: what is kept of the recipe's corpora."""

    splits: dict[str, SplitRecord]

    def to_dict(self) -> dict[str, Any]:
        return {"splits": {name: split.to_dict() for name, split in self.splits.items()}}


@dataclass(frozen=True, kw_only=True)
class DataRecord(SplitsRecord):
    """data.json of a recogniser."""

    units: str
    vocabulary: int
    overlap_with_train: dict[str, OverlapRecord]

    def to_dict(self) -> dict[str, Any]:
        overlaps = {name: dataclasses.asdict(overlap) for name, overlap in self.overlap_with_train.items()}
        head = {"units": self.units, "vocabulary": self.vocabulary}
        return head | super().to_dict() | {"overlap_with_train": overlaps}


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """training.json: how a finished run of `train` went."""

    best_step: int
    total_steps: int
    ranks: int = 1
    """Processes that trained together."""
    unreadable: list[str] = field(default_factory=list)
    """Clips that could not be decoded."""
    unfit: dict[str, int] = field(default_factory=dict)
    """Reason -> clips that turned out too short or too long."""
    precision: str
    device: str
    pretrained_revision: str | None = None
    pretrained_is_folder: bool | None = None
    """Whether model.pretrained was a folder of the machine that trained, not a Hub id; None of an earlier version."""
    parameters: int
    hidden_size: int
    num_hidden_layers: int
    versions: dict[str, str]
    resumed: bool
    train_seconds: float
    """Wall-clock time, of the last part of a resumed run."""
    report: str = "best"
    """Which weights are the model, as [training] of the recipe says."""

    @property
    def kept_step(self) -> int:
        """Return the step whose weights are the model."""
        return self.total_steps if self.report == "last" else self.best_step


@dataclass(frozen=True, kw_only=True)
class ReportRecord:
    """What anybody needs of report.json: which corpus, and the character error rate as a fraction."""

    corpus: str
    cer: float


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a model folder.

    Raises ModelError where the file is missing, cannot be read, or holds no JSON object.
    """
    return read_json_object(path, ModelError, "save or download the model again")


def read_record(kind: type[AnyRecord], path: Path) -> AnyRecord:
    """Return the JSON file `path` as one of the records above, without keys that the record does not have.

    Raises ModelError for a file that `read_json` cannot read, or a key that is missing or of the wrong type.
    """
    return _record(kind, read_json(path), path)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return what the Trainer logged, in the order of the steps. Raises ModelError where it cannot be read."""
    path = folder / LOG
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({reason(error)}): give a folder that `train` wrote") from error


def log_text(lines: typing.Iterable[dict[str, Any]]) -> str:
    """Return lines of the training log as the file has them: a JSON object per line."""
    return "".join(json.dumps(line) + "\n" for line in lines)


def frame_grid(folder: Path) -> "FrameGrid":
    """Return the frames of a model by the model_type in its config.json; HuBERT's for a folder without that file.

    Raises ModelError for a model_type that is not known here.
    """
    from distilhubert_ko.audio.frames import FRAME_GRIDS, HUBERT_FRAMES  # and numpy, which the commands' help spares

    path = folder / CONFIG
    if not path.is_file():
        return HUBERT_FRAMES
    kind = read_json(path).get("model_type")
    if not isinstance(kind, str) or kind not in FRAME_GRIDS:
        raise ModelError(f"{path}: model_type {kind!r}; give a model of {' or '.join(FRAME_GRIDS)}")
    return FRAME_GRIDS[kind]


def weights(folder: Path) -> list[Path]:
    """Return the safetensors of a model folder, one file or several; none where it has none."""
    return sorted(folder.glob("model*.safetensors"))


def pickled_weights(folder: Path) -> list[Path]:
    """Return the pickles that a model folder without safetensors has its weights in; none where it has none."""
    found = [sorted(folder.glob(pattern)) for pattern in PICKLES if not weights(folder)]
    return next(filter(None, found), [])


def converted(folder: Path) -> Path:
    """Return the folder in the user's cache for a pickled model's config.json and its weights as safetensors."""
    made_of = {file.name: kept_sha256(file) for file in (folder / CONFIG, *pickled_weights(folder)) if file.is_file()}
    return user_cache() / "weights" / hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def graph(folder: Path) -> Path:
    """Return where the graph of a model folder lies, or is to be written on first use.

    It is `folder`/model.onnx if that was made of these weights, this vocabulary and these settings. A graph of an
    earlier version does not say what it was made of, and counts if the weights were not written after it. Otherwise it
    is a file in the user's cache, so that nothing is written unasked into a folder that may be read-only or the Hub's.
    Raises ModelError for a folder without weights whose graph was made of another vocabulary or other settings.
    """
    beside, stored = folder / GRAPH, weights(folder) or pickled_weights(folder)
    made_of = graph_origin(beside) if beside.is_file() else None
    present = origin(folder) if made_of or stored else {}
    if not stored:
        for name, digest in (made_of or {}).items():
            if present.get(name, digest) != digest:
                raise ModelError(f"{beside} was made of another {name}: export the model again, or restore that file")
        return beside
    newest = max(file.stat().st_mtime for file in stored)
    if made_of == present if made_of else beside.is_file() and beside.stat().st_mtime > newest - COPYING:
        return beside
    return user_cache() / hashlib.sha256(repr((__version__, present)).encode()).hexdigest()[:16] / GRAPH


def read_files(model: str | Path) -> list[Path]:
    """Return the files that a use of a model on this machine may read, which its reports are not."""
    return [path for path in Path(model).rglob("*") if path.name not in (REPORT, PREDICTIONS)]


def origin(folder: Path) -> dict[str, str]:
    """Return what a graph of a model folder depends on: name -> SHA-256 of weights, vocabulary and settings."""
    settings = filter(Path.is_file, (folder / name for name in (*SETTINGS, VOCABULARY, ADDED_TOKENS)))
    files = [*(weights(folder) or pickled_weights(folder)), *settings]
    return {file.name: kept_sha256(file) for file in files}


def origin_text(made_of: dict[str, str]) -> str:
    """Return what `origin` says as a graph carries it, in its doc_string."""
    return json.dumps({MADE_OF: made_of})


def graph_origin(path: Path) -> dict[str, str] | None:
    """Return what a graph says that it was made of; None for one of an earlier version or of another program."""
    try:
        found = json.loads(read_head(path).get(ORIGIN, ""))[MADE_OF]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def is_own_graph(path: Path) -> bool:
    """Tell whether this program made an ONNX file, perhaps on another machine."""
    return read_head(path).get(PRODUCER) == NAME


def resolve(model: str, patterns: Sequence[str] = PATTERNS) -> Path:
    """Return the local folder of a model given as a folder or a Hub id, downloaded where it must be.

    `patterns` say which files are. Pickles are only where the model has neither safetensors nor a graph. Raises
    ModelError for what is neither, UnavailableError where the Hub cannot give it.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ModelError(f"{model}: no such folder; give a model folder or a Hub id (owner/name)")
    import huggingface_hub

    try:
        with hub_or_cache(model):
            folder = Path(huggingface_hub.snapshot_download(model, allow_patterns=[*patterns]))
            if not weights(folder) and not (folder / GRAPH).is_file():
                folder = Path(huggingface_hub.snapshot_download(model, allow_patterns=[*patterns, *PICKLES]))
            return folder
    except (OSError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise UnavailableError(
            f"{model}: no such folder, and the Hub could not give it ({type(error).__name__}). Make a model offline "
            "with `distilhubert-ko demo`, or name the folder of one that you have"
        ) from error


def revision(model: str | Path) -> str | None:
    """Return the commit of a model in the Hub's cache, given as its folder there or as its id; None for others."""
    folder = local_folder(model)
    return folder.name if folder and folder.parent.name == "snapshots" else None


def local_folder(model: str | Path) -> Path | None:
    """Return the folder of a model, given as that or as an id in the Hub's cache; None for others."""
    folder = Path(model)
    if folder.is_dir():
        return folder
    import huggingface_hub

    config = huggingface_hub.try_to_load_from_cache(str(model), CONFIG)
    return Path(config).parent if isinstance(config, str) else None


def _record(kind: Any, table: dict[str, Any], path: Path) -> Any:
    hints, values = typing.get_type_hints(kind), {}
    for each in dataclasses.fields(kind):
        if each.name in table:
            try:
                values[each.name] = _value(hints[each.name], table[each.name], path)
            except TypeError:
                raise _wrong(path, f"{each.name} is {table[each.name]!r}") from None
        elif each.default is MISSING and each.default_factory is MISSING:
            raise _wrong(path, f"{each.name} is missing")
    return kind(**values)


def _value(kind: Any, value: Any, path: Path) -> Any:
    """Return a JSON value as a field has it. Raises TypeError where it is of another type."""
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        return None if value is None else _value(arguments[0], value, path)
    if arguments and isinstance(value, dict):
        return {name: _value(arguments[1], entry, path) for name, entry in value.items()}
    if arguments and isinstance(value, list):
        return [_value(arguments[0], entry, path) for entry in value]
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return _record(kind, value, path)
    if kind is float and type(value) is int:
        return float(value)
    if kind is not Any and type(value) is not kind:
        raise TypeError
    return value


def _wrong(path: Path, what: str) -> InputError:
    return ModelError(f"{path}: {what}; write it again with the command that made the folder")
