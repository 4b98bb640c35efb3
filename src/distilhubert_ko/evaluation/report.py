"""The report of a model on a corpus: `evaluate_model` measures it through Transcriber, as every other use does."""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distilhubert_ko import model_folder
from distilhubert_ko.data.dataset import read_scored_split, unknown_characters
from distilhubert_ko.data.examples import Example, Split
from distilhubert_ko.data.reading import DEFAULT_READING, Reading
from distilhubert_ko.decoding import ctc, decoder
from distilhubert_ko.errors import InputError, ModelError
from distilhubert_ko.evaluation import metrics, significance
from distilhubert_ko.evaluation.breakdown import Comparison, Prediction, known_speakers
from distilhubert_ko.files import outputs, writing
from distilhubert_ko.model_folder import PREDICTIONS, RECIPE, REPORT
from distilhubert_ko.recipe import Corpora, Recipe, load_recipe
from distilhubert_ko.recognition.transcriber import Transcriber, recognise_in_chunks

INTERVALS = ("cer_ci95", "cer_no_space_ci95", "cer_speakers_ci95", "cer_no_space_speakers_ci95")


@dataclass(frozen=True)
class Report:
    """The figures of one model on one corpus. A rate is the sum of errors over the sum of reference lengths."""

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
    """CTC loss per label, averaged over the utterances with enough frames."""
    too_few_frames: int
    """Utterances with infinite loss, which `loss` leaves out."""
    substitutions: int
    deletions: int
    insertions: int
    unknown_characters: int
    """Units of the references that the vocabulary lacks, which are errors with any decoding."""
    dropped: dict[str, int]
    seconds: float
    """Wall-clock time of reading, recognising and decoding the corpus."""
    threads: int
    decoding: dict[str, Any] = field(default_factory=lambda: dict(decoder.GREEDY_RECORD))
    """The beam width, and the file and weights of the language model."""
    corpus_revision: str | None = None
    model_revision: str | None = None
    """Commits of the corpus and the model on the Hub; None for a local folder."""
    cer_speakers_ci95: tuple[float, float] | None = None
    """Over speakers, see `significance.speaker_interval`; None if one is unknown or there are too few."""
    cer_no_space_speakers_ci95: tuple[float, float] | None = None
    dropped_clips: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> ids."""
    predictions: tuple[Prediction, ...] = field(repr=False, default=())

    @property
    def speed(self) -> float:
        """Return seconds of speech per second."""
        return self.hours * 3600 / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the predictions, as in report.json."""
        table = {name: getattr(self, name) for name in _figures()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in table.items()}


def _figures() -> list[str]:
    return [f.name for f in dataclasses.fields(Report) if f.name != "predictions"]


