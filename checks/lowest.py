"""The tests with the lowest versions that pyproject.toml allows of what the package and its extras need. Needs uv.

    python -m checks.lowest
    python -m checks.lowest tests/recognition tests/export

The CPU build of torch is taken where uv is told of an index or a folder that has it (UV_FIND_LINKS).
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from checks.environments import ROOT, install, new_environment

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TESTS = [
    *("tests/audio", "tests/files", "tests/text", "tests/decoding", "tests/recognition", "tests/export", "tests/model"),
    *("tests/data", "tests/evaluation", "tests/training/test_finetune.py", "tests/training/test_distill.py"),
    *("tests/serving/test_openai_api.py", "tests/serving/test_live_captions.py", "tests/bulk", "tests/cli"),
]


def lowest_versions(folder: Path) -> Path:
    """Write the lowest versions of everything but what only development needs, one per line, and return the file."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("checks.lowest resolves the versions by uv: pip install uv")
    extras = [f"--extra={name}" for name in PROJECT["optional-dependencies"] if name != "dev"]
    found = folder / "lowest.txt"
    flags = ["--quiet", "--no-header", "--no-annotate", "--resolution", "lowest-direct", "--python", sys.executable]
    subprocess.run(
        [uv, "pip", "compile", *flags, *extras, "--output-file", found, "pyproject.toml"], check=True, cwd=ROOT
    )
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        versions = lowest_versions(Path(place))
        print(" ".join(versions.read_text(encoding="utf-8").split()), flush=True)
        environment = new_environment(sys.executable, Path(place) / "env")
        tools = PROJECT["optional-dependencies"]["dev"]
        install(environment, "-r", versions, *tools, "--constraint", versions)
        settings = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "OMP_NUM_THREADS": "1"}
        command: list[str | Path] = [environment.bin / "python", "-m", "pytest", *(sys.argv[1:] or TESTS)]
        sys.exit(subprocess.run(command, cwd=ROOT, env=settings, check=False).returncode)


if __name__ == "__main__":
    main()
