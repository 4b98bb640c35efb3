import json
import random
import re
import unicodedata
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from num2words import num2words

from distilhubert_ko.errors import CorpusError, InputError, ModelError, RecipeError
from distilhubert_ko.text import spelling
from distilhubert_ko.text.tokenizer import (
    FINALS,
    INITIALS,
    MEDIALS,
    Tokenizer,
    compose,
    decompose,
    foreign_characters,
    normalise,
    positions,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "text.md"
SENTENCES = Path(__file__).parents[3] / "shared" / "text"
SYLLABLES = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
TEXTS = ["안녕하세요 여러분", "값이 싸다", "닭을 쫓다"]
UNITS = ("syllables", "jamo")

korean = st.text(st.sampled_from("가각갂간힣값닭없쫓 ")).map(normalise)
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


# Forms of text


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


# Normalising


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
        ("99살 40개", "아흔아홉 살 마흔 개"),
        ("100개", "백 개"),
        ("20~30대", "이십 에서 삼십 대"),
        ("5~10만원", "오 에서 십만 원"),
        ("10%~20%", "십 퍼센트 에서 이십 퍼센트"),
        ("3:30~5:00", "세 시 삼십 분 에서 다섯 시"),
        ("2:05:07", "두 시 오 분 칠 초"),
        ("2018.13.1", "이천십팔 점 일삼 일"),
        ("3.1.4", "삼 점 일 사"),
        ("02-123-4567", "공이 일이삼 사오육칠"),
        ("1588-1234", "일오팔팔 일이삼사"),
        ("3-2로", "삼 이로"),
        ("12,34", "십이 삼십사"),
        ("1·2위", "일 이 위"),
        ("3조각 5경기", "세 조각 오 경기"),
        ("3 시작", "삼 시작"),
        ("6월드컵", "육 월드컵"),
        ("1천만 1백 1십", "천만 백 십"),
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


@settings(deadline=None)
@given(messy, st.booleans())
def test_normalising_twice_changes_nothing_and_gives_nfc_with_single_spaces(text, spell):
    once = normalise(text, spell)
    assert normalise(once, spell) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == " ".join(once.split())


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=127)))
def test_spelling_ascii_leaves_nothing_foreign(text):
    assert foreign_characters(normalise(text, spell=True)) == ""


@settings(deadline=None)
@given(st.text(st.sampled_from("0123456789,.-~:/%$kmgKBS 년월일시분명개만억조")))
def test_spelling_numbers_leaves_nothing_foreign(text):
    assert foreign_characters(normalise(text, spell=True)) == ""


def test_foreign_characters_are_distinct_and_sorted_and_lone_jamo_are_among_them():
    assert foreign_characters("한글 ㅋㅋ b a3 人 a ᄏ") == "3abᄏㅋ人"
    assert foreign_characters("가 힣") == ""


# Numbers


@settings(deadline=None)
@given(st.integers(0, 10**20 - 1))
def test_sino_numbers_agree_with_num2words(number):
    assert spelling.sino(number) == num2words(number, lang="ko")


def test_sino_numbers_agree_with_num2words_up_to_a_thousand_and_around_powers_of_ten():
    edges = [10**power + step for power in range(1, 20) for step in (-1, 0, 1)]
    for number in [*range(1001), *edges]:
        assert spelling.sino(number) == num2words(number, lang="ko")


def test_native_numbers_are_those_of_the_ordinals_of_num2words():
    for number in range(2, 100):
        # num2words reads the twentieth as 스물 번째, and knows no form that 20 takes before a counter.
        expected = "스무" if number == 20 else num2words(number, lang="ko", to="ordinal").removesuffix(" 번째")
        assert spelling.native(number) == expected
    assert spelling.native(1) == "한"


@pytest.mark.parametrize("number", [-1, 10**20])
def test_a_number_without_a_sino_reading_is_refused(number):
    with pytest.raises(InputError, match="whole number from 0"):
        spelling.sino(number)


@pytest.mark.parametrize("number", [0, 100])
def test_a_number_without_a_native_reading_is_refused(number):
    with pytest.raises(InputError, match="use sino"):
        spelling.native(number)


# The tokenizer


