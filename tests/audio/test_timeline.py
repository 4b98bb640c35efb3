"""Sound stands at its container's time: it may start late, pause, and go on after a clock was set anew."""

import io

import av
import numpy as np
import pytest

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_duration, load_audio
from distilhubert_ko.audio.timeline import LONGEST_GAP, Clocks, Timeline
from tests.support.media import encoded, with_pauses

TIMED = [("mp4", "aac"), ("mov", "alac"), ("matroska", "aac"), ("matroska", "libopus"), ("mpegts", "aac")]
PRIMING = 0.1  # seconds that an encoder may add


def tone(seconds: float, rate: int = 48_000) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 440 / rate)).astype(np.float32)


def loud(wave: np.ndarray) -> list[tuple[float, float]]:
    """Start and end in seconds of each part that is not silent."""
    places = np.flatnonzero(np.abs(wave) > 0.05) / SAMPLE_RATE
    cuts = np.flatnonzero(np.diff(places) > 0.2)
    return [*zip(places[[0, *(cuts + 1)]].tolist(), places[[*cuts, -1]].tolist(), strict=True)]


@pytest.mark.parametrize(("container", "codec"), TIMED)
@pytest.mark.parametrize("start", [4.0, 0.5])
def test_sound_that_starts_later_than_the_pictures_starts_there(container: str, codec: str, start: float) -> None:
    content = with_pauses(encoded(tone(2), 48_000, container, codec, pictures=7), container, {-1.0: start})
    wave = load_audio(content)
    if container != "mpegts":
        assert audio_duration(content) == pytest.approx(start + 2 if container in ("mp4", "mov") else 7, abs=PRIMING)
    ((first, last),) = loud(wave)
    assert first == pytest.approx(start, abs=PRIMING)
    assert last == pytest.approx(start + 2, abs=PRIMING)


@pytest.mark.parametrize(("container", "codec"), TIMED)
@pytest.mark.parametrize("pictures", [0, 40])
@pytest.mark.parametrize("pause", [1.0, 30.0])
def test_a_pause_in_the_times_of_a_container_is_silence(
    container: str, codec: str, pictures: int, pause: float
) -> None:
    content = with_pauses(encoded(tone(4), 48_000, container, codec, pictures=pictures), container, {2.0: pause})
    parts = loud(load_audio(content))
    assert [round(time, 0) for part in parts for time in part] == [0, 2, 2 + pause, 4 + pause]
    assert parts[1][0] - parts[0][1] == pytest.approx(pause, abs=PRIMING)


def test_webm_and_ogg_keep_a_pause() -> None:
    for container, codec in (("webm", "libopus"), ("ogg", "libopus")):
        parts = loud(load_audio(with_pauses(encoded(tone(4), 48_000, container, codec), container, {2.0: 3.0})))
        assert [round(time, 0) for part in parts for time in part] == [0, 2, 5, 7], container


def test_sound_alone_starts_with_its_first_sample() -> None:
    """A cut from a longer recording keeps its times, but no player shows hours of nothing."""
    for container in ("matroska", "mpegts"):
        content = with_pauses(encoded(tone(2), 48_000, container, "aac"), container, {-1.0: 5_000.0})
        assert len(load_audio(content)) / SAMPLE_RATE == pytest.approx(2, abs=PRIMING)
        assert audio_duration(content) == pytest.approx(2, abs=PRIMING)


def test_a_slice_has_the_samples_that_the_whole_has_there_pauses_included() -> None:
    content = with_pauses(encoded(tone(3, 16_000), 16_000, "matroska", "pcm_s16le", 2), "matroska", {-1: 1.5, 2: 1.25})
    whole = load_audio(content)
    for offset, duration in [(0.5, 0.5), (1.25, 0.5), (3.25, 1.0), (3.6, None), (0.0, 9.0)]:
        end = None if duration is None else round((offset + duration) * SAMPLE_RATE)
        np.testing.assert_array_equal(load_audio(content, offset, duration), whole[round(offset * SAMPLE_RATE) : end])


def test_joined_transport_streams_follow_one_another() -> None:
    """The clock of the second starts anew, before that of the first or long after it."""
    parts = [encoded(tone(2), 48_000, "mpegts", "aac", 2), encoded(tone(2), 48_000, "mpegts", "aac", 2)]
    moved = io.BytesIO()
    with av.open(io.BytesIO(parts[1])) as old, av.open(moved, "w", format="mpegts") as new:
        copies = {each.index: new.add_stream_from_template(each) for each in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts + 90_000 * 5_000, packet.dts + 90_000 * 5_000
                packet.stream = copies[packet.stream.index]
                new.mux(packet)
    for joined in (b"".join(parts), parts[0] + moved.getvalue()):
        assert len(load_audio(joined)) / SAMPLE_RATE == pytest.approx(4, abs=3 * PRIMING)


def test_a_leap_of_days_is_no_silence() -> None:
    content = with_pauses(encoded(tone(2), 48_000, "matroska", "aac"), "matroska", {1.0: 2 * LONGEST_GAP})
    assert len(load_audio(content)) / SAMPLE_RATE == pytest.approx(2, abs=PRIMING)


def test_the_length_of_a_recording_without_one_counts_its_pauses() -> None:
    content = with_pauses(encoded(tone(2), 48_000, "matroska", "aac"), "matroska", {1.0: 3.0}, live="1")
    assert audio_duration(content) == pytest.approx(5, abs=PRIMING)


def test_rounded_and_drifting_times_make_no_gaps() -> None:
    line = Timeline(1000, None)
    rng = np.random.default_rng(7)
    time = 12.0
    for _ in range(1000):
        assert line.place(time + rng.uniform(-0.05, 0.05), 20) == 0
        time += 0.02


def test_a_frame_without_a_time_follows_the_one_before_it() -> None:
    line = Timeline(1000, 0.0)
    assert [line.place(None, 10), line.place(0.01, 10), line.place(None, 10), line.place(1.03, 10)] == [0, 0, 0, 1000]


def test_a_clock_is_set_anew_where_all_streams_leap_and_not_where_the_pictures_go_on() -> None:
    clocks = Clocks(audio=1, resets=True)
    assert [clocks.leap(stream, time, 1.0) for time in (0.0, 1.0) for stream in (0, 1)] == [False] * 4
    assert [clocks.leap(0, time, 1.0) for time in range(2, 40)] == [False] * 38
    assert not clocks.leap(1, 39.0, 1.0)
    assert clocks.leap(1, 500.0, 1.0)  # before any picture of that time
    assert not clocks.leap(0, 500.0, 1.0)
    assert not clocks.leap(0, 900.0, 1.0)
    assert clocks.leap(1, 900.0, 1.0)  # after one
    assert clocks.end == 901.0
