"""Mozilla Common Voice as it is downloaded: a folder per language with validated.tsv, train.tsv and clips/."""

from collections.abc import Iterator
from pathlib import Path

from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.names import NameForms
from distilhubert_ko.data.readers.parsing import cell_text, check_named, existing_folder, numbered_lines
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.files.fence import Fence

OWN_SPLITS = ("train", "dev", "test")
VALIDATED = "validated"
"""All clips that listeners confirmed, those of the three splits and many more."""
WANTED = ("client_id", "path", "sentence")
LANGUAGE = "locale"
GENDERS = {"female": "f", "female_feminine": "f", "male": "m", "male_masculine": "m"}


def read_commonvoice(location: str, split: str | None, reading: Reading) -> Listing:
    """List the clips of a language's folder, or of one of its tables, such as validated.tsv, which has no splits.

    Without a split, a folder's own three are listed, or the validated clips where there are none of those.
    """
    place = reading.path(location)
    if place.suffix == ".tsv":
        return Listing([*_entries(place, None, reading.fence(place.parent))])
    folder = existing_folder("commonvoice", location, reading)
    there = [name for name in (*OWN_SPLITS, VALIDATED) if (folder / f"{name}.tsv").is_file()]
    if not there:
        languages = sorted(path.parent.name for path in folder.glob(f"*/{VALIDATED}.tsv"))
        inner = f", but the folders of {', '.join(languages)}: name one of them" if languages else ": check the path"
        raise CorpusError(f"{folder} holds neither {VALIDATED}.tsv nor train.tsv, dev.tsv or test.tsv{inner}")
    if split and split not in there:
        raise CorpusError(f"commonvoice:{location}: no split {split!r}: this folder has {', '.join(there)}")
    names = [split] if split else [name for name in there if name != VALIDATED] or there
    fence = reading.fence(folder)
    return Listing([entry for name in names for entry in _entries(folder / f"{name}.tsv", name, fence)])


def _entries(table: Path, split: str | None, fence: Fence | None) -> Iterator[Entry]:
    """Yield the clips of a table. Its fields are parted by tabs, and quotes in them stand for themselves."""
    columns: list[str] = []
    language: str | None = None
    forms = NameForms()
    for number, line in numbered_lines(table, stripped=False):
        cells = [cell.strip() for cell in line.split("\t")]
        if not columns:
            columns = cells
            if missing := [name for name in WANTED if name not in columns]:
                raise CorpusError(
                    f"{table} has the columns {', '.join(columns)}, but not {', '.join(missing)}: give a table of "
                    "Common Voice, or name its columns with manifest:"
                )
            continue
        if len(cells) != len(columns):
            raise CorpusError(
                f"{table}, line {number} has {len(cells)} fields for {len(columns)} columns: download the table again"
            )
        record = dict(zip(columns, cells, strict=True))
        spoken = record.get(LANGUAGE) or language
        if language and spoken != language:
            raise CorpusError(
                f"{table}, line {number} is in {spoken}, those before in {language}: keep the lines of one language"
            )
        language = spoken
        name = record["path"]
        if name and not Path(name).suffix:  # as in the first releases
            name += ".mp3"
        clip = table.parent / "clips" / name
        check_named(clip, fence, f"{table}, line {number}")
        clip = forms.find(clip)
        yield Entry(
            id=clip.stem,
            audio=clip if name else None,
            text=cell_text(record["sentence"].replace('\\"', '"')),
            speaker=cell_text(record["client_id"]),
            split=split,
            gender=cell_text(GENDERS.get(record.get("gender", ""))),
        )
