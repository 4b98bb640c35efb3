"""A number with what it counts, and two numbers as a range: 3천5백 원, -5도, 1~2시간."""

import re
from dataclasses import dataclass, replace

from distilhubert_ko.text.counters import Counter, counter_at, labels, say_count, sino_readings
from distilhubert_ko.text.latin import combine, english_digit
from distilhubert_ko.text.numerals import NATIVE_TENS, SINO_DIGITS, SINO_LIMIT, figures, sino_korean
from distilhubert_ko.text.units import unit_at

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?"
# 조 and 경 are rarer after a number than some words that begin with them, such as 경기 (a match).
SCALE = r"(?:[십백천]?(?:[만억]|조(?![각사건직치])|경(?=원|[^가-힣]|$))|[십백천])"
_CHUNK = re.compile(rf"(?P<number>{NUMBER})(?P<scale>{SCALE})?")
_MULTIPLES = {"십": 10, "백": 100, "천": 1000, "만": 10**4, "억": 10**8, "조": 10**12, "경": 10**16}
_CONTEXT = 40
"""Characters around a quantity that tell what it is."""
_LONGEST = len(str(SINO_LIMIT))
_ODD = re.compile(r"여(?=\s|[가-힣])(?![단권성왕])")
PARTICLE = (
    r"(?:은|는|이|가|을|를|에(?:서|게)?|의|으?로|와|과|부터|까지|보다|처럼"
    r"|이?라(?:는|고)?|이?나|입니다|이?고|이?며|이?다|씩|쯤)"
)
PARTICLES = re.compile(rf"{PARTICLE}{{1,2}}(?![가-힣])")
# Two neighbours before a native counter run together in one word.
_ABOUT = {
    1: ("한두",), 2: ("두세", "두서너"), 3: ("서너", "세네", "세넷"), 4: ("네다섯", "너댓", "네댓", "너덧"),
    5: ("대여섯", "다섯여섯"), 6: ("예닐곱", "여섯일곱"), 7: ("일고여덟", "일곱여덟"), 8: ("여덟아홉",), 9: ("아홉열",),
}  # fmt: skip
_MONTHS = {6: "유월", 10: "시월"}
_CLOCK = {"시", "월"}
# Of these, neighbours are one word: 이삼 년. Others are mostly labels: 이 삼 층.
_DURATIONS = set("년 년간 개월 주 주일 주간 일 일간 분 초 인분 세대".split())


@dataclass(frozen=True)
class Amount:
    """A number as it is typed: figures, decimals, and the words 십 to 경 after them."""

    end: int
    whole: str
    decimals: str = ""
    scale: str = ""
    value: int | None = None
    """What it is worth, None for decimals and for what no Sino-Korean number spells."""

    @property
    def padded(self) -> bool:
        return len(self.whole) > 1 and self.whole[0] == "0" and not self.decimals and not self.scale


@dataclass(frozen=True)
class Quantity:
    """An amount, its sign, and the unit or counter after it."""

    start: int
    end: int
    amount: Amount
    minus: bool = False
    odd: str = ""
    unit: tuple[tuple[str, str], ...] = ()
    counter: Counter | None = None
    before: str = ""
    after: str = ""

    @property
    def is_bare(self) -> bool:
        return not (self.unit or self.counter)


def amount_at(text: str, start: int) -> Amount | None:
    """Return the amount that is typed at `start`, of one number or of several (1억 2천5백만, 3천6백50)."""
    chunk = _CHUNK.match(text, start)
    if not chunk:
        return None
    whole, _, decimals = chunk["number"].replace(",", "").partition(".")
    scale = chunk["scale"] or ""
    alone = Amount(chunk.end(), whole, decimals, scale)
    if decimals or len(whole) > _LONGEST or (scale and whole[0] == "0"):
        return alone
    total, group, end = 0, 0, start
    smallest, myriad = SINO_LIMIT, SINO_LIMIT  # what the next part of a group, and the next group, must stay below
    while True:
        part, scale = int(chunk["number"].replace(",", "")), chunk["scale"] or ""
        large = _MULTIPLES[scale[-1]] if scale[-1:] in tuple("만억조경") else 1
        small = _multiple(scale) // large
        if end > start and (part == 0 or part * small >= smallest or large >= myriad):
            break
        group, smallest, end = group + part * small, small, chunk.end()
        if large > 1:
            total, group, smallest, myriad = total + group * large, 0, large, large
        following = _CHUNK.match(text, end + (text[end : end + 1] == " ")) if scale else None
        if not following or (following.start() > end and not following["scale"]):
            break
        if "." in following["number"] or len(following["number"]) > _LONGEST:
            break
        chunk = following
    value = total + group
    return Amount(end, whole, "", scale, value) if value < SINO_LIMIT else alone


