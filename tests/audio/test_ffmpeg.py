"""What FFmpeg reads: m4a, mp4, webm and others keep length, loudness and place; what is damaged is refused."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio import ffmpeg
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import audio_blocks, audio_duration, load_audio
from distilhubert_ko.errors import AudioError
from tests.support.media import encoded, remuxed

FORMATS = [
    ("ipod", "aac", 16_000),
    ("mp4", "aac", 44_100),
    ("mp4", "libopus", 48_000),
    ("webm", "libopus", 48_000),
    ("matroska", "aac", 48_000),
    ("adts", "aac", 44_100),
    ("3gp", "libopencore_amrnb", 8_000),
    ("amr", "libopencore_amrnb", 8_000),
    ("flv", "aac", 44_100),
    ("mpegts", "aac", 44_100),
]
LOSSLESS = ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_f64le", "alac"]
PRIMING = 0.1  # seconds that an encoder may add


def tone(seconds: float, rate: int, pitch: float = 440) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * pitch / rate)).astype(np.float32)


def refused(source: str | Path | bytes, complaint: str) -> None:
    with pytest.raises(AudioError, match=complaint) as caught:
        load_audio(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("container", "codec", "rate"), FORMATS)
def test_a_container_keeps_length_loudness_and_place(container: str, codec: str, rate: int) -> None:
    """Loud in the second second only, so that anything lost, doubled or moved before it would show."""
    wave = tone(3.01, rate) * (np.arange(round(3.01 * rate)) // rate == 1)
    content = encoded(wave, rate, container, codec)
    loaded = load_audio(content)
    seconds = len(loaded) / SAMPLE_RATE
    assert loaded.dtype == np.float32
    assert 3.01 - 1e-3 <= seconds <= 3.01 + PRIMING
    assert audio_duration(content) == pytest.approx(seconds, abs=PRIMING)
    loud = np.flatnonzero(np.abs(loaded) > 0.1) / SAMPLE_RATE
    assert loud[0] == pytest.approx(1, abs=PRIMING)
    assert loud[-1] - loud[0] == pytest.approx(1, abs=0.02)
    assert np.std(loaded[20_000:28_000]) == pytest.approx(0.3 / 2**0.5, rel=0.25)


def test_wma_is_read() -> None:
    """FFmpeg's decoder takes off the delay of Microsoft's encoder, 0.05 s more than its own encoder adds."""
    content = encoded(tone(3.0, 44_100), 44_100, "asf", "wmav2")
    assert audio_duration(content) == pytest.approx(3.0, abs=PRIMING)
    assert len(load_audio(content)) / SAMPLE_RATE == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_kind_of_sample_gives_the_wave_that_was_encoded(codec: str, channels: int) -> None:
    wave = np.stack([tone(1.0, 16_000), 0.5 * tone(1.0, 16_000, 555)][:channels], axis=1).squeeze()
    loaded = load_audio(encoded(wave, 16_000, "mov", codec))
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(
        loaded, wave.reshape(len(wave), -1).mean(axis=1), atol=1 / 64 if codec == "pcm_u8" else 1e-4
    )


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("channels", [6, 8])
def test_the_channels_of_a_film_are_averaged(codec: str, channels: int) -> None:
    """Eight of them, each apart, are more than PyAV can hand over without reading foreign memory."""
    wave = np.zeros((48_000, channels), np.float32)
    wave[:, 0] = tone(1.0, 48_000)
    loaded = load_audio(encoded(wave, 48_000, "mov", codec))
    assert len(loaded) == pytest.approx(16_000, abs=PRIMING * 16_000)
    assert np.std(loaded[2_000:14_000]) == pytest.approx(0.3 / 2**0.5 / channels, rel=0.02)


def test_a_stream_whose_count_of_channels_grows_is_no_crash() -> None:
    parts = [encoded(np.zeros((8_000, channels)), 16_000, "adts", "aac") for channels in (1, 8, 2)]
    assert len(load_audio(b"".join(parts))) == pytest.approx(24_000, abs=3 * PRIMING * 16_000)


def test_path_string_bytes_and_stream_give_the_same_wave(tmp_path: Path) -> None:
    path = tmp_path / "녹음 파일.m4a"
    path.write_bytes(encoded(tone(1.0, 16_000), 16_000, "ipod", "aac"))
    with path.open("rb") as stream:
        waves = [load_audio(source) for source in (path, str(path), path.read_bytes(), stream)]
    assert all(np.array_equal(wave, waves[0]) for wave in waves)


@pytest.mark.parametrize("block", [1, 1000, 1 << 17])
def test_a_slice_has_the_samples_that_the_whole_has_there(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg, "_BLOCK", block)
    content = encoded(tone(2.0, 16_000), 16_000, "ipod", "aac")
    whole = load_audio(content)
    np.testing.assert_array_equal(load_audio(content, 0.25), whole[4_000:])
    np.testing.assert_array_equal(load_audio(content, 0.25, 0.5), whole[4_000:12_000])
    np.testing.assert_array_equal(load_audio(content, 1.75, 9.0), whole[28_000:])
    with pytest.raises(AudioError, match=r"lasts 2\.0\d s: the offset of 5\.0 s is past its end"):
        load_audio(content, 5.0)


def test_a_long_recording_comes_in_blocks_of_bounded_size() -> None:
    content = encoded(np.zeros(60 * 8_000), 8_000, "3gp", "libopencore_amrnb")
    blocks = [len(block) for block in audio_blocks(content)]
    assert sum(blocks) / SAMPLE_RATE == pytest.approx(60, abs=PRIMING)
    assert len(blocks) > 2
    assert max(blocks) < 3 * ffmpeg._BLOCK


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi", "mov"])
@pytest.mark.parametrize("sound_first", [True, False])
def test_the_sound_of_a_video_is_read_though_the_pictures_last_longer(container: str, sound_first: bool) -> None:
    content = encoded(
        tone(2.0, 16_000), 16_000, container, "pcm_s16le" if container != "mp4" else "aac", 5, sound_first
    )
    assert len(load_audio(content)) / SAMPLE_RATE == pytest.approx(2.0, abs=PRIMING)


@pytest.mark.parametrize("container", ["mp4", "matroska", "avi"])
def test_a_video_without_sound_is_refused_and_told_so(container: str) -> None:
    refused(encoded(np.empty(0), 16_000, container, "", pictures=3), "no audio")


@pytest.mark.parametrize("seconds", [1.0, 10.0])
@pytest.mark.parametrize(
    ("container", "codec"),
    [("ipod", "aac"), ("mp4", "aac"), ("webm", "libopus"), ("matroska", "pcm_s16le"), ("flv", "aac")],
)
def test_a_container_cut_in_half_is_refused(container: str, codec: str, seconds: float) -> None:
    content = encoded(tone(seconds + 2, 48_000), 48_000, container, codec)
    refused(content[: len(content) // 2], "truncated")


def test_an_mp4_whose_index_stands_first_is_refused_when_it_is_cut(tmp_path: Path) -> None:
    """Such a file opens though most of it is missing; FFmpeg writes the index first only into a real file."""
    path = tmp_path / "fast.mov"
    remuxed(encoded(tone(4.0, 16_000), 16_000, "mov", "pcm_s16le"), "mov", path, movflags="faststart")
    whole = path.read_bytes()
    assert len(load_audio(whole)) == 64_000
    for kept in (0.3, 0.5, 0.7):
        refused(whole[: int(kept * len(whole))], "truncated")


@pytest.mark.parametrize("codec", ["libopus", "aac", "mp3", "pcm_s16le"])
def test_a_live_recording_whose_header_has_no_length_is_read_to_its_end(codec: str) -> None:
    """As browsers record. For two of the codecs FFmpeg guesses a length, which is too long, from the bit rate."""
    content = encoded(tone(30.0, 48_000), 48_000, "matroska", codec, live="1")
    seconds = len(load_audio(content)) / SAMPLE_RATE
    assert seconds == pytest.approx(30.0, abs=PRIMING)
    assert audio_duration(content) == pytest.approx(seconds, abs=1e-3)


def test_a_flac_stream_that_does_not_say_its_length_is_read_to_its_end() -> None:
    wave = tone(1.5, 16_000)
    stream = io.BytesIO()
    soundfile.write(stream, wave, 16_000, format="FLAC")
    content = bytearray(stream.getvalue())
    content[21] &= 0xF0  # the 36-bit sample count of the STREAMINFO block
    content[22:26] = bytes(4)
    np.testing.assert_allclose(load_audio(bytes(content)), wave, atol=1e-4)
    assert audio_duration(bytes(content)) == 1.5


def test_a_stream_that_changes_its_sample_rate_is_refused() -> None:
    parts = [encoded(tone(1.0, rate), rate, "adts", "aac") for rate in (16_000, 48_000)]
    refused(b"".join(parts), "changes from 16000 to 48000 Hz")


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{}'\n"], ids=["hls", "concat"]
)
def test_a_playlist_opens_no_other_file(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.aac"
    other.write_bytes(encoded(tone(1.0, 16_000), 16_000, "adts", "aac"))
    playlist = tmp_path / "list.m4a"
    playlist.write_text(text.format(other))
    refused(playlist, "not audio that can be read")


def test_titles_in_another_encoding_do_no_harm() -> None:
    content = encoded(tone(1.0, 16_000), 16_000, "matroska", "aac")
    content = content.replace(b"Lavf", "녹음".encode("cp949"))
    assert len(load_audio(content)) == pytest.approx(16_000, abs=PRIMING * 16_000)


def test_without_pyav_the_error_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distilhubert_ko.audio.ffmpeg", None)
    path = tmp_path / "clip.m4a"
    path.write_bytes(encoded(tone(1.0, 16_000), 16_000, "ipod", "aac"))
    refused(path, r"clip\.m4a is not audio that can be read .*pip install \"distilhubert-ko\[media\]\"")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
@pytest.mark.parametrize("suffix", ["wav", "m4a"])
def test_a_name_from_a_system_with_another_encoding_is_read(suffix: str, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + "소리".encode("euc-kr"))).with_suffix(f".{suffix}")
    container, codec = ("wav", "pcm_s16le") if suffix == "wav" else ("ipod", "aac")
    path.write_bytes(encoded(tone(1.0, 16_000), 16_000, container, codec))
    assert len(load_audio(path)) == pytest.approx(16_000, abs=PRIMING * 16_000)
