"""A console that cannot show everything, a full or closed stream, an impossible folder: one line, no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from tests.support.command import run
from tests.support.model import clip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and /dev/full are Linux's")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    soundfile.write(path, clip(16_000), 16_000)
    return path


def shell(line: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["sh", "-c", line], capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["cp949", "utf-8"])
def test_a_console_shows_a_question_mark_for_what_it_lacks_and_all_other_text(encoding: str) -> None:
    program = (
        "import typer; from distilhubert_ko.cli import main as cli; cli.app = lambda: typer.echo(text); cli.main()"
    )
    text = 'text = "가 \\u1100 \\udcc7\\udcd1 a"; '
    shown = subprocess.run(
        [sys.executable, "-c", text + program],
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    ).stdout
    jamo = "\u1100" if encoding == "utf-8" else "?"
    assert shown == f"가 {jamo} ".encode(encoding) + b"\xc7\xd1 a\n"


def test_a_full_output_is_one_line(exported: Path, recording: Path) -> None:
    done = shell(f"'{sys.executable}' -m distilhubert_ko transcribe '{recording}' --model '{exported}' > /dev/full")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "distilhubert-ko: the output: No space left on device: check the path, your permissions and the room on the "
        "disk"
    ]


@pytest.mark.parametrize("command", ["transcribe AUDIO --model MODEL", "transcribe AUDIO --model MODEL -o .", "--help"])
def test_a_closed_output_is_one_line(command: str, exported: Path, recording: Path, tmp_path: Path) -> None:
    words = command.replace("MODEL", str(exported)).replace("AUDIO", str(recording))
    done = shell(f"cd '{tmp_path}' && '{sys.executable}' -m distilhubert_ko {words} >&-")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "distilhubert-ko: standard output is closed: leave it open, or send it to a file or /dev/null"
    ]
    assert not list(tmp_path.iterdir())


def test_closed_standard_input_is_one_line(exported: Path) -> None:
    done = shell(f"'{sys.executable}' -m distilhubert_ko transcribe - --model '{exported}' <&-")
    assert done.returncode == 2
    assert len(done.stderr.decode().splitlines()) == 1
    assert b"standard input is closed" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "train demo --out /proc/x",
        "demo --out /proc/x",
        "distill distill --set distill.teacher=MODEL --out /proc/x",
        "prepare demo --out /proc/x",
        "export MODEL --out /proc/x",
        "export MODEL --out AUDIO",
        "export MODEL --out AUDIO/x",
        "lm MODEL/vocab.json --out /proc/x/lm.arpa",
        "evaluate MODEL synthetic:demo#dev --json /proc/x/a.json",
        "evaluate MODEL synthetic:demo#dev --html /proc/x.html",
        "label MODEL synthetic:demo#dev --out /proc/x/a.jsonl",
        "transcribe AUDIO --model MODEL -o /proc/x",
        "align AUDIO MODEL/vocab.json --model MODEL -f srt -o /proc/x",
        "bulk AUDIO/.. --model MODEL --out /proc/x",
    ],
)
def test_a_folder_that_cannot_be_is_one_line_before_the_work(line: str, exported: Path, recording: Path) -> None:
    words = [word.replace("MODEL", str(exported)).replace("AUDIO", str(recording)) for word in line.split()]
    done = run(*words)
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    done = run("prepare", "demo", "--out", tmp_path / "x", HOME="/proc", XDG_CACHE_HOME="")
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_name_in_euc_kr_is_labelled_and_transcribed_and_evaluated(exported: Path, tmp_path: Path) -> None:
    os.rename(
        soundfile_at(tmp_path / "a.wav"), os.fsencode(tmp_path) + b"/\xc7\xd1.wav"
    )  # as archives from Windows leave
    labels = tmp_path / "labels.jsonl"
    assert run("label", exported, f"folder:{tmp_path}", "--out", labels).returncode == 0
    files = ("--json", tmp_path / "a.json", "--html", tmp_path / "a.html")
    assert run("evaluate", exported, f"manifest:{labels}", *files).returncode == 0
    assert (tmp_path / "a.html").is_file()
    done = shell(f"'{sys.executable}' -m distilhubert_ko transcribe '{tmp_path}' --model '{exported}' -o '{tmp_path}'")
    assert done.stdout == os.fsencode(tmp_path) + b"/\xc7\xd1.txt\n"


def soundfile_at(path: Path) -> Path:
    soundfile.write(path, clip(32_000), 16_000)
    return path
