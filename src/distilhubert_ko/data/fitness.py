"""Which utterances are fit for training, by their transcripts, their lengths and the frames that CTC needs."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE, FrameGrid
from distilhubert_ko.data.corpora import Utterance
from distilhubert_ko.data.examples import Example
from distilhubert_ko.decoding import ctc
from distilhubert_ko.recipe import Data
from distilhubert_ko.text.normalise import foreign_characters
from distilhubert_ko.text.tokenizer import Tokenizer

TOO_SHORT, TOO_LONG, TOO_FEW_FRAMES = UNFIT = ("too short", "too long", "more labels than frames")
"""Why the length of a clip keeps it out of training."""


def reason_unusable(utterance: Utterance, written: str, limits: Data | None) -> str:
    """Return why an utterance cannot be used with the transcript `written`, "" if it can."""
    if not written:
        return "empty text"
    if foreign_characters(written):
        return "digits, Latin letters or other scripts"
    return reason_by_length(utterance, limits) if limits else ""


def reason_by_length(utterance: Utterance, limits: Data) -> str:
    """Return why the length of a clip keeps it out, "" if it does not; a guessed length is no reason."""
    if utterance.seconds_from == "text":
        return ""
    if utterance.seconds < limits.min_seconds:
        return TOO_SHORT
    return TOO_LONG if utterance.seconds > limits.max_seconds else ""


def has_enough_frames(example: Example, tokenizer: Tokenizer, grid: FrameGrid) -> bool:
    """Tell whether the clip has the frames that CTC needs for its labels, as far as its length is known."""
    if example.utterance.seconds_from == "text":
        return True
    return ctc.min_frames(tokenizer.encode(example.text)) <= grid.count(example.samples)


def reason_unfit(example: Example, samples: int, labels: NDArray[np.int64], limits: Data, grid: FrameGrid) -> str:
    """Return why a clip that turns out to have so many samples is left out of training, "" if it is not.

    The reasons are those for which it would have been left out before. A clip whose length was measured is fit.
    """
    if example.utterance.seconds_from == "audio":
        return ""
    measured = replace(example.utterance, seconds=samples / SAMPLE_RATE, seconds_from="audio")
    fewest = max(1, ctc.min_frames(labels.tolist()))
    return reason_by_length(measured, limits) or ("" if fewest <= grid.count(samples) else TOO_FEW_FRAMES)