def test_a_new_vocabulary_is_the_special_tokens_and_then_exactly_the_units_seen_sorted():
    assert Tokenizer.from_texts(["나 가", "가 다"], "syllables").tokens == (
        "[PAD]",
        "[UNK]",
        "|",
        "가",
        "나",
        "다",
    )
    tokenizer = Tokenizer.from_texts(iter(["값"]), "jamo")
    assert tokenizer.tokens == ("[PAD]", "[UNK]", "|", "ᄀ", "ᅡ", "ᆹ")
    assert len(tokenizer) == 6
    assert (tokenizer.blank_id, tokenizer.unknown_id, tokenizer.delimiter_id) == (0, 1, 2)


@pytest.mark.parametrize("texts", [[], [""], [" ", "|"]])
def test_a_vocabulary_of_nothing_is_an_error_of_the_corpus(texts):
    with pytest.raises(CorpusError, match="transcripts"):
        Tokenizer.from_texts(texts, "syllables")


def test_unknown_units_are_refused_with_the_two_that_exist():
    with pytest.raises(RecipeError, match=r"'words'.*'syllables' or 'jamo'"):
        Tokenizer.from_texts(TEXTS, "words")


def test_encoding_takes_either_form_of_unicode():
    for units in UNITS:
        tokenizer = Tokenizer.from_texts(TEXTS, units)
        assert tokenizer.encode(decompose(TEXTS[1])) == tokenizer.encode(TEXTS[1])
        assert tokenizer.unknown_id not in tokenizer.encode(decompose(TEXTS[1]))


def test_every_unknown_unit_is_encoded_and_listed_with_repeats():
    tokenizer = Tokenizer.from_texts(["가 나"], "syllables")
    assert tokenizer.encode("가 뷁뷁나x") == [3, 2, 1, 1, 4, 1]
    assert tokenizer.unknown("가 뷁뷁나x") == ["뷁", "뷁", "x"]
    assert Tokenizer.from_texts(["가"], "jamo").unknown("각") == ["ᆨ"]


def test_a_delimiter_in_the_text_is_an_unknown_unit_and_not_a_space():
    tokenizer = Tokenizer.from_texts(["가|나"], "syllables")
    assert tokenizer.encode("가|나") == [3, 1, 4]
    assert tokenizer.unknown("가|나") == ["|"]


@pytest.mark.parametrize("units", UNITS)
@settings(deadline=None)
@given(text=korean)
def test_decoding_what_was_encoded_gives_the_text(units, text):
    tokenizer = Tokenizer.from_texts(["가각갂간힣값닭없쫓"], units)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.unknown(text) == []


def test_decoding_skips_blanks_collapses_spaces_and_shows_unknown_units():
    tokenizer = Tokenizer.from_texts(["가나"], "syllables")
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode([2, 0, 3, 2, 0, 2, 4, 0, 4, 2]) == "가 나나"
    assert tokenizer.decode([3, 1, 4, 99]) == "가[UNK]나[UNK]"


