"""Weights -> ONNX, checked before anything is replaced: float32 against torch, int8 by the error rate on a corpus."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
import transformers
from google.protobuf.message import EncodeError
from torch import Tensor

from distilhubert_ko.audio.frames import FRAMES, KERNELS, SAMPLE_RATE
from distilhubert_ko.data.dataset import Example
from distilhubert_ko.decoding import decoder
from distilhubert_ko.errors import ExportError, InputError, ModelError
from distilhubert_ko.evaluation import report
from distilhubert_ko.export import calibration, graph
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.model import network as model
from distilhubert_ko.model_folder import GRAPH
from distilhubert_ko.recognition.session import Runtime
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.text.tokenizer import Tokenizer

TOLERANCE = 1e-3  # of log-probabilities in float32
CHECKED = ((400,), (401, 33_333), (720, 48_000, 9001))  # samples of the clips in the batches that parity is checked on
ALLOWED = 0.003  # by which the CER in int8 may exceed that in float32
CLIPS = 256  # of the corpus, spread evenly, that ranges are observed on; 64 cost Pansori 0.3 points more
LONGEST = 15 * SAMPLE_RATE  # samples of such a clip that are heard
COMPANIONS = (
    "added_tokens.json",
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "recipe.toml",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
)
LATER = tuple(tuple(f"conv{number}" for number in range(first, len(KERNELS))) for first in (4, 3, 2, 0))
RUNGS = ((), ("positions",), *(("positions", *convolutions) for convolutions in LATER))
"""What stays in float32, from the fastest graph to the one that is nearest to float32."""


@dataclass(frozen=True)
class Trial:
    """A graph's CER on the corpus, and which parts of it are in float32 (None: all)."""

    float32: tuple[str, ...] | None
    cer: float

    def __str__(self) -> str:
        what = "float32" if self.float32 is None else "int8"
        kept = f", {', '.join(self.float32)} in float32" if self.float32 else ""
        return f"{what}{kept}: CER {self.cer:.4f}"


@dataclass(frozen=True)
class _Source:
    """What graphs are built from, and the network in torch that they must agree with."""

    folder: Path
    network: model.PaddingSafeForCTC
    normalise: bool
    weights: Mapping[str, np.ndarray]

    @classmethod
    def load(cls, folder: Path) -> "_Source":
        transformers.utils.logging.disable_progress_bar()  # loading takes no time that one would watch
        network = model.load(folder)
        for name in ("hidden_act", "feat_extract_activation"):
            if (value := getattr(network.config, name)) != "gelu":
                raise ModelError(f"{folder}: {name} {value!r} is not supported here: use a checkpoint with 'gelu'")
        weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        return cls(folder, network, model.normalises(folder), weights)

    def graph(self, speech: Mapping[str, Observed] | None = None) -> onnx.ModelProto:
        return graph.build_graph(self.weights, self.network.config.to_dict(), normalise=self.normalise, speech=speech)

    def sherpa_graph(self, tokenizer: Tokenizer, loudness: float, speech: Mapping[str, Observed]) -> onnx.ModelProto:
        """With the blank as id 0. sherpa-onnx hears one clip at a time, and normalises it by itself."""
        order = [tokenizer.blank_id, *(id for id in range(len(tokenizer)) if id != tokenizer.blank_id)]
        order = [id for id in order if id < len(self.weights["lm_head.bias"])]
        head = {name: self.weights[name][order] for name in ("lm_head.weight", "lm_head.bias")}
        whole = 1.0 if self.normalise else loudness
        return graph.build_graph({**self.weights, **head}, self.network.config.to_dict(), whole=whole, speech=speech)


def export(folder: Path, path: Path | None = None) -> float:
    """Writes `path` (`folder`/model.onnx) in float32; the largest difference of log-probabilities to torch.

    Raises ModelError for a folder that cannot be loaded. Raises ExportError, and leaves what was there, where the
    graph does not give what the model gives in torch, or is too large for one file.
    """
    source = _Source.load(folder)
    path = path or folder / GRAPH
    with _aside(path.parent) as aside:
        _write(source.graph(), aside / GRAPH, folder)
        difference = _checked(source, aside)
        os.replace(aside / GRAPH, path)
    return difference


