"""The command `distilhubert-ko`, in this process and in one of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distilhubert_ko.cli import main as cli


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a user starts it, with the Hub out of reach."""
    command = [sys.executable, "-c", "from distilhubert_ko.cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"HF_HUB_OFFLINE": "1"} | environment, check=False
    )


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
