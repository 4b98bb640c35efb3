"""Pickled weights: read as tensors alone, converted once into the cache, and refused where they are anything else."""

import collections
import dataclasses
import logging
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.errors import ModelError, UnavailableError
from distilhubert_ko.model.checkpoint import safetensors_folder
from distilhubert_ko.model.loading import build_network, load_network
from tests.support.hub import Hub
from tests.support.model import SYLLABLES, TINY
from tests.support.pickled import MARK, Malicious, pickle_model

WAYS: list[dict[str, Any]] = [{}, {"_use_new_zipfile_serialization": False}, {"shards": 3}]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_pickled_model_is_the_model_that_was_pickled(exported: Path, tmp_path: Path, way: dict[str, Any]) -> None:
    folder = pickle_model(exported, tmp_path / "model", **way)
    expected, found = load_network(exported).state_dict(), load_network(folder).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_pickle_is_converted_once_with_a_line_and_its_folder_stays_as_it_was(
    exported: Path, tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    before = sorted(folder.iterdir())
    with caplog.at_level(logging.INFO, logger="distilhubert_ko"):
        kept = safetensors_folder(folder)
        assert safetensors_folder(folder) == kept
        assert len(caplog.records) == 1
        torch.save({"lm_head.bias": torch.ones(3)}, folder / "pytorch_model.bin")
        assert safetensors_folder(folder) != kept
    assert cache in kept.parents
    assert sorted(folder.iterdir()) == before
    assert load_file(kept / "model.safetensors").keys() == load_file(exported / "model.safetensors").keys()


def test_safetensors_are_read_and_a_pickle_beside_them_is_not(exported: Path, tmp_path: Path) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    torch.save(Malicious(tmp_path), folder / "pytorch_model.bin")
    (folder / "model.safetensors").write_bytes((exported / "model.safetensors").read_bytes())
    assert safetensors_folder(folder) == folder
    assert not model_folder.pickled_weights(folder)


def test_tensors_that_share_memory_are_each_written_whole(tmp_path: Path) -> None:
    tensor = torch.arange(12.0).reshape(3, 4)
    torch.save({"one": tensor, "same": tensor, "turned": tensor.T}, tmp_path / "pytorch_model.bin")
    found = load_file(safetensors_folder(tmp_path) / "model.safetensors")
    assert torch.equal(found["same"], tensor)
    assert torch.equal(found["turned"], tensor.T)


# Refused


class Resized:
    """A tensor that says it is larger than the memory that the file has for it."""

    def __reduce__(self) -> tuple[Any, ...]:
        storage = torch.ones(2).untyped_storage()
        typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
        size = (10**7, 10**7)
        return torch._utils._rebuild_tensor_v2, (typed, 0, size, (10**7, 1), False, collections.OrderedDict())


def expanded() -> torch.Tensor:
    return torch.ones(1).expand(10**6, 10**6)


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda folder: {"lm_head.bias": torch.ones(2), "x": Malicious(folder)}, r"more than tensors \(\w+\.system\)"),
        (lambda folder: Malicious(folder), r"nothing of it was run"),
        (lambda folder: {"state_dict": {"lm_head.bias": torch.ones(2)}}, "more than tensors by name"),
        (lambda folder: [torch.ones(2)], "more than tensors by name"),
        (lambda folder: {"x": torch.ones(2).to_sparse()}, "more than tensors by name"),
        (lambda folder: {"x": torch.ones(2, dtype=torch.complex64)}, "more than tensors by name"),
        (lambda folder: {"x": Resized()}, "cannot be read"),
        (lambda folder: {"x": expanded()}, "larger than the file"),
    ],
)
def test_a_pickle_of_anything_but_tensors_by_name_is_refused_in_one_line_and_nothing_of_it_runs(
    exported: Path, tmp_path: Path, content: Any, words: str, archive: bool, cache: Path
) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    file = folder / "pytorch_model.bin"
    torch.save(content(tmp_path), file, _use_new_zipfile_serialization=archive)
    with pytest.raises(ModelError, match=words) as error:
        load_network(folder)
    assert str(file) in str(error.value)
    assert "weights_only" not in str(error.value)
    assert not (tmp_path / MARK).exists()
    assert not [*cache.rglob("*.safetensors")]


