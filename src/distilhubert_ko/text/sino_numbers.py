"""Sino-Korean numbers in a text: where they end, and what they are worth."""

from dataclasses import dataclass

FIGURES = dict(zip("영공일이삼사오육륙칠팔구", (0, 0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9), strict=True))
PLACES = {"십": 10, "백": 100, "천": 1000}
MYRIADS = {"만": 10**4, "억": 10**8, "조": 10**12}
FIGURE = "[영공일이삼사오육칠팔구]"


@dataclass(frozen=True)
class Edit:
    """A stretch of a text and the digits that take its place."""

    start: int
    end: int
    written: str


@dataclass(frozen=True)
class SinoNumber:
    """A Sino-Korean number in a text: where it ends, its value, its words without spaces."""

    end: int
    value: int
    words: str


def numbers_at(text: str, start: int) -> list[SinoNumber]:
    """Return the Sino-Korean numbers that begin at `start`, the longest first. Spaces may stand between their words."""
    found: list[SinoNumber] = []
    total = group = pending = 0
    place, myriad = 10**4, 10**16
    position = start
    while position < len(text):
        word = text[position]
        if word == " " and position > start:
            position += 1
            if text[position : position + 1] == " ":
                break
            continue
        if word in FIGURES and FIGURES[word] and not pending:
            pending = FIGURES[word]
        elif word in PLACES and PLACES[word] < place:
            place = PLACES[word]
            group, pending = group + (pending or 1) * place, 0
        elif word in MYRIADS and MYRIADS[word] < myriad and (group + pending or (word == "만" and not total)):
            myriad = MYRIADS[word]
            total, group, pending, place = total + (group + pending or 1) * myriad, 0, 0, 10**4
        else:
            break
        position += 1
        found.append(SinoNumber(position, total + group + pending, text[start:position].replace(" ", "")))
    return found[::-1]


def written_form(value: int, counter: str = "") -> str:
    """Return a value as Koreans write it: 5,300; 3만5,000; 2018 for a year."""
    parts = []
    for word, myriad in reversed(MYRIADS.items()):
        high, value = divmod(value, myriad)
        if high:
            parts.append(f"{high:,}{word}")
    if value or not parts:
        parts.append(str(value) if counter.startswith("년") or counter in ("번", "번지", "호") else f"{value:,}")
    return "".join(parts)


def digits_of(words: str) -> str:
    """Return figures that are read one by one as digits: "공이 일" -> "021"."""
    return "".join(str(FIGURES[figure]) for figure in words if figure != " ")
