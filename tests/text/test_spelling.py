import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words

from distilhubert_ko.errors import InputError
from distilhubert_ko.text.spelling import native_korean, sino_korean


@settings(deadline=None)
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
