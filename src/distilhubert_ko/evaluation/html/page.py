"""The evaluation report as a single HTML page in Korean and English, for `evaluate --html`.

Figures come from `report` and `breakdown`; frame, style and script are in page.html. All text from a corpus or a model
is escaped.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from distilhubert_ko.audio.reading import encode_mp3
from distilhubert_ko.evaluation.breakdown import Comparison, Contrast
from distilhubert_ko.evaluation.html import charts, sections
from distilhubert_ko.evaluation.html.charts import Series
from distilhubert_ko.evaluation.html.excerpts import excerpt, legend
from distilhubert_ko.evaluation.html.markup import both, escaped, percent, points, table, tag
from distilhubert_ko.evaluation.html.sections import METRICS, Side, interval_text, side_tag
from distilhubert_ko.evaluation.significance import PairedTest
from distilhubert_ko.files import outputs
from distilhubert_ko.version import __version__

WORST, CHANGED = 20, 10  # utterances to show; CHANGED in each direction
SPEECH = 3_000_000  # bytes of MP3 in a page; base64 adds a third, so that the page stays below 5 MB


def write_page(
    path: Path, sides: Sequence[Side], comparison: Comparison | None, wave: Callable[[str], np.ndarray]
) -> Path:
    """Write the page of one model, or of two with their comparison, to `path`.

    `wave` returns the audio of an utterance by its id, for the utterances in the page. Raises InputError if `path`
    cannot be written.
    """
    clips: dict[str, bytes] = {}
    room = SPEECH
    for name, times in Counter(listed_ids(sides, comparison)).items():
        clip = encode_mp3(wave(name))
        room -= len(clip) * times
        if room >= 0:
            clips[name] = clip
    return outputs.write_output(path, render_page(sides, comparison, clips, datetime.date.today()))


def listed_ids(sides: Sequence[Side], comparison: Comparison | None) -> list[str]:
    """Return the ids of the utterances in the page, as often as each occurs."""
    changed = comparison.changed(CHANGED) if comparison else ([], [])
    return [each.id for each in sides[0].breakdown.worst(WORST)] + [pair[0].id for part in changed for pair in part]


def render_page(
    sides: Sequence[Side], comparison: Comparison | None, clips: Mapping[str, bytes], date: datetime.date
) -> str:
    """Return the page as HTML. `clips` are MP3 files by utterance id; an utterance without one has no player."""
    contents_of = {
        ("setup", "평가 조건", "Setup"): _facts(sides, date),
        ("comparison", "비교", "Comparison"): _comparison(comparison) if comparison else "",
        ("figures", "오류율", "Error rates"): sections.rates_section(sides),
        ("length", "길이별", "By length"): sections.lengths_section(sides),
        ("speakers", "화자별", "By speaker"): sections.speakers_section(sides),
        ("syllables", "혼동한 음절", "Syllables"): sections.syllables_section(sides),
        ("jamo", "혼동한 자모", "Jamo"): sections.jamo_section(sides),
        ("training", "학습 곡선", "Learning curve"): _training(sides),
        ("worst", "가장 많이 틀린 발화", "Worst utterances"): _worst(sides, clips),
        ("changed", "차이가 가장 큰 발화", "Largest differences"): _changed(comparison, clips) if comparison else "",
    }
    body, contents = [], []
    for (key, korean, english), content in contents_of.items():
        if content:
            contents.append(f'<a href="#{key}">{both(korean, english)}</a>')
            body.append(f'<section id="{key}"><h2>{both(korean, english)}</h2>{content}</section>')
    body.insert(0, _tiles(sides))
    names = " / ".join(side.name for side in sides)
    named = [f"<span>{side_tag(sides, index)}{escaped(side.name)}</span>" for index, side in enumerate(sides)]
    corpus = escaped(sides[0].report.corpus)
    template = resources.files("distilhubert_ko.evaluation.html").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escaped(f"{names} · {sides[0].report.corpus}"),
        heading=f'<p class="eyebrow">{both("음성 인식 평가 보고서", "Speech recognition report")} · {corpus}</p>'
        f"<h1>{' '.join(named)}</h1>",
        contents="".join(contents),
        body="\n".join(body),
        footer=_footer(),
    )


def _facts(sides: Sequence[Side], date: datetime.date) -> str:
    first = sides[0].report
    dropped = sum(first.dropped.values())
    facts = [
        (both("말뭉치", "Corpus"), escaped(first.corpus), "wide"),
        (both("발화", "Utterances"), f"{first.utterances:,}", ""),
        (both("길이", "Length"), both(f"{first.hours:.2f}시간", f"{first.hours:.2f} h"), ""),
        (both("화자", "Speakers"), f"{first.speakers:,}" if first.speakers else both("알 수 없음", "unknown"), ""),
        (both("평가에서 제외된 발화", "Left out"), f"{dropped:,}", ""),
        (both("평가일", "Date"), date.isoformat(), ""),
        (both("프로그램", "Program"), f"distilhubert-ko {escaped(__version__)}", ""),
    ]
    content = [_list(facts)]
    for index, side in enumerate(sides):
        own = [
            (both("디코딩", "Decoding"), _decoding(side.report.decoding), "wide"),
            (both("CTC 손실", "CTC loss"), f"{side.report.loss:.4f}", ""),
            (both("어휘에 없는 글자", "Unknown characters"), f"{side.report.unknown_characters:,}", ""),
            (both("속도", "Speed"), both(*(f"{side.report.speed:.0f}{x}" for x in ("배속", " × real time"))), ""),
        ]
        if side.kept_step is not None:
            step = f"{side.kept_step:,}"
            own.append((both("가중치", "Weights"), both(f"스텝 {step}", f"step {step}"), ""))
        name = f"<h3>{side_tag(sides, index)} {escaped(side.name)}</h3>" if len(sides) > 1 else ""
        content.append(f"{name}{_list(own)}")
    return "".join(content)


def _list(entries: Sequence[tuple[str, str, str]]) -> str:
    """Return (name, value, class) entries as a definition list."""
    shown = "".join(f'<div class="{kind}"><dt>{name}</dt><dd>{value}</dd></div>' for name, value, kind in entries)
    return f'<dl class="facts">{shown}</dl>'


def _decoding(used: Mapping[str, Any]) -> str:
    """Return the record of a Decoder in words."""
    if used["beam"] == 1 and not used["lm"]:
        way = both("그리디, 언어 모델 없음", "greedy, no language model")
    elif not used["lm"]:
        way = both(f"빔 {used['beam']}, 언어 모델 없음", f"beam {used['beam']}, no language model")
    else:
        name, weights = escaped(used["lm"]), f"α {used['alpha']:g}, β {used['beta']:g}"
        gram = f"{used['lm_order']}-gram"
        way = (
            both(f"빔 {used['beam']}, 언어 모델 ", f"beam {used['beam']}, language model ")
            + f"{name} ({gram}, {weights})"
        )
    words = escaped(", ".join(used.get("hotwords", ())))
    return way + (f"; {both('핫워드', 'hot words')} {words}" if words else "")


def _tiles(sides: Sequence[Side]) -> str:
    tiles = []
    for name in ("cer", "cer_no_space", "jer", "wer"):
        lines = []
        for index, side in enumerate(sides):
            figure = side.breakdown.figures[name]
            lines.append(
                f"<p>{side_tag(sides, index)}<strong>{percent(figure.rate)}</strong>"
                f"<small>{both('95% 구간', '95 % interval')} <span>{interval_text(figure.ci95)}</span></small></p>"
            )
        tiles.append(f'<div class="tile"><h3>{both(*METRICS[name])}</h3>{"".join(lines)}</div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _comparison(comparison: Comparison) -> str:
    rows = []
    for name, contrast in (
        ("CER", comparison.cer),
        (both("CER, 공백 제외", "CER, no spaces"), comparison.cer_no_space),
    ):
        for unit, paired in (
            (both("발화", "utterances"), contrast.over_utterances),
            (both("화자", "speakers"), contrast.over_speakers),
        ):
            if paired:
                rows.append(
                    [
                        f"<th scope=row>{name}</th><td>{unit}</td>"
                        f"<td>{percent(contrast.first)}</td><td>{percent(contrast.second)}</td>"
                        f'<td class="rate">{points(paired.difference)}</td>'
                        f'<td class="range">{_range(paired)}</td>'
                        f"<td>{charts.GAP if paired.probability is None else percent(paired.probability)}</td>"
                        f"<td>{_p(paired.p)}</td>"
                    ]
                )
    head = [both("지표", "Measure"), both("단위", "Unit"), tag(0), tag(1)]
    head += [both("차이(A − B, %p)", "Difference (A − B, points)"), both("95% 구간", "95 % interval")]
    head += [both("A가 나을 확률", "Probability that A is better"), "p"]
    note = both(
        "p는 정확한 부호 뒤집기 검정(sign-flip test)의 값이라 화자가 적어도 성립합니다. 두 모델을 항상 같은 발화로 "
        "비교하므로, 두 모델 모두에 어려운 발화가 있어도 구간이 넓어지지 않습니다. 차이가 음수이면 A의 오류가 더 "
        "적습니다. 같은 화자의 발화는 함께 틀리기 쉬우므로 화자 단위 검정이 더 엄격합니다. 화자가 6명보다 적으면 화자 "
        "단위 구간은 구하지 않습니다.",
        "p is that of an exact sign-flip test, which holds for few speakers, too. Both models are compared on the same "
        "utterances, so those that are hard for both do not widen the interval. If the difference is negative, A has "
        "fewer errors. Utterances of one speaker err together, so the test over speakers is stricter. With fewer than "
        "6 speakers there is no interval over them.",
    )
    counted = both(
        f"두 모델을 모두 평가한 발화 {comparison.utterances:,}개",
        f"{comparison.utterances:,} utterances in both evaluations",
    )
    if comparison.left_out:
        counted += both(f", 제외 {comparison.left_out:,}개", f", {comparison.left_out:,} left out")
    content = table(head, rows, both("두 모델의 비교", "Comparison of the two models"))
    return f'<p class="verdict">{_verdict(comparison.cer)}</p><p class="note">{note} {counted}.</p>{content}'


def _range(paired: PairedTest) -> str:
    """Return an interval of a difference, or the mark of a gap if there is none."""
    return " ~ ".join(points(end) for end in paired.ci95) if paired.ci95 else charts.GAP


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "&lt; 0.001"


def _verdict(contrast: Contrast) -> str:
    """Return the result of the test over speakers if they are known, otherwise over utterances."""
    paired = contrast.over_speakers or contrast.over_utterances
    sign = "= " if paired.p >= 0.001 else ""
    korean, english = (f", {name} {_range(paired)}" if paired.ci95 else "" for name in ("95% 구간", "95 % interval"))
    numbers = both(
        f"CER 차이 {points(paired.difference)}%p{korean}, p {sign}{_p(paired.p)}",
        f"CER differs by {points(paired.difference)} points{english}, p {sign}{_p(paired.p)}",
    )
    if paired.p >= 0.05:
        return (
            both("이 데이터로는 두 모델의 우열을 가릴 수 없습니다", "This corpus does not show which model is better")
            + f": {numbers}."
        )
    better = tag(0 if paired.difference < 0 else 1)
    return both(f"{better}의 오류가 더 적습니다", f"{better} makes fewer errors") + f": {numbers}."


def _training(sides: Sequence[Side]) -> str:
    losses, rates = [], []
    for index, side in enumerate(sides):
        kind = "ab"[index]
        losses.append(Series(kind, _logged(side.log, "loss"), dashed=True))
        losses.append(Series(kind, _logged(side.log, "eval_loss")))
        rates.append(Series(kind, _logged(side.log, "eval_cer")))
    kept = sides[0].kept_step if len(sides) == 1 else None
    loss = charts.curves(losses, "CTC loss", logarithmic=True, mark=kept)
    cer = charts.curves(rates, "CER", mark=kept)
    if not loss and not cer:
        return ""
    figures = [(both("레이블당 CTC 손실", "CTC loss per label"), loss), (both("검증 CER", "Validation CER"), cer)]
    drawn = "".join(f"<figure><figcaption>{name}</figcaption>{chart}</figure>" for name, chart in figures if chart)
    keys = [(f"{side_tag(sides, i)} ", "ab"[i]) for i in range(len(sides))]
    items = [f"<li>{_line(kind)}{name}{both('검증', 'validation')}</li>" for name, kind in keys]
    items += [f"<li>{_line(f'{kind} dashed')}{name}{both('학습', 'training')}</li>" for name, kind in keys]
    if kept is not None:
        items.append(f"<li>{_line('mark')}{both('선택한 가중치', 'selected weights')}</li>")
    note = both("가로축은 학습 스텝입니다.", "The horizontal axis shows training steps.")
    return f'<p class="note">{note}</p><div class="pair">{drawn}</div><ul class="key">{"".join(items)}</ul>'


def _logged(log: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(line["step"], line[name]) for line in log if name in line and "step" in line]


def _line(kind: str) -> str:
    return f'<svg viewBox="0 0 32 10" aria-hidden="true"><line class="line {kind}" x1="0" x2="32" y1="5" y2="5"/></svg>'


def _worst(sides: Sequence[Side], clips: Mapping[str, bytes]) -> str:
    others = [{each.id: each for each in side.report.predictions} for side in sides[1:]]
    shown = [
        excerpt([each, *(other[each.id] for other in others if each.id in other)], clips.get(each.id))
        for each in sides[0].breakdown.worst(WORST)
    ]
    return legend() + "".join(shown) if shown else ""


def _changed(comparison: Comparison, clips: Mapping[str, bytes]) -> str:
    parts = []
    titles = [
        both(f"{tag(0)}가 더 나은 발화", f"{tag(0)} is better"),
        both(f"{tag(1)}가 더 나은 발화", f"{tag(1)} is better"),
    ]
    for title, pairs in zip(titles, comparison.changed(CHANGED), strict=True):
        shown = "".join(excerpt(pair, clips.get(pair[0].id)) for pair in pairs)
        parts.append(f"<h3>{title}</h3>{shown}" if shown else "")
    return legend() + "".join(parts) if any(parts) else ""


def _footer() -> str:
    note = both(
        "이 문서는 파일 하나이며 네트워크를 사용하지 않습니다. 글과 음성에는 말뭉치의 이용 조건이 적용됩니다.",
        "This page is a single file and does not use the network. The terms of the corpus apply to its text and audio.",
    )
    return f"<p>{note}</p>"
