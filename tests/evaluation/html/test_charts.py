"""Charts as text are well-formed and show their values."""

import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.evaluation.html import charts
from distilhubert_ko.evaluation.html.charts import Series

VALUES = st.floats(1e-6, 1e6)


def numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"[\d.]+", text)]


def test_a_bar_is_as_long_as_its_rate_and_its_line_spans_the_interval() -> None:
    bar = ElementTree.fromstring(charts.bar(0.2, (0.1, 0.3), 0.4, "a"))
    assert [each.get("style") for each in bar] == ["width:50.0%", "left:25.0%;width:50.0%"]


def test_a_bar_of_nothing_or_past_the_chart_stays_in_it() -> None:
    assert numbers(ElementTree.fromstring(charts.bar(0, None, 0, "a"))[0].get("style")) == [0]
    whisker = ElementTree.fromstring(charts.bar(0.5, (0.1, 9.0), 1, "b"))[1].get("style")
    assert sum(numbers(whisker)) == pytest.approx(100)


def test_a_heat_map_has_a_cell_for_every_pair_that_occurred_with_its_count_to_read() -> None:
    pairs = Counter({("ㄱ", "ㄱ"): 3, ("ㄱ", "ㅋ"): 1, ("ㅋ", ""): 2, ("", "ㄱ"): 5})
    chart = charts.heat_map(pairs, ["ㄱ", "ㄴ", "ㅋ"], "Initials")
    ElementTree.fromstring(chart)
    assert re.findall("<title>(.*?)</title>", chart) == [
        "ㄱ → ㄱ: 3 (75.0%)",
        "ㄱ → ㅋ: 1 (25.0%)",
        "ㅋ → –: 2 (100.0%)",
        "– → ㄱ: 5 (100.0%)",
    ]
    assert chart.count('class="hit"') == 1
    assert "ㄴ" not in chart
    ElementTree.fromstring(charts.heat_map(Counter(), ["ㄱ"], "Initials"))


@given(st.lists(st.tuples(st.integers(0, 10**6), VALUES), min_size=1, max_size=9), st.booleans())
def test_a_curve_stays_in_its_chart_and_higher_values_are_higher(points: list[tuple[int, float]], log: bool) -> None:
    chart = ElementTree.fromstring(charts.curves([Series("a", points)], "CER", logarithmic=log))
    line = next(each for each in chart if each.tag == "polyline").get("points")
    drawn = [tuple(map(float, pair.split(","))) for pair in line.split()]
    width, height = map(float, chart.get("viewBox").split()[2:])
    assert all(0 <= x <= width and 0 <= y <= height for x, y in drawn)
    by_value = sorted(zip((y for _, y in points), drawn, strict=True), key=lambda row: row[0])
    heights = [y for _, (_, y) in by_value]
    assert heights == sorted(heights, reverse=True)


def test_a_curve_without_points_is_no_chart_and_what_cannot_be_drawn_is_left_out() -> None:
    assert charts.curves([Series("a", [])], "CER") == ""
    assert charts.curves([Series("a", [(1, float("nan")), (2, float("inf"))])], "CER") == ""
    assert charts.curves([Series("a", [(1, 0.0)])], "loss", logarithmic=True) == ""
    ElementTree.fromstring(charts.curves([Series("a", [(0, 0.0)])], "CER", mark=0))
