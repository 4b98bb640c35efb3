"""Tiny corpora of tones in the layouts of AI Hub, and the road that each of them goes."""

import itertools
from pathlib import Path

import numpy as np
import soundfile

from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.data.dataset import prepare_dataset
from distilhubert_ko.data.examples import Split
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.evaluation.report import evaluate_model
from distilhubert_ko.export.exporting import export_graph
from distilhubert_ko.model_folder import read_log
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.training import finetune
from tests.support.model import TINY, TINY_TRAINING
from tests.support.speech import WORDS, tones

SENTENCES = [" ".join(words) for words in itertools.permutations(WORDS, 2)]


def write_audio(path: Path, text: str) -> Path:
    """Write the tones of a text as headerless PCM, or in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = tones(text, 100)
    if path.suffix == ".pcm":
        path.write_bytes((wave * 2**15).astype("<i2").tobytes())
    else:
        soundfile.write(path, wave, SAMPLE_RATE, subtype="PCM_16")
    return path


def write_list(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def annotated(text: str) -> str:
    """Return "나무 바다" with marks and two dual transcripts: what was said is the text."""
    first, second = text.split()
    return f"b/ ({first}1)/({first}) ({second}2) / ({second})+ n/"


def prepared_trained_and_evaluated(train: str, dev: str, root: Path, out: Path) -> Split:
    """Prepare, train on two batches of four, and evaluate; return the training split."""
    config = recipe.Recipe(
        data=recipe.Data(train=train, eval=dev, root=str(root)),
        model=TINY,
        training=recipe.Training(**(vars(TINY_TRAINING) | {"num_epochs": 1, "eval_steps": 2})),
    )
    prepared = prepare_dataset(config)
    folder = finetune.fine_tune(config, out).folder
    assert max(line.get("step", 0) for line in read_log(folder)) == 2
    export_graph(folder)
    report = evaluate_model(Transcriber(folder), dev, reading=Reading(root))
    assert report.utterances == len(prepared.eval.examples)
    assert np.isfinite(report.loss)
    return prepared.train
