"""A Kaldi data folder: wav.scp, and text, utt2spk and segments where there are any."""

import math
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.names import NameForms
from distilhubert_ko.data.readers.parsing import (
    check_named,
    existing_folder,
    malformed_line,
    numbered_lines,
    read_table,
)
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.fence import Fence


def read_kaldi(location: str, split: str | None, reading: Reading) -> Listing:
    """List the utterances of a Kaldi folder.

    A relative path in wav.scp counts from the folder that holds this one, then from the working folder.
    """
    folder = existing_folder("kaldi", location, reading)
    fence = reading.fence(folder.parent)
    forms = NameForms()
    recordings = {
        key: _recording(folder, key, path, fence, forms) for key, path in read_table(folder / "wav.scp").items()
    }
    texts = read_table(folder / "text", may_be_empty=True) if (folder / "text").exists() else {}
    speakers = read_table(folder / "utt2spk") if (folder / "utt2spk").exists() else {}
    entries = [
        Entry(id=key, audio=path, text=texts.get(key), speaker=speakers.get(key), offset=offset, duration=duration)
        for key, path, offset, duration in _segments(folder, recordings)
    ]
    listed = {entry.id for entry in entries}
    lost = [Entry(id=key, text=text, speaker=speakers.get(key)) for key, text in texts.items() if key not in listed]
    return Listing(entries + lost)


def _recording(folder: Path, key: str, path: str, fence: Fence | None, forms: NameForms) -> Path:
    if path.endswith("|"):
        raise CorpusError(
            f"{folder / 'wav.scp'}: {key} is a command, and commands are not run: "
            "run it yourself, write its audio to a file, and name that file"
        )
    beside = folder.parent / path
    # Unlike those of Path, the functions of os.path take a name that is too long for one of a file that is missing.
    chosen = beside if os.path.exists(beside) or not os.path.exists(path) else Path(path)
    line = f"{folder / 'wav.scp'}, the line of {key}"
    check_named(chosen, fence, line)
    found = forms.find(chosen)
    check_named(found, fence, line)
    return found


def _segments(folder: Path, recordings: dict[str, Path]) -> Iterator[tuple[str, Path | None, float, float | None]]:
    """Yield each utterance, its recording, its start and its length in s; an end of -1 means the recording's."""
    file = folder / "segments"
    if not file.exists():
        for key, path in recordings.items():
            yield key, path, 0.0, None
        return
    for number, line in numbered_lines(file):
        try:
            key, recording, start, end = line.split()
            offset, stop = float(start), float(end)
        except ValueError:
            raise malformed_line(file, number, "<utterance> <recording> <start> <end>") from None
        if not (0 <= offset < math.inf and (offset < stop < math.inf or stop == -1)):
            raise malformed_line(file, number, "0 <= start < end, in seconds")
        key, recording = (unicodedata.normalize("NFC", name) for name in (key, recording))
        yield key, recordings.get(recording), offset, None if stop == -1 else stop - offset
