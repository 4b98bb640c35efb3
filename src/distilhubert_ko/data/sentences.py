"""Korean sentences from templates, for the corpus that the program makes for itself."""

import random

PEOPLE = (
    "어머니 아버지 할머니 할아버지 언니 동생 친구 선생님 의사 기자 사장님 이모 삼촌 학생 손님 이웃 감독 배우 가수 작가"
).split()
PLACES = (
    "학교 도서관 시장 병원 공원 은행 우체국 극장 식당 회사 박물관 공항 부산 서울 대구 광주 제주도 강릉 바닷가 운동장"
).split()
FOODS = (
    "사과 김밥 비빔밥 만두 라면 떡볶이 수박 포도 우유 커피 녹차 빵 국수 불고기 된장찌개 감자 고구마 딸기 호박죽 생선"
).split()
THINGS = "책 신문 편지 우산 가방 모자 시계 안경 사진 전화기 자전거 의자 컴퓨터 지갑 열쇠 구두 꽃 그림 선물 지도".split()
WEATHER = ["맑은", "흐린", "추운", "더운", "따뜻한", "쌀쌀한", "비 오는", "눈 오는", "바람 부는", "안개 낀"]
ADVERBS = "오늘 내일 어제 아침에 저녁에 주말에 천천히 조용히 다시 함께 자주 가끔 먼저 일찍 늦게 혼자".split()
DAYS = ["월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일"]
TOPICS = "경제 교육 날씨 건강 여행 음악 역사 과학 환경 축구 야구 문화 기술 농업 바다".split()
COUNTED = [
    ("사과", "개"),
    ("책", "권"),
    ("커피", "잔"),
    ("친구", "명"),
    ("고양이", "마리"),
    ("자동차", "대"),
    ("물", "병"),
]
GOT = "샀습니다 보았습니다 받았습니다 찾았습니다 골랐습니다 잃어버렸습니다 가져왔습니다 빌렸습니다".split()
WENT = ["갔습니다", "갔어요", "가려고 합니다", "가기로 했습니다", "가지 않았습니다", "도착했습니다"]


def particle(word: str, with_final: str, without_final: str) -> str:
    """Return `word` with the particle that fits its last syllable: 책 + 을, 사과 + 를."""
    has_final = (ord(word[-1]) - 0xAC00) % 28 != 0
    return word + (with_final if has_final else without_final)


def random_sentence(random_: random.Random) -> str:
    """Return one sentence from the templates, with digits and punctuation as a newspaper would write it."""
    pick = random_.choice
    person, other = random_.sample(PEOPLE, 2)
    place, food, thing = pick(PLACES), pick(FOODS), pick(THINGS)
    counted, counter = pick(COUNTED)
    number = random_.randint(1, 20)
    templates = [
        f"{particle(person, '은', '는')} {pick(ADVERBS)} {place}에서 {particle(thing, '을', '를')} {pick(GOT)}.",
        f"{particle(person, '이', '가')} {particle(other, '과', '와')} {pick(ADVERBS)} {place}에 {pick(WENT)}.",
        f"{pick(DAYS)} {random_.randint(1, 12)}시에 {place} 앞에서 만나요.",
        f"회의는 {random_.randint(1, 12)}월 {random_.randint(1, 28)}일 {pick(DAYS)}에 시작합니다.",
        f"{place}에서 {counted} {number}{particle(counter, '을', '를')} {pick(GOT)}.",
        f"{particle(food, '은', '는')} 한 개에 {random_.randint(1, 9) * 1000 + random_.randint(0, 9) * 100}원입니다.",
        f"내일 {particle(place, '은', '는')} {pick(WEATHER)} 날씨가 되겠습니다.",
        f"기온은 {random_.randint(1, 35)}도까지 오르겠습니다, {particle(thing, '을', '를')} 꼭 챙기세요!",
        f"{particle(person, '은', '는')} {pick(TOPICS)} 뉴스를 {pick(ADVERBS)} 읽습니다.",
        f"{random_.randint(1950, 2025)}년에 {place}에서 {pick(TOPICS)} 축제가 열렸습니다.",
        f"{particle(food, '과', '와')} {particle(pick(FOODS), '을', '를')} 주문하고 싶은데 얼마나 걸려요?",
        f"{particle(other, '이', '가')} {pick(TOPICS)} 이야기를 {random_.randint(2, 59)}분 동안 했습니다.",
        f"설문에 답한 사람의 {random_.randint(2, 99)}%가 {particle(food, '을', '를')} 좋아했습니다.",
        f"{place}까지 {random_.choice(['버스', '지하철', '기차', '택시'])}로 {random_.randint(2, 50)}분쯤 걸립니다.",
    ]
    return pick(templates)
