"""Which spoken numbers a counter makes sure: the tables behind `numbers`.

One syllable of Sino-Korean is hardly ever a number by itself: 이 is "this", 일 "work", 사 "buying", 오 "oh". So each
counter lists the figures that it takes, apart from it (오 층) and joined (오층). Longer numbers take any counter.
"""

import re

_ALL = "일이삼사오육칠팔구"
_NOT_THIS = "일삼사오육칠팔구"  # 이 before a noun is "this"
_CLEAR = "삼사오육칠팔구"

# Counter -> figures that may stand apart from it, and figures that may be joined to it.
_ONE_FIGURE = {
    "년": (_NOT_THIS, _NOT_THIS), "년간": (_ALL, _ALL), "년도": ("", ""), "년대": ("", ""), "년생": ("", ""),
    "년차": (_ALL, _ALL), "개월": (_ALL, _ALL), "월": (_ALL, "일삼사오칠팔구"), "일": (_CLEAR, ""),
    "일간": (_CLEAR, ""), "일째": (_CLEAR, ""), "주": ("삼오육칠팔", ""), "주간": ("삼오육칠팔", ""),
    "주일": ("일삼사오", ""), "주년": (_ALL, _ALL), "분": ("일삼사오육칠팔구", "오"), "초": (_NOT_THIS, ""),
    "시": ("", ""), "세기": (_NOT_THIS, _NOT_THIS), "교시": (_ALL, _ALL), "층": (_ALL, _ALL), "호": (_CLEAR, ""),
    "호선": (_ALL, _ALL), "호기": (_ALL, _ALL), "번지": ("", ""), "번": (_NOT_THIS, ""), "학년": (_ALL, _ALL),
    "반": ("", ""), "등": (_NOT_THIS, "일이삼사"), "등급": (_ALL, _ALL), "급": (_NOT_THIS, ""),
    "위": (_NOT_THIS, "일이삼오육칠팔구"), "차": (_NOT_THIS, ""), "회": ("일삼오육칠팔구", ""), "세": (_CLEAR, ""),
    "인": (_NOT_THIS, ""), "인당": ("일", "일"), "인분": (_ALL, _ALL), "인승": (_ALL, _ALL), "인조": (_ALL, _ALL),
    "개국": (_ALL, _ALL), "관왕": (_ALL, _ALL), "차원": ("삼사오", "삼사오"), "단계": (_NOT_THIS, ""),
    "분기": (_ALL, _ALL), "학기": (_NOT_THIS, _ALL), "주기": (_CLEAR, ""), "촌": (_CLEAR, "오육칠팔구"),
    "자회담": ("육", "육"), "일제": (_ALL, _ALL), "항": (_NOT_THIS, ""), "조": (_CLEAR, ""), "원": ("", ""),
    "달러": (_NOT_THIS, _NOT_THIS), "불": ("삼사육칠팔구", ""), "센트": (_NOT_THIS, ""), "유로": (_NOT_THIS, ""),
    "엔": ("", ""), "위안": (_NOT_THIS, ""), "퍼센트": (_ALL, _ALL), "프로": (_NOT_THIS, ""),
    "퍼센트포인트": (_ALL, _ALL), "킬로": (_ALL, ""), "킬로미터": (_ALL, _ALL), "키로": (_ALL, ""),
    "미터": (_ALL, _ALL), "센티": (_ALL, ""), "센티미터": (_ALL, _ALL), "센치": (_ALL, ""), "밀리미터": (_ALL, _ALL),
    "밀리": ("", ""), "킬로그램": (_ALL, _ALL), "그램": (_ALL, _ALL), "리터": (_ALL, _ALL), "톤": (_ALL, ""),
    "평": (_CLEAR, ""), "제곱미터": (_ALL, _ALL), "헤르츠": (_ALL, _ALL), "와트": (_ALL, _ALL), "볼트": (_ALL, _ALL),
    "바이트": (_ALL, _ALL), "기가": (_ALL, ""), "메가": (_ALL, ""), "도": ("", ""), "점": ("", ""), "배": ("", ""),
    "대": ("", ""), "세대": (_CLEAR, ""), "페이지": (_NOT_THIS, _NOT_THIS), "쪽": ("", ""),
    "포인트": (_NOT_THIS, _NOT_THIS), "마일": (_ALL, ""), "인치": (_ALL, _ALL), "칼로리": (_ALL, ""), "석": ("", ""),
    "승": ("일삼사오육칠팔구", ""), "패": (_CLEAR, ""), "박": ("", ""), "님": ("", ""), "라운드": (_ALL, _ALL),
    "기": ("삼오육칠팔구", ""), "관": (_CLEAR, ""), "일차": (_ALL, _ALL), "탄": ("삼사", ""),
    "시간": ("삼오육칠팔구", ""), "비피": ("", ""), "퍼": ("", ""), "공화국": ("", ""), "호점": (_ALL, _ALL),
    "개소": (_ALL, ""), "개사": (_ALL, ""), "개교": (_ALL, ""), "개년": (_ALL, _ALL),
    "부작": (_CLEAR, "삼오육칠팔구"), "키로미터": (_ALL, _ALL), "부": ("", ""), "단": ("", ""), "동": ("", ""),
}  # fmt: skip
SYMBOLS = {
    "퍼센트": "%", "프로": "%", "퍼": "%", "퍼센트포인트": "%p", "비피": "bp", "킬로미터": "km", "키로미터": "km",
    "미터": "m", "센티미터": "cm", "밀리미터": "mm", "킬로그램": "kg", "그램": "g", "리터": "L", "제곱미터": "㎡",
    "헤르츠": "Hz",
}  # fmt: skip
# 한 makes a sure number with these. Elsewhere it is an idiom (한 번) or ends a clause (말을 한 사람).
_NATIVE_WITH_ONE = set("개 명 시간 마리 권 병 장 그릇 곡 살".split())
_NATIVE_APART = set(
    (
        "개 명 마리 번 번째 살 시 시간 배 가지 달 권 대 장 잔 병 건 곳 군데 편 팀 골 곡 그루 송이 켤레 채 척 벌 쌍 "
        "봉지 박스 상자 캔 컵 통 끼 판 칸 줄 글자 차례 걸음 바퀴 그릇 조각 마디 포기 가구 자리 단어 문장 학기 꼭지 "
        "세트 사람"
    ).split()
)
_NATIVE_JOINED = set("명 개 시 시간 살 번 번째 마리 가지 권 잔 병 배 군데 달 장".split())
_PLACE_APART = set(
    (
        "년 년간 개월 월 일 분 초 주 주년 층 호 번 번지 등 회 차 세 인 원 달러 불 유로 엔 위안 퍼센트 프로 킬로 "
        "킬로미터 미터 센티미터 센티 그램 킬로그램 톤 평 도 점 배 대 명 개 마리 곳 가지 권 장 채 척 건 편 석 페이지 "
        "인분 리터 마일 세기 교시 학년 시간 주일 개국 호선 자리 그루 벌 통 잔 병 박스 상자 세대 가구 포인트 칼로리 "
        "와트 볼트"
    ).split()
)
# After 만 these are read as "full": 만 이십 세 is 만 20세.
AFTER_FULL = {"세", "살", "년", "개월", "일"}
_AFTER_A_YEAR = re.compile(r" ?(?:전|후|뒤|동안|간|째|만에|만 |가까이|정도|이상|남짓|넘게|안에|이내|내내)")
# What may follow a counter in its word: particles, endings, and nouns such as 정도 and 이상.
TAIL = re.compile(
    r"(?:에서|에게|한테|에는|에도|에|은|는|이|가|을|를|의|으로|로|와|과|도|만|부터|까지|보다|마다|씩|쯤|정도|이상|이하|미만|"
    r"가량|동안|전|후|째|간|짜리|이나|나|이라|라|이다|다|입니다|이에요|예요|이고|고|이며|며|인데|인|이었|었|였|습니다|어요|이죠|"
    r"죠|이지|지|당|밖에|만큼|처럼|이란|란|이랑|랑|하고|뿐|대|내|이내|뒤|넘게|넘는|반|경|께|요|는데|네|들|데|야|든|면|거든|"
    r"니까|더라|구|서|어|날|달|때|사이|어치|래|래도|적|기관|국가|학교|업체|지역|업종)*(?![가-힣])"
)


