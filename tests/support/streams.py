"""What holds for any stream."""

import numpy as np

from distilhubert_ko.recognition.transcriber import Transcriber


def check_chunks_change_nothing(transcriber: Transcriber, wave: np.ndarray, size: int) -> None:
    """Check that a wave (samples,) fed in chunks of `size` gives the transcript, of some words, that it gives whole."""
    live, at_once = transcriber.stream(), transcriber.stream()
    for start in range(0, len(wave), size):
        live.feed(wave[start : start + size])
    at_once.feed(wave)
    found = live.finish()
    assert found == at_once.finish()
    assert len(found.words) > 3
