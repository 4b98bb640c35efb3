"""Connectionist temporal classification: from log-probabilities to tokens, without a network or an alphabet.

Each function takes one utterance as a (frames, vocabulary) matrix of natural log-probabilities. The blank's id
is 0 unless told otherwise. Sections cited below are of Graves, Fernández, Gomez and Schmidhuber,
"Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks",
ICML 2006.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.errors import InputError

BLOCK = 1000  # frames between the scores that `align_labels` keeps


@dataclass(frozen=True)
class Token:
    """One label and the run of frames that emitted it.

    `start` is the first frame of the run and `end` the one after its last. `score` is the mean natural
    log-probability of `id` over the run, so `exp(score)` lies in 0..1 and does not favour short runs.
    """

    id: int
    start: int
    end: int
    score: float


OnTokens = Callable[[Sequence[Token], int], None]
"""Receives the first tokens of a matrix, which stay what they are, and the number of frames that they come from.

A next frame may prolong the last one.
"""


def greedy(log_probs: NDArray[np.floating], blank: int = 0) -> list[Token]:
    """Return the best path (section 3.2): the likeliest id in every frame, repeats collapsed, blanks removed.

    `log_probs` is (frames, vocabulary). No frames give no tokens.
    Raises InputError where the shape or the blank is wrong.
    """
    check_log_probs(log_probs, blank)
    if len(log_probs) == 0:
        return []
    path = log_probs.argmax(axis=1)
    changes = np.flatnonzero(path[1:] != path[:-1]) + 1
    starts = np.concatenate(([0], changes))
    ends = np.append(changes, len(path))
    spoken = path[starts] != blank
    starts, ends = starts[spoken], ends[spoken]
    return _tokens(log_probs, path[starts].tolist(), starts.tolist(), ends.tolist())


def greedy_pieces(
    pieces: Iterable[NDArray[np.floating]], blank: int = 0, on_tokens: OnTokens | None = None
) -> list[Token]:
    """Return what `greedy` gives for a matrix that comes in pieces (frames, vocabulary), one at a time in memory.

    A run that continues across the joint of two pieces is one token, as it is in the whole matrix. After each piece,
    `on_tokens` receives all tokens so far.
    """
    tokens: list[Token] = []
    done = 0
    for piece in pieces:
        extend_tokens(tokens, piece, done, blank)
        done += len(piece)
        if on_tokens:
            on_tokens(tokens, done)
    return tokens


def extend_tokens(tokens: list[Token], piece: NDArray[np.floating], done: int, blank: int = 0) -> None:
    """Add to `tokens`, those of a matrix's first `done` frames, the tokens of its next frames (frames, vocabulary)."""
    later = [replace(token, start=token.start + done, end=token.end + done) for token in greedy(piece, blank)]
    if tokens and later and tokens[-1].end == later[0].start == done and tokens[-1].id == later[0].id:
        tokens.append(_joined(tokens.pop(), later.pop(0)))
    tokens += later


def _joined(left: Token, right: Token) -> Token:
    lengths = left.end - left.start, right.end - right.start
    score = (left.score * lengths[0] + right.score * lengths[1]) / sum(lengths)
    return Token(left.id, left.start, right.end, score)


def min_frames(labels: Sequence[int]) -> int:
    """Return the fewest frames that can spell `labels`: one for each, and a blank between equal neighbours."""
    return len(labels) + sum(left == right for left, right in pairwise(labels))


def loss(log_probs: NDArray[np.floating], labels: Sequence[int], blank: int = 0) -> float:
    """Return the negative log-likelihood of `labels` in nats, by the forward algorithm (section 4.1) in log space.

    `log_probs` is (frames, vocabulary). The loss is infinite for fewer frames than `min_frames(labels)`.
    Raises InputError where the shape, the blank or a label is wrong.
    """
    states, detours = _lattice(log_probs, labels, blank)
    if len(log_probs) < min_frames(labels):
        return float("inf")
    if len(log_probs) == 0:
        return 0.0
    alpha = _first(log_probs, states)
    for frame in log_probs[1:]:
        alpha = np.logaddexp.reduce(_moves(alpha, detours), axis=0) + frame[states]
    return -float(np.logaddexp.reduce(alpha[-2:]))


def align_labels(log_probs: NDArray[np.floating], labels: Sequence[int], blank: int = 0) -> list[Token]:
    """Return the likeliest path that spells `labels`, through the lattice of section 4.1: forced alignment.

    `log_probs` is (frames, vocabulary); the result has one Token for each label, in order. It takes time for frames x
    (2 labels + 1) cells, and memory for 8 bytes of every BLOCKth frame's cells. An hour of speech in jamo takes about a
    minute and a half, and 0.13 GB. Raises InputError where the shape, the blank or a label is wrong, where there are
    fewer frames than `min_frames(labels)`, and where every path has probability zero.
    """
    states, detours = _lattice(log_probs, labels, blank)
    frames, needed = len(log_probs), min_frames(labels)
    if frames < needed:
        raise InputError(
            f"{frames} frames cannot spell {len(labels)} labels, which need {needed}: "
            "give longer audio or a shorter text"
        )
    if len(labels) == 0:
        return []
    path = _best_path(log_probs, states, detours)
    # States only rise along the path and no label can be skipped, so each label's run is found by bisection.
    emitting = np.arange(1, len(states), 2)
    starts, ends = np.searchsorted(path, emitting, "left"), np.searchsorted(path, emitting, "right")
    return _tokens(log_probs, states[1::2].tolist(), starts.tolist(), ends.tolist())


