from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.text.hangul import FINALS, INITIALS, MEDIALS, compose, decompose, letters_by_position

SYLLABLES = [chr(code) for code in range(ord("가"), ord("힣") + 1)]


def test_all_11172_syllables_decompose_by_the_formula_of_unicode_and_come_back():
    for index, syllable in enumerate(SYLLABLES):
        lead, rest = divmod(index, 21 * 28)
        vowel, tail = divmod(rest, 28)
        jamo = chr(0x1100 + lead) + chr(0x1161 + vowel) + (chr(0x11A7 + tail) if tail else "")
        assert decompose(syllable) == jamo
        assert compose(jamo) == syllable
    assert len(SYLLABLES) == 11_172


def test_jamo_never_repeat_side_by_side_inside_a_syllable():
    assert all(left != right for syllable in SYLLABLES for left, right in pairwise(decompose(syllable)))


@given(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3))
def test_the_letters_of_a_syllable_number_it_as_unicode_does(syllable: str):
    initial, medial, final = letters_by_position(syllable)
    place = (INITIALS.index(initial) * 21 + MEDIALS.index(medial)) * 28 + FINALS.index(final)
    assert chr(0xAC00 + place) == syllable


def test_a_lone_jamo_fills_its_position_and_other_characters_none():
    assert [letters_by_position(each) for each in "\u1100\u1161\u11a8"] == [
        ("ㄱ", "", ""),
        ("", "ㅏ", ""),
        ("", "", "ㄱ"),
    ]
    for character in ("ㄱ", "a", " ", "漢", "é", "\u1113", ""):
        assert letters_by_position(character) == ("", "", "")
