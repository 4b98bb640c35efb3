"""The order of the clips in an epoch: batches of similar lengths, few row groups at a time, a share for each rank."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import BatchSampler, Sampler

from distilhubert_ko.data.examples import Example
from distilhubert_ko.data.shards import MIXING_POOL, MIXING_WINDOW, StreamedClip

BUCKET_BATCHES = 50  # batches sorted by length among themselves; more pads less and shuffles less


class EpochSampler(Sampler[int]):
    """An order of `count` indices that is drawn again each epoch, and is the same whenever that epoch is repeated."""

    def __init__(self, count: int, batch_size: int, seed: int):
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; accelerate calls this at the start of each one, and when a run resumes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def random(self) -> np.random.Generator:
        """Return the generator that the epoch's order is drawn with."""
        return np.random.default_rng((self.seed, self.epoch))


class BucketSampler(EpochSampler):
    """A new random order of the indices each epoch, in which neighbours have similar lengths.

    The shuffled indices are cut into pools of BUCKET_BATCHES batches, each pool sorted by length and cut into
    batches. Then the batches of all pools are shuffled, so that lengths are similar in a batch and random between them.
    """

    def __init__(self, count: int, lengths: Callable[[int], Sequence[int]], batch_size: int, seed: int):
        """Take the function that gives the lengths in an epoch."""
        super().__init__(count, batch_size, seed)
        self.lengths = lengths

    def __iter__(self) -> Iterator[int]:
        random = self.random()
        lengths = np.asarray(self.lengths(self.epoch))
        order = random.permutation(self.count)
        pool = self.batch_size * BUCKET_BATCHES
        batches = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += [part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size)]
        # An incomplete batch goes last: anywhere else it would shift all that follow across their buckets.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        random.shuffle(full)
        yield from (int(index) for batch in full + rest for index in batch)


class RowGroupSampler(EpochSampler):
    """A new random order of the indices each epoch, in which only a few row groups are wanted at a time.

    The row groups follow each other at random. Each one's clips are dealt out over WINDOW turns. So every turn mixes as
    many row groups, of which one is new and one is used for the last time, and fetching is spread evenly. POOL turns
    are shuffled together and, with `lengths`, cut into batches of similar lengths. So WINDOW + POOL row groups are
    enough for a pool, and the clips of a batch come from WINDOW of them or more.
    """

    def __init__(self, groups: Sequence[int], lengths: Sequence[int] | None, batch_size: int, seed: int):
        """Take the row group and, for batches of similar lengths, the length in samples of each clip."""
        super().__init__(len(groups), batch_size, seed)
        self.groups = np.asarray(groups)
        self.lengths = None if lengths is None else np.asarray(lengths)

    def __iter__(self) -> Iterator[int]:
        random = self.random()
        turns = self._turns(random)
        rest = np.empty(0, dtype=np.int64)
        for start in range(0, len(turns), MIXING_POOL):
            pool = random.permutation(np.concatenate([rest, *turns[start : start + MIXING_POOL]]))
            # An incomplete batch waits for the next pool, as it would shift all that follow across their lengths.
            whole = len(pool) // self.batch_size * self.batch_size
            pool, rest = pool[:whole], pool[whole:]
            if self.lengths is not None:
                pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches = pool.reshape(-1, self.batch_size)
            yield from random.permutation(batches).ravel().tolist()
        yield from rest.tolist()

    def _turns(self, random: np.random.Generator) -> list[np.ndarray]:
        _, counts = np.unique(self.groups, return_counts=True)
        members = np.split(np.argsort(self.groups, kind="stable"), counts.cumsum()[:-1])
        order = random.permutation(len(members))
        dealt = [np.array_split(random.permutation(members[group]), MIXING_WINDOW) for group in order]
        turns = [
            [dealt[turn - age][age] for age in range(MIXING_WINDOW) if 0 <= turn - age < len(dealt)]
            for turn in range(len(dealt) + MIXING_WINDOW - 1)
        ]
        return [np.concatenate(parts) for parts in turns]


class RankBatches(BatchSampler):
    """The batches of one of several ranks, which with those of the others are the batches of one process.

    Of each `batch_size` x `ranks` indices of the sampler a rank gets every `ranks`-th one. So all ranks have as many
    batches, of similar lengths, and each index belongs to one rank. The last batch may be short, or empty.
    """

    sampler: Any

    def __init__(self, sampler: Sampler[int], batch_size: int, rank: int, ranks: int):
        super().__init__(sampler, batch_size, drop_last=False)
        self.rank, self.ranks = rank, ranks

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / (self.batch_size * self.ranks))

    def __iter__(self) -> Iterator[list[int]]:
        for batch in BatchSampler(self.sampler, self.batch_size * self.ranks, drop_last=False):
            yield batch[self.rank :: self.ranks]


def row_groups(examples: Sequence[Example]) -> list[int]:
    """Return the number of each clip's row group, counted as they first occur; 0 where there are none."""
    numbers: dict[object, int] = {}
    audios = [example.utterance.audio for example in examples]
    return [
        numbers.setdefault(audio.group if isinstance(audio, StreamedClip) else None, len(numbers)) for audio in audios
    ]


def evaluation_order(examples: Sequence[Example]) -> list[Example]:
    """Return the clips by length, as that pads less; where they are streamed, one row group after another."""
    keyed = zip(row_groups(examples), examples, strict=True)
    return [example for _, example in sorted(keyed, key=lambda pair: (pair[0], pair[1].samples))]