@pytest.mark.parametrize("units", UNITS)
def test_a_saved_vocabulary_loads_the_same(tmp_path, units):
    tokenizer = Tokenizer.from_texts(TEXTS, units)
    tokenizer.save(tmp_path / "model")
    assert Tokenizer.load(tmp_path / "model") == tokenizer
    names = {"vocab.json", "tokenizer_config.json", "special_tokens_map.json"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == names


def test_a_write_that_fails_leaves_the_old_files_whole(tmp_path, monkeypatch):
    old = Tokenizer.from_texts(["가"], "syllables")
    old.save(tmp_path)

    def full(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="no space"):
        Tokenizer.from_texts(["나"], "jamo").save(tmp_path)
    assert Tokenizer.load(tmp_path) == old


# Vocabularies written by others


def write(folder: Path, **contents: object) -> Path:
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_vocabulary_of_others_keeps_its_order_and_its_names(tmp_path):
    vocabulary = {"나": 0, "_": 3, "<blank>": 4, "가": 1, "?": 2}
    config = {"pad_token": {"content": "<blank>"}, "unk_token": "?", "word_delimiter_token": "_"}
    config |= {"bos_token": None, "eos_token": None}
    tokenizer = Tokenizer.load(write(tmp_path, vocab=vocabulary, tokenizer_config=config))
    assert tokenizer.tokens == ("나", "가", "?", "_", "<blank>")
    assert (tokenizer.blank_id, tokenizer.unknown_id, tokenizer.delimiter_id) == (4, 2, 3)
    assert tokenizer.encode("가 나다") == [1, 3, 0, 2]
    assert tokenizer.decode([1, 4, 3, 0, 2]) == "가 나?"
    tokenizer.save(tmp_path / "again")
    assert Tokenizer.load(tmp_path / "again") == tokenizer


def test_special_tokens_come_from_their_map_or_are_those_of_transformers(tmp_path):
    vocabulary = {"<pad>": 0, "[UNK]": 1, "|": 2, "가": 3}
    folder = write(tmp_path, vocab=vocabulary, special_tokens_map={"unk_token": "[UNK]"})
    assert Tokenizer.load(folder).blank_token == "<pad>"
    assert Tokenizer.load(folder).unknown_token == "[UNK]"


def test_a_vocabulary_that_holds_the_space_itself_needs_no_delimiter(tmp_path):
    tokenizer = Tokenizer.load(write(tmp_path, vocab={"<pad>": 0, "<unk>": 1, " ": 2, "가": 3}))
    assert tokenizer.decode(tokenizer.encode("가 가")) == "가 가"


def test_added_tokens_take_the_ids_after_the_vocabulary(tmp_path):
    folder = write(tmp_path, vocab={"<pad>": 0, "<unk>": 1, "|": 2}, added_tokens={"<s>": 3, "</s>": 4})
    assert Tokenizer.load(folder).tokens == ("<pad>", "<unk>", "|", "<s>", "</s>")


@pytest.mark.parametrize(
    ("unit", "config", "units"),
    [
        ("가", {}, "syllables"),
        ("ᄀ", {}, "jamo"),
        ("ㄱ", {}, "jamo"),
        ("가ㄱ", {}, "syllables"),
        ("a", {}, "syllables"),
        ("가ᄏ", {}, "syllables"),
        ("ᄀ", {"units": "syllables"}, "syllables"),
        ("가", {"units": "jamo"}, "jamo"),
        ("ᄀ", {"units": "words"}, "jamo"),
    ],
)
def test_units_are_as_written_or_else_guessed_from_the_vocabulary(tmp_path, unit, config, units):
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<unk>", "|", *unit])}
    assert Tokenizer.load(write(tmp_path, vocab=vocabulary, tokenizer_config=config)).units == units


@pytest.mark.parametrize(
    ("vocabulary", "remedy"),
    [
        ({"<pad>": 0, "<unk>": 1, "|": 3}, "ids must be 0 to 2, each once; number the tokens anew"),
        ({"<pad>": 0, "<unk>": 1, "|": 1}, "each once"),
        ({"<pad>": 0, "<unk>": 1, "|": "two"}, "each once"),
        ({"ko": {"<pad>": 0}}, "a vocabulary for each language (ko)"),
        ({"<unk>": 0, "|": 1}, "lacks its blank token '<pad>'"),
        ({}, "lacks its blank"),
        ([], "no JSON object"),
    ],
)
def test_a_broken_vocabulary_is_an_error_that_names_the_file_and_the_remedy(tmp_path, vocabulary, remedy):
    with pytest.raises(ModelError, match=re.escape(remedy)) as error:
        Tokenizer.load(write(tmp_path, vocab=vocabulary))
    assert str(tmp_path / "vocab.json") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_or_torn_vocabulary_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ModelError, match=r"vocab\.json is missing"):
        Tokenizer.load(tmp_path)
    (tmp_path / "vocab.json").write_text('{"[PAD]"', encoding="utf-8")
    with pytest.raises(ModelError, match=r"vocab\.json cannot be read"):
        Tokenizer.load(tmp_path)


def test_a_token_named_twice_is_refused():
    with pytest.raises(ModelError, match="twice"):
        Tokenizer("syllables", ("[PAD]", "[UNK]", "|", "가", "가"))


def test_a_vocabulary_without_a_delimiter_has_no_spaces(tmp_path):
    config = {"word_delimiter_token": None}
    tokenizer = Tokenizer.load(write(tmp_path, vocab={"<pad>": 0, "가": 1, "나": 2}, tokenizer_config=config))
    assert tokenizer.delimiter_id is None
    assert tokenizer.decode([1, 0, 2]) == "가나"
    assert tokenizer.unknown("가 나") == [" "]
    assert Tokenizer.load(write(tmp_path, vocab={"<pad>": 0, "가": 1}, tokenizer_config={})).delimiter_id is None


