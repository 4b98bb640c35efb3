"""Words and syllables from tokens."""

import json
import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.audio.frames import frame_seconds
from distilhubert_ko.decoding.ctc import Token
from distilhubert_ko.recognition.segments import PAUSE
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import WORD_GAP, Syllable, Word
from distilhubert_ko.text.tokenizer import Tokenizer
from tests.support.model import JAMO, SYLLABLES

ALPHABET = "가각갈거걸나난너라러"
TOKENIZERS = {units: Tokenizer.from_texts([ALPHABET], units) for units in ("syllables", "jamo")}


def times(each: Word | Syllable) -> tuple[float, float]:
    return each.start, each.end


@st.composite
def planted_tokens(draw: st.DrawFn, tokenizer: Tokenizer) -> tuple[str, list[Token], float]:
    """A text, tokens that spell it in runs of frames with gaps between them, and the seconds of their audio."""
    text = draw(st.text(ALPHABET + " ", max_size=12))
    tokens, frame = [], 0
    for id in tokenizer.encode(text):
        start = frame + draw(st.integers(0, 3))
        frame = start + draw(st.integers(1, 3))
        tokens.append(Token(id, start, frame, draw(st.floats(-5, 0))))
    # The last frame begins within the audio, and may end after it.
    return text, tokens, frame_seconds(frame) + draw(st.sampled_from([-0.019, 0.0, 1.0])) if tokens else 0.0


@pytest.mark.parametrize("units", TOKENIZERS)
@given(st.data())
def test_syllables_spell_their_word_in_order_inside_it_and_inside_the_audio(units: str, data: st.DataObject) -> None:
    text, tokens, seconds = data.draw(planted_tokens(TOKENIZERS[units]))
    transcript = Transcript.from_tokens(tokens, TOKENIZERS[units], seconds)
    assert transcript.text == " ".join(text.split())
    for word in transcript.words:
        assert [syllable.text for syllable in word.syllables] == list(word.text)
        edges = [time for syllable in word.syllables for time in times(syllable)]
        assert edges == sorted(edges)
        assert (edges[0], edges[-1]) == times(word)
        assert all(0 <= syllable.start < syllable.end <= seconds for syllable in word.syllables)
        assert all(0 < syllable.confidence <= 1 for syllable in word.syllables)
    assert all(left.end <= right.start for left, right in pairwise(transcript.words))


def test_the_jamo_of_a_syllable_are_one_syllable_from_the_first_to_the_last() -> None:
    jamo = TOKENIZERS["jamo"]
    tokens = [Token(id, 5 * place, 5 * place + 2, 0.0) for place, id in enumerate(jamo.encode("각나"))]
    (word,) = Transcript.from_tokens(tokens, jamo, 1.0).words
    assert word.syllables == (Syllable("각", 0.0, 0.24, 1.0), Syllable("나", 0.3, 0.44, 1.0))


def planted_ids(ids: list[int]) -> list[Token]:
    return [Token(id, 2 * place, 2 * place + 1, 0.0) for place, id in enumerate(ids)]


def test_unknown_units_are_not_written_but_told() -> None:
    jamo = TOKENIZERS["jamo"]
    ids = [jamo.unknown_id, *jamo.encode("가"), jamo.unknown_id, jamo.unknown_id]
    transcript = Transcript.from_tokens(planted_ids(ids), jamo, 1.0)
    (word,) = transcript.words
    assert (word.text, [syllable.text for syllable in word.syllables]) == ("가", ["가"])
    assert (word.start, word.end) == (0.04, 0.1)
    assert [(each.text, each.start) for each in transcript.unwritten] == [
        ("[UNK]", 0.0),
        ("[UNK]", 0.12),
        ("[UNK]", 0.16),
    ]


LETTERS = Tokenizer("jamo", ("[PAD]", "[UNK]", "|", *"ㄱㄴㄹㅏㅓ"))


@pytest.mark.parametrize("tokenizer", [TOKENIZERS["jamo"], LETTERS], ids=["conjoining", "letters"])
@given(st.data())
def test_no_lone_jamo_is_ever_written(tokenizer: Tokenizer, data: st.DataObject) -> None:
    """What composes is composed. The rest is told beside the words, and nothing is in both or lost."""
    ids = data.draw(st.lists(st.integers(1, len(tokenizer) - 1), max_size=12))
    transcript = Transcript.from_tokens(planted_ids(ids), tokenizer, 2 * len(ids) * 0.02 + 0.02)
    assert re.fullmatch("[가-힣 ]*", transcript.text)
    spelt = tokenizer.decode(ids)
    lone = re.findall(r"\[UNK\]|[^가-힣 ]", spelt)
    assert [each.text for each in transcript.unwritten] == lone
    assert transcript.text.replace(" ", "") == re.sub(r"\[UNK\]|[^가-힣]", "", spelt)


def test_a_letter_in_a_vocabulary_of_syllables_is_written_as_in_its_texts() -> None:
    chat = Tokenizer.from_texts(["아 ㅋㅋ"], "syllables")
    assert Transcript.from_tokens(planted_ids(chat.encode("아ㅋㅋ")), chat, 1.0).text == "아ㅋㅋ"


