"""Voice activity detection: where somebody speaks, by Silero's network on ONNX Runtime. No torch.

The network for 16 kHz of silero-vad 6.2.3 lies in `silero/`, with its licence (MIT), since that package installs torch.
Its rules are followed, so the regions are those of its `get_speech_timestamps`. Names, defaults and meanings of the
options are faster-whisper's.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE
from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.windows import SpeechRegion

NETWORK = Path(__file__).parent / "silero" / "silero_vad_16k_sequence.onnx"
CHUNK = 512  # samples that get one probability
_CONTEXT = 64  # samples before a chunk that the network sees again
_STATE = (1, 1, 128)
_MOST = 1024  # chunks a call, which take 10 MB
_PAUSE = 0.098  # seconds of silence at which a region that grows too long may be cut
_MILLISECOND = SAMPLE_RATE // 1000  # samples


@dataclass(frozen=True)
class VadOptions:
    """The limits of what counts as speech. Raises InputError for values out of range.

    Speech begins where the probability reaches `threshold`; below `neg_threshold` (None: 0.15 less than `threshold`)
    it may end, and does after `min_silence_duration_ms` of that. Speech no longer than `min_speech_duration_ms` is
    dropped; speech longer than `max_speech_duration_s` is cut in its longest pause. Regions are widened by
    `speech_pad_ms` on each side, or to the middle of the silence between two of them.
    """

    threshold: float = 0.5
    neg_threshold: float | None = None
    min_speech_duration_ms: int = 0
    max_speech_duration_s: float = math.inf
    min_silence_duration_ms: int = 2000
    speech_pad_ms: int = 400

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise InputError(f"VAD threshold {self.threshold}: give a probability between 0 and 1, such as 0.5")
        if self.neg_threshold is not None and not 0 <= self.neg_threshold <= self.threshold:
            raise InputError(
                f"VAD neg_threshold {self.neg_threshold}: give a probability from 0 to the threshold, {self.threshold}"
            )
        for name in ("min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"VAD {name} {getattr(self, name)}: give 0 or more milliseconds")
        if not self.longest > 0:
            least = 2 * self.speech_pad_ms / 1000 + CHUNK / SAMPLE_RATE
            raise InputError(
                f"VAD max_speech_duration_s {self.max_speech_duration_s}: give more than {least:.2f} s, "
                "which the padding on both sides takes, or a smaller speech_pad_ms"
            )

    @property
    def silent_below(self) -> float:
        """The probability below which speech may end."""
        return max(self.threshold - 0.15, 0.01) if self.neg_threshold is None else self.neg_threshold

    @property
    def longest(self) -> float:
        """Samples of speech before padding at which a region is cut."""
        return self.max_speech_duration_s * SAMPLE_RATE - CHUNK - 2 * self.speech_pad_ms * _MILLISECOND


class SpeechDetector:
    """Silero's network. Threads may share it: what belongs to a wave is in its `Listening`."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a chunk is too little work to share
        self._session = onnxruntime.InferenceSession(NETWORK, options, providers=["CPUExecutionProvider"])

    def listen(self) -> "Listening":
        """Return a new wave's probabilities of speech, to be fed with its samples as they come."""
        return Listening(self._session)

    def regions(self, blocks: Iterable[NDArray[np.float32]], options: VadOptions) -> list[SpeechRegion]:
        """Return the regions with speech of a wave that comes in blocks (samples,) of any size.

        Regions are in order, do not overlap, and lie on whole frame steps, except at the end of the wave. Memory holds
        a block, and a number for every 32 ms.
        """
        probabilities, samples = self.probabilities(blocks)
        return speech_regions(probabilities, samples, options)

    def probabilities(self, blocks: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float32], int]:
        """Return the probability of speech in each chunk (chunks,), the last padded with silence, and the samples."""
        listening = self.listen()
        found = [listening.feed(block) for block in blocks]
        return np.concatenate([*found, listening.finish()]), listening.samples


