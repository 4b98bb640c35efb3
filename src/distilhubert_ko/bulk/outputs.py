"""The shards of a bulk transcription: what they hold, how one is worked off, and the files that it leaves.

A shard is done when its Parquet file is there. Until then a draft says what was begun and what came of it, so that
whoever takes the shard up after a worker's death neither starts over nor dies of the same recording for ever.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_duration, load_audio
from distilhubert_ko.bulk import inputs
from distilhubert_ko.bulk.inputs import Input, Key, Storage
from distilhubert_ko.errors import DistilhubertKoError, InputError
from distilhubert_ko.files import writing
from distilhubert_ko.recognition import windows
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript

LARGEST, LONGEST = 64, 300.0  # inputs and seconds of a shard; one input may be longer
GROUP = 16  # inputs that are begun at once: as much as a worker's death costs
ATTEMPTS = 3  # an input during which as many workers died gets a failure for its record
DRAFTS = "_drafts"
PARQUET, JSONL = ".parquet", ".jsonl"

_SYLLABLE = [
    pyarrow.field("text", pyarrow.string()),
    *(pyarrow.field(name, pyarrow.float64()) for name in ("start", "end", "confidence")),
]
_WORD = [*_SYLLABLE, pyarrow.field("syllables", pyarrow.list_(pyarrow.struct(_SYLLABLE)))]
_SEGMENT = [
    pyarrow.field("id", pyarrow.int64()),
    *_SYLLABLE,
    pyarrow.field("words", pyarrow.list_(pyarrow.struct(_WORD))),
]
_ALTERNATIVE = [pyarrow.field("text", pyarrow.string()), pyarrow.field("score", pyarrow.float64())]
SCHEMA = pyarrow.schema(
    [
        pyarrow.field("id", pyarrow.string()),
        pyarrow.field("audio", pyarrow.string()),
        pyarrow.field("offset", pyarrow.float64()),
        pyarrow.field("length", pyarrow.float64()),
        pyarrow.field("error", pyarrow.string()),
        pyarrow.field("text", pyarrow.string()),
        pyarrow.field("language", pyarrow.string()),
        pyarrow.field("duration", pyarrow.float64()),
        pyarrow.field("segments", pyarrow.list_(pyarrow.struct(_SEGMENT))),
        pyarrow.field("alternatives", pyarrow.list_(pyarrow.struct(_ALTERNATIVE))),
    ]
)
"""A record: the input, why it failed (null: it did not), and the json form of its transcript."""

Record = dict[str, Any]
Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Shard:
    """Inputs that are done together, and how often each was begun in an earlier run without coming to an end."""

    inputs: tuple[Input, ...]
    begun: tuple[int, ...]

    @property
    def name(self) -> str:
        """One for these inputs alone."""
        keys = json.dumps([each.key for each in self.inputs])
        return f"part-{hashlib.sha256(keys.encode()).hexdigest()[:16]}"


@dataclass
class Draft:
    """An unfinished shard: records so far, and how often each input was begun, both by the input's number in it."""

    shard: Shard
    records: dict[int, Record] = field(default_factory=dict)
    begun: list[int] = field(default_factory=list)

    def to_json(self) -> str:
        keys = [each.key for each in self.shard.inputs]
        return json.dumps({"inputs": keys, "begun": self.begun, "records": self.records}, ensure_ascii=False)

    @classmethod
    def from_json(cls, content: str) -> "Draft":
        read = json.loads(content)
        shard = Shard(tuple(Input(*key) for key in read["inputs"]), tuple(read["begun"]))
        return cls(shard, {int(number): record for number, record in read["records"].items()}, read["begun"])

    def next(self) -> list[int]:
        """The inputs to begin now: several that nobody has begun, or one of which a worker may have died."""
        open_ = [number for number in range(len(self.shard.inputs)) if number not in self.records]
        if open_ and self.begun[open_[0]]:
            return open_[:1]
        return [number for number in open_ if not self.begun[number]][:GROUP]


def cut(wanted: Iterable[Input], begun: dict[Key, int]) -> list[Shard]:
    """Inputs in shards of like lengths, the longest first, so that no worker is left alone with them at the end."""
    shards: list[Shard] = []
    held: list[Input] = []

    def close() -> None:
        if held:
            shards.append(Shard(tuple(held), tuple(begun.get(each.key, 0) for each in held)))
            held.clear()

    for each in sorted(wanted, key=lambda each: (-each.seconds, each.key.audio, each.key.offset, each.id)):
        if len(held) == LARGEST or sum(other.seconds for other in held) + each.seconds > LONGEST:
            close()
        held.append(each)
    close()
    return shards


