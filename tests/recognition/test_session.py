"""Where the graph of a model folder is looked for, and the device it runs on. What it gives is in test_export."""

import os
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from distilhubert_ko.errors import ModelError, UnavailableError
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
