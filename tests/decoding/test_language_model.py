"""Texts in a beam search: brute force over all paths with KenLM's own score of the whole text, and hot words."""

import math
import unicodedata
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.decoding import beam, ctc, kneser_ney, scoring
from distilhubert_ko.decoding import language_model as lm
from distilhubert_ko.decoding.hotwords import HotWords
from distilhubert_ko.decoding.pruning import BeamOptions
from distilhubert_ko.errors import InputError
from distilhubert_ko.text.tokenizer import Tokenizer

kenlm = pytest.importorskip("kenlm", reason="KenLM, of the extra lm, is not installed")

TEXTS = ["가 각", "각 가가", "나 간다", "가나 다", "간 나가", "가 나", "날 가", "낙 날"]
NONE = HotWords([], 0.0)
EXACT = BeamOptions(width=100_000, score_gap=math.inf, token_gap=math.inf, skip_blank=1.0)


@pytest.fixture(scope="module", params=["syllables", "words"])
def arpa(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / f"{request.param}.arpa"
    sentences = [
        text.split() if request.param == "words" else [lm.BOUNDARY if c == " " else c for c in text] for text in TEXTS
    ]
    path.write_text("".join(kneser_ney.arpa_lines(kneser_ney.train_ngrams(sentences, 3))), encoding="utf-8")
    return path


def vocabulary(units: str, letters: str) -> Tokenizer:
    return Tokenizer(units, ("[PAD]", "|", *letters, "[UNK]"))  # type: ignore[arg-type]


def worth(arpa: Path, weights: lm.LmWeights, text: str) -> float:
    """What KenLM gives a whole text at once."""
    units = text.split() if arpa.stem == "words" else [lm.BOUNDARY if c == " " else c for c in text]
    model = kenlm.Model(str(arpa))
    total = model.score(" ".join(units)) + weights.unk_score_offset * sum(unit not in model for unit in units)
    return weights.alpha * math.log(10) * total + weights.beta * len(units)


@pytest.mark.parametrize(
    ("units", "letters", "frames"),
    [("syllables", "가나각", 5), ("jamo", "\u1100\u1102\u1161\u11a8", 5), ("jamo", "ㄱㄴㅏ", 6)],
)
def test_a_wide_beam_gives_the_text_that_a_search_of_all_paths_gives(
    arpa: Path, units: str, letters: str, frames: int
) -> None:
    tokenizer, weights = vocabulary(units, letters), lm.LmWeights(0.7, 0.9, -1.0)
    outputs = len(tokenizer) - 1  # none for the unknown unit
    scorer = scoring.text_scorer(tokenizer, lm.LanguageModel(arpa), weights, NONE)
    known: dict[str, float] = {}
    for seed in range(2):
        logits = np.random.default_rng(seed).normal(scale=2, size=(frames, outputs))
        log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        best: dict[tuple[int, ...], float] = {}
        for path in product(range(outputs), repeat=frames):
            labels = tuple(label for label, _ in groupby(path) if label)
            best[labels] = max(best.get(labels, -math.inf), float(log_probs[np.arange(frames), path].sum()))
        scores = {}
        for labels, acoustic in best.items():
            text = tokenizer.decode(labels)
            if text not in known:
                known[text] = worth(arpa, weights, text)
            scores[labels] = acoustic + known[text]
        (found,) = beam.search_beam(log_probs, EXACT, scorer)
        assert found.score == pytest.approx(max(scores.values()), abs=1e-3)
        assert scores[tuple(token.id for token in found.tokens)] == pytest.approx(found.score, abs=1e-3)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 6), max_size=9), st.sampled_from(["\u1100\u1102\u1161\u11a8\u11af", "ㄱㄴㅏㅗㄸ"]))
def test_any_labels_are_worth_what_their_text_is(arpa: Path, labels: list[int], letters: str) -> None:
    tokenizer, weights = vocabulary("jamo", letters), lm.LmWeights(0.5, 1.5)
    scorer = scoring.text_scorer(tokenizer, lm.LanguageModel(arpa), weights, NONE)
    assert scorer is not None
    state = scorer.start
    for label in labels:
        before, state = state.score, scorer.step(state, label)
        assert arpa.stem == "words" or "ㄱ" in letters or state.score <= before + scorer.gain + 1e-9
    assert scorer.end(state) == pytest.approx(worth(arpa, weights, tokenizer.decode(labels)), abs=1e-3)


@pytest.mark.parametrize("units", ["syllables", "jamo"])
def test_a_model_mends_what_the_network_does_not_decide(arpa: Path, units: str) -> None:
    tokenizer = Tokenizer.from_texts(TEXTS, units)  # type: ignore[arg-type]
    right = tokenizer.encode("가 각")
    wrong = tokenizer.encode("가 날")
    frames = []
    for good, bad in zip(right, wrong, strict=False):
        frame = np.full(len(tokenizer), 1e-4)
        frame[good] += 0.48
        frame[bad] += 0.5
        frames += [frame, np.eye(len(tokenizer))[0] + 1e-4]
    for good in right[len(wrong) :]:
        frames.append(np.eye(len(tokenizer))[good] + 1e-4)
    log_probs = np.log(np.array(frames) / np.sum(frames, axis=1, keepdims=True))
    assert tokenizer.decode(token.id for token in ctc.greedy(log_probs)) == "가 날"
    scorer = scoring.text_scorer(tokenizer, lm.LanguageModel(arpa), lm.LmWeights(1.0, 0.5), NONE)
    (found,) = beam.search_beam(log_probs, scorer=scorer)
    assert tokenizer.decode(token.id for token in found.tokens) == "가 각"


