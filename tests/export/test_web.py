"""The folder of `export --target web`; checks/web_export.py opens it in Chromium."""

import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilhubert_ko.audio.frames import HUBERT_FRAMES, WHISPER_FRAMES
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import InputError
from distilhubert_ko.export import exporting, web
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.recognition.silence import regions_with_audio
from distilhubert_ko.recognition.windows import cut_windows
from distilhubert_ko.recognition.words import words_from_tokens
from distilhubert_ko.text.tokenizer import Tokenizer
from tests.support.model import JAMO, SYLLABLES

LETTERS = Tokenizer("jamo", ("[PAD]", "[UNK]", "|", *"ㄱㄴㄷㅏㅑㄳㅋ"))
LATIN = Tokenizer("syllables", (*"가나ABㅋ", "<pad>", "<unk>", " "), "<pad>", "<unk>", " ", lower_case=True)
NODE = shutil.which("node")


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the current one, with what stands for onnxruntime-web."""
    with tarfile.open(tmp_path / web.RUNTIME, "w:gz") as archive:
        for name in web.RUNTIME_FILES:
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    digest = hashlib.sha512((tmp_path / web.RUNTIME).read_bytes()).digest()
    monkeypatch.setattr(web, "DIGEST", base64.b64encode(digest).decode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_folder_has_all_that_the_page_asks_for_and_nothing_of_a_server(exported: Path, packed: Path) -> None:
    exporting.export_folder(exported, packed / "site", target="web")
    files = {str(path.relative_to(packed / "site")) for path in (packed / "site").rglob("*") if path.is_file()}
    assert {"index.html", "model.onnx", *(f"ort/{name}" for name in web.RUNTIME_FILES)} <= files
    asked = set()
    for name, content in web.page_files().items():
        asked |= set(re.findall(r'"\./([\w./-]+)"', content)) - {"ort/"}
        assert "/v1/" not in content, name
        assert '"/static/' not in content, name
    assert asked <= files
    assert not {"recipe.toml", "preprocessor_config.json", "vocab.json"} & files


def test_the_page_may_ask_its_own_host_alone() -> None:
    page = web.page_files()["index.html"]
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    assert {"default-src 'none'", "connect-src 'self'", "script-src 'self' 'wasm-unsafe-eval'"} <= {*policy.split("; ")}
    assert page.index(policy) < page.index("<link") < page.index("<script")
    assert re.search(r'id="captions" hidden>', page)


def test_what_stands_in_for_the_server_has_the_form_of_what_it_replaces() -> None:
    files = web.page_files()
    served = resources.files("distilhubert_ko.serving").joinpath("web")
    imports = re.findall(r'import \{ ([^}]+) \} from "\./(server|job|answer)\.js"', "".join(files.values()))
    assert {module for _, module in imports} == {"server", "job", "answer"}
    for names, module in imports:
        for name in names.split(", "):
            assert re.search(
                rf"^export (?:async )?(?:class|function|const) {name}\b", files[f"{module}.js"], re.MULTILINE
            )
    (here,), (there,) = (
        re.findall(r"\banswer\((.+)\) \{$", content, re.MULTILINE)
        for content in (files["answer.js"], served.joinpath("answer.js").read_text(encoding="utf-8"))
    )
    assert here == there


def test_a_runtime_that_is_missing_or_another_is_one_line_with_the_command(
    exported: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExportSource, "load", lambda folder: pytest.fail("the work began"))
    (packed / web.RUNTIME).write_bytes(b"another")
    with pytest.raises(InputError, match=r"not what npm's registry has: .* `npm pack onnxruntime-web@1\.30\.0` again"):
        exporting.export_folder(exported, packed / "site", target="web")
    (packed / web.RUNTIME).unlink()
    with pytest.raises(InputError, match=r"not in the current folder: run `npm pack onnxruntime-web@1\.30\.0` there"):
        exporting.export_folder(exported, packed / "site", target="web")


def run_decoding(script: str, given: Any) -> Any:
    """Return what a function of the modules of the page gives, as JSON."""
    module = resources.files("distilhubert_ko.export").joinpath("site", "decoding.js").read_text(encoding="utf-8")
    module += "\nconst read = (await import('node:fs')).readFileSync;\nconst given = JSON.parse(read(0, 'utf8'));\n"
    module += f"console.log(JSON.stringify(({script})(given)));"
    assert NODE is not None
    command = [NODE, "--input-type=module", "--eval", module]
    return json.loads(
        subprocess.run(command, input=json.dumps(given), capture_output=True, check=True, text=True).stdout
    )


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_the_page_makes_the_words_that_the_transcriber_makes(exported: Path) -> None:
    random, source = np.random.default_rng(0), ExportSource.load(exported)
    cases, expected = [], []
    for tokenizer in (SYLLABLES, JAMO, LETTERS, LATIN):
        vocabulary = web.vocabulary(source, tokenizer, 0)
        for _ in range(60):
            drawn = np.where(random.random(40) < 0.4, tokenizer.blank_id, random.integers(len(tokenizer), size=40))
            path = np.repeat(drawn, random.choice([1, 1, 1, 2, 3, 25, 26, 29, 30, 31, 55], 40))
            scores = np.log(random.uniform(0.5, 1, len(path)))
            log_probs = np.full((len(path), len(tokenizer)), -20.0)
            log_probs[np.arange(len(path)), path] = scores
            found = words_from_tokens(ctc.greedy(log_probs, tokenizer.blank_id), tokenizer, len(path) / 50)
            expected.append([[word.text, word.start, word.end, word.confidence] for word in found])
            cases.append([path.tolist(), scores.tolist(), vocabulary, len(path) / 50])
    script = """(cases) => cases.map(([labels, scores, vocabulary, seconds]) =>
        words(tokens(labels, scores, vocabulary.blank), vocabulary, seconds)
            .map(({ word, start, end, probability }) => [word, start, end, probability]))"""
    for found_ones, words in zip(run_decoding(script, cases), expected, strict=True):
        assert [one[0] for one in found_ones] == [one[0] for one in words]
        assert np.allclose([one[1:] for one in found_ones], [one[1:] for one in words])


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_the_page_cuts_windows_counts_frames_and_finds_silence_as_the_transcriber_does() -> None:
    lengths = [0, 1, 399, 400, 319_999, 320_000, 320_001, 576_000, 576_001, 1_234_567]
    grids = [HUBERT_FRAMES, WHISPER_FRAMES]
    random = np.random.default_rng(0)
    waves = []
    for _ in range(40):  # in pieces of sound and silence, whose lengths are no whole steps
        pieces = [np.full(random.integers(1, 14_000), random.choice([0, 0.5])) for _ in range(random.integers(1, 9))]
        waves.append(np.concatenate(pieces).astype(np.float32))
    script = """([lengths, grids, waves]) => [
        lengths.map((length) => windows(length).map(({ start, end, first, last }) => [end - start, first, last])),
        grids.map((layers) => lengths.map((length) => frameCount(length, layers))),
        waves.map((runs) => {
            const wave = Float32Array.from(runs.flatMap(([count, value]) => Array(count).fill(value)));
            return regions(wave).map(({ start, end }) => [start, end]);
        }),
    ]"""
    runs = [[[len(run), float(run[0])] for run in np.split(wave, np.flatnonzero(np.diff(wave)) + 1)] for wave in waves]
    cut, counted, found = run_decoding(script, [lengths, [grid.layers for grid in grids], runs])
    for length, windows in zip(lengths, cut, strict=True):
        made = cut_windows([np.zeros(length, np.float32)])
        assert windows == [[len(window.wave), window.first, window.last] for window in made]
    assert counted == [grid.count(np.array(lengths)).tolist() for grid in grids]
    assert found == [[[part.start, part.end] for part in regions_with_audio(wave)] for wave in waves]
