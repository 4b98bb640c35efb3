"""Export of a model folder, checked before anything is replaced: a graph beside the weights, or a folder of its own."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from distilhubert_ko.data.reading import DEFAULT_READING, Reading
from distilhubert_ko.decoding import decoder
from distilhubert_ko.errors import InputError
from distilhubert_ko.evaluation import report
from distilhubert_ko.export.int8_gate import PrecisionTrial, calibration_waves, write_int8_graph
from distilhubert_ko.export.onnx_asr import convert_to_onnx_asr
from distilhubert_ko.export.onnx_builder import Observed
from distilhubert_ko.export.sherpa import convert_to_sherpa
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.export.transformers_js import convert_to_transformers_js
from distilhubert_ko.export.web import convert_to_web, runtime_archive
from distilhubert_ko.files.outputs import check_output, check_replaceable_folder, replaced_output_folder
from distilhubert_ko.files.writing import replaced_files, writing_errors
from distilhubert_ko.model_folder import GRAPH, LANGUAGE_MODEL, is_own_graph

COMPANIONS = (
    "added_tokens.json",
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "recipe.toml",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.json",
)
Conversion = Callable[[ExportSource, Path, Mapping[str, Observed], Sequence[np.ndarray]], None]
TARGETS: dict[str, Conversion | None] = {
    "onnx": None,
    "sherpa-onnx": convert_to_sherpa,
    "onnx-asr": convert_to_onnx_asr,
    "transformers.js": convert_to_transformers_js,
    "web": convert_to_web,
}
"""Target -> what turns an exported folder that this package opens into the target's; None where nothing has to."""


def export_graph(folder: Path, path: Path | None = None) -> float:
    """Write the graph of a model folder in float32 to `path`, by default model.onnx in the folder.

    Return the largest difference of log-probabilities to torch. Raises ModelError for a folder that cannot be loaded,
    and InputError for a model.onnx there that this program did not write, or where nothing can be written.
    Raises ExportError, and leaves what was there, where the graph does not give what the model gives in torch, or is
    too large for one file.
    """
    if path is None:
        path = check_output(folder / GRAPH, mark=is_own_graph)
    source = ExportSource.load(folder)
    with writing_errors(path), replaced_files(path.parent) as temporary:
        source.write_graph(source.graph(), temporary / GRAPH)
        difference = source.check_parity(temporary)
        (temporary / GRAPH).rename(temporary / path.name)
    return difference


def export_folder(
    folder: Path,
    out: Path,
    *,
    target: str = "onnx",
    int8: bool = False,
    corpus: str | None = None,
    reading: Reading = DEFAULT_READING,
    on_trial: Callable[[PrecisionTrial], None] = lambda trial: None,
) -> float:
    """Write a folder `out` that runs without the weights, and return the difference to torch as `export_graph` does.

    `target` is one of TARGETS. `int8` needs a `corpus` (scheme:location#split, read as `reading` says): ranges are
    observed on CLIPS of its utterances. CER is measured on all of them, of float32 and then of the graph's RUNGS until
    one is within ALLOWED of it. For sherpa-onnx, a corpus tells how loud speech is.

    `out` is exchanged whole, and must hold nothing that this program did not write. In the model's own folder, only the
    graph is replaced. Raises what `export_graph` raises, and ExportError where no graph in int8 is good enough.
    """
    convert, in_place = TARGETS[target], os.path.realpath(out) == os.path.realpath(folder)
    if int8 and corpus is None:
        raise InputError("int8 needs a corpus to observe ranges on and to compare CER on: name one")
    if convert and in_place:
        raise InputError(
            f"{out}: a folder for {target} cannot be opened here any more: give another folder than the model's"
        )
    if target == "web":
        runtime_archive()  # before work of minutes
    if in_place:
        check_output(out / GRAPH, mark=is_own_graph)
    else:
        check_replaceable_folder(out)
    source = ExportSource.load(folder)
    speech: Mapping[str, Observed] = {}
    waves: list[np.ndarray] = []
    with _replaced_graph(out) if in_place else replaced_output_folder(out) as temporary:
        for name in COMPANIONS:
            if (folder / name).is_file():
                shutil.copy(folder / name, temporary)
        source.write_graph(source.graph(), temporary / GRAPH)
        difference = source.check_parity(temporary)
        if corpus is not None:
            split = report.read_evaluation_split(temporary, corpus, reading)
            waves = calibration_waves(split.examples, source.network.grid)
            if int8:
                speech = write_int8_graph(source, temporary, split, waves, on_trial)
        if convert:
            convert(source, temporary, speech, waves)
        elif not in_place and decoder.carried_language_model(folder):
            shutil.copytree(folder / LANGUAGE_MODEL, temporary / LANGUAGE_MODEL)
    return difference


@contextmanager
def _replaced_graph(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, of which the graph alone goes to `folder`. Raises InputError where it cannot."""
    with writing_errors(folder), replaced_files(folder) as temporary:
        yield temporary
        for file in temporary.iterdir():
            if file.name != GRAPH:
                file.unlink()
