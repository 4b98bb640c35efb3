"""An output never replaces an input, nor a file that this program did not write."""

import os
import shutil
from pathlib import Path

import pytest

from distilhubert_ko.errors import InputError
from distilhubert_ko.files import digests
from distilhubert_ko.files.outputs import (
    check_output,
    check_replaceable_folder,
    remember_folder,
    replaced_output,
    write_output,
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def test_what_the_program_wrote_is_replaced_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "distilhubert_ko")
    path = tmp_path / "new" / "a.txt"
    write_output(path, "하나")
    assert caplog.text == ""
    write_output(path, "둘")
    assert path.read_text(encoding="utf-8") == "둘"
    assert f"{path}: replaced what this program wrote there before" in caplog.text
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("edited", [False, True])
def test_a_file_that_somebody_wrote_or_edited_stays(tmp_path: Path, edited: bool) -> None:
    path = tmp_path / "a.txt"
    if edited:
        write_output(path, "the program's\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("somebody's\n")
    before = path.read_bytes()
    for write in (check_output, lambda place: write_output(place, "new")):
        with pytest.raises(InputError, match="exists, and this program did not write it"):
            write(path)
    assert path.read_bytes() == before


def test_what_a_command_reads_is_never_its_output_under_any_name(tmp_path: Path) -> None:
    path = write_output(tmp_path / "a.jsonl", "{}\n")  # even one that it wrote itself
    (tmp_path / "link").symlink_to(path)
    os.link(path, tmp_path / "twin")
    for name in ("a.jsonl", "link", "twin", "./a.jsonl"):
        with pytest.raises(InputError, match="is an input of this command"):
            check_output(tmp_path / name, ["missing", path])


def test_a_copy_elsewhere_of_what_the_program_wrote_is_somebodys(tmp_path: Path) -> None:
    written = write_output(tmp_path / "a.txt", "the program's")
    copy = Path(shutil.copy(written, tmp_path / "kept.txt"))
    with pytest.raises(InputError, match="did not write it"):
        write_output(copy, "new")
    assert copy.read_text() == "the program's"


def test_a_file_without_content_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert write_output(tmp_path / "empty", "x").read_text() == "x"


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_output(tmp_path / "link", "one")
    write_output(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "two"


def test_devices_pipes_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a folder"):
        check_output(tmp_path)
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(InputError, match="is no ordinary file"):
            write_output(path, "x")


@pytest.mark.parametrize("name", ["file/a.txt", "가" * 100])
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        check_output(tmp_path / name)


def test_a_file_that_comes_during_the_work_stays(tmp_path: Path) -> None:
    def work() -> None:
        with replaced_output(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
            (tmp_path / "a.txt").write_text("somebody's")

    with pytest.raises(InputError, match="did not write it"):
        work()
    assert (tmp_path / "a.txt").read_text() == "somebody's"


def test_without_a_cache_outputs_are_written_but_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    write_output(tmp_path / "a.txt", "one")
    with pytest.raises(InputError, match="did not write it"):
        write_output(tmp_path / "a.txt", "two")


def test_a_folder_is_replaceable_only_if_all_its_files_are(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a").write_text("one")
    remember_folder(tmp_path, tmp_path)
    check_replaceable_folder(tmp_path)
    (tmp_path / "below" / "notes").write_text("mine")
    with pytest.raises(InputError, match=r"holds below/notes, which this program did not write"):
        check_replaceable_folder(tmp_path)


def test_the_digest_of_a_large_file_is_kept_until_the_file_changes(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED", 0.0)
    path = tmp_path / "large"
    path.write_bytes(bytes(digests.LARGE))
    first = digests.kept_sha256(path)
    assert first == digests.sha256(path)
    times = path.stat()
    with path.open("r+b") as file:
        file.write(b"1")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `cp --preserve` does
    assert digests.kept_sha256(path) == digests.sha256(path) != first
    assert len([*(cache / "distilhubert-ko" / "digests").iterdir()]) == 2