def takes_figure(counter: str, figure: str, apart: bool, after: str) -> bool:
    """Tell whether one Sino-Korean syllable before a counter is surely a number. `after` is the text after the two."""
    if figure == "이" and counter in ("년", "분", "초", "주", "주일", "세기"):
        return bool(_AFTER_A_YEAR.match(after)) and (apart or counter == "년")
    if (counter, figure) == ("월", "이") and not apart:  # 이월 also carries over
        return (
            re.match(r"(?:[에의]|부터|까지|달)|(?: ?[일이삼사오육칠팔구십]+ ?일| ?말| ?초|중순)(?![가-힣]{2})", after)
            is not None
        )
    if counter == "장" and apart:  # a chapter with its verse
        return re.match(" [일이삼사오육칠팔구십백]+ ?절", after) is not None
    if counter == "박":  # 이 박 삼 일
        return re.match(" ?[일이삼사오육칠팔구십]+ ?일", after) is not None
    spaced, joined = _ONE_FIGURE.get(counter, ("", ""))
    return figure in (spaced if apart else joined)


def takes_place(counter: str, place: str, apart: bool) -> bool:
    """Tell whether 십, 백, 천 or 만 alone before a counter is surely a number: 백 명, but neither 백년 nor 만 세."""
    if counter == "퍼":
        return place == "백"
    if counter not in _PLACE_APART or (place == "만" and counter in AFTER_FULL):
        return False
    return (
        apart
        or (place == "십" and counter in ("년", "개월", "분", "초", "층", "원", "일", "월"))
        or counter in ("원", "퍼센트")
    )


