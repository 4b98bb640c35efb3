"""No command loses a file: not one that it reads, and not one that the program did not write."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.support.command import call
from tests.support.model import clip

TEXT = "하늘이 맑습니다\n나무가 푸릅니다\n"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return lambda *arguments: call(capsys, monkeypatch, *arguments)


@pytest.fixture
def speech(tiny_speech: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_speech, tmp_path / "speech"))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "t.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "line",
    [
        "evaluate MODEL manifest:dev.jsonl --json dev.json",
        "evaluate MODEL manifest:dev.jsonl --json dev.jsonl",
        "evaluate MODEL manifest:dev.jsonl --html dev.jsonl",
        "evaluate MODEL manifest:dev.jsonl --html ../t.txt",
        "evaluate MODEL manifest:dev.jsonl --json a.json --html a.json",
        "evaluate MODEL manifest:dev.jsonl --json a.json --html ./a.jsonl",
        "evaluate MODEL manifest:dev.jsonl --json MODEL/config.json",
        "label MODEL manifest:dev.jsonl --out dev.jsonl",
        "label MODEL manifest:dev.jsonl --out train.jsonl",
        "label MODEL folder:. --out ../t.txt",
        "lm ../t.txt --out ../t.txt",
        "lm ../t.txt --out dev.jsonl",
        "transcribe s1-00.wav --model MODEL -f txt",
        "align s1-00.wav s1-00.tsv --model MODEL -f tsv",
        "align s1-00.wav s1-00.srt --model MODEL -f srt",
    ],
)
def test_an_input_or_somebodys_file_is_refused_in_one_line_and_stays(
    line: str, exported: Path, speech: Path, texts: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(speech)
    for suffix in ("txt", "tsv", "srt"):
        (speech / f"s1-00.{suffix}").write_text("가나다\n", encoding="utf-8")
    model = shutil.copytree(exported, speech.parent / "model")
    before = contents(speech.parent)
    arguments = [word.replace("MODEL", str(model)) for word in line.split()]
    code, _, errors = command(*arguments)
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert contents(speech.parent) == before


def test_what_the_program_wrote_is_replaced_and_said(
    exported: Path, speech: Path, texts: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(speech)
    (speech / "words.txt").write_text("가나\n", encoding="utf-8")
    for line in (
        "evaluate MODEL manifest:dev.jsonl --json a.json --html a.html",
        "label MODEL manifest:dev.jsonl --out labels.jsonl",
        "lm ../t.txt --out lm.arpa",
        "transcribe s1-00.wav --model MODEL -f all",
        "align s1-00.wav words.txt --model MODEL -f srt -o aligned",
    ):
        arguments = [word.replace("MODEL", str(exported)) for word in line.split()]
        assert command(*arguments)[0] == 0
        code, _, errors = command(*arguments)
        assert code == 0
        assert "replaced what this program wrote there before" in errors


def test_labels_are_not_written_over_the_labels_that_they_are_made_of(
    exported: Path, speech: Path, command: Command
) -> None:
    labels = speech / "labels.jsonl"
    assert command("label", exported, f"manifest:{speech}/dev.jsonl", "--out", labels)[0] == 0
    before = labels.read_bytes()
    code, _, errors = command("label", exported, f"manifest:{labels}", "--out", labels)
    assert (code, labels.read_bytes()) == (2, before)
    assert "is an input of this command" in errors


def test_a_transcript_that_somebody_corrected_stays_and_the_others_are_written(
    exported: Path, tmp_path: Path, command: Command
) -> None:
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", clip(16_000), 16_000)
    (tmp_path / "a.txt").write_text("고친 글\n", encoding="utf-8")
    code, out, errors = command("transcribe", tmp_path, "--model", exported, "-o", tmp_path)
    assert code == 2
    assert "a.txt exists, and this program did not write it" in errors
    assert out.splitlines() == [str(tmp_path / "b.txt")]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "고친 글\n"
