"""Zeroth-Korean as OpenSLR 40 packs it."""

import csv
from pathlib import Path

from distilhubert_ko.data.readers.entries import Listing
from distilhubert_ko.data.readers.librispeech import list_transcript_tree
from distilhubert_ko.data.readers.parsing import existing_folder
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError


def read_zeroth(location: str, split: str | None, reading: Reading) -> Listing:
    """List {train,test}_data_01/003/<speaker>/*.trans.txt, with the speakers' sex from AUDIO_INFO."""
    folder = existing_folder("zeroth", location, reading)
    splits = [name for name in ("train", "test") if (folder / f"{name}_data_01").is_dir()]
    if not splits:
        raise CorpusError(
            f"{folder} holds neither train_data_01 nor test_data_01: "
            "unpack zeroth_korean.tar.gz of https://openslr.org/40 there"
        )
    genders = _read_genders(folder / "AUDIO_INFO")
    return Listing(
        [
            entry
            for name in splits
            for entry in list_transcript_tree(folder / f"{name}_data_01", lambda home: home.name, name, genders)
        ]
    )


def _read_genders(file: Path) -> dict[str, str]:
    """Return SEX by SPEAKERID; nothing where the table is missing or in another form, because it is optional."""
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="|"))
    return {row["SPEAKERID"]: row["SEX"].lower() for row in rows if row.get("SPEAKERID") and row.get("SEX")}
