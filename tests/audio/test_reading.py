import io
import os
import struct
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio import channels, libsndfile
from distilhubert_ko.audio.reading import SAMPLE_RATES, as_wave, audio_blocks, audio_duration, load_audio
from distilhubert_ko.errors import AudioError

RNG = np.random.default_rng(7)


def noise(samples: int, channels: int = 1) -> np.ndarray:
    wave = RNG.uniform(-0.3, 0.3, (samples, channels)).astype(np.float32)
    return wave[:, 0] if channels == 1 else wave


def encoded(wave: np.ndarray, rate: int = 16_000, format: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format=format, subtype=subtype)
    return stream.getvalue()


@pytest.mark.parametrize("samples", [1, 399, 400, 16_000, 16_001])
def test_path_string_bytes_and_stream_give_the_same_wave(tmp_path: Path, samples: int) -> None:
    wave = noise(samples)
    path = tmp_path / "소리.wav"
    path.write_bytes(encoded(wave, subtype="FLOAT"))
    with path.open("rb") as stream:
        sources = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), stream]
        loaded = [load_audio(source) for source in sources]
    for result in loaded:
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, wave)
    assert audio_duration(path) == samples / 16_000


@pytest.mark.parametrize("samples", [1, 399, 16_001])
def test_a_pcm_file_is_headerless_16_bit_audio_at_16_khz(tmp_path: Path, samples: int) -> None:
    integers = RNG.integers(-(2**15), 2**15, samples).astype("<i2")
    path = tmp_path / "KsponSpeech_000001.PCM"
    path.write_bytes(integers.tobytes() + b"\1")  # some of KsponSpeech's have an odd byte at the end
    np.testing.assert_array_equal(load_audio(path), integers.astype(np.float32) / 2**15)
    assert audio_duration(path) == samples / 16_000
    np.testing.assert_array_equal(load_audio(str(path), (samples - 1) / 16_000), integers[-1:] / np.float32(2**15))


def test_a_pcm_file_with_a_header_is_read_by_it(tmp_path: Path) -> None:
    wave = noise(800)
    for format in ("WAV", "FLAC"):
        path = tmp_path / f"{format}.pcm"
        path.write_bytes(encoded(wave, 8_000, format))
        assert audio_duration(path) == 0.1


def test_a_pcm_file_without_a_sample_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pcm"
    path.write_bytes(b"\1")
    with pytest.raises(AudioError, match=r"a\.pcm has 0 samples"):
        load_audio(path)


