"""Where the graph of a model folder is looked for, and the device it runs on. What it gives is in test_export."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from distilhubert_ko.errors import DistilhubertKoError, ModelError, UnavailableError
from distilhubert_ko.model_folder import COPYING, GRAPH, graph, weights
from distilhubert_ko.recognition.session import CPU, CUDA, ModelSession


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights, their configuration and a graph of the same hour."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = tmp_path / "model"
    made.mkdir()
    for name in ("config.json", GRAPH, "model.safetensors"):
        (made / name).write_text(name, encoding="utf-8")
    return made


def later(file: Path, seconds: float) -> None:
    time = file.stat().st_mtime + seconds
    os.utime(file, (time, time))


def test_a_graph_beside_its_weights_is_the_one(folder: Path) -> None:
    assert graph(folder) == folder / GRAPH
    later(folder / "model.safetensors", COPYING / 2)  # as when a copy writes them last
    assert graph(folder) == folder / GRAPH


def test_a_graph_older_than_the_weights_is_not_used(folder: Path, tmp_path: Path) -> None:
    later(folder / "model.safetensors", COPYING + 60)
    assert tmp_path / "cache" in graph(folder).parents
    with pytest.raises(
        ModelError, match=f"of these weights and this vocabulary; write it with `distilhubert-ko export {folder}`"
    ):
        ModelSession(folder)
    later(folder / GRAPH, COPYING + 60)
    assert graph(folder) == folder / GRAPH


def test_a_graph_without_weights_cannot_be_old(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert weights(folder) == []
    assert graph(folder) == folder / GRAPH


def test_other_weights_or_settings_have_another_graph_in_the_cache(folder: Path, tmp_path: Path) -> None:
    (folder / GRAPH).unlink()
    seen = {graph(folder)}
    assert graph(folder) in seen
    (folder / "model.safetensors").write_text("others", encoding="utf-8")
    seen.add(graph(folder))
    (folder / "preprocessor_config.json").write_text("{}", encoding="utf-8")
    seen.add(graph(folder))
    (folder / "vocab.json").write_text("{}", encoding="utf-8")
    seen.add(graph(folder))
    assert len(seen) == 4
    assert graph(folder.rename(tmp_path / "moved")) in seen  # it depends on the content alone
    assert {path.parents[1] for path in seen} == {tmp_path / "cache" / "distilhubert-ko"}


def test_the_weights_may_be_several_files(folder: Path) -> None:
    (folder / GRAPH).unlink()
    whole = graph(folder)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (folder / "model.safetensors").rename(folder / names[0])
    (folder / names[1]).write_text("more", encoding="utf-8")
    assert [file.name for file in weights(folder)] == names
    assert graph(folder) != whole


def test_a_gpu_is_taken_where_there_is_one_and_refused_where_there_is_none(
    exported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [CPU])
    assert ModelSession(exported, device="auto").session.get_providers() == [CPU]
    with pytest.raises(UnavailableError, match="pip install onnxruntime-gpu"):
        ModelSession(exported, device="cuda")

    asked = []
    session = onnxruntime.InferenceSession

    def without_gpu(path: Path, options: Any, providers: list[str]) -> onnxruntime.InferenceSession:
        """As ONNX Runtime does where CUDA cannot start: it goes on with the CPU."""
        asked.append(providers)
        return session(path, options, providers=[CPU])

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: print("no libcudart"))
    monkeypatch.setattr("onnxruntime.InferenceSession", without_gpu)
    for device in ("auto", "cpu"):
        ModelSession(exported, device=device)
    with pytest.raises(UnavailableError, match="the GPU cannot be used"):
        ModelSession(exported, device="cuda")
    assert asked == [[CUDA, CPU], [CPU], [CUDA, CPU]]
    assert capsys.readouterr().out == ""  # where transcripts go


def with_a_constant(folder: Path, constant: onnx.TensorProto, shape: int | None) -> Path:
    """A model folder whose graph adds the largest value of a constant: as it is, or repeated to `shape` values."""
    number, integer = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    size = onnx.helper.make_tensor("shape", integer, [1], [shape or 1])
    axis = onnx.helper.make_tensor("axis", integer, [1], [2])
    nodes = [
        onnx.helper.make_node("Expand", ["constant", "shape"], ["repeated"]),
        onnx.helper.make_node("ReduceMax", ["repeated" if shape else "constant"], ["largest"], keepdims=0),
        onnx.helper.make_node("Unsqueeze", ["waves", "axis"], ["column"]),
        onnx.helper.make_node("Add", ["column", "largest"], ["log_probs"]),
        onnx.helper.make_node("Identity", ["lengths"], ["frames"]),
    ]
    inputs = [("waves", number, ["batch", "samples"]), ("lengths", integer, ["batch"])]
    outputs = [("log_probs", number, ["batch", "samples", 1]), ("frames", integer, ["batch"])]
    infos = [[onnx.helper.make_tensor_value_info(*each) for each in part] for part in (inputs, outputs)]
    graph = onnx.helper.make_graph(nodes if shape else nodes[1:], "g", *infos, [constant, size, axis])
    opset = [onnx.helper.make_opsetid("", 17)]
    content = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    (folder / "model.safetensors").unlink()
    (folder / GRAPH).write_bytes(content)
    (folder / "config.json").write_text('{"model_type": "hubert"}', encoding="utf-8")
    return folder


def test_a_constant_that_claims_more_than_the_graph_holds_is_refused_before_memory_is_taken(folder: Path) -> None:
    constant = onnx.TensorProto(name="constant", data_type=onnx.TensorProto.FLOAT, dims=[2**33], raw_data=b"\0" * 16)
    with pytest.raises(ModelError, match=r"cannot load it .*34359738368 bytes"):
        ModelSession(with_a_constant(folder, constant, None))


def test_external_data_that_are_missing_are_refused(folder: Path) -> None:
    constant = onnx.TensorProto(name="constant", data_type=onnx.TensorProto.FLOAT, dims=[2**33], data_location=1)
    constant.external_data.add(key="location", value="missing.bin")
    with pytest.raises(ModelError, match=r"cannot load it .*does not exist"):
        ModelSession(with_a_constant(folder, constant, None))


def test_a_graph_that_computes_more_than_there_is_memory_is_one_line(folder: Path) -> None:
    constant = onnx.helper.make_tensor("constant", onnx.TensorProto.FLOAT, [1], [1.0])
    with pytest.raises(DistilhubertKoError, match=r"^model.onnx: ONNX Runtime cannot run it .*more memory"):
        ModelSession(with_a_constant(folder, constant, 2**50)).log_probs([np.zeros(1_000, np.float32)])
