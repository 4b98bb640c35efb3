"""The command `distilhubert-ko`, in this process and in one of its own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import huggingface_hub.constants
import pytest

from distilhubert_ko.cli import main as cli
from tests.support.processes import pristine


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, which has imported what it takes, with the Hub out of reach."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / "output", Path(folder) / "error"]
        process = pristine.Process(target=_command, args=([*map(str, arguments)], environment, outputs))
        process.start()
        process.join()
        output, error = (path.read_text(encoding="utf-8") for path in outputs)
    return subprocess.CompletedProcess(arguments, process.exitcode, output, error)


def _command(arguments: list[str], environment: dict[str, str], outputs: list[Path]) -> None:
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ |= environment
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    sys.argv = ["distilhubert-ko", *arguments]
    cli.main()


def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str | Path
) -> tuple[int, str, str]:
    """The command in this process, which is quicker: exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["distilhubert-ko", *map(str, arguments)])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err
