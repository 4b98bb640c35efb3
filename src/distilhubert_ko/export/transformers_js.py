"""The target transformers.js: a folder for its pipeline "automatic-speech-recognition", in Node and in browsers.

The graph takes waves, whichever encoder is inside, so config.json calls it a HuBERT. Nothing in transformers.js
composes jamo. So the decoder in tokenizer.json has a rule for each syllable that the vocabulary can spell.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distilhubert_ko.export.greedy_graph import TensorNames, write_greedy_graphs
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.files.writing import json_text, write_json, write_text
from distilhubert_ko.model_folder import CONFIG, PREPROCESSOR, TOKENIZER
from distilhubert_ko.text.hangul import CONJOINING_JAMO, compose, compose_letters, jamo_roles
from distilhubert_ko.text.tokenizer import Tokenizer

FLOAT32_GRAPH, INT8_GRAPH = "onnx/model.onnx", "onnx/model_quantized.onnx"
RULES = "tokenizer.json"
NAMES = TensorNames("input_values", "logits")
WAVES = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "processor_class": "Wav2Vec2Processor",
    "do_normalize": False,
    "feature_size": 1,
    "padding_value": 0.0,
    "sampling_rate": 16_000,
}
"""preprocessor_config.json: a graph for waves that have to be normalised does that itself."""

Rule = dict[str, Any]


def convert_to_transformers_js(
    source: ExportSource, folder: Path, speech: Mapping[str, Observed], waves: Sequence[np.ndarray]
) -> None:
    """Replace what an export wrote into `folder` by what transformers.js opens, with int8 as well for `speech`."""
    tokenizer = Tokenizer.load(source.folder)
    for file in folder.iterdir():
        file.unlink()
    (folder / FLOAT32_GRAPH).parent.mkdir()
    write_greedy_graphs(source, speech, NAMES, folder / FLOAT32_GRAPH, folder / INT8_GRAPH)
    outputs = len(source.weights["lm_head.bias"])
    network = {"model_type": "hubert", "architectures": ["HubertForCTC"]}
    write_json(folder / CONFIG, network | {"vocab_size": outputs, "pad_token_id": tokenizer.blank_id})
    write_json(folder / PREPROCESSOR, WAVES)
    special = {"pad_token": tokenizer.blank_token, "unk_token": tokenizer.unknown_token}
    kind = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "clean_up_tokenization_spaces": False}
    write_json(folder / TOKENIZER, kind | special)
    write_text(folder / RULES, json_text(tokenizer_rules(tokenizer)))


def tokenizer_rules(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return tokenizer.json, which turns a label per frame into the text that the Transcriber writes.

    No token is special to it: special ones would go before repeats are collapsed.
    """
    ids = {token: id for id, token in enumerate(tokenizer.tokens)}
    unused = ("normalizer", "pre_tokenizer", "post_processor", "truncation", "padding")
    return {
        "version": "1.0",
        "added_tokens": [],
        **dict.fromkeys(unused),
        "model": {"type": "WordLevel", "vocab": ids, "unk_token": tokenizer.unknown_token},
        "decoder": {"type": "Sequence", "decoders": [*_decoders(tokenizer)]},
    }


def _decoders(tokenizer: Tokenizer) -> Iterator[Rule]:
    delimiter = tokenizer.delimiter_token
    yield {"type": "CTC", "pad_token": tokenizer.blank_token, "word_delimiter_token": delimiter or "", "cleanup": False}
    yield {"type": "Fuse"}
    yield from (_replace(token, "") for token in (tokenizer.bos_token, tokenizer.eos_token) if token is not None)
    if tokenizer.units == "jamo":
        yield from _compositions(tokenizer)
    # What the Transcriber leaves out of a text: unknown units and jamo that form no syllable.
    yield _replace(tokenizer.unknown_token, "")
    yield _replace("[\u1100-\u11ffㄱ-ㅣ]" if tokenizer.units == "jamo" else "[\u1100-\u11ff]", "", regex=True)
    if delimiter is not None:
        yield _replace(delimiter, " ")
    if tokenizer.lower_case:
        capitals = (token for token in tokenizer.tokens if len(token) == 1 and token.lower() != token)
        yield from (_replace(token, token.lower()) for token in capitals)
    yield _replace(" +", " ", regex=True)
    yield _replace("^ | $", "", regex=True)


def _compositions(tokenizer: Tokenizer) -> Iterator[Rule]:
    """Yield a rule for each syllable that jamo of the vocabulary form; those with a final consonant come first."""
    initials, medials, finals = (
        [token for token in tokenizer.tokens if len(token) == 1 and jamo_roles(token)[role]] for role in range(3)
    )
    letters = not CONJOINING_JAMO.search("".join(tokenizer.tokens))
    for final in (*finals, ""):
        for spelt in map("".join, itertools.product(initials, medials, [final])):
            syllable = compose_letters(spelt) if letters else compose(spelt)
            if len(syllable) == 1 and letters and final:
                yield _replace(f"{spelt}(?![ㅏ-ㅣ])", syllable, regex=True)  # or it begins the next syllable
            elif len(syllable) == 1:
                yield _replace(spelt, syllable)


def _replace(pattern: str, content: str, regex: bool = False) -> Rule:
    return {"type": "Replace", "pattern": {"Regex" if regex else "String": pattern}, "content": content}
