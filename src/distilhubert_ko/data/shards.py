"""Data sets that stay on the Hub: their parquet shards are read over the network when they are wanted.

Parquet keeps columns and row groups apart. So the transcripts of all shards are read at once, and the audio one row
group at a time, when a clip of it is wanted. A row group is some 100 MB, or 100 clips, as `datasets` writes them. Row
groups that were fetched lie in a spool for as long as they are likely to be wanted again.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is of httpx, or of httpx2
    EntryNotFoundError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from distilhubert_ko.data.readers.columns import LANGUAGE, NONE_GIVEN, Columns, describing_columns, first_name, several
from distilhubert_ko.data.readers.entries import Audio, Entry, Listing
from distilhubert_ko.data.readers.hub import audio_column, check_one_language, hint_without_text, hub_files
from distilhubert_ko.data.readers.parsing import cell_text
from distilhubert_ko.errors import AudioError, CorpusError, InputError, UnavailableError, reason
from distilhubert_ko.files import writing
from distilhubert_ko.files.spool import Spool

DURATION = ("duration", "seconds")
WAITS = 2.0, 10.0
"""Seconds before a failed read is tried again; the Hub's client has tried each request six times by then."""
READINGS = 3  # of a row group that lies in the spool, each time fetched anew
AT_A_TIME = 16  # shards whose transcripts are read at once: nearly all of that time is waiting
BUFFER = 1 << 24  # bytes asked for at a time
BATCH = 64  # clips in memory while a row group is fetched
MIXING_WINDOW, MIXING_POOL = 8, 4
"""Row groups that training mixes with each other, and that it begins at a time: see `sampling`."""
KEPT_GROUPS = MIXING_WINDOW + MIXING_POOL + 4
"""Row groups in the spool. The last of them are for the evaluation and for who reads ahead."""

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class ParquetShard:
    """A parquet file. `state` changes with its content; `layout` is a checksum of that and of where things lie."""

    url: str
    state: str
    layout: str
    metadata: pq.FileMetaData = field(repr=False)
    column: str
    """The column of the audio, of which `bytes` is a part."""
    spool: Spool = field(repr=False)


@dataclass(frozen=True, eq=False)
class RowGroup:
    """A row group: the clips that are fetched together."""

    shard: ParquetShard
    number: int

    def clips(self) -> pa.ChunkedArray:
        """Return the clips as structs with their `bytes`, mapped from the spool.

        Raises CorpusError for a shard that is gone or has changed, InputError if the spool cannot be written or read,
        and UnavailableError.
        """
        name = f"{self.shard.layout[:16]}-{self.number}.arrow"
        for _ in range(READINGS):
            path = self.shard.spool.file(name, self._fetch)
            try:
                with pa.memory_map(str(path)) as file:
                    return pa.ipc.open_file(file).read_all()[self.shard.column]
            except (OSError, pa.ArrowInvalid) as error:
                # Another process made room just now, or a machine that lost its power left what is no Arrow.
                path.unlink(missing_ok=True)
                failed = error
        raise InputError(
            f"{path} cannot be read though it was fetched {READINGS} times ({reason(failed)}): check the disk, or "
            "set XDG_CACHE_HOME to a folder on another one"
        ) from failed

    def _fetch(self, path: Path) -> None:
        fetch_persistently(f"row group {self.number} of {self.shard.url}", lambda: self._copy(path))

    def _copy(self, path: Path) -> None:
        with _open(self.shard.url) as file:
            if _state(file) != self.shard.state:
                raise CorpusError(
                    f"{self.shard.url} has changed while it was read: name a revision, hub:NAME@REVISION, and start a "
                    "new run"
                )
            # Unlike pre_buffer, a buffer does not hold the whole row group.
            shard = pq.ParquetFile(file, metadata=self.shard.metadata, pre_buffer=False, buffer_size=BUFFER)
            audio = f"{self.shard.column}.bytes"
            batches = shard.iter_batches(BATCH, row_groups=[self.number], columns=[audio], use_threads=False)
            first = next(batches)
            with pa.ipc.new_file(str(path), first.schema) as writer:
                writer.write_batch(first)
                for batch in batches:
                    writer.write_batch(batch)


