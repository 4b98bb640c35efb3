"""Segments and the files of a transcript."""

import json

import pytest

from distilhubert_ko.transcript import LONGEST, PAUSE, READABLE, Layout, Transcript, Word, write


def words(*spoken: tuple[str, float, float]) -> Transcript:
    return Transcript(tuple(Word(text, start, end, 0.5) for text, start, end in spoken), spoken[-1][2] + 5)


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
    assert table["segments"][0]["words"][1] == {"text": "여러분", "start": 1.3, "end": 1.75, "confidence": 0.5}
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
