"""evaluate() -> Report: what a model does on a corpus, measured through the one path, Transcriber."""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distilhubert_ko import model_folder
from distilhubert_ko.data import dataset
from distilhubert_ko.data.dataset import Example, Split
from distilhubert_ko.data.reading import DEFAULT_READING, Reading
from distilhubert_ko.decoding import ctc, decoder
from distilhubert_ko.errors import InputError, ModelError
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.evaluation.breakdown import Comparison, Prediction
from distilhubert_ko.files import writing
from distilhubert_ko.model_folder import PREDICTIONS, RECIPE, REPORT
from distilhubert_ko.recipe import Recipe
from distilhubert_ko.recipe import load as load_recipe
from distilhubert_ko.recognition.transcriber import Transcriber, recognise_in_chunks


@dataclass(frozen=True)
class Report:
    """The figures of one model on one corpus. Rates are errors per reference length, summed, then divided."""

    corpus: str
    utterances: int
    hours: float
    speakers: int
    cer: float
    cer_ci95: tuple[float, float]
    """Percentile bootstrap over utterances."""
    cer_no_space: float
    cer_no_space_ci95: tuple[float, float]
    jer: float
    wer: float
    loss: float
    """CTC loss divided by the number of labels, mean over the utterances that have enough frames."""
    too_few_frames: int
    """Utterances whose loss is infinite, and which are not in `loss`."""
    substitutions: int
    deletions: int
    insertions: int
    unknown_characters: int
    """Units of the references that the vocabulary lacks: errors that no decoding can avoid."""
    dropped: dict[str, int]
    seconds: float
    """Wall-clock time of reading, recognising and decoding the corpus."""
    threads: int
    decoding: dict[str, Any] = field(default_factory=lambda: dict(decoder.GREEDY))
    """The beam's width, and the file and the weights of the language model."""
    corpus_revision: str | None = None
    model_revision: str | None = None
    """The commits of a corpus and of a model on the Hub; None for what is in a folder of this machine."""
    predictions: tuple[Prediction, ...] = field(repr=False, default=())

    @property
    def speed(self) -> float:
        """Seconds of speech a second."""
        return self.hours * 3600 / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Everything but the predictions, as it stands in report.json."""
        table = {name: getattr(self, name) for name in _figures()}
        return table | {"cer_ci95": list(self.cer_ci95), "cer_no_space_ci95": list(self.cer_no_space_ci95)}


def _figures() -> list[str]:
    return [f.name for f in dataclasses.fields(Report) if f.name != "predictions"]


def evaluate(
    transcriber: Transcriber,
    spec: str,
    *,
    reading: Reading = DEFAULT_READING,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Scores a model on a corpus, under the text rules and the speaker split of the model's own recipe.

    `reading` is as in `read_split`. `on_progress` is called with the utterances done and their number. Raises
    CorpusError for a corpus that cannot be read.
    """
    split = read_split(transcriber.folder, spec, reading)
    started = time.perf_counter()
    predictions: list[Prediction] = []
    losses: list[float] = []
    heard = recognise_in_chunks(transcriber, split.examples, lambda example: example.utterance.wave(), on_progress)
    for example, wave, log_probs in heard:
        hypothesis = transcriber.transcript(log_probs, len(wave)).text
        spoken = example.utterance
        predictions.append(Prediction(spoken.id, example.text, hypothesis, spoken.speaker, spoken.seconds))
        losses.append(_loss(log_probs, example, transcriber))
    return _report(split, predictions, losses, transcriber, time.perf_counter() - started)


def read_split(folder: Path, spec: str, reading: Reading = DEFAULT_READING) -> Split:
    """Return a corpus under the text rules and the speaker split of the recipe of the model in `folder`.

    Of `reading` count the root, the cache and `allow_outside`: a model must not say where files are written, nor which
    may be read.
    """
    recipe = recipe_of(folder)
    own = dataclasses.replace(reading, heldout=recipe.data.heldout, streaming=recipe.data.streaming)
    return dataset.read_scored_split(spec, recipe.text, own)


def _loss(log_probs: np.ndarray, example: Example, transcriber: Transcriber) -> float:
    labels = transcriber.tokenizer.encode(example.text)
    return ctc.loss(log_probs, labels, blank=transcriber.tokenizer.blank_id) / max(1, len(labels))


def _report(
    split: Split, predictions: Sequence[Prediction], losses: Sequence[float], transcriber: Transcriber, seconds: float
) -> Report:
    scores = [metrics.score(each.reference, each.hypothesis) for each in predictions]
    total = sum(scores, metrics.Score())
    finite = [loss for loss in losses if np.isfinite(loss)]
    unknown = dataset.unknown_characters([each.reference for each in predictions], transcriber.tokenizer)
    return Report(
        corpus=split.spec,
        utterances=len(predictions),
        hours=split.hours,
        speakers=len(split.speakers),
        cer=total.characters.rate,
        cer_ci95=metrics.bootstrap_interval([score.characters for score in scores]),
        cer_no_space=total.characters_no_space.rate,
        cer_no_space_ci95=metrics.bootstrap_interval([score.characters_no_space for score in scores]),
        jer=total.jamo.rate,
        wer=total.words.rate,
        loss=float(np.mean(finite)) if finite else float("inf"),
        too_few_frames=len(losses) - len(finite),
        substitutions=total.characters.substitutions,
        deletions=total.characters.deletions,
        insertions=total.characters.insertions,
        unknown_characters=unknown.total(),
        dropped=split.dropped,
        seconds=seconds,
        threads=transcriber.runtime.threads,
        decoding=transcriber.decoder.record(),
        corpus_revision=split.revision,
        model_revision=model_folder.revision(transcriber.folder),
        predictions=tuple(predictions),
    )


def recipe_of(folder: Path) -> Recipe:
    """The recipe that a model folder was trained with; the defaults for a folder made by others."""
    path = folder / RECIPE
    return load_recipe(path) if path.is_file() else Recipe()


def save_report(report: Report, path: Path, comparison: Comparison | None = None) -> Path:
    """Writes the figures as JSON to `path` and a line an utterance to the JSONL beside it, whose path it returns.

    `comparison`, with another model, stands in the JSON under that name. Raises InputError where the two would be one
    file, or cannot be written.
    """
    lines = path.with_name(PREDICTIONS) if path.name == REPORT else path.with_suffix(".jsonl")
    if lines == path:
        raise InputError(f"{path}: the utterances go into this file, and the figures need another: name a .json")
    records = (json.dumps(dataclasses.asdict(each), ensure_ascii=False) for each in report.predictions)
    writing.write_text(lines, "".join(f"{record}\n" for record in records))
    writing.write_json(path, report.to_dict() | ({"comparison": comparison.to_dict()} if comparison else {}))
    return lines


def load_report(folder: Path) -> Report:
    """The Report recorded in a model folder, without its predictions. Raises ModelError where there is none."""
    try:
        table = model_folder.read_json(folder / REPORT)
        for name in ("cer_ci95", "cer_no_space_ci95"):
            low, high = table[name]
            table[name] = (low, high)
        # Older reports know greedy decoding alone, and no commits.
        table = {"decoding": dict(decoder.GREEDY), "corpus_revision": None, "model_revision": None} | table
        return Report(**{name: table[name] for name in _figures()})
    except (ModelError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}: no usable {REPORT} ({error}); measure the model again: "
            f"distilhubert-ko evaluate {folder} CORPUS --json {folder / REPORT}"
        ) from error
