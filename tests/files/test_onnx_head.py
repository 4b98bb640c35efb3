"""The first fields of an ONNX file, against onnx, and of files that are none."""

from pathlib import Path

import onnx
import pytest

from distilhubert_ko.files.onnx_head import ORIGIN, PRODUCER, read_head


def test_the_producer_and_the_text_are_those_that_onnx_reads(tmp_path: Path) -> None:
    graph = onnx.helper.make_graph([], "g", [], [])
    model = onnx.helper.make_model(graph, producer_name="가나", doc_string="x" * 300, ir_version=2**31)
    onnx.save(model, tmp_path / "a.onnx")
    assert read_head(tmp_path / "a.onnx") == {PRODUCER: "가나", ORIGIN: "x" * 300}


@pytest.mark.parametrize(
    "content", [b"", b"\x12", b"\x12\xff", b"\x12\x05ab", b"\xff" * 100, b"\x12\x02\xff\xfe", b"\x32" + b"\xff" * 9]
)
def test_other_files_have_no_head(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert set(read_head(tmp_path / "a").values()) <= {"ab"}
