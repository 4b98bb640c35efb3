"""LibriSpeech's folders: <speaker>/<chapter>/*.trans.txt with lines `<id> <text>`, and the audio beside it."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.parsing import existing_folder, read_table
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.files.recordings import folder_files

SUFFIXES = (".flac", ".wav")


def read_librispeech(location: str, split: str | None, reading: Reading) -> Listing:
    """List <speaker>/<chapter>/<id>.flac or <id>.wav, with the transcripts of the chapter's *.trans.txt."""
    folder = existing_folder("librispeech", location, reading)
    return Listing(list_transcript_tree(folder, lambda chapter: chapter.parent.name))


def list_transcript_tree(
    folder: Path,
    speaker_of: Callable[[Path], str],
    split: str | None = None,
    genders: Mapping[str, str] | None = None,
) -> list[Entry]:
    """List the audio files below a folder, with the transcripts of each folder's *.trans.txt.

    `speaker_of` gives the speaker of a folder of clips, and `genders` a speaker's gender.
    """
    entries = []
    homes: defaultdict[Path, list[str]] = defaultdict(list)
    for file in map(folder.joinpath, folder_files(str(folder))):
        homes[file.parent].append(file.name)
    for home, names in sorted(homes.items()):
        speaker = speaker_of(home)
        gender = (genders or {}).get(speaker)
        files = {
            unicodedata.normalize("NFC", Path(name).stem): home / name
            for name in sorted(names)
            if name.endswith(SUFFIXES)
        }
        lines: list[tuple[str, str | None]] = []
        for name in sorted(names):
            if name.endswith(".trans.txt"):
                lines += read_table(home / name, may_be_empty=True).items()
        lines += [(key, None) for key in sorted(files.keys() - dict(lines).keys())]
        entries += [
            Entry(id=key, audio=files.get(key), text=text, speaker=speaker, split=split, gender=gender)
            for key, text in lines
        ]
    return entries
