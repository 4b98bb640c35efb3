"""A WAV file that grows with PCM as it comes over a network."""

import tempfile
import time
import wave
from contextlib import suppress
from typing import Any, BinaryIO, cast

from distilhubert_ko.serving.refusals import Refusal
from distilhubert_ko.serving.uploads import unstored

IN_MEMORY = 1 << 20  # bytes, beyond which it lies on the disk, without a name
RANGES = {"rate": range(4000, 384_001), "width": range(1, 5), "channels": range(1, 33)}
"""Samples per second of each channel, bytes of each, and channels."""


class WavRecording:
    """PCM in one form, {"rate", "width", "channels"}, of at most `longest` seconds and `most` bytes.

    Raises Refusal for a form that is none.
    """

    def __init__(self, form: dict[str, Any], most: int, longest: float):
        self.start = time.perf_counter()
        self.seconds = 0.0
        self._form = _checked_form(form)
        self._most, self._longest = most, longest
        self._file = cast(BinaryIO, tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 (`close` closes it)
        self._wav = wave.open(self._file, "wb")  # noqa: SIM115
        self._wav.setframerate(self._form["rate"])
        self._wav.setsampwidth(self._form["width"])
        self._wav.setnchannels(self._form["channels"])
        self._size = 0

    def add(self, form: dict[str, Any], data: bytes) -> float:
        """Append PCM, and return its seconds. Raises Refusal if it is too much or has another form."""
        if _checked_form(form) != self._form:
            raise Refusal(400, f"audio of another form than {self._form} before it: send one form until audio-stop")
        self._size += len(data)
        if self._size > self._most:
            raise Refusal(413, f"the recording has more than {self._most:,} bytes: send a shorter one")
        seconds = len(data) / (self._form["rate"] * self._form["width"] * self._form["channels"])
        self.seconds += seconds
        if self.seconds > self._longest:
            raise Refusal(413, f"the recording lasts more than {self._longest:.6g} s: cut it into parts")
        try:
            self._wav.writeframesraw(data)
        except OSError as error:
            raise unstored(error) from error
        return seconds

    def finish(self) -> BinaryIO:
        """Return the file, whole and at its beginning. Raises UnavailableError if the disk is full."""
        try:
            self._wav.close()
        except OSError as error:
            raise unstored(error) from error
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Delete the file."""
        with suppress(OSError):
            self._wav.close()
        self._file.close()


def _checked_form(form: dict[str, Any]) -> dict[str, int]:
    for name, allowed in RANGES.items():
        value = form.get(name)
        if type(value) is not int or value not in allowed:
            raise Refusal(400, f"audio of {name} {str(value)[:40]}: give {allowed[0]:,} to {allowed[-1]:,}")
    return {name: form[name] for name in RANGES}
