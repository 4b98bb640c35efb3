"""Utterances with the transcripts that a model is to write, and a corpus of them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import Utterance
from distilhubert_ko.model_folder import SplitRecord


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
    """The usable utterances of a corpus, and those that were dropped, by reason."""

    spec: str
    examples: tuple[Example, ...]
    left_out: dict[str, tuple[str, ...]]
    """Reason -> ids of utterances that cannot be used."""
    revision: str | None = None
    """The commit of a corpus on the Hub."""

    @property
    def dropped(self) -> dict[str, int]:
        """Return reason -> number of utterances that cannot be used."""
        return {reason: len(ids) for reason, ids in self.left_out.items()}

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
        """Return the account of this split in data.json."""
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
            digest=self.digest,
            dropped_clips={reason: list(ids) for reason, ids in self.left_out.items()} or None,
        )

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the ids, the texts and the lengths, where those were measured, of all examples."""
        found = hashlib.sha256()
        for each in self.examples:
            samples = each.samples if each.utterance.seconds_from == "audio" else None
            found.update(json.dumps([each.utterance.id, each.text, samples]).encode())
        return found.hexdigest()

    @property
    def hours_from(self) -> str:
        """The least certain place that lengths come from: see Utterance."""
        found = {example.utterance.seconds_from for example in self.examples}
        return next(place for place in ("text", "corpus", "audio") if place in found)

    @property
    def source(self) -> dict[str, Any] | None:
        """The shards of a streamed corpus, as `describe_shards` gives them."""
        audios = [example.utterance.audio for example in self.examples]
        if all(isinstance(audio, Path) for audio in audios):
            return None
        from distilhubert_ko.data.shards import describe_shards  # and pyarrow with it

        return describe_shards(audios)
