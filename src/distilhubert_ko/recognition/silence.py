"""Silence within a wave: parts so quiet that no room is, as where a recording was cut, muted or gated.

No network was trained on it. DistilHuBERT writes what it likes there, stretches the labels beside it, and lets it
change the loudness that its group norm measures. So such parts do not go through the network.
"""

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import FRAME_STEP, frame_steps
from distilhubert_ko.recognition.windows import SpeechRegion

SILENCE = 1e-4
"""The loudest sample of silence, -80 dB of full scale: above the dither of 16 bits, below any room."""
SHORTEST = 8000
"""Samples of silence that are left out, half a second: words have shorter gaps in them."""
PADDING = 3200
"""Samples of silence that stay at each end of what is not, since the network sees around each frame."""


def regions_with_audio(wave: NDArray[np.float32]) -> list[SpeechRegion]:
    """Return the parts of a wave (samples,) between silences of SHORTEST or more. A wave without any is one region."""
    steps = -(-len(wave) // FRAME_STEP)
    padded = np.zeros(steps * FRAME_STEP, np.float32)
    padded[: len(wave)] = np.abs(wave)
    loud = np.flatnonzero(padded.reshape(steps, FRAME_STEP).max(axis=1, initial=0) >= SILENCE)
    if not len(loud):
        return []
    shortest, padding = frame_steps(SHORTEST), frame_steps(PADDING)
    pauses = np.flatnonzero(np.diff(loud) > shortest)
    firsts, lasts = loud[[0, *(pauses + 1)]].tolist(), loud[[*pauses, -1]].tolist()
    starts = [first - padding for first in firsts]
    ends = [last + 1 + padding for last in lasts]
    starts[0] = starts[0] if firsts[0] >= shortest else 0
    ends[-1] = ends[-1] if steps - 1 - lasts[-1] >= shortest else steps
    edges = zip(starts, ends, strict=True)
    return [SpeechRegion(start * FRAME_STEP, min(end * FRAME_STEP, len(wave))) for start, end in edges]
