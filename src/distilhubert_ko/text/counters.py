"""What numbers count in Korean, and whether native or Sino-Korean numbers count it.

A word that is in no table takes Sino-Korean numbers. docs/text.md lists the rules with examples.
"""

import re
from dataclasses import dataclass

from distilhubert_ko.text.latin import english_digit
from distilhubert_ko.text.numerals import NATIVE_ONES, SINO_LIMIT, figures, native_korean, sino_korean
from distilhubert_ko.text.units import any_of

# By the last number that is read in native Korean: ages keep native words, things change to Sino-Korean at 30, hours
# and multiples at 20, and the clock at 13.
_NATIVE = {
    99: "살 번째 돌",
    29: (
        "개 명 사람 마리 번 차례 달 해 가지 갈래 군데 곳 자리 칸 줄 켠 쌍 짝 켤레 벌 채 척 대 그루 송이 포기 뿌리 "
        "다발 잎 알 톨 방울 모금 잔 병 컵 캔 통 팩 갑 봉 봉지 박스 상자 자루 포대 가마 가마니 접시 그릇 공기 "
        "숟가락 스푼 큰술 작은술 끼 판 조각 토막 덩이 덩어리 뭉치 묶음 꾸러미 무더기 움큼 줌 마디 글자 단어 문장 "
        "꼭지 대목 곡 권 편 장 건 골 팀 가구 걸음 발짝 발자국 바퀴 뼘 가닥 타래 필 꼬치 모 개비 다스 두름 손가락 "
        "발가락 나라 마을 집 식구 아이 아들 딸 친구 학생 남자 여자 회사 학교 도시 가게"
    ),
    19: "시간 배",
    12: "시",
}  # fmt: skip
# Sino-Korean by rule, while small native numbers are heard too: 2주 is 이 주 or 두 주.
_EITHER = (
    "주 주간 단계 평 학기 페이지 쪽 차로 차선 문제 지역 세트 종목 과목 부 점 동 량 문 정 구 본 방 단 표 석 자 매 "
    "종류 층 기 세대 경기 코스 분 말 돈 되 형제 자매 남매"
)
_SINO = (
    "년 년대 년도 년간 년생 월 일 일간 일차 일째 초 원 호 호기 호선 호차 도 개월 번지 세 세기 학년 반 등 등급 위 "
    "급 차 차원 회 인 인분 인승 조 항 막 과 교시 촌 중 주년 주기 주일 박 불 달러 센트 유로 엔 위안 파운드 퍼센트 "
    "프로 포인트 킬로 킬로미터 킬로그램 미터 센티 센티미터 센치 밀리미터 그램 리터 톤 마일 피트 인치 에이커 헥타르 "
    "볼트 와트 칼로리 승 패 무 관 관왕 탄 시즌"
)
# These begin like a native counter and are something else, which takes Sino-Korean numbers. The longest word decides.
_LONGER = (
    "개국 개년 개소 개사 개교 개구 개도 개시 개군 개동 개점 명절 번가 번선 번길 번홀 번출구 번타자 번버스 번호 "
    "시리즈 시민 시장 시험 시작 시설 대륙 대양 대학 대책 대강 대회 장관 장르 장면 장군 건물 건설 편성 벌점 벌타 "
    "병동 병상 병원 병사 권역 채널 줄기 조각상 팀장 팀전 판매 판사 통신 통화 골드 골프 달라 배럴 배속 배수 배당 "
    "알파 집중 집합 필지 월드 월급 월세 월요일 모델 모듈 자회담 자녀 분기 분의"
)
# What has a number of its own, so that 번 before it labels and does not count: 3번 출구, 7번 버스.
_NUMBERED = (
    "부터 서부터 출구 버스 타자 홈 아이언 우드 마을버스 시내버스 국도 게이트 문항 문제 선수 트랙 창구 승강장 좌석 "
    "채널 레인 척추 교향곡 염색체 후보 버튼 항목 포트 단자 노선 고객 손님 정답 보기 플랫폼 코스"
)
_AFTER_LABEL = re.compile(rf"\s?(?:{'|'.join(_NUMBERED.split())})")
_BEFORE_LABEL = re.compile(
    r"(?:제|기호|교향곡|협주곡|소나타|국도|염색체|채널|게이트|문항|문제|등번호|좌석|창구|[0-9]반)\s?$"
)
# 대 counts these (차 두 대). Otherwise 대 with a noun after it makes a list or an order: 4대 과제, 18대 대통령.
_MACHINE_BEFORE = re.compile(
    r"(?:차|차량|버스|트럭|택시|열차|자전거|오토바이|비행기|여객기|전투기|헬기|탱크|전차|카메라|컴퓨터|노트북|PC|TV|"
    r"폰|전화기|기계|세탁기|냉장고|에어컨|로봇|피아노|서버|장비|모니터|프린터|엘리베이터|휠체어|드론)[은는이가을를도만]?\s?$"
)
_AFTER_MACHINE = re.compile(
    r"$|[^가-힣\s]|\s[^가-힣]|[은는이가을를도만로와과의나씩쯤당뿐]|에|까지|밖에"
    r"|\s?(?:이상|이하|미만|정도|가량|모두|중|더|규모|구입|구매|판매|생산|추가)"
)
_AFTER_PEOPLE = re.compile(r"\s?(?:께|들[이은을도의과께]?|이서|모두|다(?![가-힣]))")
_BEFORE_PEOPLE = re.compile(r"(?:님|의원|고객|교수|기자|어르신|선생|회원|작가|배우)[이은을들]?\s$")
# In front of these, 3 and 4 have the short forms 석 and 넉 as well.
_SHORT_FORMS = {"달", "장", "되", "말", "돈", "자", "줄"}
# Loan words that keep English numbers: 2아웃 is 투 아웃.
_ENGLISH = {"아웃", "스트라이크", "룸", "플러스", "샷"}
_CLOCK = {"시", "월"}
# Native counters of which the Sino-Korean number is a name: 이 번, 삼 장, 오 편.
_ALSO_NAMES = {"번", "장", "권", "편", "대", "곡", "시간", "건", "팀"}
_PARTICLES = (
    r"(?:은|는|이|가|을|를|에(?:서|게)?|의|으?로|와|과|부터|까지|보다|처럼|이?라(?:는|고)?|이?나|입니다|이?고|이?며)"
)
_APART = re.compile(rf"(?:{_PARTICLES}|도|만|씩|쯤|째|당|간|이상|이하|정도|가량)*(?![가-힣])")
_LARGEST_EITHER = 19
_THINGS = 29


