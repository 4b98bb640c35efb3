"""Segments: words that a subtitle shows together."""

import inspect

import pytest

from distilhubert_ko.cli.transcribe import transcribe_command
from distilhubert_ko.recognition.segments import LONGEST, PAUSE, READABLE, SHORTEST, Layout
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
    assert [segment.lines for segment in long.segmented(Layout(32, 1))] == [("가" * 40,), ("나",)]


def test_segments_do_not_overlap_and_stay_long_enough_to_read_where_there_is_room() -> None:
    hasty = spoken(("가나다라마바사아자차카타", 0.0, 0.2), ("하", 5.0, 5.1))
    first, second = hasty.segments
    assert first.end == pytest.approx(12 / READABLE)
    assert first.end <= second.start
    crowded = spoken(("가나다라마바사아자차카타" * 2, 0.0, 0.2), ("하" * 30, 0.4, 0.6))
    first, second = crowded.segmented(Layout(18, 1))
    assert first.end == second.start == 0.4


def test_a_short_segment_is_shown_for_a_second_and_a_pause_before_that_ends_none() -> None:
    first, second = spoken(("네", 0.0, 0.1), ("네", SHORTEST, 1.2)).segments
    assert (first.end, second.end) == (second.start, 2 * SHORTEST) == (SHORTEST, 2.0)
    (both,) = spoken(("네", 0.0, 0.1), ("네", SHORTEST - 0.01, 1.2)).segments
    assert both.text == "네 네"
    full = spoken(("네", 0.0, 0.1), ("가" * 40, 0.9, 2.0), ("나" * 40, 2.0, 3.0))
    assert [each.lines for each in full.segments] == [("네", "가" * 40), ("나" * 40,)]


def test_segments_have_two_lines_of_18_characters_unless_others_are_named() -> None:
    many = spoken(*((f"낱말{number}", 0.3 * number, 0.3 * number + 0.2) for number in range(10)))
    assert many.segments[0].lines == ("낱말0 낱말1 낱말2 낱말3", "낱말4 낱말5 낱말6 낱말7")
    defaults = {name: each.default for name, each in inspect.signature(transcribe_command).parameters.items()}
    assert Layout(defaults["max_line_width"], defaults["max_line_count"]) == Layout() == Layout(18, 2)


def test_one_word_each_gives_a_segment_for_each_word() -> None:
    assert [(each.start, each.end, each.text) for each in TWO.one_word_each()] == [
        (0.5, 1.2, "안녕하세요"),
        (1.3, 1.75, "여러분"),
        (3.0, 3.9, "반갑습니다"),
    ]