def export_folder(
    folder: Path,
    out: Path,
    *,
    int8: bool = False,
    sherpa: bool = False,
    corpus: str | None = None,
    root: Path = Path(),
    allow_outside: bool = False,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> float:
    """Writes a folder `out` that runs without the weights; the difference to torch, as `export` gives it.

    `int8` needs a `corpus` (scheme:location#split, against `root`, `allow_outside` as in `corpora.read`): ranges are
    observed on CLIPS of its utterances, and CER is measured on all, of float32 and then of RUNGS until one is within
    ALLOWED of it.

    `sherpa` is for sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc: model.onnx and tokens.txt. It normalises
    each clip; a model that was trained on speech as it is hears what it heard if a `corpus` tells how loud that was.

    Raises what `export` raises, and ExportError where no graph in int8 is good enough; then nothing is written.
    """
    if int8 and corpus is None:
        raise InputError("int8 needs a corpus to observe ranges on and to compare CER on: name one")
    if sherpa and out.resolve() == folder.resolve():
        raise InputError(f"{out}: a folder for sherpa-onnx does not open here any more: give another than the model's")
    source = _Source.load(folder)
    speech: Mapping[str, Observed] = {}
    with _aside(out) as aside:
        for name in COMPANIONS:
            if (folder / name).is_file():
                shutil.copy(folder / name, aside)
        _write(source.graph(), aside / GRAPH, folder)
        difference = _checked(source, aside)
        waves = _spread(report.read_split(aside, corpus, root, allow_outside).examples) if corpus is not None else []
        if int8 and corpus is not None:
            speech = _accepted(source, aside, waves, corpus, root, allow_outside, on_trial)
        if sherpa:
            tokenizer = Tokenizer.load(folder)
            for file in aside.iterdir():
                file.unlink()
            loudness = float(np.median([wave.std() for wave in waves if wave.any()] or [1.0]))
            _write(source.sherpa_graph(tokenizer, loudness, speech), aside / GRAPH, folder)
            (aside / "tokens.txt").write_text(_tokens(tokenizer), encoding="utf-8")
        # The graph last: until then, what was there goes on running.
        for file in sorted(aside.iterdir(), key=lambda file: file.name == GRAPH):
            os.replace(file, out / file.name)
    if not sherpa and decoder.carried(folder) and out.resolve() != folder.resolve():
        shutil.copytree(folder / decoder.FOLDER, out / decoder.FOLDER, dirs_exist_ok=True)
    return difference


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A temporary folder inside a folder, which is made where it is missing, and does not stay if it stays empty."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
            yield Path(name)
    finally:
        if new and not any(folder.iterdir()):
            folder.rmdir()


def _write(built: onnx.ModelProto, path: Path, folder: Path) -> None:
    try:
        path.write_bytes(built.SerializeToString())
    except (ValueError, EncodeError) as error:  # by protobuf's implementation, for its own limit
        raise ExportError(f"{folder}: more than the 2 GiB that fit into one ONNX file; use a smaller model") from error


def _checked(source: _Source, aside: Path) -> float:
    difference = _difference(source, Runtime(aside))
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{source.folder}: the exported graph is off by {difference:.2g} in log-probabilities (allowed "
            f"{TOLERANCE}); the old {GRAPH}, if any, is untouched. Please report the versions of torch and onnxruntime"
        )
    return difference


def _difference(source: _Source, runtime: Runtime) -> float:
    """The largest difference of log-probabilities, over batches of awkward shapes."""
    largest = 0.0
    for lengths in CHECKED:
        waves, samples = _padded(lengths)
        with torch.no_grad():
            heard = model.normalised(waves, samples) if source.normalise else waves
            expected = source.network(heard, samples).logits.log_softmax(-1).numpy()
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


def _accepted(
    source: _Source,
    aside: Path,
    waves: Sequence[np.ndarray],
    corpus: str,
    root: Path,
    allow_outside: bool,
    on_trial: Callable[[Trial], None],
) -> Mapping[str, Observed]:
    """What the int8 graph is built with that is accepted, and is then the one in `aside`, where float32 was."""

    def trial(float32: tuple[str, ...] | None) -> Trial:
        measured = report.evaluate(Transcriber(aside), corpus, root=root, allow_outside=allow_outside)
        made = Trial(float32, measured.cer)
        on_trial(made)
        return made

    best = trial(None)
    speech = calibration.observe(source.weights, source.network.config.to_dict(), waves, source.normalise)
    tried: list[Trial] = []
    for rung in RUNGS:
        known = {name: seen for name, seen in speech.items() if name.removesuffix(".out") not in rung}
        _write(source.graph(known), aside / GRAPH, source.folder)
        tried.append(trial(rung))
        if tried[-1].cer <= best.cer + ALLOWED:
            return known
    closest = min(tried, key=lambda each: each.cer)
    raise ExportError(
        f"{source.folder}: int8 is not accurate enough on {corpus}: {closest}, against {best} (allowed: "
        f"{100 * ALLOWED:.1f} points more). Nothing was written; use float32, or a corpus closer to what it will hear"
    )


def _spread(examples: Sequence[Example]) -> list[np.ndarray]:
    """The waves (samples,) of CLIPS utterances, spread evenly."""
    count = min(CLIPS, len(examples))
    chosen = [examples[number * len(examples) // count] for number in range(count)]
    waves = [example.utterance.wave()[:LONGEST] for example in chosen]
    heard = [wave for wave in waves if FRAMES.count(len(wave))]
    if not heard:
        raise InputError("no utterance of the corpus is long enough to observe: give one with speech")
    return heard


def _tokens(tokenizer: Tokenizer) -> str:
    """sherpa-onnx's tokens.txt: the blank under a name that it knows, and the delimiter as SentencePiece's space."""
    names = dict(enumerate(tokenizer.tokens))
    if tokenizer.delimiter_id is not None:
        names[tokenizer.delimiter_id] = "▁"
    del names[tokenizer.blank_id]
    return "".join(f"{name} {id}\n" for id, name in enumerate(["<blk>", *names.values()]))
