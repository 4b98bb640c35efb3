"""The files of the page: they load nothing from elsewhere, have every text twice, and write the program's files."""

import io
import json
import random
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import soundfile

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.recognition.formats import TRANSCRIPT_FORMATS, render_transcript
from distilhubert_ko.recognition.speakers import merge_speakers
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.words import Word
from distilhubert_ko.text.tokenizer import Units

if TYPE_CHECKING:
    from playwright import sync_api


FILES = {
    file.name: file.read_text(encoding="utf-8")
    for file in resources.files("distilhubert_ko.serving").joinpath("web").iterdir()
}
SITE = resources.files("distilhubert_ko.export").joinpath("site")  # the same page without a server
SCRIPTS = {name: content for name, content in FILES.items() if name.endswith(".js")}
LETTERS = r"가나다 힣각 a&<>\{} 👍"


class Tags(HTMLParser):
    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


TAGS = Tags(FILES["index.html"]).found
PAGE_FORMATS = [str(each["data-format"]) for _, each in TAGS if "data-format" in each]


@pytest.fixture(scope="module")
def page(chromium: "sync_api.Browser", address: str) -> "sync_api.Page":
    page = chromium.new_page()
    page.goto(address)
    return page


# What the files hold


def test_the_page_needs_no_other_place_and_nothing_that_its_policy_forbids() -> None:
    for name, content in FILES.items():
        assert not re.findall(
            r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", content.replace("http://www.w3.org/2000/svg", "")
        ), name
    for name, content in SCRIPTS.items():
        forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(.style"
        assert not re.search(forbidden, content), name
    for tag, attributes in TAGS:
        assert not [each for each in attributes if each == "style" or each.startswith("on")], (tag, attributes)
        assert tag != "style"
        for place in ("src", "href"):
            if place in attributes:
                assert str(attributes[place]).removeprefix("/static/") in FILES
    assert "url(" not in FILES["style.css"]
    assert "@import" not in FILES["style.css"]


def test_every_module_that_is_imported_is_there() -> None:
    for content in SCRIPTS.values():
        for name in re.findall(r'from "\./([^"]+)"|"/static/([^"]+\.js)"', content):
            assert "".join(name) in FILES


def test_every_text_is_there_in_both_languages_and_is_used() -> None:
    table = FILES["language.js"]
    table = table[table.index("TEXTS = {") : table.index("\n};")]
    entries = re.findall(r'^  (\w+): \[\s*("(?:[^"\\]|\\.)*"),\s*("(?:[^"\\]|\\.)*"),?\s*\]', table, re.MULTILINE)
    texts = {key: (json.loads(korean), json.loads(english)) for key, korean, english in entries}
    assert len(texts) == len(re.findall(r"^  \w+: ", table, re.MULTILINE)) > 50
    sources = (
        "".join(content for name, content in FILES.items() if name != "language.js") + FILES["language.js"][-2500:]
    )
    sources += "".join(file.read_text(encoding="utf-8") for file in SITE.iterdir())
    sources += resources.files("distilhubert_ko.export").joinpath("web.py").read_text(encoding="utf-8")
    units = get_args(Units)  # which the server names
    for key, (korean, english) in texts.items():
        assert key in units or f'"{key}"' in sources, f"{key} is said nowhere"
        assert not re.search("[가-힣]", english), key
        assert re.search("[가-힣]", korean) or korean in ("{size} MB",), key
        if key not in ("millions",):  # Korean counts in ten thousands
            assert sorted(re.findall(r"\{\w+\}", korean)) == sorted(re.findall(r"\{\w+\}", english)), key
    named = {str(value) for _, each in TAGS for name, value in each.items() if name in ("data-text", "data-label")}
    assert named | {*units} <= texts.keys()


def test_every_element_that_the_scripts_ask_for_is_there_once() -> None:
    ids = [attributes["id"] for _, attributes in TAGS if "id" in attributes]
    assert len(ids) == len(set(ids))
    for content in SCRIPTS.values():
        assert set(re.findall(r'\bat\("([\w-]+)"\)', content)) <= set(ids)


# Transcripts


def test_the_page_offers_formats_of_the_program_and_knows_how_to_write_each() -> None:
    assert {*PAGE_FORMATS} <= {*TRANSCRIPT_FORMATS}
    types = re.search(r"const TYPES = \{([^}]+)\};", FILES["player.js"])
    assert types
    assert re.findall(r"(\w+):", types[1]) == PAGE_FORMATS
    writer = FILES["transcript.js"]
    writer = writer[writer.index("export function written(") : writer.index("no transcript format")]
    assert re.findall(r'case "(\w+)"', writer) == PAGE_FORMATS


def made(random_: random.Random, count: int) -> tuple[list[Word], float]:
    """Return words in order, some of them long, with pauses of which some end a segment."""
    words, time = [], 0.0
    for _ in range(count):
        start = time + random_.choice([0, 0, random_.uniform(0, 0.5), random_.uniform(0.6, 3)])
        time = start + random_.uniform(0.05, 1.5)
        text = "".join(random_.choices(LETTERS.replace(" ", ""), k=random_.choice([1, 2, 3, 5, 20, 40])))
        words.append(Word(text, start, time, round(random_.random(), 4)))
    return words, time + random_.choice([0, random_.uniform(0, 3)])


def call(random_: random.Random) -> tuple[list[Word], float]:
    """Return the words of two speakers, who talk at once too."""
    lanes = [made(random_, random_.randint(1, 40)) for _ in range(2)]
    both = merge_speakers([Transcript(tuple(words), seconds) for words, seconds in lanes])
    return [*both.words], both.seconds


def listed(words: list[Word]) -> list[dict[str, Any]]:
    """Return the words as the server gives them."""
    return [
        {"word": w.text, "start": w.start, "end": w.end, "probability": w.confidence}
        | ({"speaker": w.speaker} if w.speaker else {})
        for w in words
    ]


def test_the_page_writes_the_files_that_the_program_writes(page: "sync_api.Page") -> None:
    script = """async ([forms, cases]) => {
        const { written } = await import("/static/transcript.js");
        return cases.map(([words, seconds]) => forms.map((form) => written(form, words, seconds)));
    }"""
    random_ = random.Random(0)
    cases = [made(random_, count) for count in (0, 1, 2, 3, *random_.choices(range(4, 80), k=30), 1500)]
    cases += [call(random_) for _ in range(10)]
    cases.append(([Word("가", 0.125, 0.0625 + 2, 1), Word("나", 4.375, 5.0625, 1)], 5.0625))  # halves of a unit
    forms = [form for form in PAGE_FORMATS if form != "json"]
    results = page.evaluate(script, [forms, [[listed(words), seconds] for words, seconds in cases]])
    for (words, seconds), files in zip(cases, results, strict=True):
        transcript = Transcript(tuple(words), seconds)
        segments = transcript.segments
        assert dict(zip(forms, files, strict=True)) == {
            form: render_transcript(transcript, form, segments) for form in forms
        }


def test_json_holds_the_words_and_the_segments_of_the_program(page: "sync_api.Page") -> None:
    words, seconds = call(random.Random(1))
    script = """async ([words, seconds]) =>
        JSON.parse((await import("/static/transcript.js")).written("json", words, seconds))"""
    result = page.evaluate(script, [listed(words), seconds])
    expected = Transcript(tuple(words), seconds)
    assert (result["text"], result["duration"]) == (expected.text, round(seconds, 3))
    assert [each["word"] for each in result["words"]] == [word.text for word in words]
    assert [each["speaker"] for each in result["words"]] == [word.speaker for word in words]
    for each, segment in zip(result["segments"], expected.segments, strict=True):
        assert (each["text"], each["speaker"]) == (segment.text, segment.speaker)
        assert (each["start"], each["end"]) == pytest.approx((segment.start, segment.end), abs=0.0006)


def test_a_correction_keeps_what_stayed_and_gives_the_rest_times_in_their_order(page: "sync_api.Page") -> None:
    script = """async (cases) => {
        const { corrected } = await import("/static/transcript.js");
        return cases.map((each) => corrected(...each));
    }"""
    random_ = random.Random(2)
    cases = []
    for _ in range(300):
        words, seconds = made(random_, random_.randint(1, 12))
        first = random_.randrange(len(words))
        count = random_.randint(1, len(words) - first)
        typed = [word.text for word in words[first : first + count]]
        for _ in range(random_.randint(0, 3)):  # add, change or take away
            place = random_.randint(0, len(typed))
            typed[place : place + random_.randint(0, 2)] = random_.choices(["새", "말을", "typed", words[0].text], k=2)
        if random_.random() < 0.1:
            typed = []
        cases.append((listed(words), first, count, "  ".join(typed), seconds))
    for (words, first, count, text, seconds), result in zip(cases, page.evaluate(script, cases), strict=True):
        assert [each["word"] for each in result[first : len(result) - (len(words) - first - count)]] == text.split()
        assert result[:first] == words[:first]
        assert result[len(result) - (len(words) - first - count) :] == words[first + count :]
        known = [each for each in result if each["probability"] is not None]
        assert all(each in words for each in known)
        times = [time for each in result for time in (each["start"], each["end"])]
        assert times == pytest.approx(sorted(times), abs=1e-9)
        assert not times or (times[0] >= 0 and times[-1] <= seconds + 1e-9)


def test_a_correction_of_one_speaker_leaves_the_words_of_the_other(page: "sync_api.Page") -> None:
    script = """async (each) => (await import("/static/transcript.js")).corrected(...each)"""
    for seed in range(20):
        random_ = random.Random(seed)
        words, seconds = call(random_)
        first = random_.randrange(len(words))
        result = page.evaluate(script, [listed(words), first, 1, "새 말을", seconds])
        assert [each["speaker"] for each in result[first : first + 2]] == [words[first].speaker] * 2
        lanes = [[each for each in result if each["speaker"] == speaker] for speaker in (1, 2)]
        for lane in lanes:
            times = [time for each in lane for time in (each["start"], each["end"])]
            assert times == pytest.approx(sorted(times), abs=1e-9)


def test_one_changed_word_has_the_times_of_the_word_before(page: "sync_api.Page") -> None:
    words = [{"word": w, "start": i, "end": i + 0.5, "probability": 0.5} for i, w in enumerate("가나다")]
    script = """async ([words, text]) => (await import("/static/transcript.js")).corrected(words, 0, 3, text, 3)"""
    result = page.evaluate(script, [words, "가 너머 다"])
    assert [result[0], result[2]] == [words[0], words[2]]
    assert result[1] == {"word": "너머", "start": 1, "end": 1.5, "probability": None}


def test_what_is_found_in_the_lines_is_what_a_search_of_their_text_finds_and_replaces(page: "sync_api.Page") -> None:
    script = """async (cases) => {
        const [{ segments }, { matches, replaced }] = await Promise.all(
            ["transcript", "matches"].map((name) => import(`/static/${name}.js`)));
        return cases.map(([words, seconds, query, text]) => {
            const found = matches(segments(words, seconds), query);
            const shown = found.map(({ head, tail }) => {
                const part = words.slice(head.word, tail.word + 1).map((each) => each.word);
                part.push(part.pop().slice(0, tail.offset));
                return part.join(" ").slice(head.offset);
            });
            return [shown, found.map(({ before }) => before), replaced(words, found, text, seconds)];
        });
    }"""
    random_ = random.Random(4)
    cases, expected = [], []
    for _ in range(80):
        words, seconds = made(random_, random_.randint(1, 40))
        query = "".join(random_.choices(["가", "나", "A", "각", "\\", "{", " "], k=random_.randint(1, 3)))
        text = random_.choice(["", "새", "새 말", "가", " "])
        if query.strip():
            lines = [f" {each.text} " for each in Transcript(tuple(words), seconds).segments]
            pattern = re.compile(re.escape(re.sub(" +", " ", query)), re.IGNORECASE)
            found = [each.group().strip() for line in lines for each in pattern.finditer(line)]
            expected.append((found, " ".join(pattern.sub(lambda _, text=text: text, line) for line in lines).split()))
            cases.append([listed(words), seconds, query, text])
    assert sum(len(found) > 1 for found, _ in expected) > 10
    for (words, seconds, *_), (found, text), result in zip(cases, expected, page.evaluate(script, cases), strict=True):
        shown, before, after = result
        assert (shown, [each["word"] for each in after]) == (found, text)
        assert before == sorted(set(before))
        assert all(each in words for each in after if each["probability"] is not None)
        times = [time for each in after for time in (each["start"], each["end"])]
        assert times == pytest.approx(sorted(times), abs=1e-9)
        assert not times or times[-1] <= seconds + 1e-9


@pytest.mark.parametrize(
    ("seconds", "decimals", "shown"),
    [(0, 0, "0:00"), (59.96, 1, "0:59.9"), (61, 0, "1:01"), (3725.25, 1, "1:02:05.2"), (5.1, 1, "0:05.1")],
)
def test_a_time_is_shown_as_a_clock_does(page: "sync_api.Page", seconds: float, decimals: int, shown: str) -> None:
    script = """async (each) => (await import("/static/transcript.js")).clock(...each)"""
    assert page.evaluate(script, [seconds, decimals]) == shown


# Sound


@pytest.fixture(scope="module")
def resampled(page: "sync_api.Page") -> Callable[[np.ndarray, int, int], np.ndarray]:
    """Return a wave at another rate, as the recorder makes it from pieces of `size` samples."""
    script = """async ([wave, rate, size]) => {
        const { Resampler } = await import("/static/resample.js");
        const [resampler, out] = [new Resampler(rate, 16000), []];
        for (let at = 0; at < wave.length; at += size) {
            out.push(...resampler.push(Float32Array.from(wave.slice(at, at + size))));
        }
        return [...out, ...resampler.end()];
    }"""
    return lambda wave, rate, size: np.array(page.evaluate(script, [wave.tolist(), rate, size]))


@pytest.mark.parametrize("rate", [48000, 44100, 8000, 22050])
def test_a_tone_of_another_rate_is_the_same_tone_at_ours(
    resampled: Callable[[np.ndarray, int, int], np.ndarray], rate: int
) -> None:
    def tone(at: int) -> np.ndarray:
        return np.sin(2 * np.pi * 1000 * np.arange(at) / at)

    result = resampled(tone(rate), rate, 128)
    assert abs(len(result) - SAMPLE_RATE) <= 1
    inner = slice(200, SAMPLE_RATE - 200)
    assert np.abs(result[inner] - tone(SAMPLE_RATE)[inner]).max() < 0.01


def test_what_our_rate_cannot_hold_is_not_heard_at_all(
    resampled: Callable[[np.ndarray, int, int], np.ndarray],
) -> None:
    tone = np.sin(2 * np.pi * 11000 * np.arange(48000) / 48000)
    assert np.abs(resampled(tone, 48000, 128)[200:-200]).max() < 0.01


@pytest.mark.parametrize("size", [1, 7, 1000, 4000])
def test_the_pieces_of_a_wave_make_no_difference(
    resampled: Callable[[np.ndarray, int, int], np.ndarray], size: int
) -> None:
    wave = np.random.default_rng(0).normal(0, 0.2, 3000)
    assert resampled(wave, 44100, size).tolist() == resampled(wave, 44100, 128).tolist()


def test_a_wave_file_holds_the_samples(page: "sync_api.Page") -> None:
    script = """async () => {
        const { wav } = await import("/static/microphone.js");
        const file = wav([Int16Array.from([1, -2, 300]), Int16Array.from([-32768, 32767])]);
        return [...new Uint8Array(await file.arrayBuffer())];
    }"""
    content = bytes(page.evaluate(script))

    samples, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    assert (samples.tolist(), rate) == ([1, -2, 300, -32768, 32767], SAMPLE_RATE)
