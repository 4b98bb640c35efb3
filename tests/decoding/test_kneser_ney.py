"""N-gram models: they are distributions, KenLM reads what is written, and small ones equal the formulas by hand."""

import math
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilhubert_ko.decoding import kneser_ney
from distilhubert_ko.errors import InputError

kenlm = pytest.importorskip("kenlm", reason="KenLM, of the extra lm, is not installed")

SENTENCES = st.lists(st.lists(st.sampled_from("가나다라마"), max_size=8), min_size=1, max_size=30).filter(any)


def sample(seed: int, sentences: int = 300) -> list[list[str]]:
    """Sentences in which what follows depends on what was before, so that all orders have something to learn."""
    rng = random.Random(seed)
    result = []
    for _ in range(sentences):
        sentence = ["가"]
        while len(sentence) < 12 and rng.random() < 0.9:
            sentence.append(rng.choice("가나다라마바"[: 2 + ord(sentence[-1]) % 5]))
        result.append(sentence)
    return result


def read_arpa(text: str) -> dict[tuple[str, ...], tuple[float, float]]:
    """n-gram -> log10 probability and backoff, as the file format's description has it."""
    table = {}
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) > 1:
            table[tuple(fields[1].split(" "))] = (float(fields[0]), float(fields[2]) if len(fields) > 2 else 0.0)
    return table


def log10(table: dict[tuple[str, ...], tuple[float, float]], history: tuple[str, ...], unit: str) -> float:
    """Katz's recursion over an ARPA file."""
    if (*history, unit) in table:
        return table[(*history, unit)][0]
    if not history:
        return table[("<unk>",)][0]
    return table.get(history, (0.0, 0.0))[1] + log10(table, history[1:], unit)


@settings(max_examples=40)
@given(SENTENCES, st.integers(1, 4), st.sampled_from([(), (0, 1), (0, 0, 2)]))
def test_after_any_history_the_probabilities_of_all_units_sum_to_one(
    sentences: list[list[str]], order: int, cutoffs: tuple[int, ...]
) -> None:
    model = kneser_ney.train_ngrams(sentences, order, cutoffs)
    table = read_arpa("".join(kneser_ney.arpa_lines(model)))
    units = [unit for unit in model.units if unit != kneser_ney.BEGIN]
    for sentence in sentences[:5]:
        text = (kneser_ney.BEGIN, *sentence)
        for end in range(1, len(text) + 1):
            history = text[max(0, end - order + 1) : end] if order > 1 else ()
            assert sum(10 ** log10(table, history, unit) for unit in units) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("cutoffs", [(), (0, 0, 1)])
def test_kenlm_gives_what_the_file_says(tmp_path: Path, cutoffs: tuple[int, ...]) -> None:
    sentences = sample(1)
    text = "".join(kneser_ney.arpa_lines(kneser_ney.train_ngrams(sentences, 4, cutoffs)))
    path = tmp_path / "lm.arpa"
    path.write_text(text, encoding="utf-8")
    model, table = kenlm.Model(str(path)), read_arpa(text)
    assert model.order == 4
    for sentence in [*sample(2, 20), [], ["하"], ["가", "하", "나"]]:
        chain = (
            kneser_ney.BEGIN,
            *[unit if (unit,) in table else kneser_ney.UNKNOWN for unit in sentence],
            kneser_ney.END,
        )
        expected = sum(log10(table, chain[max(0, end - 3) : end], chain[end]) for end in range(1, len(chain)))
        assert model.score(" ".join(sentence)) == pytest.approx(expected, abs=1e-3)


def discounts(counts: Counter[tuple[str, ...]]) -> list[float]:
    """Chen and Goodman's equations 26."""
    seen = Counter(counts.values())
    if not all(seen[n] for n in (1, 2, 3, 4)):
        return list(kneser_ney.FALLBACK)
    share = seen[1] / (seen[1] + 2 * seen[2])
    return [n - (n + 1) * share * seen[n + 1] / seen[n] for n in (1, 2, 3)]


