"""Audio in formats that libsndfile reads: WAV, FLAC, AIFF and others that have no time line of their own.

This is the only module that opens audio with soundfile. Only `audio.reading` uses it.
"""

import logging
import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import AudioError

_BLOCK = 1 << 20  # samples read at a time, over all channels: no header's promise can exhaust memory
_UNKNOWN_LENGTH = 2**63 - 1  # what libsndfile says of a FLAC stream whose header gives no length
_STREAMED = 0x7FFF_0000  # a WAV written to a pipe promises this many bytes or more, and means "to the end"
_HEADERLESS = {"samplerate": SAMPLE_RATE, "channels": 1, "format": "RAW", "subtype": "PCM_16", "endian": "LITTLE"}
_MISSING_END = re.compile(r"(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)")
"""What libsndfile notes of a WAV, AIFF, AU, W64 or RF64 whose header promises more bytes than there are."""
_FRAMED = "MPEG"  # how the subtypes begin that stand in a WAV with a length that is an estimate

logger = logging.getLogger(__name__)


class UnreadableError(Exception):
    """What libsndfile cannot read, or not to its end. The message follows the name of a file."""


class SoundFile:
    """A recording, to be read once. It is a context manager. `samplerate` is in Hz.

    A recorder that is switched off leaves a file that is shorter than its header says. It is read to its end with a
    warning, unless its samples are compressed. Then it is refused. A `headerless` file is 16 kHz mono in 16-bit
    integers, little-endian, as AI Hub's PCM files are.
    Raises AudioError for a file that is refused, and UnreadableError where FFmpeg should be asked.
    """

    def __init__(self, handle: bytes | str | BinaryIO, name: str, headerless: bool = False):
        self._name = name
        try:
            self._file = soundfile.SoundFile(handle, **(_HEADERLESS if headerless else {}))
        # TypeError is how soundfile says that a .raw file has no header.
        except (soundfile.SoundFileError, TypeError):
            raise UnreadableError("is not audio that can be read (WAV, FLAC, Ogg, MP3, AIFF): check it") from None
        try:
            self._check()
        except (AudioError, UnreadableError):
            self.close()
            raise
        self.samplerate: int = self._file.samplerate
        self.channels: int = self._file.channels

    def close(self) -> None:
        self._file.close()

    def seconds(self) -> float:
        """Return the length from the header."""
        return float(self._file.frames / self.samplerate)

    def promised_seconds(self) -> float | None:
        """Return the length that the header gives, which it always does."""
        return self.seconds()

    def read(self, start: int, wanted: int | None, lead: int = 0) -> Iterator[NDArray[np.float32]]:
        """Yield samples `start` - `lead` to `start` + `wanted`, or to the end, in blocks (samples, channels).

        Raises AudioError for a file that is truncated or damaged, and a start past the end.
        """
        file = self._file
        if start >= file.frames:
            raise past_end(self._name, start / file.samplerate, self.seconds())
        rest = file.frames - start
        wanted = lead + (rest if wanted is None else min(wanted, rest))
        most = max(1, _BLOCK // file.channels)
        found = 0
        try:
            if start - lead:
                file.seek(start - lead)
            while found < wanted:
                block = file.read(min(most, wanted - found), dtype="float32", always_2d=True)
                if not len(block):
                    break
                found += len(block)
                yield block
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self._name} is truncated or damaged: copy it again from its source") from error
        if found < wanted:
            raise AudioError(f"{self._name} is truncated ({found} of {wanted} samples): copy it again from its source")
        if found == lead + rest:
            self._tell_of_missing_end()

    def _tell_of_missing_end(self) -> None:
        """Warn of a header that promises more than there is. libsndfile reads to the end, and notes it."""
        for promised, found in _MISSING_END.findall(self._file.extra_info):
            if int(found) < int(promised) < _STREAMED:
                logger.warning(
                    "%s: the header says %s bytes, but the file ends after %s: it is read to there",
                    *(self._name, promised, found),
                )

    def _check(self) -> None:
        file = self._file
        if file.frames >= _UNKNOWN_LENGTH or (file.format != "MP3" and file.subtype.startswith(_FRAMED)):
            raise UnreadableError("does not say how long it is: write it again")
        if file.frames == 0:
            raise UnreadableError("has 0 samples, by its header: write it again")


def past_end(name: str, offset: float, seconds: float) -> AudioError:
    """Return the error for a slice that begins at `offset` of a recording of `seconds`."""
    return AudioError(f"{name} lasts {seconds:.2f} s: the offset of {offset} s is past its end")
