"""Channels are mixed, or one is chosen; those that cancel each other are not; a silent track makes way for the next."""

import io
import logging

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.channels import AudioChoice, one_channel
from distilhubert_ko.audio.reading import audio_blocks, channel_count, load_audio
from distilhubert_ko.errors import AudioError, InputError
from tests.support.media import encoded, with_tracks

RNG = np.random.default_rng(7)
RATE = 16_000


def tone(pitch: float, seconds: float = 2.0) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * RATE)) * 2 * np.pi * pitch / RATE)).astype(np.float32)


def wav(*channels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.stack(channels, axis=1), RATE, format="WAV", subtype="FLOAT")
    return stream.getvalue()


def container(*channels: np.ndarray) -> bytes:
    return encoded(np.stack(channels, axis=1), RATE, "matroska", "pcm_f32le")


@pytest.mark.parametrize("make", [wav, container])
def test_each_channel_can_be_read_alone(make: object) -> None:
    left, right = tone(300), tone(500)
    content = make(left, right)
    assert channel_count(content) == 2
    for number, wanted in ((1, left), (2, right), (None, (left + right) / 2)):
        np.testing.assert_allclose(load_audio(content, choice=AudioChoice(channel=number)), wanted, atol=1e-6)
    with pytest.raises(AudioError, match="has no channel 3, only 2"):
        load_audio(content, choice=AudioChoice(channel=3))


def test_a_mono_recording_has_no_second_channel() -> None:
    content = wav(tone(300))
    assert channel_count(content) == 1
    with pytest.raises(AudioError, match="has no channel 2, only 1"):
        load_audio(content, choice=AudioChoice(channel=2))


@pytest.mark.parametrize("make", [wav, container])
@pytest.mark.parametrize("gain", [1.0, 0.8])
def test_channels_in_opposite_phase_do_not_cancel_and_it_is_said(
    make: object, gain: float, caplog: pytest.LogCaptureFixture
) -> None:
    left = tone(300)
    with caplog.at_level(logging.WARNING):
        loaded = load_audio(make(left, -gain * left))
    np.testing.assert_allclose(loaded, left, atol=1e-6)
    (message,) = caplog.messages
    assert "cancel each other" in message
    assert "--channel" in message


@pytest.mark.parametrize(
    "channels",
    [
        [tone(300), tone(500)],
        [tone(300), 0 * tone(300)],
        [tone(300), tone(300)],
        [tone(300), *[0 * tone(300)] * 7],
        [RNG.standard_normal(2 * RATE).astype(np.float32) * 0.1 for _ in range(8)],
        [tone(300), -0.5 * tone(300)],
    ],
    ids=["two pitches", "one silent", "twice the same", "one of eight", "noise", "partly opposite"],
)
def test_other_channels_are_averaged_without_a_word(
    channels: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    np.testing.assert_allclose(load_audio(wav(*channels)), np.mean(channels, axis=0), atol=1e-6)
    assert caplog.messages == []


def test_only_the_seconds_that_cancel_are_read_from_one_channel() -> None:
    left = tone(300, 3.0)
    right = left * np.repeat([1, -1, 0.5], RATE).astype(np.float32)
    loaded = load_audio(wav(left, right))
    np.testing.assert_allclose(loaded, left * np.repeat([1, 1, 0.75], RATE), atol=1e-6)


@pytest.mark.parametrize("make", [wav, container])
def test_a_slice_has_the_samples_that_the_whole_has_there(make: object) -> None:
    left = tone(300, 3.0)
    content = make(left, left * np.repeat([-1, 1, -0.9], RATE).astype(np.float32))
    whole = load_audio(content)
    for offset, duration in [(0.0, 0.25), (0.75, 0.5), (1.5, 1.0), (2.75, None), (0.9, 9.0)]:
        end = None if duration is None else round((offset + duration) * RATE)
        np.testing.assert_array_equal(load_audio(content, offset, duration), whole[round(offset * RATE) : end])
    with pytest.raises(AudioError, match=r"lasts 3\.00 s: the offset of 3\.25 s is past its end"):
        load_audio(content, 3.25)


@pytest.mark.parametrize("size", [1, 7, 1000, 48_000])
def test_what_cancels_does_not_hang_on_the_sizes_of_the_blocks(size: int) -> None:
    stereo = np.stack([tone(300, 2.5), np.concatenate([-tone(300, 1.5), tone(500, 1.0)])], axis=1)
    pieces = [stereo[start : start + size] for start in range(0, len(stereo), size)]
    whole = np.concatenate([*one_channel([stereo], None, RATE, "a")])
    np.testing.assert_array_equal(np.concatenate([*one_channel(pieces, None, RATE, "a")]), whole)
    assert len(whole) == len(stereo)


def test_many_channels_are_mixed_in_blocks_of_bounded_size() -> None:
    content = wav(*[np.zeros(40_000, np.float32)] * 64)
    assert max(len(block) for block in audio_blocks(content)) * 64 <= 1 << 20


@pytest.mark.parametrize("kind", ["matroska", "mp4"])
def test_a_silent_track_makes_way_for_the_next_and_it_is_said(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    codec = "aac"
    content = with_tracks([0 * tone(300), tone(440), tone(1000)], RATE, kind, codec)
    with caplog.at_level(logging.WARNING):
        loaded = load_audio(content)
    assert pitch(loaded) == pytest.approx(440, abs=5)
    assert "of 3 audio tracks, 2 is read (1 silent): choose another with --track" in caplog.messages[0]


def test_a_track_can_be_chosen() -> None:
    content = with_tracks([tone(300), tone(440)], RATE, "matroska", "pcm_s16le")
    assert pitch(load_audio(content)) == pytest.approx(300, abs=5)
    for track, wanted in ((1, 300), (2, 440)):
        assert pitch(load_audio(content, choice=AudioChoice(track=track))) == pytest.approx(wanted, abs=5)
    with pytest.raises(AudioError, match="has 2 audio tracks, not 3"):
        load_audio(content, choice=AudioChoice(track=3))
    assert len(load_audio(wav(tone(300)), choice=AudioChoice(track=1))) == 2 * RATE
    with pytest.raises(AudioError, match="one track of audio, not 2"):
        load_audio(wav(tone(300)), choice=AudioChoice(track=2))


def test_tracks_that_are_all_silent_are_silence() -> None:
    content = with_tracks([0 * tone(300), 0 * tone(300)], RATE, "matroska", "pcm_s16le")
    assert not load_audio(content).any()


@pytest.mark.parametrize("name", ["channel", "track"])
def test_channels_and_tracks_are_counted_from_one(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} 0: count from 1"):
        AudioChoice(**{name: 0})


def pitch(wave: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(wave)).argmax() * RATE / len(wave))
