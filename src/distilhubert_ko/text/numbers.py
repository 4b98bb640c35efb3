"""Spoken numbers as digits: 오천삼백 원 -> 5,300원, 세 시 삼십 분 -> 3시 30분. The inverse of `spelling`.

Many Korean words look like numbers (이 is "this", 구경 is "sightseeing"), so only what is surely a number changes. A
number needs a counter or unit that takes it, or a form that is nothing else. docs/text.md lists the rules.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from distilhubert_ko.text.numerals import NATIVE_ONES, NATIVE_TENS
from distilhubert_ko.text.sino_numbers import (
    FIGURE,
    FIGURES,
    PLACES,
    Edit,
    SinoNumber,
    digits_of,
    numbers_at,
    written_form,
)
from distilhubert_ko.text.spoken_codes import code_at, fraction_at, ratio_at
from distilhubert_ko.text.spoken_counters import (
    AFTER_FULL,
    SPOKEN_COUNTERS,
    SYMBOLS,
    TAIL,
    is_bare_number,
    is_ordinal,
    spells_a_word,
    takes_figure,
    takes_native,
    takes_place,
)
from distilhubert_ko.text.units import any_of

_COUNTER = re.compile(rf"(?P<odd> ?여)?(?P<space> ?)(?P<counter>{any_of(SPOKEN_COUNTERS)})")
_TENS = {word: 10 * tens for tens, word in enumerate(NATIVE_TENS) if word} | {"스무": 20}
_ONES = {word: ones for ones, word in enumerate(NATIVE_ONES) if word} | {"석": 3, "넉": 4}
_NATIVE = re.compile(rf"(?P<tens>{'|'.join(_TENS)})? ?(?P<ones>{'|'.join(_ONES)})?")
_DECIMALS = re.compile(rf" ?[점쩜] ?({FIGURE}(?: ?{FIGURE})*)")
_NEIGHBOURS = {
    "한두": "1~2", "두세": "2~3", "두서너": "2~4", "서너": "3~4", "세네": "3~4", "네다섯": "4~5", "네댓": "4~5",
    "너댓": "4~5", "대여섯": "5~6", "예닐곱": "6~7", "일고여덟": "7~8", "여덟아홉": "8~9",
}  # fmt: skip
_ABOUT = re.compile(rf"({any_of(list(_NEIGHBOURS))}) ?")
_SINO_NEIGHBOURS = re.compile("(이 ?삼|삼 ?사|사 ?오|오 ?륙|오 ?육|육 ?칠|칠 ?팔|팔 ?구)([십백천만]?)")
_MONTHS = re.compile("(유|시) ?월")
# What stands before a counter that makes any figure a number: 삼월 이 일, 세 시 이 분.
_AFTER_A_NUMBER = {
    "일": re.compile("[일이삼사오육칠팔구십유시] ?[월박] ?$"),
    "분": re.compile("[한두세네섯곱덟홉열영십일이삼사오육칠팔구] ?시 ?$"),
    "초": re.compile("[일이삼사오육칠팔구십] ?분 ?$"),
}
# Some tens and how many are no numbers: 몇 십 년, 수 백만 원.
_UNCERTAIN = re.compile("(?<![가-힣])(?:몇|수|여러) $")
_NEVER = re.compile("(?!)")
_SIGN = re.compile("마이너스 |영하 |영상 |제 ?")
_DECADE = re.compile(" 대(?=[에의는은도와]|$| |쯤|까지|부터|초|중|후)")
_INSIDE = re.compile("[십백천만] $")
_MORE = re.compile(f" ?{FIGURE}(?![가-힣])| {FIGURE} ")
# 세시삼십분, 삼월이십일
_NEXT_PART = re.compile("(?<=[년월시분])[일이삼사오육칠팔구십유시]+[월일분초]")
_FROM = re.compile("에서 ")


def to_digits(text: str) -> str:
    """Return normalised `text` with what is surely a number in digits, joined to its counter: 두 시간 -> "2시간"."""
    done, pieces = 0, []
    for edit in find_numbers(text):
        pieces += [text[done : edit.start], edit.written]
        done = edit.end
    return "".join([*pieces, text[done:]])


def group_words(words: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return words with numbers in digits, each as the range of the words that it takes the place of.

    `words` are those of one text, in order. A number and its counter become one word: 오천삼백 원 gives
    (0, 2, "5,300원").
    """
    text = " ".join(words)
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word) + 1)
    edits = list(find_numbers(text))
    groups: list[tuple[int, int, str]] = []
    index = 0
    while index < len(words):
        end = index + 1
        while any(edit.start < starts[end] - 1 < edit.end for edit in edits):
            end += 1
        inside = [edit for edit in edits if starts[index] <= edit.start < starts[end]]
        written, done = "", starts[index]
        for edit in inside:
            written += text[done : edit.start] + edit.written
            done = edit.end
        groups.append((index, end, written + text[done : starts[end] - 1]))
        index = end
    return groups


