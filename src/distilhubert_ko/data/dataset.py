"""From a recipe's corpora to examples that can be trained on, with an account of everything that was dropped."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

from distilhubert_ko import model_folder
from distilhubert_ko.audio.frames import HUBERT_FRAMES, FrameGrid
from distilhubert_ko.data.corpora import Corpus, read_corpora
from distilhubert_ko.data.examples import Example, Split
from distilhubert_ko.data.fitness import (
    TOO_FEW_FRAMES,
    TOO_SHORT,
    has_enough_frames,
    reason_by_length,
    reason_unusable,
)
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.model_folder import DataRecord, OverlapRecord, SplitRecord, SplitsRecord
from distilhubert_ko.recipe import Corpora, Data, Recipe, Text
from distilhubert_ko.text.normalise import normalise
from distilhubert_ko.text.tokenizer import Tokenizer, Units


@dataclass(frozen=True)
class Dataset:
    """The splits of a recipe, and the vocabulary of its training text."""

    train: Split
    eval: Split
    test: Split
    tokenizer: Tokenizer
    grid: FrameGrid
    """The frames of the recipe's encoder."""

    def report(self) -> DataRecord:
        """Return the account that `distilhubert-ko prepare` prints and the model folder keeps as data.json."""
        splits = {"train": self.train, "eval": self.eval, "test": self.test}
        return DataRecord(
            units=self.tokenizer.units,
            vocabulary=len(self.tokenizer),
            splits={name: split.summary() for name, split in splits.items()},
            overlap_with_train={
                name: overlap_with_train(self.train, splits[name], self.tokenizer) for name in ("eval", "test")
            },
        )


def prepare_dataset(config: Recipe) -> Dataset:
    """Read, normalise and filter the recipe's corpora; the vocabulary comes from the training text alone.

    Raises CorpusError where nothing is left to train on or to evaluate.
    """
    data = config.data
    reading, grid = Reading.from_recipe(config), recipe_frames(config)
    train = usable_split(read_corpora(data.train, reading, measured=False), config.text, data)
    train = _alignable(train, _vocabulary(train, config.text.units), grid)
    tokenizer = _vocabulary(train, config.text.units)  # anew: what was left out is not learnt
    evaluation = read_scored_split(data.eval, config.text, reading)
    same = config.test_corpus == data.eval
    test = evaluation if same else read_scored_split(config.test_corpus, config.text, reading)
    return Dataset(train, evaluation, test, tokenizer, grid)


def recipe_frames(config: Recipe) -> FrameGrid:
    """Return the frames of a recipe's encoder: those of model.pretrained, if it is a folder or in the Hub's cache.

    Otherwise they are HuBERT's: no other encoder has random weights.
    """
    folder = model_folder.local_folder(config.model.pretrained)
    return model_folder.frame_grid(folder) if folder else HUBERT_FRAMES


def _vocabulary(train: Split, units: Units) -> Tokenizer:
    return Tokenizer.from_texts((example.text for example in train.examples), units)


def read_scored_split(specs: Corpora, rules: Text, reading: Reading) -> Split:
    """Return corpora to be scored on: no clip is left out for its length, only those that could not be scored."""
    return usable_split(read_corpora(specs, reading), rules, None)


def read_unlabelled(specs: Corpora, config: Recipe, *, measured: bool = True) -> Split:
    """Return the speech of corpora without transcripts, within the recipe's limits and long enough for a frame.

    Without `measured`, a streamed clip's length may be known only when it is fetched. Raises CorpusError where there is
    no speech.
    """
    corpus = read_corpora(specs, Reading.from_recipe(config), transcribed=False, measured=measured)
    dropped = _problems(corpus)
    examples = []
    for example in (Example(utterance, "") for utterance in corpus.utterances):
        reason = reason_by_length(example.utterance, config.data)
        if not reason and example.utterance.seconds_from != "text" and HUBERT_FRAMES.count(example.samples) < 1:
            reason = TOO_SHORT
        if reason:
            dropped[reason].append(example.utterance.id)
        else:
            examples.append(example)
    return _split(corpus, examples, dropped, "[data] min_seconds and max_seconds")


