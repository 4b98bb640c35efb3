"""Audio data sets of the Hugging Face Hub, downloaded whole or streamed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from distilhubert_ko.data.readers.columns import describing_columns
from distilhubert_ko.data.readers.entries import Entry, Listing
from distilhubert_ko.data.readers.parsing import cell_text
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.errors import CorpusError, MissingExtraError, UnavailableError, reason
from distilhubert_ko.files.hub_client import hub_or_cache


def read_hub(location: str, split: str | None, reading: Reading) -> Listing:
    """List an audio data set of the Hub, NAME or NAME@REVISION, one split of it or all, with its commit.

    Its audio is read when it is wanted. A data set in a folder of this machine has no commit.
    """
    if reading.streaming:
        from distilhubert_ko.data import shards  # and pyarrow with it

        return shards.list_streamed(location, split)
    with _open_builder(location) as builder:
        builder.download_and_prepare()
        loaded = builder.as_dataset(split=split)
    parts = {split: loaded} if split else loaded
    entries = [entry for part, rows in parts.items() for entry in _split_entries(location, part, rows)]
    return Listing(entries, _commit(builder))


def hub_files(location: str) -> tuple[dict[str, list[str]], str | None]:
    """Return the addresses of a data set's files by split, without fetching any, and the commit that they are of."""
    with _open_builder(location) as builder:
        found = builder.config.data_files or {}
    return {str(split): [str(address) for address in addresses] for split, addresses in found.items()}, _commit(builder)


def hub_name(location: str) -> tuple[str, str]:
    """Return NAME and REVISION of NAME@REVISION; the revision is empty where there is none, as in a folder's path."""
    name, _, revision = location.partition("@")
    return (location, "") if Path(location).exists() else (name, revision)


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

    name, revision = hub_name(location)
    try:
        with hub_or_cache(name):
            yield datasets.load_dataset_builder(name, revision=revision or None)
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


def _split_entries(name: str, split: str, rows: Any) -> Iterator[Entry]:
    import datasets

    text, speaker, gender = describing_columns(rows.column_names).values()
    if "audio" not in rows.column_names:
        found = ", ".join(rows.column_names)
        raise CorpusError(f"hub:{name} needs the column audio, but has {found}: choose another data set")
    # Without decode=False, datasets decodes each clip on access and needs torchcodec for it.
    rows = rows.cast_column("audio", datasets.Audio(decode=False))
    for index, row in enumerate(rows.select_columns([column for column in (text, speaker, gender) if column])):
        yield Entry(
            id=f"{split}-{index:06d}",
            audio=partial(_audio_bytes, rows, index),
            text=cell_text(row[text]) if text else None,
            speaker=cell_text(row.get(speaker)),
            split=split,
            gender=cell_text(row.get(gender)),
        )


def _audio_bytes(rows: Any, index: int) -> bytes:
    clip = rows[index]["audio"]
    return bytes(clip["bytes"]) if clip["bytes"] is not None else Path(clip["path"]).read_bytes()