def find_numbers(text: str) -> Iterator[Edit]:
    """Yield what is surely a number in normalised `text`, from left to right."""
    done = 0
    for word in re.finditer(r"\S+", text):
        start = max(word.start(), done)
        if _UNCERTAIN.search(text[max(0, start - 4) : start]):
            continue
        while start < word.end() and (start == word.start() or start == done) and (edit := _edit_at(text, start)):
            yield edit
            start = done = edit.end


def _edit_at(text: str, start: int) -> Edit | None:
    for rule in _RULES:
        if found := rule(text, start):
            return found
    return None


def _finishes(text: str, end: int) -> bool:
    """Tell whether a word may end at `end`, perhaps after particles, or the next part of a date or time follows."""
    return TAIL.match(text, end) is not None or _NEXT_PART.match(text, end) is not None


def _with_counter(number: str, counter: str, odd: str = "") -> str:
    return f"{number}{odd}{SYMBOLS.get(counter, counter)}"


def _counted(text: str, start: int) -> Edit | None:
    """Find a Sino-Korean number with a counter that makes it sure, or one that is nothing else."""
    for number in numbers_at(text, start):
        if _is_full_age(text, number):
            return None
        decimals = _DECIMALS.match(text, number.end)
        if decimals and (edit := _decimal(text, start, number, decimals)):
            return edit
        counter = _COUNTER.match(text, number.end)
        if counter and _is_sure(text, start, number, counter) and _finishes(text, counter.end()):
            return _edit(text, start, number.value, counter)
        if is_bare_number(number.words) and TAIL.match(text, number.end) and not _MORE.match(text, number.end):
            return Edit(start, number.end, written_form(number.value, "년" if 1900 <= number.value < 2100 else ""))
    return None


def _edit(text: str, start: int, value: int, counter: re.Match[str]) -> Edit:
    word, odd = counter["counter"], (counter["odd"] or "").strip()
    decade = _DECADE.match(text, counter.end()) if word == "년" and value % 10 == 0 else None
    end, after = (decade.end(), "대") if decade else (counter.end(), "")
    return Edit(start, end, _with_counter(written_form(value, word), word, odd) + after)


def _is_full_age(text: str, number: SinoNumber) -> bool:
    """Tell 만 이십 세, a full twenty, from ten thousand and twenty."""
    counter = _COUNTER.match(text, number.end)
    is_age = counter is not None and counter["counter"] in AFTER_FULL
    return is_age and number.words[0] == "만" and 10_000 < number.value < 11_000


def _is_sure(text: str, start: int, number: SinoNumber, counter: re.Match[str]) -> bool:
    word, apart, after = counter["counter"], bool(counter["space"]), text[counter.end() :]
    if spells_a_word(number.words, word, apart, after) or (word == "시" and number.value > 24):
        return False
    if len(number.words) > 1:
        return number.value >= 10
    if _AFTER_A_NUMBER.get(word, _NEVER).search(text[max(0, start - 6) : start]):
        return True
    if counter["odd"]:
        return number.value >= 10 or (number.words, word) == ("일", "년")
    if number.value >= 10:
        return takes_place(word, number.words, apart)
    return takes_figure(word, number.words, apart, after)


def _decimal(text: str, start: int, number: SinoNumber, point: re.Match[str]) -> Edit | None:
    figures = digits_of(point[1])
    written = f"{written_form(number.value)}.{figures}"
    counter = _COUNTER.match(text, point.end())
    if counter and not counter["odd"] and _finishes(text, counter.end()):
        return Edit(start, counter.end(), _with_counter(written, counter["counter"]))
    if "0" in figures and len(figures) > 1 and TAIL.match(text, point.end()):  # 삼 점 영이 is nothing else
        return Edit(start, point.end(), written)
    return None


def _zero_decimal(text: str, start: int) -> Edit | None:
    point = _DECIMALS.match(text, start + 1) if text[start] in "영공" else None
    if not point:
        return None
    found = _decimal(text, start, SinoNumber(start + 1, 0, "영"), point)
    if found or not TAIL.match(text, point.end()):
        return found
    return Edit(start, point.end(), f"0.{digits_of(point[1])}")


