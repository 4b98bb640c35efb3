"""Praat's TextGrid, read back by the rules of Praat's manual."""

import re
from itertools import pairwise

import pytest

from distilhubert_ko.recognition import textgrid
from distilhubert_ko.recognition.transcript import Syllable, Transcript, Word


def parsed(text: str) -> dict[str, list[tuple[float, float, str]]]:
    """Tier -> (start, end, text). Praat reads numbers and quoted strings in order, and skips everything else."""
    found = re.findall(r'(?<=[ =])-?[0-9.]+(?:e-?[0-9]+)?(?=\n)|"(?:[^"]|"")*"|<exists>', text)
    values = iter(each[1:-1].replace('""', '"') if each[0] == '"' else each for each in found)
    assert (next(values), next(values)) == ("ooTextFile", "TextGrid")
    seconds = float(next(values)), float(next(values))
    assert next(values) == "<exists>"
    tiers = {}
    for _ in range(int(next(values))):
        assert next(values) == "IntervalTier"
        name = next(values)
        assert (float(next(values)), float(next(values))) == seconds
        tiers[name] = [(float(next(values)), float(next(values)), next(values)) for _ in range(int(next(values)))]
    assert next(values, None) is None
    return tiers


def word(text: str, *edges: float) -> Word:
    """A word with a syllable from each edge to the next."""
    syllables = [Syllable(each, *span, 0.5) for each, span in zip(text, pairwise(edges), strict=True)]
    return Word(text, edges[0], edges[-1], 0.5, tuple(syllables))


def test_it_is_laid_out_as_praat_writes_it() -> None:
    assert textgrid.write(Transcript((word("가", 0.5, 1.0),), 1.0)) == (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0.0\nxmax = 1.0\ntiers? <exists>\nsize = 2\n'
        "item []:\n"
        + "".join(
            f"    item [{number}]:\n"
            '        class = "IntervalTier"\n'
            f'        name = "{name}"\n'
            "        xmin = 0.0\n        xmax = 1.0\n        intervals: size = 2\n"
            '        intervals [1]:\n            xmin = 0.0\n            xmax = 0.5\n            text = ""\n'
            '        intervals [2]:\n            xmin = 0.5\n            xmax = 1.0\n            text = "가"\n'
            for number, name in ((1, "words"), (2, "syllables"))
        )
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        [word("가나", 0.0, 0.1, 0.2)],
        [word("가", 0.02 * 3, 0.02 * 7), word("나다", 0.02 * 7, 0.02 * 11, 0.5), word("라", 1.9, 2.0)],
    ],
)
def test_intervals_lie_end_to_end_over_the_recording_and_none_is_empty(words: list[Word]) -> None:
    tiers = parsed(textgrid.write(Transcript(tuple(words), 2.0)))
    assert list(tiers) == ["words", "syllables"]
    for intervals in tiers.values():
        assert (intervals[0][0], intervals[-1][1]) == (0.0, 2.0)
        assert all(left[1] == right[0] for left, right in pairwise(intervals))
        assert all(start < end for start, end, _ in intervals)
    assert [text for _, _, text in tiers["words"] if text] == [word.text for word in words]
    assert [text for _, _, text in tiers["syllables"] if text] == list("".join(word.text for word in words))


def test_quotes_are_doubled() -> None:
    text = textgrid.write(Transcript((word('"', 0.0, 1.0),), 1.0))
    assert 'text = """"\n' in text
    assert parsed(text)["words"] == [(0.0, 1.0, '"')]