class Listening:
    """One wave on its way through Silero's network."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self._hidden, self._cell = np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._held = np.empty(0, np.float32)
        self.samples = 0
        """Samples that were fed."""

    def feed(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples (samples,), and return the probability of speech in each chunk that is full now."""
        self.samples += len(block)
        self._held = np.concatenate([self._held, block])
        whole = len(self._held) // CHUNK * CHUNK
        chunks, self._held = np.split(self._held, [whole])
        return self._probabilities(chunks.reshape(-1, CHUNK))

    def finish(self) -> NDArray[np.float32]:
        """Return the probability of the last chunk, if there is a part of one (0 or 1,), padded with silence."""
        rest, self._held = self._held, np.empty(0, np.float32)
        return self._probabilities(np.pad(rest, (0, -len(rest) % CHUNK)).reshape(-1, CHUNK))

    def _probabilities(self, chunks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of speech in each of the next chunks (chunks, CHUNK)."""
        found = [np.empty(0, np.float32)]
        for first in range(0, len(chunks), _MOST):
            part = chunks[first : first + _MOST]
            before = np.concatenate([self._context[None], part[:-1, -_CONTEXT:]])
            given = {"input": np.concatenate([before, part], axis=1), "h": self._hidden, "c": self._cell}
            probabilities, self._hidden, self._cell = self._session.run(None, given)
            self._context = part[-1, -_CONTEXT:]
            found.append(probabilities)
        return np.concatenate(found)


def speech_regions(probabilities: NDArray[np.float32], samples: int, options: VadOptions) -> list[SpeechRegion]:
    """Return regions of speech in a wave of `samples` from the probability of each of its chunks (chunks,)."""
    step = FRAME_STEP
    spans = [*_spans(probabilities.tolist(), samples, options)]
    highest = [float(probabilities[start // CHUNK : math.ceil(end / CHUNK)].max()) for start, end in spans]
    return [
        # Both ends move back to a whole frame step, so that regions that touch still do.
        SpeechRegion(start // step * step, end if end == samples else end // step * step, probability)
        for (start, end), probability in zip(_padded(spans, samples, options), highest, strict=True)
    ]


def _spans(probabilities: list[float], samples: int, options: VadOptions) -> Iterator[tuple[int, int]]:
    """Yield start and end of each span of speech, in samples, before padding."""
    shortest = options.min_speech_duration_ms * _MILLISECOND
    silence = options.min_silence_duration_ms * _MILLISECOND
    start: int | None = None
    quiet: int | None = None  # where the present silence began
    pauses: list[tuple[int, int]] = []  # silences within the span that lasted, and where the span may be cut
    for number, probability in enumerate(probabilities):
        now = number * CHUNK
        if probability >= options.threshold and quiet is not None:
            if now - quiet > _PAUSE * SAMPLE_RATE:
                pauses.append((quiet, now))
            quiet = None
        if start is None:
            if probability >= options.threshold:
                start = now
            continue
        if now - start > options.longest:
            if not pauses:
                yield start, now
                start = quiet = None
                continue
            end, resumed = max(pauses, key=lambda pause: pause[1] - pause[0])
            yield start, end
            start, quiet, pauses = resumed, None, []
        if probability < options.silent_below:
            quiet = now if quiet is None else quiet
            if now - quiet >= silence:
                if quiet - start > shortest:
                    yield start, quiet
                start, quiet, pauses = None, None, []
    if start is not None and samples - start > shortest:
        yield start, samples


def _padded(spans: list[tuple[int, int]], samples: int, options: VadOptions) -> Iterator[tuple[int, int]]:
    """Yield each span wider on both sides by the padding, or up to the middle of a silence too short for two."""
    padding = options.speech_pad_ms * _MILLISECOND
    before = padding
    for number, (start, end) in enumerate(spans):
        after = padding
        following = padding
        if number + 1 < len(spans) and (gap := spans[number + 1][0] - end) < 2 * padding:
            after = following = gap // 2
        yield max(0, start - before), min(samples, end + after)
        before = following
