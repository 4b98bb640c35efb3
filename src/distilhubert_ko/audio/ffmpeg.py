"""Audio that libsndfile cannot read to its end (m4a, mp4, webm, mkv, amr, wma, joined MP3 ...), decoded by FFmpeg.

This is the only module that imports PyAV, which the extra `media` installs. Only `audio.reading` uses it.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.libsndfile import past_end
from distilhubert_ko.audio.timeline import Clocks, Timeline
from distilhubert_ko.errors import AudioError

# FFmpeg reads playlists too, which open other files and addresses; and what looks like text, as subtitles.
_DEMUXERS = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,ogg,w64,wav,wv"
_BLOCK = 1 << 17  # samples gathered before they go on: a decoder gives only about a thousand at a time
_PLANES = 8  # channels apart, past which PyAV (18.1 too) looks for more and reads memory that is none of the frame's
_FAULTS = (av.FFmpegError, OSError, ValueError, OverflowError)  # the last three from places that no file has
# Seconds, or part of the whole if that is less, by which the packets may end before the header says: a last picture may
# stay longer than they know.
_SLACK = 1.0, 0.1
_DAMAGED = 0.05  # part of the packets that may be beyond decoding: silence stands for them, as in faster-whisper
_RESETS_CLOCK = 0x0200  # AVFMT_TS_DISCONT, of formats whose times may start anew on the way
_SILENT = 1e-4  # the loudest sample of a track that counts as silent: above the dither of 16 bits

logger = logging.getLogger(__name__)


class Media:
    """An audio track of a container, to be read once. It is a context manager.

    `reopen` gives the file from its beginning, as often as asked. `track` counts the audio tracks from 1. Without it,
    the first is taken that is not silent. `samplerate` is in Hz.

    Raises AudioError where the file is nothing that FFmpeg can read, lacks the track, has no audio, or none that can
    be decoded.
    """

    def __init__(self, reopen: Callable[[], BinaryIO], name: str, track: int | None = None):
        self._name = name
        index = _track(reopen, name) if track is None else track - 1
        self._track = _Track(reopen(), name, index)
        self.samplerate, self.channels = self._track.samplerate, self._track.channels

    def close(self) -> None:
        self._track.close()

    def seconds(self) -> float:
        """Return the length from the header, or by decoding all where the header has none.

        The header of a video gives the length of its longest stream.
        """
        promised = self._track.promised
        if promised is not None:
            return max(promised - self._track.start, 0.0)
        return sum(gap + frame.samples for gap, frame in self._track.frames()) / self.samplerate

    def promised_seconds(self) -> float | None:
        """Return the length that the header gives, None where it gives none."""
        return self._track.promised

    def read(self, start: int, wanted: int | None, lead: int = 0) -> Iterator[NDArray[np.float32]]:
        """Yield samples `start` - `lead` to `start` + `wanted`, or to the end, in blocks (samples, channels).

        Decode what lies before as well, so that a sample is the same whichever slice it is in.
        Raises AudioError for a file that is truncated or damaged, and a start past the end.
        """
        first, last = start - lead, None if wanted is None else start + wanted
        done, held, gathered = 0, 0, list[NDArray[np.float32]]()
        for samples, part in self._parts():
            if done + samples > max(first, done):
                piece = part()[max(0, first - done) : None if last is None else last - done]
                if gathered and gathered[-1].shape[1] != piece.shape[1]:
                    yield np.concatenate(gathered)
                    held, gathered = 0, []
                gathered.append(piece)
                held += len(piece)
            done += samples
            if held * self.channels >= _BLOCK:
                yield np.concatenate(gathered)
                held, gathered = 0, []
            if last is not None and done >= last:
                break
        if gathered:
            yield np.concatenate(gathered)
        if done <= start:
            raise past_end(self._name, start / self.samplerate, done / self.samplerate)

    def _parts(self) -> Iterator[tuple[int, Callable[[], NDArray[np.float32]]]]:
        """Yield the sizes of silences and frames, and for each a function that gives it (samples, channels)."""
        for gap, frame in self._track.frames():
            channels = frame.layout.nb_channels
            for done in range(0, gap, _BLOCK):
                size = min(_BLOCK, gap - done)
                yield size, partial(_silence, size, channels)
            yield frame.samples, partial(self._track.samples, frame)


def _silence(samples: int, channels: int) -> NDArray[np.float32]:
    return np.zeros((samples, channels), np.float32)


def pauses(file: BinaryIO, name: str) -> bool:
    """Tell whether the only stream of a file pauses by the times of its packets, without decoding. Close the file."""
    with file, _opened(file, name) as container:
        ticks = container.streams[0].time_base if container.streams else None
        if not ticks:
            return False
        line = Timeline(ticks.denominator, None)
        try:
            for packet in container.demux():
                length = (packet.duration or 0) * ticks.numerator
                if packet.pts is not None and line.place(float(packet.pts * ticks), length):
                    return True
        except _FAULTS:
            return False
    return False


def _track(reopen: Callable[[], BinaryIO], name: str) -> int:
    """Return the first audio track that is not silent, or 0 if all are."""
    file = reopen()
    with file, _opened(file, name) as container:
        count = len(container.streams.audio)
    if count < 2:
        return 0
    for index in range(count):
        try:
            track = _Track(reopen(), name, index)
        except AudioError:  # it has no samples, or of a kind that FFmpeg lacks
            continue
        try:
            if any(np.abs(track.samples(frame)).max(initial=0) >= _SILENT for _, frame in track.frames()):
                silent = f" ({', '.join(map(str, range(1, index + 1)))} silent)" if index else ""
                logger.warning(
                    "%s: of %d audio tracks, %d is read%s: choose another with --track",
                    *(name, count, index + 1, silent),
                )
                return index
        except AudioError:  # it will be said when it is read
            return index
        finally:
            track.close()
    return 0


def _opened(file: BinaryIO, name: str) -> av.container.InputContainer:
    try:
        # Not `options`, which PyAV before 18 frees past their end where streams show late, as in flv.
        return av.open(file, "r", container_options={"format_whitelist": _DEMUXERS}, metadata_errors="replace")
    except _FAULTS as error:
        file.close()
        raise AudioError(
            f"{name} is not audio that can be read, or it is truncated: copy it again, or convert it first, "
            "e.g. ffmpeg -i INPUT OUTPUT.wav"
        ) from error


class _Track:
    """One audio track of an open container. It closes the file.

    `start` is the time in seconds at which the recording starts, and `promised` that at which it ends by the header.
    """

    def __init__(self, file: BinaryIO, name: str, index: int):
        self._file, self._name = file, name
        self._container = _opened(file, name)
        try:
            self._stream = self._audio(index)
            self.promised = self._promised()
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
        self.samplerate: int = first[0].sample_rate
        self.channels: int = first[0].layout.nb_channels
        origin = self._origin()
        self.start = (first[0].time or 0.0) if origin is None else origin

    def close(self) -> None:
        self._container.close()
        self._file.close()

    def frames(self) -> Iterator[tuple[int, av.AudioFrame]]:
        """Yield each frame and the samples of silence before it, once.

        Raises AudioError where the file turns out to be truncated, damaged or of two sample rates.
        """
        line = Timeline(self.samplerate, self.start)
        for frame, leaps in self._frames:
            if frame.sample_rate != self.samplerate:
                raise AudioError(
                    f"{self._name} changes from {self.samplerate} to {frame.sample_rate} Hz on its way: convert it to "
                    "WAV first"
                )
            yield line.place(frame.time, frame.samples, leaps), frame

    def samples(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        """Return the samples of a frame (samples, channels); between -1 and 1 if the format holds integers."""
        try:
            if frame.format.is_planar and frame.layout.nb_channels >= _PLANES:
                (frame,) = self._packer.resample(frame)
            samples = frame.to_ndarray()
        except _FAULTS as error:
            raise AudioError(f"{self._name} is of an unusual kind ({error}): convert it to WAV first") from error
        samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
        with np.errstate(all="ignore"):  # what is not finite is refused later
            wave: NDArray[np.float32] = samples.astype(np.float32, copy=False)
        match samples.dtype.kind:
            case "u":
                return wave / np.float32(128) - np.float32(1)  # 8 bits
            case "i":
                return wave / np.float32(2 ** (8 * samples.itemsize - 1))
        return wave

    def _audio(self, index: int) -> av.AudioStream:
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"{self._name} has no audio in it, only pictures or text: choose a recording with audio")
        if index >= len(streams):
            raise AudioError(f"{self._name} has {len(streams)} audio tracks, not {index + 1}: choose another --track")
        if streams[index].codec_context is None:
            raise AudioError(f"{self._name} is encoded in a way that FFmpeg cannot decode: convert it to WAV first")
        return streams[index]

    def _origin(self) -> float | None:
        """Return the time in seconds at which the recording starts, None if that is when its audio does.

        As in players, that is where the first stream of audio or pictures starts. A picture of the album has no time.
        """
        timed = [*self._container.streams.audio, *self._container.streams.video]
        attached = av.stream.Disposition.attached_pic
        timed = [each for each in timed if not each.disposition & attached]
        if len(timed) == 1:
            return None
        starts = [each.start_time * each.time_base for each in timed if each.start_time is not None and each.time_base]
        return float(min(starts)) if starts else None

    def _promised(self) -> float | None:
        """Return the time in seconds at which the recording ends by the header, None where it does not say."""
        stream, container = self._stream, self._container
        if container.format.name.startswith("mov"):
            promised = float(((stream.start_time or 0) + (stream.duration or 0)) * (stream.time_base or 0))
        elif stream.duration is None:  # otherwise FFmpeg has reckoned both from a bit rate
            promised = (container.duration or 0) / av.time_base
        else:
            return None
        return promised if promised > 0 else None

    def _decoded(self) -> Iterator[tuple[av.AudioFrame, bool]]:
        """Yield each frame of the track, and whether the clock of the recording leapt before it."""
        clocks = Clocks(self._stream.index, bool(self._container.format.flags & _RESETS_CLOCK))
        ticks = {stream.index: float(stream.time_base or 0) for stream in self._container.streams}  # seconds
        packets = damaged = 0
        leaps = False
        try:
            for packet in self._container.demux():
                index = packet.stream.index
                if packet.pts is not None:
                    start, length = packet.pts * ticks[index], (packet.duration or 0) * ticks[index]
                    leaps |= clocks.leap(index, start, length)
                if index != self._stream.index:
                    continue
                packets += 1
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    damaged += 1
                    continue
                for frame in frames:
                    if isinstance(frame, av.AudioFrame):
                        yield frame, leaps
                        leaps = False
        except _FAULTS as error:
            raise AudioError(f"{self._name} is truncated or damaged: copy it again from its source") from error
        if damaged > max(1, _DAMAGED * packets):
            raise AudioError(
                f"{self._name} is damaged ({damaged:,} of {packets:,} packets): copy it again from its source"
            )
        if damaged:
            logger.warning("%s: %d of %d packets are damaged: silence stands for them", *(self._name, damaged, packets))
        # The demuxers of Matroska and MP4 pass over an end that is missing.
        promised, end = self.promised, clocks.end
        if promised is not None and end < promised - min(_SLACK[0], _SLACK[1] * promised):
            raise AudioError(f"{self._name} is truncated ({end:.1f} of {promised:.1f} s): copy it again")
