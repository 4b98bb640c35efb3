"""How often two equally good systems differ with p < 0.05, by the tests of `evaluate --against`; 5 % is right at most.

    python -m checks.significance --json docs/results/significance.json

Each speaker is hard for either system to a degree of its own, drawn from the same log-normal distribution, so the
utterances of a speaker err together. How often the interval of one system over speakers holds its true rate is counted
as well.
"""

import argparse
import platform
from pathlib import Path
from typing import Any

import numpy as np

from distilhubert_ko.evaluation.metrics import ErrorCounts
from distilhubert_ko.evaluation.significance import FEWEST, paired_test, sign_flip_p, speaker_interval
from distilhubert_ko.files import writing

SPEAKERS = (5, 10, 40)
UTTERANCES = 20  # of each speaker
RATE, SPREAD = 0.1, 0.5  # of characters that are wrong: the median, and the deviation of its logarithm over speakers
WORST = 0.9  # at most that share of a speaker's characters is wrong
MARGIN = 0.01  # above 5 %, for the sample of corpora


def corpus(speakers: int, random: np.random.Generator) -> tuple[list[list[ErrorCounts]], list[str]]:
    """Return the counts of two systems on one corpus, and the speaker of each utterance."""
    lengths = random.integers(15, 40, (speakers, UTTERANCES))
    systems = []
    for _ in range(2):
        rates = np.minimum(RATE * np.exp(random.normal(0, SPREAD, (speakers, 1))), WORST)
        wrong = random.binomial(lengths, rates)
        pairs = zip(lengths.ravel().tolist(), wrong.ravel().tolist(), strict=True)
        systems.append([ErrorCounts(length - errors, errors) for length, errors in pairs])
    return systems, [str(speaker) for speaker in range(speakers) for _ in range(UTTERANCES)]


def measure(speakers: int, corpora: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng((seed, speakers))
    over_speakers, over_utterances, held = [], [], []
    true = RATE * np.exp(SPREAD**2 / 2)
    for _ in range(corpora):
        (first, second), names = corpus(speakers, random)
        over_speakers.append(paired_test(first, second, groups=names).p)
        differences = [one.errors - other.errors for one, other in zip(first, second, strict=True)]
        over_utterances.append(sign_flip_p(np.array(differences, float)))
        if speakers >= FEWEST:
            low, high = speaker_interval(first, names) or (0.0, 0.0)
            held.append(low <= true <= high)
    return {
        "speakers": speakers,
        "below_0.05_over_speakers": float(np.mean(np.array(over_speakers) < 0.05)),
        "below_0.05_over_utterances": float(np.mean(np.array(over_utterances) < 0.05)),
        "least_p_over_speakers": min(over_speakers),
        "interval_over_speakers_holds": float(np.mean(held)) if held else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("docs/results/significance.json"))
    options = parser.parse_args()
    found = [measure(speakers, options.corpora, options.seed) for speakers in SPEAKERS]
    record = {"corpora": options.corpora, "seed": options.seed, "machine": platform.machine(), "speakers": found}
    writing.write_json(options.json, record)
    for each in found:
        print(each)
    if any(each["below_0.05_over_speakers"] > 0.05 + MARGIN for each in found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
