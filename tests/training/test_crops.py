"""Clips cut for distillation: how long they are, where they are cut, and that the cut can be drawn again."""

from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko.data.dataset import read_unlabelled
from distilhubert_ko.recipe import Augment, Data, Recipe
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.crops import CroppedClips

TOKENIZER = Tokenizer("syllables", (Tokenizer.blank_token, Tokenizer.unknown_token, "|"))


@pytest.fixture(scope="module")
def config(tiny_speech: Path) -> Recipe:
    return Recipe(data=Data(train=f"manifest:{tiny_speech}/train.jsonl"))


def cropped(config: Recipe, seconds: float) -> CroppedClips:
    examples = read_unlabelled(config.data.train, config).examples
    return CroppedClips(examples, TOKENIZER, Augment(), None, 3, seconds=seconds)


def test_a_long_clip_gives_a_part_that_another_epoch_draws_anew(config: Recipe) -> None:
    whole = cropped(config, 0)
    longest = 1000 + min(len(whole.wave(index)) for index in range(len(whole)))
    clips = cropped(config, longest / 16_000)
    seen = []
    for epoch in (0, 1, 0):
        clips.epoch = epoch
        seen.append([clips[index]["wave"] for index in range(len(clips))])
        assert [len(wave) for wave in seen[-1]] == clips.samples(epoch)
    moved = 0
    for index, (first, second, again) in enumerate(zip(*seen, strict=True)):
        own = whole.wave(index)
        np.testing.assert_array_equal(first, again)
        assert len(first) == min(len(own), longest)
        for part in (first, second):
            begins = np.flatnonzero(own[: len(own) - len(part) + 1] == part[0])
            assert any(np.array_equal(own[begin : begin + len(part)], part) for begin in begins)
        moved += not np.array_equal(first, second)
    assert moved


def test_without_a_limit_clips_are_whole(config: Recipe) -> None:
    whole = cropped(config, 0)
    assert whole.samples(0) == [len(whole[index]["wave"]) for index in range(len(whole))]
    assert all(np.array_equal(whole[index]["wave"], whole.wave(index)) for index in range(len(whole)))
