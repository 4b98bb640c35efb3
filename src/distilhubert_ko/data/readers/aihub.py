"""AI Hub's usual layouts: audio with a JSON or .txt label beside it, or in a parallel folder of labels."""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.readers.aihub_labels import WANTED, Clip, label_keys, read_label
from distilhubert_ko.data.readers.entries import Audio, Entry, Listing
from distilhubert_ko.data.readers.marks import without_annotations
from distilhubert_ko.data.readers.parsing import check_named, existing_folder, read_content
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.fence import Fence
from distilhubert_ko.files.recordings import folder_files

SUFFIXES = (".wav", ".flac", ".pcm")  # of one clip in several formats, the first counts
NAMED_KEYS = 30  # keys of an unknown label that are named
AMBIGUOUS, OTHER_RATE, UNREADABLE = (
    "no audio that is surely its own",
    "PCM at another rate than 16 kHz",
    "label unreadable",
)
_SPLITS = {"training": "train", "train": "train", "validation": "dev", "valid": "dev", "test": "test"}
# What tells a folder of labels from its folder of audio; the rest of their paths is equal.
_ROLE = re.compile(
    r"(?:\d+\.\s*)?(?:원천|라벨링|라벨)\s*(?:데이터)?|label(?:ing|led|s)?(?:[ _]?data)?|source(?:[ _]?data)?"
    r"|(?:wavs?|json|audio)$|[ _\[\]().]"
)
_HALVES = re.compile(r"^([tv])[sl](?![a-z])")  # TS_1 holds the audio of TL_1, and VS_1 of VL_1


def read_aihub(location: str, split: str | None, reading: Reading) -> Listing:
    """List the utterances of a folder with labels; or those of another corpus, SCHEME:LOCATION, with annotated text.

    The folders Training and Validation are the splits train and dev. Transcripts give what was said and how it is
    written.
    """
    from distilhubert_ko.data.readers.registry import READERS  # which has this reader too

    if found := inner_corpus(location):
        scheme, inner = found
        listing = READERS[scheme](inner, split, reading)
        entries = listing.entries if listing.annotated else [without_annotations(each) for each in listing.entries]
        return replace(listing, entries=entries, annotated=True)
    tree = _Tree.scan(existing_folder("aihub", location, reading), split)
    entries = [without_annotations(entry) for entry in _labelled(tree, reading)]
    if not entries:
        raise CorpusError(
            f"{tree.folder} holds no JSON or .txt labels with WAV, FLAC or PCM audio of their names: unpack the "
            "archives of audio and of labels below it"
        )
    return Listing(entries, annotated=True)


def inner_corpus(location: str) -> tuple[str, str] | None:
    """Return scheme and location of the corpus that aihub:SCHEME:LOCATION names; None if it names a folder."""
    from distilhubert_ko.data.readers.registry import READERS  # which has this reader too

    scheme, _, inner = location.partition(":")
    return (scheme, inner) if inner and scheme in READERS else None


