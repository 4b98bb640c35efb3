"""Spoken numbers as digits, measured three ways: python -m benchmarks.digits.

- Back and forth: written numbers of each kind are spelled and turned into digits again.
- Wrong changes: --changes lists every change in lines without digits, for a person to judge. No number in such lines
  was surely written by its annotator.
- Brought back: the numbers that people said in ../shared/text/number-readings.tsv. One counts if its place has digits
  that are read as what was said.
"""

import argparse
import re
import sys
from pathlib import Path

from benchmarks.readings import PAIRS, SHARED, matches, rows
from distilhubert_ko.text.normalise import normalise, readings
from distilhubert_ko.text.numbers import find_numbers, to_digits

WRITTEN = {
    "money": "5,300원 10만원 3만5,000원 1억2,000만원 1,000원 100달러",
    "dates": "2018년 12월 6월 10월 12월25일 25일 3년 10년 80년대 3개월",
    "times": "3시 12시 3시30분 15분 30초 2시간 24시간",
    "things": "3명 20명 35명 120명 1,234명 5만명 1개 15개 32개 50개 3마리 2권 3번째 7번",
    "ages": "3살 20살 52살 30세 20대",
    "measures": "20% 3.5% 0.5% 5km 70kg 100m 36.5도 영하 5도 -5도",
    "labels": "5층 3호선 4학년 21세기 3번 제3회 2등급 1위",
    "ranges": "3~5% 20~30대 3~4명 2~3시간 3~4년 20~30명",
    "fractions and scores": "1/3 3/4 3대 1",
    "figures": "010-1234-5678 1588-1234 119에 6·25",
}


def back_and_forth() -> None:
    for kind, numbers in WRITTEN.items():
        items = re.findall(r"영하 \S+|3대 1|\S+", numbers)
        lost = [
            item for item in items if to_digits(normalise(item, spell=True)).replace(" ", "") != item.replace(" ", "")
        ]
        print(
            f"back and forth, {kind}: {len(items) - len(lost)} of {len(items)}"
            + (f", not {', '.join(lost)}" * bool(lost))
        )


def is_brought_back(said: str, sentence: str) -> bool:
    """Tell whether the number `said` in a spoken sentence gets digits that are read as it was said."""
    text, said = normalise(sentence), normalise(said)
    edits = list(find_numbers(text))
    for place in re.finditer(rf"(?<!\S){re.escape(said)}", text):
        touched = [edit for edit in edits if edit.start < place.end() and place.start() < edit.end]
        if touched:
            start, end = min(place.start(), touched[0].start), max(place.end(), touched[-1].end)
            written, done = "", start
            for edit in touched:
                written, done = written + text[done : edit.start] + edit.written, edit.end
            if matches(readings(written + text[done:end]), text[start:end], default=False):
                return True
    return False


def spoken_lines(path: Path) -> list[str]:
    """Return the normalised lines without digits of a text, or of LibriSpeech-like transcripts below a folder."""
    if path.is_dir():
        lines = [
            line.partition(" ")[2]
            for file in sorted(path.rglob("*.trans.txt"))
            for line in file.read_text("utf-8").splitlines()
        ]
    else:
        lines = path.read_text("utf-8").splitlines()
    return [line for line in map(normalise, lines) if line and not re.search("[0-9]", line)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="*", type=Path, help="spoken lines, or a folder of *.trans.txt")
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--changes", action="store_true", help="list every change")
    parser.add_argument("--wrong", action="store_true", help="list the spoken numbers that are not brought back")
    options = parser.parse_args()
    back_and_forth()
    for path in options.texts or [SHARED / "speech" / "pansori-tedxkr"]:
        if not path.exists():
            print(f"skipped: {path} is not here", file=sys.stderr)
            continue
        lines = spoken_lines(path)
        changed = [(line, list(find_numbers(line))) for line in lines]
        print(f"{path.name}: {sum(bool(edits) for _, edits in changed)} of {len(lines)} lines change")
        for line, edits in changed if options.changes else ():
            for edit in edits:
                before, after = line[max(0, edit.start - 15) : edit.start], line[edit.end : edit.end + 15]
                print(f"{before}[{line[edit.start : edit.end]} -> {edit.written}]{after}")
    if not options.pairs.exists():
        print(f"skipped: {options.pairs} is not here", file=sys.stderr)
        return
    pairs = rows(options.pairs)
    lost = [(written, said, sentence) for written, said, _, sentence in pairs if not is_brought_back(said, sentence)]
    print(f"brought back: {1 - len(lost) / len(pairs):.1%} of {len(pairs)}")
    for written, said, sentence in lost if options.wrong else ():
        print(f"{written}\t{said}\t{sentence}")


if __name__ == "__main__":
    main()
