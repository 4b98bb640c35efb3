"""From log-probabilities to tokens: the best path, or a beam search with a language model or hot words.

A model folder carries a language model in `language_model/`: an ARPA file or a binary of KenLM, and `attrs.json` with
the weights, as pyctcdecode and Transformers' Wav2Vec2ProcessorWithLM keep them.
"""

import copy
import json
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko import model_folder
from distilhubert_ko.decoding import ctc
from distilhubert_ko.decoding.beam import BeamSearch, Hypothesis
from distilhubert_ko.decoding.hotwords import HotWords
from distilhubert_ko.decoding.language_model import UNIGRAMS, LanguageModel, LmWeights, untuned_weights
from distilhubert_ko.decoding.live import LiveBeam, LiveDecoder, LiveGreedy
from distilhubert_ko.decoding.pruning import BeamOptions
from distilhubert_ko.decoding.scoring import text_scorer
from distilhubert_ko.errors import InputError, ModelError
from distilhubert_ko.files.outputs import check_replaceable_folder, replaced_output_folder
from distilhubert_ko.files.writing import write_json
from distilhubert_ko.text.tokenizer import Tokenizer

ATTRS = "attrs.json"
SUFFIXES = (".arpa", ".bin", ".binary", ".gz")  # the last are found to be refused: KenLM's wheel does not unpack
NO_LM = "none"
HOTWORD_WEIGHT = 2.0  # nats a syllable
GREEDY_RECORD: dict[str, Any] = {"beam": 1, "lm": None}
"""The record of greedy decoding."""


class DecodingOptions(TypedDict, total=False):
    """Options of decoding that a caller may give; see Decoder."""

    lm: str | Path | None
    beam: int | None
    hotwords: Sequence[str]
    hotword_weight: float
    n_best: int