def usable_split(corpus: Corpus, rules: Text, limits: Data | None) -> Split:
    """Return the usable utterances of a corpus, with `limits` on their length where it is for training.

    Raises CorpusError where none is usable.
    """
    dropped = _problems(corpus)
    examples = []
    for utterance in corpus.utterances:
        written = normalise(utterance.text, spell=rules.foreign == "spell")
        reason = reason_unusable(utterance, written, limits)
        if reason:
            dropped[reason].append(utterance.id)
        else:
            examples.append(Example(utterance, written))
    return _split(corpus, examples, dropped, "[text] foreign")


def _problems(corpus: Corpus) -> dict[str, list[str]]:
    """Return reason -> ids of the utterances that could not be read."""
    dropped: dict[str, list[str]] = defaultdict(list)
    for problem in corpus.problems:
        dropped[problem.reason].append(problem.id)
    return dropped


def _split(corpus: Corpus, examples: list[Example], dropped: dict[str, list[str]], rule: str) -> Split:
    if not examples:
        reasons = ", ".join(f"{reason}: {len(ids)}" for reason, ids in dropped.items())
        raise CorpusError(f"{corpus.spec}: no usable utterance ({reasons}); check the corpus and {rule}")
    left_out = {reason: tuple(ids) for reason, ids in dropped.items()}
    return Split(corpus.spec, tuple(examples), left_out, corpus.revision)


def _alignable(split: Split, tokenizer: Tokenizer, grid: FrameGrid) -> Split:
    """Drop the utterances that have more labels than frames, because their CTC loss is infinite."""
    fits = [has_enough_frames(example, tokenizer, grid) for example in split.examples]
    kept = tuple(compress(split.examples, fits))
    lost = tuple(each.utterance.id for each, fit in zip(split.examples, fits, strict=True) if not fit)
    if not kept:
        raise CorpusError(
            f"{split.spec}: every utterance has more labels than frames; check that audio and text belong together"
        )
    return replace(split, examples=kept, left_out=split.left_out | ({TOO_FEW_FRAMES: lost} if lost else {}))


def check_unchanged(folder: Path, splits: dict[str, SplitRecord], *, resumed: bool = False) -> None:
    """Raise CorpusError if a run would read other shards than it began with, or, resumed, other clips.

    Args:
        folder: the run's, whose data.json says what it began with, where it has one.
        splits: the run's splits today.
        resumed: whether something has been learnt, from the clips of train, and been scored, on those of eval.
    """
    if not (folder / model_folder.DATA).is_file():
        return
    earlier = model_folder.read_record(SplitsRecord, folder / model_folder.DATA).splits
    for name, split in splits.items():
        parts = earlier.get(name), split
        old, new = (((each and each.source) or {}).get("layout") for each in parts)
        if old != new:
            was, now = ((each and each.revision) or "no commit of the Hub" for each in parts)
            raise CorpusError(
                f"{split.corpus} is not what this run began with ({name}: {was} then, {now} now): name that "
                "revision in the recipe, hub:NAME@REVISION#SPLIT, or put a folder's shards back, with their times; or "
                "begin a new run in a new --out"
            )
        if resumed and name != "test" and (old_split := earlier.get(name)) and not _same_clips(old_split, split):
            before, now = (f"{each.utterances:,} utterances, {each.hours:.2f} h" for each in (old_split, split))
            raise CorpusError(
                f"{split.corpus} is not what this run began with ({name}: {before} then, {now} now"
                f"{', with other ids, texts or lengths' if before == now else ''}): put the clips and their texts "
                "back, or begin a new run in a new --out"
            )


def _same_clips(one: SplitRecord, other: SplitRecord) -> bool:
    """Tell whether two splits have the same clips, as far as is known: an earlier version kept no digest of them."""
    if one.digest and other.digest:
        return one.digest == other.digest
    return (one.utterances, one.hours, one.distinct_sentences) == (
        other.utterances,
        other.hours,
        other.distinct_sentences,
    )


def overlap_with_train(train: Split, other: Split, tokenizer: Tokenizer) -> OverlapRecord:
    """Return what a split shares with the training split, and the units that the vocabulary lacks."""
    unknown = unknown_characters([example.text for example in other.examples], tokenizer)
    return OverlapRecord(
        shared_sentences=len(train.sentences & other.sentences),
        shared_speakers=len(train.speakers & other.speakers) if train.speakers and other.speakers else None,
        unknown_characters=dict(unknown.most_common()),
    )


def unknown_characters(texts: Sequence[str], tokenizer: Tokenizer) -> Counter[str]:
    """Count the units of the texts that the vocabulary lacks; each of them is a sure error."""
    return Counter(unit for written in texts for unit in tokenizer.unknown(written))
