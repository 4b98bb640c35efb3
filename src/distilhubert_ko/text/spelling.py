"""Digits, units and Latin letters as Korean words: the reading half of `normalise(text, spell=True)`.

Two number systems are in daily use. Sino-Korean (일, 이, 삼) reads sums, dates, measures and labels; native
Korean (한, 두, 세) counts things, up to 99. docs/text.md lists the rules with examples, and a test runs every
one of them.
"""

import re
import unicodedata

from distilhubert_ko.errors import InputError

_SINO_DIGITS = ("", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
_SINO_PLACES = ("천", "백", "십", "")
_SINO_SCALES = ("", "만", "억", "조", "경")
_NATIVE_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_SINO_LIMIT = 10 ** (4 * len(_SINO_SCALES))
_MONTHS = {"6": "유", "10": "시"}

_LETTER_NAMES = (
    "에이 비 씨 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 알 에스 티 유 브이 더블유 엑스 와이 제트"
)
_LETTERS = dict(zip("abcdefghijklmnopqrstuvwxyz", _LETTER_NAMES.split(), strict=True))

_UNITS = {
    "%p": "퍼센트포인트", "%": "퍼센트", "°C": "도", "°F": "도", "°": "도",
    "mm": "밀리미터", "cm": "센티미터", "m": "미터", "km": "킬로미터", "km/h": "킬로미터 퍼 아워",
    "cm2": "제곱센티미터", "m2": "제곱미터", "km2": "제곱킬로미터", "m3": "세제곱미터", "ha": "헥타르",
    "mg": "밀리그램", "g": "그램", "kg": "킬로그램", "t": "톤",
    "ml": "밀리리터", "mL": "밀리리터", "l": "리터", "L": "리터",
    "cal": "칼로리", "kcal": "킬로칼로리", "V": "볼트", "W": "와트", "kW": "킬로와트", "MW": "메가와트",
    "Hz": "헤르츠", "kHz": "킬로헤르츠", "MHz": "메가헤르츠", "GHz": "기가헤르츠", "dB": "데시벨",
    "KB": "킬로바이트", "kB": "킬로바이트", "MB": "메가바이트", "GB": "기가바이트", "TB": "테라바이트",
}  # fmt: skip
_CURRENCIES = {"$": "달러", "₩": "원", "￦": "원", "€": "유로", "£": "파운드", "¥": "엔"}

# Counters that take native numbers, and longer words that begin like one of them and do not.
_COUNTERS = (
    "번째 번 시간 시 개 명 마리 사람 살 잔 병 권 대 가지 달 장 그루 송이 켤레 채 척 벌 "
    "곳 군데 쌍 바퀴 배 차례 편 건 줄 조각 그릇 팀 골"
)
_NOT_COUNTERS = (
    "번지 번호 번가 번선 번홀 번출구 번타자 번버스 시즌 시리즈 개월 개국 개년 개소 개사 개교 "
    "병동 병상 병원 권역 대륙 대양 대학 달러 달라 장관 채널 벌점 배럴 배속 배수 건물 팀장"
)


def _any_of(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
# 경 (10 ** 16) is rarer after a number than the words that begin with it, such as 경기 (a match).
_SCALE = r"(?:[십백천]?(?:[만억]|조(?!각)|경(?=원|[^가-힣]|$))|[십백천])"
_PARTICLE = (
    r"(?:은|는|이|가|을|를|에(?:서|게)?|의|으?로|와|과|부터|까지|보다|처럼"
    r"|이?라(?:는|고)?|이?나|입니다|이?고|이?며)"
)
_QUANTITY = re.compile(
    rf"""
    (?P<minus>(?<!\S)[-−])?                        # inside a word or between numbers it is only a hyphen
    (?P<ordinal>(?<=제))?
    (?P<range>(?<=[0-9]\ 에서\ ))?
    (?P<number>{_NUMBER})
    (?P<scale>{_SCALE})?
    (?P<odd>(?<=[0십백천만억조])여(?!단)(?=\s|[가-힣]))?
    (?: \s?(?P<unit>{_any_of(list(_UNITS))})(?![A-Za-z0-9])
      | (?P<particle>(?={_PARTICLE}{{1,2}}(?![가-힣])))
      | (?!{_any_of(_NOT_COUNTERS.split())})(?P<counter>{_any_of(_COUNTERS.split())})
      | \ (?P<apart>{_any_of(_COUNTERS.split())})(?=(?:{_PARTICLE}|도|만|씩|쯤|째|당|간)*(?![가-힣]))
    )?""",
    re.VERBOSE,
)
# 10시50분 is typed without its space; 3천5백 never had one.
_RUN_ON = re.compile(r"([0-9][가-힣]{1,2})(?<![십백천])(?=[0-9])")
_RANGE = re.compile(r"([0-9]\s?(?:[가-힣]{1,3}|%|°?[A-Za-z]{1,3}|°)?)\s?[~∼〜]\s?(?=[0-9])")
_DATE = re.compile(
    r"(?<![0-9.])([0-9]{4})(?:\.\s?|[-/])(0?[1-9]|1[0-2])(?:\.\s?|[-/])(0?[1-9]|[12][0-9]|3[01])(?![0-9])\.?"
)
_TIME = re.compile(r"(?<![0-9:])([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?(?![0-9:])")
_RATIO = re.compile(r"(?<=[0-9])\s?:\s?(?=[0-9])")
_PHONE = re.compile(
    r"(?<![0-9-])(?:0[0-9]{1,3}-[0-9]{3,4}-[0-9]{4}|1[568][0-9]{2}-[0-9]{4}|[0-9]{3}-[0-9]{4})(?![0-9-])"
)
# 3·1절, 6·25: a day that has become a name. With a counter (1·2위) the dot only separates.
_EVENT = re.compile(r"(?<![0-9.·ㆍ])([0-9]{1,2})[·ㆍ\u119e]([0-9]{1,2})(?![0-9.·ㆍ]|[년월일시대회차기위층부])")
_MONEY = re.compile(rf"([{''.join(_CURRENCIES)}])\s?({_NUMBER}{_SCALE}?)")
# One character for a whole unit, such as ℃ or ㎞, and the raised figure of m².
_SQUARED = re.compile("[℃℉ℓ\u3380-\u33df]|(?<=m)[²³]")


def sino_korean(number: int) -> str:
    """Return the Sino-Korean reading, a word for each power of ten thousand: 12345 -> "만 이천삼백사십오".

    일 is silent in front of 십, 백, 천 and a leading 만, and spoken in front of 억, 조 and 경.
    Raises InputError unless 0 <= number < 10 ** 20.
    """
    if not 0 <= number < _SINO_LIMIT:
        raise InputError(f"{number} has no reading here: give a whole number from 0 to 10 ** 20 - 1")
    if number == 0:
        return "영"
    words: list[str] = []
    for scale in _SINO_SCALES:
        number, group = divmod(number, 10_000)
        if group:
            word = "" if (group, scale, number) == (1, "만", 0) else _sino_group(group)
            words.insert(0, word + scale)
    return " ".join(words)


def _sino_group(group: int) -> str:
    """Return 1 to 9999 in Sino-Korean, without spaces."""
    word = ""
    for figure, place in zip(f"{group:04d}", _SINO_PLACES, strict=True):
        if figure != "0":
            word += ("" if figure == "1" and place else _SINO_DIGITS[int(figure)]) + place
    return word


def native_korean(number: int) -> str:
    """Return the native number as it stands before a counter: 3 -> "세", 20 -> "스무", 21 -> "스물한".

    Raises InputError unless 1 <= number <= 99.
    """
    if not 1 <= number <= 99:
        raise InputError(f"{number} has no native reading: give a whole number from 1 to 99, or use sino_korean")
    if number == 20:
        return "스무"
    return _NATIVE_TENS[number // 10] + _NATIVE_ONES[number % 10]


def spell_out(text: str) -> str:
    """Return `text` in lower case, with every ASCII digit, Latin letter and unit after a number as it is read aloud.

    `text` is NFC. The rest stays as it is, except that one space goes between a number and what it counts.
    """
    text = _SQUARED.sub(lambda sign: unicodedata.normalize("NFKC", sign[0]), text)
    text = _PHONE.sub(lambda phone: " ".join(map(_figures, phone[0].split("-"))), text)
    # These rewrite one way of writing as another, still in digits; the quantities then read them all.
    text = _RUN_ON.sub(r"\1 ", text)
    text = _RANGE.sub(r"\1 에서 ", text)
    text = _DATE.sub(lambda date: f"{int(date[1])}년 {int(date[2])}월 {int(date[3])}일", text)
    text = _TIME.sub(_time, text)
    text = _RATIO.sub(" 대 ", text)
    text = _MONEY.sub(lambda money: money[2] + _CURRENCIES[money[1]], text)
    text = _EVENT.sub(lambda event: sino_korean(int(event[1])) + _figures(event[2], zero="영"), text)
    text = _QUANTITY.sub(_quantity, text).lower()
    return re.sub("[a-z]", lambda letter: _LETTERS[letter[0]], text)


def _figures(digits: str, zero: str = "공") -> str:
    return "".join(_SINO_DIGITS[int(digit)] or zero for digit in digits)


def _time(time: re.Match[str]) -> str:
    hour, minute, second = time.groups()
    parts = [f"{int(hour)}시"]
    if int(minute) or second:
        parts.append(f"{int(minute)}분")
    if second:
        parts.append(f"{int(second)}초")
    return " ".join(parts)


def _quantity(match: re.Match[str]) -> str:
    """Return a number, its scale (만, 억) and the unit or counter after it in words."""
    rest = match.string[match.end() :]
    number, scale, counter = match["number"], match["scale"] or "", match["counter"] or match["apart"]
    is_label = match["ordinal"] is not None or match["range"] is not None
    if counter and len(number) <= 2 and not (is_label or scale or match["minus"] or match["odd"]):
        words = _counted(int(number), counter, rest)
    elif re.match(r"\s?월(?![드급세])", rest) and not scale:
        words = _MONTHS.get(number.lstrip("0")) or _read(number, rest)
    else:
        words = _read(number, rest)
    if words == "일" and scale[:1] in tuple("십백천만"):
        words = ""
    words = ("마이너스 " if match["minus"] else "") + words + scale + (match["odd"] or "")
    if match["unit"]:
        return f"{words} {_UNITS[match['unit']]}"
    if counter:
        return f"{words} {counter}"
    if match["particle"] is not None:
        return words
    # 1억2천만 is two words, 3천5백 is one.
    splits = "가" <= rest[:1] <= "힣" or (rest[:1].isdigit() and scale[-1:] in tuple("만억조경"))
    return f"{words} " if splits else words


def _counted(number: int, counter: str, rest: str) -> str:
    """Return the number before a native counter, in the system that the counter takes for this number."""
    is_hour_of_a_day = counter == "시" and number > 12
    # 20대 is an age (in one's twenties) far more often than twenty cars; 3대 1 is a ratio.
    is_age_or_ratio = counter == "대" and (number % 10 == 0 or re.match(r"\s?[0-9]", rest) is not None)
    if not 1 <= number <= 99 or is_hour_of_a_day or is_age_or_ratio:
        return _read(str(number), rest)
    return "첫" if (number, counter) == (1, "번째") else native_korean(number)


def _read(number: str, rest: str) -> str:
    """Return digits, perhaps with thousands commas and a decimal point, in Sino-Korean."""
    whole, _, decimals = number.replace(",", "").partition(".")
    # 007 and an account number are read figure by figure, but 07시 and 03월 are only written with a zero.
    padded = len(whole) > 1 and whole[0] == "0" and not decimals and not re.match(r"\s?[시분초월일]", rest)
    too_long = len(whole) > len(str(_SINO_LIMIT - 1))
    words = _figures(whole) if padded or too_long else sino_korean(int(whole))
    return f"{words} 점 {_figures(decimals, zero='영')}" if decimals else words
