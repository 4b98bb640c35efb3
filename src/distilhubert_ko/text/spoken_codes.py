"""Spoken figures that are read one by one, days that have become names, fractions and scores, as digits."""

import re

from distilhubert_ko.text.sino_numbers import FIGURE, Edit, digits_of, numbers_at
from distilhubert_ko.text.spoken_counters import TAIL
from distilhubert_ko.text.units import any_of

_PHONE = re.compile(
    rf"(공{FIGURE}{{1,2}})에? ({FIGURE}{{3,4}})에? ({FIGURE}{{4}})|(일[오육팔]{FIGURE}{{2}})에? ({FIGURE}{{4}})"
)
_CODE = re.compile(
    rf"공공{FIGURE}*[삼육칠팔구]|일일구|{FIGURE}(?: ?{FIGURE}){{3}}(?= ?님)"
    rf"|[이삼사오육칠팔] ?공 ?[이삼사오육칠팔] ?공|{FIGURE}*공{FIGURE}+(?= 번(?:[은이을으]|$| ))"
)
_EVENT_DAY = re.compile(
    "(?:(십?[일이삼사오육칠팔구])([일이삼][일이삼사오육칠팔구]|십[일이삼])"
    "(?= ?(?:대책|사태|항쟁|쿠데타|민주|혁명|참사|군사|합의|선언|테러|전쟁))"
    "|(사)(삼)(?= ?(?:수형|사건|항쟁|희생|특별법|유족|평화)))"
)
_DAYS = {
    "육이오": "6·25", "육 이 오": "6·25", "오일팔": "5·18", "사일구": "4·19", "오일육": "5·16", "팔일오": "8·15",
    "구일일": "9·11", "십이십이": "12·12", "삼일절": "3·1절", "삼일운동": "3·1운동", "육십항쟁": "6·10항쟁",
    "쓰리디": "3D",
}  # fmt: skip
_DAY = re.compile(any_of(list(_DAYS)))
_FRACTION = re.compile(" ?분의 ")
_RATIO = re.compile(" 대 ")


def code_at(text: str, start: int) -> Edit | None:
    """Find figures that are read one by one, and days that have become names."""
    phone = _PHONE.match(text, start)
    if phone and TAIL.match(text, phone.end()):
        return Edit(start, phone.end(), "-".join(digits_of(group) for group in phone.groups() if group))
    code = _CODE.match(text, start)
    if code and (TAIL.match(text, code.end()) or text[code.end() : code.end() + 1] == "님"):
        return Edit(start, code.end(), digits_of(code[0]))
    event = _EVENT_DAY.match(text, start)
    if event:
        month, day = (event[1], event[2]) if event[1] else (event[3], event[4])
        return Edit(start, event.end(), f"{_of_month(month)}·{_of_month(day)}")
    day = _DAY.match(text, start)
    return Edit(start, day.end(), _DAYS[day[0]]) if day and TAIL.match(text, day.end()) else None


def fraction_at(text: str, start: int) -> Edit | None:
    """Find a fraction: 삼 분의 일. With 이 it may be this person's."""
    for whole in numbers_at(text, start):
        middle = _FRACTION.match(text, whole.end)
        if not middle or whole.words in ("이", "일"):
            continue
        for part in numbers_at(text, middle.end()):
            if part.value < whole.value and TAIL.match(text, part.end):
                return Edit(start, part.end, f"{part.value}/{whole.value}")
    return None


def ratio_at(text: str, start: int) -> Edit | None:
    """Find a score: 삼 대 일."""
    for first in numbers_at(text, start):
        middle = _RATIO.match(text, first.end)
        for second in numbers_at(text, middle.end()) if middle else ():
            if TAIL.match(text, second.end) and first.value < 1000 and text[second.end : second.end + 2] != " 대":
                return Edit(start, second.end, f"{first.value} 대 {second.value}")
    return None


def _of_month(words: str) -> str:
    """Return the digits of a month or a day, where ten is 십: "십이" -> "12"."""
    return f"1{digits_of(words[1:])}" if words[0] == "십" else digits_of(words)
