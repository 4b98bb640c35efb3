"""What corpora list about their utterances: one reader a format, none of which opens the sound.

`corpora` turns these entries into utterances; nothing else should need this module. What a list names outside a
`fence` is refused; without one, files may lie anywhere.
"""

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distilhubert_ko.errors import CorpusError, MissingExtraError, UnavailableError, reason
from distilhubert_ko.files.fence import Fence, left

Audio = Path | Callable[[], bytes]
"""A sound file, or a function that fetches the content of one when it is wanted."""

_TEXT = ("text", "transcription", "sentence", "transcript")
_SPEAKER = ("speaker", "speaker_id")
_GENDER = ("gender", "sex")
_SUFFIXES = (".flac", ".wav")


@dataclass(frozen=True)
class Entry:
    """One utterance as its corpus lists it. What the corpus does not give is None; times are in seconds."""

    id: str
    audio: Audio | None
    text: str | None
    speaker: str | None = None
    split: str | None = None
    offset: float = 0.0
    duration: float | None = None
    gender: str | None = None
    seconds: float | None = None
    """The length, where the corpus lists it and the sound is far away; elsewhere the sound itself is asked."""


def librispeech(folder: Path) -> list[Entry]:
    """<speaker>/<chapter>/*.trans.txt with lines `<id> <text>`, and <id>.flac or <id>.wav beside it."""
    return _tree(folder, lambda chapter: chapter.parent.name)


def zeroth(folder: Path) -> list[Entry]:
    """OpenSLR 40: {train,test}_data_01/003/<speaker>/*.trans.txt, and AUDIO_INFO for the speakers' sex."""
    splits = [split for split in ("train", "test") if (folder / f"{split}_data_01").is_dir()]
    if not splits:
        raise CorpusError(
            f"{folder} holds neither train_data_01 nor test_data_01: "
            "unpack zeroth_korean.tar.gz of https://openslr.org/40 there"
        )
    genders = _zeroth_genders(folder / "AUDIO_INFO")
    return [
        entry
        for split in splits
        for entry in _tree(folder / f"{split}_data_01", lambda home: home.name, split, genders)
    ]


def kaldi(folder: Path, fence: Fence | None = None) -> list[Entry]:
    """wav.scp, and text, utt2spk and segments where there are any.

    A relative path in wav.scp counts from the folder that holds this one, then from the working folder.
    """
    recordings = {key: _kaldi_audio(folder, key, path, fence) for key, path in _table(folder / "wav.scp").items()}
    texts = _table(folder / "text") if (folder / "text").exists() else {}
    speakers = _table(folder / "utt2spk") if (folder / "utt2spk").exists() else {}
    entries = [
        Entry(key, path, texts.get(key), speakers.get(key), offset=offset, duration=duration)
        for key, path, offset, duration in _kaldi_segments(folder, recordings)
    ]
    listed = {entry.id for entry in entries}
    return entries + [Entry(key, None, text, speakers.get(key)) for key, text in texts.items() if key not in listed]


def audiofolder(folder: Path, fence: Fence | None = None) -> list[Entry]:
    """Hugging Face audiofolder: metadata.csv or metadata.jsonl, in the folder or in one subfolder a split.

    Without metadata, the FLAC and WAV files in the folder and below, of which nothing more is known.
    """
    entries = []
    for home in sorted(path for path in folder.iterdir() if path.is_dir()):
        if file := _metadata(home):
            entries += _records(file, "file_name", home.name, fence, prefix=home.name)
    if entries:
        return entries
    if file := _metadata(folder):
        return _records(file, "file_name", None, fence)
    if sounds := sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES):
        return [Entry(str(path.relative_to(folder).with_suffix("")), path, None) for path in sounds]
    raise CorpusError(
        f"{folder} holds neither metadata.csv or metadata.jsonl, in it or in a subfolder, nor FLAC or WAV files: write "
        "the one, which may name sounds in any format, or convert the other"
    )


def manifest(file: Path, split: str | None = None, fence: Fence | None = None) -> list[Entry]:
    """NeMo manifest: JSON lines or CSV with audio_filepath, text, and perhaps duration, offset, speaker."""
    return _records(file, "audio_filepath", split, fence)


def hub(location: str, split: str | None) -> tuple[list[Entry], str | None]:
    """An audio data set of the Hub, NAME or NAME@REVISION, one split of it or all, and its commit.

    Its audio is read when wanted. What lies in a folder of this machine has no commit.
    """
    with _hub(location) as builder:
        builder.download_and_prepare()
        loaded = builder.as_dataset(split=split)
    parts = {split: loaded} if split else loaded
    return [entry for part, rows in parts.items() for entry in _hub_split(location, part, rows)], _commit(builder)


