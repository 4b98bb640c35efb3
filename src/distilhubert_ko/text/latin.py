"""Latin letters in Korean text, as Koreans say them: by name, but for the words and digits that are said in English."""

import re
from itertools import product

from distilhubert_ko.text.numerals import figures, sino_korean

_NAMES = "에이 비 씨 디 이 에프 지 에이치 아이 제이 케이 엘 엠 엔 오 피 큐 알 에스 티 유 브이 더블유 엑스 와이 제트"
_LETTERS: dict[str, tuple[str, ...]] = {
    letter: (name,) for letter, name in zip("abcdefghijklmnopqrstuvwxyz", _NAMES.split(), strict=True)
}
_LETTERS |= {
    "c": ("씨", "시"),
    "h": ("에이치", "에이취"),
    "q": ("큐", "퀴"),
    "r": ("알", "아르"),
    "w": ("더블유", "더블류"),
    "z": ("제트", "지"),
}
# Abbreviations that nobody reads by their letters, in capitals too.
_ABBREVIATIONS = {
    "tv": ("티비", "티브이"), "aids": ("에이즈",), "nasa": ("나사",), "nato": ("나토",), "fifa": ("피파",),
    "unesco": ("유네스코",), "unicef": ("유니세프",), "opec": ("오펙",), "apec": ("에이펙",), "asean": ("아세안",),
    "kaist": ("카이스트",), "postech": ("포스텍",), "posco": ("포스코",), "kospi": ("코스피",), "kosdaq": ("코스닥",),
    "toeic": ("토익",), "toefl": ("토플",), "teps": ("텝스",), "sars": ("사스",), "mers": ("메르스",),
    "nafta": ("나프타",), "gatt": ("가트",), "nasdaq": ("나스닥",), "ted": ("테드",), "lan": ("랜",), "ram": ("램",),
    "sim": ("심",), "ok": ("오케이",), "app": ("앱",), "no1": ("넘버원",), "dday": ("디데이",), "kpop": ("케이팝",),
    "covid": ("코로나", "코비드"), "covid19": ("코로나 일구", "코로나 십구", "코비드 십구"),
}  # fmt: skip
# English words that are common in Korean text, in the spelling of most Koreans.
_ENGLISH_WORDS = (
    "the 더 of 오브 and 앤드 for 포 in 인 on 온 out 아웃 up 업 no 노 yes 예스 one 원 you 유 me 미 my 마이 we 위 "
    "new 뉴 good 굿 nice 나이스 best 베스트 big 빅 super 슈퍼 hot 핫 top 톱 happy 해피 smart 스마트 green 그린 red "
    "레드 blue 블루 black 블랙 white 화이트 gold 골드 pink 핑크 love 러브 live 라이브 life 라이프 time 타임 day "
    "데이 world 월드 city 시티 home 홈 house 하우스 room 룸 park 파크 school 스쿨 class 클래스 center 센터 zone 존 "
    "line 라인 point 포인트 part 파트 show 쇼 music 뮤직 song 송 pop 팝 dance 댄스 star 스타 fan 팬 party 파티 "
    "club 클럽 king 킹 queen 퀸 boy 보이 girl 걸 man 맨 woman 우먼 baby 베이비 hero 히어로 story 스토리 book 북 "
    "news 뉴스 media 미디어 talk 토크 call 콜 phone 폰 camera 카메라 photo 포토 video 비디오 game 게임 player "
    "플레이어 team 팀 cup 컵 open 오픈 stop 스톱 check 체크 set 세트 setting 세팅 test 테스트 level 레벨 style "
    "스타일 design 디자인 fashion 패션 brand 브랜드 concept 콘셉트 item 아이템 event 이벤트 sale 세일 shop 숍 "
    "market 마켓 marketing 마케팅 business 비즈니스 service 서비스 project 프로젝트 program 프로그램 plan 플랜 "
    "planner 플래너 master 마스터 system 시스템 platform 플랫폼 digital 디지털 mobile 모바일 online 온라인 offline "
    "오프라인 internet 인터넷 computer 컴퓨터 data 데이터 site 사이트 blog 블로그 email 이메일 mail 메일 wifi "
    "와이파이 apps 앱스 windows 윈도우 google 구글 apple 애플 iphone 아이폰 ipad 아이패드 android 안드로이드 "
    "facebook 페이스북 youtube 유튜브 twitter 트위터 instagram 인스타그램 kakao 카카오 naver 네이버 samsung 삼성 "
    "korea 코리아 seoul 서울 cafe 카페 coffee 커피 hotel 호텔 tour 투어 pizza 피자 wine 와인 card 카드 bank 뱅크 "
    "pay 페이 plus 플러스 pro 프로 max 맥스 mini 미니 note 노트 box 박스 key 키 keyword 키워드 mind 마인드 double "
    "더블 bridge 브리지 care 케어 course 코스 award 어워드 awards 어워즈 vol 볼륨 vs 대"
).split()
_WORDS: dict[str, tuple[str, ...]] = {
    english: (korean,) for english, korean in zip(_ENGLISH_WORDS[::2], _ENGLISH_WORDS[1::2], strict=True)
}
# Those that many write otherwise.
_WORDS |= {
    "the": ("더", "디"), "and": ("앤드", "앤"), "stop": ("스톱", "스탑"), "top": ("톱", "탑"), "shop": ("숍", "샵"),
    "bridge": ("브리지", "브릿지"), "concept": ("콘셉트", "컨셉"), "windows": ("윈도우", "윈도"),
    "vs": ("대", "브이에스"),
}  # fmt: skip
_WORDS |= _ABBREVIATIONS
_ENGLISH_DIGITS = "제로 원 투 쓰리 포 파이브 식스 세븐 에이트 나인 텐".split()
# A digit before these is English too: 3D, 4K, 2PM.
_AFTER_ENGLISH_DIGIT = {"d", "k", "g", "pm", "ne"}
LATIN = re.compile(r"[A-Za-z]+(?:[&/.·-]?[A-Za-z0-9]+){0,9}")
"""Latin letters with the digits, ampersands and hyphens inside them: KBS, M&A, H1N1, KF-21."""
DIGIT_AND_LATIN = re.compile(r"(?<![0-9.,])([0-9])([A-Za-z]+)(?![A-Za-z])")
_RUNS = re.compile(r"[A-Za-z]+|[0-9]{1,12}(?:\.[0-9]+)?|[&/.·-]")
MOST_READINGS = 64
MOST_PARTS = 24


