"""The whole road for Whisper's encoder: train, resume, evaluate, export, transcribe, align, stream."""

import dataclasses
import io
import itertools
import json
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import sherpa_onnx
import soundfile
import torch
from safetensors.torch import load_file

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE, WHISPER_FRAMES
from distilhubert_ko.data.dataset import prepare_dataset
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.evaluation.card import write_card
from distilhubert_ko.evaluation.report import evaluate_model, save_report
from distilhubert_ko.export import int8_gate
from distilhubert_ko.export.exporting import export_folder, export_graph
from distilhubert_ko.export.int8_gate import PrecisionTrial
from distilhubert_ko.model.frame_teacher import FrameTeacher
from distilhubert_ko.model.loading import build_network, load_network
from distilhubert_ko.model.student import Teacher
from distilhubert_ko.model_folder import REPORT
from distilhubert_ko.recognition.alignment import align_text
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.windows import windowed_log_probs
from distilhubert_ko.training import distill
from distilhubert_ko.training.finetune import CtcTrainer, fine_tune
from distilhubert_ko.training.trainer import InterruptedTrainingError
from tests.support.model import SYLLABLES, TINY_TRAINING, clip, new_network, padded
from tests.support.serving import running
from tests.support.transcripts import heard, letters
from tests.support.whisper import UNDROPPED

AUGMENT = recipe.Augment(speeds=(0.9, 1.1), reverb_prob=0.5, noise_prob=0.5)
MASKS = {"mask_time_prob": 0.3, "mask_time_length": 4, "mask_feature_prob": 0.2, "mask_feature_length": 8}


@pytest.fixture(scope="module")
def config(tiny_speech: Path, tiny_whisper: Path) -> recipe.Recipe:
    """With every lever, so that a resumed run needs all random numbers; two corpora that are read as one."""
    return recipe.Recipe(
        name="tiny-whisper",
        data=recipe.Data(
            train=(f"manifest:{tiny_speech}/train.jsonl", f"manifest:{tiny_speech}/dev.jsonl"),
            eval=f"manifest:{tiny_speech}/dev.jsonl",
            max_seconds=20.0,
        ),
        model=recipe.Model(
            pretrained=str(tiny_whisper),
            freeze_feature_encoder=True,
            final_dropout=0.1,
            **UNDROPPED | MASKS | {"hidden_dropout": 0.1},
        ),
        augment=AUGMENT,
        training=dataclasses.replace(
            TINY_TRAINING, blank_evaluations=100, ema_decay=0.9, head_learning_rate=1e-2, head_only_steps=2
        ),
    )


