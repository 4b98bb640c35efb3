"""The graph in int8 behind its gate: the fastest one whose CER on a corpus is close enough to that of float32."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distilhubert_ko.audio.frames import SAMPLE_RATE, FrameGrid
from distilhubert_ko.data.examples import Example, Split
from distilhubert_ko.decoding.decoder import NO_LM
from distilhubert_ko.errors import ExportError, InputError
from distilhubert_ko.evaluation import report
from distilhubert_ko.export import calibration
from distilhubert_ko.export.graphs import graph_class
from distilhubert_ko.export.onnx_builder import OUT, Observed
from distilhubert_ko.export.source import ExportSource
from distilhubert_ko.model_folder import GRAPH
from distilhubert_ko.recognition.transcriber import Transcriber

ALLOWED = 0.003  # by which the CER in int8 may exceed that in float32
CLIPS = 256  # of the corpus, spread evenly, that ranges are observed on; 64 cost Pansori 0.3 points more
LONGEST = 15 * SAMPLE_RATE  # samples that are used of such a clip


@dataclass(frozen=True)
class PrecisionTrial:
    """A graph's CER on the corpus, and which parts of it are in float32 (None: all)."""

    float32: tuple[str, ...] | None
    cer: float

    def __str__(self) -> str:
        what = "float32" if self.float32 is None else "int8"
        kept = f", {', '.join(self.float32)} in float32" if self.float32 else ""
        return f"{what}{kept}: CER {self.cer:.4f}"


def write_int8_graph(
    source: ExportSource,
    folder: Path,
    split: Split,
    waves: Sequence[np.ndarray],
    on_trial: Callable[[PrecisionTrial], None],
) -> Mapping[str, Observed]:
    """Replace the float32 graph in `folder` by the fastest one that is accurate enough, and return its ranges.

    It is one of the RUNGS of its class. Ranges are observed on `waves`, and CER is measured on `split`. Raises
    ExportError where none is accurate enough.
    """

    def trial(float32: tuple[str, ...] | None) -> PrecisionTrial:
        measured = report.evaluate_split(Transcriber(folder, lm=NO_LM), split)
        made = PrecisionTrial(float32, measured.cer)
        on_trial(made)
        return made

    best = trial(None)
    config = source.network.config.to_dict()
    speech = calibration.observe_ranges(source.weights, config, waves, source.normalise)
    tried: list[PrecisionTrial] = []
    for rung in graph_class(config).RUNGS:
        known = {name: seen for name, seen in speech.items() if not name.removesuffix(OUT).endswith(rung)}
        source.write_graph(source.graph(known), folder / GRAPH)
        tried.append(trial(rung))
        if tried[-1].cer <= best.cer + ALLOWED:
            return known
    closest = min(tried, key=lambda each: each.cer)
    raise ExportError(
        f"{source.folder}: int8 is not accurate enough on {split.spec}: {closest}, against {best} (allowed: "
        f"{100 * ALLOWED:.1f} points more). Nothing was written; use float32, or a corpus closer to the audio that the "
        "model is for"
    )


def calibration_waves(examples: Sequence[Example], grid: FrameGrid) -> list[np.ndarray]:
    """Return the waves (samples,) of CLIPS utterances, spread evenly, each cut to LONGEST.

    Raises InputError where none has a frame.
    """
    count = min(CLIPS, len(examples))
    chosen = [examples[number * len(examples) // count] for number in range(count)]
    waves = [example.utterance.wave()[:LONGEST] for example in chosen]
    long_enough = [wave for wave in waves if grid.count(len(wave))]
    if not long_enough:
        raise InputError("no utterance of the corpus is long enough to observe: give one with speech")
    return long_enough
