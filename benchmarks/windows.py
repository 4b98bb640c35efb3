"""How far the text of a long recording in windows is from that of the whole recording at once.

    python -m benchmarks.windows CORPUS --model DIR [--clips 200] [--files 10]

Clips of the corpus are joined into files of many windows' length, 0.3 s apart. Prints the share of characters that
differ, over all files and for each, and the same for the characters within 2 s of where two windows meet.
"""

import argparse
from pathlib import Path

import numpy as np

from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.corpora import read_corpus
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.recognition import windows
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.recognition.transcript import Transcript

GAP = np.zeros(3 * SAMPLE_RATE // 10, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--files", type=int, default=10)
    arguments = parser.parse_args()
    transcriber = Transcriber(arguments.model)
    utterances = read_corpus(arguments.corpus).utterances
    chosen = utterances[:: max(1, len(utterances) // arguments.clips)][: arguments.clips]
    everywhere, near = metrics.Score(), metrics.Score()
    for number, part in enumerate(np.array_split(np.array(chosen, dtype=object), arguments.files), start=1):
        wave = np.concatenate([piece for each in part for piece in (each.wave(), GAP)])
        (log_probs,) = transcriber.runtime.log_probs([wave])
        whole, windowed = transcriber.transcript(log_probs, len(wave)), transcriber(wave)
        score = metrics.score(whole.text, windowed.text)
        everywhere += score
        near += metrics.score(*(around_joints(each) for each in (whole, windowed)))
        print(f"file {number}: {len(wave) / SAMPLE_RATE:.0f} s, {score.characters.rate:.4f}")
    print(f"{len(chosen)} clips, characters that differ: {everywhere.characters.rate:.4f}")
    print(f"within 2 s of a joint: {near.characters.rate:.4f}")


def around_joints(transcript: Transcript) -> str:
    """The words whose middle lies within 2 s of where two windows meet."""
    first, hop = (windows.WINDOW - windows.MARGIN) / SAMPLE_RATE, windows.HOP / SAMPLE_RATE

    def near(seconds: float) -> bool:
        return seconds > first - 2 and (seconds - first + 2) % hop < 4

    return " ".join(word.text for word in transcript.words if near((word.start + word.end) / 2))


if __name__ == "__main__":
    main()