class Decoder:
    """Decodes the log-probabilities of the model in `folder`.

    `lm` is a language model's file; None is the one that the folder carries, if any, and NO_LM is none. `beam` is the
    width, None the default. `hotwords` are raised by `hotword_weight` nats a syllable; `n_best` texts are given.

    Raises InputError for a language model that cannot be read, for a hot word that is not Korean and for a beam
    below 1, and MissingExtraError for a language model without KenLM.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        folder: Path,
        *,
        lm: str | Path | None = None,
        beam: int | None = None,
        hotwords: Sequence[str] = (),
        hotword_weight: float = HOTWORD_WEIGHT,
        n_best: int = 1,
    ):
        path = None if lm == NO_LM else carried_language_model(folder) if lm is None else Path(lm)
        self.model = LanguageModel(path) if path else None
        self.weights = read_lm_weights(self.model) if self.model else LmWeights()
        self.options = BeamOptions(n_best=n_best) if beam is None else BeamOptions(width=beam, n_best=n_best)
        self._hotwords = tuple(hotwords)
        self._tokenizer = tokenizer
        self._scorer = text_scorer(tokenizer, self.model, self.weights, HotWords(self._hotwords, hotword_weight))

    def with_hotwords(self, hotwords: Sequence[str], weight: float = HOTWORD_WEIGHT) -> "Decoder":
        """Return this decoder with other hot words. They share the language model. Raises InputError as `Decoder`."""
        other = copy.copy(self)
        other._hotwords = tuple(hotwords)
        other._scorer = text_scorer(self._tokenizer, self.model, self.weights, HotWords(hotwords, weight))
        return other

    @property
    def greedy(self) -> bool:
        """True where the best path is the answer, as for any beam without a language model and hot words."""
        return self._scorer is None and self.options.n_best == 1

    def decode(self, pieces: Iterable[NDArray[np.floating]], on_tokens: ctc.OnTokens | None = None) -> list[Hypothesis]:
        """Return hypotheses of a matrix (frames, vocabulary) that comes in pieces: one or more, the best first.

        No two have the same text. After each piece, `on_tokens` receives the tokens with which all of them begin.
        """
        if self.greedy:
            tokens = ctc.greedy_pieces(pieces, self._tokenizer.blank_id, on_tokens)
            score = sum(token.score * (token.end - token.start) for token in tokens)
            return [Hypothesis(tuple(tokens), score, score)]
        search = BeamSearch(self.options, self._scorer, self._tokenizer.blank_id)
        frames = 0
        for piece in pieces:
            search.feed(piece)
            frames += len(piece)
            if on_tokens:
                search.settle()
                on_tokens(search.settled, frames)
        return search.finish(lambda found: self._tokenizer.decode(token.id for token in found.tokens))

    def live(self) -> LiveDecoder:
        """Return a decoder of one matrix that comes block by block, and of which words become final on the way."""
        if self._scorer is None:
            return LiveGreedy(self._tokenizer.blank_id)
        search = BeamSearch(replace(self.options, n_best=1), self._scorer, self._tokenizer.blank_id)
        return LiveBeam(search, self._tokenizer.delimiter_id)

    def record(self) -> dict[str, Any]:
        """Return what a report says of decoding.

        It is GREEDY_RECORD, or the width, the language model's file, its weights and the hot words.
        """
        if self.greedy:
            return dict(GREEDY_RECORD)
        record: dict[str, Any] = {"beam": self.options.width, "lm": self.model.path.name if self.model else None}
        if self.model:
            record |= {"lm_order": self.model.order, "alpha": self.weights.alpha, "beta": self.weights.beta}
        return record | ({"hotwords": list(self._hotwords)} if self._hotwords else {})


def carried_language_model(folder: Path) -> Path | None:
    """Return the language model that a model folder carries, if any. Raises ModelError where it has several."""
    found = sorted(path for path in (folder / model_folder.LANGUAGE_MODEL).glob("*") if path.suffix in SUFFIXES)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        place = folder / model_folder.LANGUAGE_MODEL
        raise ModelError(f"{place}: several language models ({names}); keep one, or name one with --lm")
    return found[0] if found else None


def read_lm_weights(model: LanguageModel) -> LmWeights:
    """Return the weights in the attrs.json beside a language model, or untuned ones where it is missing or lacks them.

    Raises ModelError for an attrs.json that cannot be read.
    """
    path = model.path.with_name(ATTRS)
    if not path.is_file():
        return untuned_weights(model)
    try:
        attrs = json.loads(path.read_text(encoding="utf-8"))
        found = {name: float(attrs[name]) for name in asdict(LmWeights()) if name in attrs}
        if not all(map(math.isfinite, found.values())):
            raise ValueError(f"{found} are not finite")
        return replace(untuned_weights(model), **found)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{path}: its weights cannot be read ({error}); tune them again") from error


def check_installable(folder: Path, lm: Path) -> None:
    """Check that `install_language_model` could put a language model into a model folder, and that it is found there.

    Raises InputError where not, and where the folder has a language model that this program did not put there.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: --save writes into a model folder: name one")
    if lm.suffix not in SUFFIXES:
        raise InputError(f"{lm}: a language model in a model folder ends in .arpa or .bin: rename it")
    check_replaceable_folder(folder / model_folder.LANGUAGE_MODEL, filter(Path.is_file, (lm, lm.with_name(UNIGRAMS))))


def install_language_model(folder: Path, lm: Path, chosen: LmWeights) -> Path:
    """Put a language model with its weights into a model folder, in place of another one, and return its path there.

    Its list of words comes with it. Whenever the process is killed, the folder has the old one or the new one, whole.
    Raises InputError where it cannot be written, and as `check_installable` does.
    """
    check_installable(folder, lm)
    place = folder / model_folder.LANGUAGE_MODEL
    files = [lm, *filter(Path.is_file, [lm.with_name(UNIGRAMS)])]
    with replaced_output_folder(place, files) as temporary:
        for file in files:
            shutil.copyfile(file, temporary / file.name)
        write_json(temporary / ATTRS, asdict(chosen) | {"score_boundary": True})
    return place / lm.name