@dataclass(frozen=True, eq=False, slots=True)
class StreamedClip:
    """One clip in a row group."""

    group: RowGroup
    row: int

    def __call__(self) -> bytes:
        """Return the content of its audio file. Raises AudioError if there is none, UnavailableError, CorpusError."""
        content = self.group.clips()[self.row].as_py()["bytes"]
        if content is None:
            raise AudioError(f"row {self.row} of row group {self.group.number} of {self.group.shard.url} has no audio")
        return bytes(content)


def list_streamed(location: str, split: str | None, columns: Columns = NONE_GIVEN) -> Listing:
    """List a data set of the Hub, one split of it or all, with `StreamedClip`s as audio.

    Raises:
        CorpusError: it is not on the Hub, has no such split, or its files are no parquet with audio in them.
        UnavailableError: the Hub could not be reached.
        MissingExtraError: without the `datasets` package.
    """
    files, revision = hub_files(location)
    if split and split not in files:
        raise CorpusError(f"hub:{location}: no split {split!r}: this data set has {', '.join(files)}")
    chosen = [(part, url) for part, urls in files.items() if split in (None, part) for url in urls]
    for _, url in chosen:
        if not url.endswith(".parquet"):
            raise CorpusError(
                f"hub:{location} holds {url.rpartition('/')[2]}, and only parquet can be streamed: set "
                f"data.streaming = false, or try the Hub's own conversion, hub:{location}@refs/convert/parquet"
            )
    spool = Spool(_cache() / re.sub(r"[^\w.@-]+", "--", location), KEPT_GROUPS)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        described = [*pool.map(lambda file: _shard(location, file[1], spool, columns), chosen)]
    found: list[Entry] = []
    counts = dict.fromkeys(files, 0)
    spoken = {str(value) for _, values in described for value in values.get("language", ()) if value is not None}
    check_one_language(location, spoken, ())
    for (part, _), (shard, values) in zip(chosen, described, strict=True):
        listed = _rows(shard, values, part, counts[part])
        counts[part] += len(listed)
        found += listed
    names = described[0][0].metadata.schema.to_arrow_schema().names if described else []
    return Listing(found, revision, streamed=True, hint=hint_without_text(location, names, found))


def describe_shards(audios: Iterable[Audio]) -> dict[str, Any] | None:
    """Return which shards these clips come from, to be compared when a run resumes; None if they come from none.

    `layout` is a checksum over the shards. `row_groups` and `gigabytes` say what an epoch fetches.
    """
    groups = {audio.group for audio in audios if isinstance(audio, StreamedClip)}
    if not groups:
        return None
    shards = {group.shard for group in groups}
    checksum = hashlib.sha256("".join(sorted(shard.layout for shard in shards)).encode()).hexdigest()
    sizes = [_size(group) for group in groups]
    return {
        "shards": len(shards),
        "row_groups": len(groups),
        "gigabytes": round(sum(sizes) / 1e9, 3),
        "spool_gigabytes": round(sum(sorted(sizes)[-KEPT_GROUPS:]) / 1e9, 3),
        "layout": checksum,
    }


