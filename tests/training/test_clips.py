"""Batches: what the collator pads, and in which order the bucket sampler gives the clips."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.data.corpora import Utterance, read_corpus
from distilhubert_ko.data.dataset import usable_split
from distilhubert_ko.data.examples import Example
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.recipe import Augment, Data, Text
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.clips import WIDTH, AugmentedClips, Clip, Clips, collate
from distilhubert_ko.training.sampling import BUCKET_BATCHES, BucketSampler


def clip(samples: int, labels: int) -> Clip:
    """Neither samples nor labels hold a value that could pass for padding."""
    return {
        "wave": np.arange(1, samples + 1, dtype=np.float32) / 2**16,
        "labels": np.arange(3, 3 + labels, dtype=np.int64),
    }


# The collator


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), min_size=1, max_size=7))
def test_a_batch_holds_every_clip_and_padding_after_it(sizes: list[tuple[int, int]]) -> None:
    clips = [clip(*size) for size in sizes]
    batch = collate(clips)
    assert set(batch) == {"input_values", "lengths", "labels"}
    width = batch["input_values"].shape[1]
    assert width % WIDTH == 0
    assert 0 <= width - max(samples for samples, _ in sizes) < WIDTH
    assert batch["labels"].shape == (len(clips), max(labels for _, labels in sizes))
    assert batch["lengths"].tolist() == [samples for samples, _ in sizes]
    for row, (samples, labels) in enumerate(sizes):
        wave, ids = batch["input_values"][row].numpy(), batch["labels"][row].numpy()
        np.testing.assert_array_equal(wave[:samples], clips[row]["wave"])
        assert not wave[samples:].any()
        np.testing.assert_array_equal(ids[:labels], clips[row]["labels"])
        assert (ids[labels:] == -100).all()


def test_a_batch_has_the_types_that_the_model_takes() -> None:
    batch = collate([clip(401, 2), clip(1, 0)])
    assert (batch["input_values"].dtype, batch["lengths"].dtype, batch["labels"].dtype) == (
        torch.float32,
        torch.int64,
        torch.int64,
    )


def test_a_batch_is_a_copy_of_its_clips() -> None:
    one = clip(5, 1)
    collate([one])["input_values"].zero_()
    assert one["wave"].all()


# The sampler


def bucket_sampler(lengths: Sequence[int] | np.ndarray, batch_size: int, seed: int) -> BucketSampler:
    return BucketSampler(len(lengths), lambda epoch: [*lengths], batch_size, seed)


def batches(sampler: BucketSampler) -> list[list[int]]:
    order = list(sampler)
    return [order[start : start + sampler.batch_size] for start in range(0, len(order), sampler.batch_size)]


def padding(lengths: np.ndarray, batches_: list[list[int]]) -> float:
    """The share of padding in all that is computed."""
    padded = sum(len(batch) * lengths[batch].max() for batch in batches_)
    return 1 - lengths.sum() / padded


@pytest.fixture
def lengths() -> np.ndarray:
    """Of 1,003 clips between 1 and 20 s, as samples; neither batches nor buckets come out even."""
    return np.random.default_rng(0).integers(16_000, 320_000, 1003)


@given(st.lists(st.integers(1, 5), max_size=230), st.integers(1, 4), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_every_epoch_is_a_permutation(lengths: list[int], batch_size: int, epoch: int, seed: int) -> None:
    sampler = bucket_sampler(lengths, batch_size, seed)
    sampler.set_epoch(epoch)
    order = list(sampler)
    assert sorted(order) == list(range(len(lengths)))
    assert len(order) == len(sampler)
    assert all(type(index) is int for index in order)


@pytest.mark.parametrize("batch_size", [2, 7, 16])
def test_batches_are_of_like_length(lengths: np.ndarray, batch_size: int) -> None:
    random = np.random.default_rng(1).permutation(len(lengths))
    at_random = [list(random[start : start + batch_size]) for start in range(0, len(random), batch_size)]
    assert padding(lengths, batches(bucket_sampler(lengths, batch_size, seed=0))) < 0.15 * padding(lengths, at_random)


def test_long_and_short_batches_come_in_no_order(lengths: np.ndarray) -> None:
    means = np.array([lengths[batch].mean() for batch in batches(bucket_sampler(lengths, 8, seed=0))])
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.3
    assert np.abs(np.diff(means)).mean() > 0.5 * means.std()


def test_every_epoch_has_another_order_and_other_batches(lengths: np.ndarray) -> None:
    sampler = bucket_sampler(lengths, 8, seed=0)
    seen = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen.append({frozenset(batch) for batch in batches(sampler)})
    assert len(seen[0] & seen[1]) < 0.1 * len(seen[0])
    assert len(seen[1] & seen[2]) < 0.1 * len(seen[0])


def test_the_same_seed_and_epoch_give_the_same_order_whatever_came_before(lengths: np.ndarray) -> None:
    through, straight = bucket_sampler(lengths, 8, seed=5), bucket_sampler(lengths, 8, seed=5)
    for epoch in range(3):
        through.set_epoch(epoch)
        order = list(through)
    np.random.default_rng().random()
    straight.set_epoch(2)
    assert list(straight) == order == list(straight)
    other = bucket_sampler(lengths, 8, seed=6)
    other.set_epoch(2)
    assert list(other) != order


@pytest.mark.parametrize("count", [9, 12, 8 * BUCKET_BATCHES - 1, 8 * BUCKET_BATCHES + 3])
def test_an_incomplete_batch_comes_last_and_splits_none_of_the_others(count: int) -> None:
    lengths = np.random.default_rng(2).permutation(count)
    for epoch in range(5):
        sampler = bucket_sampler(lengths, 8, seed=0)
        sampler.set_epoch(epoch)
        *full, last = batches(sampler)
        pool = lengths if count < 8 * BUCKET_BATCHES else np.delete(lengths, last)
        for batch in [*full, last] if pool is lengths else full:
            ranks = np.searchsorted(np.sort(pool), lengths[batch])
            assert ranks.tolist() == list(range(ranks[0], ranks[0] + len(batch)))


def test_no_clips_give_no_batches() -> None:
    assert list(bucket_sampler([], 4, seed=0)) == []


# The clips


@pytest.fixture
def examples(tiny_speech: Path) -> tuple[Example, ...]:
    corpus = read_corpus("manifest:dev.jsonl", Reading(root=tiny_speech))
    return usable_split(corpus, Text(), None).examples


@pytest.fixture
def tokenizer(examples: tuple[Example, ...]) -> Tokenizer:
    return Tokenizer.from_texts((example.text for example in examples), "jamo")


class Reads:
    """Counts how often an utterance's wave is decoded."""

    def __init__(self, patch: pytest.MonkeyPatch):
        self.ids: list[str] = []
        decode = Utterance.wave

        def wave(utterance: Utterance) -> np.ndarray:
            self.ids.append(utterance.id)
            return decode(utterance)

        patch.setattr(Utterance, "wave", wave)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_clips_are_the_waves_and_the_labels_of_the_examples(
    examples: tuple[Example, ...], tokenizer: Tokenizer
) -> None:
    clips = Clips(examples, tokenizer)
    assert len(clips) == len(examples) == 6
    for example, index in zip(examples, range(len(clips)), strict=True):
        np.testing.assert_array_equal(clips[index]["wave"], example.utterance.wave())
        assert clips[index]["labels"].tolist() == tokenizer.encode(example.text)
        assert tokenizer.decode(clips[index]["labels"]) == example.text


