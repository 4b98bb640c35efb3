"""Audio files as 16 kHz mono waves, whole or block by block, and their lengths.

A wave is a float32 array of shape (samples,) at `SAMPLE_RATE`.
"""

import io
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from distilhubert_ko.audio import joined
from distilhubert_ko.audio.channels import USUAL, AudioChoice, mixing_grid, one_channel
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.libsndfile import SoundFile, UnreadableError
from distilhubert_ko.errors import AudioError

if TYPE_CHECKING:
    from distilhubert_ko.audio.ffmpeg import Media

SAMPLE_RATES = 1_000, 768_000
"""The lowest and the highest sample rate that is read. A header that says 1 Hz would give 16,000 times the samples."""

LOUDEST = 2.0**31
"""The largest sample that is read: some files hold 32-bit integers as floating point. Past about 1e15, HuBERT's sums
of squares overflow."""

HEADERLESS = ".pcm"
"""The suffix of headerless audio, which is taken for 16 kHz mono in 16-bit integers, little-endian."""

Source = str | Path | bytes | BinaryIO


def load_audio(
    source: Source, offset: float = 0.0, duration: float | None = None, choice: AudioChoice = USUAL
) -> NDArray[np.float32]:
    """Read an audio file, or `duration` seconds of it from `offset` seconds on, as a wave.

    `choice` says which track and channel are read. By default, that is the first track that is not silent, with its
    channels averaged. Other sample rates are resampled. A slice that runs past the end stops at the end.

    Returns:
        (samples,) float32 at 16 kHz, at least one sample, all of them finite.

    What libsndfile cannot read to its end goes to FFmpeg, where PyAV is installed. There, audio that starts late or
    pauses by the time of its container comes after silence.

    Raises:
        AudioError: the source is missing, a folder, forbidden, empty, not audio or truncated, or it holds
            no samples, samples that are not finite or a sample rate outside `SAMPLE_RATES`; it lacks the track or
            the channel; or the slice begins past the end.
    """
    return np.concatenate([*audio_blocks(source, offset, duration, choice)])


def audio_blocks(
    source: Source, offset: float = 0.0, duration: float | None = None, choice: AudioChoice = USUAL
) -> Iterator[NDArray[np.float32]]:
    """Yield what `load_audio` returns in pieces (samples,), so that a recording of hours needs little memory.

    Raises:
        AudioError: as for `load_audio`; what only decoding can find comes after the pieces before it.
    """
    name = _name(source)
    if not 0 <= offset < np.inf or (duration is not None and not 0 < duration < np.inf):
        raise AudioError(f"{name}: cannot read {duration} s from {offset} s: give an offset >= 0, a duration > 0")
    with closing(_open(source, choice, to_the_end=not offset and duration is None)) as file:
        samples = 0
        for block in _resampled(_one_wave(file, offset, duration, choice, name), file.samplerate):
            samples += len(block)
            yield _checked(block, name)
        if samples == 0:
            raise AudioError(
                f"{name}: too few samples at {file.samplerate} Hz to make one at 16 kHz: leave this clip out"
            )


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


def audio_duration(source: Source) -> float:
    """Return the length in seconds from the header: a truncated FLAC is found only when it is loaded.

    Files that FFmpeg reads are decoded to their end if their headers give no length.

    Raises:
        AudioError: as for `load_audio`, save for what only decoding can find.
    """
    with closing(_open(source, USUAL)) as file:
        return file.seconds()


@dataclass(frozen=True)
class AudioHeader:
    """What an audio file says of itself; `seconds` is None if only decoding tells."""

    samplerate: int
    channels: int
    seconds: float | None


def audio_header(source: Source) -> AudioHeader:
    """Return what the header of an audio file says, without decoding the file.

    Raises:
        AudioError: as for `audio_duration`.
    """
    with closing(_open(source, USUAL)) as file:
        return AudioHeader(file.samplerate, file.channels, file.promised_seconds())


def channel_count(source: Source, choice: AudioChoice = USUAL) -> int:
    """Return the number of channels of an audio file, or of the track that `choice` names.

    Raises:
        AudioError: as for `audio_duration`.
    """
    with closing(_open(source, choice)) as file:
        return file.channels


