"""The order of streamed clips: each once an epoch, few row groups at a time, the same when it is asked for again."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.data.shards import MIXING_POOL, MIXING_WINDOW
from distilhubert_ko.training.sampling import RowGroupSampler

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=60)


def sampler(sizes: list[int], batch_size: int = 4, buckets: bool = True, epoch: int = 0) -> RowGroupSampler:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    lengths = np.random.default_rng(1).integers(1000, 9000, len(groups)) if buckets else None
    found = RowGroupSampler(groups, lengths, batch_size, seed=5)
    found.set_epoch(epoch)
    return found


@given(sizes, st.integers(1, 9), st.booleans())
@settings(max_examples=60)
def test_each_clip_comes_once_an_epoch(sizes: list[int], batch_size: int, buckets: bool) -> None:
    found = sampler(sizes, batch_size, buckets)
    assert sorted(found) == list(range(sum(sizes)))
    assert len(found) == sum(sizes)


@given(sizes, st.integers(1, 9))
@settings(max_examples=60)
def test_few_row_groups_are_begun_and_not_yet_over(sizes: list[int], batch_size: int) -> None:
    """So that a spool of KEEP of them is enough; the last clips of a pool may have to wait for the next one."""
    found = sampler(sizes, batch_size)
    order = np.array([*found])
    firsts, lasts = {}, {}
    for place, group in enumerate(found.groups[order].tolist()):
        firsts.setdefault(group, place)
        lasts[group] = place
    for place in range(len(order)):
        at_hand = [group for group in firsts if firsts[group] <= place <= lasts[group]]
        assert len(at_hand) <= MIXING_WINDOW + 2 * MIXING_POOL + batch_size - 1


def test_a_batch_mixes_row_groups_and_has_one_length() -> None:
    found = sampler([100] * 40, batch_size=16)
    batches = np.array([*found]).reshape(-1, 16)
    middle = batches[len(batches) // 4 : -len(batches) // 4]
    assert np.mean([len(np.unique(found.groups[batch])) for batch in middle]) > MIXING_WINDOW / 2
    assert found.lengths is not None
    assert np.mean([np.ptp(found.lengths[batch]) for batch in middle]) < 0.1 * np.ptp(found.lengths)


def test_an_epoch_has_its_own_order_and_always_the_same() -> None:
    sizes = [7] * 20
    assert [*sampler(sizes)] == [*sampler(sizes)]
    assert [*sampler(sizes)] != [*sampler(sizes, epoch=1)]
    assert [*sampler(sizes)] != sorted(sampler(sizes))
