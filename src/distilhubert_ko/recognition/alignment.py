"""Forced alignment: when each line, word and syllable of a known text is said."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from distilhubert_ko.audio.channels import USUAL, AudioChoice
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.audio.reading import load_audio
from distilhubert_ko.decoding import ctc
from distilhubert_ko.errors import InputError
from distilhubert_ko.recognition.formats import render_transcript
from distilhubert_ko.recognition.segments import Segment
from distilhubert_ko.recognition.silence import SILENCE
from distilhubert_ko.recognition.transcriber import Source, Transcriber
from distilhubert_ko.recognition.transcript import Transcript
from distilhubert_ko.recognition.vad import VadOptions
from distilhubert_ko.recognition.words import Word, word_from_tokens
from distilhubert_ko.text.normalise import normalise
from distilhubert_ko.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Alignment:
    """A text on the time line of its recording.

    Words are as written, their syllables as spoken: "3시" has 세 and 시. A written word that cannot be timed,
    such as a lone dash, stands in the text of the word before it, or after it at the beginning of a line.
    """

    transcript: Transcript
    segments: tuple[Segment, ...]
    """One for each line that was aligned, from the start of its first word to the end of its last."""
    left_out: tuple[str, ...]
    """The characters that the vocabulary cannot spell, in order and with repeats."""
    untimed: tuple[str, ...]
    """The lines with nothing to align, such as a row of dashes."""

    def render(self, name: str) -> str:
        """Return the alignment as the text of a file in one of ALIGNMENT_FORMATS."""
        return render_transcript(self.transcript, name, self.segments)

    def warnings(self) -> Iterator[str]:
        """Yield what a user should know of the text that was not aligned, one line each."""
        if self.left_out:
            counts = Counter(self.left_out).most_common(20)
            shown = ", ".join(f"{character} {count:,}" for character, count in counts)
            more = ", ..." if len({*self.left_out}) > len(counts) else ""
            yield (
                f"characters that the model cannot spell were left out ({len(self.left_out):,}): {shown}{more}; "
                "write them as they are said, in Hangul"
            )
        if self.untimed:
            yield f"lines without words were left out ({len(self.untimed):,}), such as {self.untimed[0]!r}"


@dataclass(frozen=True)
class _SpokenLine:
    """Written words and, for each, the ids of what is said, including delimiters."""

    words: tuple[str, ...]
    ids: tuple[tuple[int, ...], ...]


def align_text(
    transcriber: Transcriber, source: Source, text: str, vad: VadOptions | None = None, choice: AudioChoice = USUAL
) -> Alignment:
    """Return when each line, word and syllable of `text` is said in a file, its bytes, or mono 16 kHz samples.

    With `vad`, nothing is said where nobody speaks. `choice` says which track and channel of a file are read.

    Each label has the frames that it takes on the likeliest path that spells the whole text. A CTC model emits a
    label in a frame or two and the blank for the rest of it, so starts can be trusted more than ends. Memory holds
    the samples and the log-probabilities: for an hour 0.23 GB, and 0.72 MB for each token of the vocabulary, twice
    while they are joined.

    Raises AudioError for audio that cannot be read, or with `vad` has no speech. Raises InputError for silence, for a
    text of which nothing can be spelt, and for one that is too long for the audio.
    """
    lines, left_out, untimed = _read_lines(text, transcriber.tokenizer)
    if not lines:
        raise InputError("the text holds no words that can be aligned: write what is said, in Hangul")
    wave = source if isinstance(source, np.ndarray) else load_audio(source, choice=choice)
    if np.abs(wave).max(initial=0.0) < SILENCE:
        raise InputError("the audio is silent: check that this is the right recording")
    log_probs = transcriber.speech_log_probs(wave, vad) if vad else transcriber.log_probs([wave])[0]
    seconds = len(wave) / SAMPLE_RATE
    words = _timed(lines, log_probs, transcriber.tokenizer, seconds)
    segments = []
    for line in lines:
        group = tuple(next(words) for _ in line.words)
        segments.append(Segment(group[0].start, group[-1].end, (" ".join(line.words),), group))
    aligned = tuple(word for segment in segments for word in segment.words)
    return Alignment(Transcript(aligned, seconds), tuple(segments), tuple(left_out), tuple(untimed))


def spoken_words(words: Sequence[str]) -> list[str]:
    """Return what is said for each written word of a line; together, that is the whole line normalised.

    A word can depend on its neighbours (3 in "3 개", a bracket that opens in one word and closes in another). So the
    line is normalised as a whole, and its characters go to the words whose own forms they match best.
    """
    alone = [normalise(word, spell=True) for word in words]
    whole = normalise(" ".join(words), spell=True)
    owners = [number for number, form in enumerate(alone) for _ in f"{form} "]
    shares = [""] * len(words)
    for change in Levenshtein.opcodes(" ".join(alone), whole):
        for offset, character in enumerate(whole[change.dest_start : change.dest_end]):
            # What is inserted belongs to what stands before it, as 년 to 2020.
            place = max(0, change.src_start - 1) if change.tag == "insert" else change.src_start + offset
            shares[owners[place]] += character
    return shares


def _read_lines(text: str, tokenizer: Tokenizer) -> tuple[list[_SpokenLine], list[str], list[str]]:
    """Return the lines that can be aligned, the characters left out of them, and the lines without words."""
    lines: list[_SpokenLine] = []
    left_out: list[str] = []
    untimed: list[str] = []
    for written in text.splitlines():
        found: list[tuple[str, list[int]]] = []
        words = written.split()
        for word, share in zip(words, spoken_words(words), strict=True):
            unknown = [character for character in share if tokenizer.unknown(character)]
            ids = tokenizer.encode("".join(character for character in share if character not in unknown))
            left_out += unknown
            if found and not (_has_words(ids, tokenizer) and _has_words(found[-1][1], tokenizer)):
                before, its_ids = found.pop()
                found.append((f"{before} {word}", its_ids + ids))
            else:
                found.append((word, ids))
        if found and _has_words(found[0][1], tokenizer):
            lines.append(_SpokenLine(tuple(word for word, _ in found), tuple(tuple(ids) for _, ids in found)))
        elif found:
            untimed.append(" ".join(words))
    return lines, left_out, untimed


def _has_words(ids: Sequence[int], tokenizer: Tokenizer) -> bool:
    return any(id != tokenizer.delimiter_id for id in ids)


def _timed(lines: Sequence[_SpokenLine], log_probs: np.ndarray, tokenizer: Tokenizer, seconds: float) -> Iterator[Word]:
    """Yield the words of the lines in order, aligned all together, with a delimiter between lines."""
    delimiter = tokenizer.delimiter_id
    written = [word for line in lines for word in line.words]
    labels: list[int] = []
    owners: list[int] = []
    number = 0
    for line in lines:
        for place, ids in enumerate(line.ids):
            for id in ids if place or delimiter is None else (delimiter, *ids):
                # What was left out may leave delimiters side by side or at the beginning.
                if id != delimiter or (labels and labels[-1] != delimiter):
                    labels.append(id)
                    owners.append(number)
            number += 1
    if labels[-1] == delimiter:
        labels.pop()
        owners.pop()
    runs: list[list[ctc.Token]] = [[] for _ in written]
    tokens = ctc.align_labels(log_probs, labels, blank=tokenizer.blank_id)
    for token, owner in zip(tokens, owners, strict=True):
        if token.id != delimiter:
            runs[owner].append(token)
    return (word_from_tokens(run, tokenizer, seconds, text) for run, text in zip(runs, written, strict=True))
