"""The wheel in clean environments: the base and each extra alone, as pip or uv installs them.

    python -m checks.installs --json docs/results/installs.json
    python -m checks.installs --python python3.12 python3.13 --extras base media

The wheel is built, and installed into an environment of its own for each extra. There `--version` must print the
version, and `--help` of every command must come. What the environment has the packages for must work on a tiny model,
and every other command must end in one line that names the extra. The development environment makes the model.

[train] takes the CPU build of torch where pip or uv is told of an index or a folder that has it. Elsewhere it brings
CUDA's libraries.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from checks.environments import build_wheel, install, new_environment
from checks.install_trials import faults, make_materials
from distilhubert_ko.files import writing

EXTRAS = {
    "base": "onnxruntime",
    "train": "torch",
    "media": "av",
    "lm": "kenlm",
    "serve": "fastapi",
    "whisper": "faster_whisper",
    "bulk": "ray",
}
"""What is installed alone -> a module that must be there then."""
CPU_TORCH = "torch==2.13.0"  # the CPU build's number; a bare torch may be one with CUDA


def try_extra(python: str, extra: str, wheel: Path, materials: Path) -> dict[str, Any]:
    """Install an extra alone with an interpreter, try it on materials, and return its row of the report."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        environment = new_environment(python, Path(place) / "env")
        if extra == "base":
            install(environment, wheel)
        else:
            install(environment, f"{wheel}[{extra}]", *([CPU_TORCH] if extra == "train" else []))
        installed = time.monotonic()
        copied = shutil.copytree(materials, Path(place) / "materials")
        lacks = [] if environment.has(EXTRAS[extra]) else [f"{EXTRAS[extra]} is not installed"]
        return {
            "extra": extra,
            **environment.account(),
            "faults": [*lacks, *faults(environment, copied)],
            "install_seconds": round(installed - started),
            "seconds": round(time.monotonic() - started),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters to try")
    parser.add_argument("--extras", nargs="+", default=[*EXTRAS], choices=[*EXTRAS])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        wheel, materials = build_wheel(Path(place) / "wheel"), Path(place) / "materials"
        make_materials(materials)
        for python in options.python:
            for extra in options.extras:
                rows.append(try_extra(python, extra, wheel, materials))
                print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
                if options.json:
                    writing.write_json(options.json, {"rows": rows})
    sys.exit(any(row["faults"] for row in rows))


if __name__ == "__main__":
    main()