@dataclass(frozen=True)
class _Tree:
    """The files of a corpus, as paths from its folder."""

    folder: Path
    labels: list[Path] = field(default_factory=list)
    texts: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """The .txt files by stem; stems are in NFC."""
    audio: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """The audio files by stem."""
    places: dict[str, set[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(set))
    """Where labels have a stem."""

    @classmethod
    def scan(cls, folder: Path, split: str | None) -> "_Tree":
        """Return the files of a folder, with the labels of one split alone where folders have that split's name."""
        tree = cls(folder)
        labels = []
        for path in sorted(map(Path, folder_files(str(folder)))):
            suffix = path.suffix.lower()
            if suffix in SUFFIXES:
                tree.audio[_stem(path)].append(path)
            elif suffix in (".json", ".txt"):
                tree.places[_stem(path)].add(_place(path.parent))
                labels.append(path)
        if any(split_of(path.parent) == split for path in labels):
            labels = [path for path in labels if split_of(path.parent) == split]
        for path in labels:
            if path.suffix.lower() == ".json":
                tree.labels.append(path)
            else:
                tree.texts[_stem(path)].append(path)
        return tree

    def find(self, label: Path, file: str) -> Path | str:
        """Return the audio that a label describes, under the name that it gives or its own; or why there is none."""
        named = Path(file.replace("\\", "/")) if file else label
        found = self.audio.get(_stem(named), [])
        if file and len(named.parts) > 1:
            found = [path for path in found if path.parent.name == named.parent.name]
        alike = [path for path in found if _place(path.parent) == _place(label.parent)]
        # Elsewhere, only what one label alone can mean is taken: sessions often number their clips alike.
        own = _stem(named) == _stem(label)
        alone = len(self.places[_stem(label)]) == 1 if own else len(named.parts) > 1
        alike = alike or (found if alone else [])
        if not alike:
            return AMBIGUOUS if found else "audio missing"
        near = [path for path in alike if path.parent == label.parent] or alike
        if len({path.parent for path in near}) > 1:
            return AMBIGUOUS
        return min(near, key=lambda path: SUFFIXES.index(path.suffix.lower()))


@cache
def split_of(folder: Path) -> str | None:
    """Return the split that a folder, or one above it, is named after: Training, 1.Training or Validation."""
    names = (re.sub(r"^\d+\.", "", part).lower() for part in folder.parts)
    return next((_SPLITS[name] for name in names if name in _SPLITS), None)


@cache
def _place(folder: Path) -> tuple[str, ...]:
    """Return the parts of a folder's path without what tells labels from audio."""
    parts = (unicodedata.normalize("NFC", part).lower() for part in folder.parts)
    return tuple(place for part in parts if (place := _ROLE.sub("", _HALVES.sub(r"\1", part))))


def _stem(path: Path) -> str:
    return unicodedata.normalize("NFC", path.stem)


def _labelled(tree: _Tree, reading: Reading) -> Iterator[Entry]:
    """Yield what the JSON labels describe, and then what .txt files of the name of an audio file say."""
    described: set[Audio | None] = set()
    unknown = ""
    fence = reading.fence(tree.folder)
    for label in tree.labels:
        clips = _read_clips(tree, label)
        if isinstance(clips, str):
            unknown = unknown or clips
            continue
        for number, clip in enumerate(clips, 1):
            entry = _entry(tree, label, clip, number, fence)
            described.add(entry.audio)
            yield entry
    for stem, labels in tree.texts.items():
        for label in labels if stem in tree.audio else []:
            entry = _entry(tree, label, Clip(""), 1, fence)
            if entry.audio not in described:
                described.add(entry.audio)
                yield _with_text(entry, tree.folder / label)
    if unknown and not described:
        raise CorpusError(unknown)


def _with_text(entry: Entry, label: Path) -> Entry:
    """Return an entry with the text of its .txt file, or the problem that this cannot be read."""
    try:
        return replace(entry, text=read_content(label).strip())
    except CorpusError:
        return replace(entry, problem=entry.problem or UNREADABLE)


def _read_clips(tree: _Tree, label: Path) -> list[Clip] | str:
    """Return the utterances of a label, or what is wrong with one that may describe no audio."""
    file = tree.folder / label
    try:
        content = json.loads(read_content(file))
    except (ValueError, RecursionError):
        raise CorpusError(f"{file} is no JSON: copy it again, or move it out of the corpus") from None
    if not isinstance(content, dict):
        return f"{file} holds no JSON object: write a manifest of what it lists, and read aihub:manifest:FILE"
    try:
        clips = read_label(content)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{file}: {error}: write a manifest with offset and duration") from error
    if clips:
        return clips
    keys = label_keys(content)
    wrong = (
        f"{file} has no transcript where AI Hub's labels are known to have one: its keys are "
        f"{', '.join(keys[:NAMED_KEYS])}{', ...' if len(keys) > NAMED_KEYS else ''}; wanted is one of {WANTED}: write "
        "a manifest instead, and read aihub:manifest:FILE"
    )
    if _stem(label) in tree.audio and _stem(label) not in tree.texts:
        raise CorpusError(wrong)
    return wrong


def _entry(tree: _Tree, label: Path, clip: Clip, number: int, fence: Fence | None) -> Entry:
    """Return the entry of a label's utterance of that number, from 1."""
    found = tree.find(label, clip.file)
    sliced = clip.start is not None
    name = label if isinstance(found, str) else found
    audio = None if isinstance(found, str) else tree.folder / found
    problem = AMBIGUOUS if found == AMBIGUOUS else ""
    if audio:
        check_named(audio, fence, str(tree.folder / label))
        if audio.suffix.lower() == ".pcm" and clip.rate not in (None, SAMPLE_RATE):
            problem = OTHER_RATE
    speaker = clip.speaker
    if sliced and speaker and re.fullmatch(r"\d{1,2}", speaker):
        speaker = f"{label.stem}-{speaker}"  # a number that other labels give to other speakers
    return Entry(
        id=str(name.with_suffix("")) + (f"-{number}" if sliced or (number > 1 and not audio) else ""),
        audio=audio,
        text=clip.text,
        problem=problem,
        speaker=speaker,
        split=split_of(label.parent),
        offset=clip.start or 0.0,
        duration=clip.duration,
        gender=clip.gender,
    )