# Hot words


@given(st.text("가나", min_size=1, max_size=4), st.text("가나다 ", max_size=12))
def test_a_hot_word_is_paid_as_often_as_it_occurs(word: str, text: str) -> None:
    hotwords = HotWords([word], 2.0)
    match, total = hotwords.start, 0.0
    for character in text:
        gain, match = hotwords.step(match, character)
        assert gain <= 2 * hotwords.weight * len(word)
        total += gain
    occurrences = sum(text.startswith(word, start) for start in range(len(text)))
    assert total + hotwords.end(match) == pytest.approx(2.0 * len(word) * occurrences)


def test_a_hot_word_within_the_beginning_of_another_is_paid_too() -> None:
    hotwords = HotWords(["가나다라", "나다"], 1.0)
    for text, worth in (("가나다", 2), ("가나다마", 2), ("나다", 2), ("가나다라", 4), ("가나", 0)):
        match, total = hotwords.start, 0.0
        for character in text:
            gain, match = hotwords.step(match, character)
            total += gain
        assert (text, total + hotwords.end(match)) == (text, worth)


@pytest.mark.parametrize("units", ["syllables", "jamo"])
@pytest.mark.parametrize("word", ["가냐", "가냐 도"])
def test_hot_words_raise_the_words_named_and_no_others(units: str, word: str) -> None:
    tokenizer = Tokenizer.from_texts(["가냐 도", "가녀 도"], units)  # type: ignore[arg-type]
    good, bad = tokenizer.encode("가냐 도"), tokenizer.encode("가녀 도")
    frames = []
    for one, other in zip(good, bad, strict=True):
        frame = np.full(len(tokenizer), 1e-4)
        frame[one] += 0.2
        frame[other] += 0.8
        frames += [frame, np.eye(len(tokenizer))[0] + 1e-4]
    log_probs = np.log(np.array(frames) / np.sum(frames, axis=1, keepdims=True))

    def heard(words: list[str]) -> str:
        scorer = scoring.text_scorer(tokenizer, None, lm.LmWeights(), HotWords(words, 2.0))
        return tokenizer.decode(token.id for token in beam.search_beam(log_probs, scorer=scorer)[0].tokens)

    assert heard([]) == heard(["나"]) == heard(["노래"]) == "가녀 도"
    assert heard([word]) == heard(["나", word]) == "가냐 도"


@pytest.mark.parametrize("word", ["", "...", "ㅋㅋ", "東"])
def test_a_hot_word_that_nobody_can_say_is_refused(word: str) -> None:
    with pytest.raises(InputError, match="Hangul"):
        HotWords([word], 1.0)


def test_hot_words_are_read_as_transcripts_are() -> None:
    assert HotWords(["KBS"], 1.0).characters == set("케이비에스")


# Files


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        lm.LanguageModel(tmp_path / "none.arpa")
    (tmp_path / "wrong.arpa").write_text("not a model", encoding="utf-8")
    with pytest.raises(InputError, match="KenLM cannot read"):
        lm.LanguageModel(tmp_path / "wrong.arpa")


def test_a_model_over_words_that_is_not_utf_8_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = kneser_ney.write_arpa(kneser_ney.train_ngrams([["나무", "바다"]], 2), tmp_path / "words.arpa")
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp949"))
    with pytest.raises(InputError, match="iconv -f CP949"):
        lm.LanguageModel(path)


def test_the_kind_of_a_model_is_told_by_its_vocabulary(arpa: Path) -> None:
    assert lm.LanguageModel(arpa).of_words == (arpa.stem == "words")


@pytest.mark.parametrize("words", [False, True])
def test_a_language_model_of_decomposed_text_is_refused_since_it_knows_nothing_that_is_written(
    words: bool, tmp_path: Path
) -> None:
    texts = [unicodedata.normalize("NFD", text) for text in TEXTS]
    units = [text.split() if words else [lm.BOUNDARY if c == " " else c for c in text] for text in texts]
    path = kneser_ney.write_arpa(kneser_ney.train_ngrams(units, 2), tmp_path / "nfd.arpa")
    with pytest.raises(InputError, match=r"knows none of the syllables .*convert it to NFC"):
        lm.LanguageModel(path)


def test_a_word_of_any_length_costs_no_more_than_its_first_beginnings(tmp_path: Path) -> None:
    path = kneser_ney.write_arpa(kneser_ney.train_ngrams([["가" * 40_000], ["나무"]], 2), tmp_path / "long.arpa")
    found = lm.LanguageModel(path).begins
    assert found is not None
    assert {"나", "나무", "가" * lm.LONGEST_WORD} <= found
    assert max(map(len, found)) == lm.LONGEST_WORD