def test_the_beginning_and_the_end_of_a_text_say_nothing(tmp_path):
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "가": 5}
    tokenizer = Tokenizer.load(write(tmp_path, vocab=vocabulary))
    assert tokenizer.decode([1, 5, 4, 1, 4, 5, 2]) == "가 가"
    tokenizer.save(tmp_path / "again")
    assert Tokenizer.load(tmp_path / "again") == tokenizer


def test_the_blank_is_what_the_model_was_trained_with(tmp_path):
    vocabulary = {"_": 0, "가": 1, "<pad>": 2, "|": 3}
    folder = write(tmp_path, vocab=vocabulary, config={"pad_token_id": 0})
    assert Tokenizer.load(folder).blank_id == 0
    assert Tokenizer.load(write(tmp_path, config={"pad_token_id": None})).blank_id == 2
    assert Tokenizer.load(write(tmp_path, config={"pad_token_id": 99})).blank_id == 2
    with pytest.raises(ModelError, match="both the blank and the word delimiter"):
        Tokenizer.load(write(tmp_path, config={"pad_token_id": 3}))


def test_special_tokens_may_lie_past_the_outputs_of_a_model_and_others_may_not(tmp_path):
    tokenizer = Tokenizer.load(write(tmp_path, vocab={"|": 0, "가": 1, "[PAD]": 2}, config={"pad_token_id": 2}))
    assert tokenizer.tokens == ("|", "가", "[PAD]", "<s>", "</s>", "<unk>")
    assert (tokenizer.fewest_outputs, len(tokenizer)) == (3, 6)


def letters(text: str) -> str:
    """Hangul as compatibility jamo, by their names in Unicode."""
    names = (re.sub("CHOSEONG|JUNGSEONG|JONGSEONG", "LETTER", unicodedata.name(jamo)) for jamo in decompose(text))
    return "".join(unicodedata.lookup(name) for name in names)


LETTERS = Tokenizer("jamo", ("[PAD]", "[UNK]", "|", *(chr(code) for code in range(ord("ㄱ"), ord("ㅣ") + 1))))


def test_all_syllables_are_spelled_in_letters_and_come_back():
    for syllable in SYLLABLES:
        spelled = "".join(LETTERS.tokens[index] for index in LETTERS.encode(syllable))
        assert spelled == letters(syllable)
        assert LETTERS.decode(LETTERS.encode(syllable)) == syllable


@settings(deadline=None)
@given(text=korean)
def test_letters_become_the_syllables_that_they_were(text):
    assert LETTERS.decode(LETTERS.encode(text)) == text


@pytest.mark.parametrize(
    ("spelled", "text"),
    [("ㅏㄱ", "ㅏㄱ"), ("ㄳㅏ", "ㄳㅏ"), ("ㄱㅏㄸ", "가ㄸ"), ("ㅋㅋㅋㅏㅋㅋ", "ㅋㅋ캌ㅋ")],
)
def test_letters_that_spell_no_syllable_stay(spelled, text):
    assert LETTERS.decode([LETTERS.tokens.index(letter) for letter in spelled]) == text


# Transformers


CAPITALS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABC'"]


