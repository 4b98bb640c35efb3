"""Environments made anew, with what pip installs into them and nothing of the one that the check runs in."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TIMEOUT = 600  # seconds for a command
SETTINGS = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1"}
OURS = ("PYTHON", "VIRTUAL_ENV", "HF_", "XDG_CACHE_HOME")
IMPORT = "import time; start = time.process_time(); import distilhubert_ko; print(time.process_time() - start)"


@dataclass(frozen=True)
class Environment:
    """An installed environment. `bin` is the folder of its commands."""

    bin: Path

    def run(self, *command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run one of its commands in a folder, and return what it said."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            capture_output=True,
            text=True,
            cwd=cwd,
            env=kept | SETTINGS | {"XDG_CACHE_HOME": str(cwd / "cache")},
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )

    def python(self, script: str) -> str:
        """Return what its Python prints on a script."""
        return self.run("python", "-c", script, cwd=self.bin).stdout.strip()

    def has(self, module: str) -> bool:
        """Return whether a package is installed."""
        return self.python(f"import importlib.util; print(importlib.util.find_spec({module!r}) is not None)") == "True"

    def import_seconds(self) -> float:
        """Return the least CPU time of five imports of distilhubert_ko, in seconds."""
        return round(min(float(self.python(IMPORT)) for _ in range(5)), 3)

    def account(self) -> dict[str, Any]:
        """Return the version of Python, the system, the packages, their size in MB, and the time to import."""
        site = Path(self.python("import sysconfig; print(sysconfig.get_path('purelib'))"))
        return {
            "python": self.python("import platform; print(platform.python_version())"),
            "system": f"{platform.system()} {platform.machine()}",
            "packages": len([*site.glob("*.dist-info")]),
            "megabytes": round(sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6),
            "import_seconds": self.import_seconds(),
        }


def pip(*arguments: str | Path) -> None:
    """Run the pip of this environment. Raises CalledProcessError where it fails, after it said why."""
    subprocess.run([sys.executable, "-m", "pip", "-qq", *arguments], check=True)


def build_wheel(folder: Path) -> Path:
    """Build the wheel with what the development environment has, and return its path."""
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def new_environment(python: str, folder: Path) -> Environment:
    """Make an environment of an interpreter, without pip."""
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    return Environment(folder / ("Scripts" if os.name == "nt" else "bin"))


def install(environment: Environment, *requirements: str | Path) -> None:
    """Install requirements by uv, which is quicker, or by pip where there is no uv."""
    python = environment.bin / "python"
    if uv := shutil.which("uv"):
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *requirements], check=True)
    else:
        pip("--python", python, "install", *requirements)


def told(result: subprocess.CompletedProcess[str]) -> str:
    """Return the exit code of a command and the end of what it said."""
    return f"exit code {result.returncode}: {' '.join((result.stdout[-300:] + result.stderr[-600:]).split())}"


def link_base(environment: Environment, wheel: Path) -> None:
    """Install the wheel, with links to the packages here that its base needs: no network, in a second."""
    pip("--python", environment.bin / "python", "install", "--no-deps", "--no-index", wheel)
    site = Path(environment.python("import sysconfig; print(sysconfig.get_path('purelib'))"))
    for name in needed_packages("distilhubert-ko") - {"distilhubert-ko"}:
        found = distribution(name)
        for top in {path.parts[0] for path in found.files or () if path.parts[0] != ".."}:
            if not (site / top).exists():
                (site / top).symlink_to(str(found.locate_file(top)))


def needed_packages(name: str) -> set[str]:
    """Return the names of a package here and of all that it needs without extras, as pip compares them."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        requirement = waiting.pop()
        key = canonicalize_name(requirement.name)
        if key in found:
            continue
        found.add(key)
        for text in distribution(requirement.name).requires or ():
            needed = Requirement(text)
            wanted = [needed.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras) if needed.marker]
            if not needed.marker or any(wanted):
                waiting.append(needed)
    return found
