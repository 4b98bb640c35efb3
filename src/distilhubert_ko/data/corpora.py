"""Corpora as utterances: what to read, which part of it, and what in it cannot be used.

A corpus is named by a spec, `scheme:location#split`, for instance `zeroth:data/zeroth_korean#train`.
"""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.data.audio_cache import AudioCache, open_cache
from distilhubert_ko.data.lengths import Length, guess_lengths, measure_lengths
from distilhubert_ko.data.readers.aihub import inner_corpus
from distilhubert_ko.data.readers.columns import Columns, split_columns
from distilhubert_ko.data.readers.entries import Audio, Entry
from distilhubert_ko.data.readers.marks import refuse_annotations
from distilhubert_ko.data.readers.registry import READERS
from distilhubert_ko.data.reading import DEFAULT_READING, Reading
from distilhubert_ko.data.splits import parse_heldout, select_split
from distilhubert_ko.errors import AudioError, CorpusError, UnavailableError
from distilhubert_ko.recipe import Corpora, listed_corpora

METADATA = ("metadata.*", "*/metadata.*", "*.tsv", "text", "wav.scp", "utt2spk", "segments", "*.trn", "*/*.trn")
NAMED_COLUMNS = ("folder", "hub", "manifest")
"""Schemes whose columns a spec may name."""
_WHOLE = 0.1  # s: manifests round durations, so a slice this near to the whole file is the whole file


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One clip and its transcript, as the corpus spells it (in NFC).

    `seconds` is the clip's length, found where `seconds_from` says. A clip that is a slice of a longer file starts at
    `offset` seconds and has a `duration` unless it runs to the end. A whole file has offset 0 and duration None. What
    is decoded is kept in `cache`, if there is one.
    """

    id: str
    audio: Audio
    text: str
    speaker: str | None
    seconds: float
    written: str | None = None
    """How the text is written, where the corpus tells that from what was said."""
    offset: float = 0.0
    duration: float | None = None
    gender: str | None = None
    cache: AudioCache | None = None
    seconds_from: Literal["audio", "corpus", "text"] = "audio"
    """The audio's header; or, where the audio is far away, a column of the corpus, or a guess by the text's length."""

    def wave(self) -> NDArray[np.float32]:
        """Return the wave (samples,), float32 at 16 kHz.

        Raises AudioError as `load_audio` does, InputError for a cache without room, and UnavailableError.
        """
        try:
            if self.cache:
                return self.cache.wave(self.audio, self.offset, self.duration)
            source = self.audio if isinstance(self.audio, Path) else self.audio()
            return load_audio(source, self.offset, self.duration)
        except UnavailableError:
            raise  # an OSError, which says nothing about the clip
        except (AudioError, OSError) as error:
            raise AudioError(f"utterance {self.id}: {error}") from error


@dataclass(frozen=True)
class Problem:
    """An utterance that was left out: "audio missing", "audio unreadable", "no transcript", or why that is unclear."""

    id: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """The utterances that a spec gives, in the corpus's order, and the problems met on the way."""

    spec: str
    utterances: tuple[Utterance, ...]
    problems: tuple[Problem, ...]
    revision: str | None = None
    """The commit of a corpus on the Hub."""

    @property
    def hours(self) -> float:
        return sum(utterance.seconds for utterance in self.utterances) / 3600

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(sorted({utterance.speaker for utterance in self.utterances if utterance.speaker is not None}))


def read_corpus(
    spec: str, reading: Reading = DEFAULT_READING, *, transcribed: bool = True, measured: bool = True
) -> Corpus:
    """Read a corpus, or one split of it. The audio itself is read only as far as its headers.

    Args:
        spec: `scheme:location`, or `scheme:location#split`. The schemes are those of `READERS`.
        reading: where and how corpora are read.
        transcribed: whether an utterance without a transcript is a problem, or gets the text "".
        measured: whether streamed audio is fetched once for its length. Otherwise the length is what the corpus lists,
            or a guess by the length of the text.

    Raises:
        CorpusError: no such scheme, corpus or split; a malformed line; a file that may not be named; an id that
            occurs twice; AI Hub's marks where the scheme does not expect them; or nothing that can be used. A single
            missing or unreadable clip is a Problem, not an error.
        RecipeError: a heldout rule that is not understood.
        UnavailableError: the Hub could not be reached.
        MissingExtraError: a Hub corpus without the `datasets` package.
        InputError: the cache cannot be written.
    """
    scheme, location, split, columns = _parse_spec(spec)
    every = parse_heldout(reading.heldout)
    listing = READERS[scheme](location, split if every is None else None, replace(reading, columns=columns))
    twice = [key for key, count in Counter(entry.id for entry in listing.entries).items() if count > 1]
    if twice:
        raise CorpusError(f"{spec} lists {len(twice)} ids twice, e.g. {twice[0]}: give each utterance its own id")
    entries = select_split(spec, listing.entries, split, every) if split else listing.entries
    if not listing.annotated:
        refuse_annotations(spec, entries)
    wanted = [entry for entry in entries if entry.text or not transcribed]
    measured = measured or not listing.streamed
    cache = open_cache(reading.cache) if reading.cache and not listing.streamed else None
    if not measured:
        lengths = guess_lengths(wanted)
    else:
        sources = dict.fromkeys(entry.audio for entry in wanted if entry.audio is not None)
        name = f"{spec} in {reading.root.absolute()}"
        lengths = cache.lengths(name, sources, measure_lengths) if cache else measure_lengths(sources)
    found = [_utterance(entry, lengths, measured, transcribed, cache) for entry in entries]
    utterances = [each for each in found if isinstance(each, Utterance)]
    problems = [each for each in found if isinstance(each, Problem)]
    if not utterances:
        first = f" (e.g. {problems[0].id}: {problems[0].reason})" if problems else ""
        hint = listing.hint or "check the path and the scheme"
        raise CorpusError(f"{spec}: none of {len(entries)} entries can be used{first}: {hint}")
    return Corpus(spec, tuple(utterances), tuple(problems), listing.revision)