def takes_native(counter: str, number: int, apart: bool, before: str, after: str = "") -> bool:
    """Tell whether a native number before a counter is surely a number, by the text before and after the two."""
    # 한 개인 is one person, 네 편 "your side", and 한 건데 is what was done.
    if re.match("인(?!데|지)", after) if counter == "개" else counter == "건" and re.match("[데가지]", after):
        return False
    if (
        number == 4
        and apart
        and (counter in ("편", "자리") or (counter == "배" and re.match(r" (?!더|이상|정도|가까이|많|높)", after)))
    ):
        return False
    if counter not in (_NATIVE_APART if apart else _NATIVE_JOINED) or (counter == "사람" and number < 5):
        return False
    if number == 1:
        if counter == "건" and apart and re.match("의|도|씩|당", after):
            return True
        if counter == "시":
            return apart and re.match("에|까지|부터| ?반| ?[일이삼사오육칠팔구십]+ ?분", after) is not None
        clause = re.search(r"(?:[을를게]|못|안|잘|많이|열심히|[라다]고) ?$", before)
        return counter in _NATIVE_WITH_ONE and (apart or counter in ("명", "개", "시간", "마리")) and not clause
    return True


def is_bare_number(words: str) -> bool:
    """Tell whether a Sino-Korean number is surely one without a counter: 이백오십, but not 이천 (a city) or 백일."""
    if words in ("십조", "삼만", "육만", "칠만"):
        return True
    if words in _HOMOGRAPHS or words[-1] in "일이조" or words.endswith("일만") or len(words) < 2:
        return False
    if words[-1] == "억":
        return True
    if words in ("십만", "백만"):
        return True
    return (words[1] in "십백천" and words[0] not in "십백천만") or len(words) > 2


def is_ordinal(words: str, counter: str, apart: bool) -> bool:
    """Tell whether a number after 제 is surely one: 제삼 회, but neither 제사장 (a priest) nor 제일 위 (the top)."""
    return counter in _ORDERED and not (words == "사" and counter == "장") and not (words == "일" and apart)


def spells_a_word(words: str, counter: str, apart: bool, after: str) -> bool:
    """Tell a number that makes another word with what follows: 이 조건, 백사장, 열병, 만원 버스, 십분 이해하다."""
    if words.endswith("조") or (words == "십일" and counter == "조"):
        return len(words) <= 2 and not apart and counter not in ("원", "달러", "엔", "위안", "유로")
    other = _OTHER_WORDS.get(words + counter)
    return other is not None and (counter == "기" or not apart) and other.match(after) is not None


_OTHER_WORDS = {
    "백사장": re.compile(""),
    "열병": re.compile(""),
    "백일기": re.compile("도"),
    "만원": re.compile(" ?(?:버스|지하철|전철|열차|사례|관중|엘리베이터|기차)"),
    "십분": re.compile(" (?:이해|발휘|활용|감안|고려|공감|반영)"),
}
_HOMOGRAPHS = set("이천 사천 이백 구천 오만 천만".split())
_ORDERED = set("공화국 차 회 조 항 장 호 기 대 권 편 부 과 막 세 위 번".split())
SPOKEN_COUNTERS = sorted(set(_ONE_FIGURE) | _NATIVE_APART)
