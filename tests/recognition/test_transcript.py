"""Segments, syllables and the files of a transcript."""

import html
import json
from itertools import pairwise

import pysubs2
import pytest
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import FRAMES
from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.recognition.transcript import (
    LONGEST,
    PAUSE,
    READABLE,
    Layout,
    Syllable,
    Transcript,
    Word,
    from_tokens,
    write,
)
from distilhubert_ko.text.tokenizer import Tokenizer


def words(*spoken: tuple[str, float, float]) -> Transcript:
    return Transcript(tuple(Word(text, start, end, 0.5) for text, start, end in spoken), spoken[-1][2] + 5)


ALPHABET = "가각갈거걸나난너라러"
TOKENIZERS = {units: Tokenizer.from_texts([ALPHABET], units) for units in ("syllables", "jamo")}
TWO = words(("안녕하세요", 0.5, 1.2), ("여러분", 1.3, 1.75), ("반갑습니다", 3.0, 3.9))


def test_a_pause_ends_a_segment_and_a_shorter_one_does_not() -> None:
    assert [segment.text for segment in TWO.segments] == ["안녕하세요 여러분", "반갑습니다"]
    joined = words(("가", 0.0, 0.2), ("나", 0.2 + PAUSE - 0.01, 1.0))
    assert len(joined.segments) == 1


def test_segments_keep_to_width_lines_and_length_and_lose_no_word() -> None:
    many = words(*((f"낱말{'들' * (i % 5)}", 0.4 * i, 0.4 * i + 0.3) for i in range(200)))
    for layout in (Layout(), Layout(10, 1), Layout(12, 2)):
        segments = many.segmented(layout)
        assert [word for segment in segments for word in segment.words] == list(many.words)
        for segment in segments:
            assert len(segment.lines) <= layout.max_line_count
            assert all(len(line) <= layout.max_line_width for line in segment.lines)
            assert segment.words[-1].end - segment.start <= LONGEST


def test_a_word_wider_than_a_line_has_one_of_its_own() -> None:
    long = words(("가" * 40, 0.0, 1.0), ("나", 1.1, 1.2))
    assert [segment.lines for segment in long.segments] == [("가" * 40,), ("나",)]


def test_segments_do_not_overlap_and_stay_long_enough_to_read_where_there_is_room() -> None:
    hasty = words(("가나다라마바사아자차카타", 0.0, 0.2), ("하", 5.0, 5.1))
    first, second = hasty.segments
    assert first.end == pytest.approx(12 / READABLE)
    assert first.end <= second.start
    crowded = words(("가나다라마바사아자차카타" * 2, 0.0, 0.2), ("하" * 30, 0.4, 0.6))
    assert crowded.segments[0].end == crowded.segments[1].start == 0.4


def test_srt_has_hours_and_commas() -> None:
    assert TWO.to_srt() == (
        "1\n00:00:00,500 --> 00:00:01,750\n안녕하세요 여러분\n\n2\n00:00:03,000 --> 00:00:03,900\n반갑습니다\n"
    )
    late = words(("끝", 3 * 3600 + 61.5, 3 * 3600 + 61.9996))
    assert "03:01:01,500 --> 03:01:02,000" in late.to_srt()


def test_vtt_has_its_header_full_stops_and_no_markup_from_the_text() -> None:
    odd = words(("<b>&", 0.0, 1.0))
    assert odd.to_vtt() == "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n&lt;b&gt;&amp;\n"
    assert TWO.to_vtt().startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.750\n안녕하세요 여러분\n\n00:00:03.000")


def test_tsv_has_whole_milliseconds() -> None:
    assert TWO.to_tsv() == "start\tend\ttext\n500\t1750\t안녕하세요 여러분\n3000\t3900\t반갑습니다\n"


def test_json_has_hangul_segments_and_words() -> None:
    written = TWO.to_json()
    assert "안녕하세요" in written
    table = json.loads(written)
    assert table["text"] == TWO.text
    assert [segment["text"] for segment in table["segments"]] == ["안녕하세요 여러분", "반갑습니다"]
    times = {"start": 1.3, "end": 1.75, "confidence": 0.5}
    assert table["segments"][0]["words"][1] == {"text": "여러분", **times, "syllables": []}
    assert table["segments"][1]["confidence"] == 0.5


def test_txt_has_a_line_a_segment_and_an_empty_transcript_is_empty_in_each_format() -> None:
    assert TWO.to_txt() == "안녕하세요 여러분\n반갑습니다\n"
    nothing = Transcript((), 1.0)
    assert (nothing.text, nothing.to_txt(), nothing.to_srt()) == ("", "", "")
    assert nothing.to_vtt() == "WEBVTT\n"
    assert json.loads(nothing.to_json())["segments"] == []


def test_one_word_each_gives_a_segment_for_each_word() -> None:
    rows = write(TWO, "tsv", TWO.one_word_each()).splitlines()[1:]
    assert rows == ["500\t1200\t안녕하세요", "1300\t1750\t여러분", "3000\t3900\t반갑습니다"]


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of txt, srt"):
        write(TWO, "doc")


def times(each: Word | Syllable) -> tuple[float, float]:
    return each.start, each.end


@st.composite
def planted_tokens(draw: st.DrawFn, tokenizer: Tokenizer) -> tuple[str, list[Token], float]:
    """A text, tokens that spell it in runs of frames with gaps between them, and the seconds of their audio."""
    text = draw(st.text(ALPHABET + " ", max_size=12))
    tokens, frame = [], 0
    for id in tokenizer.encode(text):
        start = frame + draw(st.integers(0, 3))
        frame = start + draw(st.integers(1, 3))
        tokens.append(Token(id, start, frame, draw(st.floats(-5, 0))))
    # The last frame begins within the audio, and may end after it.
    return text, tokens, FRAMES.seconds(frame) + draw(st.sampled_from([-0.019, 0.0, 1.0])) if tokens else 0.0