def test_waves_that_fit_in_memory_are_decoded_once_and_not_before_they_are_asked_for(
    examples: tuple[Example, ...], tokenizer: Tokenizer, reads: Reads
) -> None:
    clips = Clips(examples, tokenizer)
    assert clips.cached
    assert reads.ids == []
    first = [clips[index]["wave"] for index in (2, 0, 2)]
    assert reads.ids == [examples[2].utterance.id, examples[0].utterance.id]
    np.testing.assert_array_equal(first[0], first[2])


def test_clips_decoded_for_the_processes_of_a_loader_are_not_decoded_again(
    examples: tuple[Example, ...], tokenizer: Tokenizer, reads: Reads
) -> None:
    clips = AugmentedClips(examples, tokenizer, Augment(), None, 1)
    clips.decode()
    assert reads.ids == [example.utterance.id for example in examples]
    for index in range(len(clips)):
        np.testing.assert_array_equal(clips[index]["wave"], clips.wave(index))
    assert len(reads.ids) == len(examples)


def test_joined_clips_are_whole_clips_with_pauses_between_them_and_no_longer_than_allowed(
    examples: tuple[Example, ...], tokenizer: Tokenizer
) -> None:
    longest = 6 * max(example.utterance.seconds for example in examples)
    clips = AugmentedClips(examples, tokenizer, Augment(join_prob=1.0), None, 1, Data(max_seconds=longest))
    seconds = {example.text: example.utterance.seconds for example in examples}
    counts = []
    for epoch, index in itertools.product(range(5), range(len(clips))):
        clips.epoch = epoch
        clip = clips[index]
        samples, text = len(clip["wave"]), tokenizer.decode(clip["labels"])
        np.testing.assert_array_equal(clip["wave"], clips[index]["wave"])  # the epoch is repeated
        np.testing.assert_array_equal(clip["wave"][: len(clips.wave(index))], clips.wave(index))
        assert text.startswith(examples[index].text)
        parts = []
        while text:
            parts.append(next(other for other in seconds if f"{text} ".startswith(f"{other} ")))
            text = text[len(parts[-1]) + 1 :]
        spoken = sum(seconds[part] for part in parts)
        assert spoken + 0.1 * (len(parts) - 1) - 0.01 <= samples / 16_000
        assert samples / 16_000 <= min(longest, spoken + 0.6 * (len(parts) - 1)) + 0.01
        assert abs(clips.samples(epoch)[index] / 16_000 - spoken) < 0.01 * len(parts)
        counts.append(len(parts))
    assert {1, 2, 3} <= {*counts}


def test_waves_that_do_not_fit_are_decoded_anew(
    examples: tuple[Example, ...], tokenizer: Tokenizer, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = sum(example.utterance.seconds for example in examples) / 3600
    monkeypatch.setattr("distilhubert_ko.training.clips.CACHE_HOURS", 0.99 * hours)
    clips = Clips(examples, tokenizer)
    assert not clips.cached
    np.testing.assert_array_equal(clips[1]["wave"], clips[1]["wave"])
    assert reads.ids == [examples[1].utterance.id] * 2
    monkeypatch.setattr("distilhubert_ko.training.clips.CACHE_HOURS", 1.01 * hours)
    assert Clips(examples, tokenizer).cached


def test_clips_go_through_a_data_loader_in_the_order_of_the_sampler(
    examples: tuple[Example, ...], tokenizer: Tokenizer
) -> None:
    sampler = bucket_sampler([example.samples for example in examples], 4, seed=1)
    loader = torch.utils.data.DataLoader(Clips(examples, tokenizer), 4, sampler=sampler, collate_fn=collate)
    lengths = [length for batch in loader for length in batch["lengths"].tolist()]
    assert lengths == [examples[index].samples for index in sampler]
