"""Hangul syllables and the jamo that spell them (Unicode Standard, section 3.12).

Text is in NFC, so in syllables, unless it says otherwise. Jamo come in two forms: conjoining ones, of which a syllable
decomposes into two or three, and compatibility letters (ㄱ), which stand alone.
"""

import re
import unicodedata

CONJOINING_JAMO = re.compile("[\u1100-\u11ff]")
COMPATIBILITY_JAMO = re.compile("[ㄱ-ㅣ]")
# In the order of the conjoining jamo from U+1100, U+1161 and U+11A8, of which they are the letters.
_LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
LETTERS = {
    first + index: letter
    for first, letters in ((0x1100, _LEADS), (0x1161, _VOWELS), (0x11A8, _TAILS))
    for index, letter in enumerate(letters)
}
# A consonant before a vowel begins the next syllable.
_SPELLED = re.compile(f"([{_LEADS}])([{_VOWELS}])(?:([{_TAILS}])(?![{_VOWELS}]))?")
SYLLABLE = re.compile("[가-힣]")
NO_FINAL = "∅"
INITIALS, MEDIALS, FINALS = tuple(_LEADS), tuple(_VOWELS), (NO_FINAL, *_TAILS)
"""The letters of each position of a syllable, in the order of the dictionary."""


def decompose(text: str) -> str:
    """Return `text` in NFD: every Hangul syllable as two or three conjoining jamo."""
    return unicodedata.normalize("NFD", text)


def compose(text: str) -> str:
    """Return `text` in NFC: jamo that can form a syllable do."""
    return unicodedata.normalize("NFC", text)


def compose_letters(text: str) -> str:
    """Return `text` with compatibility letters (ㄱㅏㄱ) as syllables (각) where they spell some."""

    def syllable(spelled: re.Match[str]) -> str:
        lead, vowel, tail = spelled.groups()
        jamo = chr(0x1100 + _LEADS.index(lead)) + chr(0x1161 + _VOWELS.index(vowel))
        return compose(jamo + chr(0x11A8 + _TAILS.index(tail)) if tail else jamo)

    return _SPELLED.sub(syllable, text)


def letters_by_position(character: str) -> tuple[str, str, str]:
    """Return the initial, medial and final letter of a character: ㄱ, ㅏ and NO_FINAL for 가.

    A lone conjoining jamo fills its own position and leaves "" in the other two. Any other character has none.
    """
    jamo = decompose(character)
    if not CONJOINING_JAMO.match(jamo) or any(ord(each) not in LETTERS for each in jamo):
        return "", "", ""
    found = ["", "", NO_FINAL if len(jamo) == 2 else ""]
    for each in jamo:
        found[(ord(each) >= 0x1161) + (ord(each) >= 0x11A8)] = LETTERS[ord(each)]
    return found[0], found[1], found[2]


def jamo_roles(character: str) -> tuple[str, str, str]:
    """Return the conjoining jamo that a character can be as initial, medial and final; "" where it cannot.

    A conjoining jamo is itself. A compatibility letter (ㄱ) may be an initial as well as a final.
    """
    first, medial, final = (
        chr(start + letters.index(character)) if character in letters else ""
        for start, letters in ((0x1100, _LEADS), (0x1161, _VOWELS), (0x11A8, _TAILS))
    )
    if "\u1100" <= character <= "\u1112":
        first = character
    elif "\u1161" <= character <= "\u1175":
        medial = character
    elif "\u11a8" <= character <= "\u11c2":
        final = character
    return first, medial, final
