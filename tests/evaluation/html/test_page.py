"""The page of an evaluation: a single well-formed file with the figures of the report and escaped text."""

import dataclasses
import datetime
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from distilhubert_ko import model_folder
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import encode_mp3, load_audio
from distilhubert_ko.evaluation import breakdown, metrics
from distilhubert_ko.evaluation.breakdown import Prediction
from distilhubert_ko.evaluation.html import page
from distilhubert_ko.evaluation.html.sections import Side
from distilhubert_ko.evaluation.report import Report
from distilhubert_ko.files import writing

DATE = datetime.date(2026, 1, 2)
EVIL = '<script>alert("1")</script>&amp;'
FEW = [
    Prediction("u1", "오늘은 날씨가 맑습니다", "오늘 날시가 막습니다", "s1", 2.4),
    Prediction("u2", "책을 샀습니다", "책을 샀습니다", "s1", 1.2),
    Prediction("u3", "어머니가 학교에 갔어요", "", "s2", 11.0),
    Prediction("u4", "네", "네네", "s2", 0.7),
]
LOG = [{"loss": 4.0, "step": 1}, {"eval_loss": 3.0, "eval_cer": 1.0, "step": 2}, {"train_runtime": 3.0, "step": 2}]
VOID = {"meta", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Return the tags in order; fail if a closed one is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def side(predictions: list[Prediction], folder: Path, name: str = "model") -> Side:
    scores = [each.score for each in predictions]
    total = sum(scores, metrics.Score())
    report = Report(
        corpus="manifest:dev.jsonl",
        utterances=len(predictions),
        hours=sum(each.seconds for each in predictions) / 3600,
        speakers=len({each.speaker for each in predictions} - {None}),
        cer=total.characters.rate,
        cer_ci95=metrics.bootstrap_interval([score.characters for score in scores]),
        cer_no_space=total.characters_no_space.rate,
        cer_no_space_ci95=metrics.bootstrap_interval([score.characters_no_space for score in scores]),
        jer=total.jamo.rate,
        wer=total.words.rate,
        loss=1.25,
        too_few_frames=0,
        substitutions=total.characters.substitutions,
        deletions=total.characters.deletions,
        insertions=total.characters.insertions,
        unknown_characters=3,
        dropped={"empty text": 2},
        seconds=1.0,
        threads=1,
        predictions=tuple(predictions),
    )
    return Side(name, folder, report)


def rendered(*sides: Side, clips: dict[str, bytes] | None = None) -> str:
    comparison = breakdown.compare_predictions(*(each.report.predictions for each in sides)) if len(sides) > 1 else None
    return page.render_page(sides, comparison, clips or {}, DATE)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def heard(*hypotheses: str) -> list[Prediction]:
    return [dataclasses.replace(each, hypothesis=text) for each, text in zip(FEW, hypotheses, strict=True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    writing.write_text(path / model_folder.LOG, model_folder.log_text(LOG))
    return path


@pytest.fixture(scope="module")
def both(folder: Path) -> tuple[Side, Side]:
    other = heard("오늘은 날씨가 맑습니다", "책 샀습니다", "어머니 학교", "네")
    return side(FEW, folder), side(other, folder, "other")


@pytest.fixture(scope="module", params=[1, 2], ids=["one model", "two models"])
def html(request: pytest.FixtureRequest, both: tuple[Side, Side]) -> str:
    return rendered(*both[: request.param], clips={"u1": b"sound"})


def test_the_page_is_well_formed_and_fetches_nothing(html: str) -> None:
    assert html.startswith("<!doctype html>")
    reader = read(html)
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), f"{tag} {name}={value}"
    assert not re.search(r"url\(|@import|https?:|fetch\(|XMLHttpRequest", html)
    identities = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(set(identities)) == len(identities)
    anchors = {attributes["href"][1:] for tag, attributes in reader.tags if tag == "a"}
    assert anchors == set(identities)


def test_every_text_of_the_program_stands_there_in_both_languages(html: str) -> None:
    assert html.count('<span class="ko" lang="ko">') == html.count('<span class="en" lang="en">') > 50
    english = "".join(re.findall('<span class="en" lang="en">([^<]*)', html))
    assert not re.search("[가-힣]", english)


def test_the_figures_of_the_page_are_those_of_the_report(both: tuple[Side, Side]) -> None:
    report = both[0].report
    html = rendered(both[0])
    tiles = html[html.index('class="tiles"') : html.index('id="setup"')]
    shown = re.findall("<strong>([^<]*)</strong>", tiles)
    assert shown == [f"{100 * rate:.2f}%" for rate in (report.cer, report.cer_no_space, report.jer, report.wer)]
    for low, high in (report.cer_ci95, report.cer_no_space_ci95):
        assert f"{100 * low:.2f}–{100 * high:.2f}%" in tiles
    row = re.search("글자 오류율.*?</tr>", html[html.index('id="figures"') :], re.DOTALL)
    assert row is not None
    counts = (report.substitutions, report.deletions, report.insertions)
    assert tuple(int(cell) for cell in re.findall(r"<td>(\d+)</td>", row[0]))[:3] == counts
    facts = html[html.index('id="setup"') : html.index('id="figures"')]
    for fact in (report.corpus, f"{report.loss:.4f}", DATE.isoformat(), f"{report.hours:.2f} h"):
        assert fact in facts


def test_two_models_stand_side_by_side_with_the_test_between_them(both: tuple[Side, Side]) -> None:
    html = rendered(*both)
    comparison = breakdown.compare_predictions(*(each.report.predictions for each in both))
    part = html[html.index('id="comparison"') : html.index('id="figures"')]
    for contrast in (comparison.cer, comparison.cer_no_space):
        for paired in (contrast.over_utterances, contrast.over_speakers):
            assert paired is not None
            assert f"{100 * paired.difference:+.2f}".replace("-", "−") in part
            assert paired.probability is None or f"{100 * paired.probability:.2f}%" in part
    for key in ("figures", "length", "speakers", "jamo", "worst", "changed"):
        content = html[html.index(f'<section id="{key}"') :].partition("</section>")[0]
        assert 'class="side a"' in content, key
        assert 'class="side b"' in content, key


def test_text_of_corpora_and_models_is_escaped_wherever_it_stands(tmp_path: Path) -> None:
    wrong = [
        Prediction(EVIL, f"{EVIL} 가", f"나 {EVIL[::-1]}", EVIL, 1.0),
        Prediction("b", EVIL, EVIL + "가", "s", 1.0),
    ]
    one = side(wrong, tmp_path, EVIL)
    one = dataclasses.replace(one, report=dataclasses.replace(one.report, corpus=f"manifest:{EVIL}"))
    html = rendered(one, one, clips={EVIL: b"sound"})
    reader = read(html)
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert "alert(&quot;1&quot;)" in html
    assert "alert(" + '"' not in html


def test_an_alignment_shows_both_texts_and_marks_each_error(folder: Path) -> None:
    html = rendered(side([Prediction("u", "값이 좋다", "갑 좋다요", None, 1.0)], folder))
    shown = html[html.index('<article class="utterance">') :].partition("</article>")[0]
    columns = re.findall('<span class="col( .)?(?: ?space)?"><b>(.*?)</b><i>(.*?)</i></span>', shown)
    assert "".join(said for _, said, _ in columns if said != "+").replace(" ", "") == "값이좋다"
    assert "".join(heard for _, _, heard in columns if heard != "–").replace(" ", "") == "갑좋다요"
    kinds = [kind.strip() for kind, _, _ in columns if kind.strip()]
    assert sorted(kinds) == ["d", "n", "s"]
    assert "CER 60.00%" in shown


def test_an_utterance_has_a_player_where_there_is_a_clip(folder: Path) -> None:
    html = rendered(side(FEW, folder), clips={"u1": b"\xff\xfbsound"})
    players = [attributes["src"] for tag, attributes in read(html).tags if tag == "audio"]
    assert players == ["data:audio/mpeg;base64,//tzb3VuZA=="]


def test_clips_that_would_make_the_page_too_large_are_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    monkeypatch.setattr(page, "SPEECH", 2 * len(encode_mp3(wave)))
    path = page.write_page(tmp_path / "page.html", [side(FEW, folder)], None, lambda name: wave)
    tags = read(path.read_text(encoding="utf-8")).tags
    assert [tag for tag, _ in tags].count("audio") == 2
    assert sum(attributes.get("class") == "utterance" for _, attributes in tags) == 3


@pytest.mark.parametrize(
    "predictions",
    [
        [Prediction("u", "가", "가")],
        [Prediction("u", "가", "")],
        [Prediction("u", "네 가", "abc", "only", 0.1)],
        [Prediction("u", "가", "ᄀᄀ"), Prediction("v", "나", "나나나나나", "s", 100.0)],
    ],
)
def test_a_page_can_be_made_of_little(predictions: list[Prediction], tmp_path: Path) -> None:
    one = side(predictions, tmp_path / "no such folder")
    html = rendered(one)
    read(html)
    assert 'id="training"' not in html
    assert ('id="speakers"' in html) == any(each.speaker for each in predictions)
    assert ('id="worst"' in html) == any(each.score.characters.errors for each in predictions)


@pytest.mark.parametrize(
    ("used", "shown"),
    [
        ({"beam": 1, "lm": None}, "greedy, no language model"),
        ({"beam": 8, "lm": None, "hotwords": ["서울"]}, "beam 8, no language model; hot words 서울"),
        (
            {"beam": 16, "lm": "<b>.arpa", "lm_order": 3, "alpha": 0.5, "beta": 1.0},
            "beam 16, language model &lt;b&gt;.arpa (3-gram, α 0.5, β 1)",
        ),
    ],
)
def test_the_page_says_how_was_decoded(used: dict[str, object], shown: str, folder: Path) -> None:
    one = side(FEW, folder)
    html = rendered(dataclasses.replace(one, report=dataclasses.replace(one.report, decoding=used)))
    english = re.sub('<span class="ko".*?</span>', "", html)
    assert shown in re.sub("</?span[^>]*>", "", english)


def test_two_models_that_do_the_same_have_nothing_to_tell_them_apart(folder: Path) -> None:
    one = side(FEW[2:3], folder)
    html = rendered(one, one)
    read(html)
    assert 'id="changed"' not in html
    assert "does not show which model is better" in html


def test_many_speakers_are_folded_away_and_none_is_lost(tmp_path: Path) -> None:
    many = [Prediction(f"u{index}", "가나", "가", f"speaker-{index:02}", 1.0) for index in range(25)]
    html = rendered(side(many, tmp_path))
    part = html[html.index('<section id="speakers"') :].partition("</section>")[0]
    assert {f"speaker-{index:02}" for index in range(25)} == set(re.findall(r"speaker-\d\d", part))
    assert part.count("<details>") == 1
    assert re.search("<summary>.*5 more", part)


@pytest.mark.parametrize("content", ["", "{", '{"step": 1}\n', '{"eval_cer": 0.5}\n'])
def test_a_training_log_without_curves_is_no_section(tmp_path: Path, content: str) -> None:
    (tmp_path / model_folder.LOG).write_text(content)
    assert 'id="training"' not in rendered(side(FEW, tmp_path))


def test_the_template_travels_with_the_package() -> None:
    assert resources.files("distilhubert_ko.evaluation.html").joinpath("page.html").is_file()


def test_a_clip_is_heard_as_it_was() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    wave = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    clip = encode_mp3(wave)
    assert len(clip) < 8000
    again = load_audio(clip)
    assert len(again) == pytest.approx(len(wave), abs=2000)
    spectrum = np.abs(np.fft.rfft(again[2000:14000]))
    assert np.argmax(spectrum) * SAMPLE_RATE / 12000 == pytest.approx(440, abs=2)
