"""Clips for distillation, of which the long ones give a random part: speech needs no transcript to be cut."""

from typing import Any

import numpy as np

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.training.clips import AugmentedClips, Clip


class CroppedClips(AugmentedClips):
    """Augmented clips of `seconds` at most; 0: whole. Which part it is depends on seed, epoch and clip alone."""

    def __init__(self, *args: Any, seconds: float, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.longest = round(seconds * SAMPLE_RATE)

    def __getitem__(self, index: int) -> Clip:
        clip = super().__getitem__(index)
        spare = len(clip["wave"]) - self.longest
        if not self.longest or spare <= 0:
            return clip
        begin = int(np.random.default_rng((self.seed, self.epoch, index, 2)).integers(spare + 1))
        return clip | {"wave": clip["wave"][begin : begin + self.longest]}

    def samples(self, epoch: int) -> list[int]:
        """Return how long each clip is in an epoch, after the cut."""
        samples = super().samples(epoch)
        return [min(each, self.longest) for each in samples] if self.longest else samples
