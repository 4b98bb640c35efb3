"""N-gram language models of Korean: the text they are trained on, their files, and their weights in decoding.

A model is an ARPA or a binary file that KenLM reads. It is over words, or over syllables if its vocabulary has
BOUNDARY, which stands for the space.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat, takewhile
from pathlib import Path
from typing import Any

from distilhubert_ko.errors import InputError, MissingExtraError
from distilhubert_ko.files.reading import read_text
from distilhubert_ko.text.hangul import compose
from distilhubert_ko.text.normalise import foreign_characters, normalise

UNIGRAMS = "unigrams.txt"  # pyctcdecode's list of the words of the model beside it
BOUNDARY = "|"  # what stands for the space in a model over syllables
ORDER = {False: 6, True: 3}  # of a model over syllables, and of one over words (True)
CUTOFFS = {False: (0, 0, 0, 1), True: (0, 0, 1)}
LN10 = math.log(10)
LONGEST_WORD = 100  # syllables; all beginnings of one word of 40,000 would take 1.5 GB
SYLLABLES = range(ord("가"), ord("힣") + 1)


@dataclass(frozen=True)
class LmWeights:
    """The weights of a text in the score of a path: `alpha` times its log-probability, and `beta` for each unit.

    `unk_score_offset` is added to the model's log10 probability of a unit that it does not know. Names and
    meanings are those of pyctcdecode.
    """

    alpha: float = 0.9
    beta: float = 2.0
    unk_score_offset: float = 0.0


def read_sentences(paths: Iterable[Path], words: bool, left_out: Counter[str]) -> Iterator[list[str]]:
    """Yield the units of each line of text files, normalised as transcripts are. Lines left out are counted by reason.

    Raises InputError for a file that cannot be read.
    """
    for path in paths:
        for line in read_text(path).splitlines():
            sentence = normalise(line, spell=True)
            if not sentence:
                left_out["empty"] += 1
            elif foreign_characters(sentence):
                left_out["with characters that are not Hangul"] += 1
            elif words:
                yield sentence.split()
            else:
                yield [BOUNDARY if character == " " else character for character in sentence]


class LanguageModel:
    """An n-gram model in an ARPA file or in KenLM's binary format.

    Raises InputError where it cannot be read and MissingExtraError without KenLM.
    """

    def __init__(self, path: Path):
        try:
            import kenlm
        except ImportError:
            raise MissingExtraError(
                'a language model needs KenLM: pip install "distilhubert-ko[lm]", or use none with --lm none'
            ) from None
        if not path.is_file():
            raise InputError(f"{path}: no such language model; make one with `distilhubert-ko lm`")
        config = kenlm.Config()
        config.show_progress, config.arpa_complain = False, kenlm.ARPALoadComplain.NONE
        try:
            self._model = kenlm.Model(str(path), config)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{path}: KenLM cannot read it ({error}); give an uncompressed ARPA file, or a binary of KenLM"
            ) from None
        self._new: Any = kenlm.State
        self.path = path
        self._unread = self._new()
        self.start = self._new()
        self._model.BeginSentenceWrite(self.start)
        self.order: int = self._model.order
        self.of_words = BOUNDARY not in self._model
        self.begins = _beginnings(path) if self.of_words else None
        units: Iterable[str] = map(chr, SYLLABLES) if not self.of_words else self.begins or ()
        if units and not any(ord(unit[0]) in SYLLABLES and unit in self for unit in units):
            raise InputError(
                f"{path} knows none of the syllables that the model writes: if its text is decomposed (NFD), convert "
                "it to NFC and train it again"
            )

    def __contains__(self, unit: str) -> bool:
        return unit in self._model

    def score(self, state: Any, unit: str) -> tuple[float, Any]:
        """Return the natural log-probability of a unit after those that led to `state`, and the state after it."""
        after = self._new()
        return self._model.BaseScore(state, unit, after) * LN10, after

    def best(self, state: Any, units: Sequence[str]) -> float:
        """Return the highest natural log-probability of some units, one or more, after those that led to `state`."""
        scores = map(self._model.BaseScore, repeat(state), units, repeat(self._unread))
        return max(scores) * LN10


def _beginnings(path: Path) -> frozenset[str] | None:
    """Return all beginnings of the words that a model knows, from pyctcdecode's UNIGRAMS beside it or its ARPA file.

    Return None for a binary file that has no such list. Raises InputError for words that are not in UTF-8.
    """
    words: Iterable[str] = ()
    if (listed := path.with_name(UNIGRAMS)).is_file():
        words = read_text(listed).split()
    elif path.suffix == ".arpa":
        try:
            with path.open(encoding="utf-8") as file:
                lines = takewhile(lambda line: not line.startswith("\\2-grams"), file)
                words = [fields[1] for line in lines if len(fields := line.rstrip("\n").split("\t")) > 1]
        except UnicodeDecodeError:
            raise InputError(f"{path} is not UTF-8: convert it, e.g. iconv -f CP949 -t UTF-8") from None
    else:
        return None
    composed = (compose(word)[:LONGEST_WORD] for word in words)
    return frozenset(word[:end] for word in composed for end in range(1, len(word) + 1))


def untuned_weights(model: LanguageModel) -> LmWeights:
    """Return weights to begin with: over syllables those that did well in the lab notes, over words pyctcdecode's."""
    return LmWeights(0.5, 1.5, -10.0) if model.of_words else LmWeights()