@dataclass(frozen=True)
class Counter:
    """A word that says what is counted, and the numbers that count it."""

    word: str
    native_to: int = 0
    """The last number that is read in native Korean, 0 for none."""
    takes_either: bool = False
    """Whether small native numbers are heard beside Sino-Korean ones."""


COUNTERS = {word: Counter(word, takes_either=True) for word in _EITHER.split()}
COUNTERS |= {word: Counter(word) for word in f"{_SINO} {_LONGER}".split()}
COUNTERS |= {word: Counter(word, last) for last, words in _NATIVE.items() for word in words.split()}
_COUNTER = re.compile(f"(?P<space>\\s?)(?P<word>{any_of([*COUNTERS, *_ENGLISH])})")


def counter_at(text: str, start: int) -> tuple[int, Counter] | None:
    """Return the end of the counter at `start`, perhaps after a space, and the counter; None where none stands.

    With a space, only particles may follow the counter: 5 명이 counts people, 5 명절 does not.
    """
    found = _COUNTER.match(text, start)
    if not found or (found["space"] and not _APART.match(text, found.end())):
        return None
    return found.end(), COUNTERS.get(found["word"], Counter(found["word"]))


def labels(counter: Counter, value: int, before: str, after: str) -> bool:
    """Tell a number that names (3번 출구, 18대 대통령, 제3장) from one that counts, by the text around the two."""
    if before.endswith(("제", "제 ")):
        return True
    if counter.word == "번":
        return bool(_AFTER_LABEL.match(after) or _BEFORE_LABEL.search(before))
    if counter.word == "대":
        if value % 10 == 0 or re.match(r"\s?[0-9]", after):  # one's twenties; a ratio
            return True
        return not (value < 3 or _MACHINE_BEFORE.search(before) or _AFTER_MACHINE.match(after))
    return bool(counter.word in ("장", "권", "편") and _BEFORE_LABEL.search(before))


def say_count(value: int, counter: Counter, before: str = "", after: str = "") -> tuple[str, ...]:
    """Return the readings of a whole number before its counter, without the counter. The first is the default."""
    sino = sino_readings(value)
    if counter.word in _ENGLISH and value <= 10:
        return english_digit(value), *sino
    if not 1 <= value <= 99:
        return _over_a_hundred(value, counter, sino)
    native = _native_readings(value, counter)
    if counter.word == "분" and (_AFTER_PEOPLE.match(after) or _BEFORE_PEOPLE.search(before)):
        return *native, *sino
    if counter.takes_either:
        return (*sino, *native) if value <= _LARGEST_EITHER else sino
    if not counter.native_to:
        return sino
    if labels(counter, value, before, after):
        return *sino, *native
    if value > counter.native_to:
        return sino if counter.word in _CLOCK else (*sino, *native)
    also_sino = (value >= 10 and counter.word not in _CLOCK) or counter.word in _ALSO_NAMES
    return (*native, *sino) if also_sino else native


def _over_a_hundred(value: int, counter: Counter, sino: tuple[str, ...]) -> tuple[str, ...]:
    """Return the readings from 100 on, where the last two figures may stay native: 백한 번째, 백두 마리."""
    hundreds, rest = value - value % 100, value % 100
    if not (hundreds and rest and counter.native_to >= _THINGS) or value >= SINO_LIMIT:
        return sino
    mixed = sino_korean(hundreds) + native_korean(rest)
    return (mixed, *sino) if rest <= 10 and counter.native_to == 99 else (*sino, mixed)


def sino_readings(value: int) -> tuple[str, ...]:
    """Return a whole number in Sino-Korean, with and without the 일 that is silent before 백, 천 and 만."""
    word = sino_korean(value) if value < SINO_LIMIT else figures(str(value))
    return (word, f"일{word}") if word[0] in "백천만" else (word,)


def _native_readings(value: int, counter: Counter) -> tuple[str, ...]:
    native = native_korean(value)
    if (value, counter.word) == (1, "번째"):
        return "첫", native
    if value in (3, 4) and counter.word in _SHORT_FORMS:
        return native, {3: "석", 4: "넉"}[value]
    tens, ones = divmod(value, 10)
    # 삼십두 개 is no dictionary's form, and a common one.
    return (native, sino_korean(tens * 10) + NATIVE_ONES[ones]) if tens >= 2 and ones else (native,)
