"""The target onnx-asr: a folder of its type wav2vec2-ctc, whose graph takes waves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from distilhubert_ko.errors import InputError
from distilhubert_ko.export.greedy_graph import TensorNames, write_greedy_graphs
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.files.writing import write_json, write_text
from distilhubert_ko.model_folder import CONFIG, GRAPH
from distilhubert_ko.text.hangul import COMPATIBILITY_JAMO
from distilhubert_ko.text.tokenizer import Tokenizer

INT8_GRAPH = "model.int8.onnx"
TOKENS = "vocab.txt"
NAMES = TensorNames("input_values", "logprobs", "input_lengths")
SETTINGS = {"model_type": "wav2vec2-ctc", "subsampling_factor": 2}
"""config.json. onnx-asr counts in steps of 10 ms, of which a frame has two."""


def convert_to_onnx_asr(
    source: ExportSource, folder: Path, speech: Mapping[str, Observed], waves: Sequence[np.ndarray]
) -> None:
    """Replace what an export wrote into `folder` by what onnx-asr opens, with a graph in int8 as well for `speech`.

    Raises InputError for a vocabulary whose letters onnx-asr would leave apart.
    """
    tokenizer = Tokenizer.load(source.folder)
    if tokenizer.units == "jamo" and COMPATIBILITY_JAMO.search("".join(tokenizer.tokens)):
        raise InputError(
            f"{source.folder}: the vocabulary spells syllables with letters (ㄱ), which onnx-asr leaves apart: use "
            "another target"
        )
    for file in folder.iterdir():
        file.unlink()
    write_greedy_graphs(source, speech, NAMES, folder / GRAPH, folder / INT8_GRAPH)
    write_text(folder / TOKENS, onnx_asr_tokens(tokenizer))
    write_json(folder / CONFIG, SETTINGS)


def onnx_asr_tokens(tokenizer: Tokenizer) -> str:
    """Return vocab.txt: the blank as <blk>, the delimiter as a space, and nothing for tokens that are never written."""
    unwritten = {tokenizer.unknown_token, tokenizer.bos_token, tokenizer.eos_token}
    names = dict.fromkeys(unwritten, "") | {tokenizer.blank_token: "<blk>"}
    if tokenizer.delimiter_token is not None:
        names[tokenizer.delimiter_token] = "▁"
    return "".join(f"{names.get(token, token)} {id}\n" for id, token in enumerate(tokenizer.tokens))
