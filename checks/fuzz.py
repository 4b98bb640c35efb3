"""Hostile input to every reader: each case is read or refused with an error of the package, in bounded time and memory.

    python -m checks.fuzz --cases 20000 --seed 1 --json docs/results/fuzz.json

The same seed gives the same cases: `--first 123 --cases 1` makes number 123 again. checks/hostile.py has what is
changed and how, checks/fuzz_audio.py what becomes of sound files. A case runs in a worker process, started anew where
one dies. A run that was cut short goes on from what its file has. Whatever is not read or refused is printed, and the
exit code is 1.
"""

import argparse
import dataclasses
import itertools
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from checks import fuzz_audio
from checks.hostile import OUTSIDE, Reader, damaged, readers
from distilhubert_ko.errors import DistilhubertKoError
from distilhubert_ko.files import writing
from tests.support.processes import pristine

Readers = Callable[[], dict[str, Reader]]
AUDIO, AUDIO_SHARE = "sound files", 0.05
SECONDS = 5.0  # of the processor that a case may take
MEGABYTES = 512  # by which a case may raise the most memory that its process has held
ADDRESSES = 2 << 30  # bytes of address space that a worker may add; threads reserve much of it and use little
READ, REFUSED = "read", "refused"
CHUNK = 500  # cases, after which the results are written


def case(all_readers: dict[str, Reader], seed: int, number: int, home: Path) -> tuple[str, str]:
    """The reader of case `number` of `seed`, and what became of it: READ, REFUSED, or what went wrong."""
    random = np.random.default_rng((seed, number))
    names = [AUDIO, *all_readers]
    shares = np.array([AUDIO_SHARE, *(reader.share for reader in all_readers.values())])
    name = str(random.choice(names, p=shares / shares.sum()))
    started, held = time.process_time(), _most_memory()
    try:
        if name == AUDIO:
            _, content = fuzz_audio.mutated(fuzz_audio_seeds(), seed, number)
            result = READ if fuzz_audio.outcome(content) == READ else REFUSED
        else:
            reader = all_readers[name]
            _write(reader, random, home)
            started = time.process_time()
            reader.read(home)
            result = READ
    except DistilhubertKoError as error:
        message = str(error)
        result = (
            REFUSED if len(message) <= 2100 and message.isprintable() else f"an error of {len(message):,} characters"
        )
    except Exception as error:
        result = f"{type(error).__name__}: {str(error)[:200]}"
    if (seconds := time.process_time() - started) > SECONDS:
        result = f"{seconds:.1f} s of the processor"
    if (grown := _most_memory() - held) > MEGABYTES:
        result = f"{grown:.0f} MB more memory"
    return name, result


def fuzz_audio_seeds(made: dict[str, bytes] = {}) -> dict[str, bytes]:  # noqa: B006 (it is made once)
    if not made:
        made |= fuzz_audio.seeds()
    return made


def _write(reader: Reader, random: np.random.Generator, home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    chosen = {reader.damaged[random.integers(len(reader.damaged))] for _ in range(random.integers(1, 3))}
    for name, content in reader.files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damaged(content, name, random) if name in chosen else content)


