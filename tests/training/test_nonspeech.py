"""What nobody says: of every kind, at the levels of rooms, and with nothing to write."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import HUBERT_FRAMES, SAMPLE_RATE
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.training.augment import root_mean_square
from distilhubert_ko.training.clips import ALONE, AugmentedClips, collate
from distilhubert_ko.training.nonspeech import BESIDE, KINDS, LEVELS, nonspeech, surround
from tests.support.model import SYLLABLES, clip, new_network


@given(samples=st.integers(1, 20_000), seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_a_generator_of_the_same_seed_gives_the_same_noise(samples: int, seed: int) -> None:
    first, second = (nonspeech(samples, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (samples,)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_fills_the_length(kind: object) -> None:
    for samples in (1, 399, 16_001):
        wave = kind(samples, np.random.default_rng(7))
        assert wave.shape == (samples,)
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()


def test_levels_are_those_of_rooms_and_silence_is_among_them() -> None:
    random = np.random.default_rng(7)
    levels = [20 * np.log10(max(root_mean_square(nonspeech(8_000, random)), 1e-9)) for _ in range(200)]
    loud = [level for level in levels if level > -180]
    assert 10 < len(levels) - len(loud) < 60
    assert LEVELS[0] - 0.1 <= min(loud) <= -65
    assert -20 <= max(loud) <= LEVELS[1] + 0.1


def test_a_clip_among_noise_is_whole_and_later() -> None:
    wave = clip(16_000)
    for seed in range(20):
        among = surround(wave, np.random.default_rng(seed))
        added = (len(among) - len(wave)) / SAMPLE_RATE
        assert 2 * BESIDE[0] - 0.01 <= added <= 2 * BESIDE[1]
        overlap = np.correlate(among, wave, "valid")
        at = int(overlap.argmax())
        difference = root_mean_square(among[at : at + len(wave)] - wave)
        assert difference <= 0.11 * root_mean_square(wave)


def test_the_share_of_clips_that_was_asked_for_gets_it_and_a_third_has_nothing_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(AugmentedClips, "__init__", lambda self: None)
    train = AugmentedClips()
    train.augment = recipe.Augment(nonspeech_prob=0.3)
    wave, labels = clip(4_000), np.array([3, 4])
    random = np.random.default_rng(7)
    found = [train._among_nonspeech({"wave": wave, "labels": labels}, random) for _ in range(2000)]
    untouched = sum(each["wave"] is wave for each in found)
    empty = [each for each in found if len(each["labels"]) == 0]
    assert untouched / 2000 == pytest.approx(0.7, abs=0.03)
    assert len(empty) / 2000 == pytest.approx(0.3 * ALONE, abs=0.02)
    assert all(len(each["wave"]) == len(wave) for each in empty)
    assert all(len(each["wave"]) > len(wave) for each in found if each["wave"] is not wave and len(each["labels"]))


def test_it_begins_after_the_epochs_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {"wave": clip(8_000), "labels": np.array([3, 4])}
    monkeypatch.setattr(AugmentedClips, "__init__", lambda self: None)
    monkeypatch.setattr(AugmentedClips, "_readable", lambda self, index: whole)
    train = AugmentedClips()
    train.seed, train.splicer, train.grid = 0, None, HUBERT_FRAMES
    train.augment = recipe.Augment(nonspeech_prob=1.0, nonspeech_after_epochs=2)
    for epoch in range(4):
        train.epoch = epoch
        same = [np.array_equal(train[index]["wave"], whole["wave"]) for index in range(5)]
        assert same == [epoch < 2] * 5


@pytest.mark.parametrize("labels", [[], [3, 4]])
def test_a_batch_with_clips_that_have_nothing_to_write_has_a_loss_and_gradients(labels: list[int]) -> None:
    """The loss of silence is that of the blank in each frame."""
    network = new_network().train()
    waves = [clip(8_000), clip(6_000, 2)]
    texts = [np.zeros(0, np.int64), np.array(labels, np.int64)]
    batch = collate([{"wave": wave, "labels": text} for wave, text in zip(waves, texts, strict=True)])
    output = network(**batch)
    output.loss.backward()
    assert all(torch.isfinite(each.grad).all() for each in network.parameters() if each.grad is not None)
    blanks = output.logits.log_softmax(-1)[..., SYLLABLES.blank_id]
    frames = network.frame_lengths(batch["lengths"])
    alone = network(**collate([{"wave": waves[0], "labels": texts[0]}])).loss
    torch.testing.assert_close(alone, -blanks[0, : frames[0]].sum(), rtol=1e-4, atol=1e-3)


def test_a_share_is_between_none_and_all() -> None:
    with pytest.raises(RecipeError, match="nonspeech_prob"):
        dataclasses.replace(recipe.Augment(), nonspeech_prob=1.5)
    with pytest.raises(RecipeError, match="nonspeech_after_epochs is -1: give 0 or more"):
        recipe.Augment(nonspeech_after_epochs=-1)
