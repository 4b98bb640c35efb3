"""Bulk transcription on Ray Data: shards of recordings go to actors with a Transcriber each, which write the files.

What is done lies in the output folder alone, so whatever dies, a run goes on from there: a worker in this run, by Ray's
restarts; this process or the machine, when the command is given again.
"""

import contextlib
import hashlib
import json
import logging
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
from distilhubert_ko.bulk import inputs, outputs
from distilhubert_ko.bulk.inputs import Input, Key, Storage
from distilhubert_ko.bulk.outputs import Draft, Shard
from distilhubert_ko.decoding.decoder import Settings
from distilhubert_ko.errors import BulkError, DistilhubertKoError, InputError, UnavailableError
from distilhubert_ko.files import writing
from distilhubert_ko.recognition.transcriber import Transcriber

SUCCESS = "_SUCCESS"  # as Hadoop and Spark call it
SETTINGS = "_settings.json"
OBJECT_STORE = 200_000_000  # bytes of memory for what Ray passes around, which is only the lists of inputs
DEATHS = 20  # workers that die one after another before any of them has loaded the model: then it is the model's fault
ROUNDS = 3  # times that Ray may give up without a shard done in between


@dataclass(frozen=True)
class Work:
    """What each worker does: the model's folder or Hub id, CPU threads of a worker, and how it decodes."""

    model: str
    threads: int
    settings: Settings

    def transcriber(self) -> Transcriber:
        return Transcriber(self.model, self.threads, device="cpu", **self.settings)

    def record(self) -> dict[str, Any]:
        """What two runs into one folder must have in common."""
        transcriber = self.transcriber()
        graph = hashlib.sha256(model_folder.graph(transcriber.folder).read_bytes()).hexdigest()
        return {"graph": graph, "decoding": transcriber.decoder.record()}


@dataclass(frozen=True)
class Counts:
    """Records in the output folder, those of them that are failures, and the seconds of audio in the others."""

    records: int
    failures: int
    seconds: float


class Worker:
    """An actor: takes a shard at a time, and says how many inputs it had."""

    def __init__(self, work: Work, out: Path):
        self._out, self._storage = out, Storage()
        self._transcriber = work.transcriber()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[int]]:
        (pickled,) = batch["shard"]
        shard = pickle.loads(pickled)
        outputs.work(shard, self._out, self._storage, self._transcriber)
        return {"inputs": [len(shard.inputs)]}


