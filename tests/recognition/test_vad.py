"""Regions of speech: those of silero-vad itself, and nothing else reaches the network."""

import io
import math
import os
import sys
import threading
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import FRAME_STEP, HUBERT_FRAMES, SAMPLE_RATE, frame_seconds
from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.data import synthetic
from distilhubert_ko.data.synthetic import synthetic_lines
from distilhubert_ko.errors import AudioError, InputError
from distilhubert_ko.recognition import vad
from distilhubert_ko.recognition.alignment import align_text
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import VadOptions
from tests.support.model import clip

OPTIONS = [
    VadOptions(),
    VadOptions(min_silence_duration_ms=100, speech_pad_ms=30, min_speech_duration_ms=250),
    VadOptions(min_silence_duration_ms=300, speech_pad_ms=400),
    VadOptions(max_speech_duration_s=2.5, speech_pad_ms=100),
    VadOptions(threshold=0.8, neg_threshold=0.7, min_silence_duration_ms=200, speech_pad_ms=0),
]
SECOND = SAMPLE_RATE


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """(samples,) float32: white noise at -60 dB."""
    return (1e-3 * np.random.default_rng(seed).normal(size=int(seconds * SECOND))).astype(np.float32)


@pytest.fixture(scope="module")
def detector() -> vad.SpeechDetector:
    return vad.SpeechDetector()


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """Three sentences, two to four seconds each."""
    pytest.importorskip("espeakng_loader", reason="espeak-ng comes with the extra [train]")
    folder = tmp_path_factory.mktemp("speech")
    lines = synthetic_lines("demo")["test"][:3]
    (folder / "test").mkdir()
    synthetic._speak(folder, lines)
    return [load_audio(folder / line.path) for line in lines]


@pytest.fixture(scope="module")
def recording(speech: list[np.ndarray]) -> np.ndarray:
    """Speech at 3 s; pauses of 1.2 s and 0.4 s; then 4 s of noise."""
    first, second, third = speech
    return np.concatenate([noise(3), first, noise(1.2), second, noise(0.4), third, noise(4)])


def keywords(options: VadOptions) -> dict[str, float | None]:
    """The options as silero-vad's own functions take them."""
    return vars(options)


# The rules


@pytest.mark.parametrize("options", OPTIONS)
def test_regions_are_those_of_silero_within_a_chunk(
    detector: vad.SpeechDetector, recording: np.ndarray, options: VadOptions
) -> None:
    silero = pytest.importorskip("silero_vad")
    expected = silero.get_speech_timestamps(recording, silero.load_silero_vad(onnx=True), **keywords(options))
    found = detector.regions([recording], options)
    assert len(found) == len(expected) >= 1
    for region, reference in zip(found, expected, strict=True):
        assert region.start == pytest.approx(reference["start"], abs=vad.CHUNK)
        assert region.end == pytest.approx(reference["end"], abs=vad.CHUNK)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.4, 0.49, 0.5, 0.6, 1.0])), max_size=25),
    st.integers(0, vad.CHUNK - 1),
    st.sampled_from(OPTIONS),
)
def test_the_rules_are_those_of_silero_for_any_probabilities(
    runs: list[tuple[int, float]], missing: int, options: VadOptions
) -> None:
    silero = pytest.importorskip("silero_vad.utils_vad")
    probabilities = np.array([p for count, p in runs for _ in range(count)], np.float32)
    samples = max(0, len(probabilities) * vad.CHUNK - missing)
    expected = silero.get_speech_timestamps_from_probs(
        probabilities.tolist(), audio_length_samples=samples, **keywords(options)
    )
    step = FRAME_STEP
    regions = vad.speech_regions(probabilities, samples, options)
    assert [(region.start, region.end) for region in regions] == [
        (each["start"] // step * step, samples if each["end"] == samples else each["end"] // step * step)
        for each in expected
    ]
    assert all(region.probability in probabilities for region in regions)


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1, width=32), max_size=400), st.integers(0, vad.CHUNK - 1), st.sampled_from(OPTIONS))
def test_regions_rise_do_not_overlap_and_lie_on_whole_frames_inside_the_wave(
    probabilities: list[float], missing: int, options: VadOptions
) -> None:
    samples = max(0, len(probabilities) * vad.CHUNK - missing)
    regions = vad.speech_regions(np.array(probabilities, np.float32), samples, options)
    edges = [edge for region in regions for edge in (region.start, region.end)]
    assert edges == sorted(edges)
    assert all(region.start < region.end for region in regions)
    assert all(edge % FRAME_STEP == 0 for edge in edges if edge != samples)
    assert not edges or 0 <= edges[0] < edges[-1] <= samples