def _most_memory() -> float:
    """Megabytes: the most that the process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _work(results: Connection, make_readers: Readers, seed: int, first: int, last: int, folder: Path) -> None:
    all_readers = make_readers()
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # a list may name standard input; C libraries speak
        os.dup2(silence, stream)
    warnings.simplefilter("ignore")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    home = folder / "case"
    home.mkdir()
    (folder / OUTSIDE).write_bytes(all_readers["manifests, CSV"].files["1.wav"])
    os.chdir(home)
    for number in range(first, last):
        home.mkdir(exist_ok=True)
        results.send(case(all_readers, seed, number, home))


def outcomes(make_readers: Readers, seed: int, first: int, count: int) -> Iterator[tuple[int, str, str]]:
    """The number of each case, its reader and what became of it. A crash takes only a worker with it."""
    number, last = first, first + count
    while number < last:
        receiver, sender = pristine.Pipe(duplex=False)
        with tempfile.TemporaryDirectory() as folder:  # a worker that dies could not delete it
            work = (sender, make_readers, seed, number, last, Path(folder))
            worker = pristine.Process(target=_work, args=work)
            worker.start()
            sender.close()
            alive = True
            while alive and number < last:
                try:
                    alive = receiver.poll(fuzz_audio.PATIENCE)
                    name, result = receiver.recv() if alive else ("?", "it hangs")
                except EOFError:
                    worker.join()
                    alive, name, result = False, "?", f"the process died: exit code {worker.exitcode}"
                yield number, name, result
                number += 1
            worker.kill()
            worker.join()


def survey(make_readers: Readers, seed: int, first: int, count: int, jobs: int = 1) -> dict[str, Any]:
    """What became of how many cases of each reader, and a line for each that was neither read nor refused."""
    counts = {name: Counter[str]() for name in (AUDIO, *make_readers())}
    findings = []
    starts = [first + count * job // jobs for job in range(jobs + 1)]
    with ThreadPoolExecutor(jobs) as pool:  # each waits for a worker
        parts = pool.map(lambda a, b: [*outcomes(make_readers, seed, a, b - a)], starts[:-1], starts[1:])
    for number, name, result in itertools.chain.from_iterable(parts):
        kind = result if result in (READ, REFUSED) else "failed"
        counts.setdefault(name, Counter())[kind] += 1
        if kind == "failed":
            findings.append(f"--seed {seed} --first {number} --cases 1: {name}: {result}")
            print(findings[-1], file=sys.stderr)
    table = {name: {kind: each[kind] for kind in (READ, REFUSED, "failed")} for name, each in counts.items()}
    return {
        "cases": count,
        "first": first,
        "seed": seed,
        "limits": {"cpu_seconds": SECONDS, "memory_mb": MEGABYTES},
        "readers": table,
        "findings": findings,
    }


def tiny_model(folder: Path) -> Path:
    """Writes the tests' model into a folder, exported."""
    from distilhubert_ko.export import exporting
    from distilhubert_ko.model.saving import save_network
    from tests.support.model import DROPOUTS, SYLLABLES, TINY, new_network

    config = dataclasses.replace(TINY, num_hidden_layers=1, **DROPOUTS)
    save_network(new_network(config).train(), folder, SYLLABLES)
    exporting.export_graph(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="workers at a time")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    last, found = arguments.first + arguments.cases, earlier(arguments.json, arguments.seed, arguments.first)
    with tempfile.TemporaryDirectory() as folder:
        make_readers = partial(readers, tiny_model(Path(folder)))
        for start in range(arguments.first + found["cases"], last, CHUNK):
            part = survey(make_readers, arguments.seed, start, min(CHUNK, last - start), arguments.jobs)
            found = joined(found, part) if found["cases"] else part
            if arguments.json:
                writing.write_json(arguments.json, found)
    for name, counts in found["readers"].items():
        print(f"{name:22} {counts}")
    sys.exit(1 if found["findings"] else 0)


def earlier(path: Path | None, seed: int, first: int) -> dict[str, Any]:
    """What a run from the same case of the same seed on, which was cut short, has written to a file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    return found if (found.get("seed"), found.get("first")) == (seed, first) else {"cases": 0}


def joined(found: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The results of a run and of the cases that follow."""
    table = {
        name: {
            kind: sum(each["readers"].get(name, {}).get(kind, 0) for each in (found, part))
            for kind in (READ, REFUSED, "failed")
        }
        for name in found["readers"] | part["readers"]
    }
    cases, findings = found["cases"] + part["cases"], found["findings"] + part["findings"]
    return found | {"cases": cases, "readers": table, "findings": findings}


if __name__ == "__main__":
    main()