def transcribe(
    source: str,
    out: Path,
    work: Work,
    *,
    workers: int | None = None,
    address: str | None = None,
    allow_outside: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> Counts:
    """Transcribes a folder or a manifest (see inputs.read) into Parquet and JSONL files in the folder `out`.

    Inputs that have a record in `out` are skipped; afterwards each has exactly one, failures included, and `out` has
    the file _SUCCESS. `workers` is the number of actors; by default as many as there are CPUs for. `address` is that of
    a Ray cluster; without it, Ray is started here and stopped again. `allow_outside` is that of inputs.read.
    `on_progress` is told the inputs done and all.

    Raises InputError for what cannot be read or written and for an `out` of another model or other settings, what
    Transcriber raises, UnavailableError where the cluster cannot be reached, and BulkError where inputs stay without
    a record.
    """
    out = out.absolute()
    wanted = inputs.read(source, Storage(), allow_outside)
    _claim(out, work)
    begun = _gather(out)
    done = {_key(record) for record in _finished(out)}
    todo = [each for each in wanted if each.key not in done]
    if todo:
        (out / SUCCESS).unlink(missing_ok=True)
        with engine(address, work.threads, workers) as size:
            through = len(wanted) - len(todo)
            for count in _run(outputs.cut(todo, begun), work, out, size):
                through += count
                if on_progress:
                    on_progress(through, len(wanted))
    return _conclude(wanted, out)


def _claim(out: Path, work: Work) -> None:
    """Says in `out` what is done there, or raises InputError where it was something else."""
    place, record = out / SETTINGS, work.record()
    if not place.exists():
        writing.write_json(place, record)
    elif json.loads(place.read_text(encoding="utf-8")) != record:
        raise InputError(
            f"{out} has transcripts by another model or with other settings ({SETTINGS} in it says which): give "
            "another folder as --out, or the same options"
        )


def _gather(out: Path) -> dict[Key, int]:
    """Turns what an earlier run left unfinished into files of its own; how often each other input was begun."""
    for place in out.glob(f"*{outputs.JSONL}"):
        if not place.with_suffix(outputs.PARQUET).exists():
            place.unlink()  # its shard was not done
    begun: dict[Key, int] = {}
    for place in sorted(out.glob(f"{outputs.DRAFTS}/*.json")):
        draft = Draft.from_json(place.read_text(encoding="utf-8"))
        if not _done(draft.shard, out):
            listed = draft.shard.inputs
            if ready := sorted(draft.records):
                part = Shard(tuple(listed[number] for number in ready), (0,) * len(ready))
                outputs.write([draft.records[number] for number in ready], part.name, out)
            unfinished = draft.records.keys() ^ range(len(listed))
            begun |= {listed[number].key: draft.begun[number] for number in unfinished}
        place.unlink()
    return begun


def _done(shard: Shard, out: Path) -> bool:
    return (out / f"{shard.name}{outputs.PARQUET}").exists()


def _finished(out: Path) -> list[dict[str, Any]]:
    """All records in a folder, as outputs.read gives them."""
    return [record for place in sorted(out.glob(f"*{outputs.PARQUET}")) for record in outputs.read(place)]


def _key(record: dict[str, Any]) -> Key:
    return Key(*(record[name] for name in Key._fields))


def _conclude(wanted: Sequence[Input], out: Path) -> Counts:
    """Writes _SUCCESS. BulkError unless every input has one record."""
    records = _finished(out)
    found = Counter(map(_key, records))
    if wrong := [each for each in wanted if found[each.key] != 1]:
        raise BulkError(
            f"{out}: {len(wrong):,} inputs have no record, or several, such as {wrong[0].audio}: let one run at a time "
            f"write there, delete the files part-*{outputs.PARQUET} that have it, and give the command again"
        )
    failures = sum(record["error"] is not None for record in records)
    counts = Counts(len(records), failures, round(sum(record["duration"] or 0.0 for record in records), 3))
    writing.write_json(out / SUCCESS, asdict(counts))
    return counts


@contextlib.contextmanager
def engine(address: str | None, threads: int, workers: int | None) -> Iterator[int]:
    """Ray, unless it runs already in this process; how many workers to have."""
    if ray.is_initialized():
        yield workers or _room(threads)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # not 15: how far to give way is for who gives the command to say
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if address:
            ray.init(address, **quiet)
        else:
            cpus = threads * (workers or max(1, (os.cpu_count() or 1) // threads))
            ray.init("local", num_cpus=cpus, object_store_memory=OBJECT_STORE, include_dashboard=False, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = address or "on this machine"
        raise UnavailableError(
            f"Ray cannot be used {where} ({error}): give as --address HOST:6379 of a cluster with this version of Ray, "
            "or leave it out"
        ) from error
    try:
        yield workers or _room(threads)
    finally:
        ray.shutdown()


def _room(threads: int) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1) // threads))


def _run(todo: list[Shard], work: Work, out: Path, workers: int) -> Iterator[int]:
    """Has all shards done; yields, as they come, how many inputs are.

    Ray restarts actors and gives a shard to another one by itself. Where it gives up nevertheless, as when a node is
    gone with the lists of inputs, another round takes what is left.
    """
    futile = 0
    while todo:
        try:
            yield from _round(todo, work, out, workers)
            return
        except DistilhubertKoError as error:  # by way of Ray, which wraps it and adds lines of its own
            cause = getattr(error, "cause", error)
            raise type(cause)(str(cause).partition("\n")[0]) from None
        except ray.exceptions.RayError as error:
            left = [each for each in todo if not _done(each, out)]
            futile = futile + 1 if len(left) == len(todo) else 0
            if futile == ROUNDS:
                reason = str(error).strip().rpartition("\n")[2]
                raise BulkError(
                    f"Ray gave up ({reason}): what is done is kept; look into Ray's logs, and give the command again"
                ) from error
            todo = left


def _round(todo: Sequence[Shard], work: Work, out: Path, workers: int) -> Iterator[int]:
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
            # A shard at a time, so that none waits behind a long one while other workers are idle.
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(todo)), max_tasks_in_flight_per_actor=1),
            num_cpus=work.threads,
        )
        for row in results.iter_rows():
            yield int(row["inputs"])
