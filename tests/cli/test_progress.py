"""The progress bars of the commands."""

from pathlib import Path

import pytest
import soundfile

from distilhubert_ko.cli import progress
from tests.support.model import clip


def test_the_bar_knows_the_length_of_files_and_stays_away_from_short_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilhubert_ko.files.recordings import Recording

    soundfile.write(tmp_path / "speech.wav", clip(40_000), 16_000)
    (tmp_path / "bad.wav").write_text("no sound")
    files = [Recording(str(tmp_path / name), name) for name in ("speech.wav", "bad.wav", "speech.wav")]
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    assert progress.RecordingsBar(files).progress.disable
    monkeypatch.setattr(progress, "LONG", 4.0)
    bar = progress.RecordingsBar(files)
    assert not bar.progress.disable
    assert bar.progress.tasks[0].total == 5.0
    for _ in range(2):
        with bar.next_recording() as move:
            move(1.0)
            move(2.5)
    assert bar.progress.finished
    assert progress.RecordingsBar([*files, Recording("-", "stdin")]).progress.tasks[0].total is None
