"""Charts as SVG and HTML text; colours come from the style sheet of the page.

Every value that a chart shows by colour or length is also readable: in a tooltip, beside it, or on an axis.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

GAP = "–"
"""The mark of a gap: a deleted or an inserted letter."""


@dataclass(frozen=True)
class Series:
    """Points (x, y) joined by a line in the colour of the class `side`."""

    side: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def bar(rate: float, ci95: tuple[float, float] | None, top: float, side: str) -> str:
    """Return a horizontal bar for a rate, as a share of `top`, with a line over its interval."""
    share = [100 * min(1.0, value / top) if top else 0.0 for value in (rate, *(ci95 or (0, 0)))]
    whisker = f'<b style="left:{share[1]:.1f}%;width:{share[2] - share[1]:.1f}%"></b>' if ci95 else ""
    return f'<span class="bar {side}" aria-hidden="true"><i style="width:{share[0]:.1f}%"></i>{whisker}</span>'


def heat_map(pairs: Counter[tuple[str, str]], letters: Sequence[str], label: str) -> str:
    """Return a map of confusions with a row per spoken letter and a column per recognised letter.

    A darker cell is a larger share of its row, on a square-root scale, so that rare errors are visible too. Only
    letters that occur have a row or a column; "" is the gap.
    """
    seen = {letter for pair in pairs for letter in pair}
    order = [letter for letter in letters if letter in seen]
    order += [""] if "" in seen else []
    said = {row: sum(pairs[row, column] for column in order) for row in order}
    step, edge = 15, 20
    size = edge + step * len(order) + 1
    parts = []
    for index, letter in enumerate(order):
        middle = edge + step * (index + 0.5)
        name = letter or GAP
        parts.append(
            f'<text x="{middle}" y="{edge - 6}">{name}</text><text x="{edge - 9}" y="{middle + 4}">{name}</text>'
        )
    parts.append(f'<rect class="frame" x="{edge}" y="{edge}" width="{size - edge - 1}" height="{size - edge - 1}"/>')
    for row, one in enumerate(order):
        for column, other in enumerate(order):
            times = pairs[one, other]
            if times:
                share = times / said[one]
                kind = "hit" if one == other else "miss"
                parts.append(
                    f'<rect class="{kind}" x="{edge + step * column}" y="{edge + step * row}" width="{step}" '
                    f'height="{step}" fill-opacity="{math.sqrt(share):.2f}"><title>{one or GAP} → {other or GAP}: '
                    f"{times:,} ({share:.1%})</title></rect>"
                )
    box = f'viewBox="0 0 {size} {size}" role="img" aria-label="{escape(label)}"'
    return f'<svg class="heat" {box}>{"".join(parts)}</svg>'


def curves(series: Sequence[Series], label: str, *, logarithmic: bool = False, mark: float | None = None) -> str:
    """Return lines over the training steps, with a dotted line at step `mark`, or "" without points."""
    usable = [[(x, y) for x, y in each.points if math.isfinite(y) and (y > 0 or not logarithmic)] for each in series]
    flat = [point for points in usable for point in points]
    if not flat:
        return ""
    ticks = _log_ticks([y for _, y in flat]) if logarithmic else _ticks(0, max(y for _, y in flat))
    right = max(x for x, _ in flat) or 1
    width, height, left, bottom, top = 480, 250, 44, 28, 10

    def across(x: float) -> float:
        return left + (width - left - 14) * x / right

    def up(y: float) -> float:
        low, high = (math.log(end) if logarithmic else end for end in (ticks[0], ticks[-1]))
        part = ((math.log(y) if logarithmic else y) - low) / (high - low or 1)
        return height - bottom - (height - bottom - top) * part

    parts = []
    for y in ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 14}" y1="{up(y):.1f}" y2="{up(y):.1f}"/>')
        parts.append(f'<text class="end" x="{left - 6}" y="{up(y) + 4:.1f}">{y:g}</text>')
    steps = [x for x in _ticks(0, right) if x <= right]
    parts += [f'<text x="{across(x):.1f}" y="{height - bottom + 18}">{x:,.0f}</text>' for x in steps]
    if mark is not None:
        parts.append(
            f'<line class="mark" x1="{across(mark):.1f}" x2="{across(mark):.1f}" y1="{top}" y2="{height - bottom}"/>'
        )
    for each, points in zip(series, usable, strict=True):
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        kind = f"line {each.side}{' dashed' if each.dashed else ''}"
        parts.append(f'<polyline class="{kind}" points="{line}"/>')
        if not each.dashed:
            parts += [f'<circle class="{each.side}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.5"/>' for x, y in points]
    box = f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}"'
    return f'<svg class="curve" {box}>{"".join(parts)}</svg>'


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers from `low` to `high` or just above."""
    rough = (high - low) / 4 or 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * (1 - 1e-9))
    count = math.ceil((high - low) / step - 1e-9) or 1
    return [round(low + step * index, 12) for index in range(count + 1)]


def _log_ticks(values: Sequence[float]) -> list[float]:
    """Return 1, 2 and 5 times powers of ten, from below the smallest value to above the largest."""
    decades = range(math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 2)
    every = [float(f"{factor}e{decade}") for decade in decades for factor in (1, 2, 5)]
    first = max(index for index, tick in enumerate(every) if tick <= min(values))
    last = min(index for index, tick in enumerate(every) if tick >= max(values) and index > first)
    return every[first : last + 1]
