"""Figures that are read one by one, and days that have become names: 010-1234-5678, 119, #1077, 6·25."""

import re

from distilhubert_ko.text.latin import combine, say_code
from distilhubert_ko.text.numerals import figures, sino_korean
from distilhubert_ko.text.quantities import PARTICLES

Found = tuple[int, tuple[str, ...]] | None
"""Where a rule's stretch ends, and its readings."""

_SERVICES = "15(?:22|33|44|55|66|77|88|99)|16(?:00|44|55|61|66|68|70|88|99)|18(?:00|11|33|55|66|77|99)"
_PHONE = re.compile(
    rf"(?<![0-9-])(?:0[0-9]{{1,3}}[- .]\s?[0-9]{{3,4}}[- .][0-9]{{4}}|(?:{_SERVICES})-[0-9]{{4}}|[0-9]{{3}}-[0-9]{{4}}"
    r"|[0-9]{2,6}-[0-9]{2,6}-[0-9]{4,8}(?:-[0-9]+)*)(?![0-9-])"
)
_DAY = r"(?<![0-9])(?<![0-9][.·ㆍ])(0?[1-9]|1[0-2]){}(0?[1-9]|[12][0-9]|3[01])(?![0-9.·ㆍ]|[년월일시대차기위층부])"
# 3·1절, 6·25: a day that has become a name. With a counter (1·2위) the dot only separates.
_EVENT = re.compile(_DAY.format("[·ㆍ\u119e]"))
_NAMED = (
    r"\s?(?:대책|사태|사건|혁명|운동|민주|전쟁|쿠데타|군사|합의|선언|항쟁|테러|참사|광장|묘지|절(?![가-힣])|때|총선|대선|지방선거|"
    r"재보선|정변|공동|남북|사변|동란|의거|독립|광복|계엄|지진|내란|학살|조치|당시|직후|끝나|유공|참전)"
)
_DOTTED_EVENT = re.compile(_DAY.format(r"[.]\s?") + rf"(?={_NAMED})")
_JOINED_EVENT = re.compile(rf"(?<![0-9])(?<![0-9][.,])(1212|518|625|419|815|516|629|610)(?={_NAMED}|\s?광주)")
_SIGNED_CODE = re.compile(r"#([0-9]+)")
_FIGURES = re.compile(
    r"(?<![0-9])(?<![0-9][.,])(?:"
    r"119(?![0-9.,]|\s?[개명원번년일층호도시분점])"
    r"|(?:11[0-8]|12[0-9]|13[0-9]{2})(?=(?:에|로|으로|을|를)?\s?(?:신고|전화|상황실|센터|안내|문의|콜센터))"
    r"|365(?=\s(?!일|개|명|점)[가-힣])"
    r"|63(?=\s?빌딩)"
    r"|(?:[2-5]0[3-6]0|[3-6]86)(?=\s?(?:세대|남성|여성|당원|청년|직장인|표심))"
    r"|[0-9]{4}(?=\s?님)"
    r"|(?:(?<=코로나)|(?<=코로나 ))19)"
)


def before_a_word(text: str, end: int, readings: tuple[str, ...]) -> Found:
    """Return a rule's answer, with a space after it where a word follows that is no particle."""
    follows = "가" <= text[end : end + 1] <= "힣" and not PARTICLES.match(text, end)
    return end, combine(readings, (" ",)) if follows else readings


def read_phone(text: str, start: int) -> Found:
    """Read a number of a telephone or an account figure by figure."""
    found = _PHONE.match(text, start)
    if not found:
        return None
    groups = re.findall("[0-9]+", found[0])
    readings = tuple(" ".join(figures(group, zero) for group in groups) for zero in ("공", "영"))
    return before_a_word(text, found.end(), readings)


def read_event(text: str, start: int) -> Found:
    """Read a day that has become a name, with a dot (6·25), or where a word after it says so (6.25 전쟁, 518 광주)."""
    found = _EVENT.match(text, start) or _DOTTED_EVENT.match(text, start)
    if found:
        month, day = found.groups()
    else:
        found = _JOINED_EVENT.match(text, start)
        if not found:
            return None
        month, day = found[0][:-2], found[0][-2:]
    whole = sino_korean(int(month)) + sino_korean(int(day))
    # 5·18 is 오일팔, but 12·12 is 십이십이 and 6·10 is 육십.
    by_figure = sino_korean(int(month)) + (figures(day, "영") if day[-1] != "0" else sino_korean(int(day)))
    readings = (whole, by_figure) if int(month) > 10 and day[0] == "1" else (by_figure, whole)
    return found.end(), tuple(dict.fromkeys(readings))


def read_code(text: str, start: int) -> Found:
    """Read figure by figure what is a name and not a number: 119, #1077, 4592 님."""
    found = _SIGNED_CODE.match(text, start)
    if found:
        return before_a_word(text, found.end(), combine(("샵 ", "샾 ", "해시태그 "), say_code(found[1])[::-1]))
    found = _FIGURES.match(text, start)
    if not found:
        return None
    readings = tuple(dict.fromkeys(figures(found[0], zero) for zero in ("공", "영")))
    return before_a_word(text, found.end(), readings)