@pytest.fixture(scope="module")
def finished(config: recipe.Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted, exported."""
    folder = fine_tune(config, tmp_path_factory.mktemp("runs") / "finished").folder
    export_graph(folder)
    return folder


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "last" / "model.safetensors")


def test_a_run_trains_the_encoder_but_not_what_is_frozen(finished: Path, tiny_whisper: Path) -> None:
    given, found = load_file(tiny_whisper / "model.safetensors"), last_weights(finished)
    moved = {name for name in found if name not in given or not torch.equal(found[name], given[name])}
    kept = found.keys() - moved
    assert kept == {
        "model.encoder.embed_positions.weight",
        *(f"model.encoder.conv{n}.{kind}" for n in (1, 2) for kind in ("weight", "bias")),
    }


def test_a_run_says_what_it_was_trained_on_and_from(finished: Path, tiny_speech: Path) -> None:
    data = json.loads((finished / "data.json").read_text(encoding="utf-8"))
    assert data["splits"]["train"]["corpus"].count(" + ") == 1
    assert data["splits"]["train"]["utterances"] == 24
    assert recipe.load_recipe(finished / "recipe.toml").data.train == (
        f"manifest:{tiny_speech}/train.jsonl",
        f"manifest:{tiny_speech}/dev.jsonl",
    )
    run = json.loads((finished / "training.json").read_text(encoding="utf-8"))
    assert (run["hidden_size"], run["num_hidden_layers"]) == (32, 2)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    config: recipe.Recipe, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = CtcTrainer.training_step

    def interrupted(trainer: CtcTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = compute(trainer, *args, **kwargs)
        if trainer.state.global_step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(CtcTrainer, "training_step", interrupted)
        with pytest.raises(InterruptedTrainingError):
            fine_tune(config, tmp_path / "run")
    fine_tune(config, tmp_path / "run", resume=True)
    expected, found = last_weights(finished), last_weights(tmp_path / "run")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_model_may_be_trained_on_from_its_own_folder(config: recipe.Recipe, finished: Path, tmp_path: Path) -> None:
    again = dataclasses.replace(config.model, pretrained=str(finished))
    network = build_network(again, prepare_dataset(config).tokenizer)
    saved = load_file(finished / "model.safetensors")
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())


def test_it_is_evaluated_and_quantised(finished: Path, tiny_speech: Path, tmp_path: Path) -> None:
    corpus = f"manifest:{tiny_speech}/dev.jsonl"
    scored = evaluate_model(Transcriber(finished, threads=1), corpus)
    assert scored.utterances == 6
    assert scored.cer >= 0
    trials: list[PrecisionTrial] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_gate, "ALLOWED", 9.0)
        export_folder(finished, tmp_path / "int8", int8=True, corpus=corpus, on_trial=trials.append)
    assert trials[0].cer == scored.cer
    assert len(Transcriber(tmp_path / "int8", threads=1).log_probs([clip(16_000)])[0]) == WHISPER_FRAMES.count(16_000)
    assert (tmp_path / "int8" / "model.onnx").stat().st_size < (finished / "model.onnx").stat().st_size


def test_the_card_says_what_the_encoder_is_and_how_plain_transformers_loads_it(
    finished: Path, exported_whisper: Path, tiny_speech: Path
) -> None:
    scored = evaluate_model(Transcriber(finished, threads=1), f"manifest:{tiny_speech}/dev.jsonl")
    save_report(scored, finished / REPORT)
    text = write_card(finished).read_text(encoding="utf-8")
    assert "is a Whisper encoder trained from the local checkpoint" in text
    assert "train.jsonl + manifest:" in text
    assert "hubert\n" not in text.split("---")[1]
    (lines,) = re.findall("```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {"wave": clip(32_000)}
    with torch.no_grad():
        exec(lines.replace("FOLDER", str(exported_whisper)), names)
        expected = load_network(exported_whisper)(torch.from_numpy(names["wave"])[None]).logits
    assert (names["logits"][:, : expected.shape[1]] - expected).abs().max() < 1e-4
    assert names["text"]


def test_sherpa_onnx_says_what_the_transcriber_says_where_it_is_told_how_loud_speech_is(
    exported_whisper: Path, tmp_path: Path
) -> None:
    """It normalises each clip, and a log-mel, unlike HuBERT's group norm, hears loudness."""
    wave = clip(48_000)
    soundfile.write(tmp_path / "a.wav", wave, SAMPLE_RATE, subtype="FLOAT")
    line = json.dumps({"audio_filepath": "a.wav", "text": "가", "duration": 3.0}, ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(line, encoding="utf-8")
    export_folder(exported_whisper, tmp_path / "sherpa", target="sherpa-onnx", corpus=f"manifest:{tmp_path}/a.jsonl")
    recogniser = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(tmp_path / "sherpa" / "model.onnx"), tokens=str(tmp_path / "sherpa" / "tokens.txt")
    )
    stream = recogniser.create_stream()
    stream.accept_waveform(SAMPLE_RATE, wave)
    recogniser.decode_stream(stream)
    assert letters(stream.result.text) == heard(Transcriber(exported_whisper, threads=1)(wave)) != ""


# As a teacher


def test_its_posteriors_teach_a_distilhubert_frame_by_frame(exported_whisper: Path) -> None:
    teacher = FrameTeacher(recipe.Teaching(teacher=str(exported_whisper)), SYLLABLES)
    for clips in ([clip(16_000)], [clip(33_333), clip(9001), clip(719)]):
        waves, lengths = padded(clips)
        student = new_network()
        own = student(waves, lengths).logits
        assert teacher.logits(waves, lengths).shape[1] - own.shape[1] in (0, 1)
        assert torch.isfinite(teacher.mixed(student, torch.tensor(1.0), own, waves, lengths))


def test_its_layers_are_targets(exported_whisper: Path, tiny_whisper: Path) -> None:
    waves, lengths = padded([clip(33_333), clip(9001)])
    for folder in (exported_whisper, tiny_whisper):
        targets = Teacher(folder, (1, 2))(waves, lengths)
        assert [target.shape for target in targets] == [(2, WHISPER_FRAMES.count(33_333), 32)] * 2


def test_a_student_of_distillation_is_no_whisper(config: recipe.Recipe, exported_whisper: Path, tmp_path: Path) -> None:
    plain = recipe.Recipe(
        data=dataclasses.replace(config.data, train=config.data.eval),
        model=recipe.Model(pretrained=str(exported_whisper)),
        distill=recipe.Distill(teacher=str(exported_whisper), initialise="model"),
    )
    with pytest.raises(RecipeError, match="is a Whisper, and distillation makes a DistilHuBERT"):
        distill.distill(plain, tmp_path / "run")


# What hears a clip through the exported graph


@pytest.fixture(scope="module")
def transcriber(exported_whisper: Path) -> Transcriber:
    return Transcriber(exported_whisper, threads=1)


def test_a_short_clip_has_its_words_within_its_time(transcriber: Transcriber) -> None:
    found = transcriber(clip(40_000))
    assert found.words
    assert all(0 <= word.start < word.end <= 2.5 for word in found.words)
    assert transcriber(clip(159)).text == ""
    assert [len(each) for each in transcriber.log_probs([clip(160), clip(399)])] == [1, 1]


def test_a_long_recording_has_the_frames_of_its_windows(transcriber: Transcriber) -> None:
    wave = clip(45 * SAMPLE_RATE + 123)
    (log_probs,) = transcriber.log_probs([wave])
    assert len(log_probs) == WHISPER_FRAMES.count(len(wave))
    pieces = [*windowed_log_probs(transcriber, [wave])]
    assert np.array_equal(np.concatenate(pieces), log_probs)
    assert transcriber(wave).words[-1].end > 40


def test_a_text_is_aligned_in_order(transcriber: Transcriber) -> None:
    aligned = align_text(transcriber, clip(48_000), "가나 다라\n마바")
    words = aligned.transcript.words
    assert [word.text for word in words] == ["가나", "다라", "마바"]
    assert all(before.end <= after.start + 1e-9 for before, after in itertools.pairwise(words))
    assert words[-1].end <= 3.0


def test_a_stream_says_at_the_end_what_it_heard_piece_by_piece(transcriber: Transcriber) -> None:
    wave, stream = clip(56_000), transcriber.stream()
    for start in range(0, len(wave), 3000):
        stream.feed(wave[start : start + 3000])
    streamed = stream.finish()
    assert streamed.seconds == 3.5
    assert streamed.words
    assert streamed.words[-1].end <= 3.5


def test_torch_and_the_graph_agree_on_a_trained_model(finished: Path) -> None:
    network, wave = load_network(finished), clip(20_000)
    with torch.no_grad():
        expected = network(torch.from_numpy(wave)[None]).logits[0].log_softmax(-1).numpy()
    (found,) = ModelSession(finished, threads=1).log_probs([wave])
    assert np.abs(found - expected).max() < 1e-4


def test_a_folder_that_moved_transcribes_all_the_same(exported_whisper: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(exported_whisper, tmp_path / "moved"))
    assert Transcriber(moved, threads=1)(clip(30_000)).text == Transcriber(exported_whisper)(clip(30_000)).text


def test_a_server_answers_with_what_the_transcriber_says(exported_whisper: Path) -> None:
    file, wave = io.BytesIO(), clip(40_000)
    soundfile.write(file, wave, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    with running(exported_whisper) as server:
        answer = httpx2.post(
            f"{server.url}/v1/audio/transcriptions", files={"file": ("a.wav", file.getvalue())}, data={"model": "tiny"}
        )
    assert answer.status_code == 200
    assert answer.json()["text"] == Transcriber(exported_whisper, threads=1)(wave).text
