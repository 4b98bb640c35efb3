"""Where somebody speaks in a stream, as its samples come.

A frame is speech within the padding of a chunk in which somebody speaks. So it is settled as soon as the padding has
followed it, and is no region that a later chunk may join, as regions of a whole recording are.
"""

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE
from distilhubert_ko.recognition.vad import CHUNK, Listening, VadOptions


class LiveSpeech:
    """The speech of one stream. It remembers what `frames` may still be asked for."""

    def __init__(self, listening: Listening, options: VadOptions):
        self._listening, self._options = listening, options
        self._padding = options.speech_pad_ms * SAMPLE_RATE // 1000
        self._chunks = 0
        self._speaking = False
        self._silence = options.min_silence_duration_ms * SAMPLE_RATE // 1000 // CHUNK  # chunks between two regions
        self._region_ends = -1  # the last chunk whose speech belongs to the latest region
        self.region = 0
        """The number of the latest region of speech: chunks between which there is no longer silence."""
        self.probability = 0.0
        """The highest of speech in that region."""
        self._spoken: list[int] = []  # the numbers of chunks with speech

    def feed(self, samples: NDArray[np.float32]) -> None:
        """Take the next samples (samples,)."""
        for probability in self._listening.feed(samples).tolist():
            least = self._options.silent_below if self._speaking else self._options.threshold
            self._speaking = probability >= least
            if self._speaking:
                if self._chunks > self._region_ends:
                    self.region, self.probability = self.region + 1, 0.0
                self._region_ends = self._chunks + self._silence
                self.probability = max(self.probability, probability)
                self._spoken.append(self._chunks)
            self._chunks += 1

    def frames(self, first: int, count: int) -> NDArray[np.bool_]:
        """Return which of `count` frames from frame `first` on are speech (count,). Forget what was before them."""
        speech = np.zeros(count, np.bool_)
        start = first * FRAME_STEP
        self._spoken = [each for each in self._spoken if (each + 1) * CHUNK + self._padding > start]
        for chunk in self._spoken:
            begin = (chunk * CHUNK - self._padding) // FRAME_STEP - first
            end = -(-((chunk + 1) * CHUNK + self._padding) // FRAME_STEP) - first
            speech[max(begin, 0) : max(end, 0)] = True
        return speech
