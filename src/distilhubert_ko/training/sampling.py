"""The order in which clips are heard that come by the row group: as mixed as can be with few of them at hand."""

from collections.abc import Iterator, Sequence

import numpy as np

from distilhubert_ko.data.dataset import Example
from distilhubert_ko.data.shards import POOL, WINDOW, Row
from distilhubert_ko.training.clips import EpochSampler


class RowGroupSampler(EpochSampler):
    """A new random order of the indices each epoch, in which only a few row groups are wanted at a time.

    The row groups follow each other at random. Each one's clips are dealt out over WINDOW turns, so that every turn
    mixes as many row groups, of which one is new and one is heard for the last time: what has to be fetched is spread
    evenly. POOL turns are shuffled together and, with `lengths`, cut into batches of like lengths. So WINDOW + POOL row
    groups are enough for a pool, and the clips of a batch come from WINDOW of them or more.
    """

    def __init__(self, groups: Sequence[int], lengths: Sequence[int] | None, batch_size: int, seed: int):
        """`groups` and `lengths` (samples) of the clips, by their index."""
        super().__init__(len(groups), batch_size, seed)
        self.groups = np.asarray(groups)
        self.lengths = None if lengths is None else np.asarray(lengths)

    def __iter__(self) -> Iterator[int]:
        random = self.random()
        turns = self._turns(random)
        rest = np.empty(0, dtype=np.int64)
        for start in range(0, len(turns), POOL):
            pool = random.permutation(np.concatenate([rest, *turns[start : start + POOL]]))
            # What is no whole batch waits for the next pool, as it would shift all that follow across their lengths.
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
        dealt = [np.array_split(random.permutation(members[group]), WINDOW) for group in order]
        turns = [
            [dealt[turn - age][age] for age in range(WINDOW) if 0 <= turn - age < len(dealt)]
            for turn in range(len(dealt) + WINDOW - 1)
        ]
        return [np.concatenate(parts) for parts in turns]


def row_groups(examples: Sequence[Example]) -> list[int]:
    """The number of each clip's row group, in the order in which they first occur; 0 where there are none."""
    numbers: dict[object, int] = {}
    audios = [example.utterance.audio for example in examples]
    return [numbers.setdefault(audio.group if isinstance(audio, Row) else None, len(numbers)) for audio in audios]


def evaluation_order(examples: Sequence[Example]) -> list[Example]:
    """Like lengths together, as that pads less; where clips are streamed, one row group after another."""
    keyed = zip(row_groups(examples), examples, strict=True)
    return [example for _, example in sorted(keyed, key=lambda pair: (pair[0], pair[1].samples))]