@pytest.mark.parametrize("size", [1, 511, 512, 100_003])
def test_how_a_wave_is_cut_into_blocks_changes_no_probability(
    detector: vad.SpeechDetector, recording: np.ndarray, size: int
) -> None:
    wave = recording[2 * SECOND : 4 * SECOND + 100]
    whole, samples = detector.probabilities([wave])
    cut, counted = detector.probabilities(wave[start : start + size] for start in range(0, len(wave), size))
    assert np.array_equal(cut, whole)
    assert counted == samples == len(wave)
    assert whole.max() > 0.5


def test_nothing_and_noise_have_no_regions(detector: vad.SpeechDetector) -> None:
    assert detector.regions([], VadOptions()) == []
    time = np.arange(5 * SECOND) / SECOND
    hum = (0.1 * np.sin(2 * np.pi * 50 * time)).astype(np.float32)
    for wave in (np.zeros(5 * SECOND, np.float32), noise(5), 100 * noise(5), hum):
        assert detector.regions([wave], VadOptions()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"threshold": 1.5}, "threshold 1.5"),
        ({"threshold": math.nan}, "probability"),
        ({"neg_threshold": 0.6}, "neg_threshold 0.6"),
        ({"min_speech_duration_ms": -1}, "min_speech_duration_ms -1"),
        ({"min_silence_duration_ms": -1}, "min_silence_duration_ms -1"),
        ({"speech_pad_ms": -1}, "speech_pad_ms -1"),
        ({"max_speech_duration_s": 0.8}, "more than 0.83 s"),
    ],
)
def test_options_that_make_no_sense_name_themselves(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        VadOptions(**wrong)  # type: ignore[arg-type]


def test_the_network_is_a_file_of_silero_itself() -> None:
    silero = pytest.importorskip("silero_vad")
    assert vad.NETWORK.read_bytes() == (Path(silero.__file__).parent / "data" / vad.NETWORK.name).read_bytes()


# On the way to a transcript


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Samples of every wave that the network hears from now on."""
    lengths: list[int] = []
    compute = ModelSession.log_probs

    def listen(runtime: ModelSession, waves: list[np.ndarray]) -> list[np.ndarray]:
        lengths.extend(map(len, waves))
        return compute(runtime, waves)

    monkeypatch.setattr(ModelSession, "log_probs", listen)
    return lengths


def test_only_the_speech_in_a_long_recording_reaches_the_network(
    exported: Path, speech: list[np.ndarray], heard: list[int]
) -> None:
    transcriber = Transcriber(exported, threads=1)
    quiet = np.zeros(30 * SECOND, np.float32)
    wave = np.concatenate([quiet, noise(30), speech[0], noise(30), quiet])
    (region,) = transcriber.detector.regions([wave], VadOptions())
    found = transcriber(wave, VadOptions())
    assert heard == [region.end - region.start]
    assert heard[0] <= len(speech[0]) + 2 * SECOND
    alone = transcriber(wave[region.start : region.end])
    assert len(alone.text) > 5
    assert found.text == alone.text
    shift = region.start / SECOND
    assert [word.start for word in found.words] == pytest.approx([word.start + shift for word in alone.words])
    assert 59 < found.words[0].start < found.words[-1].end < 61 + len(speech[0]) / SECOND
    assert found.seconds == len(wave) / SECOND


def test_a_text_is_aligned_with_speech_and_not_with_noise(exported: Path, speech: list[np.ndarray]) -> None:
    transcriber = Transcriber(exported, threads=1)
    wave = np.concatenate([noise(20), speech[0], noise(20), speech[1], noise(20)])
    regions = transcriber.detector.regions([wave], VadOptions())
    aligned = align_text(transcriber, wave, "가나 다라\n마바", VadOptions())
    inside = [(word.start * SECOND, word.end * SECOND) for word in aligned.transcript.words]
    assert all(any(part.start <= start < end <= part.end + SECOND for part in regions) for start, end in inside)
    with pytest.raises(AudioError, match="found no speech"):
        align_text(transcriber, noise(20), "가나", VadOptions())


def test_without_speech_the_transcript_is_empty_and_the_network_is_left_alone(exported: Path, heard: list[int]) -> None:
    assert Transcriber(exported, threads=1)(noise(5), VadOptions()) == Transcript((), 5.0)
    assert heard == []


@pytest.mark.parametrize("samples", [1, 400, 16_000, 31 * SECOND])
def test_digital_silence_is_an_empty_transcript_without_vad_too(exported: Path, samples: int, heard: list[int]) -> None:
    transcriber = Transcriber(exported, threads=1)
    assert transcriber(np.zeros(samples, np.float32)) == Transcript((), samples / SECOND)
    together = transcriber.log_probs([np.zeros(samples, np.float32), clip(16_000)])
    assert [len(log_probs) for log_probs in together] == [HUBERT_FRAMES.count(samples), 49]
    assert heard == [16_000]


def test_a_path_bytes_a_file_and_a_pipe_give_the_same_transcript(
    exported: Path, speech: list[np.ndarray], tmp_path: Path
) -> None:
    path, pipe = tmp_path / "speech.wav", tmp_path / "pipe"
    soundfile.write(path, speech[0], SECOND)
    os.mkfifo(pipe)
    threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()), daemon=True).start()
    transcriber = Transcriber(exported, threads=1)
    sources = [path, path.read_bytes(), io.BytesIO(path.read_bytes()), load_audio(path), pipe]
    transcripts = [transcriber(source, VadOptions()) for source in sources]
    assert transcripts[0].text
    assert all(each == transcripts[0] for each in transcripts)


def test_progress_rises_to_the_end_of_the_recording_with_and_without_vad(
    exported: Path, speech: list[np.ndarray]
) -> None:
    transcriber = Transcriber(exported, threads=1)
    wave = np.concatenate([clip(35 * SECOND), speech[0], noise(4)])
    for options in (None, VadOptions()):
        seconds: list[float] = []
        transcriber(wave, options, seconds.append)
        assert len(seconds) > 1
        assert seconds == sorted(seconds)
        assert seconds[-1] == frame_seconds(HUBERT_FRAMES.count(len(wave)))


def test_the_space_in_the_documents_writes_what_the_transcriber_says(
    monkeypatch: pytest.MonkeyPatch, exported: Path, tmp_path: Path, speech: list[np.ndarray]
) -> None:
    gradio = MagicMock()
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    app = (Path(__file__).parents[2] / "docs" / "demo_space" / "app.py").read_text(encoding="utf-8")
    exec(app.replace("OWNER/NAME", str(exported)), {})
    path = tmp_path / "clip.wav"
    soundfile.write(path, speech[0], SAMPLE_RATE)
    answer = gradio.Interface.call_args.kwargs["fn"]
    assert answer(str(path)) == Transcriber(exported)(path, VadOptions()).text != ""
    assert answer(None) == ""  # the button without a recording
    gradio.Interface.return_value.launch.assert_called_once_with()
