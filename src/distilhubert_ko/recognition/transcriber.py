"""Transcriber: the one path from audio to Transcript."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeVar, Unpack

import numpy as np

from distilhubert_ko.audio.channels import USUAL, AudioChoice
from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE, frame_seconds, frame_steps
from distilhubert_ko.audio.reading import as_wave, audio_blocks
from distilhubert_ko.decoding import beam, ctc, decoder
from distilhubert_ko.decoding.decoder import DecodingOptions
from distilhubert_ko.errors import AudioError, InputError, ModelError
from distilhubert_ko.model_folder import resolve
from distilhubert_ko.recognition import windows
from distilhubert_ko.recognition.doubt import without_doubtful
from distilhubert_ko.recognition.formats import Numerals
from distilhubert_ko.recognition.live_speech import LiveSpeech
from distilhubert_ko.recognition.session import ModelSession
from distilhubert_ko.recognition.settled_text import SettledText
from distilhubert_ko.recognition.silence import regions_with_audio
from distilhubert_ko.recognition.stream import Stream
from distilhubert_ko.recognition.transcript import Alternative, Transcript
from distilhubert_ko.recognition.vad import SpeechDetector, VadOptions
from distilhubert_ko.recognition.windows import SpeechRegion
from distilhubert_ko.recognition.words import Word, words_from_tokens
from distilhubert_ko.text.tokenizer import Tokenizer

BATCH_SECONDS = 40.0  # of audio, padding included, in one batch, unless more windows are asked for
CHUNK = 64  # clips that `recognise_in_chunks` holds in memory
_NEVER = -100.0  # the log-probability of speaking in silence: low, and still finite for what adds such numbers up

Clip = TypeVar("Clip")
FileSource = str | Path | bytes | BinaryIO
Source = FileSource | np.ndarray


class Transcriber:
    """Speech to text with a model folder or a Hub id, on ONNX Runtime.

    `device` is "cpu", "cuda" or "auto", which is a GPU where ONNX Runtime has one. `batch_size` windows of a long
    recording are computed at once. `numerals` says how transcripts write numbers; `stream` gives words.
    `settings` are those of decoding: a language model, which is by default the folder's own, the beam, hot words and
    alternatives.

    Raises ModelError for a folder that is no exported model, and UnavailableError where the Hub cannot give the model
    or the device is missing. Raises InputError for an unknown device, unknown numerals or a batch size below 1, and
    what Decoder raises.
    """

    def __init__(
        self,
        model: str | Path,
        threads: int | None = None,
        *,
        device: str = "auto",
        batch_size: int = 1,
        numerals: str = Numerals.WORDS,
        **settings: Unpack[DecodingOptions],
    ):
        if batch_size < 1:
            raise InputError(f"batch_size {batch_size}: give the number of windows to compute at once, 1 or more")
        if numerals not in tuple(Numerals):
            raise InputError(f"numerals {numerals!r} is unknown: give {' or '.join(Numerals)}")
        self.batch_size = batch_size
        self.numerals = numerals
        self.folder = resolve(str(model))
        self.tokenizer = Tokenizer.load(self.folder)
        self.runtime = ModelSession(self.folder, threads, device)
        self.grid = self.runtime.grid
        outputs = self.runtime.vocabulary
        if not self.tokenizer.fewest_outputs <= outputs <= len(self.tokenizer):
            raise ModelError(
                f"{self.folder}: the model has {outputs} outputs and the vocabulary {len(self.tokenizer)} tokens; "
                "give the vocab.json, added_tokens.json and tokenizer_config.json that the model was trained with"
            )

        self.decoder = decoder.Decoder(self.tokenizer, self.folder, **settings)

    def __call__(
        self,
        source: Source,
        vad: VadOptions | None = None,
        on_progress: Callable[[float], None] | None = None,
        on_text: Callable[[str], None] | None = None,
        choice: AudioChoice = USUAL,
    ) -> Transcript:
        """Return the transcript of a file, its bytes, or mono 16 kHz samples, of any length.

        `choice` says which track and channel of a file are read.

        With `vad`, the source is read twice: once to find where somebody speaks, and once to transcribe only that.
        Nothing is written where it stays in doubt whether that is speech.

        On the way, `on_text` receives the text that has become final. A beam search holds a word back for as long as
        its hypotheses disagree on it, and digits wait for the end of a phrase. `on_progress` receives the seconds of
        the recording that are transcribed, each time after the text of them.

        Raises AudioError for audio that cannot be read and for an array that is no wave.
        """
        samples = 0

        def counted(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
            nonlocal samples
            for block in blocks:
                samples += len(block)
                yield block

        if vad is None:
            pieces = windows.windowed_log_probs(self, counted(_blocks(source, choice)), self.batch_size)
        else:
            source = source if isinstance(source, np.ndarray) else self.rereadable(source)
            regions = self.detector.regions(_blocks(source, choice), vad)
            blocks = counted(_blocks(source, choice))
            pieces = windows.region_log_probs(self, blocks, regions, self._silence, self.batch_size)
            pieces = without_doubtful(pieces, regions, self._silence, self._likeliest_words)
        settled = SettledText(self.tokenizer, in_digits=self.numerals == Numerals.DIGITS)

        def told(tokens: Sequence[ctc.Token], frames: int) -> None:
            if on_text and (text := settled.next(tokens)):
                on_text(text)
            if on_progress:
                on_progress(frame_seconds(frames))

        hypotheses = self.decoder.decode(pieces, told if on_text or on_progress else None)
        # Only now are the samples all counted.
        return self._transcript(hypotheses, samples)

    @staticmethod
    def rereadable(source: FileSource) -> FileSource:
        """Return the source, or its content where it can be read only once, as a stream or a pipe."""
        if isinstance(source, str | Path):
            return Path(source).read_bytes() if Path(source).is_fifo() else source
        return source if isinstance(source, bytes) else source.read()

    def with_numerals(self, numerals: Numerals) -> "Transcriber":
        """Return this transcriber with other numerals, which shares the rest."""
        other = copy.copy(self)
        other.numerals = numerals
        return other

    def with_hotwords(self, hotwords: Sequence[str]) -> "Transcriber":
        """Return this transcriber with other hot words, which shares the rest. Raises InputError as Decoder."""
        other = copy.copy(self)
        other.decoder = self.decoder.with_hotwords(hotwords)
        return other

    def stream(self, vad: VadOptions | None = None) -> Stream:
        """Return a stream for live captions. Feed it the samples of a microphone as they come.

        With `vad`, it writes nothing where nobody speaks. Of its options, the threshold and the padding count. The
        language model and the hot words are those of all transcripts; `with_hotwords` gives others to one stream.
        """
        speech = LiveSpeech(self.detector.listen(), vad) if vad else None
        return Stream(lambda wave: self.log_probs([wave])[0], self.tokenizer, speech, self.decoder.live())

    def transcript(self, log_probs: np.ndarray, samples: int) -> Transcript:
        """Return the transcript of a clip of `samples` from its log-probabilities (frames, vocabulary)."""
        return self._transcript(self.decoder.decode([log_probs]), samples)

    def _transcript(self, hypotheses: Sequence[beam.Hypothesis], samples: int) -> Transcript:
        seconds = samples / SAMPLE_RATE
        best, *others = [Transcript.from_tokens(each.tokens, self.tokenizer, seconds) for each in hypotheses]
        scores = [each.score - hypotheses[0].score for each in hypotheses[1:]]
        alternatives = [Alternative(each.text, score) for each, score in zip(others, scores, strict=True)]
        found = replace(best, alternatives=tuple(alternatives))
        return found.with_digits() if self.numerals == Numerals.DIGITS else found

    def log_probs(self, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return log-probabilities (frames, vocabulary) of each wave.

        Short waves go in batches of like length, long ones in windows, so that a wave gets the same answer as in a
        call of its own. Silence does not go through the network; see `silence`. It is a space, then blanks.
        """
        results: list[np.ndarray] = []
        parts: list[tuple[int, SpeechRegion]] = []  # of each wave that is no longer than a window
        for number, wave in enumerate(waves):
            if len(wave) > windows.WINDOW:
                results.append(np.concatenate([*windows.windowed_log_probs(self, [wave], self.batch_size)]))
                continue
            regions = regions_with_audio(wave)
            results.append(self._pauses(self.grid.count(len(wave)), regions))
            parts += [(number, region) for region in regions]
        parts.sort(key=lambda part: part[1].end - part[1].start)
        while parts:
            batch = [parts.pop()]  # the longest sets the width
            longest = batch[0][1].end - batch[0][1].start
            room = max(self.batch_size, int(BATCH_SECONDS * SAMPLE_RATE / max(1, longest)))
            while parts and len(batch) < room:
                batch.append(parts.pop())
            cut = [waves[number][region.start : region.end] for number, region in batch]
            for (number, region), result in zip(batch, self.runtime.log_probs(cut), strict=True):
                first = frame_steps(region.start)
                results[number][first : first + len(result)] = result
        return results

    def speech_log_probs(self, wave: np.ndarray, vad: VadOptions) -> np.ndarray:
        """Return log-probabilities (frames, vocabulary) of a wave of any length, in which only speech is recognised.

        Raises AudioError where nobody speaks.
        """
        regions = self.detector.regions([wave], vad)
        if not regions:
            raise AudioError("voice activity detection found no speech: check the recording, or do without it")
        return np.concatenate([*windows.region_log_probs(self, [wave], regions, self._silence, self.batch_size)])

    def _pauses(self, frames: int, regions: Sequence[SpeechRegion]) -> np.ndarray:
        """Return a matrix (frames, vocabulary) of silence, to be filled where regions are.

        Each silence that follows a region begins with a space, since whoever pauses so long has ended a word. The blank
        is nearly as likely, for a language model or a text that knows better.
        """
        matrix = np.array(self._silence(frames))
        ends = [region.end // FRAME_STEP for region in regions]
        if self.tokenizer.delimiter_id is not None:
            rows = [end for end in ends if end < frames]
            matrix[rows, self.tokenizer.delimiter_id], matrix[rows, self.tokenizer.blank_id] = np.log([0.55, 0.45])
        return matrix

    def _likeliest_words(self, log_probs: np.ndarray) -> Sequence[Word]:
        """Return the words of the best path of a matrix (frames, vocabulary)."""
        tokens = ctc.greedy(log_probs, self.tokenizer.blank_id)
        return words_from_tokens(tokens, self.tokenizer, frame_seconds(len(log_probs)))

    def _silence(self, frames: int) -> np.ndarray:
        """Return log-probabilities (frames, vocabulary) of silence. All frames share one row of memory."""
        row = np.full(self.runtime.vocabulary, _NEVER, np.float32)
        row[self.tokenizer.blank_id] = 0
        return np.broadcast_to(row, (frames, len(row)))

    @cached_property
    def detector(self) -> SpeechDetector:
        """The network that finds speech, loaded when it is first needed."""
        return SpeechDetector()


def recognise_in_chunks(
    transcriber: Transcriber,
    clips: Sequence[Clip],
    open_wave: Callable[[Clip], np.ndarray | None],
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[Clip, np.ndarray, np.ndarray]]:
    """Yield every clip with its wave (samples,) and its log-probabilities (frames, vocabulary), in order.

    Memory holds CHUNK clips at a time. A clip that `open_wave` has no wave for is left out. `on_progress` receives the
    number of clips done and the number of all clips.
    """
    for known in open_in_chunks(clips, open_wave, on_progress, CHUNK):
        matrices = transcriber.log_probs([wave for _, wave in known])
        for (clip, wave), log_probs in zip(known, matrices, strict=True):
            yield clip, wave, log_probs


def open_in_chunks(
    clips: Sequence[Clip],
    open_wave: Callable[[Clip], np.ndarray | None],
    on_progress: Callable[[int, int], None] | None,
    size: int,
) -> Iterator[list[tuple[Clip, np.ndarray]]]:
    """Yield the clips in order, `size` at a time, with their waves; otherwise as `recognise_in_chunks`."""
    for start in range(0, len(clips), size):
        opened = [(clip, open_wave(clip)) for clip in clips[start : start + size]]
        yield [(clip, wave) for clip, wave in opened if wave is not None]
        if on_progress:
            on_progress(min(start + size, len(clips)), len(clips))


def _blocks(source: Source, choice: AudioChoice) -> Iterable[np.ndarray]:
    if not isinstance(source, np.ndarray):
        return audio_blocks(source, choice=choice)
    if source.ndim != 1:
        return [as_wave(source)]  # which refuses it
    # In pieces, since a long recording may be mapped from a disk rather than held.
    return (as_wave(source[start:][: windows.WINDOW]) for start in range(0, len(source) or 1, windows.WINDOW))
