"""Files are there whole or not at all, and a failure is one line that says what to do."""

import json
import os
from pathlib import Path

import pytest

from distilhubert_ko.errors import InputError
from distilhubert_ko.files import writing


def test_what_is_written_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for text in ("하나", "둘\n"):
        assert writing.write(folder / "a.txt", text) == folder / "a.txt"
        assert (folder / "a.txt").read_text(encoding="utf-8") == text
    assert [file.name for file in folder.iterdir()] == ["a.txt"]


def test_json_reads_back_and_shows_korean_as_it_is(tmp_path: Path) -> None:
    content = {"가": 1, "b": [1.5, None, "나"]}
    text = writing.write_json(tmp_path / "a.json", content).read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert "가" in text


def test_the_longest_name_that_a_folder_takes_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    assert writing.write(path, "x").read_text() == "x"


@pytest.mark.parametrize("name", ["가" * 100, "file/a.txt", "folder", "file/b/a.txt"])
def test_what_cannot_be_written_is_an_input_error_of_one_line_without_litter(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot be written .*: name a folder that you may write to") as error:
        writing.write(tmp_path / name, "new")
    assert str(tmp_path / name) in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_write_that_fails_half_way_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = writing.write(tmp_path / "a.txt", "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        writing.write(path, "new")
    assert path.read_text() == "old"
    with pytest.raises(UnicodeEncodeError):
        writing.write(path, "\ud800")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
