"""Transcriber: the one path from audio to Transcript."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from distilhubert_ko import audio, ctc, longform, transcript
from distilhubert_ko.errors import ModelError
from distilhubert_ko.runtime import Runtime, resolve
from distilhubert_ko.text import Tokenizer
from distilhubert_ko.transcript import Transcript

BATCH_SECONDS = 40.0  # of audio, padding included, in one batch


class Transcriber:
    """Speech to text with a model folder or a Hub id, on ONNX Runtime.

    Raises ModelError for a folder that is no exported model and UnavailableError where the Hub cannot give it.
    """

    def __init__(self, model: str | Path, threads: int | None = None):
        self.folder = resolve(str(model))
        self.tokenizer = Tokenizer.load(self.folder)
        self.runtime = Runtime(self.folder, threads)
        outputs = self.runtime.vocabulary
        if not self.tokenizer.fewest_outputs <= outputs <= len(self.tokenizer):
            raise ModelError(
                f"{self.folder}: the model has {outputs} outputs and the vocabulary {len(self.tokenizer)} tokens; "
                "give the vocab.json, added_tokens.json and tokenizer_config.json that the model was trained with"
            )

    def __call__(self, source: str | Path | bytes | BinaryIO | np.ndarray) -> Transcript:
        """The transcript of a file, its bytes, or mono 16 kHz samples, of any length.

        Raises AudioError for audio that cannot be read and for an array that is no wave.
        """
        samples = 0

        def counted(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
            nonlocal samples
            for block in blocks:
                samples += len(block)
                yield block

        blocks = [audio.wave(source)] if isinstance(source, np.ndarray) else audio.blocks(source)
        pieces = longform.log_probs(self.runtime, counted(blocks))
        tokens = ctc.greedy_pieces(pieces, blank=self.tokenizer.blank_id)
        return transcript.from_tokens(tokens, self.tokenizer, samples / audio.SAMPLE_RATE)

    def transcript(self, log_probs: np.ndarray, samples: int) -> Transcript:
        """The best path through log-probabilities (frames, vocabulary) of a clip of `samples`."""
        tokens = ctc.greedy(log_probs, blank=self.tokenizer.blank_id)
        return transcript.from_tokens(tokens, self.tokenizer, samples / audio.SAMPLE_RATE)

    def log_probs(self, waves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Log-probabilities (frames, vocabulary) of each wave: short ones in batches of like length, long ones in
        windows, so that a wave gets the same answer here and in a call of its own.
        """
        results: list[np.ndarray] = [np.empty(0)] * len(waves)
        order = sorted(range(len(waves)), key=lambda i: len(waves[i]))
        while order:
            batch = [order.pop()]  # the longest sets the width
            longest = len(waves[batch[0]])
            if longest > longform.WINDOW:
                results[batch[0]] = np.concatenate([*longform.log_probs(self.runtime, [waves[batch[0]]])])
                continue
            room = int(BATCH_SECONDS * audio.SAMPLE_RATE / max(1, longest))
            while order and len(batch) < room:
                batch.append(order.pop())
            for i, result in zip(batch, self.runtime.log_probs([waves[i] for i in batch]), strict=True):
                results[i] = result
        return results
