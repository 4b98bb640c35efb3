"""Bulk transcription on Ray Data: actors with one Transcriber each take shards of recordings and write the files.

The output folder alone holds the progress of a run. If a worker dies, Ray restarts it within the run. If this process
or the machine dies, the same command continues the run.
"""

import os
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data

from distilhubert_ko import model_folder
from distilhubert_ko.bulk.engine import ray_engine
from distilhubert_ko.bulk.inputs import BulkInput, InputKey, Storage, read_inputs
from distilhubert_ko.bulk.outputs import (
    DRAFTS,
    JSONL,
    PARQUET,
    BulkShard,
    cut_shards,
    draft_or_none,
    own_parts,
    read_shard,
    transcribe_shard,
    write_shard,
)
from distilhubert_ko.decoding.decoder import HOTWORD_WEIGHT, DecodingOptions
from distilhubert_ko.decoding.language_model import UNIGRAMS
from distilhubert_ko.errors import BulkError, DistilhubertKoError, InputError
from distilhubert_ko.files.digests import kept_sha256
from distilhubert_ko.files.reading import read_json_object
from distilhubert_ko.files.writing import write_json
from distilhubert_ko.recognition.formats import Numerals
from distilhubert_ko.recognition.transcriber import Transcriber

SUCCESS = "_SUCCESS"  # as Hadoop and Spark call it
SETTINGS = "_settings.json"
DEATHS = 20  # workers that may die in a row before any has loaded the model: then the model is the cause
ROUNDS = 3  # times that Ray may give up without finishing a shard in between


@dataclass(frozen=True)
class WorkerOptions:
    """How each worker transcribes: the folder or Hub id of the model, CPU threads per worker, decoding settings, and
    how numbers are written."""

    model: str
    threads: int
    settings: DecodingOptions
    numerals: Numerals = Numerals.WORDS

    def transcriber(self) -> Transcriber:
        return Transcriber(self.model, self.threads, device="cpu", numerals=self.numerals, **self.settings)

    def record(self) -> dict[str, Any]:
        """Return what two runs into one folder must have in common: every content that a transcript depends on."""
        transcriber = self.transcriber()
        folder, decoder = transcriber.folder, transcriber.decoder
        record: dict[str, Any] = {
            "graph": kept_sha256(model_folder.graph(folder)),
            "model": model_folder.origin(folder),
            "decoding": decoder.record(),
            "search": asdict(decoder.options),
        }
        if decoder.model:
            files = (decoder.model.path, decoder.model.path.with_name(UNIGRAMS))
            digests = [kept_sha256(file) for file in files if file.is_file()]
            record["language_model"] = {"sha256": digests, **asdict(decoder.weights)}
        if self.settings.get("hotwords"):
            record["hotword_weight"] = self.settings.get("hotword_weight", HOTWORD_WEIGHT)
        if self.numerals != Numerals.WORDS:
            record["numerals"] = self.numerals.value
        return record


@dataclass(frozen=True)
class BulkCounts:
    """The number of records in the output folder, of failures among them, and seconds of audio in the others."""

    records: int
    failures: int
    seconds: float


class Worker:
    """An actor that transcribes one shard at a time and returns its number of inputs."""

    def __init__(self, work: WorkerOptions, out: Path):
        self._out, self._storage = out, Storage()
        self._transcriber = work.transcriber()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[int]]:
        (pickled,) = batch["shard"]
        shard = pickle.loads(pickled)
        transcribe_shard(shard, self._out, self._storage, self._transcriber)
        return {"inputs": [len(shard.inputs)]}


