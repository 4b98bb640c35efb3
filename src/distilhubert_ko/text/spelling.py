"""Digits, units and Latin letters as Korean words: the reading half of `normalise(text, spell=True)`.

`read` finds what is not written as it is said, and gives every reading of it that Koreans use. The first is the
default, which `spell_out` writes. docs/text.md lists the rules with examples, and a test runs every one of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from distilhubert_ko.text.codes import Found, before_a_word, read_code, read_event, read_phone
from distilhubert_ko.text.counters import sino_readings
from distilhubert_ko.text.latin import (
    DIGIT_AND_LATIN,
    LATIN,
    combine,
    say_digit_and_latin,
    say_latin,
)
from distilhubert_ko.text.quantities import (
    NUMBER,
    Quantity,
    amount_at,
    neighbours,
    quantity_at,
    say,
    say_range,
)
from distilhubert_ko.text.units import CURRENCIES, any_of, widen


@dataclass(frozen=True)
class Piece:
    """A stretch of a text and its readings, which hold the space that has to follow."""

    written: str
    readings: tuple[str, ...]
    is_read: bool = False
    """Whether a rule read it, rather than that it is said as it is written."""


# 10시50분 is typed without its space; 3천5백 never had one.
_RUN_ON = re.compile(r"([0-9][가-힣]{1,2})(?<![십백천만억조경])(?=[0-9])")
_START = re.compile(rf"[0-9A-Za-z#+−-]|{any_of(list(CURRENCIES))}")
_DATE = re.compile(
    r"(?<![0-9.])([0-9]{4})(?:\.\s?|[-/])(0?[1-9]|1[0-2])(?:\.\s?|[-/])(0?[1-9]|[12][0-9]|3[01])(?![0-9])\.?"
)
_TIME = re.compile(r"(?<![0-9:])([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:])")
_FRACTION = re.compile(r"(?<![0-9/])(?<![0-9][.,])([0-9]{1,12})\s?/\s?([0-9]{1,12})(?![0-9/]|[가-힣]?월)")
_SCORE = re.compile(
    r"(?<![0-9-])([0-9]{1,3})\s?[-–]\s?([0-9]{1,3})(?![0-9-])"
    r"(?=\s?(?:으?로(?![가-힣])|승|패|무승부|완승|완패|역전|스코어|동점|대승|석승))"
)
_RATIO = re.compile(rf"({NUMBER})\s?:\s?({NUMBER})(?![0-9:])")
_QUARTER = re.compile(r"(?<![0-9])([1-4])\s?[/-]\s?(4)(?=\s?분기)")
_LOT = re.compile(r"(?<![0-9-])([0-9]{1,4})-([0-9]{1,4})(?=\s?번지)")
_SPACED_DECIMAL = re.compile(
    r"(?<![0-9])(?:(?<=[가-힣] )([0-9]{1,3})\. ([0-9]{1,3})(?![0-9.]|\s?[월번시])"
    r"|([0-9]{1,3})\. ([0-9]{1,3})(?=[%‰배]))"
)
_PLAIN = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
# With an equals sign a minus is one too; without, the last number may have a unit, so it is read on its own.
_EQUATION = re.compile(rf"(?<![0-9.]){_PLAIN}(?:\s?[-+−×x÷]\s?{_PLAIN}){{1,9}}\s?=\s?{_PLAIN}(?![0-9])")
_TERM = re.compile(r"(?<![0-9])[0-9]+(?:\.[0-9]+)?\s?[+×x÷]\s?(?=[0-9])")
_OPERATORS = {
    "+": ("더하기", "플러스"),
    "-": ("빼기", "마이너스"),
    "−": ("빼기", "마이너스"),
    "×": ("곱하기", "엑스"),
    "x": ("곱하기", "엑스"),
    "÷": ("나누기",),
}
_MONEY = re.compile(rf"(?P<sign>{any_of(list(CURRENCIES))})\s?(?=[0-9])")
_MINUS = re.compile(r"(?:(?<!\S)|(?<=[~∼〜(]))[-−](?=[0-9])")
_BETWEEN = re.compile(r"\s?[~∼〜–]\s?|-|,\s?| ")
_TO_A_LATER_NUMBER = re.compile(r"\s?[~∼〜]\s?(?=(?:[가-힣]{1,4}\s?)?[0-9])")


def spell_out(text: str) -> str:
    """Return `text` in lower case, with every ASCII digit, Latin letter and unit after a number as it is read aloud.

    `text` is NFC. The rest stays as it is, except that one space goes between a number and what it counts.
    """
    return "".join(piece.readings[0] for piece in read(text)).lower()


def read(text: str) -> list[Piece]:
    """Return `text` in pieces that give it when joined, each with the readings that Koreans use, the default first."""
    text = _RUN_ON.sub(r"\1 ", widen(text).replace("İ", "i̇"))
    pieces: list[Piece] = []
    done = position = 0
    while start := _START.search(text, position):
        for rule in _RULES:
            found = rule(text, start.start())
            if found:
                break
        else:
            position = start.end()
            continue
        if done < start.start():
            pieces.append(Piece(text[done : start.start()], (text[done : start.start()],)))
        done = position = found[0]
        pieces.append(Piece(text[start.start() : done], found[1], is_read=True))
    if done < len(text):
        pieces.append(Piece(text[done:], (text[done:],)))
    return pieces


def _again(text: str) -> tuple[str, ...]:
    """Return the readings of `text`, which says the same in a plainer way."""
    return combine(*(piece.readings for piece in read(text)))


def _latin(text: str, start: int) -> Found:
    found = None if _MONEY.match(text, start) else LATIN.match(text, start)
    if not found:
        return None
    readings = say_latin(found[0])
    return before_a_word(text, found.end(), readings) if found[0][-1].isdigit() else (found.end(), readings)


def _digit_and_latin(text: str, start: int) -> Found:
    found = DIGIT_AND_LATIN.match(text, start)
    readings = say_digit_and_latin(*found.groups()) if found else None
    return (found.end(), readings) if found and readings else None


def _date(text: str, start: int) -> Found:
    found = _DATE.match(text, start)
    return (found.end(), _again(f"{int(found[1])}년 {int(found[2])}월 {int(found[3])}일")) if found else None


def _time(text: str, start: int) -> Found:
    found = _TIME.match(text, start)
    if not found:
        return None
    hour, minute, second = found.groups()
    parts = [f"{int(hour)}시"]
    if int(minute) or second:
        parts.append(f"{int(minute)}분")
    if second:
        parts.append(f"{int(second)}초")
    return _to_what_follows(text, found.end(), _again(" ".join(parts)))


def _fraction(text: str, start: int) -> Found:
    found = _FRACTION.match(text, start)
    if not found or not 0 < int(found[1]) < int(found[2]):
        return None
    part, whole = (sino_readings(int(number)) for number in found.groups())
    return before_a_word(text, found.end(), combine(whole, (" 분의 ",), part))


def _sum(text: str, start: int) -> Found:
    found = _EQUATION.match(text, start) or _TERM.match(text, start)
    if not found:
        return None
    said: list[tuple[str, ...]] = []
    for part in re.findall(r"[0-9.]+|[^0-9.\s]", found[0]):
        if part == "=":
            closed = (ord(said[-1][0][-1]) - ord("가")) % 28 > 0
            said.append(("은 " if closed else "는 ",))
        elif part in _OPERATORS:
            said.append(tuple(f" {word} " for word in _OPERATORS[part]))
        else:
            said.append(_again(part))
    return before_a_word(text, found.end(), combine(*said)) if "=" in found[0] else (found.end(), combine(*said))


def _pair(text: str, start: int) -> Found:
    """Read a quarter, a score, a ratio and the two numbers of an address: 1/4분기, 2-1 승리, 4:3, 12-3번지."""
    for pattern, between in (_QUARTER, ("",)), (_SCORE, (" 대 ",)), (_RATIO, (" 대 ",)), (_LOT, (" 다시 ", "의 ", " ")):
        if found := pattern.match(text, start):
            first, second = (_again(number) for number in found.groups())
            return before_a_word(text, found.end(), combine(first, between, second))
    return None


def _spaced_decimal(text: str, start: int) -> Found:
    found = _SPACED_DECIMAL.match(text, start)
    if not found:
        return None
    number = f"{found[1] or found[3]}.{found[2] or found[4]}"
    quantity = quantity_at(number + text[found.end() :], 0)
    assert quantity
    return found.end() + quantity.end - len(number), say(quantity)


def _quantity(text: str, start: int) -> Found:
    sign = _MONEY.match(text, start)
    if sign:
        amount = amount_at(text, sign.end())
        assert amount
        money = tuple(("", word) for word in CURRENCIES[sign["sign"]])
        return before_a_word(text, amount.end, say(Quantity(start, amount.end, amount, unit=money)))
    minus = _MINUS.match(text, start)
    quantity = quantity_at(text, minus.end() if minus else start, bool(minus))
    if not quantity:
        return None
    return _range(text, quantity) or _to_what_follows(text, quantity.end, say(quantity))


def _range(text: str, first: Quantity) -> Found:
    """Read two numbers with ~, a hyphen, a comma or a space between them, where they are a range or neighbours."""
    separator = _BETWEEN.match(text, first.end)
    if not separator:
        return None
    wave = separator[0].strip(" ,-") != ""
    minus = _MINUS.match(text, separator.end()) if wave else None
    second = quantity_at(text, minus.end() if minus else separator.end(), bool(minus))
    if not second:
        return None
    if not wave:
        low, high = first.amount.value, second.amount.value
        if not first.is_bare or second.is_bare or low is None or high is None or first.amount.padded:
            return None
        if "-" in separator[0] and (low >= high or re.search(r"[0-9A-Za-z-]$", first.before)):
            return None
        if "-" not in separator[0] and not neighbours(first, second):
            return None
        if separator[0] == " " and not (high < 10 and second.counter):
            return None
    readings = say_range(first, separator[0], second)
    return (
        _to_what_follows(text, second.end, readings)
        if not second.is_bare
        else before_a_word(text, second.end, readings)
    )


def _to_what_follows(text: str, end: int, readings: tuple[str, ...]) -> Found:
    """Return a rule's answer, with 에서 where ~ leads to a later number: 오전 9시~오후 6시."""
    later = _TO_A_LATER_NUMBER.match(text, end)
    return (later.end(), combine(readings, ("에서 ", "부터 ", " "))) if later else (end, readings)


_RULES: tuple[Callable[[str, int], Found], ...] = (
    _latin,
    _date,
    read_phone,
    _time,
    read_event,
    _pair,
    _fraction,
    _sum,
    read_code,
    _digit_and_latin,
    _spaced_decimal,
    _quantity,
)
