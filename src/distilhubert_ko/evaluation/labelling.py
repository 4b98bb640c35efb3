"""Pseudo-labels: the text that a model recognises in a corpus, with a confidence, as a manifest for training.

This is self-training as in Kahn, Lee and Hannun, Self-Training for End-to-End Speech Recognition, ICASSP 2020 (arXiv
1909.09116). They filter by the log-likelihood of a label over its length; `label_confidence` is its exponential.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import Utterance, read_corpus
from distilhubert_ko.data.reading import DEFAULT_READING, Reading
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import AudioError, CorpusError, InputError
from distilhubert_ko.evaluation import metrics, report
from distilhubert_ko.files import writing
from distilhubert_ko.recognition.transcriber import Transcriber, recognise_in_chunks
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.text.normalise import foreign_characters, normalise


@dataclass(frozen=True)
class Label:
    """The text recognised in an utterance; `reference` is its transcript, or "" without one that can be scored."""

    utterance: Utterance
    text: str
    confidence: float
    reference: str

    @property
    def trainable(self) -> bool:
        """Return whether training can use the text, which must be spellable in Hangul syllables."""
        written = normalise(self.text, spell=True)
        return bool(written) and not foreign_characters(written)


@dataclass(frozen=True)
class Labels:
    """The labels of all readable utterances of a corpus, and the reasons why others were not readable."""

    spec: str
    labels: tuple[Label, ...]
    unread: dict[str, int]

    def kept(self, min_confidence: float) -> list[Label]:
        return [label for label in self.labels if label.trainable and label.confidence >= min_confidence]

    def dropped(self, min_confidence: float) -> dict[str, int]:
        """Return reason -> number of utterances that are not kept."""
        reasons = Counter(self.unread)
        for label in self.labels:
            if not label.text:
                reasons["nothing recognised"] += 1
            elif not label.trainable:
                reasons["lone jamo or other scripts"] += 1
            elif label.confidence < min_confidence:
                reasons[f"confidence below {min_confidence:g}"] += 1
        return dict(reasons)


@dataclass(frozen=True)
class ConfidenceDecile:
    """A tenth of the transcribed utterances, from confidence `low` on, with its CER and the CER from there up."""

    low: float
    utterances: int
    cer: float
    cer_from_here: float


def label_corpus(
    transcriber: Transcriber,
    spec: str,
    *,
    reading: Reading = DEFAULT_READING,
    on_progress: Callable[[int, int], None] | None = None,
) -> Labels:
    """Recognise a corpus, with or without transcripts, in the speaker split of the model's own recipe.

    The recipe's held-out rule replaces that of `reading`. `on_progress` receives the number of utterances done and of
    all. Raises CorpusError for a corpus that cannot be read, or whose audio is not in files, because a manifest could
    not refer to it.
    """
    recipe = report.recipe_of(transcriber.folder)
    corpus = read_corpus(spec, replace(reading, heldout=recipe.data.heldout), transcribed=False)
    if any(not isinstance(utterance.audio, Path) for utterance in corpus.utterances):
        raise CorpusError(
            f"{spec}: its audio is not in files that a manifest could refer to: save the clips as files, and give "
            "folder:PATH"
        )
    labels: list[Label] = []
    unread = Counter(problem.reason for problem in corpus.problems)
    for utterance, wave, log_probs in recognise_in_chunks(transcriber, corpus.utterances, _wave, on_progress):
        tokens = transcriber.decoder.decode([log_probs])[0].tokens
        recognised = Transcript.from_tokens(tokens, transcriber.tokenizer, len(wave) / SAMPLE_RATE).text
        sure = label_confidence(log_probs, [token.id for token in tokens], transcriber.tokenizer.blank_id)
        labels.append(Label(utterance, recognised, sure, _reference(utterance, recipe.text.foreign == "spell")))
    unread["audio unreadable"] += len(corpus.utterances) - len(labels)
    return Labels(spec, tuple(labels), dict(+unread))


def _wave(utterance: Utterance) -> NDArray[np.float32] | None:
    """Return the wave, or None for a corrupt file: a large collection surely has some."""
    try:
        return utterance.wave()
    except AudioError:
        return None


def label_confidence(log_probs: np.ndarray, units: Sequence[int], blank: int) -> float:
    """Return P(units | audio) ** (1 / number of units), which is in 0..1 for any number of units, and 0 for none.

    `log_probs` is (frames, vocabulary). The probability is that of CTC, over all paths that spell the units. A language
    model that helped to find them has no part in it.
    """
    return math.exp(-ctc.loss(log_probs, units, blank) / len(units)) if units else 0.0


def deciles(labels: Sequence[Label]) -> list[ConfidenceDecile]:
    """Return the utterances with a transcript in ten parts of rising confidence, or none for fewer than ten."""
    scored = sorted((label for label in labels if label.reference), key=lambda label: label.confidence)
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


def write_labels(labels: Labels, path: Path, min_confidence: float = 0.0) -> list[Label]:
    """Write a NeMo manifest of the labels with enough confidence, and return them.

    Raises CorpusError if there are none, and InputError if the file cannot be written.
    """
    if not 0 <= min_confidence <= 1:
        raise InputError(f"--min-confidence {min_confidence:g}: give a number between 0 and 1")
    kept = labels.kept(min_confidence)
    if not kept:
        best = max((label.confidence for label in labels.labels), default=0.0)
        reasons = ", ".join(f"{reason}: {count}" for reason, count in labels.dropped(min_confidence).items())
        raise CorpusError(
            f"{labels.spec}: no label can be kept ({reasons}; highest confidence {best:.3f}): lower --min-confidence, "
            "or use a better model"
        )
    home = path.absolute().parent
    records = (json.dumps(_record(label, home), ensure_ascii=False) for label in kept)
    writing.write_text(path, "".join(f"{record}\n" for record in records))
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
    }


def _reference(utterance: Utterance, spell: bool) -> str:
    written = normalise(utterance.text, spell=spell)
    return "" if foreign_characters(written) else written
