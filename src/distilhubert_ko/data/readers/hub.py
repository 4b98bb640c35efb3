"""Audio data sets of the Hugging Face Hub, downloaded whole or streamed."""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from distilhubert_ko.data.readers.columns import (
    LANGUAGE,
    TEXT,
    Columns,
    describing_columns,
    first_name,
    several,
)
from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.hub_source import HubSource
from distilhubert_ko.data.readers.parsing import cell_text
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError, MissingExtraError, UnavailableError, reason
from distilhubert_ko.files.hub_client import hub_or_cache

KOREAN = re.compile(r"(ko|kor|korean|한국어)([-_].*)?", re.IGNORECASE)


def read_hub(location: str, split: str | None, reading: Reading) -> Listing:
    """List an audio data set of the Hub, NAME@REVISION:CONFIGURATION, one split of it or all, with its commit.

    Its audio is read when it is wanted. A data set in a folder of this machine has no commit.
    """
    if reading.streaming:
        from distilhubert_ko.data import shards  # and pyarrow with it

        return shards.list_streamed(location, split, reading.columns)
    commit = HubSource.parse(location).folder_commit()
    with _open_builder(location) as builder:
        builder.download_and_prepare()
        loaded = builder.as_dataset(split=split)
    parts = {split: loaded} if split else loaded
    spoken: set[str] = set().union(*(_languages(rows) for rows in parts.values()))
    check_one_language(location, spoken, list(builder.builder_configs))
    entries = [entry for part, rows in parts.items() for entry in _split_entries(location, part, rows, reading.columns)]
    names = next(iter(parts.values())).column_names
    return Listing(entries, commit or _commit(builder), hint=hint_without_text(location, names, entries))


def hint_without_text(location: str, names: Sequence[str], entries: Sequence[Entry]) -> str:
    """Return what to say of a data set none of whose rows has a text, "" of others."""
    if any(entry.text for entry in entries):
        return ""
    return (
        f"the columns are {several(names)}, and the text is wanted under {', '.join(TEXT)}, or in "
        f"hub:{location}?text=COLUMN"
    )


def check_one_language(location: str, spoken: Collection[str], configs: Sequence[str]) -> None:
    """Raise CorpusError where rows are in several languages."""
    if len(spoken) > 1:
        name = HubSource.parse(location).name
        remedy = (
            f"name a configuration, hub:{name}:CONFIGURATION, of {several(sorted(configs, key=_korean_first))}"
            if len(configs) > 1
            else "its configurations do not part them, so choose another data set, or keep the rows of one language"
        )
        raise CorpusError(f"hub:{location} has {len(spoken)} languages ({several(sorted(spoken))}): {remedy}")


def _check_one_folder(location: str, source: HubSource, files: Mapping[str, Sequence[str]]) -> None:
    """Raise CorpusError where the files of a split lie in folders for languages, one of which is for Korean."""
    for addresses in files.values():
        above = os.path.commonpath(addresses) if len(addresses) > 1 else ""
        folders = {address.removeprefix(above).lstrip("/").partition("/")[0] for address in addresses}
        korean = [name for name in folders if KOREAN.fullmatch(name)]
        if korean and len(folders) > 1:
            folder = source.name if Path(source.name).exists() else "FOLDER"
            fetch = "" if folder == source.name else f"download it, hf download --repo-type dataset {source.name}, and "
            raise CorpusError(
                f"hub:{location} has folders for several languages ({several(sorted(folders, key=_korean_first))}), "
                f"which are never mixed: {fetch}name hub:{folder}/{korean[0]}"
            )


def _korean_first(name: str) -> tuple[bool, str]:
    return not name.lower().startswith("ko"), name


def hub_files(location: str) -> tuple[dict[str, list[str]], str | None]:
    """Return the addresses of a data set's files by split, without fetching any, and the commit that they are of."""
    commit = HubSource.parse(location).folder_commit()
    with _open_builder(location) as builder:
        found = builder.config.data_files or {}
    addresses = {str(split): [str(address) for address in every] for split, every in found.items()}
    return addresses, commit or _commit(builder)


def _commit(builder: Any) -> str | None:
    """Return the commit; `datasets` gives a folder of this machine a shorter hash of its own."""
    return builder.hash if re.fullmatch("[0-9a-f]{40}", builder.hash or "") else None


