"""Turns of a conversation, cut out of a stream by its speech, as OpenAI's server VAD does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.recognition.vad import CHUNK, Listening, VadOptions

_MILLISECOND = SAMPLE_RATE // 1000  # samples


@dataclass(frozen=True)
class TurnOptions:
    """A turn begins `prefix_padding_ms` before speech reaches `threshold`, and ends after `silence_duration_ms`."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500


@dataclass(frozen=True)
class TurnPart:
    """Samples (samples,) of a turn. `start` and `end` are where it begins and ends in the stream, if that is here."""

    samples: NDArray[np.float32]
    start: int | None = None
    end: int | None = None


class TurnDetector:
    """Cuts a stream into turns. Memory holds what may still begin a turn."""

    def __init__(self, listening: Listening, options: TurnOptions, first: int = 0):
        self._listening, self._options = listening, options
        self._silent_below = VadOptions(threshold=options.threshold).silent_below
        self._held = np.empty(0, np.float32)  # samples that no part has had
        self._first = first  # of the stream, with which they begin
        self._judged = first  # samples of the stream whose speech is known
        self._speaking = False
        self._quiet: int | None = None  # where the present silence began

    def feed(self, samples: NDArray[np.float32]) -> list[TurnPart]:
        """Take the next samples (samples,), and return the parts of turns that are known now."""
        options = self._options
        parts: list[TurnPart] = []
        start: int | None = None
        self._held = np.concatenate([self._held, samples])
        for probability in self._listening.feed(samples).tolist():
            begin, self._judged = self._judged, self._judged + CHUNK
            if not self._speaking:
                if probability >= options.threshold:
                    self._speaking, self._quiet = True, None
                    start = max(self._first, begin - options.prefix_padding_ms * _MILLISECOND)
                    self._take(start)
                continue
            if probability >= options.threshold:
                self._quiet = None
            elif probability < self._silent_below and self._quiet is None:
                self._quiet = begin
            if self._quiet is not None and self._judged - self._quiet >= options.silence_duration_ms * _MILLISECOND:
                parts.append(TurnPart(self._take(self._judged), start, self._judged))
                self._speaking, start = False, None
        if self._speaking:
            parts.append(TurnPart(self._take(self._judged), start))
        else:
            self._take(max(self._first, self._judged - options.prefix_padding_ms * _MILLISECOND))
        return [part for part in parts if len(part.samples) or part.start is not None or part.end is not None]

    def end(self) -> NDArray[np.float32]:
        """End the present turn, and return the rest of its samples (samples,), or none where there is no turn."""
        rest = self._take(self._first + len(self._held)) if self._speaking else np.empty(0, np.float32)
        self._speaking = False
        return rest

    def _take(self, end: int) -> NDArray[np.float32]:
        """Return the samples held before `end`, and hold them no more."""
        taken, self._held = np.split(self._held, [end - self._first])
        self._first = end
        return taken
