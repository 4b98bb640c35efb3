"""What no recogniser likes to get: an error of one line, or an empty transcript, and never a traceback."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import LOUDEST
from distilhubert_ko.errors import AudioError
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from tests.support.media import encoded
from tests.support.model import clip

pytest.importorskip("resource")  # Windows has not
from checks import fuzz_audio


@pytest.fixture(scope="module")
def transcriber(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=1)


def wav(wave: np.ndarray, rate: int = 16_000, subtype: str = "FLOAT") -> bytes:
    return fuzz_audio.written(wave, "WAV", subtype) if rate == 16_000 else encoded(wave, rate, "wav", "pcm_f32le")


def refused(transcriber: Transcriber, source: str | Path | bytes | np.ndarray, complaint: str) -> None:
    with pytest.raises(AudioError, match=complaint) as caught:
        transcriber(source)
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value)


# What can be heard, or has nothing to hear


@pytest.mark.parametrize("samples", [1, 10, 399])
def test_a_file_too_short_for_a_frame_has_an_empty_transcript(transcriber: Transcriber, samples: int) -> None:
    assert transcriber(wav(clip(samples))) == Transcript((), samples / SAMPLE_RATE)


def test_an_array_of_no_samples_has_an_empty_transcript(transcriber: Transcriber) -> None:
    assert transcriber(np.empty(0)) == Transcript((), 0.0)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_a_wave_that_stands_still_has_a_transcript(transcriber: Transcriber, value: float) -> None:
    assert transcriber(wav(np.full(16_000, value, np.float32))).seconds == 1.0


def test_a_clipped_wave_has_the_transcript_of_its_samples(transcriber: Transcriber) -> None:
    wave = np.clip(20 * clip(40_000), -1, 1)
    assert np.mean(np.abs(wave) == 1) > 0.3
    assert transcriber(wav(wave)).text == transcriber(wave).text != ""


def test_samples_far_beyond_one_have_finite_confidences(transcriber: Transcriber) -> None:
    words = transcriber(wav(clip(40_000) * np.float32(LOUDEST / 4))).words
    assert words
    assert all(0 < word.confidence <= 1 for word in words)


def test_a_recording_at_96_khz_has_its_true_length(transcriber: Transcriber) -> None:
    transcript = transcriber(wav(np.repeat(clip(16_000), 6), 96_000))
    assert transcript.seconds == pytest.approx(1.0, abs=1e-4)
    assert transcript.text


def test_eight_channels_have_the_transcript_of_their_mean(transcriber: Transcriber) -> None:
    wave = np.stack([clip(40_000, seed) for seed in range(8)], axis=1)
    assert transcriber(wav(wave)).text == transcriber(wave.mean(axis=1)).text != ""


# What cannot


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_samples_that_are_no_sound_are_refused(transcriber: Transcriber, value: float) -> None:
    wave = clip(16_000)
    wave[8_000] = value
    refused(transcriber, wave, "NaN or infinite")
    refused(transcriber, wav(wave), "NaN or infinite")
    refused(transcriber, wav(np.stack([wave, wave], axis=1)), "NaN or infinite")


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((2, 16_000), np.float32), r"shape \(2, 16000\)"),
        (np.zeros((), np.float32), r"shape \(\)"),
        (np.zeros(16_000, np.int16), "int16"),
        (np.zeros(16_000, complex), "complex128"),
    ],
)
def test_an_array_that_is_no_mono_wave_is_refused(transcriber: Transcriber, array: np.ndarray, complaint: str) -> None:
    refused(transcriber, array, complaint)


def test_a_file_without_samples_is_refused(transcriber: Transcriber) -> None:
    refused(transcriber, wav(np.empty(0, np.float32)), "no samples")


@pytest.mark.parametrize("kind", ["mp3", "flac", "m4a", "mkv"])
def test_a_file_cut_in_half_is_refused(transcriber: Transcriber, kind: str) -> None:
    content = fuzz_audio.seeds()[kind]
    refused(transcriber, content[: len(content) // 2], "truncated")


def test_a_text_that_is_called_wav_is_refused(transcriber: Transcriber, tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_text("안녕하세요, 소리가 아닙니다.\n" * 100, encoding="utf-8")
    refused(transcriber, path, r"speech\.wav is not audio")


def test_a_video_without_sound_is_refused(transcriber: Transcriber, tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    path.write_bytes(encoded(np.empty(0), 16_000, "mp4", "", pictures=2))
    refused(transcriber, path, r"silent\.mp4 has no audio")


def test_what_is_no_file_or_may_not_be_read_is_refused(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(transcriber, tmp_path, "is a folder")
    refused(transcriber, tmp_path / "missing.m4a", "does not exist")
    private = tmp_path / "private.m4a"
    private.write_bytes(fuzz_audio.seeds()["m4a"])

    def forbid(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)  # chmod would not stop root
    refused(transcriber, private, "permissions")


@pytest.mark.parametrize("content", [b"", b"\0", b"RIFF", bytes(100_000), "소리\n".encode() * 1000])
def test_bad_standard_input_is_one_line_and_exit_code_two(exported: Path, content: bytes) -> None:
    program = "from distilhubert_ko.cli.main import main; main()"
    command = [sys.executable, "-c", program, "transcribe", "-", "--model", str(exported)]
    result = subprocess.run(command, input=content, capture_output=True, timeout=600, check=False)
    assert result.returncode == 2
    assert result.stdout == b""
    assert len(result.stderr.decode().splitlines()) == 1
    assert b"distilhubert-ko: the audio" in result.stderr


# Damaged files without end


def test_every_damaged_file_is_read_or_refused_and_none_else() -> None:
    results = [*fuzz_audio.outcomes(seed=20, first=0, last=600)]
    assert [f"{number}: {result}" for number, result in enumerate(results) if result[1].startswith("FAILED")] == []
    read = sum(result == "read" for _, result in results)
    assert 100 < read < 500  # neither harmless nor all beyond recognition


def test_undamaged_originals_are_read() -> None:
    originals = fuzz_audio.seeds()
    assert {name: fuzz_audio.outcome(content) for name, content in originals.items()} == dict.fromkeys(
        originals, "read"
    )


def test_a_seed_and_a_number_make_the_same_file_again() -> None:
    assert fuzz_audio.seeds() == fuzz_audio.seeds()
    originals = fuzz_audio.seeds()
    files = [fuzz_audio.mutated(originals, 1, number) for number in range(50)]
    assert files == [fuzz_audio.mutated(originals, 1, number) for number in range(50)]
    assert len({content for _, content in files}) == 50
    assert files != [fuzz_audio.mutated(originals, 2, number) for number in range(50)]


def judge(_: object, calls: Iterator[int] = itertools.count()) -> str:  # noqa: B008 (each process counts its own)
    match next(calls):
        case 1:
            raise ZeroDivisionError("division by zero")
        case 3:
            os._exit(7)
    return "read"


def test_the_fuzzer_reports_what_fails_and_what_crashes_and_goes_on() -> None:
    counts, failures = fuzz_audio.survey(seed=1, first=10, count=5, judge=judge)
    # A new process starts counting its calls again, so the one after the crash is its first.
    assert counts == {"read": 3, "FAILED: ZeroDivisionError: division by zero": 1, "FAILED: exit code 7": 1}
    assert [failure.split(": ")[0] for failure in failures] == [
        "--seed 1 --first 11 --count 1",
        "--seed 1 --first 13 --count 1",
    ]
