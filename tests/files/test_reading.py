"""A device or a pipe that a hostile folder names is not read."""

import os
from pathlib import Path

import pytest

from distilhubert_ko import recipe
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.errors import InputError
from distilhubert_ko.files.reading import read_json_object, read_text


@pytest.fixture(params=["device", "pipe"])
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "pipe":
        os.mkfifo(tmp_path / "endless")
    else:
        (tmp_path / "endless").symlink_to("/dev/zero")
    return tmp_path / "endless"


def test_neither_a_corpus_nor_a_model_folder_reads_what_has_no_end(endless: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no ordinary file"):
        read_corpus(f"manifest:{endless}")
    with pytest.raises(InputError, match="no ordinary file"):
        read_json_object(endless, InputError, "give another")
    with pytest.raises(InputError, match="no ordinary file"):
        recipe.load_recipe(endless)
    for name in ("wav.scp", "text"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / "wav.scp").write_text("a a.wav\n")
        (folder / name).unlink(missing_ok=True)
        os.symlink(endless, folder / name)
        with pytest.raises(InputError, match="no ordinary file"):
            read_corpus(f"kaldi:{folder}")


def test_a_text_may_come_from_a_pipe_but_not_from_a_device(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it is a device"):
        read_text(Path("/dev/zero"))