def _native(text: str, start: int) -> Edit | None:
    """Find a native number before a counter of things, perhaps after Sino-Korean tens: 열두 명, 삼십두 개."""
    before, position = 0, start
    found = _NATIVE.match(text, start)
    if not found or not found[0].strip():
        rounds = [one for one in numbers_at(text, start) if one.value % 10 == 0 and one.words not in "십천만"]
        if not rounds or rounds[0].value >= 10_000:
            return None
        before, position = rounds[0].value, rounds[0].end + (text[rounds[0].end : rounds[0].end + 1] == " ")
        found = _NATIVE.match(text, position)
        if not found or not found[0].strip() or (found["tens"] and before % 100):
            return None
    value = before + _TENS.get(found["tens"], 0) + _ONES.get(found["ones"], 0)
    end = found.end() - (found[0][-1] == " ")
    counter = _COUNTER.match(text, end)
    if not counter or counter["odd"] or not _finishes(text, counter.end()):
        return None
    word, apart, after = counter["counter"], bool(counter["space"]), text[counter.end() :]
    is_short = found["ones"] in ("석", "넉") and word not in ("달", "장", "잔")
    if is_short or (word == "시" and value > 12) or spells_a_word(text[position:end], word, apart, after):
        return None
    return _edit(text, start, value, counter) if takes_native(word, value, apart, text[:start], after) else None


def _neighbours(text: str, start: int) -> Edit | None:
    """Find two neighbours that are one word: 두세 명, 이삼십 년."""
    native = _ABOUT.match(text, start)
    if native:
        counter = _COUNTER.match(text, native.end() - (native[0][-1] == " "))
        if counter and takes_native(counter["counter"], 2, True, "") and _finishes(text, counter.end()):
            return Edit(start, counter.end(), _NEIGHBOURS[native[1]] + counter["counter"])
        return None
    sino = _SINO_NEIGHBOURS.match(text, start)
    counter = _COUNTER.match(text, sino.end()) if sino else None
    if not sino or not counter or counter["counter"] == "도" or not _finishes(text, counter.end()):
        return None
    if re.match(" [년월]", text[counter.end() :]) or _INSIDE.search(text[max(0, start - 2) : start]):
        return None
    low, high = (FIGURES[figure] * PLACES.get(sino[2], 1) for figure in sino[1].replace(" ", ""))
    written = f"{low:,}~{high:,}{'만' * (sino[2] == '만')}"
    return Edit(start, counter.end(), _with_counter(written, counter["counter"], (counter["odd"] or "").strip()))


def _month(text: str, start: int) -> Edit | None:
    """Find 유월 and 시월, the two months that no number is left of."""
    month = _MONTHS.match(text, start)
    if not month or not _finishes(text, month.end()):
        return None
    return Edit(start, month.end(), "6월" if month[1] == "유" else "10월")


def _signed(text: str, start: int) -> Edit | None:
    """Find a number after 마이너스, 영하, 영상 or 제, which makes one syllable sure: -5도, 제3회."""
    sign = _SIGN.match(text, start)
    if not sign:
        return None
    for number in numbers_at(text, sign.end()):
        decimals = _DECIMALS.match(text, number.end)
        counter = _COUNTER.match(text, decimals.end() if decimals else number.end)
        if counter and not counter["odd"] and _finishes(text, counter.end()):
            if sign[0].startswith("제") and not is_ordinal(number.words, counter["counter"], bool(counter["space"])):
                continue
            value = written_form(number.value) + (f".{digits_of(decimals[1])}" if decimals else "")
            before = "-" if sign[0].startswith("마") else sign[0] if sign[0].startswith("영") else "제"
            return Edit(start, counter.end(), before + _with_counter(value, counter["counter"]))
    return None


def _range(text: str, start: int) -> Edit | None:
    """Find two numbers before one counter: 삼에서 오 퍼센트, 이십에서 삼십 대."""
    for first in numbers_at(text, start):
        between = _FROM.match(text, first.end)
        if between and first.words not in ("이", "일"):
            for second in numbers_at(text, between.end()):
                counter = _COUNTER.match(text, second.end)
                if first.value < second.value and counter and not counter["odd"] and _finishes(text, counter.end()):
                    written = f"{written_form(first.value)}~{written_form(second.value, counter['counter'])}"
                    return Edit(start, counter.end(), _with_counter(written, counter["counter"]))
    return None


_RULES: tuple[Callable[[str, int], Edit | None], ...] = (
    code_at,
    _signed,
    _month,
    _neighbours,
    _range,
    fraction_at,
    ratio_at,
    _zero_decimal,
    _native,
    _counted,
)
