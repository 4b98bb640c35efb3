"""From audio to words: the Transcriber on an exported folder."""

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile

from distilhubert_ko.audio.frames import HUBERT_FRAMES, SAMPLE_RATE
from distilhubert_ko.errors import AudioError, InputError, ModelError, UnavailableError
from distilhubert_ko.recognition import transcriber as transcribe
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from tests.support.model import SYLLABLES, clip


@pytest.fixture(scope="module")
def transcriber(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=2)


def test_a_file_its_bytes_and_its_samples_give_the_same_transcript(transcriber: Transcriber, tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, clip(40_000), SAMPLE_RATE, subtype="FLOAT")
    transcripts = [transcriber(source) for source in (path, str(path), path.read_bytes(), clip(40_000))]
    assert len(transcripts[0].text) > 10  # the model has something to say
    assert all(transcript == transcripts[0] for transcript in transcripts)
    assert transcripts[0].seconds == 2.5


@pytest.mark.parametrize("seconds", [0, 1, 25, 70])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_words_that_are_told_on_the_way_begin_the_text(exported: Path, seconds: int, batch_size: int) -> None:
    told: list[str] = []
    wave = clip(seconds * SAMPLE_RATE)
    found = Transcriber(exported, threads=1, batch_size=batch_size)(wave, on_text=told.append)
    assert found == Transcriber(exported, threads=1)(wave)
    assert found.text.split()[: len(" ".join(told).split())] == " ".join(told).split()
    assert all(told)
    assert len(told) == {0: 0, 1: 1, 25: 2, 70: 5}[seconds]
    assert len(found.text) - len(" ".join(told)) < 40  # the last word may always go on


@pytest.mark.parametrize(
    ("options", "numerals"), [({"n_best": 2}, "words"), ({"hotwords": ["하하타"]}, "words"), ({"n_best": 2}, "digits")]
)
def test_a_search_tells_on_the_way_what_all_its_hypotheses_begin_with(
    exported: Path, options: dict[str, Any], numerals: str
) -> None:
    told: list[tuple[str, float]] = []
    text: list[str] = []
    searching = Transcriber(exported, threads=1, numerals=numerals, **options)
    wave = clip(40 * SAMPLE_RATE)
    found = searching(wave, on_text=text.append, on_progress=lambda seconds: told.append((" ".join(text), seconds)))
    assert found == searching(wave)
    assert all(f"{found.text} ".startswith(f"{each} ") for each, _ in told if each)
    assert [seconds for _, seconds in told] == [18, 34, pytest.approx(40, abs=0.1)]
    assert told[-1][0] or numerals == "digits"  # the tones have no pause


def test_audio_at_another_rate_is_resampled(transcriber: Transcriber) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.repeat(clip(20_000), 3), 48_000, format="WAV")
    transcript = transcriber(file.getvalue())
    assert transcript.seconds == 1.25
    assert transcript.text


def test_clips_get_the_same_transcript_alone_and_in_batches(transcriber: Transcriber) -> None:
    lengths = [16_000, 400, 399, 70_001, 0, 33_333, 720, 16_000, 160_000, 5000, 300_000, 8000]
    clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
    together = transcriber.log_probs(clips)
    assert len(together) == len(clips)
    for wave, log_probs in zip(clips, together, strict=True):
        assert transcriber.transcript(log_probs, len(wave)).text == transcriber(wave).text


def test_batches_hold_clips_of_like_length_up_to_a_sum_of_padded_lengths(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[list[int]] = []
    compute = ModelSession.log_probs

    def listen(runtime: ModelSession, waves: list[np.ndarray]) -> list[np.ndarray]:
        batches.append([len(wave) for wave in waves])
        return compute(runtime, waves)

    monkeypatch.setattr(ModelSession, "log_probs", listen)
    monkeypatch.setattr(transcribe, "BATCH_SECONDS", 1.0)
    lengths = [8000, 2000, 20_000, 2000, 8000, 4000, 2000, 8000, 2000, 2000]
    found = transcriber.log_probs([np.ones(samples, np.float32) for samples in lengths])
    assert [len(log_probs) for log_probs in found] == [HUBERT_FRAMES.count(samples) for samples in lengths]
    assert batches == [[20_000], [8000, 8000], [8000, 4000], [2000] * 5]


@pytest.mark.parametrize("samples", [0, 10, 399])
def test_a_clip_too_short_for_a_frame_has_an_empty_transcript(transcriber: Transcriber, samples: int) -> None:
    transcript = transcriber(clip(samples))
    assert transcript == Transcript((), samples / SAMPLE_RATE)
    assert transcript.text == ""


def test_no_clips_have_no_log_probabilities(transcriber: Transcriber) -> None:
    assert transcriber.log_probs([]) == []


@pytest.mark.parametrize("samples", [400, 16_000, 33_333, 160_000])
def test_the_times_of_words_rise_and_lie_inside_the_audio(transcriber: Transcriber, samples: int) -> None:
    transcript = transcriber(clip(samples))
    times = [time for word in transcript.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 <= time <= samples / SAMPLE_RATE for time in times)
    assert all(word.start < word.end for word in transcript.words)
    assert all(0 < word.confidence <= 1 for word in transcript.words)
    assert samples < 160_000 or len(transcript.words) > 5


def test_a_folder_that_is_not_exported_names_the_command(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match=f"distilhubert-ko export {folder}"):
        Transcriber(folder)


def test_a_folder_without_a_vocabulary_is_a_model_error_that_names_the_file(exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported / "model.onnx", tmp_path)
    with pytest.raises(ModelError, match=r"vocab\.json"):
        Transcriber(tmp_path)


@pytest.mark.parametrize("tokens", [[*SYLLABLES.tokens, "힣"], SYLLABLES.tokens[:-1]])
def test_a_vocabulary_that_does_not_fit_the_model_is_a_model_error(
    tokens: Sequence[str], exported: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model"))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    graph = onnx.load(folder / "model.onnx")
    graph.doc_string = ""  # as one of an earlier version, which does not know its vocabulary
    onnx.save(graph, folder / "model.onnx")
    with pytest.raises(ModelError, match=f"has {len(SYLLABLES)} outputs and the vocabulary {len(tokens)} tokens"):
        Transcriber(folder)


def test_a_model_that_the_hub_cannot_give_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError, match="nobody/nothing") as error:
        Transcriber("nobody/nothing")
    assert "distilhubert-ko demo" in str(error.value)
    assert "name the folder" in str(error.value)


@pytest.mark.parametrize("name", ["nothing", "./no/folder", "no/such/folder", "/nowhere", "~/nowhere"])
def test_a_name_that_is_neither_a_folder_nor_a_hub_id_is_a_model_error(name: str) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        Transcriber(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "tpu: no such device; choose one of auto, cpu, cuda"),
        ({"batch_size": 0}, "batch_size 0: give"),
        ({"numerals": "roman"}, "numerals 'roman' is unknown: give words or digits"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str, exported: Path) -> None:
    with pytest.raises(InputError, match=message):
        Transcriber(exported, **options)


def test_unreadable_audio_is_an_audio_error(transcriber: Transcriber, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"missing\.wav"):
        transcriber(tmp_path / "missing.wav")
