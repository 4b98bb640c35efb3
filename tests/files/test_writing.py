"""Files are there whole or not at all, and a failure is one line that says what to do."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from distilhubert_ko.errors import InputError
from distilhubert_ko.files import writing


def test_what_is_written_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for text in ("하나", "둘\n"):
        assert writing.write_text(folder / "a.txt", text) == folder / "a.txt"
        assert (folder / "a.txt").read_text(encoding="utf-8") == text
    assert [file.name for file in folder.iterdir()] == ["a.txt"]


def test_json_reads_back_and_shows_korean_as_it_is(tmp_path: Path) -> None:
    content = {"가": 1, "b": [1.5, None, "나"]}
    text = writing.write_json(tmp_path / "a.json", content).read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert "가" in text


def test_the_longest_name_that_a_folder_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    assert writing.write_text(path, "x").read_text() == "x"


@pytest.mark.parametrize("name", ["가" * 100, "file/a.txt", "folder", "file/b/a.txt"])
def test_what_cannot_be_written_is_an_input_error_of_one_line_without_litter(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot be written .*: name a folder that you may write to") as error:
        writing.write_text(tmp_path / name, "new")
    assert str(tmp_path / name) in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = writing.write_text(tmp_path / "a.txt", "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        writing.write_text(path, "new")
    assert path.read_text() == "old"
    with pytest.raises(UnicodeEncodeError):
        writing.write_text(path, "\ud800")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("kind", [Path.touch, Path.mkdir])
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(
    kind: Callable[[Path], None], tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, other = (tmp_path / f".{writing.HOST}-{process}-0123abcd.tmp" for process in (ended.pid, os.getppid()))
    away, forgotten = (tmp_path / f".{host:08x}-1-0123abcd.tmp" for host in (1, 2))
    for path in (left, other, away, forgotten):
        kind(path)
    os.utime(forgotten, (0, 0))
    writing.write_text(tmp_path / "a.txt", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", other.name, away.name}


@pytest.mark.parametrize("fails", [False, True])
def test_a_new_folder_is_there_whole_or_not_at_all(fails: bool, tmp_path: Path) -> None:
    def make() -> None:
        with writing.new_folder(tmp_path / "made") as temporary:
            (temporary / "file").touch()
            assert not (tmp_path / "made").exists()
            if fails:
                raise ValueError("planted")

    with pytest.raises(ValueError, match="planted") if fails else contextlib.nullcontext():
        make()
    assert [path.name for path in tmp_path.rglob("*")] == ([] if fails else ["made", "file"])


@pytest.mark.parametrize("fails", [False, True])
def test_files_of_a_folder_are_replaced_all_or_none_and_the_others_stay(fails: bool, tmp_path: Path) -> None:
    for name in ("graph", "other"):
        (tmp_path / name).write_text("old")

    def replace() -> None:
        with writing.replaced_files(tmp_path) as temporary:
            for name in ("graph", "words"):
                (temporary / name).write_text("new")
            if fails:
                raise ValueError("planted")

    with pytest.raises(ValueError, match="planted") if fails else contextlib.nullcontext():
        replace()
    expected = {"graph": "old", "other": "old"} if fails else {"graph": "new", "other": "old", "words": "new"}
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == expected


def test_a_folder_that_was_made_for_files_that_never_came_does_not_stay(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="planted"), writing.replaced_files(tmp_path / "new"):
        raise ValueError("planted")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_another_process_made_first_stays(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with writing.new_folder(folder) as temporary:
        (temporary / "ours").touch()
        folder.mkdir()
        (folder / "theirs").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "theirs"]
