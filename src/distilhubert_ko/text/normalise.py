"""The one written form of every transcript. docs/text.md has the rules."""

import re
import unicodedata
from dataclasses import replace

from distilhubert_ko.text.hangul import SYLLABLE, compose
from distilhubert_ko.text.spelling import Piece, read, spell_out

# Unicode's Default_Ignorable_Code_Point: zero-width characters, BOM, Hangul fillers, variation selectors.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
# The area code of a telephone number, (02)123-4567 or 031)123-4567, is no note.
_AREA_CODE = re.compile(r"\(?(?<![0-9])(0[0-9]{1,3})\)\s?(?=[0-9]{3,4}-[0-9]{4}(?![0-9]))")
_BRACKETS = {"(": ")", "[": "]", "<": ">", "【": "】", "〔": "〕"}
# Marks that leave the words beside them joined. The brackets among them quote titles, which are read aloud.
_QUOTES = re.compile("[\"'`´˝ʼ‘’‚‛“”„‟′″«»‹›「」『』〈〉《》]")
# Koreans type the vowel araea (ㆍ, or U+119E after a careless NFKC) where they mean a middle dot.
_MIDDLE_DOTS = "ㆍ\u119e"


def normalise(text: str, spell: bool = False) -> str:
    """Return the form in which transcripts are learnt and scored: words in NFC with one space between them.

    In order:

    - Invisible characters go.
    - Text becomes NFC, and full-width forms become ASCII.
    - Round, square and angle brackets go with what they hold, an unpaired one alone.
    - Quotes and apostrophes go.
    - With `spell`, digits, Latin letters and units after numbers become Korean words: "3시 20%" -> "세 시 이십 퍼센트".
    - The rest is lower-cased. Any other mark that is no letter or number becomes a space. Spaces collapse.

    Normalising never fails, and doing it twice changes nothing more. What no Korean vocabulary spells (Latin letters,
    Chinese characters, ㅋㅋ) stays, so that `foreign_characters` can show it.
    """
    text = _unmarked(text)
    if spell:
        text = spell_out(text)
    return " ".join(compose(_spoken(text)).split())


def readings(text: str) -> list[Piece]:
    """Return `text` in pieces, each with every reading that Koreans use; the first ones make what `normalise` spells.

    A piece that is read as it is written has one reading. Joined pieces want their spaces collapsed.
    """
    return [replace(piece, readings=tuple(map(_spoken, piece.readings))) for piece in read(_unmarked(text))]


def _unmarked(text: str) -> str:
    """Return NFC without invisible characters, full-width forms, notes in brackets and quotes."""
    text = compose(_INVISIBLE.sub("", text)).translate(_FULL_WIDTH)
    text = _AREA_CODE.sub(r"\1-", text)
    return _QUOTES.sub("", _without_brackets(text))


def _spoken(text: str) -> str:
    return "".join(character if _is_spoken(character) else " " for character in text.lower())


def foreign_characters(text: str) -> str:
    """Return the distinct characters of a normalised `text`, sorted, that are neither Hangul syllables nor spaces.

    Lone jamo such as ㅋㅋ are foreign too, because nobody can say how they were spoken.
    """
    return "".join(sorted(set(SYLLABLE.sub("", text).replace(" ", ""))))


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
    """Tell letters, numbers and the marks that complete a letter from the rest, by Unicode's general category."""
    return unicodedata.category(character)[0] in "LMN" and character not in _MIDDLE_DOTS