def compressed(file: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def crowded(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("model/more.pkl", b"0" * 10_000_001)


def shortened(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-2000])


@pytest.mark.parametrize(
    ("damage", "words"),
    [(compressed, "not as torch.save writes them"), (crowded, "a pickle"), (shortened, "cannot be read")],
)
def test_an_archive_that_is_not_as_torch_writes_it_is_refused_before_it_is_read(
    exported: Path, tmp_path: Path, damage: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    damage(folder / "pytorch_model.bin")
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(ModelError, match=words):
        load_network(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_is_no_pickle_is_refused_in_one_line(exported: Path, tmp_path: Path, content: bytes) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(f"{folder}/pytorch_model.bin")) as error:
        load_network(folder)
    assert "download" in str(error.value) or "give the model" in str(error.value)


def test_pickled_weights_that_do_not_fit_the_configuration_are_refused(exported: Path, tmp_path: Path) -> None:
    folder = pickle_model(exported, tmp_path / "model")
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 32000'))
    with pytest.raises(ModelError, match=re.escape(f"{folder}: its weights do not fit its own config.json")):
        load_network(folder)


def test_a_file_of_several_that_is_missing_is_named_by_its_weights(exported: Path, tmp_path: Path) -> None:
    folder = pickle_model(exported, tmp_path / "model", shards=3)
    (folder / "pytorch_model-00002-of-00003.bin").unlink()
    with pytest.raises(ModelError, match="no weights for"):
        load_network(folder)


# What training starts from


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_pickle_in_half_precision_is_trained_in_float32(exported: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    folder = pickle_model(exported, tmp_path / "model", dtype)
    built = build_network(dataclasses.replace(TINY, pretrained=str(folder)), SYLLABLES)
    assert {parameter.dtype for parameter in built.parameters()} == {torch.float32}
    expected = load_file(exported / "model.safetensors")
    for name, value in built.hubert.state_dict().items():
        assert torch.equal(value, expected[f"hubert.{name}"].to(dtype).float()), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_whisper_in_half_precision_is_trained_in_float32(
    tiny_whisper: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    folder = pickle_model(tiny_whisper, tmp_path / "model", dtype)
    built = build_network(recipe.Model(pretrained=str(folder)), SYLLABLES)
    assert {parameter.dtype for parameter in built.parameters()} == {torch.float32}
    expected = load_file(tiny_whisper / "model.safetensors")
    name = "model.encoder.layers.0.fc1.weight"
    assert torch.equal(built.state_dict()[name], expected[name].to(dtype).float())


# On the Hub


def test_the_hubs_pickle_is_fetched_only_where_it_has_no_safetensors(
    exported: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    both = hub.repositories["owner/both"] = pickle_model(exported, tmp_path / "both")
    (both / "model.safetensors").write_bytes((exported / "model.safetensors").read_bytes())
    hub.repositories["owner/pickled"] = pickle_model(exported, tmp_path / "pickled")
    for get in (model_folder.resolve, lambda name: model_folder.resolve(name, model_folder.ENCODER)):
        assert not (get("owner/both") / "pytorch_model.bin").exists()
        assert (get("owner/pickled") / "pytorch_model.bin").exists()
    assert not [asked for asked in hub.requests if "both" in asked and asked.endswith("pytorch_model.bin")]
    expected = load_file(exported / "model.safetensors")
    for name in ("owner/both", "owner/pickled"):
        built = build_network(dataclasses.replace(TINY, pretrained=name), SYLLABLES)
        assert torch.equal(
            built.hubert.state_dict()["encoder.layers.0.attention.k_proj.weight"],
            expected["hubert.encoder.layers.0.attention.k_proj.weight"],
        )


def test_a_model_of_the_hub_without_weights_cannot_be_trained_from(
    exported: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    folder = hub.repositories["owner/empty"] = pickle_model(exported, tmp_path / "empty")
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UnavailableError, match="owner/empty"):
        build_network(dataclasses.replace(TINY, pretrained="owner/empty"), SYLLABLES)
