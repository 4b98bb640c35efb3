"""The cases of shared/cases, with the commands and right results of its expected.tsv.

Some need a trained model: that which `make demo` leaves in demo/. `bulk` with a name in EUC-KR is in tests/bulk, and
the readings are in tests/text.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.recognition.transcriber import Transcriber
from tests.support.command import run

ROOT = Path(__file__).parents[1]
CASES = ROOT.parent / "shared" / "cases"
DEMO = ROOT / "demo"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
trained = pytest.mark.skipif(not (DEMO / "model.safetensors").is_file(), reason="make demo has not been run")


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cases, which is the working folder."""
    folder = tmp_path / "cases"
    shutil.copytree(CASES, folder, copy_function=shutil.copyfile)
    for each in (folder, *folder.rglob("*/")):
        each.chmod(0o755)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def heard() -> str:
    """What the demo recognises in a.wav. The other recordings of its sentence have to say the same."""
    text = Transcriber(DEMO, threads=1)(CASES / "a.wav").text
    assert text.replace(" ", "") == "배우는내일극장에서책을가져왔습니다"
    return text


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two waves (samples,) where they fit best, within an eighth of a second."""
    size = min(len(one), len(other)) - 2_000
    inner = one[1_000:][:size]
    spans = (other[shift:][:size] for shift in range(2_000))
    return max(float(inner @ span / np.sqrt((inner @ inner) * (span @ span))) for span in spans)


@pytest.mark.parametrize("name", ["mp3_no_xing.mp3", "opposite_phase.wav", "wav_size_0.wav"])
def test_a_recording_that_is_whole_is_read_whole(name: str) -> None:
    wave, whole = load_audio(CASES / name), load_audio(CASES / "a.wav")
    assert abs(len(wave) - len(whole)) < 1_600
    assert likeness(whole, wave) > 0.95


def test_both_of_two_joined_mp3s_are_read() -> None:
    wave, once = load_audio(CASES / "mp3_joined.mp3"), load_audio(CASES / "mp3_no_xing.mp3")
    assert abs(len(wave) - 2 * len(once)) < 1_600
    half = len(wave) // 2
    assert min(likeness(once, wave[:half]), likeness(once, wave[half:])) > 0.95


@trained
@pytest.mark.parametrize(
    ("name", "times"), [("mp3_no_xing.mp3", 1), ("mp3_joined.mp3", 2), ("opposite_phase.wav", 1), ("wav_size_0.wav", 1)]
)
def test_a_recording_says_its_sentence(name: str, times: int, cases: Path, heard: str) -> None:
    done = run("transcribe", name, "--model", DEMO)
    assert done.returncode == 0
    words = done.stdout.split()
    # Two sentences without a pause between them differ a little from one.
    assert words.count("배우는") == times
    assert (done.stdout == f"{heard}\n") is (times == 1)
    assert "mpg123" not in done.stderr
    assert ("cancel" in done.stderr) is (name == "opposite_phase.wav")


@trained
def test_a_cue_stands_where_the_audio_of_a_video_is(cases: Path, heard: str) -> None:
    done = run("transcribe", "video_sound_starts_at_4s.mkv", "--model", DEMO, "-f", "srt", "-o", "out")
    assert done.returncode == 0
    subtitles = (cases / "out" / "video_sound_starts_at_4s.srt").read_text(encoding="utf-8")
    assert subtitles.startswith("1\n00:00:04,0")
    assert heard in subtitles.replace("\n", " ")


@trained
def test_lines_beside_long_silences_are_placed_where_they_are_said(cases: Path) -> None:
    done = run("align", "silence_30s_63s.flac", "silence_30s_63s.txt", "--model", DEMO)
    places = [[int(each) for each in line.split("\t")[:2]] for line in done.stdout.splitlines()[1:]]
    np.testing.assert_allclose(places, [(0, 2_600), (32_600, 36_200), (99_500, 101_800)], atol=300)  # milliseconds


@trained
def test_no_cue_spans_a_silence(cases: Path) -> None:
    assert run("transcribe", "silence_30s_63s.flac", "--model", DEMO, "-f", "tsv", "-o", "out").returncode == 0
    rows = (cases / "out" / "silence_30s_63s.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cues = [[int(each) for each in row.split("\t")[:2]] for row in rows]  # milliseconds
    assert len(cues) >= 3
    assert all(end - start <= 7_000 for start, end in cues)
    assert not any(start < 17_000 < end or start < 68_000 < end for start, end in cues)


@trained
def test_a_pause_parts_words(cases: Path) -> None:
    words = run("transcribe", "pause_0.75s.flac", "--model", DEMO).stdout.split()
    assert any(word.endswith("합니다") for word in words[:-1])


@trained
def test_a_console_that_lacks_a_jamo_shows_the_text_of_later_files(cases: Path, heard: str) -> None:
    command = (sys.executable, "-m", "distilhubert_ko", "transcribe", "lone_jamo.wav", "a.wav", "--model", str(DEMO))
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "cp949"}, check=True)
    assert done.stdout.decode("cp949").splitlines()[-1] == heard
    assert done.stderr == b""


@pytest.mark.parametrize(
    "options",
    [("evaluate", "--json", "dev.json"), ("evaluate", "--html", "dev.jsonl"), ("label", "--out", "dev.jsonl")],
)
def test_no_command_writes_over_its_transcripts(options: tuple[str, ...], cases: Path, exported: Path) -> None:
    command, *rest = options
    before = (cases / "dev.jsonl").read_bytes()
    done = run(command, exported, "manifest:dev.jsonl", *rest)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "dev.jsonl is an input of this command" in done.stderr
    assert (cases / "dev.jsonl").read_bytes() == before


def test_a_recording_named_in_euc_kr_is_labelled_into_its_own_folder(cases: Path, exported: Path) -> None:
    subprocess.run(["sh", "make_euckr.sh", "named"], check=True)
    done = run("label", exported, "folder:named", "--out", "named/l.jsonl")
    assert done.returncode == 0, done.stderr
    assert run("evaluate", exported, "manifest:named/l.jsonl").returncode == 0


def test_an_unquoted_comma_is_refused_with_its_line(cases: Path, exported: Path) -> None:
    done = run("evaluate", exported, "manifest:unquoted_comma.csv")
    assert done.returncode == 2
    assert "line 2 has 3 fields for 2 columns" in done.stderr


def test_an_utterance_of_kaldi_without_words_is_counted_and_named(cases: Path, exported: Path) -> None:
    done = run("evaluate", exported, "kaldi:kaldi/data")
    assert done.returncode == 0
    assert "kaldi:kaldi/data: 1 utterances" in done.stdout
    assert "dropped, no transcript: 1 (u2)" in done.stdout


def test_a_language_model_of_decomposed_text_is_one_line(cases: Path, exported: Path) -> None:
    done = run("transcribe", "a.wav", "--model", exported, "--lm", "nfd.arpa")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "NFD" in done.stderr