def check_log_probs(log_probs: NDArray[np.floating], blank: int) -> None:
    """Raise InputError where the shape of a matrix or its blank is wrong."""
    if log_probs.ndim != 2:
        raise InputError(f"log_probs has shape {log_probs.shape}: give one utterance's (frames, vocabulary)")
    if not 0 <= blank < log_probs.shape[1]:
        raise InputError(f"blank {blank} is not in the vocabulary of {log_probs.shape[1]}: give the model's own")


def _lattice(
    log_probs: NDArray[np.floating], labels: Sequence[int], blank: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the ids of the 2 labels + 1 states (blank, label, ..., blank), and their detours.

    The detour of a state is 0 where it can be entered past a blank, else -inf.
    """
    check_log_probs(log_probs, blank)
    vocabulary = log_probs.shape[1]
    for label in labels:
        if label == blank or not 0 <= label < vocabulary:
            raise InputError(
                f"label {label} is the blank or not in the vocabulary of {vocabulary}: "
                "encode the text with the model's own tokenizer"
            )
    states = np.full(2 * len(labels) + 1, blank, dtype=np.intp)
    states[1::2] = labels
    detours = np.full(len(states), -np.inf)
    # Two states apart, blanks face blanks, so only a label that differs from the one before it passes.
    detours[2:][states[2:] != states[:-2]] = 0
    return states, detours


def _first(log_probs: NDArray[np.floating], states: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return log-probabilities (states,) in the first frame; a path starts in the first blank or label."""
    scores = np.full(len(states), -np.inf)
    scores[:2] = log_probs[0, states[:2]]
    return scores


def _moves(scores: NDArray[np.float64], detours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what reaches each state by staying, by one step and, where it may, past a blank (3, states)."""
    moves = np.full((3, len(scores)), -np.inf)
    moves[0] = scores
    moves[1, 1:] = scores[:-1]
    moves[2, 2:] = scores[:-2] + detours[2:]
    return moves


def _best_path(
    log_probs: NDArray[np.floating], states: NDArray[np.intp], detours: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the state of the likeliest path in each frame (frames,).

    Back pointers for all frames would fill gigabytes. So the forward pass keeps the scores of every BLOCKth frame,
    and the backward pass computes the pointers of one block at a time.
    """
    starts = range(0, len(log_probs), BLOCK)
    blocks = [log_probs[start : start + BLOCK + 1] for start in starts]  # each ends with the next one's first frame
    kept = [_first(log_probs, states)]
    for block in blocks:
        kept.append(_advanced(kept[-1], block[1:], states, detours))
    best = kept.pop()
    # Not "== -inf": a NaN fails this too.
    if not best[-2:].max() > -np.inf:
        raise InputError("no path that spells the labels has any probability: give finite log-probabilities")
    path = np.empty(len(log_probs), dtype=np.intp)
    state = len(states) - 2 + int(best[-2:].argmax())
    for start, block in zip(reversed(starts), reversed(blocks), strict=True):
        path[start : start + BLOCK + 1] = _traced(kept.pop(), block, states, detours, state)
        state = int(path[start])
    return path


def _advanced(
    scores: NDArray[np.float64],
    log_probs: NDArray[np.floating],
    states: NDArray[np.intp],
    detours: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the best of `_moves` (states,), frame after frame; in place, which takes a fifth of the time."""
    scores, following, detour = scores.copy(), np.empty_like(scores), np.empty_like(scores)
    for frame in log_probs.astype(np.float64):
        following[0] = scores[0]
        np.maximum(scores[1:], scores[:-1], out=following[1:])
        np.add(scores[:-2], detours[2:], out=detour[2:])
        np.maximum(following[2:], detour[2:], out=following[2:])
        following += frame[states]
        scores, following = following, scores
    return scores


def _traced(
    scores: NDArray[np.float64],
    log_probs: NDArray[np.floating],
    states: NDArray[np.intp],
    detours: NDArray[np.float64],
    last: int,
) -> NDArray[np.intp]:
    """Return the likeliest path (frames,) from `scores` in the first frame to the state `last` in the last frame.

    A path rises by at most two states per frame. So no state farther below `last` than that can be on it, and what
    is left out below reaches only states that the path has left by then.
    """
    low = max(0, last - 2 * (len(log_probs) - 1))
    scores, states, detours = scores[low : last + 1], states[low : last + 1], detours[low : last + 1]
    steps = np.zeros((len(log_probs), len(states)), dtype=np.int8)
    for index in range(1, len(log_probs)):
        moves = _moves(scores, detours)
        steps[index] = moves.argmax(axis=0)
        scores = moves.max(axis=0) + log_probs[index, states]
    path = np.empty(len(log_probs), dtype=np.intp)
    state = last - low
    for index in range(len(log_probs) - 1, -1, -1):
        path[index] = low + state
        state -= int(steps[index, state])
    return path


def _tokens(
    log_probs: NDArray[np.floating], ids: Iterable[int], starts: Iterable[int], ends: Iterable[int]
) -> list[Token]:
    return [
        Token(id, start, end, float(log_probs[start:end, id].mean(dtype=np.float64)))
        for id, start, end in zip(ids, starts, ends, strict=True)
    ]
