"""Decoded clips and lengths of audio files, kept in a folder for later epochs, runs and processes.

A clip is decoded when it is first wanted, and from then on read from a file of its own. So there is no build to wait
for or to be cut short. Such a file is written whole or not at all. It begins with a checksum and with what it was made
from. Processes need no lock: where two decode the same clip, the later file replaces its equal. Nothing is
deleted for being out of use; the whole folder may be, between runs.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import zlib
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.data.lengths import Length
from distilhubert_ko.data.readers.entries import Audio
from distilhubert_ko.errors import InputError
from distilhubert_ko.files.writing import free_gb, replaced_file

VERSION = 2  # raise it when the layout below changes, or when load_audio gives another wave of the same source
CHECKSUM = 4  # bytes of CRC-32, which finds any burst of up to 32 wrong bits; little-endian, as are the samples
STEP = np.float32(2**-15)  # between two neighbours of what 16-bit integers become

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioCache:
    """A folder of decoded clips and of lengths; `open_cache` gives one."""

    folder: Path
    decoder: str
    """The libraries that decode, with their versions. Files of others are not used: their last bits may differ."""

    def wave(self, source: Audio, offset: float = 0.0, duration: float | None = None) -> NDArray[np.float32]:
        """Return the wave (samples,) that `load_audio` gives, bit for bit, from here or decoded now and kept here.

        A file is known by its path, and decoded anew if its size or its time of modification has changed. What a
        function fetches has neither: it is fetched each time, and known by its SHA-256.

        Raises:
            AudioError: as `load_audio`; such a clip is tried again each time.
            OSError: the function could not fetch.
            InputError: the clip cannot be written here.
        """
        sound = source if isinstance(source, Path) else source()
        state = _state(sound)  # before it is decoded: if it changes meanwhile, what is kept has a state that was
        if state is None:
            return load_audio(sound, offset, duration)  # for what it says of a file that is not there
        name = os.path.abspath(sound) if isinstance(sound, Path) else state
        file, made_from = self._file("clips", f"{name}\n{offset}\n{duration}"), f"{state}; {self.decoder}"
        if (content := _read(file, made_from)) is not None:
            return unpack_wave(content)
        wave = load_audio(sound, offset, duration)
        self._write(file, made_from, pack_wave(wave))
        return wave

    def lengths(
        self, corpus: str, sources: Collection[Audio], measure: Callable[[Collection[Audio]], dict[Audio, Length]]
    ) -> dict[Audio, Length]:
        """Return what `measure` gives for the sources, or gave for a file earlier, unless the file has changed.

        Lengths are kept under the name `corpus`, for files alone: to recognise what a function fetches takes fetching
        it, which is most of measuring it. Raises InputError where they cannot be written here.
        """
        kept = self._file("lengths", corpus)
        content = _read(kept, self.decoder)
        known: dict[str, float] = {} if content is None else json.loads(bytes(content))
        files = [source for source in sources if isinstance(source, Path)]
        with ThreadPoolExecutor(8) as pool:
            states = dict(zip(files, pool.map(_state, files), strict=True))
        keys = {file: f"{os.path.abspath(file)}\n{state}" for file, state in states.items() if state is not None}
        found: dict[Audio, Length] = {file: known[key] for file, key in keys.items() if key in known}
        found |= measure([source for source in sources if source not in found])
        lengths = {key: found[file] for file, key in keys.items() if not isinstance(found[file], str)}
        if lengths != known:
            self._write(kept, self.decoder, json.dumps(lengths).encode())  # ASCII: a path need not be Unicode
        return found

    def _file(self, kind: str, name: str) -> Path:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
        return self.folder / kind / digest[:2] / digest[2:]

    def _write(self, file: Path, made_from: str, content: bytes) -> None:
        """Write without waiting for the disk: a file that a power failure cut short fails its checksum."""
        rest = made_from.encode() + b"\n" + content
        try:
            with replaced_file(file, sync=False) as temporary, temporary.open("wb") as stream:
                stream.write(zlib.crc32(rest).to_bytes(CHECKSUM, "little"))
                stream.write(rest)
        except OSError as error:
            raise _unwritable(self.folder, error) from error


def open_cache(folder: Path) -> AudioCache:
    """Return the cache in `folder`, which is made if it is missing. Raises InputError if it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        ffmpeg = importlib.metadata.version("av")
    except importlib.metadata.PackageNotFoundError:
        ffmpeg = "none"
    libraries = f"libsndfile {soundfile.__libsndfile_version__}, soxr {soxr.__version__}, PyAV {ffmpeg}"
    return AudioCache(folder, f"version {VERSION}, {libraries}")


def pack_wave(wave: NDArray[np.float32]) -> bytes:
    """Return a wave (samples,) in 2 bytes per sample if that loses nothing, otherwise in 4, after one that says which.

    It loses nothing if the source had 16 bits, one channel and 16 kHz, which is what most corpora have.
    """
    integers = np.clip(wave / STEP, -(2**15), 2**15 - 1).astype("<i2")
    lossless = np.array_equal((integers * STEP).view(np.int32), wave.view(np.int32))  # as bits: -0.0 equals 0.0
    samples = integers if lossless else wave.astype("<f4")
    return bytes([samples.itemsize]) + samples.tobytes()


def unpack_wave(content: bytes | memoryview) -> NDArray[np.float32]:
    """Return the wave (samples,) that was packed, bit for bit."""
    if content[0] == 2:
        return np.frombuffer(content, "<i2", offset=1) * STEP
    return np.frombuffer(content, "<f4", offset=1).astype(np.float32)


def _read(file: Path, made_from: str) -> memoryview | None:
    """Return what was written there; None if nothing was, if it is from another source, or if it is damaged."""
    try:
        content = memoryview(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        _log.warning("%s of the audio cache cannot be read (%s): made anew", file, error.strerror)
        return None
    if zlib.crc32(content[CHECKSUM:]).to_bytes(CHECKSUM, "little") != content[:CHECKSUM]:
        _log.warning("%s of the audio cache is damaged: made anew", file)
        return None
    head = made_from.encode() + b"\n"
    begin = CHECKSUM + len(head)
    return content[begin:] if content[CHECKSUM:begin] == head else None


def _state(sound: Path | bytes) -> str | None:
    """Return what changes when the source does; None for a file that is not there."""
    if isinstance(sound, bytes):
        return hashlib.sha256(sound).hexdigest()
    try:
        found = sound.stat()
    except (OSError, ValueError):
        return None
    return f"{found.st_size} bytes of {found.st_mtime_ns}"


def _unwritable(folder: Path, error: OSError) -> InputError:
    free = free_gb(folder)
    return InputError(
        f"the audio cache cannot be written to {folder} ({error.strerror or error}; {free:.1f} GB are free): make "
        "room, name another folder as data.cache, or none; --resume continues a run"
    )
