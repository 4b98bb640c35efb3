"""What nobody says: silence, noise, hum, clicks and bursts, to train on with nothing to write.

A CTC network that was never shown any writes what it likes in a room where nobody speaks.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.training.augment import coloured_noise, root_mean_square

Wave = NDArray[np.float32]

LEVELS = (-75.0, -10.0)  # dB of full scale, of the root mean square
BESIDE = (0.1, 1.5)  # seconds before and after a clip
FLOOR = (20.0, 60.0)  # dB by which noise lies below the clip that it lies under


def nonspeech(samples: int, random: np.random.Generator) -> Wave:
    """Return a wave (samples,) in which nobody speaks, of a kind and a level that are drawn."""
    wave = KINDS[random.integers(len(KINDS))](samples, random)
    level = 10 ** (random.uniform(*LEVELS) / 20)
    return np.clip(wave * (level / max(root_mean_square(wave), 1e-9)), -1, 1).astype(np.float32)


def surround(wave: Wave, random: np.random.Generator) -> Wave:
    """Return a wave (samples,) with noise under it, and other noise or silence before and after it."""
    before, after = (nonspeech(int(random.uniform(*BESIDE) * SAMPLE_RATE), random) for _ in range(2))
    loudness = root_mean_square(wave) * 10 ** (-random.uniform(*FLOOR) / 20)
    whole = np.concatenate([before, wave, after])
    return whole + coloured_noise(len(whole), random) * np.float32(loudness)


def _silence(samples: int, random: np.random.Generator) -> Wave:
    """Return digital silence, at every level."""
    return np.zeros(samples, np.float32)


def _hum(samples: int, random: np.random.Generator) -> Wave:
    """Return the hum of mains or of a fan: a low tone, its harmonics, and some noise."""
    times = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    pitch = random.uniform(40, 250)
    wave = coloured_noise(samples, random) * np.float32(random.uniform(0, 0.3))
    for number in range(1, int(random.integers(2, 9))):
        loudness, phase = random.uniform(0, 1 / number), random.uniform()
        wave += (loudness * np.sin(2 * np.pi * (pitch * number * times + phase))).astype(np.float32)
    return wave


def _clicks(samples: int, random: np.random.Generator) -> Wave:
    """Return clicks, from a few to a crackle, over a little noise."""
    struck = random.random(samples) < 10 ** random.uniform(-4.5, -2.5)
    clicks = (struck * random.standard_normal(samples)).astype(np.float32)
    return clicks + coloured_noise(samples, random) * np.float32(random.uniform(0, 0.01))


def _bursts(samples: int, random: np.random.Generator) -> Wave:
    """Return noise that comes and goes as coughs, breaths and steps do, each with a resonance of its own."""
    wave = np.zeros(samples, np.float32)
    for _ in range(max(1, int(samples / SAMPLE_RATE * random.uniform(0.5, 4)))):
        length = int(random.uniform(0.03, 0.6) * SAMPLE_RATE)
        start = int(random.integers(max(1, samples - length // 2)))
        rise = random.uniform(0.02, 0.6)
        places = np.linspace(0, 1, length, dtype=np.float32)
        envelope = np.minimum(places / rise, (1 - places) / (1 - rise)) * random.uniform(0.2, 1)
        burst = coloured_noise(length, random, resonance=random.uniform(200, 3500)) * envelope
        part = burst[: samples - start].astype(np.float32)
        wave[start : start + len(part)] += part
    return wave


KINDS: tuple[Callable[[int, np.random.Generator], Wave], ...] = (
    *(_silence, _hum, _clicks, _bursts),
    *(coloured_noise, coloured_noise),  # twice as often as each of the others
)
