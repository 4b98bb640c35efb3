"""The target sherpa-onnx: a folder for sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from distilhubert_ko.export import graphs
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.files.writing import write_text
from distilhubert_ko.model_folder import GRAPH
from distilhubert_ko.text.tokenizer import Tokenizer

TOKENS = "tokens.txt"


def convert_to_sherpa(
    source: ExportSource, folder: Path, speech: Mapping[str, Observed], waves: Sequence[np.ndarray]
) -> None:
    """Replace what an export wrote into `folder` by model.onnx and tokens.txt, in int8 where `speech` is not empty.

    sherpa-onnx normalises each clip. A model that was trained on speech as it is gets back the loudness of `waves`.
    """
    tokenizer = Tokenizer.load(source.folder)
    for file in folder.iterdir():
        file.unlink()
    loudness = float(np.median([wave.std() for wave in waves if wave.any()] or [1.0]))
    source.write_graph(_sherpa_graph(source, tokenizer, loudness, speech), folder / GRAPH)
    write_text(folder / TOKENS, sherpa_tokens(tokenizer))


def sherpa_tokens(tokenizer: Tokenizer) -> str:
    """Return tokens.txt: the blank under a name that sherpa-onnx knows, and the delimiter as SentencePiece's space."""
    names = dict(enumerate(tokenizer.tokens))
    if tokenizer.delimiter_id is not None:
        names[tokenizer.delimiter_id] = "▁"
    del names[tokenizer.blank_id]
    return "".join(f"{name} {id}\n" for id, name in enumerate(["<blk>", *names.values()]))


def _sherpa_graph(
    source: ExportSource, tokenizer: Tokenizer, loudness: float, speech: Mapping[str, Observed]
) -> onnx.ModelProto:
    """Return the graph for one clip at a time, with the blank as id 0."""
    order = [tokenizer.blank_id, *(id for id in range(len(tokenizer)) if id != tokenizer.blank_id)]
    order = [id for id in order if id < len(source.weights["lm_head.bias"])]
    head = {name: source.weights[name][order] for name in ("lm_head.weight", "lm_head.bias")}
    whole = 1.0 if source.normalise else loudness
    return graphs.build_graph({**source.weights, **head}, source.network.config.to_dict(), whole=whole, speech=speech)
