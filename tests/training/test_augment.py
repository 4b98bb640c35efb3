"""Augmentation: what it changes, by how much, and that the same generator gives the same clip."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import HUBERT_FRAMES, SAMPLE_RATE
from distilhubert_ko.recipe import Augment
from distilhubert_ko.training.augment import (
    add_noise,
    add_reverb,
    augment_wave,
    change_speed,
    fast_length,
    root_mean_square,
)
from tests.support.model import clip

ALL = Augment(speeds=(0.9, 1.0, 1.1), reverb_prob=0.5, noise_prob=0.5)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def dominant(wave: np.ndarray) -> float:
    """Frequency in Hz with the most energy."""
    return float(np.abs(np.fft.rfft(wave)).argmax()) * SAMPLE_RATE / len(wave)


@given(samples=st.sampled_from([400, 401, 1600, 7999, 16_000]), seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_generator_of_the_same_seed_gives_the_same_clip(samples: int, seed: int) -> None:
    wave = clip(samples)
    first, second = (augment_wave(wave, ALL, generator(seed), 0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()


def test_the_clip_that_is_passed_in_stays_as_it_is() -> None:
    wave = clip(16_000)
    before = wave.copy()
    for seed in range(20):
        augment_wave(wave, ALL, generator(seed), 0)
    np.testing.assert_array_equal(wave, before)


def test_a_recipe_without_augmentation_changes_nothing() -> None:
    wave = clip(16_000)
    np.testing.assert_array_equal(augment_wave(wave, Augment(), generator(), 0), wave)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_changes_length_and_pitch_alike(speed: float) -> None:
    tone = np.sin(2 * np.pi * 400 * np.arange(32_000) / SAMPLE_RATE).astype(np.float32)
    faster = change_speed(tone, speed)
    assert len(faster) == pytest.approx(32_000 / speed, abs=1)
    assert dominant(faster) == pytest.approx(400 * speed, abs=1)


def test_a_clip_is_not_sped_up_past_the_frames_that_its_labels_need() -> None:
    wave = clip(16_000)
    only_fast = Augment(speeds=(1.1,))
    frames = HUBERT_FRAMES.count(16_000)
    assert len(augment_wave(wave, only_fast, generator(), frames)) == 16_000
    assert len(augment_wave(wave, only_fast, generator(), HUBERT_FRAMES.count(14_545))) == pytest.approx(14_545, abs=1)


def test_a_clip_without_labels_is_not_sped_up_past_its_last_frame() -> None:
    wave = augment_wave(np.ones(420, np.float32), Augment(speeds=(1.1,)), np.random.default_rng(0), 0)
    assert HUBERT_FRAMES.count(len(wave)) == 1


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_noise_has_the_ratio_that_was_asked_for(snr: float) -> None:
    wave = clip(16_000)
    noise = add_noise(wave, snr, generator()) - wave
    assert 20 * np.log10(root_mean_square(wave) / root_mean_square(noise)) == pytest.approx(snr, abs=0.01)


def test_a_room_keeps_the_loudness_and_sounds_after_the_clip_went_silent() -> None:
    wave = clip(16_000)
    wave[8000:] = 0
    echoing = add_reverb(wave, 0.5, generator())
    assert len(echoing) == len(wave)
    assert root_mean_square(echoing) == pytest.approx(root_mean_square(wave), rel=1e-4)
    assert root_mean_square(echoing[8000:10_000]) > 10 * root_mean_square(echoing[14_000:]) > 0


def test_the_echo_falls_by_60_decibels_in_the_time_given() -> None:
    impulse = np.zeros(16_000, np.float32)
    impulse[0] = 1
    tail = add_reverb(impulse, 0.8, generator()) ** 2
    begin, end = tail[160:960].mean(), tail[12_000 - 800 : 12_000].mean()
    fallen = 10 * np.log10(begin / end)
    # Between the middles of the two stretches, 0.69 s apart.
    assert fallen == pytest.approx(60 * (11_600 - 560) / 16_000 / 0.8, abs=1.5)


@pytest.mark.parametrize("change", [{"reverb_prob": 1.0}, {"noise_prob": 1.0}, {"speeds": (0.9,)}])
def test_each_key_alone_changes_a_clip(change: dict[str, Any]) -> None:
    wave = clip(16_000)
    changed = augment_wave(wave, dataclasses.replace(Augment(), **change), generator(), 0)
    assert len(changed) != len(wave) or np.abs(changed - wave).max() > 1e-3


def test_digital_silence_stays_finite() -> None:
    both = Augment(reverb_prob=1, noise_prob=1)
    assert not augment_wave(np.zeros(8000, np.float32), both, generator(), 0).any()


@given(samples=st.integers(0, 1_000_000))
def test_a_fast_length_is_little_longer_and_has_small_factors(samples: int) -> None:
    length = rest = fast_length(samples)
    assert samples <= length <= samples * 9 / 8
    for factor in (2, 3, 5, 7, 11, 13):
        while rest and rest % factor == 0:
            rest //= factor
    assert rest <= 1


@pytest.mark.parametrize("samples", [1, 401, 16_381, 100_003])
def test_an_echo_comes_after_its_sound_and_never_before(samples: int) -> None:
    wave = np.zeros(samples, np.float32)
    wave[-1] = 1
    np.testing.assert_allclose(add_reverb(wave, 0.3, generator()), wave, atol=1e-6)
