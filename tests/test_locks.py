"""What `make` installs: every file by its hash, and the versions that constraints.txt names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
REQUIREMENT = re.compile(r"^[A-Za-z0-9].*(?:\n    .*)*", re.MULTILINE)
LOCKS = ["train", "dev"]
ELSEWHERE = {"colorama", "httpx2-jsfetch"}  # needed on Windows, or in a browser, alone


def pins(path: Path) -> dict[str, str]:
    """Versions by names as pip compares them."""
    found = PIN.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_is_locked_without_a_hash(lock: str) -> None:
    requirements = REQUIREMENT.findall((ROOT / "locks" / f"{lock}.txt").read_text(encoding="utf-8"))
    assert len(requirements) == len(pins(ROOT / "locks" / f"{lock}.txt")) > 50
    for requirement in requirements:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", requirement), requirement.split()[0]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_the_versions_of_the_constraints(lock: str) -> None:
    constraints = pins(ROOT / "constraints.txt")
    locked = pins(ROOT / "locks" / f"{lock}.txt")
    assert set(locked) - set(constraints) <= ELSEWHERE, "add them to constraints.txt"
    for name, version in locked.items():
        assert constraints.get(name, version) == version, "run `make lock`"


def test_the_constraints_name_nothing_that_is_not_locked() -> None:
    assert set(pins(ROOT / "constraints.txt")) <= set(pins(ROOT / "locks" / "dev.txt")), "run `make lock`"
