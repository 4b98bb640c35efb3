import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.digits import WRITTEN, is_brought_back, spoken_lines
from benchmarks.digits import main as measure_digits
from distilhubert_ko.text.normalise import normalise
from distilhubert_ko.text.numbers import find_numbers, group_words, to_digits

DOCUMENT = Path(__file__).parents[2] / "docs" / "text.md"
SPEECH = Path(__file__).parents[3] / "shared" / "speech" / "pansori-tedxkr"
SPOKEN = [
    *"영공일이삼사오육칠팔구십백천만억조한두세네",
    *"년월일시분초원개명번대",
    "다섯",
    "스무",
    "열",
    "퍼센트",
    "점",
    " ",
    " ",
]
spoken_texts = st.lists(st.sampled_from(SPOKEN), max_size=14).map(lambda parts: " ".join("".join(parts).split()))


def there_and_back(written: str) -> str:
    return to_digits(normalise(written, spell=True))


@pytest.mark.parametrize(
    "written", [each for kind in WRITTEN.values() for each in re.findall(r"영하 \S+|3대 1|\S+", kind)]
)
def test_what_is_spelled_comes_back_as_it_was_written(written):
    assert there_and_back(written).replace(" ", "") == written.replace(" ", "")


@given(st.integers(10, 10**12), st.sampled_from(["원", "명", "개", "미터", "퍼센트"]))
def test_any_counted_number_comes_back_with_its_value(number, counter):
    written = there_and_back(f"{number}{counter}")
    assert normalise(written, spell=True) == normalise(f"{number}{counter}", spell=True)
    assert re.fullmatch(r"[0-9,만억조]+\D+", written)


@given(st.integers(1, 12), st.integers(1, 59))
def test_any_time_of_day_comes_back(hour, minute):
    assert there_and_back(f"{hour}시 {minute}분") == f"{hour}시 {minute}분"


@given(st.integers(1900, 2099), st.integers(1, 12), st.integers(1, 31))
def test_any_date_comes_back(year, month, day):
    assert there_and_back(f"{year}년 {month}월 {day}일에") == f"{year}년 {month}월 {day}일에"


@given(st.integers(0, 99), st.integers(1, 99))
def test_any_decimal_with_a_unit_comes_back(whole, decimals):
    assert there_and_back(f"{whole}.{decimals}%") == f"{whole}.{decimals}%"


@pytest.mark.parametrize(
    "text",
    [
        "이 세상에 하나뿐인",
        "구경 갔다 왔어요",
        "오늘은 일이 많다",
        "만일 그렇다면",
        "이 조건을 보면",
        "살 만한 곳",
        "말을 한 사람",
        "공부를 한 시간",
        "한 번 해 보세요",
        "한 개인이",
        "백사장이 넓다",
        "혹시 이분요",
        "어서 오십시오",
        "만원 버스를 탔다",
        "십분 이해합니다",
        "제사장이 말했다",
        "이천에 산다",
        "천만에요",
        "몇 십 년 전",
        "십일조를 냈다",
        "이 분의 일이다",
        "두 나라 사이 합의",
        "일조권 침해",
        "네 편이야",
        "물건을 사 주는 사람",
        "사부작 사부작",
    ],
)
def test_what_is_not_surely_a_number_stays(text):
    assert to_digits(text) == text


@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("", ""),
        ("오천삼백 원입니다", "5,300원입니다"),
        ("삼십 오 명", "35명"),
        ("천 구백 구십 이 년", "1992년"),
        ("세시삼십분에", "3시30분에"),
        ("삼월 이 일", "3월 2일"),
        ("이월 십사일", "2월 14일"),
        ("이 박 삼 일", "2박 3일"),
        ("만 이십 세", "만 20세"),
        ("한 시간 반", "1시간 반"),
        ("열다섯 살짜리", "15살짜리"),
        ("삼십 두 개", "32개"),
        ("넉 달 전", "4달 전"),
        ("두세 명", "2~3명"),
        ("이 삼십 대", "20~30대"),
        ("백여 명", "100여명"),
        ("칠십 년 대", "70년대"),
        ("삼 분의 일", "1/3"),
        ("영 점 오 퍼센트", "0.5%"),
        ("십오 프로", "15%"),
        ("마이너스 십이 점 오 도", "-12.5도"),
        ("공일공 일이삼사에 오육칠팔", "010-1234-5678"),
        ("사오구이 님", "4592 님"),
        ("육이오 때", "6·25 때"),
        ("구일삼 대책", "9·13 대책"),
        ("제이차 세계대전", "제2차 세계대전"),
        ("삼만 오천 원", "3만5,000원"),
        ("이천십구 대한민국", "2019 대한민국"),
    ],
)
def test_what_is_surely_a_number_becomes_digits(spoken, written):
    assert to_digits(spoken) == written


@given(spoken_texts)
def test_groups_cover_all_words_and_join_to_the_whole_text(text):
    words = text.split()
    groups = group_words(words)
    assert [place for start, end, _ in groups for place in range(start, end)] == list(range(len(words)))
    assert " ".join(written for _, _, written in groups) == to_digits(text)


@given(spoken_texts)
def test_digits_stay_as_they_are_and_edits_do_not_overlap(text):
    once = to_digits(text)
    assert re.findall("[0-9]+", to_digits(once)) >= re.findall("[0-9]+", once)
    end = 0
    for edit in find_numbers(text):
        assert end <= edit.start < edit.end <= len(text)
        assert re.search("[0-9]", edit.written)
        end = edit.end


def documented() -> list[tuple[str, str]]:
    tables = re.findall(r"\| said \| written \|\n\|---\|---\|\n((?:\|.*\|\n)+)", DOCUMENT.read_text("utf-8"))
    return [pair for table in tables for pair in re.findall(r"^\| `(.*)` \| `(.*)` \|$", table, re.MULTILINE)]


def test_the_document_shows_what_changes_and_what_stays():
    assert len(documented()) >= 20


@pytest.mark.parametrize(("said", "written"), documented())
def test_digits_are_what_the_document_says(said, written):
    assert to_digits(said) == written


def test_a_long_run_of_dates_takes_no_deep_recursion():
    assert to_digits("삼년" * 5000 + " 삼 년").endswith("3년")


def test_words_of_a_number_are_one_group():
    assert group_words("값은 오천 삼백 원 입니다".split()) == [(0, 1, "값은"), (1, 4, "5,300원"), (4, 5, "입니다")]


def test_one_line_in_a_thousand_changes_wrongly_at_most_in_talks():
    if not SPEECH.exists():
        pytest.skip("the shared talks are not here")
    changed = [to_digits(line) for line in spoken_lines(SPEECH) if list(find_numbers(line))]
    # Every one of them was read and found right; another number asks for reading them again.
    assert len(changed) == 37


def test_a_number_is_brought_back_if_its_place_is_read_as_it_was_said():
    assert is_brought_back("오 천 원", "값은 오 천 원 이다")
    assert not is_brought_back("한 번", "한 번 보자")


def test_the_measurement_lists_changes_and_skips_what_is_missing(tmp_path, capsys, monkeypatch):
    text = tmp_path / "lines.txt"
    text.write_text("두 시간 걸렸다\n3시\n이 세상\n", "utf-8")
    monkeypatch.setattr("sys.argv", ["digits", str(text), "--changes", "--pairs", str(tmp_path / "none")])
    measure_digits()
    out, err = capsys.readouterr()
    assert "lines.txt: 1 of 2 lines change" in out
    assert "[두 시간 -> 2시간] 걸렸다" in out
    assert "skipped" in err
