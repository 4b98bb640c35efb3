"""Alignment of written text with planted log-probabilities, and the files of it."""

import html
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pysubs2
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import HUBERT_FRAMES, frame_seconds
from distilhubert_ko.errors import AudioError, InputError
from distilhubert_ko.recognition import alignment
from distilhubert_ko.text.normalise import normalise
from distilhubert_ko.text.tokenizer import Tokenizer

SENTENCE = "오늘은 세 시 이십 분에 책 두 권을 샀다 안녕 끝"
TOKENIZERS = {units: Tokenizer.from_texts([SENTENCE], units) for units in ("syllables", "jamo")}


def planted(spoken: str, tokenizer: Tokenizer) -> tuple[SimpleNamespace, np.ndarray]:
    """A transcriber that hears `spoken`, a unit in two frames and two of blank after it, and a wave for it."""
    ids = tokenizer.encode(spoken)
    path = [tokenizer.blank_id] * 5 + [frame for id in ids for frame in (id, id, *[tokenizer.blank_id] * 2)]
    samples = 400 + 320 * (len(path) - 1)
    assert HUBERT_FRAMES.count(samples) == len(path)
    log_probs = np.full((len(path), len(tokenizer)), np.log(1e-4), np.float32)
    log_probs[np.arange(len(path)), path] = np.log(1 - 1e-4 * (len(tokenizer) - 1))
    transcriber = SimpleNamespace(tokenizer=tokenizer, log_probs=lambda waves: [log_probs for _ in waves])
    return transcriber, np.full(samples, 0.1, np.float32)


def aligned(text: str, spoken: str | None = None, units: str = "syllables") -> alignment.Alignment:
    spoken = normalise(text, spell=True) if spoken is None else spoken
    return alignment.align_text(*planted(spoken, TOKENIZERS[units]), text)  # type: ignore[arg-type]


def start_of(spoken: str, place: int) -> float:
    """Seconds at which the character at `place` of the planted `spoken` begins, where units are syllables."""
    assert spoken[place] != " "
    return frame_seconds(5 + 4 * place)


@pytest.mark.parametrize("units", TOKENIZERS)
def test_lines_words_and_syllables_have_the_times_at_which_they_were_planted(units: str) -> None:
    result = aligned("오늘은 책\n\n안녕", units=units)
    assert [segment.text for segment in result.segments] == ["오늘은 책", "안녕"]
    tokenizer, place = TOKENIZERS[units], 5
    for word in result.transcript.words:
        for syllable in word.syllables:
            length = len(tokenizer.encode(syllable.text))
            assert syllable.start == pytest.approx(frame_seconds(place))
            assert syllable.end == pytest.approx(frame_seconds(place + 4 * length - 2))
            assert syllable.confidence > 0.99
            place += 4 * length
        assert [syllable.text for syllable in word.syllables] == list(word.text)
        assert (word.start, word.end) == (word.syllables[0].start, word.syllables[-1].end)
        place += 4  # the delimiter
    for segment in result.segments:
        assert (segment.start, segment.end) == (segment.words[0].start, segment.words[-1].end)


def test_words_are_shown_as_written_and_timed_as_spoken() -> None:
    spoken = "오늘은 세 시 이십 분에 책 두 권을 샀다"
    result = aligned("“오늘은” 3시 20분에, 책 2권을 샀다!")
    words = {word.text: word for word in result.transcript.words}
    assert list(words) == ["“오늘은”", "3시", "20분에,", "책", "2권을", "샀다!"]
    assert result.transcript.text == result.segments[0].text == "“오늘은” 3시 20분에, 책 2권을 샀다!"
    assert ["".join(syllable.text for syllable in word.syllables) for word in words.values()] == [
        "오늘은",
        "세시",
        "이십분에",
        "책",
        "두권을",
        "샀다",
    ]
    assert words["3시"].start == pytest.approx(start_of(spoken, spoken.index("세")))
    assert words["20분에,"].start == pytest.approx(start_of(spoken, spoken.index("이십")))
    assert words["책"].start == pytest.approx(start_of(spoken, spoken.index("책")))


@pytest.mark.parametrize(
    ("written", "shares"),
    [
        ("책 2 권을", ["책 ", "두 ", "권을"]),
        ("10 % 정도", ["십 퍼센트", " ", "정도"]),
        ("2020. 5. 3. 에", ["이천이십 년 ", "오 월 ", "삼 일 ", "에"]),
        ("(웃음 소리) 안녕", ["", "", "안녕"]),
        ("가(나 다)라", ["가", "라"]),
        ("- 안녕 - 끝 -", ["", "안녕 ", "", "끝", ""]),
        ("...", [""]),
        ("", []),
    ],
)
def test_each_written_word_has_its_share_of_what_is_said(written: str, shares: list[str]) -> None:
    assert alignment.spoken_words(written.split()) == shares


@given(st.lists(st.text("가나세시0123.,:-()<>%$~'a kg개\u200b", min_size=1).filter(lambda word: not word.isspace())))
def test_the_shares_together_are_the_whole_line_normalised(words: list[str]) -> None:
    assert "".join(alignment.spoken_words(words)) == normalise(" ".join(words), spell=True)


