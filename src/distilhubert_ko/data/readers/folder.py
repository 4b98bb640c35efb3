"""Hugging Face's audiofolder: metadata.csv or metadata.jsonl beside the audio, or the audio alone."""

import unicodedata
from pathlib import Path

from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.librispeech import SUFFIXES
from distilhubert_ko.data.readers.manifest import hint_without_text, manifest_entries
from distilhubert_ko.data.readers.parsing import existing_folder, read_content
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError


def read_folder(location: str, split: str | None, reading: Reading) -> Listing:
    """List what the metadata of a folder names, or that of its subfolders, one per split.

    Without metadata, list the FLAC and WAV files in the folder and below, with the text in NAME.txt beside NAME.wav.
    """
    folder = existing_folder("folder", location, reading)
    fence = reading.fence(folder)
    entries: list[Entry] = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir()):
        if file := _metadata(home):
            rows = manifest_entries(file, "file_name", home.name, fence, home.name, reading.columns)
            entries += [entry for _, entry in rows]
    if entries:
        return Listing(entries)
    if file := _metadata(folder):
        rows = manifest_entries(file, "file_name", fence=fence, columns=reading.columns)
        entries = [entry for _, entry in rows]
        return Listing(entries, hint=hint_without_text(file, entries, reading.columns))
    if files := sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        hint = "write what is said in NAME.wav into NAME.txt beside it, or list the files in metadata.csv"
        return Listing([_beside(folder, path) for path in files], hint=hint)
    raise CorpusError(
        f"{folder} holds neither metadata.csv or metadata.jsonl, in it or in a subfolder, nor FLAC or WAV files: write "
        "metadata, which may name audio in any format, or convert the audio"
    )


def _beside(folder: Path, audio: Path) -> Entry:
    """Return a file of a folder without metadata, with the text of the file beside it, NAME.txt, if there is one."""
    name = unicodedata.normalize("NFC", str(audio.relative_to(folder).with_suffix("")))
    transcript = audio.with_suffix(".txt")
    text = " ".join(read_content(transcript).split()) if transcript.is_file() else None
    return Entry(id=name, audio=audio, text=text)


def _metadata(folder: Path) -> Path | None:
    files = (folder / "metadata.csv", folder / "metadata.jsonl")
    return next((file for file in files if file.is_file()), None)
