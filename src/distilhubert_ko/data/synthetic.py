"""A corpus that the program makes for itself: Korean sentences from templates, spoken by espeak-ng.

It lets the whole road, from recipe to transcript, run with no network and no download. Sentences and voices of
the train, dev and test splits are disjoint. The corpus is made once, in the user's cache folder, as a WAV file for
each utterance and a NeMo manifest for each split.
"""

import ctypes
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.errors import CorpusError, MissingExtraError
from distilhubert_ko.files import writing
from distilhubert_ko.text.normalise import normalise

VERSION = 2  # part of the folder's name: raise it when the same seed gives other audio

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

# Variants of espeak-ng's Korean voice; pitch (0 to 99) and rate (words a minute) move around theirs. No voice is in
# two splits. Held out are numbered ones, espeak-ng's own; the named ones, which people have contributed, go as far as
# caricature (formants shifted by up to 40 %) and are for training alone.
VOICES = {
    "train": (
        "m1 m2 m4 m5 m7 f1 f3 Alex Alicia Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario "
        "Michael Nguyen adam anika antonio belinda benjamin boris caleb edward ian iven john linda marcelo max michel "
        "norbert pablo paul pedro quincy robert sandro shelby steph travis"
    ).split(),
    "dev": ["m8", "f5"],
    "test": ["m3", "m6", "f2", "f4"],
}
SENTENCES = {"train": 2400, "dev": 120, "test": 300}
SHARDS = 4  # of each split, spoken in parallel
SEEDS = {"demo": 42}


@dataclass(frozen=True)
class Line:
    """One utterance to be spoken. `text` is as written, with digits and punctuation."""

    id: str
    text: str
    voice: str
    pitch: int
    rate: int

    @property
    def path(self) -> str:
        """Of the audio, below the corpus's folder."""
        return f"{self.id.split('-')[0]}/{self.id}.wav"


def particle(word: str, with_final: str, without_final: str) -> str:
    """`word` with the particle that fits its last syllable: 책 + 을, 사과 + 를."""
    has_final = (ord(word[-1]) - 0xAC00) % 28 != 0
    return word + (with_final if has_final else without_final)


def sentence(random_: random.Random) -> str:
    """One sentence from the templates, with digits and punctuation as a newspaper would write it."""
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


def lines(name: str) -> dict[str, list[Line]]:
    """Every utterance of the corpus `name`, by split; the same for the same name on every machine.

    Raises CorpusError for an unknown name.
    """
    if name not in SEEDS:
        raise CorpusError(f"synthetic:{name}: no such corpus; there is {', '.join(f'synthetic:{n}' for n in SEEDS)}")
    random_ = random.Random(SEEDS[name])
    seen: set[str] = set()
    splits: dict[str, list[Line]] = {}
    for split, count in SENTENCES.items():
        splits[split] = []
        while len(splits[split]) < count:
            written = sentence(random_)
            if written in seen:
                continue
            seen.add(written)
            number = len(splits[split])
            voice = VOICES[split][number % len(VOICES[split])]
            line = Line(
                f"{split}-{voice}-{number:05d}",
                written,
                voice,
                random_.randint(20, 75),
                random_.randint(180, 250),
            )
            splits[split].append(line)
    return splits


def corpus_folder(name: str) -> Path:
    """The folder of the synthetic corpus `name`; see `spoken`. Raises CorpusError for an unknown name."""
    return spoken(name, lines(name))


def spoken(name: str, splits: dict[str, list[Line]]) -> Path:
    """The folder, called after `name`, of the lines of each split: `<split>.jsonl` and `<split>/<id>.wav`.

    It is made on first use, in the user's cache. Raises MissingExtraError without espeakng-loader.
    """
    written = json.dumps([VERSION, {s: [vars(line) for line in ls] for s, ls in splits.items()}], sort_keys=True)
    cache = writing.user_cache()
    folder = cache / f"synthetic-{name}-{hashlib.sha256(written.encode()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=cache))
    try:
        for split in splits:
            (aside / split).mkdir()
        shards = [(aside, part[start::SHARDS]) for part in splits.values() for start in range(SHARDS)]
        # espeak-ng's noise depends on what the process spoke before: a new process for each shard, always the
        # same shards, and the audio is the same on every run, whatever the number of processors.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(os.cpu_count(), context, max_tasks_per_child=1) as pool:
            seconds = {id: length for shard in pool.map(_speak, *zip(*shards, strict=True)) for id, length in shard}
        for split, part in splits.items():
            records = [_record(line, seconds[line.id]) for line in part]
            (aside / f"{split}.jsonl").write_text("".join(records), encoding="utf-8")
        aside.chmod(0o755)
        try:
            aside.rename(folder)
        except OSError:  # another process was first; its folder is the same
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _record(line: Line, seconds: float) -> str:
    record = {"audio_filepath": line.path, "text": line.text, "duration": seconds, "speaker": line.voice}
    return json.dumps(record, ensure_ascii=False) + "\n"


def _speak(folder: Path, shard: list[Line]) -> list[tuple[str, float]]:
    """Writes the shard's utterances below `folder`; (id, seconds) of each."""
    lengths = []
    with _Espeak() as espeak:
        for line in shard:
            wave = espeak.speak(line)
            soundfile.write(folder / line.path, wave, SAMPLE_RATE, subtype="PCM_16")
            lengths.append((line.id, len(wave) / SAMPLE_RATE))
    return lengths


class _Espeak:
    """espeak-ng's C interface (speak_lib.h), which keeps its state for the whole process: one at a time."""

    RETRIEVAL, UTF8 = 1, 1
    RATE, PITCH = 1, 3

    def __enter__(self) -> "_Espeak":
        try:
            import espeakng_loader
        except ImportError:
            raise MissingExtraError('synthetic speech needs espeak-ng: pip install "distilhubert-ko[train]"') from None
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._variants = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
        data = espeakng_loader.get_data_path().encode()
        self._rate = self._library.espeak_Initialize(self.RETRIEVAL, 0, data, 0)
        if self._rate <= 0:
            raise CorpusError(f"espeak-ng did not start with {data!r}: reinstall the package espeakng-loader")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the breath of some voices hangs on the clock
        self._chunks: list[np.ndarray] = []
        prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = prototype(self._collect)  # kept: the library holds only a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)
        return self

    def __exit__(self, *exception: object) -> None:
        self._library.espeak_Terminate()

    def _collect(self, samples: Iterator[int], count: int, events: int) -> int:
        if count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0

    def speak(self, line: Line) -> np.ndarray:
        """Return the wave (samples,) of a line, with numbers read as `normalise` spells them."""
        # Without the variant's file espeak-ng takes its default voice and says nothing of it.
        there = (self._variants / line.voice).is_file()
        if not there or self._library.espeak_SetVoiceByName(f"ko+{line.voice}".encode()) != 0:
            raise CorpusError(f"espeak-ng has no voice ko+{line.voice}: reinstall the package espeakng-loader")
        self._library.espeak_SetParameter(self.RATE, line.rate, 0)
        self._library.espeak_SetParameter(self.PITCH, line.pitch, 0)
        self._chunks.clear()
        spoken = normalise(line.text, spell=True).encode()
        self._library.espeak_Synth(spoken, len(spoken) + 1, 0, 0, 0, self.UTF8, None, None)
        self._library.espeak_Synchronize()
        wave = np.concatenate(self._chunks).astype(np.float32) / 32768
        return soxr.resample(wave, self._rate, SAMPLE_RATE)
