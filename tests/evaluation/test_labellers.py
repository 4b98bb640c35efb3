"""Labellers: the texts of CTC models with their confidence, and those of Whisper with its filters."""

from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko.evaluation.labellers import DEFAULT_LIMITS, CtcLabeller, WhisperLabeller
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.whisper import WhisperRecogniser, WhisperText
from tests.support.model import clip
from tests.support.whisper_stand_in import Segment, StandIn

TRAINING = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (Segment("말소리"), ""),
        (Segment("말소리", compression_ratio=2.4, no_speech_prob=0.6, avg_logprob=-1.0), ""),
        (Segment("아, 아, 아, 아", compression_ratio=2.5), "repeats itself (compression ratio above 2.4)"),
        (Segment("MBC 뉴스 이덕영입니다", no_speech_prob=0.61), "no speech (probability above 0.6)"),
        (Segment("말소리", avg_logprob=-1.1), "unsure (average log-probability below -1)"),
        (Segment("말"), "too few words (below 1 characters per second)"),
        (Segment("가" * 25), "too many words (above 12 characters per second)"),
        (Segment("3333 " * 5), "too many words (above 12 characters per second)"),  # when they are spelled out
    ],
)
def test_a_figure_beyond_its_limit_is_a_doubt(whisper: StandIn, text: Segment, doubt: str) -> None:
    whisper.segments = [text]
    (found,) = WhisperLabeller(WhisperRecogniser(str(whisper.folder))).recognise([np.ones(32_000, np.float32)])
    assert found.doubt == doubt


def test_the_worst_of_several_windows_decides(whisper: StandIn) -> None:
    whisper.segments = [Segment("말소리가 들린다"), Segment("시청해주셔서 감사합니다", no_speech_prob=0.9)]
    (found,) = WhisperLabeller(WhisperRecogniser(str(whisper.folder))).recognise([np.ones(32_000, np.float32)])
    assert found.doubt == "no speech (probability above 0.6)"


def test_whispers_digits_and_letters_are_spelled_out_and_its_punctuation_is_dropped(whisper: StandIn) -> None:
    whisper.segments = [Segment(" 3시 20%,"), Segment(" KBS에서.")]
    labeller = WhisperLabeller(WhisperRecogniser(str(whisper.folder)))
    (found,) = labeller.recognise([np.ones(32_000, np.float32)])
    assert found.text == "세 시 이십 퍼센트 케이비에스에서"
    assert found.confidence == pytest.approx(np.exp(-0.3))
    assert (labeller.spell, labeller.heldout) == (True, "")


def test_silence_has_no_text_and_no_confidence(whisper: StandIn) -> None:
    (found,) = WhisperLabeller(WhisperRecogniser(str(whisper.folder))).recognise([np.zeros(16_000, np.float32)])
    assert (found.text, found.confidence) == ("", 0.0)


def test_a_ctc_model_labels_what_it_transcribes_and_brings_the_rules_of_its_recipe(exported: Path) -> None:
    transcriber = Transcriber(exported, threads=1)
    labeller = CtcLabeller(transcriber)
    found = labeller.recognise([clip(16_000), clip(40_000)])
    assert [each.text for each in found] == [transcriber(clip(samples)).text for samples in (16_000, 40_000)]
    assert all(0 < each.confidence < 1 and not each.doubt for each in found)


def test_the_documents_name_every_limit() -> None:
    text = TRAINING.read_text(encoding="utf-8")
    low, high = DEFAULT_LIMITS.min_characters_per_second, DEFAULT_LIMITS.max_characters_per_second
    assert f"above {DEFAULT_LIMITS.max_compression_ratio:g}" in text
    assert f"above {DEFAULT_LIMITS.max_no_speech:g}" in text
    assert f"below {DEFAULT_LIMITS.min_log_probability:g}" in text
    assert f"below {low:g} or above {high:g}" in text


def test_without_figures_a_text_is_trusted_by_its_rate_alone() -> None:
    assert DEFAULT_LIMITS.doubt(WhisperText("말", 1.0, 0.0, 0.0, 0.0), 5.0) == ""
