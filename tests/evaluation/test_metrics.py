"""Error rates against jiwer, and against a distance computed cell by cell."""

from unicodedata import normalize

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.errors import InputError
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.evaluation.metrics import ErrorCounts, Score
from tests.support.counts import utterances, width

# Few enough characters that two texts often share some; spaces lead, trail and come in runs.
KOREAN = st.text(alphabet="가각나낙값닭의 a1", max_size=14)
PAIRS = st.tuples(KOREAN, KOREAN)
COUNTS = st.builds(ErrorCounts, *[st.integers(0, 9)] * 4)
VIEWS = ["characters", "characters_no_space", "jamo", "words"]


def distance(reference: list[str] | str, hypothesis: list[str] | str) -> int:
    """Return the Levenshtein distance, computed one cell of the table at a time."""
    row = list(range(len(hypothesis) + 1))
    for i, said in enumerate(reference, start=1):
        left = [i]
        for j, heard in enumerate(hypothesis, start=1):
            left.append(min(row[j] + 1, left[j - 1] + 1, row[j - 1] + (said != heard)))
        row = left
    return row[-1]


def unspaced(text: str) -> str:
    return text.replace(" ", "")


def jiwer_counts(output: jiwer.CharacterOutput | jiwer.WordOutput) -> ErrorCounts:
    return ErrorCounts(output.hits, output.substitutions, output.deletions, output.insertions)


@given(PAIRS)
def test_characters_are_counted_as_jiwer_counts_them(pair: tuple[str, str]):
    assert metrics.characters(*pair) == jiwer_counts(jiwer.process_characters(*pair))
    assert metrics.characters(*pair).rate == jiwer.cer(*pair)


@given(PAIRS)
def test_characters_without_spaces_are_counted_as_jiwer_counts_them(pair: tuple[str, str]):
    expected = jiwer.process_characters(*map(unspaced, pair))
    assert metrics.characters_no_space(*pair) == jiwer_counts(expected)


@given(PAIRS)
def test_jamo_are_counted_as_jiwer_counts_the_characters_of_decomposed_text(pair: tuple[str, str]):
    expected = jiwer.process_characters(*(normalize("NFD", unspaced(text)) for text in pair))
    assert metrics.jamo(*pair) == jiwer_counts(expected)


@given(PAIRS)
def test_words_are_counted_as_jiwer_counts_them(pair: tuple[str, str]):
    # jiwer takes spaces alone for one empty word.
    pair = pair[0].strip(), pair[1].strip()
    assert metrics.words(*pair) == jiwer_counts(jiwer.process_words(*pair))
    assert metrics.words(*pair).rate == jiwer.wer(*pair)


@given(st.lists(PAIRS, min_size=1, max_size=6))
def test_the_rate_of_a_corpus_is_that_of_the_summed_counts(pairs: list[tuple[str, str]]):
    references, hypotheses = ([text.strip() for text in texts] for texts in zip(*pairs, strict=True))
    total = sum((metrics.score(*pair) for pair in pairs), Score())
    assert total.characters.rate == jiwer.cer(references, hypotheses)
    assert total.words.rate == jiwer.wer(references, hypotheses)


@given(PAIRS)
def test_errors_are_the_edit_distance_and_hits_the_rest_of_the_longer_side(pair: tuple[str, str]):
    reference, hypothesis = pair
    views = metrics.score(reference, hypothesis)
    expected = {
        "characters": (reference.strip(), hypothesis.strip()),
        "characters_no_space": (unspaced(reference), unspaced(hypothesis)),
        "jamo": (normalize("NFD", unspaced(reference)), normalize("NFD", unspaced(hypothesis))),
        "words": (reference.split(), hypothesis.split()),
    }
    for view, (said, heard) in expected.items():
        counts = getattr(views, view)
        assert counts.errors == distance(said, heard)
        assert counts.reference == len(said)
        assert counts.hits + counts.substitutions + counts.insertions == len(heard)


@given(PAIRS)
def test_a_score_holds_what_each_function_gives(pair: tuple[str, str]):
    assert metrics.score(*pair) == Score(*(getattr(metrics, view)(*pair) for view in VIEWS))


@given(PAIRS)
def test_decomposed_text_scores_as_composed_text(pair: tuple[str, str]):
    reference, hypothesis = pair
    decomposed = [normalize("NFD", text) for text in pair]
    assert metrics.score(*decomposed) == metrics.score(*pair)
    assert metrics.score(decomposed[0], hypothesis) == metrics.score(reference, hypothesis)
    assert metrics.character_pairs(*decomposed) == metrics.character_pairs(*pair)


