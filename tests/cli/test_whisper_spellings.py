"""`transcribe` takes the options of Whisper's command as that spells them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.support.command import call
from tests.support.model import clip

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def transcribe(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Return the command `transcribe` on a recording of 2.5 s, in whose folder it runs."""
    soundfile.write(tmp_path / "speech.wav", clip(40_000), 16_000)
    monkeypatch.chdir(tmp_path)
    return lambda *options: call(capsys, monkeypatch, "transcribe", "speech.wav", "--model", exported, *options)


def test_underscores_and_flags_with_a_value_write_what_hyphens_and_flags_write(
    transcribe: Command, tmp_path: Path
) -> None:
    own = ("--output-dir", "a_b", "--output-format", "srt", "--max-line-width", "7", "--max-line-count", "2")
    whisper = ("--output_dir", "c_d", "--output_format=srt", "--max_line_width", "7", "--max_line_count", "2")
    words = ("--word_timestamps", "True", "--vad_filter", "False")
    assert transcribe(*own)[0] == 0
    assert transcribe(*whisper, "--word_timestamps", "False", "--language", "ko")[0] == 0
    lines = (tmp_path / "a_b" / "speech.srt").read_text(encoding="utf-8")
    assert (tmp_path / "c_d" / "speech.srt").read_text(encoding="utf-8") == lines != ""
    assert transcribe(*own, "--word-timestamps")[0] == transcribe(*whisper, *words)[0] == 0
    by_word = (tmp_path / "a_b" / "speech.srt").read_text(encoding="utf-8")
    assert (tmp_path / "c_d" / "speech.srt").read_text(encoding="utf-8") == by_word != lines


@pytest.mark.parametrize("language", ["ko", "Korean", "korean", "ko-KR", "ko_KR"])
def test_korean_is_a_language_however_it_is_written(transcribe: Command, language: str) -> None:
    assert transcribe("--language", language) == transcribe()


@pytest.mark.parametrize("language", ["en", "English", "auto", "kok", ""])
def test_another_language_is_refused_in_one_line(transcribe: Command, language: str) -> None:
    code, out, err = transcribe("--language", language)
    assert (code, out) == (2, "")
    assert err == (
        f"distilhubert-ko: --language {language}: only Korean is recognised: leave --language out, or give ko\n"
    )


def test_the_help_shows_one_spelling_of_each_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text, _ = call(capsys, monkeypatch, "transcribe", "--help")
    assert "--output-dir" in text
    assert not [name for name in ("--output_dir", "--language") if name in text]
    assert call(capsys, monkeypatch, "align", "--output_dir", "x")[0] == 2  # Whisper has no such command
