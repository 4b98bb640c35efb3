"""CTC vocabularies: text as ids of Hangul syllables or jamo, and ids as text."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from distilhubert_ko import model_folder
from distilhubert_ko.errors import CorpusError, ModelError, RecipeError
from distilhubert_ko.files.writing import write_json
from distilhubert_ko.model_folder import read_json
from distilhubert_ko.text.hangul import (
    COMPATIBILITY_JAMO,
    CONJOINING_JAMO,
    LETTERS,
    SYLLABLE,
    compose,
    compose_letters,
    decompose,
)

Units = Literal["syllables", "jamo"]


@dataclass(frozen=True)
class Tokenizer:
    """A CTC vocabulary: `tokens[id]` is the unit, a Hangul syllable or a jamo, of an id.

    A new vocabulary starts with the blank (which also pads), the unknown unit and the word delimiter, which
    stands for a space. One written by others may name and place these three as it likes. It may lack the delimiter, so
    that a text is one run. It may have tokens for the beginning and the end of a text, which say nothing. It may spell
    Latin letters in capitals, written small with `lower_case`, and jamo with compatibility letters (ㄱ).
    Raises RecipeError for unknown units and ModelError for tokens that are no vocabulary.
    """

    units: Units
    tokens: tuple[str, ...]
    blank_token: str = "[PAD]"
    unknown_token: str = "[UNK]"
    delimiter_token: str | None = "|"
    bos_token: str | None = None
    eos_token: str | None = None
    lower_case: bool = False

    def __post_init__(self) -> None:
        if self.units not in get_args(Units):
            raise RecipeError(f"unknown units {self.units!r}: write {' or '.join(map(repr, get_args(Units)))}")
        if len(set(self.tokens)) < len(self.tokens):
            raise ModelError("the vocabulary names a token twice: give each token one id")
        for role in ("blank", "unknown", "delimiter"):
            token = getattr(self, f"{role}_token")
            if token not in self.tokens and (role, token) != ("delimiter", None):
                raise ModelError(f"the vocabulary lacks its {role} token {token!r}: add it, or name the right one")
        if self.blank_token == self.delimiter_token:
            raise ModelError(f"{self.blank_token!r} is both the blank and the word delimiter: name the right ones")

    @classmethod
    def from_texts(cls, texts: Iterable[str], units: Units) -> "Tokenizer":
        """Return the vocabulary of normalised `texts`: the special tokens, then every unit seen, sorted.

        Raises CorpusError where the texts hold nothing but spaces.
        """
        tokenizer = cls(units, (cls.blank_token, cls.unknown_token, "|"))
        seen = {unit for text in texts for unit in tokenizer._split(text)} - {" ", *tokenizer.tokens}
        if not seen:
            raise CorpusError("no vocabulary: the texts hold no characters; give the corpus transcripts")
        return cls(units, tokenizer.tokens + tuple(sorted(seen)))

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def blank_id(self) -> int:
        return self.tokens.index(self.blank_token)

    @cached_property
    def unknown_id(self) -> int:
        return self.tokens.index(self.unknown_token)

    @cached_property
    def delimiter_id(self) -> int | None:
        return None if self.delimiter_token is None else self.tokens.index(self.delimiter_token)

    @cached_property
    def fewest_outputs(self) -> int:
        """The outputs that a model needs: special tokens at the end may be without one, because nothing spells them."""
        idle = {self.unknown_token, self.bos_token, self.eos_token} - {self.blank_token, self.delimiter_token}
        return 1 + max(index for index, token in enumerate(self.tokens) if token not in idle)

    @cached_property
    def _ids(self) -> dict[str, int]:
        """Ids by unit of text. A special token that a text happens to contain is unknown.

        Texts are in small letters, so a capital stands for a small letter that the vocabulary lacks.
        """
        special = {self.blank_token, self.unknown_token, self.delimiter_token, self.bos_token, self.eos_token}
        ids = {token: index for index, token in enumerate(self.tokens) if token not in special}
        space = {} if self.delimiter_id is None else {" ": self.delimiter_id}
        return {token.lower(): index for token, index in ids.items()} | ids | space

    @cached_property
    def _has_letters(self) -> bool:
        """True where jamo are spelled with compatibility letters, not conjoining."""
        tokens = "".join(self.tokens)
        return bool(COMPATIBILITY_JAMO.search(tokens)) and not CONJOINING_JAMO.search(tokens)

    def _split(self, text: str) -> str:
        if self.units == "syllables":
            return compose(text)
        return decompose(text).translate(LETTERS) if self._has_letters else decompose(text)

    def encode(self, text: str) -> list[int]:
        """Return one id per unit of `text`; a unit that the vocabulary lacks gets `unknown_id`."""
        return [self._ids.get(unit, self.unknown_id) for unit in self._split(text)]

    def unknown(self, text: str) -> list[str]:
        """Return every unit of `text` that the vocabulary lacks, in order and with repeats."""
        return [unit for unit in self._split(text) if unit not in self._ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Return NFC text for ids that CTC has collapsed already: blanks say nothing, the delimiter is a space.

        An unknown unit is written as its token, and so is an id past the vocabulary, as Transformers does. Unlike
        there, the beginning and the end of a text say nothing, and jamo become syllables.
        """
        size = len(self.tokens)
        tokens = [self.tokens[index] if 0 <= index < size else self.unknown_token for index in ids]
        written = {self.bos_token: "", self.eos_token: "", self.delimiter_token: " ", self.blank_token: ""}
        text = compose("".join(written.get(token, token) for token in tokens))
        if self.units == "jamo" and self._has_letters:
            text = compose_letters(text)
        return " ".join((text.lower() if self.lower_case else text).split())

    def save(self, folder: Path) -> None:
        """Write the files from which `load`, and Transformers' Wav2Vec2CTCTokenizer, read the vocabulary."""
        special = {
            "pad_token": self.blank_token,
            "unk_token": self.unknown_token,
            "bos_token": self.bos_token,
            "eos_token": self.eos_token,
        }
        config = {
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            **special,
            "word_delimiter_token": self.delimiter_token,
            "replace_word_delimiter_char": " ",
            "do_lower_case": self.lower_case,
            "clean_up_tokenization_spaces": False,
            "units": self.units,
        }
        write_json(folder / model_folder.TOKENIZER, config)
        write_json(folder / model_folder.SPECIAL_TOKENS, {k: v for k, v in special.items() if v is not None})
        write_json(folder / model_folder.VOCABULARY, {token: index for index, token in enumerate(self.tokens)})

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read a vocabulary that `save`, or Transformers' Wav2Vec2CTCTokenizer, wrote.

        Where tokenizer_config.json does not say the units, a vocabulary with jamo and no syllables is one of jamo. It
        may be missing, too: vocab.json then names the special tokens in one of the usual ways. Where config.json names
        another token to pad with than the tokenizer does, it is the blank, because CTC training took it for that.
        Raises ModelError where a file is missing or malformed, or the ids are not 0 to n - 1.
        """
        config = _settings(folder / model_folder.SPECIAL_TOKENS)
        config |= _settings(folder / model_folder.TOKENIZER)
        vocabulary = _vocabulary(folder, config)
        tokens = tuple(sorted(vocabulary, key=lambda token: int(vocabulary[token])))
        units: Any = config.get("units")
        if units not in get_args(Units):
            units = _guess_units(tokens)
        special = _special_tokens(config, vocabulary)
        blank: Any = _settings(folder / model_folder.CONFIG).get("pad_token_id")
        # A few vocabularies hold the space itself, and a few none.
        delimiter = _token(config.get("word_delimiter_token", "|"))
        if delimiter not in vocabulary:
            delimiter = " " if " " in vocabulary else None
        try:
            return cls(
                units,
                tokens,
                blank_token=tokens[blank] if blank in range(len(tokens)) else special["pad_token"],
                unknown_token=special["unk_token"],
                delimiter_token=delimiter,
                bos_token=special["bos_token"],
                eos_token=special["eos_token"],
                lower_case=bool(config.get("do_lower_case")),
            )
        except ModelError as error:
            path = folder / model_folder.VOCABULARY
            raise ModelError(f"{path}: {error}; tokenizer_config.json names the special tokens") from error


def _vocabulary(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return ids by token: of vocab.json, of what Transformers noted elsewhere, and of what it adds unasked."""
    path = folder / model_folder.VOCABULARY
    vocabulary = read_json(path)
    if any(isinstance(ids, dict) for ids in vocabulary.values()):
        raise ModelError(
            f"{path} holds a vocabulary for each language ({', '.join(list(vocabulary)[:5])}), as MMS models do: "
            "they need adapters, which are not supported here; give a model of one language"
        )
    # Versions of Transformers differ in where they keep what was added after vocab.json, with the ids that follow.
    added = config.get("added_tokens_decoder", {}).items()
    noted = {token: index for index, value in added if (token := _token(value))}
    vocabulary = _settings(folder / model_folder.ADDED_TOKENS) | noted | vocabulary
    if sorted(map(str, vocabulary.values())) != sorted(map(str, range(len(vocabulary)))):
        raise ModelError(f"{path}: ids must be 0 to {len(vocabulary) - 1}, each once; number the tokens anew")
    # The blank is not for adding: a model without one is none.
    for role, token in _special_tokens(config, vocabulary).items():
        if token is not None and role != "pad_token":
            vocabulary.setdefault(token, len(vocabulary))
    return vocabulary


