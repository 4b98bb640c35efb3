"""The records of a model folder: read as they were written, and refused in one line where they are damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distilhubert_ko import model_folder
from distilhubert_ko.bulk.outputs import read_draft
from distilhubert_ko.data.dataset import check_unchanged
from distilhubert_ko.errors import InputError, ModelError
from distilhubert_ko.model_folder import DataRecord, OverlapRecord, ReportRecord, SplitRecord, SplitsRecord
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.serving import model_facts
from distilhubert_ko.training import splice

DEEP = "[" * 100_000
DAMAGED = [DEEP, '{"a": ' * 100_000, "{", "[1]", '"a"', "", "\ud800"]
SPLIT = SplitRecord(corpus="manifest:a.jsonl", utterances=2, hours=0.5, speakers=0, dropped={"too long": 1})


def damage(path: Path, content: str) -> Path:
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    return path


def test_a_record_reads_back_as_it_was_written_and_leaves_out_what_is_unknown(tmp_path: Path) -> None:
    record = DataRecord(
        units="jamo",
        vocabulary=50,
        splits={"train": SPLIT, "eval": SplitRecord(**SPLIT.to_dict(), revision="abc", source={"layout": [1]})},
        overlap_with_train={"eval": OverlapRecord(shared_sentences=1, shared_speakers=0, unknown_characters={"가": 1})},
    )
    path = tmp_path / model_folder.DATA
    path.write_text(json.dumps(record.to_dict() | {"of a later version": 1}), encoding="utf-8")
    assert model_folder.read_record(DataRecord, path) == record
    assert "revision" not in record.to_dict()["splits"]["train"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cer": None}, "cer is None"),
        ({"cer": "0.1"}, "cer is '0.1'"),
        ({"cer": True}, "cer is True"),
        ({"corpus": 1}, "corpus is 1"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(change: dict[str, object], message: str, tmp_path: Path) -> None:
    path = tmp_path / model_folder.REPORT
    path.write_text(json.dumps({"corpus": "a", "cer": 0.1} | change))
    with pytest.raises(ModelError, match=message):
        model_folder.read_record(ReportRecord, path)


def test_a_whole_number_is_a_rate_and_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / model_folder.REPORT
    path.write_text('{"corpus": "a", "cer": 1}')
    assert model_folder.read_record(ReportRecord, path) == ReportRecord(corpus="a", cer=1.0)
    path.write_text('{"corpus": "a"}')
    with pytest.raises(ModelError, match="cer is missing"):
        model_folder.read_record(ReportRecord, path)


@pytest.mark.parametrize(
    "read",
    [
        model_folder.read_json,
        lambda path: model_folder.read_record(SplitsRecord, path),
        lambda path: check_unchanged(path.parent, {"train": SPLIT}),
        lambda path: splice.read_or_find_cuts(path, "nowhere", []),
        read_draft,
    ],
)
@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: content[:3])
def test_damaged_json_is_an_input_error_of_one_line(
    read: Callable[[Path], object], content: str, tmp_path: Path
) -> None:
    path = damage(tmp_path / model_folder.DATA, content)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: content[:3])
def test_a_damaged_report_is_no_reason_not_to_serve(content: str, exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in filter(Path.is_file, exported.iterdir()):
        (folder / file.name).write_bytes(file.read_bytes())
    damage(folder / model_folder.REPORT, content)
    found = model_facts.gather_facts(Transcriber(folder, threads=1), "model")
    assert (found.cer, found.cer_corpus) == (None, None)
