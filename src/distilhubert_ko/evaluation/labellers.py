"""Labellers: what gives waves their texts, with a confidence, for pseudo-labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.decoding import ctc
from distilhubert_ko.evaluation.report import recipe_of
from distilhubert_ko.recognition.transcriber import CHUNK, Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.whisper import WhisperRecogniser, WhisperText
from distilhubert_ko.text.normalise import normalise


@dataclass(frozen=True)
class Recognised:
    """The text of a wave, and why it cannot be trusted; `doubt` is "" where nothing speaks against it."""

    text: str
    confidence: float
    """In 0..1."""
    doubt: str = ""


class Labeller(Protocol):
    """A recogniser of any kind."""

    heldout: str
    """The rule by which its own recipe splits speakers; "" without one."""
    spell: bool
    """Whether its transcripts have digits and Latin letters spelled out."""
    chunk: int
    """Number of waves to give it at once."""

    def recognise(self, waves: Sequence[NDArray[np.float32]]) -> list[Recognised]:
        """Return the text of each wave (samples,) at 16 kHz."""
        ...


class CtcLabeller:
    """A CTC model of this project. The confidence is the acoustic likelihood; see `label_confidence`."""

    chunk = CHUNK

    def __init__(self, transcriber: Transcriber):
        recipe = recipe_of(transcriber.folder)
        self.heldout, self.spell = recipe.data.heldout, recipe.text.foreign == "spell"
        self._transcriber = transcriber

    def recognise(self, waves: Sequence[NDArray[np.float32]]) -> list[Recognised]:
        matrices = self._transcriber.log_probs(waves)
        return [self._label(wave, log_probs) for wave, log_probs in zip(waves, matrices, strict=True)]

    def _label(self, wave: NDArray[np.float32], log_probs: np.ndarray) -> Recognised:
        tokenizer = self._transcriber.tokenizer
        tokens = self._transcriber.decoder.decode([log_probs])[0].tokens
        text = Transcript.from_tokens(tokens, tokenizer, len(wave) / SAMPLE_RATE).text
        return Recognised(text, label_confidence(log_probs, [token.id for token in tokens], tokenizer.blank_id))


def label_confidence(log_probs: np.ndarray, units: Sequence[int], blank: int) -> float:
    """Return P(units | audio) ** (1 / number of units), which is in 0..1 for any number of units, and 0 for none.

    `log_probs` is (frames, vocabulary). The probability is that of CTC, over all paths that spell the units. A language
    model that helped to find them has no part in it.
    """
    return math.exp(-ctc.loss(log_probs, units, blank) / len(units)) if units else 0.0


@dataclass(frozen=True)
class WhisperLimits:
    """The figures beyond which a text of Whisper is no label. docs/training.md says where they come from."""

    max_compression_ratio: float = 2.4
    min_log_probability: float = -1.0
    """In nats per token."""
    max_no_speech: float = 0.6
    min_characters_per_second: float = 1.0
    max_characters_per_second: float = 12.0
    """Syllables, as they are spelled out."""

    def doubt(self, found: WhisperText, characters_per_second: float) -> str:
        """Return why a text cannot be trusted; "" where no figure speaks against it."""
        if found.compression_ratio > self.max_compression_ratio:
            return f"repeats itself (compression ratio above {self.max_compression_ratio:g})"
        if found.no_speech > self.max_no_speech:
            return f"no speech (probability above {self.max_no_speech:g})"
        if found.log_probability < self.min_log_probability:
            return f"unsure (average log-probability below {self.min_log_probability:g})"
        if characters_per_second < self.min_characters_per_second:
            return f"too few words (below {self.min_characters_per_second:g} characters per second)"
        if characters_per_second > self.max_characters_per_second:
            return f"too many words (above {self.max_characters_per_second:g} characters per second)"
        return ""


DEFAULT_LIMITS = WhisperLimits()


class WhisperLabeller:
    """Whisper with digits and Latin letters spelled out, and with doubts where its own figures show a failure.

    The confidence is the mean probability of its tokens.
    """

    heldout = ""
    spell = True
    chunk = 8

    def __init__(self, recogniser: WhisperRecogniser, limits: WhisperLimits = DEFAULT_LIMITS):
        self._recogniser, self._limits = recogniser, limits

    def recognise(self, waves: Sequence[NDArray[np.float32]]) -> list[Recognised]:
        return [self._label(wave) for wave in waves]

    def _label(self, wave: NDArray[np.float32]) -> Recognised:
        found = self._recogniser(wave)
        text = normalise(found.text, spell=True)
        per_second = len(text.replace(" ", "")) * SAMPLE_RATE / max(1, len(wave))
        return Recognised(text, found.confidence, self._limits.doubt(found, per_second))