def fetch_persistently(what: str, act: Callable[[], Result]) -> Result:
    """Return act(), tried again after each of WAITS.

    Raises UnavailableError where it fails every time. What no repetition mends is raised at once: a CorpusError where
    the Hub has no such file, an InputError where there is no room for it here.
    """
    for wait in (*WAITS, None):
        try:
            return act()
        except (FileNotFoundError, EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise CorpusError(
                f"{what}: the file is gone ({reason(error)}): name a revision that has it, hub:NAME@REVISION"
            ) from error
        except (OSError, HTTPError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno in writing.FULL:
                raise InputError(
                    f"{what} cannot be kept in {_cache()} ({reason(error)}; {writing.free_gb(_cache()):.1f} GB are "
                    "free): make room, or set XDG_CACHE_HOME to a folder on another disk; --resume continues a run"
                ) from error
            if wait is None:
                raise UnavailableError(
                    f"{what} could not be fetched in {len(WAITS) + 1} tries ({reason(error)}): check the network, "
                    "then rerun the same command, with --resume for a run that had begun; what it saved is whole"
                ) from error
            time.sleep(wait)
    raise AssertionError


def _cache() -> Path:
    return writing.user_cache() / "shards"


def _open(url: str) -> Any:
    # Parquet knows what it wants: a cache of fsspec's own would fetch more.
    filesystem, path = fsspec.core.url_to_fs(url)
    return filesystem.open(path, "rb", cache_type="none")


def _shard(location: str, url: str, spool: Spool, given: Columns) -> tuple[ParquetShard, dict[str, list[Any]]]:
    """Return a shard, and its columns that describe clips, by the names of Entry's fields."""

    def read() -> tuple[ParquetShard, dict[str, list[Any]]]:
        with _open(url) as file:
            parquet = pq.ParquetFile(file, pre_buffer=True)
            names = parquet.schema_arrow.names
            sounding = [path.removesuffix(".bytes") for path in _paths(parquet.metadata) if path.endswith(".bytes")]
            audio = audio_column(location, names, sounding, given)
            if audio not in sounding:
                raise CorpusError(
                    f"{url} needs the column {audio} with the audio as bytes, but has {several(names)}: choose another "
                    "data set, or set data.streaming = false"
                )
            wanted = describing_columns(names, given)
            wanted |= {"seconds": first_name(names, DURATION), "language": first_name(names, LANGUAGE)}
            columns = {key: name for key, name in wanted.items() if name}
            table = parquet.read(columns=[*columns.values()], use_threads=False)
            state = _state(file)
            shard = ParquetShard(url, state, _layout(url, state, parquet.metadata), parquet.metadata, audio, spool)
            return shard, {key: table[name].to_pylist() for key, name in columns.items()}

    return fetch_persistently(f"the transcripts of hub:{location} in {url}", read)


def _paths(metadata: pq.FileMetaData) -> list[str]:
    return [metadata.schema.column(index).path for index in range(metadata.num_columns)]


def _state(file: Any) -> str:
    """Return what git knows the content by on the Hub, or size and time of modification in a folder."""
    found = file.fs.info(file.path)
    return found.get("blob_id") or f"{found['size']} bytes of {found.get('mtime')}"


def _layout(url: str, state: str, metadata: pq.FileMetaData) -> str:
    """Return the layout, without the revision: a new one with the same shards changes nothing."""
    content = [url.rpartition("/")[2], state]
    for group in range(metadata.num_row_groups):
        for index in range(metadata.num_columns):
            column = metadata.row_group(group).column(index)
            content += [column.path_in_schema, column.num_values, column.data_page_offset, column.total_compressed_size]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _size(group: RowGroup) -> int:
    """Return the bytes of audio in a row group as they are fetched."""
    metadata = group.shard.metadata
    column = _paths(metadata).index(f"{group.shard.column}.bytes")
    return int(metadata.row_group(group.number).column(column).total_compressed_size)


def _rows(shard: ParquetShard, columns: dict[str, list[Any]], split: str, before: int) -> list[Entry]:
    groups = [RowGroup(shard, number) for number in range(shard.metadata.num_row_groups)]
    audios = [
        StreamedClip(group, row) for group in groups for row in range(shard.metadata.row_group(group.number).num_rows)
    ]
    found = []
    for index, audio in enumerate(audios):
        text, speaker, gender, seconds = (
            columns[key][index] if key in columns else None for key in ("text", "speaker", "gender", "seconds")
        )
        found.append(
            Entry(
                id=f"{split}-{before + index:06d}",
                audio=audio,
                text=cell_text(text),
                speaker=cell_text(speaker),
                split=split,
                gender=cell_text(gender),
                seconds=float(seconds) if seconds and seconds > 0 else None,
            )
        )
    return found
