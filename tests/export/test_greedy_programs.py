"""Folders for onnx-asr and transformers.js, which take the likeliest label of each frame."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tokenizers

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import InputError
from distilhubert_ko.export import exporting, greedy_graph, transformers_js
from distilhubert_ko.export.onnx_asr import SETTINGS, convert_to_onnx_asr, onnx_asr_tokens
from distilhubert_ko.export.onnx_builder import OnnxBuilder
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.model_folder import GRAPH, graph_origin, origin
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.text.tokenizer import Tokenizer
from tests.support.model import JAMO, SYLLABLES, clip, opened, padded

LETTERS = Tokenizer("jamo", ("[PAD]", "[UNK]", "|", *"ㄱㄴㄷㅏㅑㄳㅋ"))
LATIN = Tokenizer("syllables", (*"가나ABㅋ", "<pad>", "<unk>", " "), "<pad>", "<unk>", " ", lower_case=True)
WAVES = [clip(samples, seed=3) for samples in (16_000, 30_001, 48_000)]


@pytest.fixture(scope="module", params=["hubert", "whisper"])
def source(request: pytest.FixtureRequest) -> ExportSource:
    """A model with each encoder."""
    fixture = {"hubert": "exported", "whisper": "exported_whisper"}[request.param]
    return ExportSource.load(request.getfixturevalue(fixture))


def labels(tokenizer: Tokenizer, seed: int) -> np.ndarray:
    """A label for each of a hundred frames, with repeats and blanks."""
    random = np.random.default_rng(seed)
    drawn = np.where(random.random(50) < 0.3, tokenizer.blank_id, random.integers(len(tokenizer), size=50))
    return np.repeat(drawn, random.integers(1, 4, 50))


def written(path: np.ndarray, tokenizer: Tokenizer) -> str:
    """The text of a label per frame."""
    log_probs = np.log(np.eye(len(tokenizer), dtype=np.float32)[path] + 1e-9)
    return Transcript.from_tokens(ctc.greedy(log_probs, tokenizer.blank_id), tokenizer, 1000.0).text


def decoded(path: np.ndarray, tokenizer: Tokenizer) -> str:
    """What tokenizer.json makes of a label per frame, as transformers.js and the library in Rust read it."""
    rules = json.dumps(transformers_js.tokenizer_rules(tokenizer))
    return tokenizers.Tokenizer.from_str(rules).decode(path.tolist(), skip_special_tokens=True)


# The graph


def test_a_graph_for_other_programs_writes_what_the_transcriber_writes(source: ExportSource) -> None:
    transcriber = Transcriber(source.folder, threads=1)
    names = greedy_graph.TensorNames("input_values", "logits")
    session = opened(greedy_graph.greedy_graph(source, SYLLABLES, {}, names))
    for wave in WAVES:
        (logits,) = session.run(["logits"], {"input_values": wave[None]})
        assert decoded(logits[0].argmax(-1), SYLLABLES) == transcriber(wave).text != ""


def test_a_clip_says_the_same_alone_and_in_any_batch_and_nothing_in_its_padding(source: ExportSource) -> None:
    session = opened(greedy_graph.greedy_graph(source, SYLLABLES, {}, greedy_graph.TensorNames("w", "l", "n")))
    clips = [clip(33_333), clip(100), clip(9001), np.zeros(0, np.float32)]
    waves, lengths = (tensor.numpy() for tensor in padded(clips, fill=0.7))
    (together,) = session.run(["l"], {"w": waves, "n": lengths})
    for row, one in zip(together, clips, strict=True):
        (alone,) = session.run(["l"], {"w": one[None], "n": np.array([len(one)])})
        frames = source.network.grid.count(len(one))
        assert np.abs(row[:frames] - alone[0, :frames]).max(initial=0) < 1e-3
        assert {*row[frames:].argmax(-1)} <= {SYLLABLES.blank_id, SYLLABLES.delimiter_id}


def test_pauses_and_stretched_labels_part_words_as_the_transcriber_parts_them() -> None:
    random = np.random.default_rng(0)
    builder = OnnxBuilder({"lm_head.bias": np.zeros(len(SYLLABLES), np.float32)}, {})
    path_ids = builder.add("Cast", "path", to=onnx.TensorProto.INT64)
    log_probs = builder.add("OneHot", path_ids, np.array(len(SYLLABLES)), np.array([0, 1], np.float32))
    greedy_graph.parted(builder, log_probs, SYLLABLES)
    builder.nodes[-1].output[0] = "parted"
    session = opened(builder.finished("path", "parted"))
    rules = tokenizers.Tokenizer.from_str(json.dumps(transformers_js.tokenizer_rules(SYLLABLES)))
    spaces = 0
    for _ in range(100):
        drawn = np.where(random.random(12) < 0.5, SYLLABLES.blank_id, random.integers(3, 8, size=12))
        path = np.repeat(drawn, random.choice([1, 2, 24, 25, 26, 29, 30, 31, 54, 55, 56], 12))
        (found,) = session.run(None, {"path": path[None].astype(np.float32)})
        text = written(path, SYLLABLES)
        assert rules.decode(found[0].argmax(-1).tolist()) == text
        spaces += text.count(" ")
    assert spaces > 100


def test_the_graphs_are_valid_and_say_what_they_were_made_of_and_one_folder_replaces_another(
    exported: Path, tmp_path: Path
) -> None:
    for target, graph in (("transformers.js", "onnx/model.onnx"), ("onnx-asr", GRAPH)):
        exporting.export_folder(exported, tmp_path / "out", target=target)
        onnx.checker.check_model(tmp_path / "out" / graph)
        assert graph_origin(tmp_path / "out" / graph) == origin(exported)


def test_in_int8_a_folder_has_both_graphs(exported: Path, tmp_path: Path) -> None:
    source = ExportSource.load(exported)
    sizes = {}
    for name, known in (("float32", {}), ("both", {"unused": None})):
        (tmp_path / name).mkdir()
        convert_to_onnx_asr(source, tmp_path / name, known, WAVES)  # type: ignore[arg-type]
        sizes[name] = {file.name for file in (tmp_path / name).glob("*.onnx")}
    assert sizes == {"float32": {GRAPH}, "both": {GRAPH, "model.int8.onnx"}}


# transformers.js


@pytest.mark.parametrize("tokenizer", [SYLLABLES, JAMO, LETTERS, LATIN], ids=["syllables", "jamo", "letters", "Latin"])
def test_tokenizer_json_writes_what_the_transcriber_writes(tokenizer: Tokenizer) -> None:
    rules = tokenizers.Tokenizer.from_str(json.dumps(transformers_js.tokenizer_rules(tokenizer)))
    texts = set()
    for seed in range(100):
        path = labels(tokenizer, seed)
        texts.add(written(path, tokenizer))
        assert rules.decode(path.tolist(), skip_special_tokens=True) == written(path, tokenizer)
    assert len(texts) > 50


def test_a_folder_for_transformers_js_has_what_its_pipeline_loads(source: ExportSource, tmp_path: Path) -> None:
    transformers_js.convert_to_transformers_js(source, tmp_path, {}, WAVES)
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    settings = {"config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert files == {*settings, "onnx/model.onnx"}
    network = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (network["model_type"], network["architectures"]) == ("hubert", ["HubertForCTC"])
    graph = onnx.load(tmp_path / "onnx" / "model.onnx").graph
    assert [[one.name for one in ends] for ends in (graph.input, graph.output)] == [["input_values"], ["logits"]]


# onnx-asr


def test_a_vocabulary_for_onnx_asr_names_the_blank_and_the_space_and_leaves_the_rest_of_the_marks_empty() -> None:
    lines = onnx_asr_tokens(dataclasses.replace(SYLLABLES, tokens=("[UNK]", "가", "[PAD]", "|"))).splitlines()
    assert lines == [" 0", "가 1", "<blk> 2", "▁ 3"]


def test_letters_that_onnx_asr_would_leave_apart_are_refused_in_one_line(exported: Path, tmp_path: Path) -> None:
    LETTERS.save(tmp_path)
    with pytest.raises(InputError, match=r"letters \(ㄱ\), which onnx-asr leaves apart: use another target"):
        convert_to_onnx_asr(dataclasses.replace(ExportSource.load(exported), folder=tmp_path), tmp_path, {}, WAVES)


@pytest.mark.parametrize("tokenizer", [SYLLABLES, JAMO], ids=["syllables", "jamo"])
def test_onnx_asr_says_what_the_transcriber_says(tokenizer: Tokenizer, source: ExportSource, tmp_path: Path) -> None:
    """As the documentation opens it, with the release that is installed."""
    pytest.importorskip("onnx_asr")
    (tmp_path / "out").mkdir()
    tokenizer.save(tmp_path)
    convert_to_onnx_asr(dataclasses.replace(source, folder=tmp_path), tmp_path / "out", {}, WAVES)
    guide = Path("docs/exporting.md").read_text(encoding="utf-8")
    (lines,) = re.findall("```python\n(import re\n.*?)```", guide, re.DOTALL)
    transcriber = Transcriber(source.folder, threads=1)
    transcriber.tokenizer = transcriber.decoder.tokenizer = tokenizer
    names: dict[str, Any] = {}
    exec(lines.split("\nmodel = ")[0], names)
    names["model"] = names["onnx_asr"].load_model(
        "nemo-conformer-ctc", tmp_path / "out", providers=["CPUExecutionProvider"]
    )
    assert SETTINGS["subsampling_factor"] == 2
    for wave, text in zip(WAVES, names["model"].recognize(WAVES), strict=True):
        assert names["composed"](text) == transcriber(wave).text
    found = names["model"].with_timestamps().recognize(WAVES[2])
    assert transcriber(WAVES[2]).words[-1].end - 0.5 <= found.timestamps[-1] <= len(WAVES[2]) / SAMPLE_RATE
