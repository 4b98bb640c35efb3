"""Corpora as utterances: what to read, which part of it, and what in it cannot be used.

A corpus is named by a spec, `scheme:location#split`, for instance `zeroth:data/zeroth_korean#train`.
"""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.reading import audio_duration, load_audio
from distilhubert_ko.data import audio_cache, corpus_formats
from distilhubert_ko.data.audio_cache import AudioCache, Length
from distilhubert_ko.data.corpus_formats import Audio, Entry
from distilhubert_ko.data.reading import DEFAULT_READING, Reading
from distilhubert_ko.errors import AudioError, CorpusError, RecipeError, UnavailableError

SCHEMES = ("folder", "hub", "kaldi", "librispeech", "manifest", "synthetic", "zeroth")

_WHOLE = 0.1  # s: manifests round durations, so a slice this near to the whole file is the whole file

SAMPLE = 64  # clips whose lengths tell how long a character lasts


@dataclass(frozen=True)
class Utterance:
    """One clip and its transcript, as the corpus spells it (in NFC).

    `seconds` is the clip's length, found where `seconds_from` says. A clip that is a slice of a longer file starts at
    `offset` seconds and has a `duration` unless it runs to the end; a whole file has offset 0 and duration None. What
    is decoded is kept in `cache`, if there is one.
    """

    id: str
    audio: Audio
    text: str
    speaker: str | None
    seconds: float
    offset: float = 0.0
    duration: float | None = None
    gender: str | None = None
    cache: AudioCache | None = None
    seconds_from: Literal["audio", "corpus", "text"] = "audio"
    """The header of the sound; or, where that is far away, a column of the corpus, or a guess by the text's length."""

    def wave(self) -> NDArray[np.float32]:
        """(samples,) float32 at 16 kHz.

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
    """An utterance that was left out: "audio missing", "audio unreadable" or "no transcript"."""

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
        spec: `scheme:location`, or `scheme:location#split`. The schemes are `SCHEMES`.
        reading: where and how corpora are read.
        transcribed: whether an utterance without a transcript is a problem, or gets the text "".
        measured: whether streamed sound is fetched once for its length, or the length is what the corpus lists or,
            as a guess, follows from the text's.

    Raises:
        CorpusError: no such scheme, corpus or split; a malformed line; a file that may not be named; an id that
            occurs twice; or nothing that can be used. A single missing or unreadable clip is a Problem, not an error.
        RecipeError: a heldout rule that is not understood.
        UnavailableError: the Hub could not be reached.
        MissingExtraError: a Hub corpus without the `datasets` package.
        InputError: the cache cannot be written.
    """
    scheme, location, split = _parse(spec)
    every = _every(reading.heldout)
    streamed = reading.streaming and scheme == "hub"
    part = split if every is None else None
    if scheme == "hub":
        entries, revision = (_streamed if streamed else corpus_formats.hub)(location, part)
    else:
        entries, revision = _entries(scheme, location, reading), None
    twice = [key for key, count in Counter(entry.id for entry in entries).items() if count > 1]
    if twice:
        raise CorpusError(f"{spec} lists {len(twice)} ids twice, e.g. {twice[0]}: give each utterance its own id")
    if split:
        entries = _of_split(spec, entries, split, every)
    kept = audio_cache.opened(reading.cache) if reading.cache and not streamed else None
    wanted = [entry for entry in entries if entry.text or not transcribed]
    sources = dict.fromkeys(entry.audio for entry in wanted if entry.audio is not None)
    heard = measured or not streamed
    if heard:
        lengths = kept.lengths(f"{spec} in {reading.root.absolute()}", sources, _lengths) if kept else _lengths(sources)
    else:
        lengths = _guess(wanted)
    found = [_utterance(entry, lengths, heard, transcribed, kept) for entry in entries]
    utterances = [each for each in found if isinstance(each, Utterance)]
    problems = [each for each in found if isinstance(each, Problem)]
    if not utterances:
        first = f" (e.g. {problems[0].id}: {problems[0].reason})" if problems else ""
        raise CorpusError(f"{spec}: none of {len(entries)} entries can be used{first}: check the path and the scheme")
    return Corpus(spec, tuple(utterances), tuple(problems), revision)


