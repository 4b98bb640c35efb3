"""The words of Korean numbers, without any grammar around them.

Two number systems are in daily use. Sino-Korean (일, 이, 삼) reads sums, dates, measures and labels; native Korean
(한, 두, 세) counts things, up to 99.
"""

from distilhubert_ko.errors import InputError

SINO_DIGITS = ("", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
SINO_PLACES = ("천", "백", "십", "")
SINO_SCALES = ("", "만", "억", "조", "경")
NATIVE_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
SINO_LIMIT = 10 ** (4 * len(SINO_SCALES))


def sino_korean(number: int) -> str:
    """Return the Sino-Korean reading, a word for each power of ten thousand: 12345 -> "만 이천삼백사십오".

    일 is silent in front of 십, 백, 천 and a leading 만, and spoken in front of 억, 조 and 경.
    Raises InputError unless 0 <= number < 10 ** 20.
    """
    if not 0 <= number < SINO_LIMIT:
        raise InputError(f"{number} has no reading here: give a whole number from 0 to 10 ** 20 - 1")
    if number == 0:
        return "영"
    words: list[str] = []
    for scale in SINO_SCALES:
        number, group = divmod(number, 10_000)
        if group:
            word = "" if (group, scale, number) == (1, "만", 0) else _sino_group(group)
            words.insert(0, word + scale)
    return " ".join(words)


def _sino_group(group: int) -> str:
    """Return 1 to 9999 in Sino-Korean, without spaces."""
    word = ""
    for figure, place in zip(f"{group:04d}", SINO_PLACES, strict=True):
        if figure != "0":
            word += ("" if figure == "1" and place else SINO_DIGITS[int(figure)]) + place
    return word


def native_korean(number: int) -> str:
    """Return the native number as it stands before a counter: 3 -> "세", 20 -> "스무", 21 -> "스물한".

    Raises InputError unless 1 <= number <= 99.
    """
    if not 1 <= number <= 99:
        raise InputError(f"{number} has no native reading: give a whole number from 1 to 99, or use sino_korean")
    if number == 20:
        return "스무"
    return NATIVE_TENS[number // 10] + NATIVE_ONES[number % 10]


def figures(digits: str, zero: str = "공") -> str:
    """Return a string of digits figure by figure, as telephone numbers are read: "02" -> "공이"."""
    return "".join(SINO_DIGITS[int(digit)] or zero for digit in digits)