@contextmanager
def _open_builder(location: str) -> Iterator[Any]:
    """Yield what `datasets` would build the data set with; within it, failures say what to do."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError('corpora on the Hub need datasets: pip install "distilhubert-ko[train]"') from error
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    source = HubSource.parse(location)
    if source.name.startswith(("/", "./", "../", "~")) and not Path(source.name).exists():
        raise CorpusError(f"hub:{location}: there is no folder {source.name}: check the path")
    revision = None if Path(source.name).exists() else source.revision or None
    try:
        with hub_or_cache(source.name):
            try:
                builder = datasets.load_dataset_builder(source.name, source.config or None, revision=revision)
                configs = [source.config] if source.config else list(builder.builder_configs)
            except ValueError:  # no configuration of this name, or none is named
                configs = datasets.get_dataset_config_names(source.name, revision=revision)
                if source.config in configs:
                    raise
            if len(configs) > 1 or source.config not in ("", *configs):
                raise CorpusError(
                    f"hub:{location}: name one of its configurations, which are never mixed, as in "
                    f"hub:{source.name}:NAME: {several(sorted(configs, key=_korean_first))}"
                )
            _check_one_folder(location, source, builder.config.data_files or {})
            yield builder
    except CorpusError:
        raise  # a ValueError, which says enough
    except (datasets.exceptions.DataFilesNotFoundError, datasets.data_files.EmptyDatasetError) as error:
        raise CorpusError(
            f"hub:{location} has no data files that datasets reads, such as parquet: check the folder or the name, or "
            "read audio files with folder: or manifest:"
        ) from error
    except datasets.exceptions.DatasetNotFoundError as error:
        raise CorpusError(
            f"hub:{location} is not on the Hub, or is private: check its name, or hf auth login"
        ) from error
    except (ConnectionError, TimeoutError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise UnavailableError(
            f"the Hub could not be reached for hub:{location}: check the network, or download Zeroth-Korean, "
            "https://openslr.org/40, and use zeroth:PATH#train, or take the corpus that needs no network, "
            "synthetic:demo#train"
        ) from error
    except (ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise CorpusError(f"hub:{location} cannot be loaded: {reason(error)}") from error


def audio_column(location: str, names: Sequence[str], sounding: Sequence[str], columns: Columns) -> str:
    """Return the column of the audio among these: the given one, `audio`, or the only one that holds audio.

    Raises CorpusError where there is none, or a column that is given is not there.
    """
    if missing := [name for name in columns.given.values() if name not in names]:
        raise CorpusError(f"hub:{location} has the columns {several(names)}, but not {missing[0]}: name one of these")
    if columns.audio:
        return columns.audio
    if "audio" in names or len(sounding) == 1:
        return "audio" if "audio" in names else sounding[0]
    raise CorpusError(
        f"hub:{location} needs the column audio, but has {several(names)}: name it, hub:{location}?audio=COLUMN, or "
        "choose another data set"
    )


def _languages(rows: Any) -> set[str]:
    """Return the languages that rows say they are in."""
    column = first_name(rows.column_names, LANGUAGE)
    if column is None:
        return set()
    feature = rows.features[column]
    found = [value for value in rows.unique(column) if value is not None]
    return {str(feature.int2str(value)) if hasattr(feature, "int2str") else str(value) for value in found}


def _split_entries(name: str, split: str, rows: Any, columns: Columns) -> Iterator[Entry]:
    import datasets

    sounding = [column for column, feature in rows.features.items() if isinstance(feature, datasets.Audio)]
    audio = audio_column(name, rows.column_names, sounding, columns)
    text, speaker, gender = describing_columns(rows.column_names, columns).values()
    # Without decode=False, datasets decodes each clip on access and needs torchcodec for it.
    rows = rows.cast_column(audio, datasets.Audio(decode=False))
    described = [column for column in (text, speaker, gender) if column]
    # A selection of no columns has no rows.
    for index, row in enumerate(rows.select_columns(described) if described else ({} for _ in range(len(rows)))):
        yield Entry(
            id=f"{split}-{index:06d}",
            audio=partial(_audio_bytes, rows, audio, index),
            text=cell_text(row[text]) if text else None,
            speaker=cell_text(row.get(speaker)),
            split=split,
            gender=cell_text(row.get(gender)),
        )


def _audio_bytes(rows: Any, column: str, index: int) -> bytes:
    clip = rows[index][column]
    return bytes(clip["bytes"]) if clip["bytes"] is not None else Path(clip["path"]).read_bytes()
