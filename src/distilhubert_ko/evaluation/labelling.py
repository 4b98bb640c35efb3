"""Pseudo-labels: the text that a model recognises in a corpus, with a confidence, as a manifest for training.

This is self-training as in Kahn, Lee and Hannun, Self-Training for End-to-End Speech Recognition, ICASSP 2020 (arXiv
1909.09116). They filter by the log-likelihood of a label over its length; `label_confidence` is its exponential.
Whisper has figures of its own. A second model can confirm a label, since two models seldom make the same error.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.data.corpora import Utterance, read_corpus
from distilhubert_ko.data.reading import DEFAULT_READING, Reading
from distilhubert_ko.errors import AudioError, CorpusError, InputError
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.evaluation.labellers import Labeller
from distilhubert_ko.files import outputs, writing
from distilhubert_ko.recognition.transcriber import Transcriber, open_in_chunks
from distilhubert_ko.text.normalise import foreign_characters, normalise

AGREE_LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, math.inf)


@dataclass(frozen=True)
class Label:
    """The text recognised in an utterance; `reference` is its transcript, or "" without one that can be scored."""

    utterance: Utterance
    text: str
    confidence: float
    reference: str
    doubt: str = ""
    """Why the recogniser's own figures speak against the text."""
    disagreement: float | None = None
    """The CER without spaces between this text and that of the model that is to confirm it; None without one."""

    @property
    def trainable(self) -> bool:
        """Return whether training can use the text, which must be spellable in Hangul syllables."""
        written = normalise(self.text, spell=True)
        return bool(written) and not foreign_characters(written)


@dataclass(frozen=True)
class Labels:
    """The labels of all readable utterances of a corpus, and reason -> ids of those that were not readable."""

    spec: str
    labels: tuple[Label, ...]
    unread: dict[str, list[str]]

    def kept(self, min_confidence: float, agree_cer: float = math.inf) -> list[Label]:
        return [label for label in self.labels if not _fault(label, min_confidence, agree_cer)]

    def dropped(self, min_confidence: float, agree_cer: float = math.inf) -> dict[str, list[str]]:
        """Return reason -> ids of the utterances that are not kept."""
        found = {reason: [*ids] for reason, ids in self.unread.items()}
        for label in self.labels:
            if fault := _fault(label, min_confidence, agree_cer):
                found.setdefault(fault, []).append(label.utterance.id)
        return found


def _fault(label: Label, min_confidence: float, agree_cer: float) -> str:
    """Return why a label is dropped; "" where it is kept."""
    if not label.text:
        return "nothing recognised"
    if label.doubt:
        return label.doubt
    if not label.trainable:
        return "lone jamo or other scripts"
    if label.confidence < min_confidence:
        return f"confidence below {min_confidence:g}"
    if label.disagreement is not None and label.disagreement > agree_cer:
        return f"not confirmed within CER {agree_cer:g}"
    return ""


@dataclass(frozen=True)
class ConfidenceDecile:
    """A tenth of the transcribed utterances, from confidence `low` on, with its CER and the CER from there up."""

    low: float
    utterances: int
    cer: float
    cer_from_here: float


@dataclass(frozen=True)
class Agreement:
    """The transcribed utterances that a second model confirms within the CER `level`, and their own CER."""

    level: float
    utterances: int
    cer: float
    """Without spaces."""