def _parse(spec: str) -> tuple[str, str, str | None]:
    match = re.fullmatch(r"(\w+):(.+?)(?:#([^#/]+))?", spec)
    if match is None:
        raise CorpusError(f"{spec!r} names no corpus: write scheme:location#split, e.g. zeroth:PATH#train")
    scheme, location, split = match.groups()
    if scheme not in SCHEMES:
        near = difflib.get_close_matches(scheme, SCHEMES, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise CorpusError(f"{spec}: no scheme {scheme!r}: {meant}the schemes are {', '.join(SCHEMES)}")
    return scheme, location, split


def _every(heldout: str) -> int | None:
    if not heldout:
        return None
    match = re.fullmatch(r"every (\d+)(?:st|nd|rd|th) speaker", heldout)
    if match is None or int(match[1]) < 3:
        raise RecipeError(f'heldout = "{heldout}" is not understood: write "every 8th speaker", with 3rd or more')
    return int(match[1])


def _streamed(location: str, split: str | None) -> tuple[list[Entry], str | None]:
    from distilhubert_ko.data import shards  # and pyarrow with it

    return shards.entries(location, split)


def _entries(scheme: str, location: str, reading: Reading) -> list[Entry]:
    """Everything that a corpus on this machine lists."""
    path = reading.root / Path(location).expanduser()
    if scheme in ("folder", "kaldi", "librispeech", "zeroth") and not path.is_dir():
        raise CorpusError(f"{scheme}:{location}: there is no folder {path}: check the path")
    match scheme:
        case "folder":
            return corpus_formats.audiofolder(path, reading.fence(path))
        case "kaldi":
            return corpus_formats.kaldi(path, reading.fence(path.parent))
        case "librispeech":
            return corpus_formats.librispeech(path)
        case "manifest":
            return corpus_formats.manifest(path, fence=reading.fence(path.parent))
        case "synthetic":
            from distilhubert_ko.data import synthetic

            files = sorted(synthetic.corpus_folder(location).glob("*.jsonl"))
            return [entry for file in files for entry in corpus_formats.manifest(file, split=file.stem)]
        case _:
            return corpus_formats.zeroth(path)


def _of_split(spec: str, entries: list[Entry], split: str, every: int | None) -> list[Entry]:
    """The entries of one split: the corpus's own where it has some, else by the held-out rule."""
    own = sorted({entry.split for entry in entries if entry.split})
    if every is None and not own:
        raise CorpusError(f'{spec}: this corpus has no splits: set heldout = "every 8th speaker" in [data]')
    if every is None or {"test", "dev"} <= set(own):
        if split not in own:
            raise CorpusError(f"{spec}: no split {split!r}: this corpus has {', '.join(own)}")
        return [entry for entry in entries if entry.split == split]
    if "test" not in own:
        return _held_out(spec, entries, split, every, ("test", "dev"))
    if split in own and split != "train":
        return [entry for entry in entries if entry.split == split]
    entries = [entry for entry in entries if entry.split == "train"]
    return _held_out(spec, entries, split, every, ("dev", "train"))


def _held_out(spec: str, entries: list[Entry], split: str, every: int, parts: tuple[str, str]) -> list[Entry]:
    """Every `every`th speaker goes to the first of `parts`, the next one to the second, the rest to train."""
    if split not in ("train", "dev", "test"):
        raise CorpusError(f"{spec}: no split {split!r}: the heldout rule makes train, dev and test")
    if any(entry.speaker is None for entry in entries):
        raise CorpusError(f"{spec}: heldout needs the speaker of every utterance: add them or drop heldout")
    speakers = sorted({entry.speaker for entry in entries if entry.speaker is not None})
    part = dict.fromkeys(speakers, "train")
    part |= dict.fromkeys(speakers[every - 1 :: every], parts[0])
    part |= dict.fromkeys(speakers[every::every], parts[1])
    chosen = [entry for entry in entries if entry.speaker is not None and part[entry.speaker] == split]
    if not chosen:
        raise CorpusError(f"{spec}: {len(speakers)} speakers are too few for {split!r}: hold out more often")
    return chosen


def _guess(entries: list[Entry]) -> dict[Audio, Length]:
    """Seconds as listed; where none are, in proportion to the characters, as in the first SAMPLE of such clips."""
    unlisted = [entry for entry in entries if entry.seconds is None][:SAMPLE]
    heard = [(entry, _length(entry.audio)) for entry in unlisted if entry.audio is not None]
    measured = [(length, _characters(entry)) for entry, length in heard if not isinstance(length, str)]
    pace = sum(length for length, _ in measured) / max(1, sum(characters for _, characters in measured))
    return {
        entry.audio: pace * _characters(entry) if entry.seconds is None else entry.seconds
        for entry in entries
        if entry.audio is not None
    }


def _characters(entry: Entry) -> int:
    return max(1, len((entry.text or "").replace(" ", "")))


def _lengths(sources: Collection[Audio]) -> dict[Audio, Length]:
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(sources, pool.map(_length, sources), strict=True))


def _length(source: Audio) -> Length:
    """Seconds, or the reason why there are none."""
    try:
        if isinstance(source, Path):
            if source.is_file():
                return audio_duration(source)
            # A pipe or a device among the files of a corpus might keep the reader for ever.
            return "audio unreadable" if source.exists() else "audio missing"
        return audio_duration(source())
    except FileNotFoundError:
        return "audio missing"
    except UnavailableError:
        raise
    except (AudioError, OSError):
        return "audio unreadable"


def _utterance(
    entry: Entry, lengths: dict[Audio, Length], heard: bool, transcribed: bool, cache: AudioCache | None
) -> Utterance | Problem:
    text = unicodedata.normalize("NFC", entry.text or "")
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
        entry.id,
        entry.audio,
        text,
        entry.speaker,
        rest if duration is None else duration,
        entry.offset,
        duration,
        entry.gender,
        cache,
        "audio" if heard else "text" if entry.seconds is None else "corpus",
    )