class _Memory(io.BytesIO):
    """Bytes as a file whose failed seeks do not raise: soundfile would print a traceback for damaged headers."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return -1


def _name(source: Source) -> str:
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, bytes):
        return f"the audio of {len(source):,} bytes"
    return str(getattr(source, "name", "the audio stream"))


def _checked(block: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if not (np.abs(block) <= LOUDEST).all():  # not ">", which NaN passes
        raise AudioError(f"{name} holds samples that are NaN or infinite: write it again from its source")
    return block


def _open(source: Source, choice: AudioChoice, to_the_end: bool = False) -> "SoundFile | Media":
    """Open with libsndfile, or otherwise with PyAV, to be read `to_the_end`. Every failure becomes an AudioError."""
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
    file = _opened(handle, name, choice, to_the_end)
    lowest, highest = SAMPLE_RATES
    if not lowest <= file.samplerate <= highest:
        file.close()
        raise AudioError(
            f"{name} has {file.samplerate:,} samples a second, not {lowest:,} to {highest:,}: write it again with its "
            "true rate"
        )
    return file


def _opened(handle: bytes | str | _Memory, name: str, choice: AudioChoice, to_the_end: bool) -> "SoundFile | Media":
    """Open with libsndfile what it reads to its end, and the rest with PyAV, or without PyAV not at all."""
    if name.lower().endswith(HEADERLESS) and not _has_header(handle):
        try:
            return _plain(handle, name, choice, headerless=True)
        except UnreadableError as error:
            raise AudioError(f"{name} {error}") from error
    with _bytes(handle) as stream:
        reason = joined.reason_read_in_part(stream, name, to_the_end)
        ogg = joined.is_ogg(stream)
    try:
        from distilhubert_ko.audio.ffmpeg import Media, pauses
    except ImportError as error:
        if not reason:
            try:
                return _plain(handle, name, choice)
            except UnreadableError as unreadable:
                reason = str(unreadable)
        raise AudioError(f'{name} {reason}, or read more formats with pip install "distilhubert-ko[media]"') from error
    if not reason and not (ogg and pauses(_bytes(handle), name)):
        try:
            return _plain(handle, name, choice)
        except UnreadableError:
            pass
    return Media(lambda: _bytes(handle), name, choice.track)


def _has_header(handle: bytes | str | _Memory) -> bool:
    """Tell whether a recording that is called headerless is WAV or FLAC after all."""
    with _bytes(handle) as stream:
        return stream.read(4) in (b"RIFF", b"fLaC")


def _plain(handle: bytes | str | _Memory, name: str, choice: AudioChoice, headerless: bool = False) -> SoundFile:
    file = SoundFile(handle, name, headerless)
    if choice.track not in (None, 1):
        file.close()
        raise AudioError(f"{name} has one track of audio, not {choice.track}: leave out --track")
    return file


def _bytes(handle: bytes | str | _Memory) -> BinaryIO:
    """Return the content of a handle as a stream that may be closed, from its beginning."""
    return _Memory(handle.getvalue()) if isinstance(handle, _Memory) else open(handle, "rb")


def _one_wave(
    file: "SoundFile | Media", offset: float, duration: float | None, choice: AudioChoice, name: str
) -> Iterator[NDArray[np.float32]]:
    """Yield samples (samples,) from `offset` on at the file's rate: of the chosen channel, or of all mixed."""
    rate = file.samplerate
    start, wanted = round(offset * rate), None if duration is None else round(duration * rate)
    # Mixing looks at so many samples together, so those in which the slice begins and ends are read whole.
    grid = mixing_grid(rate, file.channels) if file.channels > 1 else 1
    lead = start % grid
    rest = None if wanted is None else wanted + -(start + wanted) % grid
    for block in one_channel(file.read(start, rest, lead), choice.channel, grid, name):
        piece = block[lead:]
        lead -= len(block) - len(piece)
        if wanted is not None:
            piece = piece[:wanted]
            wanted -= len(piece)
        if len(piece):
            yield piece


def _resampled(blocks: Iterator[NDArray[np.float32]], rate: int) -> Iterator[NDArray[np.float32]]:
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
