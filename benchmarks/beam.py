"""How fast and how well the beam search decodes on one core, at several widths, and greedily.

    taskset -c 0 python -m benchmarks.beam --text FILE... [--out docs/results/beam.json]
    taskset -c 0 python -m benchmarks.beam --model DIR --corpus SPEC --lm FILE [--out docs/results/beam.json]

With a model and a corpus, the log-probabilities are the model's, of at most 20 minutes of the corpus. With text alone
they are made up: of sentences drawn from the text, for a vocabulary of jamo and one of syllables, with confusions; and
the language model is trained on the other sentences. Speed is seconds of speech a second of processor time, without
the network. What is measured goes into the file beside what it holds of the other kind.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from distilhubert_ko.audio.frames import frame_seconds
from distilhubert_ko.decoding import beam, kneser_ney, scoring
from distilhubert_ko.decoding import language_model as lm
from distilhubert_ko.decoding.hotwords import HotWords
from distilhubert_ko.decoding.paths import Scorer
from distilhubert_ko.decoding.pruning import BeamOptions
from distilhubert_ko.evaluation import metrics, report, tuning
from distilhubert_ko.evaluation.tuning import RecognisedCorpus
from distilhubert_ko.files import writing
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.text.tokenizer import Tokenizer

WIDTHS = (4, 8, 16, 32, 64)
SENTENCES = 40
STRENGTH = {"jamo": 2.7, "syllables": 5.0}  # nats by which a unit that was said stands out; about 0.3 of all jamo err


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, nargs="+")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--corpus")
    parser.add_argument("--lm", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    if arguments.model:
        transcriber = Transcriber(arguments.model, 1, lm=arguments.lm)
        heard = tuning.recognise_split(transcriber, report.read_evaluation_split(transcriber.folder, arguments.corpus))
        decoder = transcriber.decoder
        assert decoder.model is not None, "name a language model with --lm"
        result = measure(heard, transcriber.tokenizer, decoder.model, decoder.weights)
        results["model"] = {"corpus": Path(arguments.corpus).name, "units": transcriber.tokenizer.units} | result
    else:
        for units in ("jamo", "syllables"):
            results[f"made up, {units}"] = made_up(arguments.text, units)
    if arguments.out:
        before = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
        writing.write_json(arguments.out, before | results)


def made_up(paths: list[Path], units: str) -> dict[str, Any]:
    sentences = lm.read_sentences(paths, False, Counter())
    lines = ["".join(" " if c == lm.BOUNDARY else c for c in line) for line in sentences]
    random.Random(0).shuffle(lines)
    drawn = [line for line in lines[:2000] if 15 <= len(line) <= 60][:SENTENCES]
    known = [[lm.BOUNDARY if c == " " else c for c in line] for line in lines if line not in {*drawn}]
    tokenizer = Tokenizer.from_texts(lines, units)  # type: ignore[arg-type]
    heard = RecognisedCorpus(tuple(drawn), tuple(Noise(tokenizer)(line) for line in drawn))
    with tempfile.TemporaryDirectory() as folder:
        ngrams = kneser_ney.train_ngrams(known, lm.ORDER[False], lm.CUTOFFS[False])
        path = kneser_ney.write_arpa(ngrams, Path(folder) / "lm.arpa")
        return measure(heard, tokenizer, lm.LanguageModel(path), lm.LmWeights(0.6, 2.0))


class Noise:
    """Log-probabilities (frames, vocabulary) of a network that mishears: units lie in a space, and near ones mix."""

    def __init__(self, tokenizer: Tokenizer):
        self.rng, self.tokenizer = np.random.default_rng(0), tokenizer
        places = np.random.default_rng(1).normal(size=(len(tokenizer), 3))
        kind = np.array(
            [max((t >= edge) * n for n, edge in enumerate("\u0000\u1100\u1161\u11a8")) for t in tokenizer.tokens]
        )
        distances = ((places[:, None] - places[None]) ** 2).sum(-1)
        self.likeness = -0.9 * distances - 4.0 * (kind[:, None] != kind[None]) - 2

    def __call__(self, text: str) -> np.ndarray:
        size, blank, rng = len(self.tokenizer), self.tokenizer.blank_id, self.rng
        runs = []
        for label in self.tokenizer.encode(text):
            silent = rng.normal(0, 1.5, (rng.integers(1, 4), size))
            silent[:, blank] += 9
            spoken = self.likeness[label] + rng.normal(0, 1.6, size)
            spoken[label] += STRENGTH[self.tokenizer.units]
            spoken[blank] = spoken.max() - rng.exponential(3) + 2.0 * (rng.random() < 0.06)
            runs += [silent, spoken + rng.normal(0, 0.4, (rng.integers(1, 3), size))]
        logits = np.concatenate(runs)
        return (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)


def measure(
    heard: RecognisedCorpus, tokenizer: Tokenizer, model: lm.LanguageModel, weights: lm.LmWeights
) -> dict[str, Any]:
    scorer = scoring.text_scorer(tokenizer, model, weights, HotWords((), 0.0))
    seconds = sum(frame_seconds(len(matrix)) for matrix in heard.log_probs)
    rows = [{"beam": 1, "lm": False} | decoded(heard, tokenizer, BeamOptions(width=1), None, seconds)]
    for width in sorted({*WIDTHS, BeamOptions.width}):
        options = BeamOptions(width=width)
        rows.append({"beam": width, "lm": True} | decoded(heard, tokenizer, options, scorer, seconds))
        print(rows[-1], flush=True)
    return {
        "seconds": seconds,
        "vocabulary": len(tokenizer),
        "alpha": weights.alpha,
        "beta": weights.beta,
        "default_beam": BeamOptions.width,
        "rows": rows,
    }


def decoded(
    heard: RecognisedCorpus, tokenizer: Tokenizer, options: BeamOptions, scorer: Scorer | None, seconds: float
) -> dict[str, float]:
    started = time.process_time()
    found = [beam.search_beam(matrix, options, scorer, tokenizer.blank_id)[0] for matrix in heard.log_probs]
    taken = time.process_time() - started
    texts = [tokenizer.decode(token.id for token in each.tokens) for each in found]
    score = sum((metrics.score(*pair) for pair in zip(heard.references, texts, strict=True)), metrics.Score())
    return {
        "speed": seconds / taken,
        "cer": score.characters.rate,
        "cer_no_space": score.characters_no_space.rate,
        "jer": score.jamo.rate,
    }


if __name__ == "__main__":
    main()
