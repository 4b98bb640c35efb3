import itertools
import json
import random
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.errors import CorpusError, InputError, ModelError, RecipeError
from distilhubert_ko.text.hangul import compose, decompose
from distilhubert_ko.text.normalise import normalise
from distilhubert_ko.text.tokenizer import Tokenizer

SYLLABLES = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
TEXTS = ["안녕하세요 여러분", "값이 싸다", "닭을 쫓다"]
UNITS = ("syllables", "jamo")

korean = st.text(st.sampled_from("가각갂간힣값닭없쫓 ")).map(normalise)


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


@pytest.mark.parametrize(("blank", "unknown"), itertools.product(("[PAD]", "<pad>"), ("[UNK]", "<unk>")))
def test_without_a_configuration_the_special_tokens_are_those_of_the_vocabulary(tmp_path, blank, unknown):
    """As checkpoints of 2021 come, whose config.json may not say the blank either."""
    vocabulary = {token: index for index, token in enumerate(["가", "|", unknown, blank])}
    tokenizer = Tokenizer.load(write(tmp_path, vocab=vocabulary))
    assert (tokenizer.blank_token, tokenizer.unknown_token, tokenizer.delimiter_token) == (blank, unknown, "|")
    assert tokenizer.encode("가 힣") == [0, 1, 2]
    assert tokenizer.tokens[4:] == ("<s>", "</s>")  # which are without outputs


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


def test_ids_of_special_tokens_are_searched_for_once():
    tokenizer = Tokenizer("jamo", ("ㄱ", "[UNK]", "|", "[PAD]"))
    assert (tokenizer.blank_id, tokenizer.unknown_id, tokenizer.delimiter_id) == (3, 1, 2)
    assert {"blank_id", "unknown_id", "delimiter_id"} <= vars(tokenizer).keys()
