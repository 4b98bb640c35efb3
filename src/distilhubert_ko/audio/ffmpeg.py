"""Audio from containers that libsndfile cannot open (m4a, mp4, webm, mkv, amr, wma ...), decoded by FFmpeg.

This is the only module that imports PyAV, which the extra `media` installs. Only `audio.reading` uses it.
"""

import itertools
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

import av
import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.errors import AudioError

# FFmpeg reads playlists too, which open other files and addresses; and what looks like text, as subtitles.
_DEMUXERS = "aac,ac3,amr,amrnb,amrwb,ape,asf,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,wav,wv"
_BLOCK = 1 << 17  # samples gathered before they go on: a decoder gives only about a thousand at a time
_PLANES = 8  # channels apart, past which PyAV (18.1 too) looks for more and reads memory that is none of the frame's
_FAULTS = (av.FFmpegError, OSError, ValueError, OverflowError)  # the last three from places that no file has
# Seconds, or part of the whole if that is less, by which the packets may end before the header says: a last picture may
# stay longer than they know.
_SLACK = 1.0, 0.1


class Media:
    """The first audio stream of a container, to be read once. It closes `file`, and is a context manager.

    `samplerate` is in Hz. Raises AudioError where the file is nothing that FFmpeg can read, has no audio
    stream, or none that can be decoded.
    """

    def __init__(self, file: BinaryIO, name: str):
        self._file, self._name = file, name
        try:
            # Not `options`, which PyAV before 18 frees past their end where streams show late, as in flv.
            self._container = av.open(
                file, "r", container_options={"format_whitelist": _DEMUXERS}, metadata_errors="replace"
            )
        except _FAULTS as error:
            file.close()
            raise AudioError(
                f"{name} is not audio that can be read, or it is truncated: copy it again, or convert it first, "
                "e.g. ffmpeg -i INPUT OUTPUT.wav"
            ) from error
        try:
            self._stream = self._sound()
            frames = self._decoded()
            # Only a decoded frame knows the rate: the header of an HE-AAC stream may give half of it.
            first = next(frames, None)
            if first is None:
                raise AudioError(f"{name} holds no samples: record it again or leave it out")
        except AudioError:
            self.close()
            raise
        self._frames = itertools.chain([first], frames)
        self._packer = av.AudioResampler(format="flt")
        self.samplerate = first.sample_rate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def seconds(self) -> float:
        """Return the length from the header, or by decoding all where the header has none.

        The header of a video gives the length of its longest stream.
        """
        promised = self._promised()
        return sum(frame.samples for frame in self._frames) / self.samplerate if promised is None else promised

    def read(self, start: int, wanted: int | None) -> Iterator[NDArray[np.float32]]:
        """Yield samples `start` to `start` + `wanted`, or to the end, channels averaged, in blocks (samples,).

        Decode what lies before `start` as well, so that a sample is the same whichever slice it is in.
        Raises AudioError for a file that is truncated or damaged, and a start past the end.
        """
        last = None if wanted is None else start + wanted
        done, held, gathered = 0, 0, []
        for frame in self._frames:
            if done + frame.samples > max(start, done):
                gathered.append(self._mono(frame)[max(0, start - done) : None if last is None else last - done])
                held += len(gathered[-1])
            done += frame.samples
            if held >= _BLOCK:
                yield np.concatenate(gathered)
                held, gathered = 0, []
            if last is not None and done >= last:
                break
        if gathered:
            yield np.concatenate(gathered)
        if done <= start:
            raise AudioError(
                f"{self._name} lasts {done / self.samplerate:.2f} s: the offset of {start / self.samplerate} s is past "
                "its end"
            )

    def _sound(self) -> av.AudioStream:
        if not self._container.streams.audio:
            raise AudioError(f"{self._name} has no audio in it, only pictures or text: choose a recording with audio")
        stream = self._container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError(f"{self._name} is encoded in a way that FFmpeg cannot decode: convert it to WAV first")
        return stream

    def _promised(self) -> float | None:
        """Return the seconds that the header promises, None where it does not say."""
        stream, container = self._stream, self._container
        if container.format.name.startswith("mov"):
            promised = float((stream.duration or 0) * (stream.time_base or 0))
        elif stream.duration is None:  # otherwise FFmpeg has reckoned both from a bit rate
            promised = (container.duration or 0) / av.time_base
        else:
            return None
        return promised if promised > 0 else None

    def _decoded(self) -> Iterator[av.AudioFrame]:
        end = 0.0
        ticks = {stream.index: float(stream.time_base or 0) for stream in self._container.streams}  # seconds
        try:
            for packet in self._container.demux():
                index = packet.stream.index
                if packet.pts is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * ticks[index])
                if index == self._stream.index:
                    yield from (frame for frame in packet.decode() if isinstance(frame, av.AudioFrame))
        except _FAULTS as error:
            raise AudioError(f"{self._name} is truncated or damaged: copy it again from its source") from error
        # The demuxers of Matroska and MP4 pass over an end that is missing.
        promised = self._promised()
        if promised is not None and end < promised - min(_SLACK[0], _SLACK[1] * promised):
            raise AudioError(f"{self._name} is truncated ({end:.1f} of {promised:.1f} s): copy it again")

    def _mono(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        """Return (samples,), channels averaged; between -1 and 1 if the format holds integers."""
        if frame.sample_rate != self.samplerate:
            raise AudioError(
                f"{self._name} changes from {self.samplerate} to {frame.sample_rate} Hz on its way: convert it to WAV "
                "first"
            )
        try:
            if frame.format.is_planar and frame.layout.nb_channels >= _PLANES:
                (frame,) = self._packer.resample(frame)
            samples = frame.to_ndarray()
        except _FAULTS as error:
            raise AudioError(f"{self._name} is of an unusual kind ({error}): convert it to WAV first") from error
        if not frame.format.is_planar:
            samples = samples.reshape(frame.samples, -1).T
        if len(samples) == 1:
            mono = samples[0].astype(np.float32, copy=False)
        else:
            with np.errstate(all="ignore"):  # what is not finite is refused by audio
                mono = samples.mean(axis=0, dtype=np.float32)
        match samples.dtype.kind:
            case "u":
                return mono / 128 - 1  # 8 bits
            case "i":
                return mono / 2 ** (8 * samples.itemsize - 1)
        return mono