@pytest.mark.parametrize(
    ("tokens", "options"),
    [
        (CAPITALS, {}),
        (CAPITALS, {"do_lower_case": True}),
        (["|", *"abc", "[UNK]", "[PAD]"], {"unk_token": "[UNK]", "pad_token": "[PAD]"}),
        (["[PAD]", "[UNK]", "|", *"가나다라"], {"unk_token": "[UNK]", "pad_token": "[PAD]", "bos_token": None}),
        (["가", "나", "_", "[PAD]"], {"pad_token": "[PAD]", "word_delimiter_token": "_"}),
        (["가", "나", " ", "<pad>"], {"word_delimiter_token": " "}),
        (["가", "나", " ", "<pad>"], {}),
        (["가", "나", "<pad>", "<unk>"], {"word_delimiter_token": None}),
        (["<pad>", "|", *"ᄀᄂ다ᅥᆨᆫ"], {}),
        (["<pad>", "|", *"ㄱㄴㄷㄸㄳㅏㅓㅘ"], {}),
    ],
)
def test_a_vocabulary_that_transformers_saved_has_its_tokens_and_decodes_as_there(tmp_path, tokens, options):
    transformers = pytest.importorskip("transformers", reason="the train extra is not installed")
    write(tmp_path, vocab={token: index for index, token in enumerate(tokens)})
    # As it was before saving: read again by Transformers 5.23, it has lost a word delimiter other than "|".
    theirs = transformers.Wav2Vec2CTCTokenizer(tmp_path / "vocab.json", **options)
    theirs.save_pretrained(tmp_path / "saved")
    ours = Tokenizer.load(tmp_path / "saved")
    assert {token: index for index, token in enumerate(ours.tokens)} == theirs.get_vocab()
    draw = random.Random(0)
    for length in range(80):
        path = [draw.randrange(len(ours)) for _ in range(length) for _ in range(draw.randint(1, 3))]
        collapsed = [index for place, index in enumerate(path) if place == 0 or path[place - 1] != index]
        found = ours.decode(index for index in collapsed if index != ours.blank_id)
        expected = " ".join(re.sub("</?s>", "", theirs.decode(path)).split())
        assert (letters(found) if "ㄱ" in tokens else decompose(found)) == decompose(expected)


@pytest.mark.parametrize("units", UNITS)
def test_transformers_reads_the_saved_vocabulary_and_decodes_the_same(tmp_path, units):
    transformers = pytest.importorskip("transformers", reason="the train extra is not installed")
    tokenizer = Tokenizer.from_texts(TEXTS, units)
    tokenizer.save(tmp_path)
    draw = random.Random(0)
    forms = {"syllables": compose, "jamo": decompose}
    for kind in (transformers.AutoTokenizer, transformers.Wav2Vec2CTCTokenizer):
        theirs = kind.from_pretrained(tmp_path)
        assert isinstance(theirs, transformers.Wav2Vec2CTCTokenizer)
        assert len(theirs) == len(tokenizer)
        assert theirs.get_vocab() == {token: index for index, token in enumerate(tokenizer.tokens)}
        assert (theirs.bos_token, theirs.eos_token) == (None, None)
        assert (theirs.pad_token_id, theirs.unk_token_id, theirs.word_delimiter_token_id) == (0, 1, 2)
        for text in TEXTS:
            assert theirs(forms[units](text)).input_ids == tokenizer.encode(text)
        for length in range(60):
            path = [draw.randrange(len(tokenizer)) for _ in range(length) for _ in range(draw.randint(1, 3))]
            collapsed = [index for place, index in enumerate(path) if place == 0 or path[place - 1] != index]
            # Two delimiters with a blank between them are two spaces to Transformers and one to us.
            expected = re.sub(" +", " ", compose(theirs.decode(path)))
            assert tokenizer.decode(collapsed) == expected
        ids = tokenizer.encode(TEXTS[0])
        framed = [index for i in ids for index in (i, i, tokenizer.blank_id)]
        assert compose(theirs.decode(framed)) == tokenizer.decode(ids) == TEXTS[0]
        assert theirs.decode([3, 1]).endswith("[UNK]")


# Real sentences


def test_real_sentences_spell_without_digits_or_latin_letters_and_normalise_once():
    path = SENTENCES / "news-korean-english.txt"
    if not path.exists():
        pytest.skip("the shared Korean sentences are not here")
    for line in path.read_text("utf-8").splitlines()[:1000]:
        spelled = normalise(line, spell=True)
        assert not re.search("[0-9a-zA-Z%]", spelled)
        assert normalise(spelled, spell=True) == spelled


@given(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3))
def test_the_letters_of_a_syllable_number_it_as_unicode_does(syllable: str):
    initial, medial, final = positions(syllable)
    place = (INITIALS.index(initial) * 21 + MEDIALS.index(medial)) * 28 + FINALS.index(final)
    assert chr(0xAC00 + place) == syllable


def test_a_lone_jamo_fills_its_position_and_other_characters_none():
    assert [positions(each) for each in "\u1100\u1161\u11a8"] == [("ㄱ", "", ""), ("", "ㅏ", ""), ("", "", "ㄱ")]
    for character in ("ㄱ", "a", " ", "漢", "é", "\u1113", ""):
        assert positions(character) == ("", "", "")
