import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from benchmarks.readings import main as measure_readings
from distilhubert_ko.errors import InputError
from distilhubert_ko.text.counters import COUNTERS, say_count
from distilhubert_ko.text.normalise import normalise, readings
from distilhubert_ko.text.numbers import to_digits
from distilhubert_ko.text.numerals import figures, native_korean, sino_korean
from distilhubert_ko.text.spelling import read


@given(st.integers(0, 10**20 - 1))
def test_sino_numbers_agree_with_num2words(number):
    assert sino_korean(number) == num2words(number, lang="ko")


def test_sino_numbers_agree_with_num2words_up_to_a_thousand_and_around_powers_of_ten():
    edges = [10**power + step for power in range(1, 20) for step in (-1, 0, 1)]
    for number in [*range(1001), *edges]:
        assert sino_korean(number) == num2words(number, lang="ko")


def test_native_numbers_are_those_of_the_ordinals_of_num2words():
    for number in range(2, 100):
        # num2words reads the twentieth as 스물 번째, and knows no form that 20 takes before a counter.
        expected = "스무" if number == 20 else num2words(number, lang="ko", to="ordinal").removesuffix(" 번째")
        assert native_korean(number) == expected
    assert native_korean(1) == "한"


@pytest.mark.parametrize("number", [-1, 10**20])
def test_a_number_without_a_sino_reading_is_refused(number):
    with pytest.raises(InputError, match="whole number from 0"):
        sino_korean(number)


@pytest.mark.parametrize("number", [0, 100])
def test_a_number_without_a_native_reading_is_refused(number):
    with pytest.raises(InputError, match="use sino"):
        native_korean(number)


def test_figures_are_read_one_by_one():
    assert figures("0210") == "공이일공"
    assert figures("05", zero="영") == "영오"


NUMBERED = st.lists(
    st.one_of(
        st.integers(0, 10**9).map(str),
        st.sampled_from(
            [*"~-,./: +=#%$년월시분개명번대만천억", "m/s", "에서 ", "번째", "출구", "3D", "A4", "님", "이"]
        ),
    ),
    max_size=6,
).map("".join)


@given(NUMBERED)
def test_the_first_readings_are_what_normalising_spells(text):
    first = "".join(piece.readings[0] for piece in readings(text))
    assert " ".join(first.split()) == normalise(text, spell=True)


@given(NUMBERED)
def test_no_reading_holds_a_digit_or_a_latin_letter_and_none_comes_twice(text):
    for piece in readings(text):
        assert not re.search("[0-9A-Za-z]", "".join(piece.readings))
        assert len(set(piece.readings)) == len(piece.readings)
        assert len(piece.readings) <= 100


@given(NUMBERED)
def test_pieces_join_to_what_was_written(text):
    assert "".join(piece.written for piece in read(text)).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("counter", [counter for counter in COUNTERS.values() if counter.native_to])
def test_a_counter_changes_to_sino_numbers_after_its_last_native_one(counter):
    last = counter.native_to
    assert say_count(last, counter)[0] == native_korean(last)
    assert say_count(last + 1, counter)[0] == (sino_korean(last + 1))


@given(st.integers(1, 99), st.sampled_from("개명살잔"))
def test_people_may_count_any_things_up_to_99_in_native_numbers(number, counter):
    (piece,) = readings(f"{number}{counter}")
    assert f"{native_korean(number)} {counter}" in piece.readings


@given(st.integers(1, 8), st.sampled_from("~-"), st.sampled_from(["명", "년", "%", "층"]))
def test_a_range_can_always_be_read_in_full(low, separator, counter):
    (piece,) = readings(f"{low}{separator}{low + 1}{counter}")
    first, second = (normalise(f"{number}{counter}", spell=True) for number in (low, low + 1))
    assert f"{first}에서 {second}" in piece.readings


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("1.5억 원", "일 점 오억 원"),
        ("8천 5백 6십만 달러", "팔천오백육십만 달러"),
        ("10만 3명", "십만 세 명"),
        ("18일 20~25일", "십팔 일 이십에서 이십오 일"),
        ("12~13명", "열두세 명"),
        ("5, 6학년", "오 육 학년"),
        ("3x4", "삼 곱하기 사"),
        ("5-3=2", "오 빼기 삼은 이"),
        ("4번 홈", "사 번 홈"),
        ("컴퓨터 3대 구입", "컴퓨터 세 대 구입"),
        ("선생님 3분", "선생님 세 분"),
        ("CCTV 3대", "씨씨티비 세 대"),
        ("KF-21", "케이에프이십일"),
        ("코로나19", "코로나일구"),
        ("면적 0. 5%", "면적 영 점 오 퍼센트"),
        ("(02)123-4567", "공이 일이삼 사오육칠"),
        ("110-123-456789", "일일공 일이삼 사오육칠팔구"),
        ("64비트 9/11 24/7", "육십사 비트 십일 분의 구 이십사 칠"),
        ("1" * 5000 + "/" + "2" * 5000, "일" * 5000 + " " + "이" * 5000),
        ("A" + "1" * 5000, "에이" + "일" * 5000),
    ],
)
def test_more_ways_of_writing_numbers(typed, expected):
    assert normalise(typed, spell=True) == expected


@pytest.mark.parametrize("unit", ["1-", "1+", "1.", "A1", "A&", "W", "1~", "1 2개 ", "삼 년 ", "이천 ", "이 대 "])
def test_a_long_run_of_anything_is_read_in_linear_time(unit):
    text = unit * 3000  # what is quadratic takes minutes
    assert normalise(text, spell=True)
    assert to_digits(text)


def test_the_shared_cases_are_read_as_people_read_them():
    cases = Path(__file__).parents[3] / "shared" / "cases" / "readings.tsv"
    if not cases.exists():
        pytest.skip("the shared readings are not here")
    for line in cases.read_text("utf-8").splitlines()[1:]:
        written, right = line.split("\t")
        assert normalise(written, spell=True) == right


def test_the_measurement_says_so_where_the_pairs_are_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["readings", "--pairs", str(tmp_path / "none.tsv")])
    measure_readings()
    assert "skipped" in capsys.readouterr().err


def test_the_measurement_counts_defaults_and_other_readings(tmp_path, capsys, monkeypatch):
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text(
        "written\tspoken\tsentence_written\tsentence_spoken\n"
        "3번\t삼 번\t3번 출구에서 3번 봤다\t삼 번 출구에서 세 번 봤다\n"
        "20%\t이십 프로\t20%나\t이십 프로나\n"
        "5개\t여섯 개\t5개\t여섯 개\n",
        "utf-8",
    )
    monkeypatch.setattr("sys.argv", ["readings", "--pairs", str(pairs), "--cases", str(tmp_path / "none"), "--wrong"])
    measure_readings()
    out = capsys.readouterr().out
    assert "numbers in their sentences: 3 pairs, by default 33.3%, with any reading 66.7%" in out
    assert "5개 in 5개" in out
