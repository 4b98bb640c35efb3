"""Whisper's log-mel spectrogram, padding-safe: a clip alone and in any batch has the same one.

Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, section 2.2: 80 or 128 mels from
Hann windows of 25 ms every 10 ms at 16 kHz. The numbers are those of transformers.WhisperFeatureExtractor without
padding: windows are reflected at both ends of the clip, and the floor is 80 dB below the clip's own maximum. The
Fourier transform is a matrix product. The exported graph has the same matrices.
"""

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW, HOP = 400, 160  # samples
REACH = WINDOW // 2  # samples that the first window reaches before the clip's beginning
BEYOND = REACH - HOP  # samples that the last window may reach past the clip's end: frame m < samples // HOP
FLOOR = 1e-10
RANGE = 8.0  # of the base-10 logarithm: what is 80 dB below the maximum is cut off
NYQUIST = 8000.0  # Hz


def mel_frames(samples: Tensor) -> Tensor:
    """Return the frames of the log-mel of clips of so many samples."""
    return torch.div(samples, HOP, rounding_mode="floor")


def log_mel(waves: Tensor, lengths: Tensor, mels: int) -> Tensor:
    """Return the log-mel (batch, frames, mels), float32, of waves (batch, samples) of `lengths` (batch,) samples.

    The batch has samples // HOP frames, each clip `mel_frames` of its length; those after them are 0. A clip should
    have more than REACH samples: what a shorter one reflects is silence.
    """
    with torch.autocast(waves.device.type, enabled=False):
        count = waves.shape[1] // HOP
        windows = _reflected(waves.float(), lengths).unfold(1, WINDOW, HOP)[:, :count]
        spectrum = windows @ torch.from_numpy(fourier_matrix()).to(waves.device)
        cosines, sines = spectrum.chunk(2, dim=2)
        power = cosines.square() + sines.square()
        levels = (power @ torch.from_numpy(mel_filters(mels)).to(waves.device)).clamp(min=FLOOR).log10()
        own = (torch.arange(count, device=waves.device) < mel_frames(lengths)[:, None])[:, :, None]
        loudest = levels.masked_fill(~own, -torch.inf).amax((1, 2), keepdim=True)
        levels = torch.maximum(levels, loudest - RANGE)
        return torch.where(own, (levels + 4) / 4, 0.0)


def _reflected(waves: Tensor, lengths: Tensor) -> Tensor:
    """Return waves (batch, REACH + samples + REACH), each reflected at its two ends as far as windows reach."""
    samples = waves.shape[1]
    inside = torch.arange(samples, device=waves.device) < lengths[:, None]
    waves = torch.nn.functional.pad(torch.where(inside, waves, 0.0), (0, max(0, REACH + 1 - samples)))
    before = waves[:, 1 : REACH + 1].flip(1)
    ahead = torch.arange(BEYOND, device=waves.device)
    mirrored = waves.gather(1, (lengths[:, None] - 2 - ahead).clamp(min=0))
    after = waves.new_zeros(len(waves), REACH)
    return torch.cat([before, waves, after], dim=1).scatter(1, REACH + lengths[:, None] + ahead, mirrored)


@functools.cache
def fourier_matrix() -> NDArray[np.float32]:
    """Return (WINDOW, 2 x 201): the Hann window times the cosines, then the sines, of each frequency."""
    time = np.arange(WINDOW)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / WINDOW)
    angles = 2 * np.pi * np.outer(time, np.arange(WINDOW // 2 + 1)) / WINDOW
    return (window[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)


@functools.cache
def mel_filters(mels: int) -> NDArray[np.float32]:
    """Return (201, mels): triangles on the mel scale of Slaney's Auditory Toolbox (1998), each of area 1."""
    edges = _hertz(np.linspace(0.0, _mel(NYQUIST), mels + 2))
    frequencies = np.linspace(0.0, NYQUIST, WINDOW // 2 + 1)
    rising = (frequencies[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies[:, None]) / np.diff(edges)[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * 2 / (edges[2:] - edges[:-2])).astype(np.float32)


# Slaney's scale: linear up to 1000 Hz, which are 15 mels, and logarithmic above, 27 mels for a factor of 6.4.
def _mel(hertz: float) -> float:
    return float(hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4))


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
