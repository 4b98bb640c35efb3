import importlib
import pkgutil
from pathlib import Path

import pytest

from distilhubert_ko.data import readers
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.registry import READERS
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError


def test_a_module_that_reads_a_scheme_is_in_the_registry_under_its_name() -> None:
    modules = {
        each.name: importlib.import_module(f"{readers.__name__}.{each.name}")
        for each in pkgutil.iter_modules(readers.__path__)
    }
    found = {
        name: getattr(module, f"read_{name}") for name, module in modules.items() if hasattr(module, f"read_{name}")
    }
    assert found == READERS


def test_a_scheme_is_read_by_its_own_reader_and_by_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def read(location: str, split: str | None, reading: Reading) -> Listing:
        asked.append((location, split, reading))
        return Listing([Entry(id="1", audio=tmp_path / "no.wav", text="말")])

    with pytest.raises(CorpusError, match="no scheme 'cassette'"):
        read_corpus("cassette:side-a")
    monkeypatch.setitem(READERS, "cassette", read)
    with pytest.raises(CorpusError, match=r"none of 1 entries can be used \(e.g. 1: audio missing\)"):
        read_corpus("cassette:side-a")
    assert asked == [("side-a", None, Reading())]