@pytest.mark.parametrize(("format", "subtype"), [("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)])
def test_compressed_formats_keep_length_and_loudness(format: str, subtype: str | None) -> None:
    wave = 0.3 * np.sin(np.arange(16_001) * 2 * np.pi * 440 / 16_000).astype(np.float32)
    content = encoded(wave, format=format, subtype=subtype)
    loaded = load_audio(content)
    assert loaded.shape == wave.shape
    assert np.std(loaded) == pytest.approx(np.std(wave), rel=0.05)
    assert audio_duration(content) == len(wave) / 16_000


def test_channels_are_averaged() -> None:
    wave = noise(1_000, channels=3)
    np.testing.assert_allclose(load_audio(encoded(wave, subtype="FLOAT")), wave.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_a_tone_at_its_pitch_and_length(rate: int) -> None:
    tone = 0.5 * np.sin(np.arange(rate) * 2 * np.pi * 1_000 / rate)
    loaded = load_audio(encoded(tone, rate))
    assert loaded.dtype == np.float32
    assert len(loaded) == 16_000
    expected = 0.5 * np.sin(np.arange(16_000) * 2 * np.pi * 1_000 / 16_000)
    np.testing.assert_allclose(loaded[800:-800], expected[800:-800], atol=2e-3)


def test_offset_and_duration_cut_the_same_samples_as_a_slice() -> None:
    wave = noise(32_000)
    content = encoded(wave, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(content, 0.25), wave[4_000:])
    np.testing.assert_array_equal(load_audio(content, 0.25, 0.5), wave[4_000:12_000])
    np.testing.assert_array_equal(load_audio(content, duration=0.5), wave[:8_000])
    np.testing.assert_array_equal(load_audio(content, 1.75, 9.0), wave[28_000:])


def test_a_file_longer_than_one_block_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libsndfile, "_BLOCK", 64)
    wave = noise(1_000)
    np.testing.assert_array_equal(load_audio(encoded(wave, subtype="FLOAT")), wave)


@pytest.mark.parametrize(("offset", "duration"), [(-0.1, None), (float("nan"), None), (0, 0), (0, -1), (2.0, None)])
def test_a_slice_that_cannot_be_is_refused(offset: float, duration: float | None) -> None:
    with pytest.raises(AudioError, match="offset"):
        load_audio(encoded(noise(32_000)), offset, duration)


def refused(source: str | Path | bytes, complaint: str, by_duration: bool = True) -> None:
    """load refuses it, in one line that gives a reason and a remedy; so does duration if it can know."""
    readers = [load_audio, audio_duration] if by_duration else [load_audio]
    for reader in readers:
        with pytest.raises(AudioError, match=complaint) as caught:
            reader(source)
        message = str(caught.value)
        assert "\n" not in message
        assert ": " in message
        if not isinstance(source, bytes):
            assert str(source).replace("\0", " ") in message  # a message is one printable line


def test_what_is_not_an_audio_file_is_refused_by_name(tmp_path: Path) -> None:
    empty, text, raw = tmp_path / "empty.wav", tmp_path / "text.flac", tmp_path / "headerless.raw"
    empty.touch()
    text.write_text("안녕하세요")
    raw.write_bytes(bytes(1_000))
    refused(tmp_path / "missing.wav", "does not exist")
    refused(tmp_path, "is a folder")
    refused(tmp_path / "empty.wav" / "below.wav", "cannot be opened")
    refused("nul\0byte.wav", "cannot be opened")
    refused(empty, "is empty")
    refused(b"", "is empty")
    refused(text, "not audio that can be read")
    refused(raw, "not audio that can be read")
    refused(bytes(1_000), "not audio that can be read")


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "private.wav"
    path.write_bytes(encoded(noise(800)))

    def forbid(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)  # chmod would not stop root
    refused(path, "permissions")


@pytest.mark.parametrize("format", ["FLAC", "MP3"])
def test_a_truncated_file_of_compressed_audio_is_refused(tmp_path: Path, format: str) -> None:
    content = encoded(noise(16_000), format=format)
    path = tmp_path / f"half.{format.lower()}"
    path.write_bytes(content[: len(content) // 2])
    refused(path, "truncated", by_duration=False)


def test_a_wav_written_to_a_pipe_is_read_to_its_end() -> None:
    wave = noise(1_600)
    content = bytearray(encoded(wave, subtype="FLOAT"))
    at = content.index(b"data") + 4
    for promised in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000):  # ffmpeg, then two habits of sox
        content[at : at + 4] = struct.pack("<I", promised)
        np.testing.assert_array_equal(load_audio(bytes(content)), wave)


def test_a_flac_stream_that_does_not_say_its_length_is_refused_without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distilhubert_ko.audio.ffmpeg", None)
    content = bytearray(encoded(noise(16_000), format="FLAC"))
    content[21] &= 0xF0  # the 36-bit sample count of the STREAMINFO block
    content[22:26] = bytes(4)
    refused(bytes(content), r"does not say how long .*distilhubert-ko\[media\]")


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1])
def test_a_sample_rate_that_no_recorder_has_is_refused(rate: int) -> None:
    refused(encoded(noise(100), rate=rate), "1,000 to 768,000")


@pytest.mark.parametrize("rate", SAMPLE_RATES)
def test_the_lowest_and_the_highest_sample_rate_are_read(rate: int) -> None:
    assert len(load_audio(encoded(noise(rate // 10), rate=rate))) == 1_600


def test_many_channels_are_read_in_blocks_of_no_more_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libsndfile, "_BLOCK", 64)
    monkeypatch.setattr(channels, "_BLOCK", 64)
    wave = noise(1_000, channels=8)
    content = encoded(wave, subtype="FLOAT")
    assert max(len(block) for block in audio_blocks(content)) == 8
    np.testing.assert_allclose(load_audio(content), wave.mean(axis=1), atol=1e-7)


def test_audio_without_samples_is_refused() -> None:
    refused(encoded(noise(0)), "no samples")
    refused(encoded(noise(1), rate=48_000), "too few", by_duration=False)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    wave = noise(500)
    wave[123] = value
    refused(encoded(wave, subtype="FLOAT"), "NaN or infinite", by_duration=False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_read_once_and_whole(tmp_path: Path) -> None:
    wave, pipe = noise(20_000), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(encoded(wave, subtype="FLOAT"),))
    writer.start()
    np.testing.assert_array_equal(load_audio(pipe), wave)
    writer.join()


def test_an_array_is_a_wave_if_it_is_mono_floating_point_and_finite() -> None:
    wave = noise(100)
    assert as_wave(wave) is wave
    assert as_wave(wave.astype(np.float64)).dtype == np.float32
    assert as_wave(np.zeros(0)).shape == (0,)
    for wrong, complaint in [
        (noise(100, channels=2), r"shape \(100, 2\)"),
        ((wave * 32_767).astype(np.int16), "int16"),
        (np.full(100, np.nan), "NaN"),
    ]:
        with pytest.raises(AudioError, match=complaint):
            as_wave(wrong)
