"""Distillation from end to end on a few tones: the loss, what it leaves, resuming, and what is refused."""

import dataclasses
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModel, HubertModel, Wav2Vec2FeatureExtractor

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.cli import main as cli
from distilhubert_ko.errors import InputError, ModelError, RecipeError, TrainingError
from distilhubert_ko.model import student
from distilhubert_ko.model.loading import build_network, load_network, wants_normalised_waves
from distilhubert_ko.model.student import Teacher
from distilhubert_ko.training import distill
from distilhubert_ko.training.trainer import InterruptedTrainingError
from tests.support.model import JAMO, TINY, TINY_TRAINING, clip, new_network

STEPS = 10
FILES = {"config.json", "model.safetensors", "preprocessor_config.json"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its waves are normalised, as those of most teachers on the Hub are; the student's are not."""
    folder = tmp_path_factory.mktemp("teacher")
    new_network(dataclasses.replace(TINY, num_hidden_layers=3)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tiny(teacher: Path, tiny_speech: Path) -> recipe.Recipe:
    """With dropout, so that a resumed run needs the state of the random numbers."""
    return recipe.Recipe(
        name="tiny",
        data=recipe.Data(train=f"manifest:{tiny_speech}/train.jsonl", eval=f"manifest:{tiny_speech}/dev.jsonl"),
        model=dataclasses.replace(TINY, hidden_dropout=0.1),
        training=dataclasses.replace(TINY_TRAINING, length_buckets=True),
        distill=recipe.Distill(teacher=str(teacher), layers=(1, 3)),
    )


@pytest.fixture(scope="module")
def finished(tiny: recipe.Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    distill.distill(tiny, folder)
    return folder


def change(config: recipe.Recipe, section: str, **keys: Any) -> recipe.Recipe:
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **keys)})


def log(folder: Path) -> list[dict[str, float]]:
    """The training log but for what a clock decides."""
    clocked = ("runtime", "per_second")
    lines = model_folder.read_log(folder)
    return [{key: value for key, value in line.items() if not key.endswith(clocked)} for line in lines]


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / model_folder.DISTILLATION).read_text(encoding="utf-8"))
    return found


def test_a_run_leaves_the_student_its_last_state_and_an_account(finished: Path) -> None:
    own = {"checkpoints", "data.json", "distill.json", "last", "recipe.toml", "runs", "training_log.jsonl"}
    assert {file.name for file in finished.iterdir()} == FILES | own
    assert {file.name for file in (finished / "last").iterdir()} == FILES
    found = report(finished)
    assert found["total_steps"] == STEPS
    assert found["parameters"] == sum(value.numel() for value in load_file(finished / "model.safetensors").values())
    assert found["layers"].keys() == {"1", "3"}
    assert found["data"]["train"]["utterances"] == 18
    terms = [layer["l1"] + layer["cosine"] for layer in found["layers"].values()]
    assert found["eval_loss"] == pytest.approx(sum(terms) / 2)


def test_the_loss_falls_and_the_student_is_the_checkpoint_where_it_is_lowest(finished: Path) -> None:
    losses = {int(line["step"]): line["eval_loss"] for line in log(finished) if "eval_loss" in line}
    assert list(losses) == [3, 6, 9, STEPS]
    best = min(losses, key=lambda step: losses[step])
    assert losses[best] < losses[3]
    assert (report(finished)["best_step"], report(finished)["eval_loss"]) == (best, losses[best])
    kept = load_file(finished / "checkpoints" / f"checkpoint-{best}" / "model.safetensors")
    for name, value in load_file(finished / "model.safetensors").items():
        assert torch.equal(kept[f"network.hubert.{name}"], value), name


def test_the_students_folder_asks_for_the_waves_that_it_heard_whatever_the_teacher_hears(
    finished: Path, teacher: Path
) -> None:
    """That it heard them raw is what the held-out loss below shows."""
    assert wants_normalised_waves(teacher)
    assert report(finished)["teacher_normalises"] is True
    assert not any(wants_normalised_waves(folder) for folder in (finished, finished / "last"))


