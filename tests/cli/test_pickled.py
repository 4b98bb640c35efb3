"""A folder of three JSON files and pytorch_model.bin, in each command that takes a model."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from distilhubert_ko import export, recipe
from distilhubert_ko.serving import server
from tests.support.command import call
from tests.support.model import TINY, TINY_TRAINING, clip
from tests.support.pickled import MARK, Malicious, pickle_model

Command = Callable[..., tuple[int, str, str]]
SAID = "pickled weights were read as tensors alone"


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return what runs the command with a cache of the test's own, where nothing has been converted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda *arguments: call(capsys, monkeypatch, *arguments)


@pytest.fixture
def pickled(exported: Path, tmp_path: Path) -> Path:
    return pickle_model(exported, tmp_path / "pickled")


def test_transcribe_says_once_that_it_converted_and_writes_what_safetensors_give(
    exported: Path, pickled: Path, command: Command, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", clip(40_000), 16_000)
    before = sorted(pickled.iterdir())
    code, out, err = command("transcribe", tmp_path / "a.wav", "--model", pickled)
    assert code == 0
    assert err.count(SAID) == 1
    assert command("transcribe", tmp_path / "a.wav", "--model", pickled) == (0, out, "")
    assert command("transcribe", tmp_path / "a.wav", "--model", exported) == (0, out, "")
    assert sorted(pickled.iterdir()) == before


def test_evaluate_and_label_take_an_unknown_syllable_for_an_error(
    exported: Path, pickled: Path, command: Command, tiny_speech: Path, tmp_path: Path
) -> None:
    line = json.loads((tiny_speech / "dev.jsonl").read_text(encoding="utf-8").splitlines()[0])
    audio = str(tiny_speech / line["audio_filepath"])
    corpus = tmp_path / "unknown.jsonl"
    record = {"audio_filepath": "a.wav", "text": "가뷁", "duration": line["duration"]}
    (tmp_path / "a.wav").write_bytes(Path(audio).read_bytes())
    corpus.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    figures = []
    for model in (pickled, exported):
        code, _, _ = command("evaluate", model, f"manifest:{corpus}", "--json", tmp_path / f"{model.name}.json")
        assert code == 0
        figures.append(json.loads((tmp_path / f"{model.name}.json").read_text(encoding="utf-8")))
    assert figures[0]["cer"] == figures[1]["cer"] > 0
    assert figures[0]["unknown_characters"] == figures[1]["unknown_characters"] >= 1
    code, _, _ = command("label", pickled, f"manifest:{corpus}", "--out", tmp_path / "labels.jsonl")
    assert code == 0
    assert (tmp_path / "labels.jsonl").exists()


def test_export_writes_a_graph_beside_the_pickle_which_is_then_used(
    exported: Path, command: Command, tmp_path: Path
) -> None:
    folder = pickle_model(exported, tmp_path / "model", torch.float16)
    code, _, err = command("export", folder)
    assert code == 0
    assert SAID in err
    assert (folder / "model.onnx").is_file()
    assert command("export", folder, "--out", tmp_path / "out")[0] == 0
    soundfile.write(tmp_path / "a.wav", clip(40_000), 16_000)
    code, _, err = command("transcribe", tmp_path / "a.wav", "--model", folder)
    assert (code, err) == (0, "")
    assert command("transcribe", tmp_path / "a.wav", "--model", tmp_path / "out")[0] == 0


def test_serve_knows_its_size(pickled: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(server, "run_server", lambda *arguments: given.extend(arguments))
    assert command("serve", "--model", pickled, "--threads", "1")[0] == 0
    assert given[1].parameters > 1000  # type: ignore[attr-defined]


def write_recipe(folder: Path, speech: Path, **sections: object) -> Path:
    training = dataclasses.replace(TINY_TRAINING, num_epochs=1, train_batch_size=9, eval_steps=2, blank_evaluations=100)
    config = recipe.Recipe(
        name="tiny",
        data=recipe.Data(train=f"manifest:{speech}/train.jsonl", eval=f"manifest:{speech}/dev.jsonl"),
        **{"model": TINY, "training": training} | sections,  # type: ignore[arg-type]
    )
    path = folder / "tiny.toml"
    recipe.save_recipe(config, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_train_starts_from_a_pickle_of_half_precision(
    exported: Path, tiny_speech: Path, tmp_path: Path, command: Command, dtype: torch.dtype
) -> None:
    folder = pickle_model(exported, tmp_path / "model", dtype)
    written = write_recipe(tmp_path, tiny_speech, model=dataclasses.replace(TINY, pretrained=str(folder)))
    code, _, err = command("train", written, "--out", tmp_path / "run")
    assert (code, SAID in err) == (0, True), err
    assert json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["dtype"] == "float32"


def test_train_is_taught_by_a_pickle(exported: Path, tiny_speech: Path, tmp_path: Path, command: Command) -> None:
    first = write_recipe(tmp_path, tiny_speech)
    assert command("train", first, "--out", tmp_path / "teacher")[0] == 0
    teacher = pickle_model(tmp_path / "teacher", tmp_path / "pickled", torch.float16)
    taught = write_recipe(tmp_path, tiny_speech, teaching=recipe.Teaching(teacher=str(teacher)))
    code, _, err = command("train", taught, "--out", tmp_path / "run")
    assert (code, SAID in err) == (0, True), err


def test_distill_learns_from_a_pickle(exported: Path, tiny_speech: Path, tmp_path: Path, command: Command) -> None:
    teacher = pickle_model(exported, tmp_path / "teacher", torch.float16)
    written = write_recipe(tmp_path, tiny_speech, distill=recipe.Distill(teacher=str(teacher), layers=(1,)))
    code, _, err = command("distill", written, "--out", tmp_path / "run")
    assert (code, SAID in err) == (0, True), err


@pytest.mark.parametrize("arguments", [("transcribe", "a.wav", "--model", "M"), ("export", "M")])
def test_a_malicious_pickle_is_one_line_and_nothing_of_it_runs(
    exported: Path, tmp_path: Path, command: Command, arguments: tuple[str, ...]
) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    torch.save({"x": Malicious(tmp_path)}, folder / "pytorch_model.bin")
    code, out, err = command(*(str(folder) if each == "M" else each for each in arguments))
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "holds more than tensors" in err
    assert not (tmp_path / MARK).exists()


def test_without_torch_the_extra_is_named_in_one_line(
    exported: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("exporting", "source"):
        monkeypatch.delitem(sys.modules, f"distilhubert_ko.export.{name}", raising=False)
        monkeypatch.delattr(export, name, raising=False)
    soundfile.write(tmp_path / "a.wav", clip(40_000), 16_000)
    code, _, err = command("transcribe", tmp_path / "a.wav", "--model", folder)
    assert (code, len(err.splitlines())) == (1, 1)
    assert 'pip install "distilhubert-ko[train]"' in err
