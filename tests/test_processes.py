"""What tests kill or limit is no fork of a process with threads."""

import os
from pathlib import Path

import pytest

from tests.support.processes import apart


def server() -> tuple[int, list[str]]:
    """Of the process that this one was forked from: its number, and the names of its threads."""
    tasks = Path(f"/proc/{os.getppid()}/task")
    return os.getppid(), [(task / "comm").read_text().strip() for task in tasks.iterdir()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not list threads")
def test_processes_of_tests_are_forked_from_one_that_has_started_no_threads() -> None:
    (process, threads), again = apart(server), apart(server)
    assert again == (process, threads)
    assert process != os.getpid()
    # What pyarrow allocates with has one, and knows what to do at a fork; numpy's OpenBLAS ends its own before.
    assert len([name for name in threads if name != "jemalloc_bg_thd"]) == 1


def test_none_is_forked_otherwise() -> None:
    here = Path(__file__).parent.parent
    forks = ('"' + 'fork"', "os." + "fork(")
    sources = [path for folder in ("tests", "checks", "benchmarks") for path in (here / folder).rglob("*.py")]
    assert [path for path in sources if any(fork in path.read_text(encoding="utf-8") for fork in forks)] == []
