"""Hugging Face's audiofolder: metadata.csv or metadata.jsonl beside the audio, or the audio alone."""

from pathlib import Path

from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.librispeech import SUFFIXES
from distilhubert_ko.data.readers.manifest import manifest_entries
from distilhubert_ko.data.readers.parsing import existing_folder
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError


def read_folder(location: str, split: str | None, reading: Reading) -> Listing:
    """List what the metadata of a folder names, or that of its subfolders, one per split.

    Without metadata, list the FLAC and WAV files in the folder and below, of which nothing more is known.
    """
    folder = existing_folder("folder", location, reading)
    fence = reading.fence(folder)
    entries: list[Entry] = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir()):
        if file := _metadata(home):
            entries += [entry for _, entry in manifest_entries(file, "file_name", home.name, fence, prefix=home.name)]
    if entries:
        return Listing(entries)
    if file := _metadata(folder):
        return Listing([entry for _, entry in manifest_entries(file, "file_name", fence=fence)])
    if files := sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        return Listing([Entry(id=str(path.relative_to(folder).with_suffix("")), audio=path) for path in files])
    raise CorpusError(
        f"{folder} holds neither metadata.csv or metadata.jsonl, in it or in a subfolder, nor FLAC or WAV files: write "
        "metadata, which may name audio in any format, or convert the audio"
    )


def _metadata(folder: Path) -> Path | None:
    files = (folder / "metadata.csv", folder / "metadata.jsonl")
    return next((file for file in files if file.is_file()), None)
