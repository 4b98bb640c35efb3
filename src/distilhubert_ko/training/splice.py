"""Splicing: new training sentences from the words of one speaker, cut where a CTC model finds the spaces.

A read corpus may have few distinct sentences (Zeroth about 3,000), which a network learns by heart. The beginning of
one clip with the end of another of the same speaker is a sentence that nobody has learnt. Lam, Ohta, Schamoni and
Riezler exchange aligned words in this way, "On-the-Fly Aligned Data Augmentation for Sequence-to-Sequence ASR",
Interspeech 2021.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distilhubert_ko.audio.frames import SAMPLE_RATE, frame_seconds
from distilhubert_ko.data.examples import Example
from distilhubert_ko.decoding import ctc, decoder
from distilhubert_ko.errors import AudioError, InputError
from distilhubert_ko.files import writing
from distilhubert_ko.files.reading import read_json_object
from distilhubert_ko.recognition.transcriber import Transcriber, recognise_in_chunks

FADE = 160  # samples, 10 ms: the length of the cross-fade, and of a quiet place
CUTS = "cuts.json"

Wave = NDArray[np.float32]


class Splicer:
    """Training clips and the samples at which each can be cut: one for each space in its text, or none."""

    def __init__(self, examples: Sequence[Example], cuts: Sequence[Sequence[int]]):
        self.examples = examples
        self.cuts = cuts

    @cached_property
    def _partners(self) -> dict[str, list[int]]:
        """Return the clips of each speaker that can be cut."""
        found: dict[str, list[int]] = {}
        for index, (example, cuts) in enumerate(zip(self.examples, self.cuts, strict=True)):
            if cuts and example.utterance.speaker is not None:
                found.setdefault(example.utterance.speaker, []).append(index)
        return found

    def splice(self, index: int, wave: Callable[[int], Wave], random: np.random.Generator) -> tuple[Wave, str] | None:
        """Return the beginning of a clip with the end of another one of its speaker, and the text of the two.

        `wave` gives the samples of a clip by its index. The cut in the other clip is the one that keeps the length
        nearest to the first clip's, because batches are of similar lengths. Return None where nothing can be cut.
        """
        partners = self._partners.get(self.examples[index].utterance.speaker or "", [])
        if not self.cuts[index] or len(partners) < 2:
            return None
        other = partners[random.integers(len(partners))]
        before = int(random.integers(len(self.cuts[index])))
        left, right = wave(index), wave(other)
        end = self.cuts[index][before]
        wanted = len(left) - end
        after = int(np.argmin([abs(len(right) - cut - wanted) for cut in self.cuts[other]]))
        words = self.examples[index].text.split()[: before + 1] + self.examples[other].text.split()[after + 1 :]
        return cross_fade(left[:end], right[self.cuts[other][after] :]), " ".join(words)


def cross_fade(left: Wave, right: Wave) -> Wave:
    """Return two waves as one, the end of the first faded into the beginning of the second over FADE samples."""
    fade = min(FADE, len(left), len(right))
    rising = np.linspace(0, 1, fade, dtype=np.float32)
    middle = left[len(left) - fade :] * (1 - rising) + right[:fade] * rising
    return np.concatenate([left[: len(left) - fade], middle, right[fade:]])


def read_or_find_cuts(path: Path, model: str, examples: Sequence[Example]) -> list[list[int]]:
    """Return what `find_cuts` does, and keep it in the file `path`, so that a resumed run has the same cuts.

    Raises what Transcriber does for a model that cannot be opened.
    """
    ids = [example.utterance.id for example in examples]
    if path.is_file():
        table = read_json_object(path, InputError, "delete it; the cuts are then found again")
        if list(table) == ids:
            return list(table.values())
    cuts = find_cuts(Transcriber(model, lm=decoder.NO_LM), examples)
    writing.write_json(path, dict(zip(ids, cuts, strict=True)))
    return cuts


def find_cuts(transcriber: Transcriber, examples: Sequence[Example]) -> list[list[int]]:
    """Return the samples at which each clip can be cut: the quietest places between two words, by forced alignment.

    A clip with a word of no letters between two spaces, or that cannot be decoded or aligned, has none.
    """
    found: list[list[int]] = [[] for _ in examples]

    def open_wave(index: int) -> Wave | None:
        with suppress(AudioError):  # training meets it again, and reports it
            return examples[index].utterance.wave()
        return None

    for index, wave, log_probs in recognise_in_chunks(transcriber, range(len(examples)), open_wave):
        found[index] = _cuts(wave, log_probs, transcriber, examples[index].text)
    return found


def _cuts(wave: Wave, log_probs: np.ndarray, transcriber: Transcriber, text: str) -> list[int]:
    tokenizer = transcriber.tokenizer
    labels = tokenizer.encode(text)
    try:
        tokens = ctc.align_labels(log_probs, labels, blank=tokenizer.blank_id)
    except InputError:
        return []
    spaces = [place for place, label in enumerate(labels) if label == tokenizer.delimiter_id]
    regions = [(tokens[place - 1].end, tokens[place + 1].start) for place in spaces]
    edges = [[round(frame_seconds(frame) * SAMPLE_RATE) for frame in region] for region in regions]
    return [quietest_place(wave, start, max(end, start + FADE)) for start, end in edges]


def quietest_place(wave: Wave, start: int, end: int) -> int:
    """Return the middle of the quietest FADE samples of `wave` between `start` and `end`."""
    energy = np.concatenate(([0.0], np.cumsum(np.square(wave[start:end], dtype=np.float64))))
    if len(energy) <= FADE:
        return min((start + end) // 2, len(wave))
    return start + int(np.argmin(energy[FADE:] - energy[:-FADE])) + FADE // 2