def test_plain_transformers_loads_the_student_with_the_same_hidden_states(finished: Path) -> None:
    plain, loading = HubertModel.from_pretrained(finished, output_loading_info=True)
    assert not any(loading[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert type(AutoModel.from_pretrained(finished)) is HubertModel
    assert plain.config.architectures == ["HubertModel"]
    assert not AutoFeatureExtractor.from_pretrained(finished).do_normalize
    ours = load_network(finished, head=False)
    wave = torch.from_numpy(clip(9001))[None]
    with torch.no_grad():
        states = plain.eval()(wave, output_hidden_states=True).hidden_states
        encoded = ours.encode(wave, torch.tensor([9001]))
    assert len(states) == 3
    assert (states[-1] - encoded).abs().max() < 1e-4


def test_a_recipe_fine_tunes_the_student(finished: Path, tiny: recipe.Recipe) -> None:
    built = build_network(dataclasses.replace(tiny.model, pretrained=str(finished)), JAMO)
    stored = load_file(finished / "model.safetensors")
    assert all(torch.equal(value, stored[name]) for name, value in built.hubert.state_dict().items())
    assert not built.config.apply_spec_augment


def test_the_held_out_loss_is_the_mean_over_frames_of_clips_heard_alone_and_raw(
    finished: Path, tiny: recipe.Recipe, tiny_speech: Path, teacher: Path
) -> None:
    listener = Teacher(teacher, (1, 3))
    pupil = student.Student(build_network(TINY, distill.NO_LABELS), 2, listener.width)
    best = report(finished)["best_step"]
    pupil.load_state_dict(load_file(finished / "checkpoints" / f"checkpoint-{best}" / "model.safetensors"))
    pupil.eval()
    l1 = []
    for line in (tiny_speech / "dev.jsonl").read_text(encoding="utf-8").splitlines():
        wave = torch.from_numpy(soundfile.read(tiny_speech / json.loads(line)["audio_filepath"], dtype="float32")[0])
        lengths = torch.tensor([len(wave)])
        with torch.no_grad():
            pairs = zip(pupil(wave[None], lengths), listener(wave[None], lengths), strict=True)
            l1.append(torch.stack([(a - b).abs().mean(-1)[0] for a, b in pairs]))
    expected = torch.cat(l1, 1).mean(1)
    found = report(finished)["layers"]
    assert [found["1"]["l1"], found["3"]["l1"]] == pytest.approx(expected.tolist(), rel=1e-4)


@pytest.mark.parametrize(("size", "accumulated"), [(18, 1), (7, 3)])
def test_training_minimises_what_evaluation_measures(
    tiny: recipe.Recipe, tmp_path: Path, size: int, accumulated: int
) -> None:
    """All clips in a step too small to matter, in batches with padding, without dropout; then one clip at a time."""
    config = change(change(tiny, "distill", cosine_weight=0.25), "data", eval=tiny.data.train)
    config = change(config, "training", learning_rate=1e-30, num_epochs=1, train_batch_size=size, eval_batch_size=1)
    config = change(config, "training", gradient_accumulation_steps=accumulated)
    distill.distill(change(config, "model", hidden_dropout=0.0), tmp_path / "run")
    found = report(tmp_path / "run")
    terms = [layer["l1"] + 0.25 * layer["cosine"] for layer in found["layers"].values()]
    assert found["eval_loss"] == pytest.approx(sum(terms) / 2)
    assert [line["loss"] for line in log(tmp_path / "run") if "loss" in line] == pytest.approx(
        [found["eval_loss"]], rel=1e-4
    )


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_teacher_computes_in_the_precision_of_the_student(
    tiny: recipe.Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilhubert_ko.training.trainer.training_precision", lambda training: "bf16")
    seen, call = set(), Teacher.__call__

    def watched(self: Teacher, *given: Any) -> list[torch.Tensor]:
        seen.add(torch.is_autocast_enabled("cpu"))
        return call(self, *given)

    monkeypatch.setattr(Teacher, "__call__", watched)
    distill.distill(change(tiny, "training", num_epochs=1), tmp_path / "run")
    assert seen == {True}


@pytest.mark.parametrize(("accumulation", "heads"), [(1, "last"), (2, "each")])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    tiny: recipe.Recipe, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulation: int, heads: str
) -> None:
    config, out = change(tiny, "training", gradient_accumulation_steps=accumulation), tmp_path / "resumed"
    config = change(config, "distill", heads=heads)
    uninterrupted = finished
    if accumulation > 1:
        uninterrupted = tmp_path / "uninterrupted"
        distill.distill(config, uninterrupted)
    compute = distill.DistillTrainer.training_step

    def watched(trainer: distill.DistillTrainer, *args: Any, **kwargs: Any) -> torch.Tensor:
        if trainer.state.global_step == 4:
            monkeypatch.setattr(distill.DistillTrainer, "training_step", compute)
            interrupt()
        return compute(trainer, *args, **kwargs)

    monkeypatch.setattr(distill.DistillTrainer, "training_step", watched)
    with pytest.raises(InterruptedTrainingError, match=r"step 5 of .*--resume"):
        distill.distill(config, out)
    assert not (out / model_folder.DISTILLATION).exists()

    distill.distill(config, out, resume=True)
    expected, found = (load_file(folder / "last" / "model.safetensors") for folder in (uninterrupted, out))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [line for line in log(out) if "train_loss" not in line] == log(uninterrupted)[:-1]
    assert report(out)["heads"] == heads


def test_the_student_can_start_from_its_own_weights(tiny: recipe.Recipe, finished: Path, tmp_path: Path) -> None:
    config = change(change(tiny, "distill", initialise="model"), "training", learning_rate=1e-30, num_epochs=1)
    distill.distill(change(config, "model", pretrained=str(finished)), tmp_path / "run")
    before, after = (load_file(folder / "model.safetensors") for folder in (finished, tmp_path / "run"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert report(tmp_path / "run")["initialised"] == []


def test_a_narrower_student_predicts_the_teachers_width(tiny: recipe.Recipe, tmp_path: Path) -> None:
    config = change(change(tiny, "model", hidden_size=16, num_hidden_layers=1), "training", num_epochs=1)
    distill.distill(config, tmp_path / "run")
    parts = {part["name"]: part["copied"] for part in report(tmp_path / "run")["initialised"]}
    assert parts["convolutions"] == 9
    assert parts["layer 1"] == 0
    assert HubertModel.from_pretrained(tmp_path / "run").config.hidden_size == 16


@pytest.mark.parametrize(
    ("section", "keys", "error", "complaint"),
    [
        ("distill", {"teacher": ""}, RecipeError, r"distill\.teacher is missing"),
        (
            "training",
            {"report": "last"},
            RecipeError,
            r"training\.report is 'last', but distillation keeps the student",
        ),
        ("distill", {"layers": (4,)}, RecipeError, "has 3 layers"),
        ("distill", {"heads": "each", "layers": (1, 2, 3)}, RecipeError, r"3 targets \[1, 2, 3\] for 2 layers of the"),
        ("distill", {"teacher": "nowhere"}, ModelError, "nowhere: no such folder"),
        (
            "training",
            {"head_only_steps": 5},
            RecipeError,
            r"training\.head_only_steps is 5, but distillation does not use it",
        ),
        (
            "model",
            {"mask_time_prob": 0.1},
            RecipeError,
            r"model\.mask_time_prob is 0\.1, but distillation does not use it",
        ),
        ("model", {"pretrained": "ntu-spml/distilhubert"}, RecipeError, r'set model\.pretrained = "random"'),
        ("data", {"max_seconds": 0.9}, InputError, r"too long: 18.*min_seconds and max_seconds"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_folder(
    tiny: recipe.Recipe, tmp_path: Path, section: str, keys: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        distill.distill(change(tiny, section, **keys), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_only_fine_tuning_heeds_is_refused_with_the_value_that_turns_it_off(
    tiny: recipe.Recipe, tmp_path: Path
) -> None:
    for section, key, value, off in (("training", "ema_decay", 0.9, "0.0"), ("teaching", "teacher", "runs/a", "''")):
        with pytest.raises(RecipeError, match=rf"{section}\.{key} is {value}, .* set it to {off}"):
            distill.distill(change(tiny, section, **{key: value}), tmp_path / "out")


def test_a_loss_that_is_no_number_stops_the_run(tiny: recipe.Recipe, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss is .*learning_rate"):
        distill.distill(change(tiny, "training", learning_rate=1e30), tmp_path / "run")


def test_the_command_says_what_it_took_from_the_teacher_and_what_it_reached(
    tiny: recipe.Recipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe.save_recipe(change(tiny, "training", num_epochs=1), tmp_path / "tiny.toml")
    arguments = ["distill", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "run"), "--set", "distill.layers=[2]"]
    monkeypatch.setattr("sys.argv", ["distilhubert-ko", *arguments])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert "from the teacher: mask embedding, convolutions, feature projection" in caplog.text
    assert "waves are normalised for the teacher (do_normalize) and not for the student" in caplog.text
    out = capsys.readouterr().out
    assert out.startswith(f"held-out loss {report(tmp_path / 'run')['eval_loss']:.4f} at step ")
    assert "\n  layer 2: L1 0." in out


def test_speech_needs_no_transcripts(tiny: recipe.Recipe, tiny_speech: Path, tmp_path: Path) -> None:
    spec = f"folder:{tiny_speech}"  # audio files, and no metadata
    distill.distill(change(change(tiny, "data", train=spec, eval=spec), "training", num_epochs=1), tmp_path / "run")
    assert report(tmp_path / "run")["data"]["train"]["utterances"] == 24
