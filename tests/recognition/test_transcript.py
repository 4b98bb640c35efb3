import math

import pytest

from distilhubert_ko.recognition.formats import TRANSCRIPT_FORMATS, render_transcript
from distilhubert_ko.recognition.transcript import Alternative, Transcript
from distilhubert_ko.recognition.words import Syllable, Word


def spoken(text: str, gap: float = 0.1, confidence: float = 0.9) -> Transcript:
    """Return a transcript whose words last half a second each, with `gap` between them."""
    words = []
    for number, word in enumerate(text.split()):
        start = number * (0.5 + gap)
        step = 0.5 / len(word)
        syllables = tuple(
            Syllable(each, start + place * step, start + (place + 1) * step, confidence)
            for place, each in enumerate(word)
        )
        words.append(Word(word, start, start + 0.5, confidence, syllables))
    return Transcript(tuple(words), words[-1].end if words else 1.0)


def test_a_number_in_digits_has_the_times_and_syllables_of_its_words() -> None:
    before = spoken("값은 오천 삼백 원입니다")
    after = before.with_digits()
    assert after.text == "값은 5,300원입니다"
    assert (after.words[1].start, after.words[1].end) == (before.words[1].start, before.words[3].end)
    assert "".join(each.text for each in after.words[1].syllables) == "오천삼백원입니다"
    assert math.isclose(after.words[1].confidence, 0.9)


def test_words_that_are_no_numbers_are_the_same_objects_in_value() -> None:
    before = spoken("이 세상에 하나뿐인 말")
    assert before.with_digits() == before
    assert spoken("").with_digits() == spoken("")


def test_alternatives_are_in_digits_too() -> None:
    found = Transcript(spoken("세 시").words, 1.0, (Alternative("네 시", -1.0),)).with_digits()
    assert found.alternatives == (Alternative("4시", -1.0),)


def test_a_number_never_spans_a_long_silence_or_two_speakers() -> None:
    assert spoken("삼 층", gap=1.5).with_digits().text == "삼 층"
    first, second = spoken("삼 층").words
    both = Transcript((first, Word(second.text, second.start, second.end, 0.9, (), 2)), 2.0)
    assert both.with_digits().text == "삼 층"


@pytest.mark.parametrize("form", TRANSCRIPT_FORMATS)
def test_every_format_shows_the_digits(form: str) -> None:
    assert "3시 30분" in render_transcript(spoken("세 시 삼십 분").with_digits(), form)
