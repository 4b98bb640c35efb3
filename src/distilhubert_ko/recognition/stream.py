"""Live captions: samples in as they come, words out, some final and some that may still change.

After every STEP of new audio, the network runs over the last LEFT + RIGHT + STEP. A frame is final once RIGHT has
followed it. The final frames make one matrix, as in `windows`. A word is final once a space or a silence has followed
it there, at most RIGHT + STEP after the space was spoken. That holds for a beam search too.

DistilHuBERT's group norm measures loudness over the whole window. So a stream gives nearly, not exactly, the text of
the whole recording.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE, frame_seconds, frame_steps
from distilhubert_ko.decoding.live import LiveDecoder, LiveGreedy
from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.doubt import Doubt
from distilhubert_ko.recognition.live_speech import LiveSpeech
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import WORD_GAP, Unwritten, Word, audible_until, settled_count
from distilhubert_ko.text.tokenizer import Tokenizer

STEP = SAMPLE_RATE // 2  # samples, as LEFT and RIGHT; all three are whole frame steps
LEFT = 8 * SAMPLE_RATE
RIGHT = SAMPLE_RATE
_NEVER = -100.0  # the log-probability of a label where nobody speaks


@dataclass(frozen=True)
class StreamUpdate:
    """The words that have become final since the last update, and the text after them, which may still change."""

    final: tuple[Word, ...]
    partial: str


class Stream:
    """One stream. `log_probs` gives the matrix (frames, vocabulary) of a wave of at most LEFT + RIGHT + STEP.

    With `speech`, nothing is written outside of it, nor where it stays in doubt. Without `decoder`, the best path is
    the text.

    Apart from the words themselves, memory and the time of a step do not grow with the length of the stream.
    """

    def __init__(
        self,
        log_probs: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        tokenizer: Tokenizer,
        speech: LiveSpeech | None = None,
        decoder: LiveDecoder | None = None,
    ):
        self._log_probs = log_probs
        self._speech = speech
        self._tokenizer = tokenizer
        self._decoder = decoder or LiveGreedy(tokenizer.blank_id)
        self._held = np.empty(0, np.float32)  # the samples that a window may still need
        self._start = 0  # frame with which they begin
        self._fresh: list[NDArray[np.float32]] = []  # chunks that no step has taken yet
        self._waiting = 0  # samples in them
        self._done = 0  # frames that are final
        self._words: list[Word] = []
        self._doubt = Doubt()
        self._unwritten: list[Unwritten] = []
        self._partial = ""
        self._finished = False

    @property
    def text(self) -> str:
        """All final words so far. It only grows."""
        return " ".join(word.text for word in self._words)

    def feed(self, samples: NDArray[np.float32]) -> StreamUpdate:
        """Take the next mono 16 kHz samples (samples,), any number of them, and return the words that they settle.

        Raises InputError for samples in another form, and after `finish`.
        """
        _check(samples)
        if self._finished:
            raise InputError("this stream is finished: start another one with Transcriber.stream()")
        known = len(self._words)
        while len(samples):
            taken, samples = np.split(samples, [STEP - self._waiting])
            self._fresh.append(taken.copy())  # the caller may fill its buffer again
            self._waiting += len(taken)
            if self._waiting == STEP:
                self._recognise(ending=False)
        return StreamUpdate(tuple(self._words[known:]), self._partial)

    def finish(self) -> Transcript:
        """Return the transcript of all that was fed. After it, `feed` takes nothing."""
        if not self._finished:
            self._finished = True
            self._recognise(ending=True)
        return Transcript(tuple(self._words), self._seconds, unwritten=tuple(self._unwritten))

    @property
    def _seconds(self) -> float:
        return (self._start * FRAME_STEP + len(self._held)) / SAMPLE_RATE

    def _recognise(self, ending: bool) -> None:
        """Run the network over the window, and take those of its frames that are final; at the end, all."""
        fresh = np.concatenate([np.empty(0, np.float32), *self._fresh])
        self._held = np.concatenate([self._held, fresh])
        self._fresh, self._waiting = [], 0
        log_probs = self._log_probs(self._held)[self._done - self._start :]
        if self._speech:
            self._speech.feed(fresh)
            unspoken = ~self._speech.frames(self._done, len(log_probs))
            log_probs[unspoken] = np.where(np.arange(log_probs.shape[1]) == self._tokenizer.blank_id, 0, _NEVER)
        final = len(log_probs)
        if not ending:
            end = self._start + frame_steps(len(self._held))
            final = max(0, end - frame_steps(RIGHT) - self._done)
        self._decoder.take(log_probs[:final], log_probs[final:])
        self._done += final
        self._settle(ending)
        rest = Transcript.from_tokens(self._decoder.rest(), self._tokenizer, self._seconds)
        self._partial = " ".join(word.text for word in (*self._doubt.held, *rest.words))
        start = max(0, self._done - frame_steps(LEFT))
        self._held = self._held[(start - self._start) * FRAME_STEP :]
        self._start = start

    def _settle(self, ending: bool) -> None:
        """Make words of the tokens that nothing can change any more."""
        tokens, last = self._decoder.open, self._decoder.last()
        paused = last and last.end < self._done and frame_seconds(self._done - audible_until(last)) >= WORD_GAP
        if ending:
            self._decoder.finish()
        elif paused:
            self._decoder.settle()
        count = len(tokens) if ending or paused else settled_count(tokens, self._tokenizer)
        found = Transcript.from_tokens(tokens[:count], self._tokenizer, self._seconds)
        speech = self._speech
        self._words += self._doubt.confirmed(found.words, speech.region, speech.probability) if speech else found.words
        self._unwritten += found.unwritten
        del tokens[:count]


def _check(samples: NDArray[np.float32]) -> None:
    if not isinstance(samples, np.ndarray) or samples.dtype != np.float32:
        kind = samples.dtype if isinstance(samples, np.ndarray) else type(samples).__name__
        raise InputError(
            f"a stream takes float32 samples, not {kind}: convert 16-bit integers with x.astype('float32') / 32768"
        )
    if samples.ndim != 1:
        raise InputError(f"a stream takes mono samples (samples,), not {samples.shape}: average the channels first")
    if not np.isfinite(samples).all():
        raise InputError("the samples fed to a stream are NaN or infinite: check the source, or feed zeros instead")
