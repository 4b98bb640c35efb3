"""Sound in containers that only FFmpeg writes, made in the process."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

LAYOUTS = {0: "mono", 1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
OPTIONS = {"fflags": "+bitexact"}  # no identifiers made by chance: the same input gives the same bytes


def encoded(
    wave: np.ndarray,
    rate: int,
    container: str,
    codec: str,
    pictures: int = 0,
    sound_first: bool = True,
    picture_codec: str = "mpeg4",
    **options: str,
) -> bytes:
    """`wave` (samples,) or (samples, channels), with one picture a second beside it. No samples: no audio stream."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container, options=OPTIONS | options) as file:
        # All streams before the first packet, after which FFmpeg crashes on another one.
        add = {
            "sound": lambda: file.add_stream(codec, rate=rate, layout=LAYOUTS[wave[:1].size]),
            "screen": lambda: file.add_stream(picture_codec, rate=1, width=16, height=16, pix_fmt="yuv420p"),
        }
        wanted = [name for name, count in (("sound", len(wave)), ("screen", pictures)) if count]
        streams = {name: add[name]() for name in (wanted if sound_first else reversed(wanted))}
        if "sound" in streams:
            sound = streams["sound"]
            sound.codec_context.bit_rate = 12_200 if rate == 8_000 else 64_000
            converter = av.AudioResampler(format=sound.codec_context.format.name, layout=sound.layout, rate=rate)
            for frame in _frames(wave, rate, sound.layout.name):
                for part in converter.resample(frame):
                    file.mux(sound.encode(part))
        for second in range(pictures):
            picture = av.VideoFrame.from_ndarray(np.full((24, 16), second, np.uint8), format="yuv420p")
            picture.pts = second
            file.mux(streams["screen"].encode(picture))
        for one in streams.values():
            file.mux(one.encode(None))
    return stream.getvalue()


def _frames(wave: np.ndarray, rate: int, layout: str) -> Iterator[av.AudioFrame | None]:
    """A tenth of a second each, and None, which asks a converter for what it holds back."""
    for start in range(0, len(wave), rate // 10):
        samples = wave[start : start + rate // 10].astype(np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, start
        yield frame
    yield None


def remuxed(content: bytes, container: str, target: io.BytesIO | Path, **options: str) -> None:
    """Writes the packets of the only stream into another container, or into the same one as FFmpeg writes it."""
    file = target if isinstance(target, io.BytesIO) else str(target)
    with av.open(io.BytesIO(content)) as old, av.open(file, "w", format=container, options=OPTIONS | options) as new:
        copy = new.add_stream_from_template(old.streams[0])
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)


def with_pauses(content: bytes, container: str, pauses: dict[float, float], **options: str) -> bytes:
    """Moves the sound from each time on by so many seconds, in the container's time alone. Pictures stay."""
    stream = io.BytesIO()
    with av.open(io.BytesIO(content)) as old, av.open(stream, "w", format=container, options=OPTIONS | options) as new:
        copies = {each.index: new.add_stream_from_template(each) for each in old.streams}
        packets = [packet for packet in old.demux() if packet.dts is not None]
        for packet in packets:
            if packet.stream.type == "audio":
                time = packet.dts * packet.time_base
                moved = round(sum(long for start, long in pauses.items() if time >= start - 0.001) / packet.time_base)
                packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
        for packet in sorted(packets, key=lambda each: each.dts * each.time_base):
            packet.stream = copies[packet.stream.index]
            new.mux(packet)
    return stream.getvalue()


def with_tracks(waves: list[np.ndarray], rate: int, container: str, codec: str) -> bytes:
    """One audio track for each wave (samples,), in a video of one picture a second."""
    parts = [encoded(wave, rate, container, codec, 3 if not number else 0) for number, wave in enumerate(waves)]
    stream = io.BytesIO()
    with av.open(stream, "w", format=container, options=OPTIONS) as new:
        old = [av.open(io.BytesIO(part)) for part in parts]
        copies = [{each.index: new.add_stream_from_template(each) for each in file.streams} for file in old]
        for file, streams in zip(old, copies, strict=True):
            for packet in file.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    new.mux(packet)
            file.close()
    return stream.getvalue()