@pytest.mark.parametrize("units", TOKENIZERS)
@settings(deadline=None)
@given(st.data())
def test_syllables_spell_their_word_in_order_inside_it_and_inside_the_audio(units: str, data: st.DataObject) -> None:
    text, tokens, seconds = data.draw(planted_tokens(TOKENIZERS[units]))
    transcript = from_tokens(tokens, TOKENIZERS[units], seconds)
    assert transcript.text == " ".join(text.split())
    for word in transcript.words:
        assert [syllable.text for syllable in word.syllables] == list(word.text)
        edges = [time for syllable in word.syllables for time in times(syllable)]
        assert edges == sorted(edges)
        assert (edges[0], edges[-1]) == times(word)
        assert all(0 <= syllable.start < syllable.end <= seconds for syllable in word.syllables)
        assert all(0 < syllable.confidence <= 1 for syllable in word.syllables)
    assert all(left.end <= right.start for left, right in pairwise(transcript.words))


def test_the_jamo_of_a_syllable_are_one_syllable_from_the_first_to_the_last() -> None:
    jamo = TOKENIZERS["jamo"]
    tokens = [Token(id, 5 * place, 5 * place + 2, 0.0) for place, id in enumerate(jamo.encode("각나"))]
    (word,) = from_tokens(tokens, jamo, 1.0).words
    assert word.syllables == (Syllable("각", 0.0, 0.24, 1.0), Syllable("나", 0.3, 0.44, 1.0))


def test_an_unknown_unit_is_a_syllable_of_its_own() -> None:
    jamo = TOKENIZERS["jamo"]
    ids = [jamo.unknown_id, *jamo.encode("가"), jamo.unknown_id, jamo.unknown_id]
    (word,) = from_tokens([Token(id, 2 * place, 2 * place + 1, 0.0) for place, id in enumerate(ids)], jamo, 1.0).words
    assert [syllable.text for syllable in word.syllables] == ["[UNK]", "가", "[UNK]", "[UNK]"]
    assert word.text == "[UNK]가[UNK][UNK]"


def test_json_has_the_syllables_of_a_word() -> None:
    word = Word("가나", 0.1, 0.30001, 0.5, (Syllable("가", 0.1, 0.2, 0.123456), Syllable("나", 0.2, 0.30001, 1.0)))
    (written,) = json.loads(Transcript((word,), 1.0).to_json())["segments"][0]["words"]
    assert written["syllables"] == [
        {"text": "가", "start": 0.1, "end": 0.2, "confidence": 0.1235},
        {"text": "나", "start": 0.2, "end": 0.3, "confidence": 1.0},
    ]


AWKWARD = words(
    ("-->", 0.0, 0.5),
    ("a-->b", 1.4, 1.6),
    ("&", 2.5, 3.0),
    ("&amp;", 3.9, 4.1),
    ("<b>", 5.0, 5.5),
    ("</b>그리고", 6.4, 6.5),
    ("7", 7.5, 8.0),
    ("WEBVTT", 9.0, 9.1234),
    ("NOTE", 59.9996, 60.4),
    ("끝<", 99 * 3600 + 3599.0, 99 * 3600 + 3599.5),
)
NOTHING = Transcript((), 1.0)


def shown(transcript: Transcript) -> list[tuple[int, int, str]]:
    """What a parser should read: milliseconds and text of each segment."""
    return [(round(1000 * each.start), round(1000 * each.end), each.text) for each in transcript.segments]


@pytest.mark.parametrize("transcript", [TWO, AWKWARD, NOTHING], ids=["plain", "awkward", "empty"])
def test_pysubs2_reads_from_srt_what_was_written(transcript: Transcript) -> None:
    """SubRip has no way to escape what looks like a tag, so the parser is told to leave tags alone."""
    parsed = pysubs2.SSAFile.from_string(transcript.to_srt(), format_="srt", keep_html_tags=True)
    assert [(cue.start, cue.end, cue.text) for cue in parsed] == shown(transcript)


@pytest.mark.parametrize("transcript", [TWO, AWKWARD, NOTHING], ids=["plain", "awkward", "empty"])
def test_webvtt_py_reads_from_vtt_what_was_written(transcript: Transcript) -> None:
    """It leaves character references to its caller."""
    parsed = webvtt.from_string(transcript.to_vtt())
    cues = [(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.text) for cue in parsed]
    assert [(start, end, html.unescape(text)) for start, end, text in cues] == shown(transcript)


def test_both_formats_keep_lines_and_words_that_have_several() -> None:
    many = words(*((f"낱말{number}", 0.4 * number, 0.4 * number + 0.3) for number in range(60)))
    segments = many.segmented(Layout(12, 2))
    texts = ["\n".join(segment.lines) for segment in segments]
    assert any("\n" in text for text in texts)
    assert [cue.text for cue in webvtt.from_string(write(many, "vtt", segments))] == texts
    srt = pysubs2.SSAFile.from_string(write(many, "srt", segments), format_="srt")
    assert [cue.plaintext for cue in srt] == texts


def test_hours_past_99_have_three_figures() -> None:
    """SubRip's parsers stop at two, WebVTT's do not."""
    late = words(("끝", 123 * 3600 + 1.5, 123 * 3600 + 2.0))
    assert "123:00:01,500 --> 123:00:02,000\n끝\n" in late.to_srt()
    (cue,) = webvtt.from_string(late.to_vtt())
    assert (cue.start, cue.end) == ("123:00:01.500", "123:00:02.000")
