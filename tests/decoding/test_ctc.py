"""CTC against PyTorch's loss, ctc-segmentation, every path of small lattices, and planted paths."""

import tracemalloc
from itertools import groupby, pairwise, product

import ctc_segmentation
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import InputError

LABELS = st.lists(st.integers(1, 4), max_size=8)
SIZES = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 6))


def random_log_probs(seed: int, frames: int, vocabulary: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(scale=2.0, size=(frames, vocabulary))
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def peaked(path: list[int], vocabulary: int) -> np.ndarray:
    """(frames, vocabulary) in which each frame gives nearly all its probability to the path's id."""
    probs = np.full((len(path), vocabulary), 1e-4)
    probs[np.arange(len(path)), path] = 1 - 1e-4 * (vocabulary - 1)
    return np.log(probs)


def collapse(path: tuple[int, ...] | list[int], blank: int = 0) -> list[int]:
    return [id for id, _ in groupby(path) if id != blank]


def path_of(tokens: list[ctc.Token], frames: int, blank: int = 0) -> list[int]:
    path = [blank] * frames
    for token in tokens:
        path[token.start : token.end] = [token.id] * (token.end - token.start)
    return path


def log_prob_of(path: tuple[int, ...] | list[int], log_probs: np.ndarray) -> float:
    return float(sum(log_probs[frame, id] for frame, id in enumerate(path)))


def ids(tokens: list[ctc.Token]) -> list[int]:
    return [token.id for token in tokens]


def torch_loss(log_probs: np.ndarray, labels: list[int], blank: int) -> float:
    batch = torch.from_numpy(log_probs)[:, None]
    lengths = torch.tensor([len(log_probs)]), torch.tensor([len(labels)])
    targets = torch.tensor([labels], dtype=torch.long)
    return torch.nn.CTCLoss(blank=blank, reduction="none")(batch, targets, *lengths).item()


def direct_alignment(log_probs: np.ndarray, labels: list[int]) -> list[tuple[int, int]]:
    """(start, end) of each label by the plainest Viterbi search: a cell at a time, a back pointer for each."""
    states = [0, *(id for label in labels for id in (label, 0))]
    scores = np.full((len(log_probs), len(states)), -np.inf)
    steps = np.zeros(scores.shape, int)
    scores[0, :2] = log_probs[0, states[:2]]
    for frame, state in product(range(1, len(log_probs)), range(len(states))):
        past_a_blank = state % 2 == 1 and state > 1 and states[state] != states[state - 2]
        ways = [scores[frame - 1, state - step] for step in range(min(state, 1 + past_a_blank) + 1)]
        steps[frame, state] = int(np.argmax(ways))
        scores[frame, state] = max(ways) + log_probs[frame, states[state]]
    path = [len(states) - 2 + int(scores[-1, -2:].argmax())]
    for frame in range(len(log_probs) - 1, 0, -1):
        path.insert(0, path[0] - steps[frame, path[0]])
    runs = [[frame for frame, state in enumerate(path) if state == 2 * place + 1] for place in range(len(labels))]
    return [(run[0], run[-1] + 1) for run in runs]


def segmented(log_probs: np.ndarray, labels: list[int]) -> list[int]:
    """The frame in which ctc-segmentation switches to each label.

    A frame is put in front, for its first row is a state before any label. It frees the ends of the recording
    unless it is told not to.
    """
    config = ctc_segmentation.CtcSegmentationParameters(
        index_duration=1.0,
        preamble_transition_cost_zero=False,
        backtrack_from_max_t=True,
        char_list=[str(id) for id in range(log_probs.shape[1])],
    )
    padded = np.concatenate([np.zeros((1, log_probs.shape[1])), log_probs])
    timings, _, _ = ctc_segmentation.ctc_segmentation(config, padded, np.array([[-1], *([label] for label in labels)]))
    return [round(time) - 1 for time in timings[1:]]


def relaxed_path(starts: list[int], log_probs: np.ndarray, labels: list[int]) -> list[int]:
    """The path of ctc-segmentation: between two switches, the likelier of label and blank in every frame."""
    path = [0] * starts[0]
    for label, (start, end) in zip(labels, pairwise([*starts, len(log_probs)]), strict=True):
        path += [label] + [label if frame[label] > frame[0] else 0 for frame in log_probs[start + 1 : end]]
    return path


@st.composite
def expanded_paths(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Labels, and a path of frames that spells them: each repeated, with blanks where they may or must be."""
    labels = draw(LABELS)
    path = [0] * draw(st.integers(0, 2))
    for index, label in enumerate(labels):
        must = index > 0 and labels[index - 1] == label
        path += [0] * draw(st.integers(1 if must else 0, 2)) + [label] * draw(st.integers(1, 3))
    return labels, path + [0] * draw(st.integers(0, 2))


@pytest.mark.parametrize(
    ("frames", "labels"),
    [
        (1, []),
        (7, []),
        (1, [3]),
        (2, [3, 1]),
        (3, [2, 2]),
        (2, [2, 2]),
        (1, [1, 2]),
        (5, [1, 1, 1]),
        (4, [1, 1, 1]),
        (6, [1, 1, 1]),
        (9, [4, 4, 2, 2, 1]),
        (50, [1, 2, 3, 4, 4, 3, 2, 1]),
    ],
)
@pytest.mark.parametrize("blank", [0, 5])
def test_the_loss_is_that_of_pytorch(frames: int, labels: list[int], blank: int):
    log_probs = random_log_probs(len(labels), frames, 6)
    assert ctc.loss(log_probs, labels, blank) == pytest.approx(torch_loss(log_probs, labels, blank), rel=1e-9)


@given(SIZES, st.lists(st.integers(1, 5), max_size=20))
def test_the_loss_is_that_of_pytorch_for_any_labels(sizes: tuple[int, int, int], labels: list[int]):
    seed, frames, _ = sizes
    log_probs = random_log_probs(seed, frames, 6)
    assert ctc.loss(log_probs, labels) == pytest.approx(torch_loss(log_probs, labels, 0), rel=1e-9)


def test_single_precision_loses_nothing_over_many_frames():
    log_probs = random_log_probs(0, 1500, 40)
    labels = np.random.default_rng(1).integers(1, 40, size=120).tolist()
    assert ctc.loss(log_probs.astype(np.float32), labels) == pytest.approx(ctc.loss(log_probs, labels), rel=1e-6)


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("blank", [0, 1])
def test_loss_and_alignment_agree_with_every_path_written_out(frames: int, blank: int):
    log_probs = random_log_probs(frames, frames, 3)
    paths: dict[tuple[int, ...], list[float]] = {}
    for path in product(range(3), repeat=frames):
        paths.setdefault(tuple(collapse(path, blank)), []).append(log_prob_of(path, log_probs))
    for labels, scores in paths.items():
        assert ctc.loss(log_probs, labels, blank) == pytest.approx(-np.logaddexp.reduce(scores), abs=1e-12)
        tokens = ctc.align_labels(log_probs, labels, blank)
        path = path_of(tokens, frames, blank)
        assert collapse(path, blank) == list(labels)
        assert log_prob_of(path, log_probs) == pytest.approx(max(scores), abs=1e-12)
    # Together the label sequences take all the probability there is.
    assert np.logaddexp.reduce([-ctc.loss(log_probs, labels, blank) for labels in paths]) == pytest.approx(0)


@given(st.lists(st.integers(1, 2), max_size=6))
def test_min_frames_is_the_fewest_frames_with_a_finite_loss(labels: list[int]):
    finite = [frames for frames in range(13) if np.isfinite(ctc.loss(random_log_probs(0, frames, 3), labels))]
    assert finite == list(range(ctc.min_frames(labels), 13))


def test_too_few_frames_give_an_infinite_loss_and_no_alignment():
    log_probs = random_log_probs(0, 4, 3)
    assert ctc.loss(log_probs, [1, 1, 2, 2]) == float("inf")
    with pytest.raises(InputError, match=r"^4 frames cannot spell 4 labels, which need 6: "):
        ctc.align_labels(log_probs, [1, 1, 2, 2])


def test_no_frames_spell_nothing():
    nothing = np.zeros((0, 3), dtype=np.float32)
    assert ctc.greedy(nothing) == []
    assert ctc.align_labels(nothing, []) == []
    assert ctc.loss(nothing, []) == 0
    assert ctc.loss(nothing, [1]) == float("inf")


@given(expanded_paths())
def test_greedy_and_align_find_a_planted_path_and_its_runs(planted: tuple[list[int], list[int]]):
    labels, path = planted
    log_probs = peaked(path, 5)
    runs, start = [], 0
    for id, run in groupby(path):
        end = start + len(list(run))
        if id != 0:
            runs.append((id, start, end))
        start = end
    for tokens in (ctc.greedy(log_probs), ctc.align_labels(log_probs, labels)):
        assert ids(tokens) == labels
        assert [(token.id, token.start, token.end) for token in tokens] == runs
        assert all(token.score == pytest.approx(np.log(1 - 4e-4)) for token in tokens)


@given(SIZES, st.integers(0, 1))
def test_greedy_is_the_collapsed_argmax(sizes: tuple[int, int, int], blank: int):
    log_probs = random_log_probs(*sizes)
    path = log_probs.argmax(axis=1).tolist()
    tokens = ctc.greedy(log_probs, blank)
    assert ids(tokens) == collapse(path, blank)
    assert path_of(tokens, len(path), blank) == path


@given(SIZES)
def test_aligning_the_greedy_labels_gives_the_greedy_path(sizes: tuple[int, int, int]):
    log_probs = random_log_probs(*sizes)
    tokens = ctc.greedy(log_probs)
    assert ctc.align_labels(log_probs, ids(tokens)) == tokens


@given(SIZES, LABELS)
def test_an_alignment_spells_the_labels_in_ordered_disjoint_runs(sizes: tuple[int, int, int], labels: list[int]):
    seed, frames, _ = sizes
    frames += ctc.min_frames(labels)
    log_probs = random_log_probs(seed, frames, 5)
    tokens = ctc.align_labels(log_probs, labels)
    assert ids(tokens) == labels
    edges = [0, *(edge for token in tokens for edge in (token.start, token.end)), frames]
    assert edges == sorted(edges)
    assert all(token.start < token.end for token in tokens)
    assert collapse(path_of(tokens, frames)) == labels
    for token in tokens:
        assert token.score == pytest.approx(np.mean([log_probs[t, token.id] for t in range(token.start, token.end)]))


@given(SIZES, LABELS, st.integers(1, 40), st.booleans())
def test_an_alignment_is_that_of_the_direct_search_whatever_the_block(
    sizes: tuple[int, int, int], labels: list[int], block: int, ties: bool
):
    seed, frames, _ = sizes
    log_probs = random_log_probs(seed, frames + ctc.min_frames(labels), 5)
    if ties:
        log_probs = log_probs.round()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ctc, "BLOCK", block)
        tokens = ctc.align_labels(log_probs, labels)
    assert [(token.start, token.end) for token in tokens] == direct_alignment(log_probs, labels)
    assert tokens == ctc.align_labels(log_probs, labels)


def test_a_long_alignment_needs_a_fraction_of_the_memory_of_its_back_pointers():
    labels = np.random.default_rng(0).integers(1, 5, size=2000).tolist()
    log_probs = random_log_probs(0, 6000, 5)
    tracemalloc.start()
    tokens = ctc.align_labels(log_probs, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ids(tokens) == labels
    assert peak < 6000 * (2 * len(labels) + 1) / 4


@given(expanded_paths())
def test_ctc_segmentation_finds_planted_labels_in_the_same_frames(planted: tuple[list[int], list[int]]):
    """It times where a label begins, and no end; the starts agree to the frame. It wants no blank between equal labels,
    so it may take a label of two frames for two labels, and is not asked about those.
    """
    labels, path = planted
    log_probs = peaked(path, 5)
    if labels and all(left != right for left, right in pairwise(labels)):
        assert [token.start for token in ctc.align_labels(log_probs, labels)] == segmented(log_probs, labels)


def test_ctc_segmentation_gives_the_same_starts_wherever_its_path_is_one_of_ctc():
    """After a label, it may take blank and label again in any order, where CTC would read the label twice. So its
    path is at least as likely, to single precision; and where it spells the labels, the starts agree to the frame.
    """
    compared = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        labels = [id for id, _ in groupby(random.integers(1, 6, size=8).tolist())]
        log_probs = random_log_probs(seed, len(labels) + int(random.integers(0, 12)), 6)
        tokens = ctc.align_labels(log_probs, labels)
        starts = segmented(log_probs, labels)
        relaxed = relaxed_path(starts, log_probs, labels)
        ours = log_prob_of(path_of(tokens, len(log_probs)), log_probs)
        assert ours <= log_prob_of(relaxed, log_probs) + 1e-4
        if collapse(relaxed) == labels:
            assert [token.start for token in tokens] == starts
            compared += 1
    assert compared > 50


@given(SIZES, LABELS)
def test_one_path_is_never_likelier_than_all_of_them(sizes: tuple[int, int, int], labels: list[int]):
    seed, frames, _ = sizes
    log_probs = random_log_probs(seed, frames + ctc.min_frames(labels), 5)
    path = path_of(ctc.align_labels(log_probs, labels), len(log_probs))
    assert log_prob_of(path, log_probs) <= -ctc.loss(log_probs, labels) + 1e-9


def test_tokens_hold_plain_numbers():
    token = ctc.greedy(peaked([0, 2, 2], 3).astype(np.float32))[0]
    assert token == ctc.Token(2, 1, 3, token.score)
    assert [type(value) for value in (token.id, token.start, token.end, token.score)] == [
        int,
        int,
        int,
        float,
    ]


def test_an_impossible_or_undefined_text_is_not_aligned():
    log_probs = np.full((4, 3), -np.inf)
    log_probs[:, 0] = 0
    assert ctc.loss(log_probs, [1]) == float("inf")
    with pytest.raises(InputError, match="any probability"):
        ctc.align_labels(log_probs, [1])
    with pytest.raises(InputError, match="any probability"):
        ctc.align_labels(np.full((4, 3), np.nan), [1])


@pytest.mark.parametrize("shape", [(4,), (1, 4, 3)])
def test_anything_but_a_matrix_is_refused(shape: tuple[int, ...]):
    for call in (lambda x: ctc.greedy(x), lambda x: ctc.loss(x, [1]), lambda x: ctc.align_labels(x, [1])):
        with pytest.raises(InputError, match="shape"):
            call(np.zeros(shape))


@pytest.mark.parametrize("blank", [-1, 3])
def test_a_blank_outside_the_vocabulary_is_refused(blank: int):
    log_probs = random_log_probs(0, 4, 3)
    for call in (ctc.greedy, lambda x, b: ctc.loss(x, [1], b), lambda x, b: ctc.align_labels(x, [1], b)):
        with pytest.raises(InputError, match=f"blank {blank} "):
            call(log_probs, blank)


@pytest.mark.parametrize("label", [-1, 0, 3])
def test_a_label_that_is_the_blank_or_unknown_is_refused(label: int):
    log_probs = random_log_probs(0, 4, 3)
    for call in (ctc.loss, ctc.align_labels):
        with pytest.raises(InputError, match=f"label {label} "):
            call(log_probs, [1, label])


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.lists(st.integers(0, 12), max_size=4))
def test_greedy_gives_the_same_tokens_in_pieces_as_at_once(seed: int, frames: int, cuts: list[int]) -> None:
    matrix = np.log(np.random.default_rng(seed).dirichlet(np.full(3, 0.3), size=frames) + 1e-12)
    pieces = np.split(matrix, sorted(min(cut, frames) for cut in cuts))
    whole, joined = ctc.greedy(matrix), ctc.greedy_pieces(pieces)
    assert [(token.id, token.start, token.end) for token in joined] == [(t.id, t.start, t.end) for t in whole]
    assert [token.score for token in joined] == pytest.approx([token.score for token in whole])
