"""Examples to batches: the waves in memory where they fit, augmented clips, and the collator."""

import contextlib
import itertools
import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import HUBERT_FRAMES, SAMPLE_RATE, FrameGrid
from distilhubert_ko.data.examples import Example
from distilhubert_ko.data.fitness import UNFIT, reason_unfit
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import AudioError, CorpusError
from distilhubert_ko.text.tokenizer import Tokenizer
from distilhubert_ko.training.augment import augment_wave
from distilhubert_ko.training.nonspeech import nonspeech, surround
from distilhubert_ko.training.splice import Splicer

CACHE_HOURS = 6.0  # of decoded speech kept in memory: 16,000 x 4 bytes x 3,600 s are 0.23 GB per hour
WIDTH = 6400  # samples, 0.4 s: batches are a multiple of it long, so that memory freed by one fits another (lab notes)
UNREADABLE = 0.01  # the share of training clips that may turn out not to be decodable; one always may
PAUSES = (0.1, 0.6)  # s, between clips that are joined
ALONE = 1 / 3  # of the clips that get what nobody says, those that it replaces
LIMITS = recipe.Data()

Clip = dict[str, np.ndarray]

logger = logging.getLogger(__name__)


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
        """Return the clip (samples,) as it is in its file."""
        wave = self._waves.get(index)
        if wave is None:
            wave = self.examples[index].utterance.wave()
            if self.cached:
                self._waves[index] = wave
        return wave


class AugmentedClips(Clips):
    """Clips that are augmented differently in each `epoch`, and in the same way whenever that epoch is repeated.

    A clip that cannot be decoded, or a streamed one that turns out not to be within the `limits`, is replaced by the
    next usable one. That depends on nothing but the files, so a resumed run trains on the same clips.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: Tokenizer,
        augment: recipe.Augment,
        splicer: Splicer | None,
        seed: int,
        limits: recipe.Data = LIMITS,
        grid: FrameGrid = HUBERT_FRAMES,
    ):
        super().__init__(examples, tokenizer)
        self.tokenizer = tokenizer
        self.augment = augment
        self.splicer = splicer
        self.seed = seed
        self.limits = limits
        self.grid = grid
        self.epoch = 0
        # (reasons, clips) in shared memory: workers of a data loader set them, and the trainer reads them. The first
        # reason is that a clip cannot be decoded, the others are UNFIT.
        self.left_out = torch.zeros(1 + len(UNFIT), len(examples), dtype=torch.bool).share_memory_()

    def __getitem__(self, index: int) -> Clip:
        random = np.random.default_rng((self.seed, self.epoch, index))
        clip = self._spliced(index, random) or self._readable(index)
        clip = self._joined(clip, self.followers(index, self.epoch), random)
        if self.augment.nonspeech_prob and self.epoch >= self.augment.nonspeech_after_epochs:
            clip = self._among_nonspeech(clip, random)
        fewest = ctc.min_frames(clip["labels"].tolist())
        return {"wave": augment_wave(clip["wave"], self.augment, random, fewest, self.grid), "labels": clip["labels"]}

    def decode(self) -> None:
        """Decode all clips now, so that the processes of a loader share them."""
        for index in range(len(self)):
            with contextlib.suppress(AudioError):  # told of when its turn comes
                self.wave(index)

    def unreadable(self) -> list[str]:
        """Return the ids of the clips that could not be decoded since this run was started or resumed."""
        return [self.examples[index].utterance.id for index in self.left_out[0].nonzero().flatten().tolist()]

    def unfit(self) -> dict[str, int]:
        """Return how many streamed clips each reason has excluded since this run was started or resumed."""
        counts = self.left_out[1:].sum(1).tolist()
        return {reason: count for reason, count in zip(UNFIT, counts, strict=True) if count}

    def check(self) -> None:
        """Raise CorpusError where more clips than UNREADABLE allows cannot be decoded, or all of them."""
        found = int(self.left_out[0].sum())
        if found > max(1, UNREADABLE * len(self)) or 0 < found == len(self):
            raise CorpusError(
                f"{found} of {len(self)} training clips cannot be decoded, e.g. {', '.join(self.unreadable()[:3])}: "
                "check that the corpus is where it was, or copy it again; then rerun the same command with --resume"
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
                reason = reason_unfit(self.examples[place], len(clip["wave"]), clip["labels"], self.limits, self.grid)
                if not reason:
                    return clip
                self.left_out[1 + UNFIT.index(reason), place] = True
            except AudioError as error:
                if not self.left_out[0, place]:
                    self.left_out[0, place] = True
                    logger.warning("left out of training: %s", error)
            self.check()
        raise AssertionError

    def followers(self, index: int, epoch: int) -> list[int]:
        """Return the clips that follow one in an epoch; with all pauses they end before data.max_seconds."""
        if not self.augment.join_prob:
            return []
        random = np.random.default_rng((self.seed, epoch, index, 1))
        if random.random() >= self.augment.join_prob:
            return []
        left = random.uniform(0, self.limits.max_seconds * SAMPLE_RATE) - self.examples[index].samples
        found: list[int] = []
        while True:
            other = int(random.integers(len(self)))
            left -= self.examples[other].samples + PAUSES[1] * SAMPLE_RATE
            if left < 0:
                return found
            found.append(other)

    def samples(self, epoch: int) -> list[int]:
        """Return how long each clip is in an epoch, with those that follow it, but for pauses and speed."""
        samples = [example.samples for example in self.examples]
        return [
            own + sum(samples[other] for other in self.followers(index, epoch)) for index, own in enumerate(samples)
        ]

    def _joined(self, clip: Clip, others: Sequence[int], random: np.random.Generator) -> Clip:
        """Return a clip with others after it, whole and after pauses."""
        waves, labels = [clip["wave"]], [clip["labels"]]
        for other in others:
            following = self._readable(other)
            waves += [np.zeros(int(random.uniform(*PAUSES) * SAMPLE_RATE), np.float32), following["wave"]]
            labels += [np.array([self.tokenizer.delimiter_id]), following["labels"]]
        return {"wave": np.concatenate(waves), "labels": np.concatenate(labels)}

    def _among_nonspeech(self, clip: Clip, random: np.random.Generator) -> Clip:
        """Return a clip as it is, or among what nobody says, or that alone in its place, with nothing to write."""
        drawn = random.random() / self.augment.nonspeech_prob
        if drawn < ALONE:
            return {"wave": nonspeech(len(clip["wave"]), random), "labels": clip["labels"][:0]}
        return {"wave": surround(clip["wave"], random), "labels": clip["labels"]} if drawn < 1 else clip

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
        long_enough = ctc.min_frames(labels.tolist()) <= self.grid.count(len(wave))
        return {"wave": wave, "labels": labels} if long_enough else None


def collate(clips: Sequence[Clip]) -> dict[str, torch.Tensor]:
    """Return a batch: input_values (batch, samples) padded with 0, lengths (batch,), labels padded with -100.

    The batch is as long as the longest clip, rounded up to a multiple of WIDTH. It may have no clips.
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
