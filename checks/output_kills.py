"""Commands that are killed at random moments, and whether every file of before is still there, or the new one, whole.

    python -m checks.output_kills --model demo --kills 20 --json docs/results/output_kills.json

Each command first runs in peace, over what an earlier run of it left. Then it is ended by SIGKILL, each time over the
same files: half of the times as it deals with a file, at a random one of those operations, half at a random moment.
After each kill, every file has to be the one of before or that of the run in peace. Folders that are exchanged whole
have to be all old or all new. The next run has to end well, and that of `bulk` with one record per input.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilhubert_ko import model_folder
from distilhubert_ko.bulk.outputs import own_parts, read_shard
from distilhubert_ko.cli import main as cli
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.files import writing
from tests.support.processes import pristine

CLIPS = 6
LATE = 12  # operations with files, at the end of a command
FILE_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "ctypes.dlsym")
Files = dict[str, str]


@dataclass(frozen=True)
class Victim:
    """A command to kill: what runs first, and the folders that have to be old or new as a whole."""

    command: str
    before: tuple[str, ...]
    whole: tuple[str, ...] = ()


LM = ("lm one.txt --out one.arpa", "lm two.txt --out two.arpa")
VICTIMS = {
    "export": Victim("export model --out out", ("export other --out out",), ("out",)),
    "tune --save": Victim(
        "tune model manifest:noisy.jsonl --lm two.arpa --save",
        (*LM, "tune model manifest:noisy.jsonl --lm one.arpa --save"),
        ("model/language_model",),
    ),
    "label": Victim(
        "label model manifest:clips.jsonl --out labels.jsonl", ("label model manifest:few.jsonl --out labels.jsonl",)
    ),
    "lm": Victim("lm one.txt two.txt --out lm.arpa", ("lm one.txt --out lm.arpa",)),
    "evaluate --html": Victim(
        "evaluate model manifest:clips.jsonl --html page.html --json page.json",
        ("evaluate model manifest:few.jsonl --html page.html --json page.json",),
    ),
    "card": Victim(
        "card model",
        (
            "evaluate model manifest:few.jsonl --json model/report.json",
            "card model",
            "evaluate model manifest:clips.jsonl --json model/report.json",
        ),
    ),
    "bulk": Victim(
        "bulk clips.jsonl --out bulk --model model --workers 1",
        ("bulk few.jsonl --out bulk --model model --workers 1",),
    ),
}


def prepare(work: Path, model: Path) -> None:
    """Write a model, another one, corpora of clips with and without noise, and texts into `work`."""
    import numpy as np
    import soundfile

    earlier = (model_folder.CARD, model_folder.LEARNING_CURVE)  # perhaps of an earlier version, which `card` would keep
    ignored = shutil.ignore_patterns("checkpoints", "runs", "last", "language_model", *earlier)
    shutil.copytree(model, work / "model", ignore=ignored)
    shutil.copytree(model, work / "other", ignore=ignored)
    (work / "other" / model_folder.ADDED_TOKENS).write_text("{}", encoding="utf-8")  # which nothing of may stay
    noise = np.random.default_rng(0)
    spoken = read_corpus("synthetic:demo#dev").utterances[:CLIPS]
    lines: dict[str, list[str]] = {"clips": [], "noisy": []}
    for number, utterance in enumerate(spoken):
        wave = utterance.wave()
        for kind, level in (("clips", 0.0), ("noisy", 0.05)):
            name = f"{kind}{number}.wav"
            soundfile.write(work / name, wave + level * noise.standard_normal(len(wave)).astype(np.float32), 16_000)
            lines[kind].append(json.dumps({"audio_filepath": name, "text": utterance.text}) + "\n")
    for name, part in (*lines.items(), ("few", lines["clips"][:2])):
        (work / f"{name}.jsonl").write_text("".join(part), encoding="utf-8")
    for name, share in (("one", spoken), ("two", spoken[:4])):
        (work / f"{name}.txt").write_text("".join(f"{each.text}\n" for each in share), encoding="utf-8")


def files(folder: Path) -> Files:
    """Return name -> SHA-256 of all files, but for temporary ones and drafts of bulk."""
    found = {}
    for file in filter(Path.is_file, folder.rglob("*")):
        name = str(file.relative_to(folder))
        if not any(part.endswith(".tmp") or part == "_drafts" for part in file.relative_to(folder).parts):
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def command_process(line: str, work: Path, count: Any, fatal: int) -> None:
    """Run a command in `work`, and die as it deals with a file there for the `fatal`-th time, 0 for never."""
    os.chdir(work)
    with (work.parent / "said.log").open("a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS and (event.startswith("ctypes") or str(work) in os.path.abspath(str(args[0]))):
            count.value += 1
            if count.value == fatal:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    sys.argv = ["distilhubert-ko", *line.split()]
    cli.main()


def run(line: str, work: Path, fatal: int = 0, seconds: float | None = None) -> tuple[int | None, int, float]:
    """Return the exit code of a command, how often it dealt with a file, and its seconds."""
    count, started = pristine.Value("i", 0), time.monotonic()
    process = pristine.Process(target=command_process, args=(line, work, count, fatal))
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode, count.value, time.monotonic() - started


def restored(template: Path, work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(template, work)


def lost(victim: Victim, before: Files, after: Files, found: Files, work: Path) -> list[str]:
    """Return the files that are gone, or are neither those of before nor those of the run in peace."""
    wrong = [name for name in before if name not in found and (name in after or not _within(name, victim.whole))]
    wrong += [name for name, digest in found.items() if digest not in (before.get(name), after.get(name))]
    for folder in victim.whole:
        parts = [
            {name: digest for name, digest in each.items() if _within(name, (folder,))}
            for each in (before, after, found)
        ]
        if parts[2] not in parts[:2]:
            wrong.append(f"{folder} is neither old nor new")
    return wrong


def lost_of_evaluation(victim: Victim, before: Files, after: Files, found: Files, work: Path) -> list[str]:
    """As `lost`, but new reports and pages, which hold the time that they took, only have to be whole."""
    timed = {name for name, whole in WHOLE.items() if name in found and whole(work / name)}
    return [name for name in lost(victim, before, after, found, work) if name not in timed]


def _whole_json(path: Path) -> bool:
    return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)


def _whole_html(path: Path) -> bool:
    return path.read_text(encoding="utf-8").endswith("</html>\n")


WHOLE: dict[str, Callable[[Path], bool]] = {"page.json": _whole_json, "page.html": _whole_html}


def _within(name: str, folders: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{folder}/") for folder in folders)


def lost_of_bulk(victim: Victim, before: Files, after: Files, found: Files, work: Path) -> list[str]:
    """Return what a run of bulk lost; what it adds is checked by the run that ends it."""
    return [name for name, digest in before.items() if not name.endswith("_SUCCESS") and found.get(name) != digest]


CHECKS = {"bulk": lost_of_bulk, "evaluate --html": lost_of_evaluation}


def in_peace(line: str, work: Path) -> tuple[int, float]:
    """Return how often a command deals with a file, and its seconds."""
    code, operations, seconds = run(line, work)
    if code != 0:
        said = (work.parent / "said.log").read_text(encoding="utf-8")
        raise SystemExit(f"{line}: exit code {code}\n{said[-2000:]}")
    return operations, seconds


def measure(name: str, victim: Victim, base: Path, kills: int, seed: int) -> dict[str, Any]:
    work, template = base / "work", base / f"template-{name.split()[0]}"
    restored(base / "template", work)
    for line in victim.before:
        in_peace(line, work)
    restored(work, template)
    before = files(work)
    operations, whole = in_peace(victim.command, work)
    after = files(work)
    check = CHECKS.get(name, lost)
    draw, wrong, killed, during = random.Random(seed), [], 0, 0
    while killed < kills:
        restored(template, work)
        at_operation = killed % 2 == 0
        # Half of these among the last operations, where files take their places.
        first = max(1, operations - LATE) if killed % 4 == 0 else 1
        fatal = draw.randint(first, operations) if at_operation else 0
        code, _, _ = run(victim.command, work, fatal, None if at_operation else draw.uniform(0, whole))
        if code != -signal.SIGKILL:
            continue  # it came to its end first
        killed, found = killed + 1, files(work)
        during += found != before
        wrong += [f"kill {killed}: {each}" for each in check(victim, before, after, found, work)]
        code = run(victim.command, work)[0]
        if code != 0:
            wrong.append(f"kill {killed}: the next run ended with {code}")
        elif name == "bulk":
            ids = [record["id"] for part in own_parts(work / "bulk", ".parquet") for record in read_shard(part)]
            wrong += [] if sorted(ids) == sorted({*ids}) and len(ids) == CLIPS else [f"kill {killed}: records {ids}"]
    print(f"{name}: {killed} kills, {during} left something new, {len(wrong)} lost: {wrong[:3]}", flush=True)
    return {"kills": killed, "left_something_new": during, "lost": wrong, "seconds": round(whole, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a model folder, as `demo` makes one")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=VICTIMS, help="one command alone")
    parser.add_argument("--json", type=Path, default=Path("docs/results/output_kills.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "template").mkdir()
        prepare(base / "template", options.model)
        os.environ["XDG_CACHE_HOME"] = str(base / "cache")
        chosen = [options.only] if options.only else [*VICTIMS]
        found = {name: measure(name, VICTIMS[name], base, options.kills, options.seed) for name in chosen}
    record = {"seed": options.seed, "machine": platform.machine(), "commands": found}
    writing.write_json(options.json, record)
    if any(each["lost"] for each in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
