"""Tables and maps of an evaluation report as HTML, for one model or two side by side."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distilhubert_ko import model_folder
from distilhubert_ko.errors import ModelError
from distilhubert_ko.evaluation.breakdown import Breakdown, Figure, GroupFigures
from distilhubert_ko.evaluation.html import charts
from distilhubert_ko.evaluation.html.markup import both, escaped, percent, table, tag
from distilhubert_ko.evaluation.report import Report
from distilhubert_ko.model_folder import TrainingRecord
from distilhubert_ko.text.hangul import FINALS, INITIALS, MEDIALS

CONFUSED, NAMED = 20, 6  # confusions to show: of syllables, and of jamo per position
ROOM = 1.15  # width of a chart over its longest bar, for intervals; a longer interval is cut
OPEN = 20  # speakers to show; the rest is folded
METRICS = {
    "cer": ("글자 오류율(CER)", "Character error rate (CER)"),
    "cer_no_space": ("CER, 공백 제외", "CER, no spaces"),
    "jer": ("자모 오류율", "Jamo error rate"),
    "initial": ("초성", "Initials"),
    "medial": ("중성", "Medials"),
    "final": ("종성(받침)", "Finals"),
    "wer": ("단어 오류율(WER)", "Word error rate (WER)"),
    "spaces": ("띄어쓰기", "Spaces"),
}
POSITIONS = {"initial": INITIALS, "medial": MEDIALS, "final": FINALS}


@dataclass(frozen=True)
class Side:
    """A measured model: its name, its report, and its folder, whose training log is drawn if there is one."""

    name: str
    folder: Path
    report: Report

    @cached_property
    def breakdown(self) -> Breakdown:
        return Breakdown(self.report.predictions)

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        try:
            return model_folder.read_log(self.folder)
        except ModelError:
            return []  # the folder has no records of training

    @cached_property
    def kept_step(self) -> int | None:
        try:
            return model_folder.read_record(TrainingRecord, self.folder / model_folder.TRAINING).kept_step
        except ModelError:
            return None


def side_tag(sides: Collection[object], index: int) -> str:
    """Return the mark A or B if there are two models, otherwise ""."""
    return tag(index) if len(sides) > 1 else ""


def interval_text(ends: tuple[float, float] | None) -> str:
    return f"{percent(ends[0])[:-1]}–{percent(ends[1])}" if ends else charts.GAP


def rates_section(sides: Sequence[Side]) -> str:
    found = [side.breakdown.figures for side in sides]
    top = max(figure.rate for each in found for figure in each.values()) * ROOM
    by_speaker = any(figure.speakers_ci95 for each in found for figure in each.values())
    rows = []
    for name, label in METRICS.items():
        kind = ' class="sub-row"' if name in POSITIONS else ""
        lines = []
        for index, each in enumerate(found):
            figure, counts = each[name], each[name].counts
            cells = _rate(sides, index, figure, top)
            cells += [f'<td class="range">{interval_text(figure.speakers_ci95)}</td>'] if by_speaker else []
            numbers = (counts.substitutions, counts.deletions, counts.insertions, counts.reference)
            lines.append("".join([*cells, *(f"<td>{number:,}</td>" for number in numbers)]))
        rows.append(_headed(f"<th scope=row{kind}{_span(sides)}>{both(*label)}</th>", lines))
    head = [both("지표", "Measure"), *_rate_head(sides, both("오류율", "Rate"))]
    head += [both("95% 구간(화자)", "95 % (speakers)")] if by_speaker else []
    head += [
        both(*names) for names in (("치환", "Subst."), ("삭제", "Del."), ("삽입", "Ins."), ("정답 길이", "Reference"))
    ]
    note = both(
        "모든 오류를 더한 뒤 정답의 길이로 나눈 값입니다. 초성·중성·종성은 가장 비슷한 음절끼리 짝지어 세고, 받침이 "
        "없는 것도 종성의 한 종류로 봅니다. 띄어쓰기에서 삭제는 빠뜨린 공백, 삽입은 잘못 넣은 공백입니다. 구간은 "
        "발화를 재추출한 부트스트랩이며, 화자가 6명 이상이면 화자 단위 구간(스튜던트 t)도 구합니다.",
        "A rate is the sum of errors over the length of the references. Initials, medials and finals are counted "
        "between pairs of similar syllables, and a missing final is one kind of final. Deleted spaces are missing "
        "ones, inserted spaces are wrong ones. Intervals are bootstraps over utterances and, from six known "
        "speakers on, Student's t over speakers.",
    )
    return f'<p class="note">{note}</p>{table(head, rows, both("오류율", "Error rates"))}'


def _span(sides: Collection[object]) -> str:
    return f" rowspan={len(sides)}" if len(sides) > 1 else ""


def _rate_head(sides: Collection[object], name: str) -> list[str]:
    model = [both("모델", "Model")] if len(sides) > 1 else []
    return [*model, name, "", both("95% 구간", "95 % interval")]


def _rate(sides: Collection[object], index: int, figure: Figure, top: float) -> list[str]:
    """Return the cells of a rate: the model if there are two, the number, its bar and its interval."""
    model = [f'<td class="model">{side_tag(sides, index)}</td>'] if len(sides) > 1 else []
    chart = charts.bar(figure.rate, figure.ci95, top, "ab"[index])
    return [
        *model,
        f'<td class="rate">{percent(figure.rate)}</td>',
        f'<td class="chart">{chart}</td>',
        f'<td class="range">{interval_text(figure.ci95)}</td>',
    ]


def _groups(
    sides: Sequence[Side], groups: Sequence[Mapping[Any, GroupFigures]], labels: Mapping[Any, str]
) -> list[list[str]]:
    """Return a row per key of `labels`: CER of each model, utterances and minutes."""
    top = max((group.cer.rate for each in groups for group in each.values()), default=0.0) * ROOM
    rows = []
    for key, label in labels.items():
        there = [(index, each[key]) for index, each in enumerate(groups) if key in each]
        lines = []
        for index, group in there:
            sizes = f"<td>{group.utterances:,}</td><td>{group.seconds / 60:,.1f}</td>"
            lines.append("".join([*_rate(sides, index, group.cer, top), sizes]))
        rows.append(_headed(f'<th scope=row class="long"{_span(there)}>{label}</th>', lines))
    return rows


def _headed(header: str, lines: Sequence[str]) -> list[str]:
    """Return the lines of a row, the first with the header that spans them."""
    return [header + lines[0], *lines[1:]]


def _group_head(sides: Sequence[Side], name: str) -> list[str]:
    return [name, *_rate_head(sides, "CER"), both("발화", "Utterances"), both("분", "Minutes")]


def lengths_section(sides: Sequence[Side]) -> str:
    groups = [side.breakdown.by_length for side in sides]
    labels = {}
    for low, high in sorted({ends for each in groups for ends in each}):
        labels[low, high] = both(
            *((f"{low}–{high}초", f"{low}–{high} s") if high < float("inf") else (f"{low}초 이상", f"{low} s or more"))
        )
    head = _group_head(sides, both("발화 길이", "Length"))
    return table(head, _groups(sides, groups, labels), both("길이별 CER", "CER by length"))


def speakers_section(sides: Sequence[Side]) -> str:
    groups = [side.breakdown.by_speaker for side in sides]
    labels = {name: escaped(name) for each in groups for name in each}
    if not labels:
        return ""
    rows = _groups(sides, groups, labels)
    head, caption = _group_head(sides, both("화자", "Speaker")), both("화자별 CER", "CER by speaker")
    content = table(head, rows[:OPEN], caption)
    if len(rows) > OPEN:
        more = both(f"나머지 {len(rows) - OPEN:,}명", f"{len(rows) - OPEN:,} more")
        content += f"<details><summary>{more}</summary>{table(head, rows[OPEN:], caption)}</details>"
    note = both("CER가 높은 화자부터 보여 줍니다.", "Highest CER first.")
    return f'<p class="note">{note}</p>{content}'


def syllables_section(sides: Sequence[Side]) -> str:
    parts = []
    for index, side in enumerate(sides):
        found = side.breakdown.confusions[:CONFUSED]
        top = max((times for _, _, times, _ in found), default=0)
        rows = [
            [
                f'<td class="letter" lang="ko">{escaped(one)}</td>'
                f'<td class="letter" lang="ko">{escaped(other)}</td><td class="rate">{times:,}</td>'
                f'<td class="chart">{charts.bar(times, None, top, "ab"[index])}</td>'
                f'<td class="range">{percent(times / spoken)}</td>'
            ]
            for one, other, times, spoken in found
        ]
        head = [both("실제 글자", "Spoken"), both("인식한 글자", "Recognised"), both("횟수", "Count"), ""]
        head.append(both("실제 글자 중 비율", "Share of spoken"))
        title = f"<h3>{side_tag(sides, index)} {escaped(side.name)}</h3>" if len(sides) > 1 else ""
        caption = both("가장 자주 바뀐 글자", "The most frequent substitutions")
        parts.append(f"<div>{title}{table(head, rows, caption)}</div>" if rows else "")
    return f'<div class="pair">{"".join(parts)}</div>' if any(parts) else ""


def jamo_section(sides: Sequence[Side]) -> str:
    maps = []
    for position, letters in POSITIONS.items():
        for index, side in enumerate(sides):
            pairs = side.breakdown.jamo[position]
            wrong = [(times, one, other) for (one, other), times in pairs.items() if one != other]
            wrong.sort(key=lambda row: (-row[0], row[1:]))
            most = ", ".join(f"{a or charts.GAP}→{b or charts.GAP} {times:,}" for times, a, b in wrong[:NAMED])
            total = sum(pairs.values())
            heat_map = charts.heat_map(pairs, letters, " / ".join(METRICS[position]))
            share = percent(sum(times for times, _, _ in wrong) / max(total, 1))
            maps.append(
                f"<figure><figcaption>{side_tag(sides, index)} {both(*METRICS[position])}</figcaption>"
                f"{heat_map}<p>{both('가장 흔한 오류', 'Most frequent')}: {most or charts.GAP} "
                f"({both(f'전체 {share}', f'{share} in all')})</p></figure>"
            )
    note = both(
        "행은 실제 자모, 열은 인식한 자모입니다. 색이 진할수록 그 행에서 차지하는 비율이 큽니다(제곱근 눈금). ∅은 받침 "
        "없음, –는 음절이 통째로 빠지거나(열) 더해진 것(행)입니다. 칸에 마우스를 올리면 횟수가 나옵니다.",
        "Rows are spoken letters, columns recognised letters. A darker cell is a larger share of its row (square-root "
        "scale). ∅ is a missing final; – is a deleted (column) or inserted (row) syllable. Point at a cell to see its "
        "count.",
    )
    key = (
        f'<ul class="key"><li><span class="swatch" style="background:var(--hit)"></span>{both("맞음", "Right")}</li>'
        f'<li><span class="swatch" style="background:var(--miss)"></span>{both("틀림", "Wrong")}</li></ul>'
    )
    kind = "maps" if len(sides) == 1 else "pair"
    return f'<p class="note">{note}</p><div class="{kind}">{"".join(maps)}</div>{key}'
