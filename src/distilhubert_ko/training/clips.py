"""Examples to batches: the waves in memory where they fit, length buckets, and the collator."""

import itertools
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, Dataset, Sampler

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import FRAMES
from distilhubert_ko.data.dataset import UNFIT, Example, unfit
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import AudioError, CorpusError
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.augment import augmented
from distilhubert_ko.training.splice import Splicer

CACHE_HOURS = 6.0  # of decoded speech kept in memory: 16,000 x 4 bytes x 3,600 s are 0.23 GB an hour
WIDTH = 6400  # samples, 0.4 s: batches are a multiple of it long, so that memory freed by one fits another (lab notes)
UNREADABLE = 0.01  # of the training clips: as many, and always one, may turn out not to be decodable
LIMITS = recipe.Data()
BUCKET_BATCHES = 50  # batches sorted by length among themselves; more pads less and shuffles less

Clip = dict[str, np.ndarray]


class Clips(Dataset):
    """Waves and labels of examples; waves are decoded once where all of them fit in memory."""

    def __init__(self, examples: Sequence[Example], tokenizer: Tokenizer):
        self.examples = examples
        self.labels = [np.array(tokenizer.encode(example.text), dtype=np.int64) for example in examples]
        hours = sum(example.utterance.seconds for example in examples) / 3600
        self.cached = hours <= CACHE_HOURS
        self._waves: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Clip:
        return {"wave": self.wave(index), "labels": self.labels[index]}

    def wave(self, index: int) -> np.ndarray:
        """(samples,) of the clip as it is."""
        wave = self._waves.get(index)
        if wave is None:
            wave = self.examples[index].utterance.wave()
            if self.cached:
                self._waves[index] = wave
        return wave