def transcribe_all(
    source: str,
    out: Path,
    work: WorkerOptions,
    *,
    workers: int | None = None,
    address: str | None = None,
    allow_outside: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> BulkCounts:
    """Transcribe a folder or a manifest (see `read_inputs`) into Parquet and JSONL files in the folder `out`.

    Inputs with a record in `out` are skipped. At the end each input has exactly one record, which may be a failure, and
    `out` has the file _SUCCESS. `workers` is the number of actors, by default as many as the CPUs allow. `address` is
    that of a Ray cluster; without it, Ray starts on this machine and stops at the end. `allow_outside` goes to
    `read_inputs`. `on_progress` receives the number of inputs done and the number of all inputs.

    Raises InputError if something cannot be read or written, or if `out` belongs to another model or other settings.
    Raises whatever Transcriber raises, UnavailableError if the cluster cannot be reached, and BulkError if inputs
    remain without a record.
    """
    out = out.absolute()
    wanted = read_inputs(source, Storage(), allow_outside)
    _claim(out, work)
    begun = _gather(out)
    done = {_key(record) for record in _finished(out)}
    todo = [each for each in wanted if each.key not in done]
    if todo:
        (out / SUCCESS).unlink(missing_ok=True)
        with ray_engine(address, work.threads, workers) as size:
            through = len(wanted) - len(todo)
            for count in _run(cut_shards(todo, begun), work, out, size):
                through += count
                if on_progress:
                    on_progress(through, len(wanted))
    return _conclude(wanted, out)


def _claim(out: Path, work: WorkerOptions) -> None:
    """Write the model and the settings into `out`, or raise InputError if it already belongs to others."""
    place, record = out / SETTINGS, work.record()
    if not place.exists():
        foreign = [out / SUCCESS, out / DRAFTS, *own_parts(out, PARQUET), *own_parts(out, JSONL)]
        if found := [path.name for path in foreign if os.path.lexists(path)]:
            raise InputError(
                f"{out} holds {found[0]}, but no {SETTINGS} of the run that it would belong to: give another folder "
                "as --out"
            )
        write_json(place, record)
    elif read_json_object(place, InputError, "name another folder as --out") != record:
        raise InputError(
            f"{out} has transcripts by another model or with other settings (see {SETTINGS} in it): give another "
            "folder as --out, or the same options"
        )


def _gather(out: Path) -> dict[InputKey, int]:
    """Write the records of unfinished shards to files, and return how often each remaining input was begun."""
    for place in own_parts(out, JSONL):
        if not place.with_suffix(PARQUET).exists():
            place.unlink()  # its shard is not done
    begun: dict[InputKey, int] = {}
    for place in own_parts(out / DRAFTS, ".json"):
        draft = draft_or_none(place)
        if draft and not _done(draft.shard, out):
            listed = draft.shard.inputs
            if ready := sorted(draft.records):
                part = BulkShard(tuple(listed[number] for number in ready), (0,) * len(ready))
                write_shard([draft.records[number] for number in ready], part.name, out)
            unfinished = draft.records.keys() ^ range(len(listed))
            begun |= {listed[number].key: draft.begun[number] for number in unfinished}
        place.unlink()
    return begun


def _done(shard: BulkShard, out: Path) -> bool:
    return (out / f"{shard.name}{PARQUET}").exists()


def _finished(out: Path) -> list[dict[str, Any]]:
    """Return the records of all finished shards in a folder, as `read_shard` does."""
    return [record for place in own_parts(out, PARQUET) for record in read_shard(place)]


def _key(record: dict[str, Any]) -> InputKey:
    return InputKey(*(record[name] for name in InputKey._fields))


def _conclude(wanted: Sequence[BulkInput], out: Path) -> BulkCounts:
    """Write _SUCCESS and return its counts. Raises BulkError unless every input has exactly one record."""
    records = _finished(out)
    found = Counter(map(_key, records))
    if wrong := [each for each in wanted if found[each.key] != 1]:
        raise BulkError(
            f"{out}: {len(wrong):,} inputs have no record or several, such as {wrong[0].audio}: delete the files "
            f"part-*{PARQUET} that hold it, and rerun the command, with no other run into this folder"
        )
    failures = sum(record["error"] is not None for record in records)
    counts = BulkCounts(len(records), failures, round(sum(record["duration"] or 0.0 for record in records), 3))
    write_json(out / SUCCESS, asdict(counts))
    return counts


def _run(todo: list[BulkShard], work: WorkerOptions, out: Path, workers: int) -> Iterator[int]:
    """Transcribe all shards, and yield the number of inputs of each as it finishes.

    Ray itself restarts actors and passes a shard on to another one. If it gives up, for example because a lost node
    held the shards, another round takes the rest.
    """
    futile = 0
    while todo:
        try:
            yield from _round(todo, work, out, workers)
            return
        except DistilhubertKoError as error:  # Ray wraps it and adds lines of its own
            cause = getattr(error, "cause", error)
            raise type(cause)(str(cause).partition("\n")[0]) from None
        except ray.exceptions.RayError as error:
            left = [each for each in todo if not _done(each, out)]
            futile = futile + 1 if len(left) == len(todo) else 0
            if futile == ROUNDS:
                reason = str(error).strip().rpartition("\n")[2]
                raise BulkError(
                    f"Ray gave up ({reason}): finished records are kept; read the logs of Ray, and rerun the command"
                ) from error
            todo = left


def _round(todo: Sequence[BulkShard], work: WorkerOptions, out: Path, workers: int) -> Iterator[int]:
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.raise_original_map_exception = True
    context.max_consecutive_actor_init_deaths = DEATHS
    with ray.data.DataContext.current(context):
        rows = ray.data.from_items([{"shard": pickle.dumps(each)} for each in todo], override_num_blocks=len(todo))
        results = rows.map_batches(
            Worker,
            fn_constructor_args=(work, out),
            batch_size=1,
            # One shard at a time, so that none waits behind a long one while other workers are idle.
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(todo)), max_tasks_in_flight_per_actor=1),
            num_cpus=work.threads,
        )
        for row in results.iter_rows():
            yield int(row["inputs"])
