"""Graphs for programs that take the likeliest label of each frame, and know no more of a model than its vocabulary.

What `recognition` does around the network is in the graph, as nodes before and after it: clips too short for a frame,
frames of padding, and spaces where speech pauses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from distilhubert_ko.audio.frames import FRAME_STEP, SAMPLE_RATE
from distilhubert_ko.export import graphs
from distilhubert_ko.export.onnx_builder import Observed, OnnxBuilder
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.recognition.words import LONGEST_RUN, WORD_GAP
from distilhubert_ko.text.tokenizer import Tokenizer

SHORTEST = 400
"""Samples that every encoder makes a frame of."""
NEVER = -100.0
"""The log-probability of what is not said: low, and still finite for what adds such numbers up."""


@dataclass(frozen=True)
class TensorNames:
    """What a program calls the inputs and the output of a graph."""

    waves: str
    log_probs: str
    lengths: str | None = None
    """None: the program gives clips without padding."""


def write_greedy_graphs(
    source: ExportSource, speech: Mapping[str, Observed], names: TensorNames, float32: Path, int8: Path
) -> None:
    """Write the graph in float32 and, where `speech` is not empty, another one in int8."""
    tokenizer = Tokenizer.load(source.folder)
    for path, known in ((float32, {}), (int8, speech)):
        if known or path is float32:
            source.write_graph(greedy_graph(source, tokenizer, known, names), path)


def greedy_graph(
    source: ExportSource, tokenizer: Tokenizer, speech: Mapping[str, Observed], names: TensorNames
) -> onnx.ModelProto:
    """Return the graph with `names`, in int8 with `speech`, else in float32.

    Its log-probabilities (batch, time, vocabulary) say what the Transcriber writes: blanks in the padding, and a word
    delimiter in each pause that no word holds.
    """
    config = source.network.config.to_dict()
    builder = graphs.graph_class(config)(source.weights, config, speech)
    own = names.lengths or builder.whole_lengths(names.waves)
    # A clip too short for a frame is padded to one, which is then taken for padding.
    waves = builder.add("Pad", names.waves, np.array([0, 0, 0, SHORTEST]))
    lengths = builder.add("Max", own, np.array([SHORTEST]))
    if source.normalise:
        waves = builder.normalised(waves, lengths)
    frames = builder.add("Max", builder.frames(own), np.array([0]))
    log_probs = builder.add("LogSoftmax", builder.logits(waves, lengths, builder.frames(lengths)), axis=-1)
    own_frames = builder.add("Unsqueeze", builder.valid(log_probs, frames), np.array([2]))
    blank = _certain(tokenizer.blank_id, len(source.weights["lm_head.bias"]))
    log_probs = builder.add("Where", own_frames, log_probs, blank)
    if tokenizer.delimiter_id is not None:
        log_probs = parted(builder, log_probs, tokenizer)
    builder.nodes[-1].output[0] = names.log_probs
    return builder.finished(names.waves, names.log_probs, names.lengths)


def _certain(label: int, outputs: int) -> np.ndarray:
    """Return log-probabilities (outputs,) of a label that is certain."""
    row = np.full(outputs, NEVER, np.float32)
    row[label] = 0
    return row


def parted(builder: OnnxBuilder, log_probs: str, tokenizer: Tokenizer) -> str:
    """Return `log_probs` (batch, time, vocabulary) with the delimiter where nothing was audible for WORD_GAP.

    As in `recognition.words`, a label is audible for LONGEST_RUN frames at most.
    """
    assert tokenizer.delimiter_id is not None
    labels = builder.add("ArgMax", log_probs, axis=2, keepdims=0)
    before = builder.add("Pad", labels, np.array([0, 1, 0, -1]), np.array(-1))  # the label of the frame before
    changed = builder.add("Not", builder.add("Equal", labels, before))
    silent = builder.add("Equal", labels, np.array(tokenizer.blank_id))
    audible = builder.add("And", _lately(builder, changed, LONGEST_RUN), builder.add("Not", silent))
    word = builder.add(
        "Unsqueeze", _lately(builder, audible, round(WORD_GAP * SAMPLE_RATE / FRAME_STEP)), np.array([2])
    )
    delimiter = _certain(tokenizer.delimiter_id, len(builder.weights["lm_head.bias"]))
    return builder.add("Where", word, log_probs, delimiter)


def _lately(builder: OnnxBuilder, frames: str, count: int) -> str:
    """Return whether any of the last `count` frames (batch, time), with the frame itself, is true."""
    numbers = builder.add("Unsqueeze", builder.add("Cast", frames, to=TensorProto.FLOAT), np.array([1]))
    largest = builder.add("MaxPool", numbers, kernel_shape=[count], pads=[count - 1, 0])
    return builder.add("Cast", builder.add("Squeeze", largest, np.array([1])), to=TensorProto.BOOL)
