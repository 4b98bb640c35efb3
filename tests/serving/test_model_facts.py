"""Facts about a model agree with the contents of its folder."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors.numpy

from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.serving import model_facts
from distilhubert_ko.serving.model_facts import gather_facts


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model"))


def test_a_folder_with_a_report_tells_its_error_rate_and_its_corpus(folder: Path) -> None:
    (folder / "report.json").write_text(json.dumps({"cer": 0.125, "corpus": "hub:a/b#test"}), encoding="utf-8")
    found = gather_facts(Transcriber(folder, threads=1), "a/b")
    assert (found.id, found.cer, found.cer_corpus, found.threads) == ("a/b", 0.125, "hub:a/b#test", 1)
    assert (found.units, found.language_model) == ("syllables", False)
    assert found.realtime_factor > 0


def test_parameters_are_counted_as_safetensors_counts_them(folder: Path) -> None:
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    found = gather_facts(Transcriber(folder, threads=1), "tiny")
    assert found.parameters == sum(array.size for array in weights.values())
    assert found.size_bytes == (folder / "model.onnx").stat().st_size


def test_a_folder_without_weights_and_report_tells_no_such_figures(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    found = gather_facts(Transcriber(folder, threads=1), "tiny")
    assert (found.parameters, found.cer, found.cer_corpus) == (None, None, None)


def test_a_report_that_is_no_json_is_no_reason_not_to_serve(folder: Path) -> None:
    (folder / "report.json").write_text("{", encoding="utf-8")
    assert gather_facts(Transcriber(folder, threads=1), "tiny").cer is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        (2**60).to_bytes(8, "little"),
        (2).to_bytes(8, "little") + b"[]",
        *(
            len(each).to_bytes(8, "little") + each
            for each in (b'{"a": {}}', b'{"a": 1}', b'{"a": {"shape": "x"}}', b"[" * 9)
        ),
    ],
)
def test_a_hostile_header_of_weights_is_no_reason_not_to_serve(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    assert model_facts._parameters(tmp_path) is None
