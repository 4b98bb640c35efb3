"""The exported graph against torch, and what an export leaves behind."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from fixtures_model import clip, padded
from safetensors.torch import load_file, save_file

from distilhubert_ko import audio, export, model
from distilhubert_ko.errors import ExportError, ModelError
from distilhubert_ko.runtime import GRAPH, Runtime

pytest_plugins = ["fixtures_model"]

BATCHES = [
    (400,),
    (401,),
    (719,),
    (720,),
    (16_000,),
    (48_000,),
    (16_001, 400),
    (400, 400, 400),
    (33_333, 9001, 719),
    (720, 401, 5000, 12_345),
    (25_600, 400, 25_599, 25_601, 12_800),
]


@pytest.fixture(scope="module")
def runtime(exported: Path) -> Runtime:
    return Runtime(exported, threads=2)


@pytest.fixture(scope="module")
def network(exported: Path) -> model.PaddingSafeForCTC:
    return model.load(exported)


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of the exported model's folder, to be changed."""
    return Path(shutil.copytree(exported, tmp_path / "model"))


@pytest.fixture
def exporter(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has torch.onnx.export give, at once, the graph of the exported model whatever it is asked to export."""

    class Program:
        def save(self, path: Path) -> None:
            shutil.copy(exported / GRAPH, path)

    def at_once(*args: Any, **kwargs: Any) -> Program:
        return Program()

    monkeypatch.setattr(torch.onnx, "export", at_once)


@pytest.mark.parametrize("lengths", BATCHES)
def test_the_graph_gives_what_torch_gives(
    runtime: Runtime, network: model.PaddingSafeForCTC, lengths: tuple[int, ...]
) -> None:
    clips = [clip(samples, seed) for seed, samples in enumerate(lengths)]
    found = runtime.log_probs(clips)
    with torch.no_grad():
        expected = network(*padded(clips)).logits.log_softmax(-1).numpy()
    for row, (log_probs, samples) in enumerate(zip(found, lengths, strict=True)):
        assert log_probs.shape == (audio.frames(samples), network.config.vocab_size)
        assert np.abs(log_probs - expected[row, : len(log_probs)]).max() < 1e-4


def test_the_graph_gives_a_clip_the_same_alone_and_in_any_batch(runtime: Runtime) -> None:
    clips = [clip(samples) for samples in (400, 9001, 16_000, 48_000)]
    alone = [runtime.log_probs([wave])[0] for wave in clips]
    for order in ([0, 1, 2, 3], [3, 0], [1, 2, 1], [0, 0, 1]):
        for i, together in zip(order, runtime.log_probs([clips[i] for i in order]), strict=True):
            assert np.abs(together - alone[i]).max() < 1e-4


def test_what_the_padding_holds_does_not_matter_to_the_graph(runtime: Runtime) -> None:
    clips = [clip(16_000), clip(5000)]
    first, second = ([x.numpy() for x in padded(clips, fill)] for fill in (0.0, 0.7))
    silent, loud = (runtime.session.run(None, {"waves": w, "lengths": n})[0] for w, n in (first, second))
    frames = audio.frames(5000)
    assert np.abs(silent[0] - loud[0]).max() < 1e-4
    assert np.abs(silent[1, :frames] - loud[1, :frames]).max() < 1e-4


def test_the_graph_counts_frames_as_audio_does(runtime: Runtime) -> None:
    lengths = np.array([*range(400, 1100, 7), 15_999, 16_000, 16_001])
    waves = np.zeros((len(lengths), lengths.max()), dtype=np.float32)
    frames = runtime.session.run(["frames"], {"waves": waves, "lengths": lengths})[0]
    assert frames.tolist() == audio.frames(lengths).tolist()


def test_a_clip_without_a_frame_has_no_log_probabilities(runtime: Runtime) -> None:
    waves = [np.zeros(0, np.float32), clip(399), clip(400)]
    assert [len(log_probs) for log_probs in runtime.log_probs(waves)] == [0, 0, 1]
    assert runtime.log_probs([]) == []


def test_a_model_with_dropouts_is_exported_without_them(exported: Path, runtime: Runtime) -> None:
    assert model.load(exported).config.hidden_dropout == 0.5
    first, second = (runtime.log_probs([clip(16_000)])[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_the_graph_is_one_file_beside_the_weights(exported: Path) -> None:
    graphs = {file.name for file in exported.iterdir()} - {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tokenizer_config.json",
        "vocab.json",
    }
    assert graphs == {GRAPH}
    inputs = onnxruntime.InferenceSession(exported / GRAPH).get_inputs()
    assert {one.name: len(one.shape) for one in inputs} == {"waves": 2, "lengths": 1}


@pytest.mark.usefixtures("exporter")
def test_a_graph_that_gives_what_torch_gives_is_kept(folder: Path) -> None:
    (folder / GRAPH).unlink()
    assert 0 < export.export(folder) < 1e-4
    assert (folder / GRAPH).is_file()


@pytest.mark.usefixtures("exporter")
@pytest.mark.parametrize("change", [lambda bias: bias + 0.1 * torch.randn_like(bias), lambda bias: bias * torch.nan])
def test_a_graph_that_gives_something_else_leaves_the_folder_as_it_was(folder: Path, change: Any) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.bias"] = change(weights["lm_head.bias"])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / GRAPH).write_bytes(b"the old graph")
    before = sorted(folder.iterdir())
    with pytest.raises(ExportError, match="untouched"):
        export.export(folder)
    assert (folder / GRAPH).read_bytes() == b"the old graph"
    assert sorted(folder.iterdir()) == before


def test_a_graph_that_does_not_fit_into_one_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Program:
        def save(self, path: Path) -> None:
            path.write_bytes(b"the graph")
            path.with_name("model.onnx.data").write_bytes(b"its weights")

    monkeypatch.setattr(torch.onnx, "export", lambda *args, **kwargs: Program())
    before = sorted(folder.iterdir())
    with pytest.raises(ExportError, match="2 GiB"):
        export.export(folder)
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("exporter")
def test_a_graph_may_be_written_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / GRAPH).unlink()
    export.export(folder, tmp_path / "new" / "folder" / GRAPH)
    assert [file.name for file in (tmp_path / "new" / "folder").iterdir()] == [GRAPH]
    assert not (folder / GRAPH).exists()


def test_a_folder_without_weights_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="distilhubert-ko train"):
        export.export(tmp_path)


def test_a_damaged_graph_is_a_model_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / GRAPH).write_bytes(b"no graph")
    with pytest.raises(ModelError, match=str(tmp_path / GRAPH)):
        Runtime(tmp_path)