def _special_tokens(config: dict[str, Any], vocabulary: Container[str]) -> dict[str, Any]:
    """Return the special tokens, in the order in which Wav2Vec2CTCTokenizer adds them.

    What `config` does not name is as that class names it by default, or in the other usual way if the vocabulary has
    that one. The beginning and the end of a text may be null, which is to have none.
    """
    return {
        "bos_token": _token(config.get("bos_token", "<s>")),
        "eos_token": _token(config.get("eos_token", "</s>")),
        "unk_token": _token(config.get("unk_token")) or _usual(vocabulary, "<unk>", "[UNK]"),
        "pad_token": _token(config.get("pad_token")) or _usual(vocabulary, "<pad>", "[PAD]"),
    }


def _usual(vocabulary: Container[str], default: str, other: str) -> str:
    return other if default not in vocabulary and other in vocabulary else default


def _token(value: Any) -> str | None:
    """Return a special token that Transformers writes as a string, as an object with its content, or not at all."""
    content = value.get("content") if isinstance(value, dict) else value
    return content if isinstance(content, str) else None


def _guess_units(tokens: Iterable[str]) -> Units:
    letters = "".join(tokens)
    has_jamo = CONJOINING_JAMO.search(letters) or COMPATIBILITY_JAMO.search(letters)
    return "jamo" if has_jamo and not SYLLABLE.search(letters) else "syllables"


def _settings(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file that a model folder need not have."""
    return read_json(path) if path.exists() else {}
