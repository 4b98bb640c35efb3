"""Whisper through faster-whisper: how it is called, what is read of its segments, and what cannot be opened."""

import importlib.util
import inspect
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from distilhubert_ko.errors import MissingExtraError, ModelError, UnavailableError
from distilhubert_ko.recognition.whisper import NOTHING, WhisperRecogniser
from tests.support.whisper_stand_in import Segment, StandIn

WAVE = np.ones(16_000, np.float32)
SETTINGS = {
    "language": "ko",
    "beam_size": 5,
    "temperature": [0.0],
    "compression_ratio_threshold": None,
    "log_prob_threshold": None,
    "no_speech_threshold": None,
    "condition_on_previous_text": False,
}
installed = pytest.mark.skipif(
    importlib.util.find_spec("faster_whisper") is None, reason="faster-whisper (the extra whisper) is not installed"
)


def test_a_wave_is_decoded_once_by_a_beam_of_five_in_korean_and_nothing_is_left_out(whisper: StandIn) -> None:
    WhisperRecogniser(str(whisper.folder))(WAVE)
    assert whisper.opened == [{"folder": str(whisper.folder), "compute_type": "int8"}]
    assert whisper.calls == [{"samples": 16_000, **SETTINGS}]


def test_segments_are_joined_with_the_worst_figures_and_the_mean_probability_of_a_token(whisper: StandIn) -> None:
    whisper.segments = [
        Segment(" 하나,", -0.2, 1.5, 0.1, [1, 2, 3]),
        Segment("  ", -9.0, 9.0, 1.0, [1]),
        Segment(" 둘 셋.", -1.0, 1.1, 0.4, [1]),
    ]
    found = WhisperRecogniser(str(whisper.folder))(WAVE)
    assert found.text == "하나, 둘 셋."
    assert (found.log_probability, found.compression_ratio, found.no_speech) == (-1.0, 1.5, 0.4)
    assert found.confidence == pytest.approx(math.exp((-0.2 * 3 - 1.0) / 4))


@pytest.mark.parametrize("segments", [[], [Segment(" ")]])
def test_where_it_says_nothing_the_text_is_empty(whisper: StandIn, segments: list[Segment]) -> None:
    whisper.segments = segments
    assert WhisperRecogniser(str(whisper.folder))(WAVE) == NOTHING


@pytest.mark.parametrize("samples", [0, 16_000])
def test_digital_silence_and_an_empty_wave_are_not_given_to_it(whisper: StandIn, samples: int) -> None:
    assert WhisperRecogniser(str(whisper.folder))(np.zeros(samples, np.float32)) == NOTHING
    assert whisper.calls == []


def test_a_name_is_downloaded_and_a_folder_is_not(whisper: StandIn) -> None:
    whisper.download = whisper.folder
    WhisperRecogniser("base")
    assert whisper.opened[0]["folder"] == str(whisper.folder)
    whisper.download = AssertionError("a folder needs no download")
    WhisperRecogniser(str(whisper.folder))


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r'faster-whisper: pip install "distilhubert-ko\[whisper\]"'):
        WhisperRecogniser("base")


def test_a_name_that_the_library_refuses_is_no_whisper(whisper: StandIn) -> None:
    whisper.download = ValueError("Invalid model size")
    with pytest.raises(ModelError, match=r"'huge' names no Whisper: give a folder in CTranslate2's format, a Hub id"):
        WhisperRecogniser("huge")


def test_a_hub_out_of_reach_is_said(whisper: StandIn) -> None:
    whisper.download = LocalEntryNotFoundError("offline")
    with pytest.raises(UnavailableError, match=r"owner/name: no such folder, and the Hub could not give it \(Local"):
        WhisperRecogniser("owner/name")


def test_a_folder_with_a_missing_part_is_refused_with_the_way_to_convert_it(whisper: StandIn) -> None:
    (whisper.folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json, so no Whisper in CTranslate2's format: convert"):
        WhisperRecogniser(str(whisper.folder))
    (whisper.folder / "model.bin").unlink()
    with pytest.raises(ModelError, match=r"no model\.bin and no tokenizer\.json, .* ct2-transformers-converter"):
        WhisperRecogniser(str(whisper.folder))


def test_a_corrupt_folder_is_refused_in_one_line(whisper: StandIn) -> None:
    whisper.broken = RuntimeError("File model.bin\nis incomplete")
    with pytest.raises(ModelError, match=r"cannot open it \(File model\.bin is incomplete\): convert it again"):
        WhisperRecogniser(str(whisper.folder))


def test_an_english_whisper_is_refused(whisper: StandIn) -> None:
    whisper.multilingual = False
    with pytest.raises(ModelError, match="knows English only: give a multilingual one"):
        WhisperRecogniser(str(whisper.folder))


def test_a_folder_with_settings_for_another_number_of_mels_is_refused(whisper: StandIn) -> None:
    whisper.mels = 128
    with pytest.raises(ModelError, match=r"takes 80 mels and the folder's settings give 128: copy preprocessor_config"):
        WhisperRecogniser(str(whisper.folder))


@installed
def test_the_installed_library_has_the_options_and_figures_that_are_used() -> None:
    import faster_whisper
    from faster_whisper.feature_extractor import FeatureExtractor
    from faster_whisper.transcribe import Segment as RealSegment

    assert set(SETTINGS) <= set(inspect.signature(faster_whisper.WhisperModel.transcribe).parameters)
    assert "compute_type" in inspect.signature(faster_whisper.WhisperModel).parameters
    assert set(Segment.__dataclass_fields__) <= set(RealSegment.__dataclass_fields__)
    assert FeatureExtractor(feature_size=128).mel_filters.shape[0] == 128


@installed
def test_the_installed_library_refuses_names_and_folders_as_the_messages_say(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'huge' names no Whisper"):
        WhisperRecogniser("huge")
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match="faster-whisper cannot open it"):
        WhisperRecogniser(str(tmp_path))