def evaluate_model(
    transcriber: Transcriber,
    specs: Corpora,
    *,
    reading: Reading = DEFAULT_READING,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score a model on a corpus with the text rules and the speaker split of the model's own recipe.

    `reading` is as in `read_evaluation_split`. `on_progress` receives the number of utterances done and of all. Raises
    CorpusError for a corpus that cannot be read.
    """
    return evaluate_split(transcriber, read_evaluation_split(transcriber.folder, specs, reading), on_progress)


def evaluate_split(
    transcriber: Transcriber, split: Split, on_progress: Callable[[int, int], None] | None = None
) -> Report:
    """Score a model on a corpus that has been read; otherwise as `evaluate_model`."""
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


def read_evaluation_split(folder: Path, specs: Corpora, reading: Reading = DEFAULT_READING) -> Split:
    """Return a corpus with the text rules and the speaker split of the recipe of the model in `folder`.

    `reading` gives the root, the cache and `allow_outside`, because a model must not decide where files are written or
    which files may be read.
    """
    recipe = recipe_of(folder)
    own = dataclasses.replace(reading, heldout=recipe.data.heldout, streaming=recipe.data.streaming)
    return read_scored_split(specs, recipe.text, own)


def _loss(log_probs: np.ndarray, example: Example, transcriber: Transcriber) -> float:
    """Return CTC's loss in nats per label, over the labels that the model has an output for."""
    blank, outputs = transcriber.tokenizer.blank_id, log_probs.shape[1]
    labels = [label for label in transcriber.tokenizer.encode(example.text) if label != blank and label < outputs]
    return ctc.loss(log_probs, labels, blank=blank) / max(1, len(labels))


def _report(
    split: Split, predictions: Sequence[Prediction], losses: Sequence[float], transcriber: Transcriber, seconds: float
) -> Report:
    scores = [each.score for each in predictions]
    speakers = known_speakers(predictions)

    def over_speakers(counts: list[metrics.ErrorCounts]) -> tuple[float, float] | None:
        return significance.speaker_interval(counts, speakers) if speakers else None

    total = sum(scores, metrics.Score())
    finite = [loss for loss in losses if np.isfinite(loss)]
    unknown = unknown_characters([each.reference for each in predictions], transcriber.tokenizer)
    return Report(
        corpus=split.spec,
        utterances=len(predictions),
        hours=split.hours,
        speakers=len(split.speakers),
        cer=total.characters.rate,
        cer_ci95=metrics.bootstrap_interval([score.characters for score in scores]),
        cer_no_space=total.characters_no_space.rate,
        cer_no_space_ci95=metrics.bootstrap_interval([score.characters_no_space for score in scores]),
        cer_speakers_ci95=over_speakers([score.characters for score in scores]),
        cer_no_space_speakers_ci95=over_speakers([score.characters_no_space for score in scores]),
        jer=total.jamo.rate,
        wer=total.words.rate,
        loss=float(np.mean(finite)) if finite else float("inf"),
        too_few_frames=len(losses) - len(finite),
        substitutions=total.characters.substitutions,
        deletions=total.characters.deletions,
        insertions=total.characters.insertions,
        unknown_characters=unknown.total(),
        dropped=split.dropped,
        dropped_clips={reason: list(ids) for reason, ids in split.left_out.items()},
        seconds=seconds,
        threads=transcriber.runtime.threads,
        decoding=transcriber.decoder.record(),
        corpus_revision=split.revision,
        model_revision=model_folder.revision(transcriber.folder),
        predictions=tuple(predictions),
    )


def recipe_of(folder: Path) -> Recipe:
    """Return the recipe of a model folder, or the default recipe for a folder without one."""
    path = folder / RECIPE
    return load_recipe(path) if path.is_file() else Recipe()


def save_report(report: Report, path: Path, comparison: Comparison | None = None) -> Path:
    """Write the figures as JSON to `path` and a line per utterance to a JSONL file beside it, whose path is returned.

    The JSON holds `comparison`, with another model, under that name. Raises InputError as `check_report_files` does, or
    if they cannot be written.
    """
    lines = check_report_files(path)
    records = (writing.json_text(dataclasses.asdict(each)) for each in report.predictions)
    outputs.write_output(lines, "".join(f"{record}\n" for record in records), _is_predictions)
    figures = report.to_dict() | ({"comparison": comparison.to_dict()} if comparison else {})
    outputs.write_output(path, writing.json_text(figures, indent=2) + "\n", _is_report)
    return lines


def check_report_files(path: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> Path:
    """Return where the utterances of a report in `path` go: predictions.jsonl beside report.json, else NAME.jsonl.

    Raises InputError if both would be the same file, and as `check_output` does for either.
    """
    lines = path.with_name(PREDICTIONS) if path.name == REPORT else path.with_suffix(".jsonl")
    if lines == path:
        raise InputError(
            f"{path}: the figures cannot go into the file of the utterances: give a name that ends in .json"
        )
    given = tuple(inputs)
    outputs.check_output(path, given, _is_report)
    outputs.check_output(lines, given, _is_predictions)
    return lines


def _is_report(path: Path) -> bool:
    """Tell whether a file is a report that this program wrote."""
    try:
        return {"corpus", "cer", "cer_ci95", "jer", "too_few_frames"} <= model_folder.read_json(path).keys()
    except ModelError:
        return False


def _is_predictions(path: Path) -> bool:
    """Tell whether a file holds the utterances of a report, one per line, and nothing else."""
    names = {f.name for f in dataclasses.fields(Prediction)}
    try:
        with path.open(encoding="utf-8") as file:
            return all(json.loads(line).keys() == names for line in file)
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def load_report(folder: Path) -> Report:
    """Return the report of a model folder without predictions. Raises ModelError if there is none, or a damaged one."""
    try:
        found = model_folder.read_record(Report, folder / REPORT)
        intervals: dict[str, Any] = {name: _pair(getattr(found, name)) for name in INTERVALS}
        _check_decoding(found.decoding)
        return dataclasses.replace(found, predictions=(), **intervals)
    except (ModelError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}: no usable {REPORT} ({error}); measure the model again: "
            f"distilhubert-ko evaluate {folder} CORPUS --json {folder / REPORT}"
        ) from error


def _pair(interval: Any) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = interval
    return low, high


def _check_decoding(used: dict[str, Any]) -> None:
    """Raise TypeError or KeyError for a record of decoding that no Decoder gives."""
    kinds: dict[str, tuple[type, ...]] = {"beam": (int,), "lm": (str, type(None))}
    if used["lm"] is not None:
        kinds |= {"lm_order": (int,), "alpha": (int, float), "beta": (int, float)}
    for name, kind in kinds.items():
        if not isinstance(used[name], kind):
            raise TypeError(f"decoding.{name} is {str(used[name])[:100]}")
    if not all(isinstance(word, str) for word in used.get("hotwords", [])):
        raise TypeError("decoding.hotwords are no words")
