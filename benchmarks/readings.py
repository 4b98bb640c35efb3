"""Numbers as they are written against numbers as Koreans said them: python -m benchmarks.readings.

The pairs are those of ../shared/text/number-readings.tsv and ../shared/cases/readings.tsv, and of any manifest given
that has "written" beside "text". A pair is right by default if `normalise(..., spell=True)` gives what was said, and
right if any of `readings` does. Spaces are not compared: corpora space numbers in many ways.
"""

import argparse
import json
import re
import sys
from itertools import product
from pathlib import Path

from distilhubert_ko.text.normalise import normalise, readings
from distilhubert_ko.text.spelling import Piece

SHARED = Path(__file__).parents[2] / "shared"
PAIRS, CASES = SHARED / "text" / "number-readings.tsv", SHARED / "cases" / "readings.tsv"


def squeezed(text: str) -> str:
    """Return a normalised text without its spaces."""
    return normalise(text).replace(" ", "")


def matches(pieces: list[Piece], said: str, default: bool) -> bool:
    """Tell whether the pieces are read as `said`, in their first readings alone if `default` says so."""
    pattern = "".join(f"(?:{'|'.join(map(re.escape, _choices(piece, default)))})" for piece in pieces)
    return re.fullmatch(pattern, squeezed(said)) is not None


def _choices(piece: Piece, default: bool) -> list[str]:
    return [reading.replace(" ", "") for reading in piece.readings[: 1 if default else None]]


def in_its_sentence(written: str, said: str, sentence: str, default: bool) -> bool:
    """Tell whether `written` is read as `said` at one of its places in `sentence`.

    A piece that is more than the number (2~3시간 around 2) has to hold what was said.
    """
    pieces = readings(sentence)
    text = "".join(piece.written for piece in pieces)
    places = list(re.finditer(rf"(?<![0-9]){re.escape(written)}", text))
    for place in places:
        choices, position = [], 0
        for piece in pieces:
            inside = slice(max(0, place.start() - position), place.end() - position)
            if position < place.end() and place.start() < position + len(piece.written):
                choices.append(_choices(piece, default) if piece.is_read else [squeezed(piece.written[inside])])
            position += len(piece.written)
        if any(squeezed(said) in "".join(combination) for combination in product(*choices)):
            return True
    return not places and matches(readings(written), said, default)


def rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()[1:]]


def manifest_pairs(path: Path) -> list[tuple[str, str]]:
    """Return what a manifest has as "written" and "text", where the two differ."""
    records = map(json.loads, path.read_text("utf-8").splitlines())
    pairs = {(record["written"], record["text"]): None for record in records if record.get("written")}
    return [pair for pair in pairs if re.search("[0-9A-Za-z]", pair[0])]


def report(name: str, right: list[tuple[bool, ...]]) -> None:
    default, with_any = (sum(pair[which] for pair in right) / len(right) for which in (0, 1))
    print(f"{name}: {len(right)} pairs, by default {default:.1%}, with any reading {with_any:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifests", nargs="*", type=Path, help="manifests with written and text")
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--wrong", action="store_true", help="list the pairs that no reading matches")
    options = parser.parse_args()
    if not options.pairs.exists():
        print(f"skipped: {options.pairs} is not here", file=sys.stderr)
        return
    wrong: list[tuple[str, str]] = []
    right, whole = [], []
    for written, said, sentence, spoken in rows(options.pairs):
        right.append(tuple(in_its_sentence(written, said, sentence, default) for default in (True, False)))
        whole.append(tuple(matches(readings(sentence), spoken, default) for default in (True, False)))
        if not right[-1][1]:
            wrong.append((f"{written} in {sentence}", said))
    report("numbers in their sentences", right)
    report("whole sentences, English words included", whole)
    sources = {str(path): manifest_pairs(path) for path in options.manifests}
    if options.cases.exists():
        sources[options.cases.name] = [(written, said) for written, said in rows(options.cases)]
    for name, pairs in sources.items():
        found = [
            tuple(matches(readings(written), said, default) for default in (True, False)) for written, said in pairs
        ]
        report(name, found)
        wrong += [pair for pair, is_right in zip(pairs, found, strict=True) if not is_right[1]]
    if options.wrong:
        print(*(f"{written}\n    said {said}" for written, said in wrong), sep="\n")


if __name__ == "__main__":
    main()
