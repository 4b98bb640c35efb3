"""A spool fetches a file once, keeps few, and never gives half a one."""

import time
from pathlib import Path

import pytest

from distilhubert_ko.files.spool import Spool
from tests.support.processes import pristine


def writes(content: str, asked: list[str] | None = None):  # type: ignore[no-untyped-def]
    def fetch(path: Path) -> None:
        if asked is not None:
            asked.append(content)
        path.write_text(content)

    return fetch


def names(spool: Spool) -> set[str]:
    return {path.name for path in spool.folder.iterdir() if path.suffix != ".lock"}


def test_a_file_is_fetched_once(tmp_path: Path) -> None:
    asked: list[str] = []
    spool = Spool(tmp_path / "spool", 2)
    assert [spool.file("a", writes("a", asked)).read_text() for _ in range(3)] == ["a"] * 3
    assert asked == ["a"]


def test_those_are_kept_that_were_used_last(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 2)
    for name in "abac":
        spool.file(name, writes(name))
        time.sleep(0.02)  # file systems have clocks of their own
        assert len(names(spool)) <= 2
    assert names(spool) == {"a", "c"}


def test_a_fetch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ConnectionError

    spool = Spool(tmp_path / "spool", 2)
    with pytest.raises(ConnectionError):
        spool.file("a", fail)
    assert names(spool) == set()
    assert spool.file("a", writes("whole")).read_text() == "whole"


def slow(path: Path) -> None:
    with (path.parent.parent / "fetches").open("a") as file:
        file.write("x")
    time.sleep(0.2)
    path.write_text("whole")


def read(folder: Path) -> None:
    assert Spool(folder, 2).file("a", slow).read_text() == "whole"


def test_processes_that_want_the_same_file_fetch_it_once(tmp_path: Path) -> None:
    processes = [pristine.Process(target=read, args=(tmp_path / "spool",)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert (tmp_path / "fetches").read_text() == "x"
