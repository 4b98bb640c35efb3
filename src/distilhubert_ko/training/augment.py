"""Augmentation of training clips: speed, reverberation and noise, drawn for each clip in each epoch.

Every draw comes from the generator that is passed in, and nothing else is random. It is seeded by run, epoch and clip,
so an interrupted run trains on the same clips when it is resumed.
"""

import numpy as np
import soxr
from numpy.typing import NDArray

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import HUBERT_FRAMES, SAMPLE_RATE, FrameGrid

Wave = NDArray[np.float32]


def augment_wave(
    wave: Wave, settings: recipe.Augment, random: np.random.Generator, fewest: int, grid: FrameGrid = HUBERT_FRAMES
) -> Wave:
    """Return a mono 16 kHz `wave` (samples,) augmented as [augment] says. At least one frame stays, or `fewest`."""
    speed = random.choice(settings.speeds)
    if grid.count(int(len(wave) / speed)) >= max(1, fewest):
        wave = change_speed(wave, speed)
    if random.random() < settings.reverb_prob:
        wave = add_reverb(wave, random.uniform(*settings.reverb_seconds), random)
    if random.random() < settings.noise_prob:
        wave = add_noise(wave, random.uniform(*settings.noise_snr_db), random)
    return wave


def change_speed(wave: Wave, speed: float) -> Wave:
    """Return `wave` played `speed` times as fast, with its pitch.

    Ko, Peddinti, Povey and Khudanpur, "Audio Augmentation for Speech Recognition", Interspeech 2015.
    """
    return wave if speed == 1 else soxr.resample(wave, SAMPLE_RATE * speed, SAMPLE_RATE)


def add_reverb(wave: Wave, seconds: float, random: np.random.Generator) -> Wave:
    """Return `wave` (samples,) with the reverberation of a room, which falls by 60 dB in `seconds`.

    The response is Polack's: after the direct sound, noise that decays exponentially (Polack, "La transmission de
    l'énergie sonore dans les salles", 1988). Direct sound and echo have equal energy, and the loudness stays.
    """
    length = max(1, int(seconds * SAMPLE_RATE))
    response = random.standard_normal(length, np.float32)
    response *= np.exp(np.linspace(0, -3 * np.log(10), length, dtype=np.float32))
    response /= np.linalg.norm(response)
    response[0] = 1
    size = fast_length(len(wave) + length - 1)
    echoing = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(response, size), size)[: len(wave)]
    return (echoing * (root_mean_square(wave) / max(root_mean_square(echoing), 1e-9))).astype(np.float32)


def add_noise(wave: Wave, snr_db: float, random: np.random.Generator) -> Wave:
    """Return `wave` (samples,) with noise `snr_db` decibels below it, of a colour between white and brown."""
    noise = coloured_noise(len(wave), random)
    loudness = root_mean_square(wave) / max(root_mean_square(noise), 1e-9) * 10 ** (-snr_db / 20)
    return (wave + noise * loudness).astype(np.float32)


def coloured_noise(samples: int, random: np.random.Generator, resonance: float | None = None) -> Wave:
    """Return noise (samples,) of a colour between white and brown, with a `resonance` in Hz if given.

    Its root mean square is 1.
    """
    length = fast_length(samples)
    spectrum = np.fft.rfft(random.standard_normal(length, np.float32))
    # Power falls with the frequency to the power of -2 (brown) to 0 (white).
    spectrum *= np.arange(1, len(spectrum) + 1, dtype=np.float32) ** np.float32(-random.uniform(0, 1))
    if resonance is not None:
        distance = np.linspace(0, SAMPLE_RATE / 2, len(spectrum), dtype=np.float32) - resonance
        spectrum *= 1 / (1 + (distance / (0.2 * resonance)) ** 2)
    noise = np.fft.irfft(spectrum, length)[:samples]
    return (noise / max(root_mean_square(noise), 1e-9)).astype(np.float32)


def fast_length(samples: int) -> int:
    """Return `samples` or a little more, an eighth at most, whose Fourier transform is quick: it has no prime over 13.

    A length as it comes takes ten times as long on average, which was most of what a training clip cost.
    """
    step = 1 << max(0, samples.bit_length() - 4)
    return -(-samples // step) * step


def root_mean_square(wave: NDArray[np.floating]) -> float:
    """Return the root mean square of a wave, 0 for an empty one."""
    return float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