def _multiple(scale: str) -> int:
    product = 1
    for word in scale:
        product *= _MULTIPLES[word]
    return product


def say_amount(amount: Amount) -> tuple[str, ...]:
    """Return an amount in Sino-Korean, or figure by figure after a leading zero or where it is too long."""
    if amount.padded or (amount.value is None and not amount.decimals):
        return tuple(f"{figures(amount.whole, zero)}{amount.scale}" for zero in ("공", "영"))
    if amount.value is not None:
        return sino_readings(amount.value)
    whole = sino_readings(int(amount.whole)) if len(amount.whole) < _LONGEST else (figures(amount.whole),)
    decimals = tuple(dict.fromkeys(figures(amount.decimals, zero) for zero in ("영", "공")))
    return combine((*whole, "공") if whole == ("영",) else whole, (" 점 ", " 쩜 "), decimals, (amount.scale,))


def quantity_at(text: str, start: int, minus: bool = False) -> Quantity | None:
    """Return the amount that is typed at `start` and what it counts. `minus` says that a sign stands before it."""
    amount = amount_at(text, start)
    if not amount:
        return None
    end, before = amount.end, text[max(0, start - _CONTEXT) : start]
    odd = _ODD.match(text, end)
    if odd and (amount.scale or amount.whole[-1] == "0" or counter_at(text, odd.end())):
        end = odd.end()
    else:
        odd = None
    quantity = Quantity(start, end, amount, minus, "여" if odd else "", before=before)
    space = text[end : end + 1] == " "
    if unit := unit_at(text, end, before) or (unit_at(text, end + 1, before) if space else None):
        quantity = replace(quantity, end=unit[0], unit=unit[1])
    # 3도 is three degrees, and other particles are no counters.
    elif text[end : end + 1] == "도" or not PARTICLES.match(text, end):
        counted = counter_at(text, end)
        quantity = replace(quantity, end=counted[0], counter=counted[1]) if counted else quantity
    return replace(quantity, after=text[quantity.end : quantity.end + _CONTEXT])


def say(quantity: Quantity) -> tuple[str, ...]:
    """Return the readings of a quantity, with a space after it where a word that it counts follows directly."""
    number, amount = say_number(quantity), quantity.amount
    if quantity.minus:
        number = combine(("마이너스 ", "영하 ") if _is_degree(quantity) else ("마이너스 ",), number)
    number = combine(number, (quantity.odd,))
    if quantity.unit:
        return tuple(dict.fromkeys(f"{prefix}{one} {word}" for prefix, word in quantity.unit for one in number))
    if quantity.counter:
        if quantity.counter.word == "월" and amount.value in _MONTHS and not amount.scale:
            return (_MONTHS[amount.value],)
        return combine(number, (f" {quantity.counter.word}",))
    after = quantity.after
    if "가" <= after[:1] <= "힣" and not PARTICLES.match(after):
        return combine(number, (" ",))
    # 1억2천만 is two words, 3천5백 is one.
    return combine(number, (" ",)) if after[:1].isdigit() and amount.scale[-1:] in tuple("만억조경") else number


def _is_degree(quantity: Quantity) -> bool:
    return bool(quantity.unit and quantity.unit[0][1] == "도") or (
        quantity.counter is not None and quantity.counter.word == "도"
    )