def test_a_word_that_says_nothing_stands_with_the_word_before_it_or_after_it_at_the_beginning() -> None:
    result = aligned("- 오늘은 - 책 ♪\n(박수)\n… 안녕")
    assert [word.text for word in result.transcript.words] == ["- 오늘은 -", "책 ♪", "… 안녕"]
    assert [segment.text for segment in result.segments] == ["- 오늘은 - 책 ♪", "… 안녕"]
    assert result.untimed == ("(박수)",)
    assert [*result.warnings()] == ["lines without words were left out (1), such as '(박수)'"]


@pytest.mark.parametrize("units", TOKENIZERS)
def test_a_character_that_cannot_be_spelt_is_left_out_and_counted(units: str) -> None:
    result = aligned("오늘은뷁 뷁뷁 책\n뷁쀍\n안녕", "오늘은 책 안녕", units)
    assert [word.text for word in result.transcript.words] == ["오늘은뷁 뷁뷁", "책", "안녕"]
    assert [syllable.text for syllable in result.transcript.words[0].syllables] == ["오", "늘", "은"]
    assert result.left_out == tuple("뷁뷁뷁뷁쀍")
    assert result.untimed == ("뷁쀍",)
    assert next(result.warnings()).startswith("characters that the model cannot spell were left out (5): 뷁 4, 쀍 1;")
    assert all(word.confidence > 0.99 for word in result.transcript.words)


@pytest.mark.parametrize("units", TOKENIZERS)
@given(st.text("오늘은세시책두권을 \n-3뷁", max_size=30))
def test_any_text_keeps_its_order_and_stays_inside_the_audio(units: str, text: str) -> None:
    transcriber, wave = planted(SENTENCE * 5, TOKENIZERS[units])
    if not set(text) & set(SENTENCE.replace(" ", "")):
        text += "책"
    result = alignment.align_text(transcriber, wave, text)  # type: ignore[arg-type]
    words = result.transcript.words
    lines = [" ".join(line.split()) for line in text.splitlines() if line.split()]
    assert sorted([*(segment.text for segment in result.segments), *result.untimed]) == sorted(lines)
    assert all(left.end <= right.start for left, right in pairwise(words))
    assert all(0 <= word.start < word.end <= result.transcript.seconds for word in words)
    assert all(word.syllables for word in words)


def test_each_format_has_the_lines_of_the_text_with_their_times() -> None:
    result = aligned("오늘은 --> 책< 3시 &\n안녕!", "오늘은 책 세 시 안녕")
    rows = [(round(1000 * each.start), round(1000 * each.end), each.text) for each in result.segments]
    assert [text for _, _, text in rows] == ["오늘은 --> 책< 3시 &", "안녕!"]
    srt = pysubs2.SSAFile.from_string(result.render("srt"), format_="srt", keep_html_tags=True)
    assert [(cue.start, cue.end, cue.text) for cue in srt] == rows
    vtt = webvtt.from_string(result.render("vtt"))
    cues = [(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.text) for cue in vtt]
    assert [(start, end, html.unescape(text)) for start, end, text in cues] == rows
    tsv = [line.split("\t") for line in result.render("tsv").splitlines()[1:]]
    assert [(int(start), int(end), text) for start, end, text in tsv] == rows
    first, second = json.loads(result.render("json"))["segments"]
    assert [word["text"] for word in first["words"]] == ["오늘은 -->", "책<", "3시 &"]
    assert [syllable["text"] for syllable in first["words"][2]["syllables"]] == ["세", "시"]
    assert (second["start"], second["text"]) == (rows[1][0] / 1000, "안녕!")
    grid = result.render("textgrid")
    assert all(f'text = "{text}"' in grid for text in ("오늘은 -->", "책<", "3시 &", "안녕!", "세"))


@pytest.mark.parametrize("text", ["", " \n\n", "...\n--", "(웃음)", "뷁"])
def test_a_text_with_nothing_to_align_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="the text holds no words that can be aligned"):
        aligned(text, "안녕")


def test_a_text_that_the_audio_is_too_short_for_is_refused() -> None:
    with pytest.raises(InputError, match=r"13 frames cannot spell 28 labels, which need 28: give longer audio"):
        aligned(SENTENCE, "안녕")


@pytest.mark.parametrize(("samples", "level"), [(0, 0.0), (16_000, 0.0), (16_000, 3e-5)], ids=["no", "zeros", "dither"])
def test_silent_audio_is_refused(samples: int, level: float) -> None:
    transcriber, _ = planted("안녕", TOKENIZERS["jamo"])
    with pytest.raises(InputError, match="the audio is silent"):
        alignment.align_text(transcriber, np.full(samples, level, np.float32), "안녕")  # type: ignore[arg-type]


def test_audio_that_is_missing_is_an_audio_error(tmp_path: Path) -> None:
    transcriber, _ = planted("안녕", TOKENIZERS["jamo"])
    with pytest.raises(AudioError, match=r"missing\.wav"):
        alignment.align_text(transcriber, tmp_path / "missing.wav", "안녕")  # type: ignore[arg-type]
