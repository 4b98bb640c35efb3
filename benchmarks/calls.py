"""What a channel for each speaker is worth: CER of calls, split by channel, mixed, and of their turns alone.

    python -m benchmarks.calls MODEL CORPUS [--root DIR] [--json docs/results/calls.json]

Each two speakers of the corpus have a call, with five turns each, in turn. A turn is a clip. It begins half a second
after the one before it, or a second and a half before that one ends, if its speaker has ended. Each speaker has a
channel. The other channel is silent meanwhile, as where a telephone exchange records. Only speech is transcribed, as by
the server.
"""

import argparse
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from distilhubert_ko import Transcriber, Transcript
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.examples import Example
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.evaluation.report import read_evaluation_split
from distilhubert_ko.files.writing import write_json
from distilhubert_ko.recognition.speakers import transcribe_channels
from distilhubert_ko.recognition.vad import VadOptions

TURNS = 5  # of each speaker
OVERLAPS = (-0.5, 1.5)  # seconds


@dataclass(frozen=True)
class Call:
    """The waves of both channels (samples, 2), and the turns in their order, each with the number of its channel."""

    waves: NDArray[np.float32]
    turns: Sequence[tuple[int, str]]

    def said(self, channel: int | None = None) -> str:
        """Return what is said in a channel, or in both."""
        return " ".join(text for speaker, text in self.turns if channel in (speaker, None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--root", type=Path, default=Path("."), help="Relative locations of corpora start here.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    split = read_evaluation_split(options.model, options.corpus, Reading(root=options.root, allow_outside=True))
    transcriber = Transcriber(options.model, threads=1)
    pairs = [*paired(split.examples)]
    alone = [(turn.text, transcriber(turn.utterance.wave(), VadOptions()).text) for pair in pairs for turn in pair]
    rows = [row("each turn alone", None, alone)]
    for overlap in OVERLAPS:
        calls = [recorded(pair, overlap) for pair in pairs]
        found = [transcribe_channels(transcriber, wav(call), VadOptions()) for call in calls]
        lanes = [(call.said(n), of(each, n)) for call, each in zip(calls, found, strict=True) for n in (1, 2)]
        mixed = [(call.said(), transcriber(wav(call), VadOptions()).text) for call in calls]
        rows += [row("a channel for each speaker", overlap, lanes), row("mixed", overlap, mixed)]
    for each in rows:
        print(json.dumps(each), flush=True)
    if options.json:
        decoding = "language model" if transcriber.decoder.model else "greedy"
        account = {"calls": len(pairs), "turns": len(alone), "speakers": len(speakers(pairs)), "decoding": decoding}
        write_json(options.json, account | {"rows": rows})


def paired(examples: Sequence[Example]) -> Iterator[list[Example]]:
    """Yield the turns of each call in their order: one call of each two speakers, of clips that no other call has."""
    by_speaker = itertools.groupby(examples, key=lambda example: example.utterance.speaker)
    clips = [iter([*group]) for _, group in by_speaker]
    for pair in itertools.combinations(clips, 2):
        turns = [[*itertools.islice(each, TURNS)] for each in pair]
        if all(len(each) == TURNS for each in turns):
            yield [turn for both in zip(*turns, strict=True) for turn in both]


def speakers(pairs: Sequence[Sequence[Example]]) -> set[str | None]:
    return {turn.utterance.speaker for pair in pairs for turn in pair}


def recorded(turns: Sequence[Example], overlap: float) -> Call:
    """Return a call in which each turn begins `overlap` seconds before the end of the one before it.

    It begins later where its speaker has not ended yet.
    """
    waves = [turn.utterance.wave() for turn in turns]
    starts: list[int] = []
    ends = [0, 0]  # of the turn before, and of the one before that, which has the same speaker
    for wave in waves:
        starts.append(max(ends[1] - round(overlap * SAMPLE_RATE), ends[0], 0))
        ends = [ends[1], starts[-1] + len(wave)]
    both = np.zeros((max(ends), 2), np.float32)
    for number, (start, wave) in enumerate(zip(starts, waves, strict=True)):
        both[start : start + len(wave), number % 2] = wave
    return Call(both, [(number % 2 + 1, turn.text) for number, turn in enumerate(turns)])


def wav(call: Call) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, call.waves, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def of(found: Transcript, speaker: int) -> str:
    return " ".join(word.text for word in found.words if word.speaker == speaker)


def row(name: str, overlap: float | None, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    score = sum(itertools.starmap(metrics.score, pairs), metrics.Score())
    return {
        "transcribed": name,
        "overlap_seconds": overlap,
        "cer": round(score.characters.rate, 4),
        "cer_no_space": round(score.characters_no_space.rate, 4),
    }


if __name__ == "__main__":
    main()