def say_number(quantity: Quantity) -> tuple[str, ...]:
    """Return the readings of the number alone, as what it counts wants it."""
    amount, counter = quantity.amount, quantity.counter
    drops_zero = counter is not None and counter.word in ("시", "분", "초", "월", "일")
    if amount.value is None or (amount.padded and not drops_zero):
        return say_amount(amount)
    if counter and not (quantity.minus or quantity.odd):
        return say_count(amount.value, counter, quantity.before, quantity.after)
    readings = say_amount(replace(amount, whole=str(amount.value)) if drops_zero else amount)
    if quantity.unit or counter or amount.scale or quantity.before.endswith(("제", "제 ")):
        return readings
    # A bare number may stand before a noun that the table does not know, or be a code.
    if re.match(r"\s?[가-힣]", quantity.after) and 1 <= amount.value <= 19 and not PARTICLES.match(quantity.after):
        readings = (*readings, *say_count(amount.value, Counter("", 99))[:1])
    if amount.value <= 10 and re.search(r"[가-힣]\s?$", quantity.before):  # the second film of a title: 투
        readings = (*readings, english_digit(amount.value))
    if 3 <= len(amount.whole) <= 4 or (len(amount.whole) == 2 and len(set(amount.whole)) == 1):  # a size: 육육
        readings = (*readings, figures(amount.whole), figures(amount.whole, "영"))
    return tuple(dict.fromkeys(readings))


def say_range(first: Quantity, separator: str, second: Quantity) -> tuple[str, ...]:
    """Return the readings of two quantities as a range or as neighbours: 삼에서 오, 세 살에서 다섯 살, 한두 시간."""
    listed = not separator.strip(" ,")
    between = (" ",) if listed else ("에서 ", "부터 ", " ", " 내지 ")
    if not first.is_bare:
        return combine(tuple(reading.rstrip() for reading in say(first)), between, say(second))
    counter, high = second.counter, second.amount.value or 0
    shared = replace(first, counter=counter, after=second.after, amount=_scaled(first.amount, second.amount))
    sign, last = ("마이너스 ",) if first.minus else ("",), say(second)[:6]
    once = combine(sign, say_number(shared)[:3], between, last)
    twice = combine(say(replace(shared, unit=second.unit))[:3], between, last)
    bare = combine(sign, say_amount(first.amount)[:2], between, last)
    counts = bool(counter and counter.native_to and not labels(counter, high, first.before, second.after))
    is_clock = counter is not None and counter.word in _CLOCK
    together = neighbours(first, second)
    # 6, 700개 and 2~3만 원 leave out what the second number shows.
    shortened = shared.amount is not first.amount or (listed and high >= 10 * (first.amount.value or 0))
    if listed or shortened:
        plain = (*once, *bare, *twice)
    else:
        plain = (*twice, *bare, *once) if counts or is_clock else (*bare, *once, *twice)
    runs_on = (counts and not is_clock) or shortened or (counter is not None and counter.word in _DURATIONS)
    return tuple(dict.fromkeys((*together, *plain) if runs_on else (*plain, *together)))


def _scaled(first: Amount, second: Amount) -> Amount:
    """Return `first` with the scale that only the second number shows: 5 of 5~10만 is 50,000."""
    multiple = _multiple(second.scale)
    if multiple == 1 or first.scale or first.value is None or first.value * multiple >= (second.value or 0):
        return first
    return replace(first, scale=second.scale, value=first.value * multiple)


def neighbours(first: Quantity, second: Quantity) -> tuple[str, ...]:
    """Return two numbers that follow each other as one word with its counter: 한두 시간, 이삼십 명, 육칠백 개.

    () where they do not follow each other, or no such word is made.
    """
    low, high = first.amount.value, second.amount.value
    if low is None or high is None or first.minus or second.minus or not first.is_bare or low == 0:
        return ()
    words: list[str] = []
    figure, place = high, 1
    while figure % 10 == 0 and figure:
        figure, place = figure // 10, place * 10
    if low in (figure - 1, (figure - 1) * place) and 2 <= figure <= 9 and place <= 10**9:
        pair = SINO_DIGITS[figure - 1] + ("륙" if figure == 6 else SINO_DIGITS[figure])
        words = [pair + sino_korean(place).removeprefix("일")] if place > 1 else [pair]
        if figure == 6:
            words.append(words[0].replace("륙", "육"))
    counter = second.counter
    if counter and (counter.native_to or counter.takes_either) and high == low + 1 and high <= 99:
        tens, ones = divmod(low, 10)
        if ones and not labels(counter, high, first.before, second.after):
            native = [NATIVE_TENS[tens] + about for about in _ABOUT[ones] if tens == 0 or ones < 9]
            words = native + words if counter.native_to else words + native
    if not words:
        return ()
    if second.unit:
        return combine(tuple(words), tuple(f" {word}" for _, word in second.unit))
    return combine(tuple(words), (f" {counter.word}" if counter else say(second)[0][len(say_number(second)[0]) :],))
