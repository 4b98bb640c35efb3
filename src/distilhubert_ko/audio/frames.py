"""Samples, frames and seconds: the project's only frame arithmetic.

A wave is a float32 array of shape (samples,) at `SAMPLE_RATE`. A frame is one output step of a model. Every encoder
makes one per `FRAME_STEP` samples, and its `FrameGrid` says how many a wave has.
"""

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of every wave in the project."""
FRAME_STEP = 320
"""Samples from the start of a frame to the start of the next, 20 ms: waves are cut at multiples of it."""

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)
"""The seven unpadded convolutions of wav2vec 2.0 (Baevski et al., 2020, section 4.2), which HuBERT and
DistilHuBERT keep."""


@dataclass(frozen=True)
class FrameGrid:
    """The frames that a stack of convolutions makes of a wave.

    `paddings` are the frames added to the input of each, at both ends together.
    """

    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    paddings: tuple[int, ...]

    def __post_init__(self) -> None:
        assert math.prod(self.strides) == FRAME_STEP, self.strides

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """The stride of each convolution, and what `count` adds to its input's length before the division by it."""
        sizes = zip(self.kernels, self.strides, self.paddings, strict=True)
        return tuple((stride, padding - kernel + stride) for kernel, stride, padding in sizes)

    @overload
    def count(self, samples: int) -> int: ...
    @overload
    def count(self, samples: NDArray[np.integer]) -> NDArray[np.int64]: ...
    def count(self, samples: int | NDArray[np.integer]) -> int | NDArray[np.int64]:
        """Return the number of frames for a number of samples, or for an array of them; never below 0.

        Each convolution makes floor((length + padding - kernel) / stride) + 1 out of length.
        """
        length = np.asarray(samples, dtype=np.int64)
        for stride, added in self.layers:
            length = np.maximum((length + added) // stride, 0)
        return length if isinstance(samples, np.ndarray) else int(length)


HUBERT_FRAMES = FrameGrid(KERNELS, STRIDES, (0,) * 7)
"""The frames of HuBERT, DistilHuBERT and wav2vec 2.0: 400 samples wide."""
WHISPER_FRAMES = FrameGrid((160, 3, 3), (160, 1, 2), (0, 2, 2))
"""The frames of Whisper: a log-mel spectrum per 160 samples, and two padded convolutions."""
FRAME_GRIDS = {"hubert": HUBERT_FRAMES, "wav2vec2": HUBERT_FRAMES, "whisper": WHISPER_FRAMES}
"""model_type in a model's config.json -> the frames of the model."""


@overload
def frame_seconds(frame: float) -> float: ...
@overload
def frame_seconds(frame: NDArray[np.number]) -> NDArray[np.float64]: ...
def frame_seconds(frame: float | NDArray[np.number]) -> float | NDArray[np.number]:
    """Return the time in seconds at which a frame starts, or an array of frames: 0.02 s apart."""
    return frame * FRAME_STEP / SAMPLE_RATE


def frame_steps(samples: int) -> int:
    """Return the frame steps in a number of samples, which must be a multiple of the step."""
    steps, rest = divmod(samples, FRAME_STEP)
    assert rest == 0, samples
    return steps
