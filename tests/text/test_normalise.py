import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.text.hangul import decompose
from distilhubert_ko.text.normalise import foreign_characters, normalise

DOCUMENT = Path(__file__).parents[2] / "docs" / "text.md"
SENTENCES = Path(__file__).parents[3] / "shared" / "text"

# Ordinary text almost never comes out of all of Unicode, so the parts that the rules look at are mixed in.
parts = st.one_of(
    st.text(max_size=4),
    st.integers(0, 10**21).map(str),
    st.sampled_from(
        [
            *"()[]<>~-.,:·ㆍ%℃㎞m²$￦１Ａ'”제여만억조십시월대ㅋ人İ가 \u200b\ufeff\u0301\u1160",
            " 에서 ",
            "km",
            "번째",
        ]
    ),
)
messy = st.lists(parts, max_size=8).map("".join)


def documented(heading: str) -> list[tuple[str, str]]:
    rows = re.findall(rf"\| typed \| {heading} \|\n\|---\|---\|\n((?:\|.*\|\n)+)", DOCUMENT.read_text("utf-8"))
    return [pair for table in rows for pair in re.findall(r"^\| `(.*)` \| `(.*)` \|$", table, re.MULTILINE)]


def test_the_document_has_tables_of_both_kinds():
    assert len(documented("normalised")) >= 10
    assert len(documented("spelled")) >= 40


@pytest.mark.parametrize(("typed", "expected"), documented("normalised"))
def test_cleaning_does_what_the_document_says(typed, expected):
    assert normalise(typed) == expected


@pytest.mark.parametrize(("typed", "expected"), documented("spelled"))
def test_spelling_does_what_the_document_says(typed, expected):
    assert normalise(typed, spell=True) == expected


@pytest.mark.parametrize("counter", [*"개명번잔병권대살달장시", "마리", "시간", "가지", "사람"])
def test_native_counters_take_native_numbers(counter):
    assert normalise(f"3{counter}", spell=True) == f"세 {counter}"


@pytest.mark.parametrize("counter", [*"분초원년월일층호도세위회", "개월", "개국", "번지", "달러"])
def test_other_counters_take_sino_numbers(counter):
    assert normalise(f"3{counter}", spell=True) == f"삼 {counter}"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ""),
        (" \t\n", ""),
        ("\ufeff한\u200b글", "한글"),
        ("한\u00ad글\ufe0f", "한글"),
        ("한\u3164글", "한글"),
        (decompose("값이"), "값이"),
        ("ᄀ\u200bᅡ", "가"),
        ("a]b[c(d", "abcd"),
        ("가(나[다)라]마", "가라마"),
        ("가[나<다]라", "가라"),
        ("기민ᆞ기사", "기민 기사"),
        ("\ud800가", "가"),
    ],
)
def test_awkward_text_is_cleaned(typed, expected):
    assert normalise(typed) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("99살 40개", "아흔아홉 살 사십 개"),
        ("100개", "백 개"),
        ("20~30대", "이십에서 삼십 대"),
        ("5~10만원", "오만에서 십만 원"),
        ("10%~20%", "십 퍼센트에서 이십 퍼센트"),
        ("3:30~5:00", "세 시 삼십 분에서 다섯 시"),
        ("2:05:07", "두 시 오 분 칠 초"),
        ("2018.13.1", "이천십팔 점 일삼 일"),
        ("3.1.4", "삼 점 일 사"),
        ("02-123-4567", "공이 일이삼 사오육칠"),
        ("1588-1234", "일오팔팔 일이삼사"),
        ("3-2로", "삼 대 이로"),
        ("12,34", "십이 삼십사"),
        ("1·2위", "일 이 위"),
        ("3조각 5경기", "세 조각 오 경기"),
        ("3 시작", "삼 시작"),
        ("6월드컵", "육 월드컵"),
        ("1천만 1백 1십", "천만 백십"),
        ("1억 1조 1경", "일억 일조 일경"),
        ("−3.5%p", "마이너스 삼 점 오 퍼센트포인트"),
        ("１２시", "열두 시"),
        ("㎞당 5m²", "케이엠당 오 제곱미터"),
        ("￦1,000 $1.5억", "천 원 일 점 오억 달러"),
    ],
)
def test_awkward_numbers_are_spelled(typed, expected):
    assert normalise(typed, spell=True) == expected


def test_a_number_too_long_for_a_reading_is_spelled_figure_by_figure():
    assert normalise("9" * 20, spell=True).startswith("구천구백구십구경 구천구백구십구조")
    assert normalise("1" + "0" * 20, spell=True) == "일" + "공" * 20
    assert normalise("7" * 5000 + "명", spell=True) == "칠" * 5000 + " 명"


@given(messy, st.booleans())
def test_normalising_twice_changes_nothing_and_gives_nfc_with_single_spaces(text, spell):
    once = normalise(text, spell)
    assert normalise(once, spell) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == " ".join(once.split())


@given(st.text(st.characters(max_codepoint=127)))
def test_spelling_ascii_leaves_nothing_foreign(text):
    assert foreign_characters(normalise(text, spell=True)) == ""


@given(st.text(st.sampled_from("0123456789,.-~:/%$kmgKBS 년월일시분명개만억조")))
def test_spelling_numbers_leaves_nothing_foreign(text):
    assert foreign_characters(normalise(text, spell=True)) == ""


def test_foreign_characters_are_distinct_and_sorted_and_lone_jamo_are_among_them():
    assert foreign_characters("한글 ㅋㅋ b a3 人 a ᄏ") == "3abᄏㅋ人"
    assert foreign_characters("가 힣") == ""


def test_real_sentences_spell_without_digits_or_latin_letters_and_normalise_once():
    path = SENTENCES / "news-korean-english.txt"
    if not path.exists():
        pytest.skip("the shared Korean sentences are not here")
    for line in path.read_text("utf-8").splitlines()[:1000]:
        spelled = normalise(line, spell=True)
        assert not re.search("[0-9a-zA-Z%]", spelled)
        assert normalise(spelled, spell=True) == spelled
