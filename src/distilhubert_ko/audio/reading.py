"""Audio files as 16 kHz mono waves, whole or block by block, and their lengths.

A wave is a float32 array of shape (samples,) at `SAMPLE_RATE`.
"""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import AudioError

if TYPE_CHECKING:
    from distilhubert_ko.audio.ffmpeg import Media

SAMPLE_RATES = 1_000, 768_000
"""The lowest and the highest sample rate that is read. A header that says 1 Hz would give 16,000 times the samples."""

LOUDEST = 2.0**31
"""The largest sample that is read: some files hold 32-bit integers as floating point. Past about 1e15, HuBERT's sums
of squares overflow."""

_BLOCK = 1 << 20  # samples read at a time, over all channels: no header's promise can exhaust memory
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says of a FLAC stream whose header gives no length
_STREAMED = 0x7FFF_0000  # a WAV written to a pipe promises this many bytes or more, and means "to the end"


def load_audio(
    source: str | Path | bytes | BinaryIO, offset: float = 0.0, duration: float | None = None
) -> NDArray[np.float32]:
    """Read an audio file, or `duration` seconds of it from `offset` seconds on, as a wave.

    Channels are averaged and other sample rates resampled. A slice that runs past the end stops at the end.

    Returns:
        (samples,) float32 at 16 kHz, at least one sample, all of them finite.

    What libsndfile cannot open goes to FFmpeg, where PyAV is installed; of a video the first audio stream is read.

    Raises:
        AudioError: the source is missing, a folder, forbidden, empty, not audio or truncated, or it holds
            no samples, samples that are not finite or a sample rate outside `SAMPLE_RATES`; or the slice begins
            past the end.
    """
    return np.concatenate([*audio_blocks(source, offset, duration)])


