"""Alignments of syllables against a search through all alignments, and their counts."""

from collections import Counter
from functools import cache
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.evaluation import metrics, syllables
from distilhubert_ko.evaluation.metrics import ErrorCounts
from distilhubert_ko.evaluation.syllables import PositionCounts
from distilhubert_ko.text.hangul import NO_FINAL, letters_by_position

LONE = "\u1100\u1161\u11a8"
KOREAN = st.text(alphabet=f"가각나낙값닭의 a1ㅋ{LONE}", max_size=10)
PAIRS = st.tuples(KOREAN, KOREAN)
WORDS = st.lists(st.text(alphabet="가나다라", min_size=1, max_size=3), max_size=5)
POSITIONS = ("initial", "medial", "final")


def characters(written: str) -> str:
    return "".join(normalize("NFC", written).split())


def jamo(character: str) -> list[str]:
    """Return the NFD of a character by position: three letters for Hangul, with "" for a missing one."""
    found = ["", "", ""]
    for each in normalize("NFD", character):
        place = 0 if "ᄀ" <= each <= "ᄒ" else 1 if "ᅡ" <= each <= "ᅵ" else 2 if "ᆨ" <= each <= "ᇂ" else None
        if place is None:
            return [character] * 3
        found[place] = each
    return found


def differing(said: str, heard: str) -> int:
    pair = (jamo(each) if each else ["", "", ""] for each in (said, heard))
    return sum(one != other for one, other in zip(*pair, strict=True))


def fewest(reference: str, hypothesis: str) -> int:
    """Return the number of differing positions in the best alignment, by trying all."""

    @cache
    def rest(i: int, j: int) -> int:
        ways = []
        if i < len(reference):
            ways.append(differing(reference[i], "") + rest(i + 1, j))
        if j < len(hypothesis):
            ways.append(differing("", hypothesis[j]) + rest(i, j + 1))
        if i < len(reference) and j < len(hypothesis):
            ways.append(differing(reference[i], hypothesis[j]) + rest(i + 1, j + 1))
        return min(ways, default=0)

    return rest(0, 0)


@given(PAIRS)
def test_an_alignment_spells_both_texts_and_no_other_has_fewer_differing_positions(pair: tuple[str, str]) -> None:
    pairs = syllables.syllable_pairs(*pair)
    reference, hypothesis = map(characters, pair)
    assert "".join(said for said, _ in pairs) == reference
    assert "".join(heard for _, heard in pairs) == hypothesis
    assert ("", "") not in pairs
    assert sum(differing(*each) for each in pairs) == fewest(reference, hypothesis)


@given(PAIRS)
def test_every_jamo_and_every_missing_final_of_both_texts_is_counted_once(pair: tuple[str, str]) -> None:
    counts = syllables.position_counts(*pair)
    for written, length in (
        (pair[0], lambda each: each.reference),
        (pair[1], lambda each: each.hits + each.substitutions + each.insertions),
    ):
        spelled = Counter()
        for character in characters(written):
            decomposed = normalize("NFD", character)
            spelled["initial"] += "ᄀ" <= decomposed[0] <= "ᄒ"
            spelled["medial"] += "ᅡ" <= decomposed[min(1, len(decomposed) - 1)] <= "ᅵ"
            # A syllable always has a final, if only that it has none; a lone final is one, too.
            spelled["final"] += "가" <= character <= "힣" or "ᆨ" <= character <= "ᇂ"
        assert [length(getattr(counts, name)) for name in POSITIONS] == [spelled[name] for name in POSITIONS]


@given(st.tuples(*[st.text(alphabet="가각나낙값닭의", max_size=10)] * 2))
def test_where_all_is_syllables_they_are_lost_and_added_whole(pair: tuple[str, str]) -> None:
    counts = syllables.position_counts(*pair)
    gaps = syllables.syllable_pairs(*pair)
    for name in POSITIONS:
        each: ErrorCounts = getattr(counts, name)
        assert each.deletions == sum(heard == "" for _, heard in gaps)
        assert each.insertions == sum(said == "" for said, _ in gaps)


@given(st.tuples(*[st.text(alphabet="가각나낙값닭의 ", max_size=10)] * 2))
def test_the_three_positions_explain_at_least_the_errors_in_jamo(pair: tuple[str, str]) -> None:
    """Without missing finals, which are no jamo, the pairs are an edit of one text into the other."""
    counts = syllables.position_counts(*pair)
    silent = sum(
        (said == "" or heard == "") and letters_by_position(said or heard)[2] == NO_FINAL
        for said, heard in syllables.syllable_pairs(*pair)
    )
    errors = sum(getattr(counts, name).errors for name in POSITIONS)
    assert metrics.jamo(*pair).errors <= errors - silent


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("각", "가", "final"),
        ("가", "각", "final"),
        ("갑", "각", "final"),
        ("가", "나", "initial"),
        ("가", "고", "medial"),
    ],
)
def test_a_wrong_or_missing_or_needless_jamo_is_one_substitution_in_its_position(
    said: str, heard: str, wrong: str
) -> None:
    counts = syllables.position_counts(said, heard)
    for name in POSITIONS:
        assert getattr(counts, name) == (ErrorCounts(substitutions=1) if name == wrong else ErrorCounts(hits=1))


def test_a_syllable_heard_as_a_foreign_character_is_deleted_and_one_heard_for_it_inserted() -> None:
    assert syllables.position_counts("가", "a").initial == ErrorCounts(deletions=1)
    assert syllables.position_counts("a", "가").final == ErrorCounts(insertions=1)
    assert syllables.position_counts("a", "b") == PositionCounts()
    assert syllables.position_counts("", "") == PositionCounts()


def test_a_syllable_stands_beside_the_one_that_it_resembles() -> None:
    assert syllables.syllable_pairs("날씨가 좋다", "날시 조타") == [
        *(("날", "날"), ("씨", "시"), ("가", ""), ("좋", "조"), ("다", "타")),
    ]


@given(WORDS, WORDS)
def test_in_the_same_characters_spaces_are_compared_place_by_place(first: list[str], second: list[str]) -> None:
    joined = "".join(first)
    cuts = [len("".join(second[: i + 1])) for i in range(len(second))]
    parts = [joined[a:b] for a, b in zip([0, *cuts], [*cuts, len(joined)], strict=True)]
    places = [set(), set()]
    for found, words in zip(places, (first, [part for part in parts if part]), strict=True):
        position = 0
        for word in words[:-1]:
            position += len(word)
            found.add(position)
    said, heard = places
    counts = syllables.position_counts(" ".join(first), " ".join(parts)).spaces
    assert counts == ErrorCounts(hits=len(said & heard), deletions=len(said - heard), insertions=len(heard - said))


@given(PAIRS)
def test_errors_in_spaces_and_in_characters_are_together_an_edit_of_the_whole(pair: tuple[str, str]) -> None:
    spaces = syllables.position_counts(*pair).spaces
    assert spaces.reference == max(0, len(pair[0].split()) - 1)
    assert spaces.hits + spaces.insertions == max(0, len(pair[1].split()) - 1)
    closed = sum(said != heard for said, heard in syllables.syllable_pairs(*pair))
    reference, hypothesis = (" ".join(each.split()) for each in pair)
    assert metrics.characters(reference, hypothesis).errors <= closed + spaces.errors


def test_positions_add_up_over_a_corpus() -> None:
    one, other = syllables.position_counts("각 나", "가나"), syllables.position_counts("다 라", "다 가라")
    total = one + other
    assert total.initial == one.initial + other.initial
    assert total.final.substitutions == 1
    assert total.spaces == ErrorCounts(hits=1, deletions=1)
