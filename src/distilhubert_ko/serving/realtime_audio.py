"""The audio of OpenAI's Realtime API, base64 of PCM or G.711, as samples at 16 kHz."""

import base64
import binascii
import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.serving.refusals import Refusal


@dataclass(frozen=True)
class AudioForm:
    """A form of mono audio: samples per second, and libsndfile's name of G.711's law, if it is that."""

    rate: int
    law: str | None = None


PCM = "audio/pcm"
FORMS = {PCM: AudioForm(24_000), "audio/pcmu": AudioForm(8000, "ULAW"), "audio/pcma": AudioForm(8000, "ALAW")}


class AudioInput:
    """One stream of audio in one form, whose appended parts may end anywhere."""

    def __init__(self, form: AudioForm):
        self._resampler = soxr.ResampleStream(form.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        self._values = _law(form.law) if form.law else None
        self._odd = b""  # half a sample from the end of a part

    def samples(self, audio: object) -> NDArray[np.float32]:
        """Return the samples (samples,) that a base64 text adds. Raises Refusal for what is none."""
        try:
            data = base64.b64decode(audio if isinstance(audio, str) else "!", validate=True)
        except (binascii.Error, ValueError):
            raise Refusal(400, "the audio is not base64: encode its bytes", param="audio") from None
        if self._values is not None:
            return self._resampler.resample_chunk(self._values[np.frombuffer(data, np.uint8)])
        data = self._odd + data
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        return self._resampler.resample_chunk(np.frombuffer(data[:whole], "<i2").astype(np.float32) / 32768)

    def end(self) -> NDArray[np.float32]:
        """Return the last samples (samples,), which the resampler still has. After it, there are no others."""
        return self._resampler.resample_chunk(np.empty(0, np.float32), last=True)


def _law(law: str) -> NDArray[np.float32]:
    """Return the sample that each byte stands for (256,)."""
    every = io.BytesIO(bytes(range(256)))
    values, _ = soundfile.read(every, dtype="float32", format="RAW", subtype=law, samplerate=8000, channels=1)
    return values
