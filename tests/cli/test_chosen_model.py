"""Which model a command takes that was given none."""

from pathlib import Path

import pytest
import soundfile

from distilhubert_ko.cli.chosen_model import VARIABLE, chosen_model
from distilhubert_ko.errors import InputError
from tests.support.command import call
from tests.support.model import clip


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a user who has configured nothing."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "config" / "distilhubert-ko" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    "arguments", [("transcribe", "a.wav"), ("bulk", "folder", "--out", "out"), ("align", "a.wav", "a.txt"), ("serve",)]
)
def test_without_a_model_three_lines_say_how_to_get_one(
    arguments: tuple[str, ...],
    configuration: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("가", encoding="utf-8")
    code, out, err = call(capsys, monkeypatch, *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 3)
    for way in ("--model", "Hub id", "distilhubert-ko demo", "distilhubert-ko train", VARIABLE, str(configuration)):
        assert way in err


def test_the_option_goes_before_the_environment_and_that_before_the_configuration(
    exported: Path,
    configuration: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soundfile.write(tmp_path / "a.wav", clip(40_000), 16_000)
    command = ("transcribe", tmp_path / "a.wav")
    configuration.write_text(f'model = "{exported}"\n', encoding="utf-8")
    code, text, _ = call(capsys, monkeypatch, *command)
    assert code == 0
    configuration.write_text('model = "./nowhere"\n', encoding="utf-8")
    assert "./nowhere: no such folder" in call(capsys, monkeypatch, *command)[2]
    monkeypatch.setenv(VARIABLE, str(exported))
    assert call(capsys, monkeypatch, *command) == (0, text, "")
    monkeypatch.setenv(VARIABLE, "./elsewhere")
    assert "./elsewhere: no such folder" in call(capsys, monkeypatch, *command)[2]
    assert call(capsys, monkeypatch, *command, "--model", exported) == (0, text, "")


def test_a_home_is_written_as_in_a_shell(configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    configuration.write_text('model = "~/models/mine"\n', encoding="utf-8")
    assert chosen_model(None) == f"{tmp_path}/models/mine"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"model = demo\n", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"model = 1\n", "give a value of type str"),
        (b'modle = "demo"\n', "unknown key modle; did you mean model"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_an_error_that_names_it(
    configuration: Path, content: bytes, words: str
) -> None:
    configuration.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        chosen_model(None)
    assert str(configuration) in str(error.value)
    assert chosen_model("demo") == "demo"
