"""One speaker per channel: each channel's words, in the order of turns, with speakers in every format."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.formats import TRANSCRIPT_FORMATS, render_transcript
from distilhubert_ko.recognition.segments import Layout
from distilhubert_ko.recognition.speakers import merge_speakers, transcribe_channels
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.vad import VadOptions
from tests.support.command import call
from tests.support.model import clip
from tests.support.transcripts import spoken

CALL = merge_speakers(
    [
        spoken(("여보세요", 0.2, 0.9), ("네", 1.8, 2.0), ("말씀하세요", 2.1, 3.0)),
        spoken(("안녕하세요", 1.0, 1.7), ("<저>는", 2.2, 2.6), ("학생입니다", 2.7, 3.4)),
    ]
)


@pytest.fixture(scope="module")
def transcriber(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=1)


def stereo(*waves: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.stack(waves, axis=1), SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_each_channel_has_the_words_that_it_has_alone(transcriber: Transcriber) -> None:
    waves = [clip(40_000, seed) for seed in (1, 2, 3)]
    found = transcribe_channels(transcriber, stereo(*waves))
    for number, wave in enumerate(waves, start=1):
        alone = [(word.text, word.start, word.end) for word in transcriber(wave).words]
        assert [(word.text, word.start, word.end) for word in found.words if word.speaker == number] == alone != []
    assert found.seconds == 2.5


def test_progress_counts_the_seconds_of_the_whole_recording(transcriber: Transcriber) -> None:
    told: list[float] = []
    transcribe_channels(transcriber, stereo(clip(16_000), clip(16_000, 2)), on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0, abs=0.05)


def test_a_stream_is_read_for_each_channel_and_for_voices(transcriber: Transcriber) -> None:
    content = stereo(clip(16_000), clip(16_000, 2))
    assert transcribe_channels(transcriber, io.BytesIO(content)) == transcribe_channels(transcriber, content)
    assert transcribe_channels(transcriber, io.BytesIO(content), VadOptions()).seconds == 1.0


def test_a_mono_recording_cannot_be_split(transcriber: Transcriber) -> None:
    with pytest.raises(InputError, match="one channel"):
        transcribe_channels(transcriber, stereo(clip(16_000)))


def test_turns_are_in_order_and_overlapping_speech_is_not_interleaved() -> None:
    assert CALL.dialogue == "화자 1: 여보세요\n화자 2: 안녕하세요 <저>는 학생입니다\n화자 1: 네 말씀하세요"
    assert CALL.text == "여보세요 안녕하세요 <저>는 학생입니다 네 말씀하세요"
    narrow = CALL.segmented(Layout(5, 1))
    assert [(each.speaker, each.text) for each in narrow] == [
        *((1, "여보세요"), (2, "안녕하세요"), (1, "네"), (1, "말씀하세요"), (2, "<저>는"), (2, "학생입니다"))
    ]


def test_every_format_names_the_speakers() -> None:
    for name in TRANSCRIPT_FORMATS:
        lines = render_transcript(CALL, name).splitlines()
        assert any("1" in line and "여보세요" in line for line in lines) or name in ("json", "tsv"), name
    assert CALL.to_txt().splitlines()[0] == "화자 1: 여보세요"
    assert "\n화자 2: 안녕하세요 <저>는 학생입니다\n" in CALL.to_srt()
    assert "\n<v 화자 2>안녕하세요 &lt;저&gt;는 학생입니다\n" in CALL.to_vtt()
    assert CALL.to_tsv().splitlines()[:2] == ["start\tend\tspeaker\ttext", "200\t1200\t1\t여보세요"]
    table = json.loads(CALL.to_json())
    assert [each["speaker"] for each in table["segments"]] == [1, 2, 1]
    assert table["segments"][1]["words"][0]["speaker"] == 2


def test_without_speakers_no_format_speaks_of_any() -> None:
    alone = spoken(("여보세요", 0.2, 0.9))
    assert alone.dialogue == alone.text
    for name in TRANSCRIPT_FORMATS:
        assert "speaker" not in render_transcript(alone, name)
        assert "화자" not in render_transcript(alone, name)


def test_the_command_reads_one_channel_their_mean_or_all(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waves = [clip(40_000, seed) for seed in (1, 2)]
    path = tmp_path / "call.wav"
    path.write_bytes(stereo(*waves))
    transcriber = Transcriber(exported)
    texts = [transcriber(wave).text for wave in (*waves, np.mean(waves, axis=0, dtype=np.float32))]
    assert len(set(texts)) == 3
    for channel, wanted in zip(("left", "right", "mix"), texts, strict=True):
        said = call(capsys, monkeypatch, "transcribe", path, "--model", exported, "--channel", channel)
        assert said == (0, f"{wanted}\n", "")
    code, out, _ = call(capsys, monkeypatch, "transcribe", path, "--model", exported, "--channel", "split")
    assert (code, out) == (0, transcribe_channels(transcriber, path).dialogue + "\n")
    options = ("--channel", "split", "-f", "tsv", "-o", tmp_path)
    assert call(capsys, monkeypatch, "transcribe", path, "--model", exported, *options)[0] == 0
    rows = (tmp_path / "call.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert {row.split("\t")[2] for row in rows} == {"1", "2"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--channel", "split"), "one channel"),
        (("--channel", "right"), "no channel 2"),
        (("--track", "2"), "one track of audio, not 2"),
        (("--channel", "split", "--n-best", "3"), "--n-best has no effect"),
    ],
)
def test_what_a_recording_lacks_is_one_line(
    options: tuple[str, ...],
    complaint: str,
    exported: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "mono.wav"
    soundfile.write(path, clip(16_000), SAMPLE_RATE)
    code, out, err = call(capsys, monkeypatch, "transcribe", path, "--model", exported, *options)
    assert (code, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) == 1
