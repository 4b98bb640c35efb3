"""From a recipe's corpora to examples that can be trained on, with an account of everything that was dropped."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.audio.frames import FRAMES, SAMPLE_RATE
from distilhubert_ko.data.corpora import Corpus, Utterance, read_corpus
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.model_folder import DataRecord, OverlapRecord, SplitRecord, SplitsRecord
from distilhubert_ko.text.normalise import foreign_characters, normalise
from distilhubert_ko.text.tokenizer import Tokenizer, Units

TOO_SHORT, TOO_LONG, TOO_FEW_FRAMES = UNFIT = ("too short", "too long", "more labels than frames")
"""Why the length of a clip keeps it out of training."""


@dataclass(frozen=True)
class Example:
    """An utterance with its transcript as the model should write it."""

    utterance: Utterance
    text: str

    @property
    def samples(self) -> int:
        return round(self.utterance.seconds * SAMPLE_RATE)


@dataclass(frozen=True)
class Split:
    spec: str
    examples: tuple[Example, ...]
    dropped: dict[str, int]
    """Reason -> utterances."""
    revision: str | None = None
    """The commit of a corpus on the Hub."""

    @property
    def hours(self) -> float:
        return sum(example.utterance.seconds for example in self.examples) / 3600

    @property
    def speakers(self) -> set[str]:
        return {e.utterance.speaker for e in self.examples if e.utterance.speaker is not None}

    @property
    def sentences(self) -> set[str]:
        return {example.text for example in self.examples}

    def summary(self) -> SplitRecord:
        transcribed = self.sentences != {""}
        return SplitRecord(
            corpus=self.spec,
            revision=self.revision or None,
            utterances=len(self.examples),
            hours=round(self.hours, 3),
            hours_from=self.hours_from,
            speakers=len(self.speakers),
            distinct_sentences=len(self.sentences) if transcribed else None,
            dropped=self.dropped,
            source=self.source or None,
        )

    @property
    def hours_from(self) -> str:
        """The least certain of where lengths come from: see Utterance."""
        found = {example.utterance.seconds_from for example in self.examples}
        return next(place for place in ("text", "corpus", "audio") if place in found)

    @property
    def source(self) -> dict[str, Any] | None:
        """Of a streamed corpus, what `shards.source` says."""
        audios = [example.utterance.audio for example in self.examples]
        if all(isinstance(audio, Path) for audio in audios):
            return None
        from distilhubert_ko.data import shards  # and pyarrow with it

        return shards.source(audios)


@dataclass(frozen=True)
class Dataset:
    train: Split
    eval: Split
    test: Split
    tokenizer: Tokenizer

    def report(self) -> DataRecord:
        """The account that `distilhubert-ko prepare` prints and the model folder keeps as data.json."""
        splits = {"train": self.train, "eval": self.eval, "test": self.test}
        return DataRecord(
            units=self.tokenizer.units,
            vocabulary=len(self.tokenizer),
            splits={name: split.summary() for name, split in splits.items()},
            overlap_with_train={name: overlap(self.train, splits[name], self.tokenizer) for name in ("eval", "test")},
        )


def prepare(config: recipe.Recipe) -> Dataset:
    """Reads, normalises and filters the recipe's corpora; the vocabulary comes from the training text alone.

    Raises CorpusError where nothing is left to train on or to evaluate.
    """
    data = config.data
    corpus = _read(data.train, config, measured=False)
    train = split(corpus, config.text, data)
    train = _alignable(train, _vocabulary(train, config.text.units))
    tokenizer = _vocabulary(train, config.text.units)  # anew: what was left out is not learnt
    reading = Reading.from_recipe(config)
    evaluation = read_scored_split(data.eval, config.text, reading)
    same = config.test_corpus == data.eval
    test = evaluation if same else read_scored_split(config.test_corpus, config.text, reading)
    return Dataset(train, evaluation, test, tokenizer)


def _vocabulary(train: Split, units: Units) -> Tokenizer:
    return Tokenizer.from_texts((example.text for example in train.examples), units)


def read_scored_split(spec: str, rules: recipe.Text, reading: Reading) -> Split:
    """Return a corpus to be scored on: no clip is left out for its length, only those that could not be scored."""
    return split(read_corpus(spec, reading), rules, None)


def _read(spec: str, config: recipe.Recipe, *, transcribed: bool = True, measured: bool = True) -> Corpus:
    return read_corpus(spec, Reading.from_recipe(config), transcribed=transcribed, measured=measured)


def unlabelled(spec: str, config: recipe.Recipe, *, measured: bool = True) -> Split:
    """The speech of a corpus, transcripts aside, that is within the recipe's limits and long enough for a frame.

    Without `measured`, a streamed clip's length may be known only when it is heard. Raises CorpusError where there is
    no speech.
    """
    corpus = _read(spec, config, transcribed=False, measured=measured)
    dropped = Counter(problem.reason for problem in corpus.problems)
    examples = []
    for example in (Example(utterance, "") for utterance in corpus.utterances):
        reason = _length(example.utterance, config.data)
        if not reason and example.utterance.seconds_from != "text" and FRAMES.count(example.samples) < 1:
            reason = TOO_SHORT
        if reason:
            dropped[reason] += 1
        else:
            examples.append(example)
    return _split(corpus, examples, dropped, "[data] min_seconds and max_seconds")


def split(corpus: Corpus, rules: recipe.Text, limits: recipe.Data | None) -> Split:
    """The usable utterances of a corpus, with `limits` on their length where it is for training.

    Raises CorpusError where none is usable.
    """
    dropped = Counter(problem.reason for problem in corpus.problems)
    examples = []
    for utterance in corpus.utterances:
        written = normalise(utterance.text, spell=rules.foreign == "spell")
        reason = _unusable(utterance, written, limits)
        if reason:
            dropped[reason] += 1
        else:
            examples.append(Example(utterance, written))
    return _split(corpus, examples, dropped, "[text] foreign")


def _split(corpus: Corpus, examples: list[Example], dropped: Counter[str], rule: str) -> Split:
    if not examples:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in dropped.items())
        raise CorpusError(f"{corpus.spec}: no usable utterance ({reasons}); check the corpus and {rule}")
    return Split(corpus.spec, tuple(examples), dict(dropped), corpus.revision)


def _unusable(utterance: Utterance, written: str, limits: recipe.Data | None) -> str:
    if not written:
        return "empty text"
    if foreign_characters(written):
        return "digits, Latin letters or other scripts"
    return _length(utterance, limits) if limits else ""


def _length(utterance: Utterance, limits: recipe.Data) -> str:
    """Why a clip is not wanted; a guess at its length is no reason."""
    if utterance.seconds_from == "text":
        return ""
    if utterance.seconds < limits.min_seconds:
        return TOO_SHORT
    return TOO_LONG if utterance.seconds > limits.max_seconds else ""


def _alignable(split_: Split, tokenizer: Tokenizer) -> Split:
    """Without the utterances that have more labels than frames, whose CTC loss is infinite."""
    kept = tuple(example for example in split_.examples if has_frames(example, tokenizer))
    lost = len(split_.examples) - len(kept)
    if not kept:
        raise CorpusError(
            f"{split_.spec}: every utterance has more labels than frames; do audio and text belong together?"
        )
    dropped = split_.dropped | ({TOO_FEW_FRAMES: lost} if lost else {})
    return replace(split_, examples=kept, dropped=dropped)


def has_frames(example: Example, tokenizer: Tokenizer) -> bool:
    """Whether the clip has the frames that CTC needs for its labels, as far as its length is known."""
    if example.utterance.seconds_from == "text":
        return True
    return ctc.min_frames(tokenizer.encode(example.text)) <= FRAMES.count(example.samples)


def unfit(example: Example, samples: int, labels: NDArray[np.int64], limits: recipe.Data) -> str:
    """Why a clip that turns out to have so many samples is left out of training, as it would have been before.

    A clip whose length was measured is fit.
    """
    if example.utterance.seconds_from == "audio":
        return ""
    heard = replace(example.utterance, seconds=samples / SAMPLE_RATE, seconds_from="audio")
    fewest = max(1, ctc.min_frames(labels.tolist()))
    return _length(heard, limits) or ("" if fewest <= FRAMES.count(samples) else TOO_FEW_FRAMES)


def check_unchanged(folder: Path, splits: dict[str, SplitRecord]) -> None:
    """Raise CorpusError if a resumed run would read other shards than it began with.

    Args:
        folder: the run's, whose data.json says what it began with, where it has one.
        splits: the run's splits today.
    """
    if not (folder / model_folder.DATA).is_file():
        return
    earlier = model_folder.read_record(SplitsRecord, folder / model_folder.DATA).splits
    for name, split_ in splits.items():
        parts = earlier.get(name), split_
        old, new = (((each and each.source) or {}).get("layout") for each in parts)
        if old != new:
            was, now = ((each and each.revision) or "no commit of the Hub" for each in parts)
            raise CorpusError(
                f"{split_.corpus} is not what this run began with ({name}: {was} then, {now} now): name that "
                "revision in the recipe, hub:NAME@REVISION#SPLIT, or put a folder's shards back, with their times; or "
                "begin a new run in a new --out"
            )


def overlap(train: Split, other: Split, tokenizer: Tokenizer) -> OverlapRecord:
    unknown = unknown_characters([example.text for example in other.examples], tokenizer)
    return OverlapRecord(
        shared_sentences=len(train.sentences & other.sentences),
        shared_speakers=len(train.speakers & other.speakers),
        unknown_characters=dict(unknown.most_common()),
    )


def unknown_characters(texts: Sequence[str], tokenizer: Tokenizer) -> Counter[str]:
    """Units of the texts that the vocabulary lacks, counted; each of them is a sure error."""
    return Counter(unit for written in texts for unit in tokenizer.unknown(written))


def describe(report: DataRecord) -> str:
    """Return a data report as lines for a terminal."""
    lines = [f"units: {report.units}, vocabulary {report.vocabulary}"]
    for name, split_ in report.splits.items():
        lines.append(describe_split(name, split_))
        if shared := report.overlap_with_train.get(name):
            unknown = shared.unknown_characters
            shown = "".join(list(unknown)[:20])
            lines.append(
                f"  shared with train: {shared.shared_sentences:,} sentences, {shared.shared_speakers} speakers; "
                f"unknown characters: {sum(unknown.values()):,}{f' ({shown})' if unknown else ''}"
            )
    return "\n".join(lines)


def describe_split(name: str, summary: SplitRecord) -> str:
    """Return the summary of a split as lines for a terminal."""
    lines = [
        f"{name}: {summary.corpus}: {summary.utterances:,} utterances, "
        f"{'about ' if summary.hours_from == 'text' else ''}{summary.hours:.2f} h, "
        f"{summary.speakers} speakers"
        + (f", {summary.distinct_sentences:,} distinct sentences" if summary.distinct_sentences is not None else "")
    ]
    if source := summary.source:
        lines.append(
            f"  streamed: {source['gigabytes']:.2f} GB in {source['shards']:,} shards and {source['row_groups']:,} row "
            f"groups; at most {source['spool_gigabytes']:.2f} GB are kept"
        )
    return "\n".join(lines + [f"  dropped, {reason}: {count:,}" for reason, count in summary.dropped.items()])
