"""Tuning: the weights of a language model that give the fewest errors on a development corpus."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.data.examples import Example, Split
from distilhubert_ko.decoding import beam
from distilhubert_ko.decoding.hotwords import HotWords
from distilhubert_ko.decoding.language_model import LanguageModel, LmWeights, untuned_weights
from distilhubert_ko.decoding.pruning import BeamOptions
from distilhubert_ko.decoding.scoring import text_scorer
from distilhubert_ko.errors import CorpusError
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.recognition.transcriber import Transcriber, recognise_in_chunks
from distilhubert_ko.text.tokenizer import Tokenizer

SPEECH = 1200.0  # seconds of the corpus to decode in each trial, drawn at random from a longer one
ALPHAS, BETAS = (0.3, 0.6, 0.9, 1.2), (0.0, 1.0, 2.0, 3.0)  # tried first, in all combinations
HALVINGS = 2  # of their steps, around the best trial so far


@dataclass(frozen=True)
class WeightTrial:
    """Weights and their CER."""

    weights: LmWeights
    cer: float


@dataclass(frozen=True)
class RecognisedCorpus:
    """The network's output for a corpus: a matrix (frames, vocabulary) per reference."""

    references: tuple[str, ...]
    log_probs: tuple[NDArray[np.float32], ...]


def refuse_test_split(spec: str) -> None:
    """Raise CorpusError for a test split, because tuning on it would flatter the reported figures."""
    if spec.partition("#")[2].lower().startswith("test"):
        raise CorpusError(
            f"{spec} is a test split, on which weights must not be tuned: give a development split, such as #dev"
        )


def recognise_split(
    transcriber: Transcriber, split: Split, on_progress: Callable[[int, int], None] | None = None
) -> RecognisedCorpus:
    """Return the log-probabilities of SPEECH seconds of a split, or of a shorter split as a whole."""
    examples = _drawn(split.examples)
    recognised = recognise_in_chunks(transcriber, examples, lambda example: example.utterance.wave(), on_progress)
    matrices = tuple(log_probs for _, _, log_probs in recognised)
    return RecognisedCorpus(tuple(example.text for example in examples), matrices)


def _drawn(examples: Sequence[Example]) -> list[Example]:
    order = random.Random(0).sample(range(len(examples)), len(examples))
    drawn, seconds = [], 0.0
    for index in order:
        if seconds >= SPEECH:
            break
        drawn.append(index)
        seconds += examples[index].utterance.seconds
    return [examples[index] for index in sorted(drawn)]


def tune_weights(
    recognised: RecognisedCorpus,
    tokenizer: Tokenizer,
    model: LanguageModel,
    options: BeamOptions,
    on_trial: Callable[[WeightTrial], None] | None = None,
) -> list[WeightTrial]:
    """Return the trials in their order: a grid of weights first, then finer grids around the best."""
    trials: dict[tuple[float, float], WeightTrial] = {}

    def attempt(alpha: float, beta: float) -> None:
        pair = round(alpha, 4), round(beta, 4)
        if pair not in trials and alpha >= 0:
            weights = replace(untuned_weights(model), alpha=pair[0], beta=pair[1])
            trials[pair] = WeightTrial(weights, error_rate(recognised, tokenizer, model, weights, options))
            if on_trial:
                on_trial(trials[pair])

    for alpha in ALPHAS:
        for beta in BETAS:
            attempt(alpha, beta)
    steps = ALPHAS[1] - ALPHAS[0], BETAS[1] - BETAS[0]
    for _ in range(HALVINGS):
        steps = steps[0] / 2, steps[1] / 2
        middle = best_trial(list(trials.values())).weights
        for alpha in (-steps[0], 0.0, steps[0]):
            for beta in (-steps[1], 0.0, steps[1]):
                attempt(middle.alpha + alpha, middle.beta + beta)
    return list(trials.values())


def best_trial(trials: Sequence[WeightTrial]) -> WeightTrial:
    """Return the first trial with the lowest CER."""
    return min(trials, key=lambda trial: trial.cer)


def error_rate(
    recognised: RecognisedCorpus,
    tokenizer: Tokenizer,
    model: LanguageModel | None,
    weights: LmWeights,
    options: BeamOptions,
) -> float:
    """Return the CER of the best hypotheses."""
    worth = text_scorer(tokenizer, model, weights, HotWords((), 0.0))
    total = metrics.ErrorCounts()
    for reference, matrix in zip(recognised.references, recognised.log_probs, strict=True):
        found = beam.search_beam(matrix, options, worth, tokenizer.blank_id)[0]
        total += metrics.characters(reference, tokenizer.decode(token.id for token in found.tokens))
    return total.rate
