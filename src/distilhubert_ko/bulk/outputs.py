"""The shards of a bulk transcription: their inputs, how they are transcribed, and the files that they become.

A shard is done once its Parquet file exists. Until then, a draft records which inputs were begun and their results.
So after a worker dies, the next one neither starts over nor dies of the same recording for ever.
"""

import hashlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_duration, load_audio
from distilhubert_ko.bulk.inputs import UNKNOWN, BulkInput, InputKey, Storage, is_remote, readable_name
from distilhubert_ko.errors import AudioError, DistilhubertKoError, InputError, reason
from distilhubert_ko.files.writing import json_text, replaced_file, write_text
from distilhubert_ko.recognition import windows
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript

LARGEST, LONGEST = 64, 300.0  # inputs and seconds per shard; a single input may be longer
GROUP = 16  # inputs begun at once: what the death of a worker costs
ATTEMPTS = 3  # workers that may die on one input before it is recorded as a failure
LATE = 1000  # stands for an input that took too long, where the workers are counted that died on it
PATIENCE, SLOWEST = 1200.0, 10.0  # seconds that a group may take, and further ones per second of its audio
LONG = 3600.0  # seconds of audio that an input of unknown length may have
DRAFTS = "_drafts"
PARQUET, JSONL = ".parquet", ".jsonl"
OWN = re.compile("part-[0-9a-f]{16}")

logger = logging.getLogger(__name__)

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
_UNWRITTEN = [
    pyarrow.field("text", pyarrow.string()),
    pyarrow.field("start", pyarrow.float64()),
    pyarrow.field("end", pyarrow.float64()),
]
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
        pyarrow.field("unwritten", pyarrow.list_(pyarrow.struct(_UNWRITTEN))),
    ]
)
"""A record: the input, the reason of a failure (null without one), and the JSON form of its transcript."""

