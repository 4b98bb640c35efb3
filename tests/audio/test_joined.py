"""Files whose headers say less than they hold, or nothing, are read to their ends or refused, never read in part."""

import io
import logging
import struct
import sys
import time

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.joined import reason_read_in_part
from distilhubert_ko.audio.reading import audio_duration, encode_mp3, load_audio
from distilhubert_ko.errors import AudioError
from tests.support.media import encoded, remuxed

PRIMING = 0.1  # seconds that an encoder may add


def clip(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """A tone that rises, so that what is lost, doubled or moved would show."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * (300 + 50 * times) * times)).astype(np.float32)


def written(wave: np.ndarray, rate: int = SAMPLE_RATE, **options: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, **{"format": "WAV", **options})
    return stream.getvalue()


def untagged(content: bytes) -> bytes:
    """An MP3 without the tag that says how long it is."""
    stream = io.BytesIO()
    remuxed(content, "mp3", stream, write_xing="0")
    return stream.getvalue()


def without_pyav(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distilhubert_ko.audio.ffmpeg", None)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("variable", [True, False])
def test_an_mp3_without_a_tag_is_read_to_its_end(rate: int, variable: bool) -> None:
    """At a variable rate every estimate is wrong, and the half of it would be lost: silence takes few bits."""
    wave = np.concatenate([clip(3, rate), np.zeros(3 * rate, np.float32)])
    content = written(wave, rate, format="MP3", bitrate_mode="VARIABLE" if variable else "CONSTANT")
    plain = untagged(content)
    assert b"Info" not in plain[:500]
    assert b"Xing" not in plain[:500]
    loaded = load_audio(plain)
    assert len(loaded) / SAMPLE_RATE == pytest.approx(6, abs=PRIMING)
    assert audio_duration(plain) == pytest.approx(len(loaded) / SAMPLE_RATE, abs=1e-3)


@pytest.mark.parametrize("tags", [(True, True), (True, False), (False, True), (False, False)])
def test_two_mp3_files_joined_give_both(tags: tuple[bool, bool], capfd: pytest.CaptureFixture[str]) -> None:
    files = [encode_mp3(clip(seconds)) for seconds in (2, 3)]
    joined = b"".join(file if tag else untagged(file) for file, tag in zip(files, tags, strict=True))
    assert len(load_audio(joined)) / SAMPLE_RATE == pytest.approx(5, abs=3 * PRIMING)
    assert audio_duration(joined) == pytest.approx(5, abs=3 * PRIMING)
    assert capfd.readouterr() == ("", "")  # no line of a library's own


def test_an_mp3_with_tags_of_an_album_before_and_after_it_has_its_own_length() -> None:
    wave = clip(2)
    content = encode_mp3(wave)
    before = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    after = b"TAG" + bytes(125)
    assert len(load_audio(before + content + after)) == len(wave)


def test_an_mp3_whose_tag_promises_more_than_there_is_is_truncated() -> None:
    content = encode_mp3(clip(4))
    for reader in (load_audio, audio_duration):
        with pytest.raises(AudioError, match="truncated"):
            reader(content[: len(content) // 2])


@pytest.mark.parametrize("join", [True, False])
def test_without_pyav_an_mp3_that_would_be_read_in_part_names_what_to_install(
    join: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encode_mp3(clip(2))
    awkward = content * 2 if join else untagged(content)
    without_pyav(monkeypatch)
    assert len(load_audio(content)) == 2 * SAMPLE_RATE
    with pytest.raises(AudioError, match=r"MP3.*distilhubert-ko\[media\]"):
        load_audio(awkward)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_files_joined_give_all(subtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [written(clip(seconds), format="OGG", subtype=subtype) for seconds in (2, 3)]
    joined = b"".join(files)
    assert len(load_audio(joined)) / SAMPLE_RATE == pytest.approx(5, abs=2 * PRIMING)
    without_pyav(monkeypatch)
    assert len(load_audio(files[1])) == 3 * SAMPLE_RATE
    with pytest.raises(AudioError, match=r"several Ogg streams.*distilhubert-ko\[media\]"):
        load_audio(joined)


def test_flac_files_joined_give_all_and_their_slices_are_read_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = clip(2), clip(3)
    joined = written(first, format="FLAC") + written(second, format="FLAC")
    wave = load_audio(joined)
    np.testing.assert_allclose(wave, np.concatenate([first, second]), atol=1e-4)
    np.testing.assert_allclose(load_audio(joined, 0.5, 1.0), first[8_000:24_000], atol=1e-4)
    without_pyav(monkeypatch)
    with pytest.raises(AudioError, match=r"several FLAC files: split it.*distilhubert-ko\[media\]"):
        load_audio(joined)


@pytest.mark.parametrize("options", [{}, {"movflags": "frag_keyframe+empty_moov"}])
@pytest.mark.parametrize("container", ["ipod", "mov", "mp4"])
def test_mp4_files_joined_are_refused_since_ffmpeg_reads_the_first(container: str, options: dict[str, str]) -> None:
    content = encoded(clip(2), SAMPLE_RATE, container, "aac", **options)
    assert len(load_audio(content)) / SAMPLE_RATE == pytest.approx(2, abs=2 * PRIMING)
    for joined in (content * 2, content + encoded(clip(1), SAMPLE_RATE, "mp4", "aac")):
        with pytest.raises(AudioError, match=r"holds several files.*: split it"):
            load_audio(joined)


def test_an_mp4_of_very_many_parts_is_looked_at_for_a_bounded_time() -> None:
    content = encoded(clip(2), SAMPLE_RATE, "mp4", "aac") + b"\0\0\0\x08free" * 2_000_000
    stream = io.BytesIO(content)
    started = time.process_time()
    assert reason_read_in_part(stream, "a.mp4", to_the_end=True) == ""
    assert time.process_time() - started < 2
    assert stream.tell() == 0


@pytest.mark.parametrize("format", ["WAV", "AIFF", "AU", "W64", "RF64"])
def test_files_joined_that_no_program_reads_on_are_refused(format: str) -> None:
    with pytest.raises(AudioError, match=r"holds several files.*: split it"):
        load_audio(written(clip(1), format=format) * 2)


@pytest.mark.parametrize(
    ("container", "codec"), [("asf", "wmav2"), ("flv", "aac"), ("caf", "pcm_s16le"), ("caf", "alac")]
)
def test_files_joined_whose_length_no_header_says_are_refused(container: str, codec: str) -> None:
    content = encoded(clip(2), SAMPLE_RATE, container, codec)
    assert len(load_audio(content)) / SAMPLE_RATE == pytest.approx(2, abs=2 * PRIMING)
    with pytest.raises(AudioError, match=r"holds several files.*: split it"):
        load_audio(content * 2)


@pytest.mark.parametrize("container", ["webm", "adts", "mpegts"])
def test_recordings_of_browsers_and_broadcasts_joined_give_all(container: str) -> None:
    content = encoded(clip(2, 48_000), 48_000, container, "libopus" if container == "webm" else "aac")
    assert len(load_audio(content * 2)) / SAMPLE_RATE == pytest.approx(4, abs=3 * PRIMING)


def sized(content: bytes, riff: int, data: int) -> bytes:
    """A WAV whose header gives other sizes, in bytes."""
    changed = bytearray(content)
    changed[4:8] = struct.pack("<I", riff)
    at = changed.index(b"data") + 4
    changed[at : at + 4] = struct.pack("<I", data)
    return bytes(changed)


@pytest.mark.parametrize("riff", [0, 36, 0xFFFFFFFF])
@pytest.mark.parametrize("data", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_whose_header_was_never_finished_is_read_to_its_end(riff: int, data: int) -> None:
    wave = clip(1.5)
    content = sized(written(wave, subtype="FLOAT"), riff, data)
    np.testing.assert_array_equal(load_audio(content), wave)
    assert audio_duration(content) == pytest.approx(1.5, abs=1e-3)


def test_a_wav_that_ends_before_its_header_says_is_read_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    wave = clip(1.5)
    whole = written(wave, subtype="FLOAT")
    for content in (sized(whole, 500_000, 499_964), sized(whole, 0, 499_964)):
        caplog.clear()
        assert audio_duration(content) == pytest.approx(1.5, abs=1e-3)
        load_audio(content, duration=1.0)
        assert not caplog.messages
        np.testing.assert_array_equal(load_audio(content), wave)
        (message,) = caplog.messages
        assert "says 499964 bytes, but the file ends after 96000: it is read to there" in message


@pytest.mark.parametrize("format", ["WAV", "AIFF", "AU", "W64", "RF64"])
def test_uncompressed_audio_is_read_as_far_as_it_is_there(format: str, caplog: pytest.LogCaptureFixture) -> None:
    wave = clip(1.5)
    whole = written(wave, format=format)
    found = load_audio(whole[: len(whole) - 16_000])
    assert len(wave) - 8_040 <= len(found) <= len(wave) - 7_960
    np.testing.assert_allclose(found, wave[: len(found)], atol=1e-4)
    (message,) = caplog.messages
    assert "it is read to there" in message


def test_a_wav_without_any_samples_is_refused() -> None:
    empty = written(np.zeros(0, np.float32))
    for content in (empty, sized(empty, 0, 0), sized(empty, 0xFFFFFFFF, 0xFFFFFFFF)):
        with pytest.raises(AudioError, match=r"no samples|has 0 samples"):
            load_audio(content)


def test_mp3_within_a_wav_is_read() -> None:
    content = encoded(clip(2, 44_100), 44_100, "wav", "libmp3lame")
    assert len(load_audio(content)) / SAMPLE_RATE == pytest.approx(2, abs=PRIMING)


def test_a_damaged_packet_is_silence_and_many_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    content = bytearray(encoded(clip(6, 48_000), 48_000, "matroska", "aac"))
    rng = np.random.default_rng(7)
    few = bytearray(content)
    middle = len(content) // 2
    few[middle : middle + 40] = rng.bytes(40)
    with caplog.at_level(logging.WARNING):
        wave = load_audio(bytes(few))
    assert len(wave) / SAMPLE_RATE == pytest.approx(6, abs=PRIMING)
    for at in range(2_000, len(content) - 400, 300):
        content[at : at + 20] = rng.bytes(20)
    with pytest.raises(AudioError, match=r"damaged|truncated"):
        load_audio(bytes(content))
