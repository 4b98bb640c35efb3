"""Segments: words that a subtitle shows together."""

import pytest

from distilhubert_ko.recognition.segments import LONGEST, PAUSE, READABLE, Layout
from tests.support.transcripts import TWO, spoken


def test_a_pause_ends_a_segment_and_a_shorter_one_does_not() -> None:
    assert [segment.text for segment in TWO.segments] == ["안녕하세요 여러분", "반갑습니다"]
    joined = spoken(("가", 0.0, 0.2), ("나", 0.2 + PAUSE - 0.01, 1.0))
    assert len(joined.segments) == 1


def test_segments_keep_to_width_lines_and_length_and_lose_no_word() -> None:
    many = spoken(*((f"낱말{'들' * (i % 5)}", 0.4 * i, 0.4 * i + 0.3) for i in range(200)))
    for layout in (Layout(), Layout(10, 1), Layout(12, 2)):
        segments = many.segmented(layout)
        assert [word for segment in segments for word in segment.words] == list(many.words)
        for segment in segments:
            assert len(segment.lines) <= layout.max_line_count
            assert all(len(line) <= layout.max_line_width for line in segment.lines)
            assert segment.words[-1].end - segment.start <= LONGEST


def test_a_word_wider_than_a_line_has_one_of_its_own() -> None:
    long = spoken(("가" * 40, 0.0, 1.0), ("나", 1.1, 1.2))
    assert [segment.lines for segment in long.segments] == [("가" * 40,), ("나",)]


def test_segments_do_not_overlap_and_stay_long_enough_to_read_where_there_is_room() -> None:
    hasty = spoken(("가나다라마바사아자차카타", 0.0, 0.2), ("하", 5.0, 5.1))
    first, second = hasty.segments
    assert first.end == pytest.approx(12 / READABLE)
    assert first.end <= second.start
    crowded = spoken(("가나다라마바사아자차카타" * 2, 0.0, 0.2), ("하" * 30, 0.4, 0.6))
    assert crowded.segments[0].end == crowded.segments[1].start == 0.4


def test_one_word_each_gives_a_segment_for_each_word() -> None:
    assert [(each.start, each.end, each.text) for each in TWO.one_word_each()] == [
        (0.5, 1.2, "안녕하세요"),
        (1.3, 1.75, "여러분"),
        (3.0, 3.9, "반갑습니다"),
    ]