def audio_blocks(
    source: str | Path | bytes | BinaryIO, offset: float = 0.0, duration: float | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield what `load_audio` returns in pieces (samples,), so that a recording of hours needs little memory.

    Raises:
        AudioError: as for `load_audio`; what only decoding can find comes after the pieces before it.
    """
    name = _name(source)
    if not 0 <= offset < np.inf or (duration is not None and not 0 < duration < np.inf):
        raise AudioError(f"{name}: cannot read {duration} s from {offset} s: give an offset >= 0, a duration > 0")
    with _open(source) as file:
        rate = file.samplerate
        start, wanted = round(offset * rate), None if duration is None else round(duration * rate)
        found = _read(file, start, wanted, name) if isinstance(file, soundfile.SoundFile) else file.read(start, wanted)
        samples = 0
        for block in _resampled(found, rate):
            samples += len(block)
            yield _checked(block, name)
        if samples == 0:
            raise AudioError(f"{name}: too few samples at {rate} Hz to make one at 16 kHz: leave this clip out")


def as_wave(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return samples (samples,) at 16 kHz, between -1 and 1, as a wave; there may be none.

    Raises:
        AudioError: they have another shape, are integers, or are not finite.
    """
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(
            f"an array of shape {samples.shape} and type {samples.dtype} is no wave: give mono samples (samples,) at "
            f"{SAMPLE_RATE} Hz, float32 between -1 and 1"
        )
    return _checked(samples.astype(np.float32, copy=False), "the array")


def encode_mp3(wave: NDArray[np.float32]) -> bytes:
    """Return a wave (samples,) as an MP3 file of about 4 kB per second, which unlike Opus plays in every browser."""
    file = io.BytesIO()
    options = {
        "bitrate_mode": "VARIABLE",
        "compression_level": 0.7,
    }  # 32 kbit/s: at 16 kHz, more makes no audible difference
    soundfile.write(file, wave, SAMPLE_RATE, format="MP3", subtype="MPEG_LAYER_III", **options)
    return file.getvalue()


def audio_duration(source: str | Path | bytes | BinaryIO) -> float:
    """Return the length in seconds from the header: a truncated FLAC or MP3 is found only when it is loaded.

    Files that FFmpeg reads are decoded to their end if their headers give no length.

    Raises:
        AudioError: as for `load_audio`, save for what only decoding can find.
    """
    with _open(source) as file:
        return float(file.frames / file.samplerate) if isinstance(file, soundfile.SoundFile) else file.seconds()


class _Memory(io.BytesIO):
    """Bytes as a file whose failed seeks do not raise: soundfile would print a traceback for damaged headers."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return -1


def _name(source: str | Path | bytes | BinaryIO) -> str:
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, bytes):
        return f"the audio of {len(source):,} bytes"
    return str(getattr(source, "name", "the audio stream"))


def _checked(block: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if not (np.abs(block) <= LOUDEST).all():  # not ">", which NaN passes
        raise AudioError(f"{name} holds samples that are NaN or infinite: write it again from its source")
    return block


def _open(source: str | Path | bytes | BinaryIO) -> "soundfile.SoundFile | Media":
    """Open with libsndfile, or otherwise with PyAV. Every failure becomes an AudioError."""
    name = _name(source)
    handle: bytes | str | _Memory
    if isinstance(source, str | Path):
        try:
            with Path(source).open("rb") as stream:
                content = stream.read(1)
                # libsndfile opens a file by itself, but a pipe can be read only once. As bytes, since a name that came
                # from another system, in EUC-KR say, is no UTF-8.
                path = str(source) if os.name == "nt" else os.fsencode(source)
                handle = path if stream.seekable() else _Memory(content + stream.read())
        except FileNotFoundError:
            raise AudioError(f"{name} does not exist: check the path") from None
        except IsADirectoryError:
            raise AudioError(f"{name} is a folder: name an audio file in it") from None
        except PermissionError:
            raise AudioError(f"{name} may not be read: check its permissions") from None
        except (OSError, ValueError) as error:
            raise AudioError(f"{name} cannot be opened ({error}): check the path") from error
    else:
        content = source if isinstance(source, bytes) else source.read()
        handle = _Memory(content)
    if not content:
        raise AudioError(f"{name} is empty (0 bytes): copy or record it again")
    file = _opened(handle, name)
    try:
        _check_header(file, name)
    except AudioError:
        file.close()
        raise
    return file


def _opened(handle: bytes | str | _Memory, name: str) -> "soundfile.SoundFile | Media":
    try:
        file = soundfile.SoundFile(handle)
        if file.frames < _UNKNOWN_LENGTH:
            return file
        file.close()
        reason = "does not say how long it is: write it again"
    # TypeError is how soundfile says that a .raw file has no header.
    except (soundfile.SoundFileError, TypeError):
        reason = "is not audio that can be read (WAV, FLAC, Ogg, MP3, AIFF): check it"
    try:
        from distilhubert_ko.audio.ffmpeg import Media
    except ImportError as error:
        raise AudioError(f'{name} {reason}, or read more formats with pip install "distilhubert-ko[media]"') from error
    if isinstance(handle, _Memory):
        handle.seek(0)
        return Media(handle, name)
    return Media(open(handle, "rb"), name)


def _check_header(file: "soundfile.SoundFile | Media", name: str) -> None:
    lowest, highest = SAMPLE_RATES
    if not lowest <= file.samplerate <= highest:
        raise AudioError(
            f"{name} has {file.samplerate:,} samples a second, not {lowest:,} to {highest:,}: write it again with its "
            "true rate"
        )
    if not isinstance(file, soundfile.SoundFile):
        return
    # libsndfile quietly shortens a truncated WAV or AIFF to what is there, but notes it in its log.
    for promised, found in re.findall(r"(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info):
        if int(found) < int(promised) < _STREAMED:
            raise AudioError(f"{name} is truncated ({found} of {promised} bytes of audio): copy it again")
    if file.frames == 0:
        raise AudioError(f"{name} holds no samples: record it again or leave it out")


def _read(file: soundfile.SoundFile, start: int, wanted: int | None, name: str) -> Iterator[NDArray[np.float32]]:
    """Yield samples `start` to `start` + `wanted`, or to the end, channels averaged, in blocks (samples,)."""
    if start >= file.frames:
        seconds = file.frames / file.samplerate, start / file.samplerate
        raise AudioError(f"{name} lasts {seconds[0]:.2f} s: the offset of {seconds[1]} s is past its end")
    rest = file.frames - start
    wanted = rest if wanted is None else min(wanted, rest)
    most = max(1, _BLOCK // file.channels)
    found = 0
    try:
        if start:
            file.seek(start)
        while found < wanted:
            block = file.read(min(most, wanted - found), dtype="float32", always_2d=True)
            if not len(block):
                break
            found += len(block)
            with np.errstate(all="ignore"):  # _checked refuses what is not finite
                mono = block.mean(axis=1)
            yield mono
    except soundfile.SoundFileError as error:
        raise AudioError(f"{name} is truncated or damaged: copy it again from its source") from error
    if found < wanted:
        raise AudioError(f"{name} is truncated ({found} of {wanted} samples): copy it again from its source")


def _resampled(blocks: Iterator[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