class AugmentedClips(Clips):
    """Clips that sound different in each `epoch`, and the same whenever that epoch is heard again.

    The place of a clip that cannot be decoded, or of a streamed one that turns out not to be within the `limits`, is
    taken by the next one that can and is, which depends on nothing but the files, so that a resumed run hears the same.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        augment: recipe.Augment,
        splicer: Splicer | None,
        seed: int,
        limits: recipe.Data = LIMITS,
    ):
        super().__init__(examples, tokenizer)
        self.tokenizer = tokenizer
        self.augment = augment
        self.splicer = splicer
        self.seed = seed
        self.limits = limits
        self.epoch = 0
        # (reasons, clips) in shared memory: the workers of a data loader find them, the trainer is to know. The first
        # reason is that a clip cannot be decoded, the others are UNFIT.
        self.left_out = torch.zeros(1 + len(UNFIT), len(examples), dtype=torch.bool).share_memory_()

    def __getitem__(self, index: int) -> Clip:
        random = np.random.default_rng((self.seed, self.epoch, index))
        clip = self._spliced(index, random) or self._readable(index)
        fewest = ctc.min_frames(clip["labels"].tolist())
        return {"wave": augmented(clip["wave"], self.augment, random, fewest), "labels": clip["labels"]}

    def unreadable(self) -> list[str]:
        """The ids of the clips that could not be decoded since this run was started or resumed."""
        return [self.examples[index].utterance.id for index in self.left_out[0].nonzero().flatten().tolist()]

    def unfit(self) -> dict[str, int]:
        """Reason -> streamed clips that it kept out since this run was started or resumed."""
        counts = self.left_out[1:].sum(1).tolist()
        return {reason: count for reason, count in zip(UNFIT, counts, strict=True) if count}

    def check(self) -> None:
        """Raises CorpusError where more clips than UNREADABLE allows cannot be decoded, or all of them."""
        found = int(self.left_out[0].sum())
        if found > max(1, UNREADABLE * len(self)) or 0 < found == len(self):
            raise CorpusError(
                f"{found} of {len(self)} training clips cannot be decoded, e.g. {', '.join(self.unreadable()[:3])}: "
                "see that the corpus is where it was, or copy it again; then go on with the same command and --resume"
            )
        if bool(self.left_out.any(0).all()):
            raise CorpusError(
                f"none of {len(self)} training clips can be used ({self.unfit()}): check data.min_seconds and "
                "data.max_seconds, and that audio and text belong together"
            )

    def _readable(self, index: int) -> Clip:
        for other in itertools.count(index):
            place = other % len(self)
            try:
                clip = super().__getitem__(place)
                reason = unfit(self.examples[place], len(clip["wave"]), clip["labels"], self.limits)
                if not reason:
                    return clip
                self.left_out[1 + UNFIT.index(reason), place] = True
            except AudioError as error:
                if not self.left_out[0, place]:
                    self.left_out[0, place] = True
                    print(f"left out of training: {error}", file=sys.stderr)
            self.check()
        raise AssertionError

    def _spliced(self, index: int, random: np.random.Generator) -> Clip | None:
        if self.splicer is None or random.random() >= self.augment.splice_prob:
            return None
        try:
            spliced = self.splicer.splice(index, self.wave, random)
        except AudioError:
            return None
        if spliced is None:
            return None
        wave, written = spliced
        labels = np.array(self.tokenizer.encode(written), dtype=np.int64)
        long_enough = ctc.min_frames(labels.tolist()) <= FRAMES.count(len(wave))
        return {"wave": wave, "labels": labels} if long_enough else None


def collate(clips: Sequence[Clip]) -> dict[str, torch.Tensor]:
    """Clips to one batch: input_values (batch, samples) padded with 0, lengths (batch,), labels padded with -100.

    The batch is as long as the longest clip, rounded up to a multiple of WIDTH. No clips are a batch, too.
    """
    lengths = [len(clip["wave"]) for clip in clips]
    waves = np.zeros((len(clips), math.ceil(max(lengths, default=0) / WIDTH) * WIDTH), dtype=np.float32)
    labels = np.full((len(clips), max((len(clip["labels"]) for clip in clips), default=0)), -100, dtype=np.int64)
    for row, clip in enumerate(clips):
        waves[row, : lengths[row]] = clip["wave"]
        labels[row, : len(clip["labels"])] = clip["labels"]
    return {
        "input_values": torch.from_numpy(waves),
        "lengths": torch.tensor(lengths, dtype=torch.int64),
        "labels": torch.from_numpy(labels),
    }


class EpochSampler(Sampler[int]):
    """An order of `count` indices that is drawn anew each epoch, and the same whenever that epoch is heard again."""

    def __init__(self, count: int, batch_size: int, seed: int):
        self.count = count
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """accelerate calls this at the start of each epoch, on resuming too."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def random(self) -> np.random.Generator:
        """What the epoch's order is drawn with."""
        return np.random.default_rng((self.seed, self.epoch))


class BucketSampler(EpochSampler):
    """A new random order of the indices each epoch in which neighbours have like lengths.

    The shuffled indices are cut into pools of BUCKET_BATCHES batches, each pool sorted by length and cut into
    batches, and the batches of all pools shuffled, so that a batch has one length and the lengths come in no order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        super().__init__(len(lengths), batch_size, seed)
        self.lengths = np.asarray(lengths)

    def __iter__(self) -> Iterator[int]:
        random = self.random()
        order = random.permutation(len(self.lengths))
        pool = self.batch_size * BUCKET_BATCHES
        batches = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches += [part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size)]
        # An incomplete batch goes last: anywhere else it would shift all that follow across their buckets.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        random.shuffle(full)
        yield from (int(index) for batch in full + rest for index in batch)


class Shares(BatchSampler):
    """The batches of one of several ranks, which with those of the others are the batches of one process.

    Of each `batch_size` x `ranks` indices of the sampler a rank gets every `ranks`-th one, so that all have as many
    batches, of like lengths, and each index is one rank's. The last batch may be short, or empty.
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