def hub_files(location: str) -> tuple[dict[str, list[str]], str | None]:
    """Split -> addresses of its files, without fetching any, for `shards`, and the commit that they are of."""
    with _hub(location) as builder:
        found = builder.config.data_files or {}
    return {str(split): [str(address) for address in addresses] for split, addresses in found.items()}, _commit(builder)


def _commit(builder: Any) -> str | None:
    """`datasets` gives a folder of this machine a shorter hash of its own."""
    return builder.hash if re.fullmatch("[0-9a-f]{40}", builder.hash or "") else None


@contextmanager
def _hub(location: str) -> Iterator[Any]:
    """What `datasets` would build the data set with; within it, failures say what to do."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError('corpora on the Hub need datasets: pip install "distilhubert-ko[train]"') from error
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, revision = hub_name(location)
    try:
        yield datasets.load_dataset_builder(name, revision=revision or None)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise CorpusError(
            f"hub:{location} is not on the Hub, or is private: check its name, or hf auth login"
        ) from error
    except (ConnectionError, TimeoutError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise UnavailableError(
            f"the Hub could not be reached for hub:{location}: download Zeroth-Korean, https://openslr.org/40, "
            "and use zeroth:PATH#train, or take the corpus that needs no network, synthetic:demo#train"
        ) from error
    except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(f"hub:{location} cannot be loaded: {reason(error)}") from error


def hub_name(location: str) -> tuple[str, str]:
    """NAME and REVISION of NAME@REVISION; the revision is empty where there is none, as in a folder's path."""
    name, _, revision = location.partition("@")
    return (location, "") if Path(location).exists() else (name, revision)


def described(names: Sequence[str]) -> dict[str, str | None]:
    """The fields of Entry that describe a clip -> the column, of these, that has them."""
    return {"text": first(names, _TEXT), "speaker": first(names, _SPEAKER), "gender": first(names, _GENDER)}


def first(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """The first of the wanted names that is among the names."""
    return next((name for name in wanted if name in names), None)


def _hub_split(name: str, split: str, rows: Any) -> Iterator[Entry]:
    import datasets

    text, speaker, gender = described(rows.column_names).values()
    if "audio" not in rows.column_names:
        found = ", ".join(rows.column_names)
        raise CorpusError(f"hub:{name} needs the column audio, but has {found}: choose another data set")
    # Without decode=False, datasets decodes each clip on access and needs torchcodec for it.
    rows = rows.cast_column("audio", datasets.Audio(decode=False))
    for index, row in enumerate(rows.select_columns([column for column in (text, speaker, gender) if column])):
        yield Entry(
            f"{split}-{index:06d}",
            partial(_hub_bytes, rows, index),
            string(row[text]) if text else None,
            string(row.get(speaker)),
            split,
            gender=string(row.get(gender)),
        )


def _hub_bytes(rows: Any, index: int) -> bytes:
    clip = rows[index]["audio"]
    return bytes(clip["bytes"]) if clip["bytes"] is not None else Path(clip["path"]).read_bytes()


def _tree(
    folder: Path,
    speaker_of: Callable[[Path], str],
    split: str | None = None,
    genders: dict[str, str] | None = None,
) -> list[Entry]:
    entries = []
    for directory, subfolders, names in os.walk(folder):
        subfolders.sort()
        home = Path(directory)
        speaker = speaker_of(home)
        gender = (genders or {}).get(speaker)
        sounds = {Path(name).stem: home / name for name in sorted(names) if name.endswith(_SUFFIXES)}
        lines: list[tuple[str, str | None]] = []
        for name in sorted(names):
            if name.endswith(".trans.txt"):
                lines += _table(home / name, may_be_empty=True).items()
        lines += [(key, None) for key in sorted(sounds.keys() - dict(lines).keys())]
        entries += [Entry(key, sounds.get(key), text, speaker, split, gender=gender) for key, text in lines]
    return entries


def _zeroth_genders(file: Path) -> dict[str, str]:
    """SEX by SPEAKERID; nothing where the table is missing or other than expected, as nothing hangs on it."""
    if not file.is_file():
        return {}
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="|"))
    return {row["SPEAKERID"]: row["SEX"].lower() for row in rows if row.get("SPEAKERID") and row.get("SEX")}


def _kaldi_audio(folder: Path, key: str, path: str, fence: Fence | None) -> Path:
    if path.endswith("|"):
        raise CorpusError(
            f"{folder / 'wav.scp'}: {key} is a command, and commands are not run: "
            "run it yourself, write its sound to a file, and name that file"
        )
    beside = folder.parent / path
    # Unlike those of Path, the functions of os.path take a name that is too long for one of a file that is missing.
    chosen = beside if os.path.exists(beside) or not os.path.exists(path) else Path(path)
    _check(chosen, fence, f"{folder / 'wav.scp'}, the line of {key}")
    return chosen