def label_corpus(
    labeller: Labeller,
    spec: str,
    *,
    reading: Reading = DEFAULT_READING,
    confirm: Transcriber | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Labels:
    """Recognise a corpus, with or without transcripts.

    Where `reading` has no held-out rule, the speaker split is that of the labeller's own recipe. `confirm` recognises
    what is trusted once more, and its texts give each label its disagreement. `on_progress` receives the number of
    utterances done and of all. Raises CorpusError for a corpus that cannot be read, or whose audio is not in files,
    because a manifest could not refer to it.
    """
    reading = replace(reading, heldout=reading.heldout or labeller.heldout)
    corpus = read_corpus(spec, reading, transcribed=False)
    if any(not isinstance(utterance.audio, Path) for utterance in corpus.utterances):
        raise CorpusError(
            f"{spec}: its audio is not in files that a manifest could refer to: save the clips as files, and give "
            "folder:PATH"
        )
    labels: list[Label] = []
    unread: dict[str, list[str]] = {}
    for problem in corpus.problems:
        unread.setdefault(problem.reason, []).append(problem.id)

    def opened(utterance: Utterance) -> NDArray[np.float32] | None:
        try:
            return utterance.wave()
        except AudioError:  # a large collection surely has some
            unread.setdefault("audio unreadable", []).append(utterance.id)
            return None

    for known in open_in_chunks(corpus.utterances, opened, on_progress, labeller.chunk):
        waves = [wave for _, wave in known]
        found = [
            Label(utterance, each.text, each.confidence, _reference(utterance, labeller.spell), each.doubt)
            for (utterance, _), each in zip(known, labeller.recognise(waves), strict=True)
        ]
        labels += _confirmed(found, waves, confirm) if confirm else found
    return Labels(spec, tuple(labels), unread)


def _confirmed(labels: Sequence[Label], waves: Sequence[NDArray[np.float32]], confirm: Transcriber) -> list[Label]:
    """Return the labels in order, with the disagreement of those that can be kept."""
    results = list(labels)
    trusted = [index for index, label in enumerate(labels) if not _fault(label, 0.0, math.inf)]
    for index, log_probs in zip(trusted, confirm.log_probs([waves[index] for index in trusted]), strict=True):
        other = normalise(confirm.transcript(log_probs, len(waves[index])).text, spell=True)
        text = normalise(labels[index].text, spell=True)
        results[index] = replace(labels[index], disagreement=metrics.characters_no_space(text, other).rate)
    return results


def deciles(labels: Sequence[Label]) -> list[ConfidenceDecile]:
    """Return the trusted utterances with a transcript in ten parts of rising confidence, or none for fewer than ten."""
    scored = sorted((each for each in labels if each.reference and not each.doubt), key=lambda each: each.confidence)
    if len(scored) < 10:
        return []
    counts = [metrics.characters(label.reference, label.text) for label in scored]
    starts = [len(scored) * tenth // 10 for tenth in range(10)]
    return [
        ConfidenceDecile(
            scored[start].confidence,
            end - start,
            sum(counts[start:end], metrics.ErrorCounts()).rate,
            sum(counts[start:], metrics.ErrorCounts()).rate,
        )
        for start, end in zip(starts, [*starts[1:], len(scored)], strict=True)
    ]


def agreements(labels: Sequence[Label]) -> list[Agreement]:
    """Return what each of `AGREE_LEVELS` would keep of the utterances with a transcript; none without a second model.

    A level that keeps nothing is left out.
    """
    scored = [label for label in labels if label.reference and label.disagreement is not None]
    within = {
        level: [label for label in scored if label.disagreement is not None and label.disagreement <= level]
        for level in AGREE_LEVELS
    }
    return [Agreement(level, len(kept), cer_no_space(kept) or 0.0) for level, kept in within.items() if kept]


def cer_no_space(labels: Sequence[Label]) -> float | None:
    """Return the CER without spaces of the labels with a transcript; None where there are none."""
    counts = [metrics.characters_no_space(each.reference, each.text) for each in labels if each.reference]
    return sum(counts, metrics.ErrorCounts()).rate if counts else None


def write_labels(labels: Labels, path: Path, min_confidence: float = 0.0, agree_cer: float = math.inf) -> list[Label]:
    """Write a NeMo manifest of the labels with enough confidence and agreement, and return them.

    Raises CorpusError if there are none, and InputError if the file cannot be written.
    """
    if not 0 <= min_confidence <= 1:
        raise InputError(f"--min-confidence {min_confidence:g}: give a number between 0 and 1")
    kept = labels.kept(min_confidence, agree_cer)
    if not kept:
        best = max((label.confidence for label in labels.labels), default=0.0)
        dropped = labels.dropped(min_confidence, agree_cer)
        reasons = ", ".join(f"{reason}: {len(ids)}" for reason, ids in dropped.items())
        confirmed = any(label.disagreement is not None for label in labels.labels)
        raise CorpusError(
            f"{labels.spec}: no label can be kept ({reasons}; highest confidence {best:.3f}): lower --min-confidence, "
            f"{'raise --agree-cer, ' if confirmed else ''}or use a better model"
        )
    home = path.absolute().parent
    records = (writing.json_text(_record(label, home)) for label in kept)
    outputs.write_output(path, "".join(f"{record}\n" for record in records))
    return kept


def _record(label: Label, home: Path) -> dict[str, Any]:
    utterance = label.utterance
    assert isinstance(utterance.audio, Path), "label_corpus() refuses others"
    path = utterance.audio.absolute()
    return {
        "id": utterance.id,
        "audio_filepath": str(path.relative_to(home) if path.is_relative_to(home) else path),
        "text": label.text,
        "duration": utterance.seconds,
        **({"offset": utterance.offset} if utterance.offset else {}),
        **({"speaker": utterance.speaker} if utterance.speaker is not None else {}),
        "confidence": round(label.confidence, 4),
        **({"disagreement": round(label.disagreement, 4)} if label.disagreement is not None else {}),
    }


def _reference(utterance: Utterance, spell: bool) -> str:
    written = normalise(utterance.text, spell=spell)
    return "" if foreign_characters(written) else written
