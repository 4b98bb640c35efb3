"""The command as its users meet it: output, exit codes, and errors of one line."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilhubert_ko import __version__, recipe
from distilhubert_ko.cli import main as cli
from distilhubert_ko.recognition.formats import ALIGNMENT_FORMATS, TRANSCRIPT_FORMATS
from tests.support.command import call, run
from tests.support.model import clip


def test_the_version_is_printed_by_the_command_and_by_the_module() -> None:
    shown = f"distilhubert-ko {__version__}\n"
    assert run("--version").stdout == shown
    module = [sys.executable, "-m", "distilhubert_ko", "--version"]
    assert subprocess.run(module, capture_output=True, text=True, check=True).stdout == shown


def test_what_the_package_logs_is_shown_as_plain_lines_and_only_by_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("distilhubert_ko.data")

    def command() -> None:
        logger.debug("too much")
        logger.info("a note")
        logger.warning("a clip was left out: %s", "가.wav")

    monkeypatch.setattr(cli, "app", command)
    assert call(capsys, monkeypatch, "plan") == (0, "", "a note\na clip was left out: 가.wav\n")
    assert not logging.getLogger("distilhubert_ko").handlers
    logger.info("a note")
    assert capsys.readouterr().err == ""


def test_plan_prints_the_seventeen_rows_of_the_published_log_and_the_evaluation_at_the_end_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = call(capsys, monkeypatch, "plan", recipe.find_recipe("zeroth"), "--json")
    assert code == 0
    plan = json.loads(out)
    assert {"train_utterances", "steps_per_epoch", "total_steps", "evaluations", "hyperparameters"} <= plan.keys()
    assert (plan["train_utterances"], plan["steps_per_epoch"], plan["total_steps"]) == (22_263, 696, 6960)
    epochs = [0.57, 1.15, 1.72, 2.3, 2.87, 3.45, 4.02, 4.6, 5.17, 5.75, 6.32, 6.9, 7.47, 8.05, 8.62, 9.2, 9.77]
    assert [(row["epoch"], row["step"]) for row in plan["evaluations"]] == list(
        zip([*epochs, 10.0], [*range(400, 6801, 400), 6960], strict=True)
    )
    assert {"step", "epoch", "learning_rate"} == plan["evaluations"][0].keys()


def test_transcribe_prints_a_line_a_file(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, samples in (("a", 16_000), ("b", 40_000)):
        soundfile.write(tmp_path / f"{name}.wav", clip(samples), 16_000)
    files = [tmp_path / "a.wav", tmp_path / "b.wav"]
    code, out, _ = call(capsys, monkeypatch, "transcribe", *files, "--model", exported)
    assert code == 0
    assert len(out.splitlines()) == 2
    assert all(out.splitlines())


def test_evaluate_writes_figures_and_utterances(
    exported: Path,
    tiny_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corpus = f"manifest:{tiny_speech}/dev.jsonl"
    code, out, _ = call(capsys, monkeypatch, "evaluate", exported, corpus, "--json", tmp_path / "figures.json")
    assert code == 0
    assert "CER" in out
    assert json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["utterances"] == 6
    assert len((tmp_path / "figures.jsonl").read_text(encoding="utf-8").splitlines()) == 6


def test_evaluate_against_another_model_compares_them_and_writes_a_page_of_both(
    exported: Path,
    tiny_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Path(shutil.copytree(exported, tmp_path / "other"))
    corpus, json_file, html = f"manifest:{tiny_speech}/dev.jsonl", tmp_path / "figures.json", tmp_path / "page.html"
    files = ("--json", json_file, "--html", html)
    code, out, _ = call(capsys, monkeypatch, "evaluate", exported, corpus, "--against", other, *files)
    assert code == 0
    cer = re.findall(r"^CER  +(\d\.\d+)", out, re.MULTILINE)
    assert f"A {cer[0]}  B {cer[1]}" in out
    assert "A - B           +0.0000  (95 % interval +0.0000 to +0.0000, p 1.0000," in out
    assert json.loads(json_file.read_text(encoding="utf-8"))["comparison"]["utterances"] == 6
    page = html.read_text(encoding="utf-8")
    assert page.count("<audio ") == 6
    assert page.count('id="comparison"') == 1
    assert f"{100 * float(cer[0]):.2f}%" in page


def test_prepare_saves_its_report_and_the_vocabulary(
    tiny_speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(
        f'[data]\ntrain = "manifest:{tiny_speech}/train.jsonl"\neval = "manifest:{tiny_speech}/dev.jsonl"\n'
    )
    code, out, _ = call(capsys, monkeypatch, "prepare", path, "--out", tmp_path / "out")
    assert code == 0
    assert "18 utterances" in out
    assert json.loads((tmp_path / "out" / "data.json").read_text(encoding="utf-8"))["splits"]["train"]["speakers"] == 3
    assert (tmp_path / "out" / "vocab.json").is_file()


def test_a_model_folder_without_a_graph_is_exported_into_the_cache_on_first_use_and_again_for_new_weights(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []

    def write(folder: Path, path: Path) -> float:
        calls.append(path)
        path.parent.mkdir(parents=True)
        shutil.copy(exported / "model.onnx", path)
        return 0.0

    monkeypatch.setattr("distilhubert_ko.export.exporting.export_graph", write)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(exported, tmp_path / "model", ignore=shutil.ignore_patterns("model.onnx")))
    before = sorted(folder.iterdir())
    soundfile.write(tmp_path / "a.wav", clip(16_000), 16_000)
    arguments = ("transcribe", tmp_path / "a.wav", "--model", folder)
    assert call(capsys, monkeypatch, *arguments)[0] == 0
    assert call(capsys, monkeypatch, *arguments)[0] == 0
    assert len(calls) == 1
    assert sorted(folder.iterdir()) == before
    assert (tmp_path / "cache") in calls[0].parents
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"1")
    assert call(capsys, monkeypatch, *arguments)[0] == 0
    assert len(set(calls)) == 2


def test_export_writes_the_graph_beside_the_weights(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "model", ignore=shutil.ignore_patterns("model.onnx")))
    code, out, err = call(capsys, monkeypatch, "export", folder)
    assert (code, out) == (0, "")
    assert f"{folder / 'model.onnx'}: within" in err
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in exported.iterdir())


def test_export_to_a_folder_shows_what_int8_costs_and_makes_a_model_that_transcribes(
    exported: Path,
    tiny_speech: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "distilhubert_ko.export.int8_gate.ALLOWED", 9.0
    )  # of a random model's errors, 8 bits make others
    corpus, out = f"manifest:{tiny_speech}/dev.jsonl", tmp_path / "int8"
    arguments = ("export", exported, "--precision", "int8", "--calibrate", corpus, "--out", out)
    code, printed, err = call(capsys, monkeypatch, *arguments)
    assert (code, printed) == (0, "")
    assert [line.split(":")[0] for line in err.splitlines() if "CER" in line] == ["float32", "int8"]
    assert not (out / "model.safetensors").exists()
    soundfile.write(tmp_path / "a.wav", clip(16_000), 16_000)
    code, text, _ = call(capsys, monkeypatch, "transcribe", tmp_path / "a.wav", "--model", out)
    assert code == 0
    assert text.strip()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "nowhere.toml"], ["nowhere.toml", "zeroth"]),
        (["plan", "zeroth", "--set", "training.lerning_rate=1"], ["lerning_rate", "training.learning_rate"]),
        (["prepare", "demo", "--set", "data.train=zerth:x"], ["zerth", "zeroth"]),
        (["prepare", "demo", "--set", "data.train=librispeech:/nowhere"], ["/nowhere"]),
        (["evaluate", "/nowhere/model", "synthetic:demo"], ["/nowhere/model", "no such folder"]),
        (["transcribe", "x.wav", "--model", "./nowhere"], ["./nowhere", "no such folder"]),
        (["card", "/nowhere"], ["/nowhere"]),
        (["export", "/nowhere", "--precision", "int8", "--out", "x"], ["int8", "--calibrate CORPUS"]),
        (["export", "/nowhere", "--precision", "int8", "--calibrate", "synthetic:demo"], ["int8", "--out DIR"]),
        (["export", "/nowhere", "--target", "sherpa-onnx"], ["sherpa-onnx", "--out DIR"]),
        (["export", "/nowhere", "--calibrate", "synthetic:demo"], ["--calibrate is for --precision int8"]),
        (["export", "/nowhere", "--calibrate", "synthetic:demo", "--out", "x"], ["leave it out"]),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_two(
    arguments: list[str],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, out, err = call(capsys, monkeypatch, *arguments)
    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"RIFF", "not audio"), (None, "does not exist")],
    ids=["empty", "torn", "missing"],
)
def test_audio_that_cannot_be_read_is_one_line_that_names_the_file(
    exported: Path,
    tmp_path: Path,
    content: bytes | None,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if content is not None:
        (tmp_path / "speech.wav").write_bytes(content)
    code, _, err = call(capsys, monkeypatch, "transcribe", tmp_path / "speech.wav", "--model", exported)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "speech.wav" in err
    assert words in err.lower()


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.txt").write_text("the only copy")
    for arguments in (["demo", "--out", tmp_path], ["train", "demo", "--out", tmp_path]):
        code, _, err = call(capsys, monkeypatch, *arguments)
        assert code == 2
        assert "not empty" in err
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_hub_that_cannot_be_reached_is_exit_code_one_and_names_both_ways_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = call(capsys, monkeypatch, "transcribe", "x.wav", "--model", "owner/name")
    assert code == 1
    assert "distilhubert-ko demo" in err
    assert "name the folder" in err
    assert "owner/name" in err


def test_usage_errors_are_exit_code_two_and_debug_shows_the_traceback() -> None:
    assert run("transcribe").returncode == 2
    assert "Traceback" not in run("plan", "nowhere").stderr
    assert "Traceback" in run("--debug", "plan", "nowhere").stderr


def test_starting_up_imports_neither_torch_nor_transformers_nor_numpy() -> None:
    program = "import sys, distilhubert_ko.cli.main; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "numpy", "onnxruntime"} & set(loaded)


def test_files_are_written_in_each_format_and_the_same_stem_overwrites_nothing(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, samples in (("a/speech.wav", 16_000), ("b/speech.wav", 40_000), ("b/speech.flac", 30_000)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, clip(samples), 16_000)
    inputs = [tmp_path / "a" / "speech.wav", tmp_path / "b"]
    out = tmp_path / "out"
    code, printed, _ = call(capsys, monkeypatch, "transcribe", *inputs, "--model", exported, "-o", out, "-f", "all")
    assert code == 0
    names = {"speech.wav", "speech.flac", "speech.wav-2"}
    expected = {f"{name}.{form}" for name in names for form in TRANSCRIPT_FORMATS}
    assert {file.name for file in out.iterdir()} == expected
    assert len(printed.splitlines()) == len(expected)
    texts = [json.loads((out / f"{name}.json").read_text(encoding="utf-8"))["text"] for name in sorted(names)]
    assert len(set(texts)) == 3


def test_a_file_that_fails_is_reported_the_rest_go_on_and_the_exit_code_says_so(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "good.wav", clip(40_000), 16_000)
    (tmp_path / "bad.wav").write_text("no sound")
    files = [tmp_path / "bad.wav", tmp_path / "missing.wav", tmp_path / "good.wav"]
    code, out, err = call(capsys, monkeypatch, "transcribe", *files, "--model", exported)
    assert code == 2
    assert len(out.splitlines()) == 1
    assert len(err.splitlines()) == 2


def test_align_prints_a_row_a_line_and_writes_each_format_under_the_name_of_the_audio(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "speech.wav", clip(80_000), 16_000)
    text = tmp_path / "text.txt"
    text.write_bytes("\ufeff가나, 다라\r\n마바 뷁\r\n".encode())
    arguments = ["align", tmp_path / "speech.wav", text, "--model", exported]
    code, out, err = call(capsys, monkeypatch, *arguments)
    assert code == 0
    assert [line.split("\t")[-1] for line in out.splitlines()] == ["text", "가나, 다라", "마바 뷁"]
    assert "뷁 1" in err
    for form in ALIGNMENT_FORMATS:
        code, out, _ = call(capsys, monkeypatch, *arguments, "-o", tmp_path / "out", "-f", form)
        assert code == 0
        written = Path(out.strip())
        assert written.name == ("speech.TextGrid" if form == "textgrid" else f"speech.{form}")
        assert "마바 뷁" in written.read_text(encoding="utf-8")
    code, out, _ = call(capsys, monkeypatch, *arguments, "-o", tmp_path / "only")
    assert out.strip() == str(tmp_path / "only" / "speech.tsv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("가나".encode("cp949"), "not UTF-8"),
        (b" \n", "no words"),
        ("가".encode() * 999, "shorter text"),
    ],
    ids=["missing", "encoding", "empty", "long"],
)
def test_text_that_cannot_be_aligned_is_one_line_and_exit_code_two(
    exported: Path,
    tmp_path: Path,
    content: bytes | None,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speech, text = tmp_path / "speech.wav", tmp_path / "text.txt"
    soundfile.write(speech, clip(16_000), 16_000)
    if content is not None:
        text.write_bytes(content)
    code, out, err = call(capsys, monkeypatch, "align", speech, text, "--model", exported)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert words in err


def test_standard_input_is_read_where_a_dash_stands(exported: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "speech.wav", clip(40_000), 16_000)
    program = [
        sys.executable,
        "-c",
        "from distilhubert_ko.cli.main import main; main()",
        "transcribe",
        "--model",
        exported,
    ]
    with open(tmp_path / "speech.wav", "rb") as speech:
        piped = subprocess.run([*program, "-"], stdin=speech, capture_output=True, text=True, check=True)
    named = subprocess.run([*program, tmp_path / "speech.wav"], capture_output=True, text=True, check=True)
    assert piped.stdout == named.stdout != "\n"
    empty = subprocess.run([*program, "-"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert empty.returncode == 2
    assert "empty" in empty.stderr


def test_vad_filter_leaves_out_what_is_not_speech(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "noise.wav", 0.1 * np.random.default_rng(0).normal(size=40_000), 16_000)
    arguments = ["transcribe", tmp_path / "noise.wav", "--model", exported]
    assert call(capsys, monkeypatch, *arguments)[1] != "\n"
    assert call(capsys, monkeypatch, *arguments, "--vad-filter")[:2] == (0, "\n")


def test_every_vad_option_reaches_the_transcriber(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilhubert_ko.recognition.transcriber import Transcriber
    from distilhubert_ko.recognition.transcript import Transcript
    from distilhubert_ko.recognition.vad import VadOptions

    seen: list[VadOptions | None] = []
    monkeypatch.setattr(
        Transcriber, "__call__", lambda self, source, vad, on_progress, choice: seen.append(vad) or Transcript((), 1.0)
    )
    arguments = ["transcribe", tmp_path / "a.wav", "--model", exported]
    given = "--vad-threshold 0.6 --vad-min-speech-duration-ms 1 --vad-max-speech-duration-s 9".split()
    given += "--vad-min-silence-duration-ms 2 --vad-speech-pad-ms 3".split()
    for options in ([], ["--vad-filter"], ["--vad-filter", *given]):
        assert call(capsys, monkeypatch, *arguments, *options)[0] == 0
    assert seen == [None, VadOptions(), VadOptions(0.6, None, 1, 9.0, 2, 3)]


def test_a_transcript_that_cannot_be_written_does_not_stop_the_rest(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", clip(16_000), 16_000)
    (tmp_path / "out" / "a.txt").mkdir(parents=True)  # where a's transcript should go
    arguments = ["transcribe", tmp_path / "a.wav", tmp_path / "b.wav", "--model", exported, "-o", tmp_path / "out"]
    code, out, err = call(capsys, monkeypatch, *arguments)
    assert (code, len(err.splitlines())) == (2, 1)
    assert out == f"{tmp_path / 'out' / 'b.txt'}\n"


def test_a_folder_that_cannot_be_written_is_an_error_of_one_line(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", clip(16_000), 16_000)
    arguments = ["transcribe", tmp_path / "a.wav", "--model", exported, "-o", tmp_path / "a.wav" / "out"]
    code, out, err = call(capsys, monkeypatch, *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"{tmp_path / 'a.wav' / 'out' / 'a.txt'} cannot be written" in err
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_batch_size_and_device_reach_the_transcriber_and_others_are_a_usage_error(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "a.wav", clip(1_000_000), 16_000)
    arguments = ["transcribe", tmp_path / "a.wav", "--model", exported]
    plain = call(capsys, monkeypatch, *arguments)
    assert call(capsys, monkeypatch, *arguments, "--batch-size", "3", "--device", "cpu") == plain
    assert plain[1] != "\n"
    for option, value in (("--device", "tpu"), ("--batch-size", "0")):
        code, _, err = call(capsys, monkeypatch, *arguments, option, value)
        assert code == 2
        assert option in err


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--vad-speech-pad-ms", "30"], "--vad-filter"), (["--vad-filter", "--vad-threshold", "2"], "threshold 2.0")],
)
def test_vad_options_that_do_nothing_or_make_no_sense_are_refused(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = call(capsys, monkeypatch, "transcribe", "a.wav", "--model", "unused", *options)
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_bar_stands_on_a_terminal_alone_and_text_goes_where_it_was_sent(exported: Path, tmp_path: Path) -> None:
    import pty

    soundfile.write(tmp_path / "speech.wav", clip(40_000), 16_000)
    program = [sys.executable, "-c", "from distilhubert_ko.cli.main import main; main()"]
    command = [*program, "transcribe", tmp_path / "speech.wav", "-", "--model", exported]
    ours, theirs = pty.openpty()
    with open(tmp_path / "speech.wav", "rb") as speech:
        watched = subprocess.run(
            command, stdin=speech, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}, check=True
        )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "transcribing" in shown
    with open(tmp_path / "speech.wav", "rb") as speech:
        alone = subprocess.run(command, stdin=speech, capture_output=True, check=True)
    assert alone.stderr == b""
    assert watched.stdout == alone.stdout
    first, second = alone.stdout.decode().splitlines()
    assert first == second != ""
