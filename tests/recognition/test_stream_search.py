"""Live captions with a beam search: any chunks give one text, final words stay and come in time, streams differ."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from distilhubert_ko.audio.frames import frame_steps
from distilhubert_ko.decoding import kneser_ney
from distilhubert_ko.decoding.beam import BeamSearch
from distilhubert_ko.decoding.language_model import BOUNDARY
from distilhubert_ko.decoding.live import LiveBeam
from distilhubert_ko.decoding.pruning import BeamOptions
from distilhubert_ko.recognition.stream import RIGHT, STEP, Stream
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.words import Word
from tests.decoding.test_live import Remembering
from tests.recognition.test_stream import RUNS, SECOND, Planted, wave_of
from tests.support.model import SYLLABLES, clip
from tests.support.streams import check_chunks_change_nothing

HOT = ["하하타"]
SPACE = SYLLABLES.delimiter_id


@pytest.fixture(scope="module")
def plain(exported: Path) -> Transcriber:
    return Transcriber(exported, threads=1)


@pytest.fixture(scope="module", params=["hot words", "language model"])
def searching(exported: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Transcriber:
    if request.param == "hot words":
        return Transcriber(exported, threads=1, hotwords=HOT)
    pytest.importorskip("kenlm", reason="KenLM, of the extra lm, is not installed")
    sentences = [[BOUNDARY if character == " " else character for character in text] for text in ("하하타 나", "아 타")]
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    return Transcriber(exported, threads=1, lm=kneser_ney.write_arpa(kneser_ney.train_ngrams(sentences, 3), path))


@pytest.mark.parametrize("size", [160, 1601])
def test_any_chunks_give_the_same_words(searching: Transcriber, size: int) -> None:
    check_chunks_change_nothing(searching, clip(3 * SECOND + 123), size)


def test_final_words_never_change_and_the_text_only_grows(searching: Transcriber) -> None:
    wave = clip(9 * SECOND)
    live = searching.stream()
    words: list[Word] = []
    for start in range(0, len(wave), STEP):
        before = live.text
        words += live.feed(wave[start : start + STEP]).final
        assert live.text.startswith(before)
        assert live.text == " ".join(word.text for word in words)
    done = live.finish()
    assert len(words) > 5
    assert done.words[: len(words)] == tuple(words)
    times = [time for word in done.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert all(0 < word.confidence <= 1 for word in done.words)


def test_a_clip_shorter_than_the_right_context_gets_exactly_its_transcript(searching: Transcriber) -> None:
    live = searching.stream()
    live.feed(clip(SECOND))
    assert live.finish() == searching(clip(SECOND))


@settings(max_examples=40)
@given(RUNS)
def test_without_a_scorer_the_search_gives_the_words_of_greedy_captions(runs: list[tuple[int, int]]) -> None:
    wave = wave_of([label for label, count in runs for _ in range(count)])
    search = BeamSearch(BeamOptions(width=3, skip_blank=1.0), blank=SYLLABLES.blank_id)
    streams = Stream(Planted(), SYLLABLES), Stream(Planted(), SYLLABLES, decoder=LiveBeam(search, SPACE))
    for live in streams:
        live.feed(wave)
    greedy, found = (live.finish() for live in streams)
    assert [(w.text, w.start, w.end) for w in found.words] == [(w.text, w.start, w.end) for w in greedy.words]
    assert [w.confidence for w in found.words] == pytest.approx([w.confidence for w in greedy.words])


def test_a_model_without_a_scorer_decodes_a_window_as_greedy_captions(plain: Transcriber) -> None:
    search = BeamSearch(BeamOptions(skip_blank=1.0), blank=SYLLABLES.blank_id)
    found = Stream(lambda wave: plain.log_probs([wave])[0], SYLLABLES, decoder=LiveBeam(search, SPACE))
    greedy = plain.stream()
    for live in (found, greedy):
        live.feed(clip(5 * SECOND))
    assert [(w.text, w.start, w.end) for w in found.finish().words] == [
        (w.text, w.start, w.end) for w in greedy.finish().words
    ]


def test_a_hot_word_that_changes_a_transcript_changes_the_captions_of_that_stream_alone(plain: Transcriber) -> None:
    wave = clip(80_000)
    hot = plain.with_hotwords(HOT)
    assert hot(wave).text != plain(wave).text
    before, with_hot, after = plain.stream(), hot.stream(), plain.stream()
    for live in (before, with_hot, after):
        live.feed(wave)
    assert before.finish() == after.finish()
    assert with_hot.finish().text not in ("", after.text)


@pytest.mark.parametrize("wait", [0, 75])
def test_a_word_that_stays_in_doubt_is_final_after_a_bounded_wait(wait: int) -> None:
    """Two words are as likely as each other, and nothing that follows tells them apart."""
    one, other = SYLLABLES.encode("가나")
    space = 5  # the frame of the space

    def log_probs(wave: np.ndarray) -> np.ndarray:
        matrix = Planted()(wave)
        matrix[matrix[:, one] > -1, other] = -0.11
        return matrix

    search = BeamSearch(BeamOptions(skip_blank=1.0), Remembering(), SYLLABLES.blank_id)
    live = Stream(log_probs, SYLLABLES, decoder=LiveBeam(search, SPACE, wait))
    assert SPACE is not None
    wave = wave_of([one] * space + [SPACE] + [SYLLABLES.blank_id, *SYLLABLES.encode("다")] * 200)
    steps = math.ceil((space + 1 + wait + frame_steps(RIGHT)) / frame_steps(STEP))
    for step in range(steps - 1):
        assert live.feed(wave[step * STEP : (step + 1) * STEP]).final == ()
    (word,) = live.feed(wave[(steps - 1) * STEP : steps * STEP]).final
    assert word.text == "가"