def read_corpora(
    specs: Corpora, reading: Reading = DEFAULT_READING, *, transcribed: bool = True, measured: bool = True
) -> Corpus:
    """Read one corpus, or several as one, in their order; otherwise as `read_corpus`."""
    return merge_corpora(
        [read_corpus(spec, reading, transcribed=transcribed, measured=measured) for spec in listed_corpora(specs)]
    )


def merge_corpora(parts: Sequence[Corpus]) -> Corpus:
    """Return corpora as one, in their order. Raises CorpusError where two of them have an utterance of the same id."""
    if len(parts) == 1:
        return parts[0]
    counts = Counter(utterance.id for part in parts for utterance in part.utterances)
    twice = [key for key, count in counts.items() if count > 1]
    spec = " + ".join(part.spec for part in parts)
    if twice:
        raise CorpusError(f"{spec}: {len(twice)} ids occur in more than one, e.g. {twice[0]}: rename those of one")
    revisions = " + ".join(part.revision or "none" for part in parts) if any(part.revision for part in parts) else None
    return Corpus(
        spec,
        tuple(utterance for part in parts for utterance in part.utterances),
        tuple(problem for part in parts for problem in part.problems),
        revisions,
    )


def listing_files(specs: Corpora, reading: Reading = DEFAULT_READING) -> list[Path]:
    """Return the files that list corpora on this machine: a manifest, or the metadata in a folder or below it.

    They need not exist. A command must not write its output over them. Raises CorpusError for a spec of no corpus.
    """
    files: list[Path] = []
    for spec in listed_corpora(specs):
        scheme, location, *_ = _parse_spec(spec)
        scheme, location = _innermost(scheme, location)
        if scheme not in ("hub", "synthetic"):
            place = reading.path(location)
            files += [place, *(found for pattern in METADATA for found in place.glob(pattern))]
    return files


def _parse_spec(spec: str) -> tuple[str, str, str | None, Columns]:
    match = re.fullmatch(r"(\w+):(.+?)(?:#([^#/]+))?", spec)
    if match is None:
        raise CorpusError(f"{spec!r} names no corpus: write scheme:location#split, e.g. zeroth:PATH#train")
    scheme, location, split = match.groups()
    if scheme not in READERS:
        near = difflib.get_close_matches(scheme, READERS, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise CorpusError(f"{spec}: no scheme {scheme!r}: {meant}the schemes are {', '.join(READERS)}")
    location, columns = split_columns(location)
    inner, _ = _innermost(scheme, location)
    if columns.given and inner not in NAMED_COLUMNS:
        raise CorpusError(f"{spec}: columns are named for {', '.join(NAMED_COLUMNS)}, not for {scheme}: drop the ?...")
    return scheme, location, split, columns


def _innermost(scheme: str, location: str) -> tuple[str, str]:
    """Return scheme and location of the corpus that is read: of the inner one in aihub:SCHEME:LOCATION."""
    return (scheme == "aihub" and inner_corpus(location)) or (scheme, location)


def _utterance(
    entry: Entry, lengths: Mapping[Audio, Length], measured: bool, transcribed: bool, cache: AudioCache | None
) -> Utterance | Problem:
    text = unicodedata.normalize("NFC", entry.text or "")
    if transcribed and entry.problem:
        return Problem(entry.id, entry.problem)
    if transcribed and (not text or text.isspace()):
        return Problem(entry.id, "no transcript")
    if entry.audio is None:
        return Problem(entry.id, "audio missing")
    length = lengths[entry.audio]
    if isinstance(length, str):
        return Problem(entry.id, length)
    if entry.offset >= length:
        return Problem(entry.id, "audio unreadable")
    rest = length - entry.offset
    duration = entry.duration if entry.duration is not None and entry.duration < rest - _WHOLE else None
    return Utterance(
        id=entry.id,
        audio=entry.audio,
        text=text,
        speaker=entry.speaker,
        seconds=rest if duration is None else duration,
        written=entry.written and unicodedata.normalize("NFC", entry.written),
        offset=entry.offset,
        duration=duration,
        gender=entry.gender,
        cache=cache,
        seconds_from="audio" if measured else "text" if entry.seconds is None else "corpus",
    )
