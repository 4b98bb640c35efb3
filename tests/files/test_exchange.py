"""A folder is the old one or the new one, whole, at every moment."""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from distilhubert_ko.files import exchange
from distilhubert_ko.files.exchange import exchanged_folder


def put(folder: Path, text: str) -> None:
    with exchanged_folder(folder) as temporary:
        (temporary / "below").mkdir()
        for name in ("a.onnx", text, "below/c"):
            (temporary / name).write_text(text)


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["in one step", "in two"])
def two_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in two":
        monkeypatch.setattr(exchange, "_exchanged", lambda *paths: False)


@pytest.mark.usefixtures("two_ways")
def test_the_new_folder_takes_the_place_of_the_old_one_whole(tmp_path: Path) -> None:
    for text in ("one", "two"):
        put(tmp_path / "x" / "y", text)
        assert files(tmp_path / "x" / "y") == dict.fromkeys(("a.onnx", text, "below/c"), text)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["y"]


def test_a_link_stays_and_its_folder_is_exchanged(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for text in ("one", "two"):
        put(tmp_path / "link", text)
    assert (tmp_path / "link").is_symlink()
    assert files(tmp_path / "real")["a.onnx"] == "two"


def test_the_current_folder_takes_a_new_one_only_while_it_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "one")
    before = files(tmp_path)
    with pytest.raises(OSError, match="current folder, and not empty") as error:
        put(tmp_path, "two")
    assert error.value.errno == errno.EBUSY
    assert files(tmp_path) == before


@pytest.mark.usefixtures("two_ways")
@pytest.mark.parametrize("act", ["mkdir", "rename", "replace", "renameat2"])
def test_an_error_at_any_step_loses_no_folder(act: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "x", "one")

    def fail(*args: object, **kwargs: object) -> Callable[..., None]:
        raise OSError(errno.ENOSPC, "No space left on device")

    if act == "renameat2":
        monkeypatch.setattr(exchange, "_exchange", fail)
    else:
        monkeypatch.setattr(os, act, fail)
    with contextlib.suppress(OSError):
        put(tmp_path / "x", "two")
    monkeypatch.undo()
    found = files(tmp_path / "x")
    assert len(found) == 3
    assert len({*found.values()}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
