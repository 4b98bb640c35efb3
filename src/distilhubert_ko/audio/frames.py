"""Samples, frames and seconds: the project's only frame arithmetic.

A wave is a float32 array of shape (samples,) at `SAMPLE_RATE`. A frame is one output step of a model: HuBERT's
convolutions make frames that are 400 samples wide and 320 samples apart.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of every wave in the project."""

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""The seven unpadded convolutions of wav2vec 2.0 (Baevski et al., 2020, section 4.2), which HuBERT and
DistilHuBERT keep."""


@dataclass(frozen=True)
class FrameGrid:
    """The frames that a stack of unpadded convolutions makes of a wave."""

    kernels: tuple[int, ...]
    strides: tuple[int, ...]

    @cached_property
    def step(self) -> int:
        """Samples from the start of a frame to the start of the next: waves are cut at multiples of it."""
        return math.prod(self.strides)

    @overload
    def count(self, samples: int) -> int: ...
    @overload
    def count(self, samples: NDArray[np.integer]) -> NDArray[np.int64]: ...
    def count(self, samples: int | NDArray[np.integer]) -> int | NDArray[np.int64]:
        """Return the number of frames for a number of samples, or for an array of them; never below 0.

        Each convolution without padding makes floor((length - kernel) / stride) + 1 out of length.
        """
        length = np.asarray(samples, dtype=np.int64)
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            length = np.maximum((length - kernel) // stride + 1, 0)
        return length if isinstance(samples, np.ndarray) else int(length)

    @overload
    def seconds(self, frame: float) -> float: ...
    @overload
    def seconds(self, frame: NDArray[np.number]) -> NDArray[np.float64]: ...
    def seconds(self, frame: float | NDArray[np.number]) -> float | NDArray[np.number]:
        """Return the time in seconds at which a frame starts, or an array of frames: 0.02 s apart for HuBERT."""
        return frame * self.step / SAMPLE_RATE

    def steps(self, samples: int) -> int:
        """Return the frame steps in a number of samples, which must be a multiple of the step."""
        steps, rest = divmod(samples, self.step)
        assert rest == 0, samples
        return steps


FRAMES = FrameGrid(KERNELS, STRIDES)
"""The frames of HuBERT and DistilHuBERT."""