def _kaldi_segments(
    folder: Path, recordings: dict[str, Path]
) -> Iterator[tuple[str, Path | None, float, float | None]]:
    """Utterance, its recording, where it starts and how long it lasts; an end of -1 means the recording's."""
    file = folder / "segments"
    if not file.exists():
        for key, path in recordings.items():
            yield key, path, 0.0, None
        return
    for number, line in _lines(file):
        try:
            key, recording, start, end = line.split()
            offset, stop = float(start), float(end)
        except ValueError:
            raise _malformed(file, number, "<utterance> <recording> <start> <end>") from None
        if not (0 <= offset < math.inf and (offset < stop < math.inf or stop == -1)):
            raise _malformed(file, number, "0 <= start < end, in seconds")
        yield key, recordings.get(recording), offset, None if stop == -1 else stop - offset


def _metadata(folder: Path) -> Path | None:
    files = (folder / "metadata.csv", folder / "metadata.jsonl")
    return next((file for file in files if file.is_file()), None)


def _records(file: Path, path_key: str, split: str | None, fence: Fence | None, prefix: str = "") -> list[Entry]:
    return [entry for _, entry in listed(file, path_key, split, fence, prefix)]


def listed(
    file: Path,
    path_key: str = "audio_filepath",
    split: str | None = None,
    fence: Fence | None = None,
    prefix: str = "",
) -> Iterator[tuple[str, Entry]]:
    """The path of the audio as a CSV or JSON-lines file gives it, which may be a URL, and the entry.

    Without an id, one is the audio's path, and @offset in a slice.
    """
    for number, record in _csv(file) if file.suffix.lower() == ".csv" else _jsonl(file):
        path = record.get(path_key)
        if not isinstance(path, str) or not path:
            raise _malformed(file, number, f"a path under {path_key}")
        _check(file.parent / path, fence, f"{file}, line {number}")
        try:
            offset, duration = _number(record.get("offset")), _number(record.get("duration"))
        except (TypeError, ValueError, OverflowError):
            raise _malformed(file, number, "numbers of seconds as offset and duration") from None
        offset = offset or 0.0
        if not (0 <= offset < math.inf and (duration is None or 0 < duration < math.inf)):
            raise _malformed(file, number, "offset >= 0 and duration > 0, in seconds")
        name = os.path.splitext(os.path.join(prefix, path))[0]
        yield (
            path,
            Entry(
                string(record.get("id")) or (f"{name}@{offset}" if offset else name),
                file.parent / path,
                string(_first(record, _TEXT)),
                string(_first(record, _SPEAKER)),
                split,
                offset,
                duration,
                string(_first(record, _GENDER)),
            ),
        )


def _csv(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(_content(file)), strict=True)
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        raise _malformed(file, reader.reader.line_num, "comma-separated values") from error


def _jsonl(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(file):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise _malformed(file, number, "one JSON object a line")
        yield number, record


def _table(file: Path, may_be_empty: bool = False) -> dict[str, str]:
    """Lines of `<key> <value>`; a transcript may be empty, for `corpora` to report."""
    table: dict[str, str] = {}
    for number, line in _lines(file):
        key, *value = line.split(maxsplit=1)
        if not value and not may_be_empty:
            raise _malformed(file, number, "<id> <value>")
        if key in table:
            raise CorpusError(f"{file}, line {number}: {key} is listed twice: remove one of the lines")
        table[key] = value[0] if value else ""
    return table


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1 and without the space around them."""
    for number, line in enumerate(_content(file).split("\n"), 1):
        if stripped := line.strip():
            yield number, stripped


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{file} is not UTF-8: convert it, e.g. iconv -f CP949 -t UTF-8") from error
    except OSError as error:
        raise CorpusError(f"{file} cannot be read ({error.strerror}): check the path and the format") from error


def _malformed(file: Path, number: int, expected: str) -> CorpusError:
    return CorpusError(f"{file}, line {number} is malformed: it should have {expected}")


def _check(path: Path, fence: Fence | None, line: str) -> None:
    """Raises CorpusError where a list may not name a path, in the line that is called `line`."""
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise CorpusError(f"{line} names {str(path)!r}, as no file can be called: write the list again")
    if fence is not None and not fence.holds(path):
        raise left(line, str(path), fence.folder)


def _first(record: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((record[key] for key in keys if record.get(key) is not None), None)


def _number(value: Any) -> float | None:
    return None if value is None or value == "" else float(value)


def string(value: Any) -> str | None:
    """A cell of a table as text; None where it is empty."""
    return None if value is None or value == "" else str(value)
