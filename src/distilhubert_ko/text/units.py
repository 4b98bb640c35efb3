"""Units of measure and currencies after a number, with the words for them."""

import re
import unicodedata

_PERCENT = ("퍼센트", "프로", "퍼")
_METRE = {
    "k": ("킬로미터", "킬로", "키로", "키로미터"),
    "c": ("센티미터", "센티", "센치", "센치미터"),
    "m": ("밀리미터", "밀리"),
}
_UNITS: dict[str, tuple[str, ...]] = {
    "%p": ("퍼센트포인트", "프로포인트", "퍼센트피"), "%": _PERCENT, "‰": ("퍼밀",),
    "°C": ("도", "도씨"), "°F": ("도", "도에프"), "°": ("도",),
    "mm": _METRE["m"], "cm": _METRE["c"], "km": _METRE["k"], "m": ("미터",), "nm": ("나노미터", "나노"),
    "kilometer": _METRE["k"],
    "µm": ("마이크로미터", "마이크론"), "meter": ("미터",), "mile": ("마일",), "cm2": ("제곱센티미터",),
    "m2": ("제곱미터", "평방미터"), "km2": ("제곱킬로미터", "평방킬로미터"), "cm3": ("세제곱센티미터",),
    "m3": ("세제곱미터", "입방미터", "루베"), "ha": ("헥타르",), "mg": ("밀리그램", "밀리"), "µg": ("마이크로그램",),
    "g": ("그램",), "kg": ("킬로그램", "킬로", "키로"), "t": ("톤",), "ton": ("톤",), "ml": ("밀리리터", "밀리"),
    "dl": ("데시리터",), "l": ("리터",), "cc": ("씨씨", "시시"), "cal": ("칼로리",), "kcal": ("킬로칼로리", "칼로리"),
    "V": ("볼트",), "kV": ("킬로볼트",), "W": ("와트",), "kW": ("킬로와트",), "MW": ("메가와트",),
    "GW": ("기가와트",), "Wh": ("와트시", "와트아워"), "kWh": ("킬로와트시", "킬로와트아워"),
    "MWh": ("메가와트시", "메가와트아워"), "mAh": ("밀리암페어시", "밀리암페어"), "mA": ("밀리암페어",),
    "Hz": ("헤르츠",), "kHz": ("킬로헤르츠",), "MHz": ("메가헤르츠", "메가"), "GHz": ("기가헤르츠", "기가"),
    "dB": ("데시벨",), "Pa": ("파스칼",), "kPa": ("킬로파스칼",), "hPa": ("헥토파스칼",), "MPa": ("메가파스칼",),
    "bps": ("비피에스",), "Mbps": ("메가비피에스", "메가"), "Gbps": ("기가비피에스", "기가"), "KB": ("킬로바이트",),
    "MB": ("메가바이트", "메가"), "GB": ("기가바이트", "기가"), "TB": ("테라바이트", "테라"), "ppm": ("피피엠",),
    "ppb": ("피피비",), "bp": ("비피", "베이시스포인트"), "rpm": ("알피엠",), "lx": ("럭스",), "lb": ("파운드",),
    "oz": ("온스",), "ft": ("피트",), "mmHg": ("밀리미터에이치지",), "ms": ("밀리초",), "kJ": ("킬로줄",),
    "px": ("픽셀",), "fps": ("에프피에스", "프레임"),
}  # fmt: skip
# Other ways of typing them: capitals for metres, grams and litres, and the signs of NFKC.
_TYPED = {
    "M": "m", "KM": "km", "Km": "km", "CM": "cm", "MM": "mm", "G": "g", "KG": "kg", "Kg": "kg", "MG": "mg", "L": "l",
    "mL": "ml", "ML": "ml", "dL": "dl", "CC": "cc", "kB": "KB", "μm": "µm", "μg": "µg", "ug": "µg",
    "Kcal": "kcal", "KW": "kW", "kw": "kW", "KHz": "kHz", "Mhz": "MHz",
    "Kilometer": "kilometer", "Meter": "meter", "Mile": "mile",
}  # fmt: skip
_UNITS |= {typed: _UNITS[unit] for typed, unit in _TYPED.items()}
_PER = {"h": ("시속", "아워"), "s": ("초속", "세컨드"), "min": ("분속", "분"), "hr": ("시속", "아워")}
_SPEEDS = {"m", "km", "M", "KM", "Km", "cm", "mm", "mile"}
CURRENCIES = {
    "US$": ("달러", "불"), "$": ("달러", "불"), "₩": ("원",), "￦": ("원",), "€": ("유로",), "£": ("파운드",),
    "¥": ("엔", "위안"), "￥": ("엔", "위안"), "₤": ("파운드",), "USD": ("달러",), "KRW": ("원",), "EUR": ("유로",),
    "JPY": ("엔",),
}  # fmt: skip


def any_of(words: list[str]) -> str:
    """Return a regular expression for one of `words`, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_UNIT = re.compile(
    rf"(?P<unit>{any_of(list(_UNITS))})(?:/(?P<per>{any_of([*_UNITS, *_PER])}))?(?![A-Za-z0-9²³])"
    rf"|(?P<money>{any_of(list(CURRENCIES))})(?![A-Za-z])"
)
_ALREADY_PER = re.compile(r"[시초분]속\s*(?:약\s*|최대\s*)?$")
# One character for a whole unit, such as ℃ or ㎞, and the raised figure of m².
_SQUARED = re.compile("[℃℉ℓ\u3380-\u33df]|(?<=m)[²³]")


def widen(text: str) -> str:
    """Return `text` with signs for whole units as the letters of the units: ㎞ -> "km", m² -> "m2"."""
    return _SQUARED.sub(lambda sign: unicodedata.normalize("NFKC", sign[0]).replace("∕", "/"), text)


def unit_at(text: str, start: int, before: str) -> tuple[int, tuple[tuple[str, str], ...]] | None:
    """Return the end of a unit at `start`, and the words before and after its number in each reading.

    10m/s is 초속 십 미터, and 5$ is 오 달러. `before` is the text before the number, which may name the speed already.
    None where no unit stands.
    """
    found = _UNIT.match(text, start)
    if not found:
        return None
    if found["money"]:
        return found.end(), tuple(("", word) for word in CURRENCIES[found["money"]])
    words, per = _UNITS[found["unit"]], found["per"]
    if per in _PER and found["unit"] in _SPEEDS:
        speed, english = _PER[per]
        named = "" if _ALREADY_PER.search(before) else f"{speed} "
        return found.end(), (*((named, word) for word in words), ("", f"{words[0]} 퍼 {english}"))
    if per:
        words = tuple(
            f"{word} 퍼 {below}" for word in words for below in ([_PER[per][1]] if per in _PER else _UNITS[per])
        )
    return found.end(), tuple(("", word) for word in words)
