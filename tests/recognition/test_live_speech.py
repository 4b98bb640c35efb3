"""Speech in a stream: which frames it has, and that nothing is written elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE
from distilhubert_ko.recognition import vad
from distilhubert_ko.recognition.live_speech import LiveSpeech
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.vad import Listening, VadOptions
from tests.support.model import clip

PADDING = 6400  # samples


class Planted(Listening):
    """The probability of speech in a chunk is its first sample."""

    def __init__(self) -> None:
        super().__init__(None)

    def _probabilities(self, chunks: np.ndarray) -> np.ndarray:
        return chunks[:, 0]


def wave_of(*probabilities: float) -> np.ndarray:
    return np.repeat(np.array(probabilities, np.float32), vad.CHUNK)


@pytest.mark.parametrize("size", [7, vad.CHUNK, 100_000])
def test_a_frame_is_speech_within_the_padding_of_a_chunk_in_which_somebody_speaks(size: int) -> None:
    speech = LiveSpeech(Planted(), VadOptions())
    wave = wave_of(*[0.4] * 50, 0.6, 0.4, 0.3, *[0.4] * 50)  # 0.4 goes on with speech and begins none
    for start in range(0, len(wave), size):
        speech.feed(wave[start : start + size])
    found = np.flatnonzero(speech.frames(20, 100)) + 20
    assert found[0] == (50 * vad.CHUNK - PADDING) // FRAME_STEP
    assert found[-1] == -(-(52 * vad.CHUNK + PADDING) // FRAME_STEP) - 1
    assert np.array_equal(found, np.arange(found[0], found[-1] + 1))


def test_memory_holds_only_the_chunks_that_may_still_count() -> None:
    speech = LiveSpeech(Planted(), VadOptions())
    for second in range(60):
        speech.feed(wave_of(*[1.0] * 31))
        assert speech.frames(second * 49, 49).all()
    assert len(speech._spoken) < 100


def test_a_stream_writes_nothing_where_nobody_speaks(exported: Path) -> None:
    transcriber = Transcriber(exported, threads=1)
    tones = clip(3 * SAMPLE_RATE)
    texts = []
    for options in (None, VadOptions()):
        stream = transcriber.stream(options)
        partial = stream.feed(tones).partial
        texts.append((partial != "", stream.finish().text != ""))
    assert texts == [(True, True), (False, False)]