def work(shard: Shard, out: Path, storage: Storage, transcriber: Transcriber) -> None:
    """Writes the files of a shard into the folder `out`, going on from its draft if there is one.

    What cannot be read or transcribed gets a record with the reason. Raises InputError where `out` cannot be written.
    """
    place = out / DRAFTS / f"{shard.name}.json"
    draft = Draft.from_json(place.read_text(encoding="utf-8")) if place.exists() else Draft(shard, {}, [*shard.begun])
    while numbers := draft.next():
        if draft.begun[numbers[0]] >= ATTEMPTS:
            reason = f"{ATTEMPTS} workers died while it was transcribed: leave it out, or convert it and try again"
            draft.records[numbers[0]] = _record(shard.inputs[numbers[0]], reason)
            continue
        for number in numbers:
            draft.begun[number] += 1
        writing.write_text(place, draft.to_json())
        group = [shard.inputs[number] for number in numbers]
        draft.records |= zip(numbers, _records(group, storage, transcriber), strict=True)
    write([draft.records[number] for number in sorted(draft.records)], shard.name, out)
    place.unlink(missing_ok=True)


def write(records: Sequence[Record], name: str, out: Path) -> None:
    """The two files of a shard; the Parquet file, which says that it is done, comes last."""
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    writing.write_text(out / f"{name}{JSONL}", lines)
    place = out / f"{name}{PARQUET}"
    aside = out / f".{secrets.token_hex(4)}.tmp"
    try:
        try:
            parquet.write_table(pyarrow.Table.from_pylist(list(records), SCHEMA), aside)
            aside.replace(place)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{place} cannot be written ({error}): make room, or name another folder as --out") from error


def read(place: Path) -> list[dict[str, Any]]:
    """Of each record of a shard its key, and its `error` and `duration`. InputError for a damaged file."""
    try:
        return parquet.read_table(place, columns=[*Key._fields, "error", "duration"]).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{place} is damaged ({error}): delete it, and its inputs are done again") from error


def _records(group: Sequence[Input], storage: Storage, transcriber: Transcriber) -> Iterator[Record]:
    """A record for each input: short ones go through the network in batches of like length, long ones alone."""
    heard = [_attempt(_heard, each, storage, transcriber) for each in group]
    waves = [each for each in heard if isinstance(each, np.ndarray)]
    together = _attempt(_together, transcriber, waves)
    # Where that fails, one of them may be to blame, and the others are not.
    results = iter([_attempt(transcriber, wave) for wave in waves] if isinstance(together, str) else together)
    for each, result in zip(group, heard, strict=True):
        yield _record(each, next(results) if isinstance(result, np.ndarray) else result)


def _attempt(step: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result | str:
    """What a step gives, or the reason why it gives nothing."""
    try:
        return step(*given, **named)
    except DistilhubertKoError as error:
        return str(error)
    except Exception as error:  # whatever a damaged file makes a library say, the others go on
        return f"{type(error).__name__}: {error}"


def _heard(each: Input, storage: Storage, transcriber: Transcriber) -> Transcript | NDArray[np.float32]:
    """The wave of a short input, the transcript of a long one, which need not be in memory as a whole."""
    source = storage.read(each.audio) if inputs.remote(each.audio) else each.audio
    whole = not each.offset and each.length is None
    if whole and audio_duration(source) * SAMPLE_RATE > windows.WINDOW:
        return transcriber(source)
    wave = load_audio(source, each.offset, each.length)
    return wave if len(wave) <= windows.WINDOW else transcriber(wave)


def _together(transcriber: Transcriber, waves: Sequence[NDArray[np.float32]]) -> list[Transcript]:
    matrices = transcriber.log_probs(waves)
    return [transcriber.transcript(matrix, len(wave)) for matrix, wave in zip(matrices, waves, strict=True)]


def _record(each: Input, result: Transcript | str) -> Record:
    record: Record = {**each.key._asdict(), "error": result if isinstance(result, str) else None}
    return record if isinstance(result, str) else record | json.loads(result.to_json())