def combine(*parts: tuple[str, ...]) -> tuple[str, ...]:
    """Return what parts give one after another, in every choice of their readings; the first is the default.

    At most MOST_READINGS are kept, and of more than MOST_PARTS parts the default alone, so that long texts do not
    multiply without end.
    """
    if len(parts) > MOST_PARTS:
        return ("".join(part[0] for part in parts),)
    readings: tuple[str, ...] = ("",)
    for part in parts:
        readings = tuple(before + after for before, after in product(readings, part))[:MOST_READINGS]
    return tuple(dict.fromkeys(readings))


def english_digit(number: int) -> str:
    """Return the English word for 0 to 10 in Hangul: 2 -> "투"."""
    return _ENGLISH_DIGITS[number]


def say_letters(letters: str) -> tuple[str, ...]:
    """Return the readings of a run of Latin letters, as a word if it is known as one, else letter by letter.

    Up to three capitals are an abbreviation, although they may look like a word: IN, ME, PRO.
    """
    words = _ABBREVIATIONS if letters.isupper() and len(letters) <= 3 else _WORDS
    if letters.lower() in words:
        return words[letters.lower()]
    if letters.endswith("TV"):  # MTV, CCTV
        return combine(say_letters(letters[:-2]), _ABBREVIATIONS["tv"])
    if len(letters) > 1 and letters[-1] == "s" and letters[:-1].isupper():  # CEOs
        return combine(say_letters(letters[:-1]), ("즈", "스", "에스"))
    return combine(*(_LETTERS[letter] for letter in letters.lower()))


def say_latin(token: str) -> tuple[str, ...]:
    """Return the readings of what LATIN matches. One digit beside a letter is English: A4 is 에이포, F-5 is 에프 오."""
    known = re.sub("[-.]", "", token).lower()
    if known in _WORDS and known != token.lower():  # Wi-Fi, No.1
        return _WORDS[known]
    if re.fullmatch("D-[0-9]{1,4}", token):  # days before D-day
        return combine(("디 마이너스 ",), say_code(token[2:]))
    runs = _RUNS.findall(token)
    said: list[tuple[str, ...]] = []
    for place, run in enumerate(runs):
        joined = place > 0 and runs[place - 1].isalpha()
        if run.isalpha():
            said.append(say_letters(run))
        elif run == "&":
            said.append(("앤", "앤드"))
        elif run == "/":
            said.append(("",) if len(token) == 3 else (" ",))
        elif run in ".·-":
            said.append((" ",) if place + 1 < len(runs) and runs[place + 1].isalpha() and len(token) > 3 else ("",))
        elif "." in run:
            whole, _, decimals = run.partition(".")
            said.append((f" {sino_korean(int(whole))} 점 {figures(decimals, zero='영')}",))
        elif len(run) == 1 and joined:
            said.append((english_digit(int(run)), sino_korean(int(run))))
        else:
            said.append(say_code(run))
    return combine(*said)


def say_digit_and_latin(digit: str, letters: str) -> tuple[str, ...] | None:
    """Return the readings of 3D, 4K or 2PM, where the digit is English; None where it is not."""
    if letters.lower() not in _AFTER_ENGLISH_DIGIT:
        return None
    readings = combine((english_digit(int(digit)), sino_korean(int(digit))), say_letters(letters))
    return combine((sino_korean(5), english_digit(5)), say_letters(letters)) if digit == "5" else readings


def say_code(digits: str) -> tuple[str, ...]:
    """Return digits of a name: as a number, or figure by figure with a leading zero or more than four digits."""
    if digits[0] == "0" or len(digits) > 4:
        return figures(digits), figures(digits, zero="영")
    return tuple(dict.fromkeys((sino_korean(int(digits)), figures(digits))))