@given(KOREAN)
def test_a_text_has_no_errors_against_itself(text: str):
    score = metrics.score(text, text)
    assert [getattr(score, view).errors for view in VIEWS] == [0, 0, 0, 0]
    assert [getattr(score, view).rate for view in VIEWS] == [0, 0, 0, 0]


def test_each_view_sees_its_own_errors():
    score = metrics.score("값이 비싸다", "갑이비싸다")
    assert score.characters == ErrorCounts(hits=4, substitutions=1, deletions=1)
    assert score.characters_no_space == ErrorCounts(hits=4, substitutions=1)
    # 값 is ㄱ ㅏ ㅄ and 갑 is ㄱ ㅏ ㅂ; the other four syllables are open.
    assert score.jamo == ErrorCounts(hits=10, substitutions=1)
    assert score.words.errors == 2
    assert score.words.rate == 1


def test_an_empty_reference_has_one_error_for_each_insertion():
    assert metrics.characters("", "") == ErrorCounts()
    assert ErrorCounts().rate == 0
    assert metrics.characters("", "네네") == ErrorCounts(insertions=2)
    assert metrics.characters("", "네네").rate == 2 == jiwer.cer("", "네네")
    assert metrics.characters("네네", "").rate == 1


@given(st.lists(COUNTS))
def test_counts_add_up(counts: list[ErrorCounts]):
    total = sum(counts, ErrorCounts())
    assert total.reference == sum(count.reference for count in counts)
    assert total.errors == sum(count.errors for count in counts)
    assert total.hits == sum(count.hits for count in counts)
    assert total.insertions == sum(count.insertions for count in counts)
    assert total.deletions == sum(count.deletions for count in counts)


@given(PAIRS)
def test_an_alignment_spells_both_texts_and_shows_the_counted_errors(pair: tuple[str, str]):
    pairs = metrics.character_pairs(*pair)
    assert "".join(said for said, _ in pairs) == pair[0].strip()
    assert "".join(heard for _, heard in pairs) == pair[1].strip()
    shown = ErrorCounts(
        hits=sum(said == heard for said, heard in pairs),
        substitutions=sum(said != heard and "" not in (said, heard) for said, heard in pairs),
        deletions=sum(heard == "" for _, heard in pairs),
        insertions=sum(said == "" for said, _ in pairs),
    )
    assert shown == metrics.characters(*pair)


def test_an_alignment_leaves_gaps_where_characters_are_missing():
    expected = [("가", "가"), ("나", ""), ("다", "다"), ("라", "라"), ("마", "마"), ("", "바")]
    assert metrics.character_pairs("가나다라마", "가다라마바") == expected


def test_an_interval_holds_the_rate_and_is_the_same_every_time():
    counts = utterances(200)
    low, high = metrics.bootstrap_interval(counts, seed=3)
    assert 0 < low < sum(counts, ErrorCounts()).rate < high < 1
    assert metrics.bootstrap_interval(counts, seed=3) == (low, high)
    assert metrics.bootstrap_interval(counts, seed=4) != (low, high)


def test_an_interval_is_as_wide_as_theory_says():
    counts = utterances(1000)
    # Errors are binomial with rate 0.1, so the corpus rate is near to normal.
    error = np.sqrt(0.1 * 0.9 / sum(count.reference for count in counts))
    assert width(metrics.bootstrap_interval(counts)) == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert width(metrics.bootstrap_interval(counts, level=0.68)) == pytest.approx(2 * error, rel=0.1)


def test_an_interval_weighs_utterances_by_their_length():
    counts = [ErrorCounts(hits=99, substitutions=1)] * 50 + [ErrorCounts(substitutions=1)] * 50
    low, high = metrics.bootstrap_interval(counts)
    assert low < 100 / 5050 < high < 0.1


def test_an_interval_shrinks_with_more_data():
    assert width(metrics.bootstrap_interval(utterances(1600))) < 0.7 * width(
        metrics.bootstrap_interval(utterances(100))
    )


def test_one_utterance_has_an_interval_of_no_width():
    assert metrics.bootstrap_interval([ErrorCounts(hits=3, substitutions=1)]) == (0.25, 0.25)


def test_an_interval_of_silence_is_finite():
    assert metrics.bootstrap_interval([ErrorCounts(), ErrorCounts()]) == (0, 0)
    assert np.isfinite(metrics.bootstrap_interval([ErrorCounts(), ErrorCounts(insertions=3)])).all()


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(InputError, match="no utterances"):
        metrics.bootstrap_interval([])


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"level": 95.0}, {"resamples": 0}])
def test_an_interval_needs_a_fraction_and_a_resample(wrong: dict[str, float]):
    with pytest.raises(InputError, match=next(iter(wrong))):
        metrics.bootstrap_interval(utterances(2), **wrong)
