"""What a language model and hot words give live captions, and what they cost: CER, delay and time per step.

    python -m benchmarks.caption_search MODEL CORPUS [--root DIR] [--clips 15] [--json docs/results/caption_search.json]

The first clips of each speaker follow one another, 0.4 s apart, as one stream in steps of half a second. All ways of
decoding take the same log-probabilities, so they differ in nothing else. `final` is the time from the end of a word to
the end of the audio with which it became final. `computing` is what a step takes after the network, VAD included. Words
that only the end of a stream made final have no such time. `whole` is the CER of the stream as one recording.

The hot words of a stream are those of its references, of three syllables or more, that its captions with the language
model lack. So they are words that somebody would give, and what they gain is the most that hot words can gain.
"""

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.captions import figures
from distilhubert_ko import Transcriber
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.examples import Example
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.decoding.decoder import NO_LM, Decoder
from distilhubert_ko.evaluation import metrics
from distilhubert_ko.evaluation.report import read_evaluation_split
from distilhubert_ko.files.writing import write_json
from distilhubert_ko.recognition.live_speech import LiveSpeech
from distilhubert_ko.recognition.stream import STEP, Stream
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import VadOptions

PAUSE = np.zeros(SAMPLE_RATE * 2 // 5, np.float32)  # shorter than what ends a word without a space
SHORTEST = 3  # syllables of a hot word


@dataclass
class Talk:
    """One stream: its wave (samples,), its reference, and the matrices of its steps with the seconds they took."""

    clips: int
    wave: NDArray[np.float32]
    reference: str
    whole: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    steps: list[tuple[NDArray[np.float32], float]] = field(default_factory=list)

    @property
    def network(self) -> list[float]:
        """Seconds that the network took for each step."""
        return [seconds for _, seconds in self.steps]


@dataclass
class Captions:
    """What one way of decoding made of one stream: its text, and that of the whole recording. Times in seconds."""

    text: str = ""
    whole: str = ""
    delays: list[float] = field(default_factory=list)
    computing: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--root", type=Path, default=Path("."), help="Relative locations of corpora start here.")
    parser.add_argument("--clips", type=int, default=15, help="The most of one speaker.")
    parser.add_argument("--processor", default="", help="What the times were measured on.")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    split = read_evaluation_split(options.model, options.corpus, Reading(root=options.root, allow_outside=True))
    transcriber = Transcriber(options.model, threads=1)
    greedy = Decoder(transcriber.tokenizer, transcriber.folder, lm=NO_LM)
    talks = [*joined(split.examples, options.clips)]
    for talk in talks:
        recognise(transcriber, talk)
    found = {
        "greedy": [captions(transcriber, greedy, talk) for talk in talks],
        "language model": [captions(transcriber, transcriber.decoder, talk) for talk in talks],
    }
    missed = [lacking(talk.reference, each.text) for talk, each in zip(talks, found["language model"], strict=True)]
    for name, decoder in (("hot words", greedy), ("language model and hot words", transcriber.decoder)):
        found[name] = [
            captions(transcriber, decoder.with_hotwords(words), talk) for talk, words in zip(talks, missed, strict=True)
        ]
    rows = [row(name, talks, each, missed) for name, each in found.items()]
    for each in rows:
        print(json.dumps(each), flush=True)
    if options.json:
        account = {
            "processor": options.processor,
            "threads": 1,
            "streams": len(talks),
            "clips": sum(talk.clips for talk in talks),
            "seconds": round(sum(len(talk.wave) for talk in talks) / SAMPLE_RATE, 1),
            "beam": transcriber.decoder.options.width,
            "hotwords": sum(map(len, missed)),
            "network": figures([seconds for talk in talks for seconds in talk.network]),
        }
        write_json(options.json, account | {"rows": rows})


def joined(examples: Sequence[Example], most: int) -> Iterator[Talk]:
    """Yield a stream for each speaker, of the first clips."""
    for _, group in itertools.groupby(examples, key=lambda example: example.utterance.speaker):
        clips = [*itertools.islice(group, most)]
        waves = [part for example in clips for part in (example.utterance.wave(), PAUSE)]
        yield Talk(len(clips), np.concatenate(waves), " ".join(example.text for example in clips))


def recognise(transcriber: Transcriber, talk: Talk) -> None:
    """Let a stream run once, and keep the matrix of each step, and that of the whole wave."""

    def log_probs(wave: NDArray[np.float32]) -> NDArray[np.float32]:
        start = time.perf_counter()
        (matrix,) = transcriber.log_probs([wave])
        talk.steps.append((matrix, time.perf_counter() - start))
        return matrix.copy()

    play(transcriber, talk, log_probs, transcriber.decoder)
    (talk.whole,) = transcriber.log_probs([talk.wave])


def captions(transcriber: Transcriber, decoder: Decoder, talk: Talk) -> Captions:
    """Return what a decoder makes of the matrices that are known."""
    steps = iter(talk.steps)
    found = play(transcriber, talk, lambda wave: next(steps)[0].copy(), decoder)
    tokens = decoder.decode([talk.whole])[0].tokens
    found.whole = Transcript.from_tokens(tokens, transcriber.tokenizer, len(talk.wave) / SAMPLE_RATE).text
    return found


def play(
    transcriber: Transcriber,
    talk: Talk,
    log_probs: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    decoder: Decoder,
) -> Captions:
    speech = LiveSpeech(transcriber.detector.listen(), VadOptions())
    stream = Stream(log_probs, transcriber.tokenizer, speech, decoder.live())
    found = Captions()
    for first in range(0, len(talk.wave) - STEP + 1, STEP):
        start = time.perf_counter()
        update = stream.feed(talk.wave[first : first + STEP])
        found.computing.append(time.perf_counter() - start)
        found.delays += [(first + STEP) / SAMPLE_RATE - word.end for word in update.final]
    stream.feed(talk.wave[first + STEP :])
    found.text = stream.finish().text
    return found


def lacking(reference: str, text: str) -> list[str]:
    return sorted({word for word in reference.split() if len(word) >= SHORTEST and word not in text})


def row(name: str, talks: Sequence[Talk], found: Sequence[Captions], missed: Sequence[Sequence[str]]) -> dict[str, Any]:
    references = [talk.reference for talk in talks]
    live = sum(map(metrics.score, references, [each.text for each in found]), metrics.Score())
    whole = sum(map(metrics.score, references, [each.whole for each in found]), metrics.Score())
    return {
        "decoding": name,
        "cer": round(live.characters.rate, 4),
        "cer_no_space": round(live.characters_no_space.rate, 4),
        "whole_cer_no_space": round(whole.characters_no_space.rate, 4),
        "hotwords_found": sum(word in each.text for each, words in zip(found, missed, strict=True) for word in words),
        "words_timed": sum(len(each.delays) for each in found),
        "final": figures([delay for each in found for delay in each.delays]),
        "computing": figures([seconds for each in found for seconds in each.computing]),
    }


if __name__ == "__main__":
    main()
