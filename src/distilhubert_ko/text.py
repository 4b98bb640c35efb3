"""Korean text: one written form for every transcript, and the units that a CTC model spells it in.

`normalise` gives the form (always NFC), `decompose` and `compose` go between syllables and conjoining jamo
(Unicode Standard, section 3.12), and `Tokenizer` goes between text and ids. docs/text.md has the rules.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from distilhubert_ko.errors import CorpusError, ModelError, RecipeError
from distilhubert_ko.numerals import spell as spell_out

Units = Literal["syllables", "jamo"]

# Unicode's Default_Ignorable_Code_Point: zero-width characters, BOM, Hangul fillers, variation selectors.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_BRACKETS = {"(": ")", "[": "]", "<": ">", "【": "】", "〔": "〕"}
# Marks that leave the words beside them joined. The brackets among them quote titles, which are read aloud.
_QUOTES = re.compile("[\"'`´˝ʼ‘’‚‛“”„‟′″«»‹›「」『』〈〉《》]")
_CONJOINING_JAMO = re.compile("[\u1100-\u11ff]")
_SYLLABLE = re.compile("[가-힣]")
# Koreans type the vowel araea (ㆍ, or U+119E after a careless NFKC) where they mean a middle dot.
_MIDDLE_DOTS = "ㆍ\u119e"


def decompose(text: str) -> str:
    """`text` in NFD: every Hangul syllable as two or three conjoining jamo."""
    return unicodedata.normalize("NFD", text)


def compose(text: str) -> str:
    """`text` in NFC: jamo that can form a syllable do."""
    return unicodedata.normalize("NFC", text)


def normalise(text: str, spell: bool = False) -> str:
    """The form in which transcripts are learnt and scored: words in NFC with one space between them.

    In order: invisible characters go; NFC; full-width forms become ASCII; round, square and angle brackets go
    with what they hold, an unpaired one alone; quotes and apostrophes go; with `spell`, digits, Latin letters
    and units after numbers become Korean words ("3시 20%" -> "세 시 이십 퍼센트"); the rest is lower-cased;
    any other mark that is no letter or number becomes a space; spaces collapse.

    Never fails, and normalising twice changes nothing more. What no Korean vocabulary spells (Latin letters,
    Chinese characters, ㅋㅋ) stays, so that `foreign_characters` can show it.
    """
    text = compose(_INVISIBLE.sub("", text)).translate(_FULL_WIDTH)
    text = _QUOTES.sub("", _without_brackets(text))
    if spell:
        text = spell_out(text)
    text = "".join(character if _is_spoken(character) else " " for character in text.lower())
    return " ".join(compose(text).split())


def _without_brackets(text: str) -> str:
    kept: list[str] = []
    opened: list[tuple[str, int]] = []  # the bracket that would close it, and how much was kept before it
    for character in text:
        if character in _BRACKETS:
            opened.append((_BRACKETS[character], len(kept)))
        elif character in _BRACKETS.values():
            pairs = [index for index, (closing, _) in enumerate(opened) if closing == character]
            if pairs:
                del kept[opened[pairs[-1]][1] :]
                del opened[pairs[-1] :]
        else:
            kept.append(character)
    return "".join(kept)


def _is_spoken(character: str) -> bool:
    """Letters, numbers and the marks that complete a letter, by Unicode's general category."""
    return unicodedata.category(character)[0] in "LMN" and character not in _MIDDLE_DOTS


def foreign_characters(text: str) -> str:
    """The distinct characters of a normalised `text`, sorted, that are neither Hangul syllables nor spaces.

    Lone jamo such as ㅋㅋ are foreign too: nobody can say how they were spoken.
    """
    return "".join(sorted(set(_SYLLABLE.sub("", text).replace(" ", ""))))