def test_a_word_of_lone_jamo_alone_is_no_word() -> None:
    jamo = TOKENIZERS["jamo"]
    lead, vowel = jamo.encode("가")
    transcript = Transcript.from_tokens(
        planted_ids([vowel, jamo.delimiter_id, lead, vowel, jamo.delimiter_id, lead]), jamo, 1.0
    )
    assert [word.text for word in transcript.words] == ["가"]
    assert transcript.words[0].start == 0.08
    assert json.loads(transcript.to_json())["unwritten"] == [
        {"text": "ᅡ", "start": 0.0, "end": 0.02},
        {"text": "ᄀ", "start": 0.2, "end": 0.22},
    ]
    assert "unwritten" not in json.loads(Transcript((), 1.0).to_json())


def test_a_label_that_is_stretched_over_a_silence_ends_where_it_cannot_be_heard() -> None:
    first, second = SYLLABLES.encode("가나")
    words = Transcript.from_tokens(
        [Token(first, 10, 1500, -1.0), Token(second, 1500, 1501, 0.0)], SYLLABLES, 40.0
    ).words
    assert [(word.text, word.start, word.end) for word in words] == [("가", 0.2, 0.7), ("나", 30.0, 30.02)]


def planted(text: str, vocabulary: Tokenizer, score: float = 0.0) -> list[Token]:
    """Tokens that spell `text`, two frames each and one frame of blank after each."""
    ids = vocabulary.encode(text)
    return [Token(id, 3 * index, 3 * index + 2, score) for index, id in enumerate(ids)]


def test_words_are_split_at_the_delimiter_and_timed_by_their_first_and_last_frames() -> None:
    words = Transcript.from_tokens(planted("가나 다", SYLLABLES), SYLLABLES, seconds=1.0).words
    assert [word.text for word in words] == ["가나", "다"]
    # Frames of 20 ms: 가 0 and 1, 나 3 and 4, the space 6 and 7, 다 9 and 10.
    assert [word.start for word in words] == pytest.approx([0.0, 0.18])
    assert [word.end for word in words] == pytest.approx([0.1, 0.22])


def test_delimiters_at_the_ends_or_in_a_row_make_no_words() -> None:
    transcript = Transcript.from_tokens(planted(" 가  나 ", SYLLABLES), SYLLABLES, seconds=1.0)
    assert transcript.text == "가 나"
    assert Transcript.from_tokens(planted("  ", SYLLABLES), SYLLABLES, seconds=1.0).words == ()
    assert Transcript.from_tokens([], SYLLABLES, seconds=0.0) == Transcript((), 0.0)


def test_tokens_with_a_pause_between_them_are_of_two_words_even_without_a_delimiter() -> None:
    assert WORD_GAP <= PAUSE  # so what two segments show is never one word
    first, second = SYLLABLES.encode("가나")
    for gap, text in ((29, "가나"), (30, "가 나")):
        tokens = [Token(first, 0, 1, 0.0), Token(second, 1 + gap, 2 + gap, 0.0)]
        assert Transcript.from_tokens(tokens, SYLLABLES, seconds=2.0).text == text


def test_jamo_are_written_as_syllables() -> None:
    assert Transcript.from_tokens(planted("각 난", JAMO), JAMO, seconds=1.0).text == "각 난"


def test_the_confidence_of_a_word_is_the_geometric_mean_over_its_units() -> None:
    first, second, space, third = planted("가나 다", SYLLABLES)
    scores = [math.log(0.9), math.log(0.4), math.log(0.01), math.log(0.5)]
    tokens = [
        Token(token.id, token.start, token.end, score)
        for token, score in zip((first, second, space, third), scores, strict=True)
    ]
    words = Transcript.from_tokens(tokens, SYLLABLES, seconds=1.0).words
    assert [word.confidence for word in words] == pytest.approx([math.sqrt(0.9 * 0.4), 0.5])


def test_a_word_ends_with_the_audio_at_the_latest() -> None:
    word = Transcript.from_tokens(planted("가", SYLLABLES), SYLLABLES, seconds=0.03).words[0]
    assert word == Word("가", 0.0, 0.03, 1.0, (Syllable("가", 0.0, 0.03, 1.0),))


def test_tokens_that_say_nothing_make_no_words() -> None:
    tokens = ("[PAD]", "[UNK]", "|", "<s>", "가")
    framed = Tokenizer("syllables", tokens, bos_token="<s>")
    spoken = [Token(id, index, index + 1, 0.0) for index, id in enumerate([3, 2, 4, 3, 2, 3, 2, 4])]
    assert [word.text for word in Transcript.from_tokens(spoken, framed, seconds=1.0).words] == ["가", "가"]


def test_a_vocabulary_without_a_delimiter_makes_one_run_of_a_text() -> None:
    joined = Tokenizer("syllables", ("[PAD]", "[UNK]", "가", "나"), delimiter_token=None)
    spoken = [Token(id, 3 * index, 3 * index + 1, 0.0) for index, id in enumerate([2, 3, 2])]
    assert [word.text for word in Transcript.from_tokens(spoken, joined, seconds=1.0).words] == ["가나가"]