Record = dict[str, Any]
Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class BulkShard:
    """Inputs that one worker transcribes, and how often earlier runs began each without finishing it."""

    inputs: tuple[BulkInput, ...]
    begun: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return a name that only these inputs have."""
        keys = json.dumps([each.key for each in self.inputs])
        return f"part-{hashlib.sha256(keys.encode()).hexdigest()[:16]}"


@dataclass
class ShardDraft:
    """An unfinished shard: its records so far by input number, and how often each input was begun."""

    shard: BulkShard
    records: dict[int, Record] = field(default_factory=dict)
    begun: list[int] = field(default_factory=list)

    def to_json(self) -> str:
        keys = [each.key for each in self.shard.inputs]
        return json_text({"inputs": keys, "begun": self.begun, "records": self.records})

    @classmethod
    def from_json(cls, content: str) -> "ShardDraft":
        read = json.loads(content)
        shard = BulkShard(tuple(BulkInput(*key) for key in read["inputs"]), tuple(read["begun"]))
        return cls(shard, {int(number): record for number, record in read["records"].items()}, read["begun"])

    def next_inputs(self) -> list[int]:
        """Return the numbers of the inputs to begin now: several new ones, or one on which a worker may have died."""
        open_ = [number for number in range(len(self.shard.inputs)) if number not in self.records]
        if open_ and self.begun[open_[0]]:
            return open_[:1]
        return [number for number in open_ if not self.begun[number]][:GROUP]


def cut_shards(wanted: Iterable[BulkInput], begun: dict[InputKey, int]) -> list[BulkShard]:
    """Return shards of inputs with similar lengths, longest first, so that no long shard is left for the end."""
    shards: list[BulkShard] = []
    held: list[BulkInput] = []

    def close() -> None:
        if held:
            shards.append(BulkShard(tuple(held), tuple(begun.get(each.key, 0) for each in held)))
            held.clear()

    for each in sorted(wanted, key=lambda each: (-each.seconds, each.key.audio, each.key.offset, each.id)):
        if len(held) == LARGEST or sum(other.seconds for other in held) + each.seconds > LONGEST:
            close()
        held.append(each)
    close()
    return shards


def transcribe_shard(shard: BulkShard, out: Path, storage: Storage, transcriber: Transcriber) -> None:
    """Transcribe a shard and write its files into the folder `out`, resuming from its draft if there is one.

    An input that cannot be read or transcribed gets a record with the reason. Raises InputError if `out` cannot be
    written.
    """
    place = out / DRAFTS / f"{shard.name}.json"
    draft = (draft_or_none(place) if place.exists() else None) or ShardDraft(shard, {}, [*shard.begun])
    while numbers := draft.next_inputs():
        if (begun := draft.begun[numbers[0]]) >= ATTEMPTS:
            what = (
                "it took too long to transcribe" if begun >= LATE else f"{ATTEMPTS} workers died while transcribing it"
            )
            fault = f"{what}: leave it out, or convert it and try again"
            draft.records[numbers[0]] = _record(shard.inputs[numbers[0]], fault)
            continue
        for number in numbers:
            draft.begun[number] += 1
        write_text(place, draft.to_json())
        group = [shard.inputs[number] for number in numbers]
        with _ending_worker(time_limit(group), draft, numbers, place):
            draft.records |= zip(numbers, _records(group, storage, transcriber), strict=True)
    write_shard([draft.records[number] for number in sorted(draft.records)], shard.name, out)
    place.unlink(missing_ok=True)


def time_limit(group: Sequence[BulkInput]) -> float:
    """Return the seconds that inputs may take together. A length that is not known may be long."""
    return PATIENCE + SLOWEST * sum(each.seconds if each.seconds != UNKNOWN else LONG for each in group)


@contextmanager
def _ending_worker(seconds: float, draft: ShardDraft, numbers: Sequence[int], place: Path) -> Iterator[None]:
    """End this process if the block takes longer. A single input counts as late, and is not begun again.

    Of several, each is then begun alone, as after any death. Nothing else ends a library that does not return.
    """

    def end() -> None:
        if len(numbers) == 1:
            draft.begun[numbers[0]] = LATE
            write_text(place, draft.to_json())
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def own_parts(folder: Path, suffix: str) -> list[Path]:
    """Return the files of shards in a folder, whose names only this program gives."""
    return sorted(path for path in folder.glob(f"*{suffix}") if OWN.fullmatch(path.name.removesuffix(suffix)))


def draft_or_none(place: Path) -> ShardDraft | None:
    """Return a draft, or None for a corrupt one, whose inputs are transcribed again."""
    try:
        return read_draft(place)
    except InputError as error:
        logger.warning("%s", error)
        return None


def write_shard(records: Sequence[Record], name: str, out: Path) -> None:
    """Write the two files of a shard. The Parquet file comes last, because it marks the shard as done."""
    lines = "".join(json_text(record) + "\n" for record in records)
    write_text(out / f"{name}{JSONL}", lines)
    place = out / f"{name}{PARQUET}"
    try:
        with replaced_file(place) as temporary:
            parquet.write_table(pyarrow.Table.from_pylist(list(records), SCHEMA), temporary)
    except OSError as error:
        raise InputError(
            f"{place} cannot be written ({error}): free some space, or give another folder as --out"
        ) from error


def read_draft(place: Path) -> ShardDraft:
    """Read a draft. Raises InputError for a corrupt file."""
    try:
        return ShardDraft.from_json(place.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{place} is corrupt ({reason(error)}): its inputs are transcribed again") from error


def read_shard(place: Path) -> list[dict[str, Any]]:
    """Return the key, `error` and `duration` of each record of a shard. Raises InputError for a corrupt file."""
    try:
        return parquet.read_table(place, columns=[*InputKey._fields, "error", "duration"]).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{place} is corrupt ({error}): delete it, and its inputs are transcribed again") from error


def _records(group: Sequence[BulkInput], storage: Storage, transcriber: Transcriber) -> Iterator[Record]:
    """Yield a record per input. Short inputs go through the network in batches of similar length, long ones alone."""
    opened = [_attempt(_wave_or_transcript, each, storage, transcriber) for each in group]
    waves = [each for each in opened if isinstance(each, np.ndarray)]
    together = _attempt(_together, transcriber, waves)
    # If the batch fails, try each wave alone, because a single one may be the cause.
    results = iter([_attempt(transcriber, wave) for wave in waves] if isinstance(together, str) else together)
    for each, result in zip(group, opened, strict=True):
        yield _record(each, next(results) if isinstance(result, np.ndarray) else result)


def _attempt(step: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result | str:
    """Return the result of a step, or the reason why it failed."""
    try:
        return step(*given, **named)
    except DistilhubertKoError as error:
        return str(error)
    except Exception as error:  # a corrupt file may raise anything in a library; the other inputs continue
        return f"{type(error).__name__}: {error}"


def _wave_or_transcript(
    each: BulkInput, storage: Storage, transcriber: Transcriber
) -> Transcript | NDArray[np.float32]:
    """Return the wave of a short input, or the transcript of a long one, which need not fit in memory."""
    if not is_remote(each.audio) and os.path.exists(each.audio) and not os.path.isfile(each.audio):
        raise AudioError(f"{each.audio} is no ordinary file: give one")  # a pipe may never end
    source = storage.read(each.audio) if is_remote(each.audio) else each.audio
    whole = not each.offset and each.length is None
    if whole and audio_duration(source) * SAMPLE_RATE > windows.WINDOW:
        return transcriber(source)
    wave = load_audio(source, each.offset, each.length)
    return wave if len(wave) <= windows.WINDOW else transcriber(wave)


def _together(transcriber: Transcriber, waves: Sequence[NDArray[np.float32]]) -> list[Transcript]:
    matrices = transcriber.log_probs(waves)
    return [transcriber.transcript(matrix, len(wave)) for matrix, wave in zip(matrices, waves, strict=True)]


def _record(each: BulkInput, result: Transcript | str) -> Record:
    record: Record = {**each.key._asdict(), "error": readable_name(result) if isinstance(result, str) else None}
    return record if isinstance(result, str) else record | json.loads(result.to_json())
