"""Hugging Face's audiofolder: metadata.csv or metadata.jsonl beside the audio, or the audio alone."""

import logging
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.manifest import hint_without_text, manifest_entries
from distilhubert_ko.data.readers.parsing import existing_folder, read_content
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.recordings import AUDIO_SUFFIXES, audio_files, folder_files, is_audio_name

logger = logging.getLogger(__name__)


def read_folder(location: str, split: str | None, reading: Reading) -> Listing:
    """List what the metadata of a folder names, or that of its subfolders, one per split.

    Without metadata, list the audio in the folder and below, with the text in NAME.txt beside NAME.wav. Say what of the
    folder is left out.
    """
    folder = existing_folder("folder", location, reading)
    fence = reading.fence(folder)
    entries: list[Entry] = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir()):
        if file := _metadata(home):
            rows = manifest_entries(file, "file_name", home.name, fence, home.name, reading.columns)
            entries += [entry for _, entry in rows]
    names = [*folder_files(str(folder))]
    if entries:
        _say_unlisted(folder, names, entries)
        return Listing(entries)
    if file := _metadata(folder):
        rows = manifest_entries(file, "file_name", fence=fence, columns=reading.columns)
        entries = [entry for _, entry in rows]
        _say_unlisted(folder, names, entries)
        return Listing(entries, hint=hint_without_text(file, entries, reading.columns))
    beside = {str(Path(name).with_suffix(".txt")) for name in names if is_audio_name(name)}
    if files := audio_files(str(folder), names, beside):
        hint = "write what is said in NAME.wav into NAME.txt beside it, or list the files in metadata.csv"
        return Listing([_beside(folder, name) for name in files], hint=hint)
    raise CorpusError(
        f"{folder} holds neither metadata.csv or metadata.jsonl, in it or in a subfolder, nor audio files "
        f"({', '.join(AUDIO_SUFFIXES)}): check the path"
    )


def _beside(folder: Path, name: str) -> Entry:
    """Return a file of a folder without metadata, with the text of the file beside it, NAME.txt, if there is one."""
    transcript = (folder / name).with_suffix(".txt")
    text = " ".join(read_content(transcript).split()) if transcript.is_file() else None
    return Entry(id=unicodedata.normalize("NFC", os.path.splitext(name)[0]), audio=folder / name, text=text)


def _say_unlisted(folder: Path, names: Sequence[str], entries: Sequence[Entry]) -> None:
    """Say which audio files of a folder its metadata do not list."""
    listed = {os.path.normpath(entry.audio) for entry in entries if isinstance(entry.audio, Path)}
    audio = filter(is_audio_name, names)
    if unlisted := sorted(name for name in audio if os.path.normpath(folder / name) not in listed):
        logger.info(
            "%s: left out audio that the metadata do not list: %d, such as %s", folder, len(unlisted), unlisted[0]
        )


def _metadata(folder: Path) -> Path | None:
    files = (folder / "metadata.csv", folder / "metadata.jsonl")
    return next((file for file in files if file.is_file()), None)