def test_a_bigram_model_equals_chen_and_goodmans_formulas() -> None:
    rng = random.Random(3)
    sentences = [rng.choices("가나다라마바사아자차카타파하", weights=range(14, 0, -1), k=5) for _ in range(50)]
    bigrams = Counter(
        pair for s in sentences for pair in zip([kneser_ney.BEGIN, *s], [*s, kneser_ney.END], strict=True)
    )
    followed = Counter((unit,) for _, unit in bigrams)  # how many units each follows
    once = discounts(bigrams)
    assert once != list(kneser_ney.FALLBACK), "the sample must do to estimate discounts"
    model = kneser_ney.train_ngrams(sentences, 2)
    table = read_arpa("".join(kneser_ney.arpa_lines(model)))
    of_one = discounts(followed)
    left = sum(of_one[min(c, 3) - 1] for c in followed.values()) / followed.total()
    uniform = left / (len(model.units) - 1)
    assert 10 ** table[(kneser_ney.UNKNOWN,)][0] == pytest.approx(uniform, rel=1e-4)
    for (unit,), count in followed.items():
        expected = (count - of_one[min(count, 3) - 1]) / followed.total() + uniform
        assert 10 ** table[(unit,)][0] == pytest.approx(expected, rel=1e-4)
    for (history, unit), count in bigrams.items():
        of_history = {u: c for (h, u), c in bigrams.items() if h == history}
        total = sum(of_history.values())
        left = sum(once[min(c, 3) - 1] for c in of_history.values()) / total
        expected = (count - once[min(count, 3) - 1]) / total + left * 10 ** table[(unit,)][0]
        assert 10 ** table[(history, unit)][0] == pytest.approx(expected, rel=1e-4)
        assert 10 ** table[(history,)][1] == pytest.approx(left, rel=1e-4)


def test_a_longer_model_predicts_its_own_kind_better_and_cutoffs_cost_little(tmp_path: Path) -> None:
    train, test = sample(4, 2000), sample(5, 200)

    def perplexity(order: int, cutoffs: tuple[int, ...] = ()) -> float:
        table = read_arpa("".join(kneser_ney.arpa_lines(kneser_ney.train_ngrams(train, order, cutoffs))))
        chains = [(kneser_ney.BEGIN, *sentence, kneser_ney.END) for sentence in test]
        scores = [
            log10(table, chain[max(0, end - order + 1) : end] if order > 1 else (), chain[end])
            for chain in chains
            for end in range(1, len(chain))
        ]
        return 10 ** (-sum(scores) / len(scores))

    assert perplexity(2) < 0.9 * perplexity(1)
    assert perplexity(3, (0, 0, 1)) < 1.02 * perplexity(3)


def test_what_is_cut_is_not_in_the_file() -> None:
    sentences = [["가", "나"]] * 2 + [["가", "다"]]
    kept = read_arpa("".join(kneser_ney.arpa_lines(kneser_ney.train_ngrams(sentences, 2, (0, 1)))))
    assert ("가", "나") in kept
    assert ("가", "다") not in kept
    assert ("다",) in kept
    lines = kneser_ney.arpa_lines(kneser_ney.train_ngrams(sentences, 2, (0, 1)))
    assert "ngram 2=3\n" in "".join(lines)  # with <s> 가 and 나 </s>


def test_sentences_shorter_than_the_order_leave_its_levels_empty() -> None:
    model = kneser_ney.train_ngrams([["가"]], 5)
    assert model.sizes() == [4, 2, 1, 0, 0]
    assert math.isfinite(read_arpa("".join(kneser_ney.arpa_lines(model)))[("가",)][0])


@pytest.mark.parametrize(
    ("order", "cutoffs", "message"),
    [(0, (), "order 0"), (3, (1,), "cutoffs"), (3, (0, 2, 1), "cutoffs"), (2, (), "no sentence")],
)
def test_what_makes_no_model_is_refused(order: int, cutoffs: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kneser_ney.train_ngrams([], order, cutoffs)