@dataclass(frozen=True)
class Tokenizer:
    """A CTC vocabulary: `tokens[id]` is the unit, a Hangul syllable or a conjoining jamo, of an id.

    A new vocabulary starts with the blank (which also pads), the unknown unit and the word delimiter, which
    stands for a space; one written by others may name and place these three as it likes.
    Raises RecipeError for unknown units and ModelError for tokens that are no vocabulary.
    """

    units: Units
    tokens: tuple[str, ...]
    blank_token: str = "[PAD]"
    unknown_token: str = "[UNK]"
    delimiter_token: str = "|"

    def __post_init__(self) -> None:
        if self.units not in get_args(Units):
            raise RecipeError(f"unknown units {self.units!r}: write {' or '.join(map(repr, get_args(Units)))}")
        if len(set(self.tokens)) < len(self.tokens):
            raise ModelError("the vocabulary names a token twice: give each token one id")
        for role in ("blank", "unknown", "delimiter"):
            token = getattr(self, f"{role}_token")
            if token not in self.tokens:
                raise ModelError(f"the vocabulary lacks its {role} token {token!r}: add it, or name the right one")

    @classmethod
    def from_texts(cls, texts: Iterable[str], units: Units) -> "Tokenizer":
        """The vocabulary of normalised `texts`: the special tokens, then every unit seen, sorted.

        Raises CorpusError where the texts hold nothing but spaces.
        """
        tokenizer = cls(units, (cls.blank_token, cls.unknown_token, cls.delimiter_token))
        seen = {unit for text in texts for unit in tokenizer._split(text)} - {" ", *tokenizer.tokens}
        if not seen:
            raise CorpusError("no vocabulary: the texts hold no characters; give the corpus transcripts")
        return cls(units, tokenizer.tokens + tuple(sorted(seen)))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def blank_id(self) -> int:
        return self.tokens.index(self.blank_token)

    @property
    def unknown_id(self) -> int:
        return self.tokens.index(self.unknown_token)

    @property
    def delimiter_id(self) -> int:
        return self.tokens.index(self.delimiter_token)

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Ids by unit of text; a special token that a text happens to contain is no unit, so unknown."""
        ids = {token: index for index, token in enumerate(self.tokens)}
        for token in (self.blank_token, self.unknown_token, self.delimiter_token):
            del ids[token]
        return ids | {" ": self.delimiter_id}

    def _split(self, text: str) -> str:
        return decompose(text) if self.units == "jamo" else compose(text)

    def encode(self, text: str) -> list[int]:
        """Ids, one a unit of `text`; a unit that the vocabulary lacks gets `unknown_id`."""
        unknown_id = self.unknown_id
        return [self._ids.get(unit, unknown_id) for unit in self._split(text)]

    def unknown(self, text: str) -> list[str]:
        """Every unit of `text` that the vocabulary lacks, in order and with repeats, to be counted."""
        return [unit for unit in self._split(text) if unit not in self._ids]

    def decode(self, ids: Iterable[int]) -> str:
        """NFC text from ids that CTC has collapsed already: blanks say nothing, the delimiter is a space.

        An unknown unit is written as its token, and so is an id past the vocabulary, as Transformers does.
        """
        size = len(self.tokens)
        tokens = [self.tokens[index] if 0 <= index < size else self.unknown_token for index in ids]
        written = {self.blank_token: "", self.delimiter_token: " "}
        return " ".join(compose("".join(written.get(token, token) for token in tokens)).split())

    def save(self, folder: Path) -> None:
        """Write the files from which `load`, and Transformers' Wav2Vec2CTCTokenizer, read the vocabulary."""
        special = {
            "pad_token": self.blank_token,
            "unk_token": self.unknown_token,
            "bos_token": None,
            "eos_token": None,
        }
        config = {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            **special,
            "word_delimiter_token": self.delimiter_token,
            "replace_word_delimiter_char": " ",
            "do_lower_case": False,
            "clean_up_tokenization_spaces": False,
            "units": self.units,
        }
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "tokenizer_config.json", config)
        _write_json(folder / "special_tokens_map.json", {k: v for k, v in special.items() if v is not None})
        _write_json(folder / "vocab.json", {token: index for index, token in enumerate(self.tokens)})

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read a vocabulary that `save`, or Transformers' Wav2Vec2CTCTokenizer, wrote.

        Where tokenizer_config.json does not say the units, a vocabulary with conjoining jamo and no syllables
        is one of jamo. Raises ModelError where a file is missing or malformed, or the ids are not 0 to n - 1.
        """
        path = folder / "vocab.json"
        # Older versions of Transformers keep here what was added after vocab.json, with the ids that follow.
        vocabulary = _read_json(folder / "added_tokens.json", required=False) | _read_json(path)
        config = _read_json(folder / "special_tokens_map.json", required=False)
        config |= _read_json(folder / "tokenizer_config.json", required=False)
        if sorted(map(str, vocabulary.values())) != sorted(map(str, range(len(vocabulary)))):
            raise ModelError(f"{path}: ids must be 0 to {len(vocabulary) - 1}, each once; number the tokens anew")
        tokens = tuple(sorted(vocabulary, key=lambda token: int(vocabulary[token])))
        units: Any = config.get("units")
        if units not in get_args(Units):
            units = _guess_units(tokens)
        # The defaults are those of Wav2Vec2CTCTokenizer; a few vocabularies hold the space itself.
        delimiter = _token(config.get("word_delimiter_token"), "|")
        if delimiter not in vocabulary and " " in vocabulary:
            delimiter = " "
        try:
            return cls(
                units,
                tokens,
                blank_token=_token(config.get("pad_token"), "<pad>"),
                unknown_token=_token(config.get("unk_token"), "<unk>"),
                delimiter_token=delimiter,
            )
        except ModelError as error:
            raise ModelError(f"{path}: {error}; tokenizer_config.json names the special tokens") from error


def _guess_units(tokens: Iterable[str]) -> Units:
    letters = "".join(tokens)
    return "jamo" if _CONJOINING_JAMO.search(letters) and not _SYLLABLE.search(letters) else "syllables"


def _token(value: Any, default: str) -> str:
    """A special token as Transformers writes it: a string, an object with its content, or nothing."""
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else default


def _read_json(path: Path, required: bool = True) -> dict[str, Any]:
    if not required and not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: give the folder of a saved CTC model") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}): save or download the model again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object: save or download the model again")
    return content


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write beside `path`, then rename, so that an interrupted write leaves the old file whole."""
    aside = path.with_name(path.name + ".part")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
