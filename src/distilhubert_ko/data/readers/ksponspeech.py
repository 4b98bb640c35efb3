"""KsponSpeech as AI Hub packs it: lists such as train.trn, and headerless PCM, or WAV or FLAC made of it."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.marks import without_annotations
from distilhubert_ko.data.readers.parsing import (
    check_named,
    existing_folder,
    malformed_line,
    numbered_lines,
)
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError

SUFFIXES = (".pcm", ".wav", ".flac")
_SCRIPTS = re.compile("script|스크립트", re.IGNORECASE)


def read_ksponspeech(location: str, split: str | None, reading: Reading) -> Listing:
    """List what the .trn lists in a folder name, or in its folder of scripts; or what one .trn file does.

    Each list is a split with the name of its file: train, dev, eval_clean and eval_other. Transcripts give what was
    said and how it is written.
    """
    if location.lower().endswith(".trn"):
        file = reading.path(location)
        lists, homes = [file], [file.parent, file.absolute().parent.parent]
        while _is_scripts(homes[-1]):
            homes.append(homes[-1].parent)
    else:
        folder = existing_folder("ksponspeech", location, reading)
        lists, homes = _lists(folder), [folder]
        if not lists:
            raise CorpusError(
                f"{folder} holds no .trn list, in it or in KsponSpeech_scripts: unpack KsponSpeech_scripts.zip there, "
                f"or read the .txt files beside the audio with aihub:{location}"
            )
    wanted = [file for file in lists if file.stem == split] or lists
    return Listing([entry for file in wanted for entry in _entries(file, homes, reading)], annotated=True)


def _lists(folder: Path) -> list[Path]:
    """Return the lists in a folder, and in folders of scripts up to two levels below it."""
    places = [folder]
    for place in places:
        if len(place.relative_to(folder).parts) < 2:
            places += filter(_is_scripts, _folders(place))
    return sorted(file for place in places for file in place.glob("*.trn"))


def _is_scripts(folder: Path) -> bool:
    return _SCRIPTS.search(unicodedata.normalize("NFC", folder.name)) is not None


def _folders(place: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(place) if entry.is_dir())


def _entries(file: Path, homes: list[Path], reading: Reading) -> Iterator[Entry]:
    fence = reading.fence(homes[-1])
    lines = [*numbered_lines(file)]
    places = [place for home in homes for place in (home, *_folders(home))]
    found: dict[str, tuple[Path, set[str]]] = {}
    for number, line in lines:
        named, separator, text = line.partition("::")
        path = Path(named.strip())
        if not separator or not path.name:
            raise malformed_line(file, number, "<path>.pcm :: <transcript>")
        check_named(homes[0] / path, fence, f"{file}, line {number}")
        parent = str(path.parent)
        if parent not in found:
            found[parent] = _audio_folder(path.parent, places)
        folder, names = found[parent]
        name = next((name for suffix in SUFFIXES if (name := path.stem + suffix) in names), None)
        if name:
            check_named(folder / name, fence, f"{file}, line {number}")
        entry = Entry(id=path.stem, audio=folder / name if name else None, text=text.strip(), split=file.stem)
        yield without_annotations(entry)


def _audio_folder(named: Path, places: list[Path]) -> tuple[Path, set[str]]:
    """Return the folder that a list names, and the names of its files.

    The download has it inside another folder, and unpacked it may lack its own first folder. Without any, files may
    lie in the first place itself.
    """
    inner = Path(*named.parts[1:])
    for place in places:
        for folder in (place / named, place / inner):
            if folder != place and os.path.isdir(folder):  # False for a name that is too long
                return folder, set(os.listdir(folder))
    return places[0], set(os.listdir(places[0]))
