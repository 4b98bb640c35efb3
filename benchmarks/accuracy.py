"""What each lever is worth: a proxy for fine-tuning DistilHuBERT, on two CPU cores.

    python -m benchmarks.accuracy encoder --text TEXT --work DIR
    python -m benchmarks.accuracy rows --speech SPEECH --work DIR
    python -m benchmarks.accuracy distillation --speech SPEECH --work DIR
    python -m benchmarks.accuracy decode --text TEXT --speech SPEECH --work DIR
    python -m benchmarks.accuracy table --speech SPEECH --work DIR

TEXT is a folder of files of Korean sentences, a line each; SPEECH one with Pansori TEDxKR in pansori-tedxkr/ and clips
of Zeroth's test split in zeroth-sample/. What is
trained lies in DIR, and what is there is not trained again, so each command can be stopped and started anew.

`encoder` stands in for the pretrained DistilHuBERT: a narrow network learns CTC on jamo from random weights, on
sentences that espeak-ng speaks. `rows` fine-tunes it, with a new head, on Pansori's training speakers, for each row and
seed with the same number of epochs, so with the same hours of speech. The best checkpoint by CER on the development
speakers is scored on the test speakers. `decode` tunes the language models on the development speakers and scores
again; `table` writes docs/results/accuracy.json and accuracy.png, from which docs/accuracy.md is made.
"""

import argparse
import dataclasses
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.data.reading import Reading
from distilhubert_ko.data.synthetic import VOICES, SpokenLine, speak_corpus
from distilhubert_ko.decoding import decoder, kneser_ney
from distilhubert_ko.decoding import language_model as lm
from distilhubert_ko.evaluation import metrics, report, significance, tuning
from distilhubert_ko.export import exporting
from distilhubert_ko.files import writing
from distilhubert_ko.model.loading import load_network
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.text.normalise import foreign_characters, normalise
from distilhubert_ko.training import distill, finetune
from distilhubert_ko.training.checkpoints import CHECKPOINTS

TEXTS = "intonation-3i4k klue kornlu news-korean-english prompts-piper ud-gsd ud-kaist".split()
SENTENCES, HELD_OUT = 36_000, 400  # spoken for the encoder: 29 h, and as many for its development split
EPOCHS = 24  # of 1.77 h for each row
NARROW = recipe.Model(
    pretrained="random",
    conv_dim=(64, 64, 96, 128, 128, 192, 192),
    hidden_size=256,
    num_attention_heads=4,
    intermediate_size=1024,
    num_conv_pos_embeddings=64,
    hidden_dropout=0.0,
    attention_dropout=0.0,
    activation_dropout=0.0,
)
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "accuracy.json"
CORPUS = "librispeech:pansori-tedxkr#{}"
SPLITS = tuple(
    f"data.{split}={CORPUS.format(name)}" for split, name in (("train", "train"), ("eval", "dev"), ("test", "test"))
)
"""The speakers of Pansori, as `--set` takes them."""


@dataclass(frozen=True)
class Row:
    """A way to fine-tune: changes to the published recipe, as `--set` takes them."""

    changes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)


UNFROZEN = (
    "model.freeze_feature_encoder=false",
    *(f"model.{where}_dropout=0.1" for where in ("hidden", "attention", "activation")),
)
"""All rows train the convolutions, with the encoder's own dropouts, which the recipe does not."""
JAMO = ("text.units=jamo",)
MASKS = (
    "model.mask_time_prob=0.15",
    "model.mask_time_length=8",
    "model.mask_feature_prob=0.1",
    "model.mask_feature_length=16",
)
SPEEDS = ("augment.speeds=[0.9, 1.0, 1.1]",)
NOISE = ("augment.noise_prob=0.3", "augment.reverb_prob=0.3")
DECAY = ("training.weight_decay=0.01", "model.final_dropout=0.1")
STAGES = ("training.lr_scheduler_type=tri_stage",)
HEAD = (
    "training.head_learning_rate=1e-2",
    "training.head_only_steps=60",
    "training.lr_scheduler_warmup_steps=20",
)
AVERAGE = ("training.ema_decay=0.998",)
SPLICES = ("augment.splice_prob=0.3", "augment.splice_model={work}/rows/aligner-0")
LIGHT = (
    "model.mask_time_prob=0.08",
    "model.mask_time_length=8",
    "augment.noise_prob=0.15",
    "augment.reverb_prob=0.1",
    "training.weight_decay=0.01",
    "model.hidden_dropout=0.05",
    "model.attention_dropout=0.0",
    "model.activation_dropout=0.0",
)
ROWS = {
    "aligner": Row((*JAMO, "training.num_epochs=8")),  # finds the words for splices, and is no row of the table
    "published": Row((), (0, 1, 2)),
    "jamo": Row(JAMO),
    "all": Row((*JAMO, *MASKS, *SPEEDS, *NOISE, *DECAY, *STAGES, *HEAD, *AVERAGE, *SPLICES)),
    "light": Row((*JAMO, *LIGHT, *SPEEDS, *STAGES, *HEAD, *AVERAGE, *SPLICES), (0, 1, 2)),
    "masks": Row((*JAMO, *MASKS)),
    "speeds": Row((*JAMO, *SPEEDS)),
    "noise": Row((*JAMO, *NOISE)),
    "decay": Row((*JAMO, *DECAY)),
    "stages": Row((*JAMO, *STAGES)),
    "head": Row((*JAMO, *HEAD)),
    "average": Row((*JAMO, *AVERAGE)),
    "splices": Row((*JAMO, *SPLICES)),
}
STUDENT = (
    "model.hidden_size=192",
    "model.intermediate_size=768",
    "model.conv_dim=[64, 64, 96, 128, 128, 192, 192]",
    "model.num_attention_heads=4",
    "model.num_conv_pos_embeddings=64",
)
DISTILLATION = {
    "distilled": Row((*JAMO, "model.pretrained={work}/student")),
    "random": Row((*JAMO, "model.pretrained=random", *STUDENT, f"training.num_epochs={2 * EPOCHS}")),
}
"""The student spends half of its epochs on distillation; against it, the same network learns from the start."""
TRAINED = {**ROWS, **DISTILLATION}
DECODED = ("published", "jamo", "all", "light")  # with language models, too
LANGUAGE_MODELS = {"transcripts": ("transcripts", 32), "texts": ("texts", 32), "wide": ("texts", 100)}
"""Way to decode -> what the language model learnt from, the training transcripts alone or with the sentences of TEXT,
and the width of the beam."""


# The encoder


def sentences(folder: Path) -> list[str]:
    """Distinct sentences of a few words that can be spelt in Korean, as written."""
    found: dict[str, str] = {}
    for name in TEXTS:
        for line in (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines():
            written = normalise(line, spell=True)
            if not foreign_characters(written) and 6 <= len(written) <= 60:
                found.setdefault(written, line)
    return [*found.values()]


def spoken(folder: Path) -> Path:
    """The folder of the sentences as speech, in espeak-ng's voices, and the manifests of it."""
    draw = random.Random(4)
    chosen = draw.sample(sentences(folder), SENTENCES + HELD_OUT)
    parts = {"train": chosen[:SENTENCES], "dev": chosen[SENTENCES:]}
    lines: dict[str, list[SpokenLine]] = {}
    for split, part in parts.items():
        lines[split] = []
        for number, written in enumerate(part):
            voice = draw.choice(VOICES[split])
            pitch, rate = draw.randint(10, 85), draw.randint(150, 260)
            lines[split].append(SpokenLine(f"{split}-{voice}-{number:05d}", written, voice, pitch, rate))
    return speak_corpus("pretraining", lines)


def encoder(work: Path, texts: Path) -> None:
    """Trains the encoder and keeps it without its head, as DistilHuBERT comes."""
    corpus = spoken(texts)
    config = recipe.Recipe(
        name="proxy-encoder",
        data=recipe.Data(train=f"manifest:{corpus}/train.jsonl", eval=f"manifest:{corpus}/dev.jsonl"),
        text=recipe.Text(units="jamo", foreign="spell"),
        model=dataclasses.replace(NARROW, mask_time_prob=0.1),
        augment=recipe.Augment(speeds=(0.9, 1.0, 1.1), reverb_prob=0.4, noise_prob=0.6),
        training=recipe.Training(
            learning_rate=2e-3,
            gradient_accumulation_steps=1,
            lr_scheduler_type="cosine",
            num_epochs=2,
            eval_steps=750,
            logging_steps=50,
            length_buckets=True,
            blank_evaluations=4,
        ),
    )
    out = work / "encoder-run"
    if not (out / "training.json").is_file():
        finetune.fine_tune(config, out, resume=(out / CHECKPOINTS).is_dir())
    load_network(out).base_model.save_pretrained(work / "encoder")


# The rows


def fine_tuning(work: Path, speech: Path, changes: Sequence[str]) -> recipe.Recipe:
    """The published recipe on Pansori with the encoder of `encoder`, and `changes`.

    Pansori has a thirtieth of Zeroth's speech in clips a third as long: so batches are not accumulated, and the warm-up
    has the same share of the steps as in the published run.
    """
    scale = (
        *SPLITS,
        f"data.root={speech}",
        "data.heldout=every 8th speaker",
        "data.min_seconds=0.5",
        "data.max_seconds=12.0",
        f"model.pretrained={work}/encoder",
        *UNFROZEN,
        "training.report=best",
        f"training.num_epochs={EPOCHS}",
        "training.gradient_accumulation_steps=1",
        "training.lr_scheduler_warmup_steps=220",
        "training.eval_steps=200",
        "training.logging_steps=50",
        "training.length_buckets=true",
        "training.blank_evaluations=16",
    )
    return recipe.load_recipe(recipe.find_recipe("zeroth"), (*scale, *(change.format(work=work) for change in changes)))


def fine_tune(work: Path, speech: Path, name: str, seed: int) -> None:
    """Trains a row with a seed, and scores its best checkpoint greedily on the test speakers."""
    out = work / "rows" / f"{name}-{seed}"
    config = fine_tuning(work, speech, (*TRAINED[name].changes, f"training.seed={seed}"))
    train_and_score(config, out, speech)


def train_and_score(config: recipe.Recipe, out: Path, speech: Path) -> None:
    """Trains what is not there yet, and scores it greedily on the test speakers."""
    if not (out / "training.json").is_file():
        finetune.fine_tune(config, out, resume=(out / CHECKPOINTS).is_dir())
    if not (out / model_folder.REPORT).is_file():
        exporting.export_graph(out)
        report.save_report(
            report.evaluate_model(Transcriber(out, threads=1), CORPUS.format("test"), reading=Reading(root=speech)),
            out / model_folder.REPORT,
        )


def rows(work: Path, speech: Path, names: Sequence[str], processes: int) -> None:
    """All the rows that are not there yet, each in a process with one thread, `processes` at a time."""
    jobs = [(name, seed) for name in names for seed in ROWS[name].seeds]
    # What decides comes first, after the row that finds the words for splices.
    jobs.sort(key=lambda job: (job[0] != "aligner", job[0] not in ("published", "light"), job[1]))
    with ThreadPoolExecutor(processes) as pool:
        results = pool.map(lambda job: _in_a_process(work, speech, *job), jobs)
        for (name, seed), code in zip(jobs, results, strict=True):
            print(f"{name}-{seed}: {'done' if code == 0 else f'failed with {code}'}", flush=True)


def _in_a_process(work: Path, speech: Path, name: str, seed: int) -> int:
    (work / "rows").mkdir(exist_ok=True)
    if "splice" in "".join(ROWS[name].changes):
        while not (work / "rows" / "aligner-0" / model_folder.REPORT).is_file():
            time.sleep(5)
    command = [sys.executable, __file__, "one", "--work", str(work), "--speech", str(speech)]
    command += ["--row", name, "--seed", str(seed)]
    with open(work / "rows" / f"{name}-{seed}.log", "a", encoding="utf-8") as log:
        threads = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=threads, stdout=log, stderr=log, check=False).returncode


# Distillation


def distillation(work: Path, speech: Path) -> None:
    """A narrower student of the encoder, on Pansori's training audio without its transcripts; then both rows."""
    config = fine_tuning(
        work,
        speech,
        (
            "model.pretrained=random",
            *STUDENT,
            f"distill.teacher={work}/encoder-run",
            "distill.layers=[1, 2]",
            "training.eval_steps=500",
        ),
    )
    if not (work / "student" / model_folder.DISTILLATION).is_file():
        distill.distill(config, work / "student", resume=(work / "student" / CHECKPOINTS).is_dir())
    for name in DISTILLATION:
        fine_tune(work, speech, name, 0)


# Scores


def language_model(work: Path, texts: Path, speech: Path, source: str) -> Path:
    """An n-gram of syllables: of the training transcripts, and with "texts" of the sentences in TEXT as well."""
    path = work / "lm" / f"{source}.arpa"
    if path.is_file():
        return path
    path.parent.mkdir(exist_ok=True)
    transcripts = path.with_name("transcripts.txt")
    train_split = report.read_evaluation_split(
        work / "rows" / "aligner-0", CORPUS.format("train"), Reading(root=speech)
    )
    transcripts.write_text("".join(f"{example.text}\n" for example in train_split.examples), encoding="utf-8")
    files = [transcripts, *([texts / f"{name}.txt" for name in TEXTS] if source == "texts" else [])]
    sentences_ = lm.read_sentences(files, False, Counter())
    kneser_ney.write_arpa(kneser_ney.train_ngrams(sentences_, lm.ORDER[False], lm.CUTOFFS[False]), path)
    return path


def tuned(work: Path, speech: Path, row: str, path: Path) -> Path:
    """A copy of a language model with the weights that suit a row, from the development speakers and seed 0."""
    folder = work / "lm" / f"{path.stem}-{row}"
    there = folder / path.name
    if (folder / decoder.ATTRS).is_file():
        return there
    folder.mkdir(exist_ok=True)
    shutil.copyfile(path, there)
    model_folder = work / "rows" / f"{row}-0"
    transcriber = Transcriber(model_folder, threads=1, lm=path)
    assert transcriber.decoder.model is not None
    heard = tuning.recognise_split(
        transcriber, report.read_evaluation_split(model_folder, CORPUS.format("dev"), Reading(root=speech))
    )
    trials = tuning.tune_weights(heard, transcriber.tokenizer, transcriber.decoder.model, transcriber.decoder.options)
    writing.write_json(folder / decoder.ATTRS, dataclasses.asdict(tuning.best_trial(trials).weights))
    return there


def decode(work: Path, texts: Path, speech: Path, names: Sequence[str]) -> None:
    """Scores those of the rows that decide with each language model."""
    for way, (source, width) in LANGUAGE_MODELS.items():
        path = language_model(work, texts, speech, source)
        for row in (name for name in DECODED if name in names):
            for seed in ROWS[row].seeds:
                folder = work / "rows" / f"{row}-{seed}"
                out = folder / f"{way}.json"
                if (folder / model_folder.REPORT).is_file() and not out.is_file():
                    transcriber = Transcriber(folder, threads=1, lm=tuned(work, speech, row, path), beam=width)
                    report.save_report(
                        report.evaluate_model(transcriber, CORPUS.format("test"), reading=Reading(root=speech)), out
                    )
                    print(f"{row}-{seed} {way}: done", flush=True)


def predictions(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """What was said and heard, by utterance."""
    records = map(json.loads, (folder / name).read_text(encoding="utf-8").splitlines())
    return {record["id"]: record for record in records}


def counts(folder: Path, name: str) -> dict[str, metrics.ErrorCounts]:
    """Errors of each utterance."""
    found = predictions(folder, name)
    return {id_: metrics.characters(each["reference"], each["hypothesis"]) for id_, each in found.items()}


def pooled(folders: Sequence[Path], name: str) -> list[metrics.ErrorCounts]:
    """Errors of each utterance, in the order of their ids, summed over the seeds of a row."""
    each = [counts(folder, name) for folder in folders]
    return [sum((errors[id_] for errors in each), metrics.ErrorCounts()) for id_ in sorted(each[0])]


def seeds(work: Path, row: str, name: str) -> list[Path]:
    """The folders of a row's seeds in which a file of scores stands."""
    folders = [work / "rows" / f"{row}-{seed}" for seed in TRAINED[row].seeds]
    return [folder for folder in folders if (folder / name).is_file()]


def table(work: Path) -> list[dict[str, Any]]:
    """A record for each row and way to decode: CER with its interval, seeds, and tests against other rows.

    The tests are paired: against the published row, decoded greedily, and against that of jamo, decoded alike, with the
    same seeds; for the distilled student, against the same one from random weights, too.
    """
    found = predictions(work / "rows" / "published-0", model_folder.PREDICTIONS)
    speakers = [found[id_]["speaker"] for id_ in sorted(found)]
    records = []
    for row in (name for name in TRAINED if name != "aligner"):
        for way in ("greedy", *LANGUAGE_MODELS):
            figures, lines = _files(way)
            folders = seeds(work, row, figures)
            if not folders:
                continue
            reports = [json.loads((folder / figures).read_text(encoding="utf-8")) for folder in folders]
            errors = pooled(folders, lines)
            record: dict[str, Any] = {"row": row, "decoding": way, "cers": [each["cer"] for each in reports]}
            record |= {
                key: statistics.mean(each[key] for each in reports) for key in ("cer", "cer_no_space", "jer", "wer")
            }
            record |= {
                "ci95": metrics.bootstrap_interval(errors),
                "ci95_speakers": significance.speaker_interval(errors, speakers),
            }
            others = [("published", "greedy"), ("jamo", way), *([("random", way)] if row == "distilled" else [])]
            for other, decoded in others:
                against = [work / "rows" / f"{other}-{folder.name.rpartition('-')[2]}" for folder in folders]
                theirs = _files(decoded)[1]
                if row != other and all((folder / theirs).is_file() for folder in against):
                    baseline = pooled(against, theirs)
                    record |= paired_tests(other, errors, baseline, speakers)
            records.append(record)
    return records


def paired_tests(
    other: str,
    errors: Sequence[metrics.ErrorCounts],
    baseline: Sequence[metrics.ErrorCounts],
    speakers: Sequence[str],
) -> dict[str, Any]:
    """The tests of a row against another one, over utterances and over speakers."""
    return {
        f"against_{other}_{unit}": dataclasses.asdict(significance.paired_test(errors, baseline, groups=groups))
        for unit, groups in (("utterances", None), ("speakers", speakers))
    }


def tested_against(other: str, folders: Sequence[Path], others: Sequence[Path]) -> dict[str, Any]:
    """The paired tests of a row's folders, one a seed, against those of another row, both decoded greedily."""
    speakers = [each["speaker"] for _, each in sorted(predictions(folders[0], model_folder.PREDICTIONS).items())]
    errors, baseline = (pooled(each, model_folder.PREDICTIONS) for each in (folders, others))
    return paired_tests(other, errors, baseline, speakers)


def _files(way: str) -> tuple[str, str]:
    """The names of the figures and of the utterances of a way to decode."""
    return (model_folder.REPORT, model_folder.PREDICTIONS) if way == "greedy" else (f"{way}.json", f"{way}.jsonl")


def zeroth_sample(work: Path, speech: Path) -> dict[str, Any]:
    """The lighter levers with the larger language model and the wide beam on clips of Zeroth's test split.

    Nothing saw these before. Their transcripts part words at morphemes, so what counts is the CER without spaces.
    """
    source, width = LANGUAGE_MODELS["wide"]
    path = tuned(work, speech, "light", work / "lm" / f"{source}.arpa")
    transcriber = Transcriber(work / "rows" / "light-0", threads=1, lm=path, beam=width)
    measured = report.evaluate_model(transcriber, "kaldi:zeroth-sample/data", reading=Reading(root=speech))
    keys = "corpus utterances cer_no_space cer_no_space_ci95 jer decoding".split()
    return {key: getattr(measured, key) for key in keys}


def plot(records: Sequence[dict[str, Any]], path: Path) -> None:
    """CER of each record with its interval over utterances, and a mark for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.32 * len(records) + 1.2), layout="constrained")
    colours = {"greedy": "#5b7db1", "transcripts": "#d98c4a", "texts": "#b3523c", "wide": "#8a2f4b"}
    for place, record in enumerate(reversed(records)):
        low, high = record["ci95"]
        axes.barh(place, record["cer"], color=colours[record["decoding"]], height=0.7)
        axes.plot([low, high], [place, place], color="black", linewidth=1)
        axes.plot(record["cers"], [place] * len(record["cers"]), "|", color="white", markersize=8)
        axes.text(high + 0.005, place, f"{record['cer']:.3f}", va="center", fontsize=8)
    names = [f"{record['row']}, {record['decoding']}" for record in reversed(records)]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("CER on the held-out speakers (black: 95 % interval over utterances; white: each seed)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=("encoder", "rows", "one", "distillation", "decode", "table"))
    parser.add_argument("--work", type=Path, required=True, help="a folder for everything that is trained")
    parser.add_argument("--text", type=Path, help="a folder of Korean sentences")
    parser.add_argument("--speech", type=Path, help="a folder with pansori-tedxkr/")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[*ROWS])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--row", choices=TRAINED, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    match options.step:
        case "encoder":
            encoder(work, options.text)
        case "rows":
            rows(work, options.speech.resolve(), options.rows, options.processes)
        case "one":
            fine_tune(work, options.speech, options.row, options.seed)
        case "distillation":
            distillation(work, options.speech.resolve())
        case "decode":
            decode(work, options.text, options.speech.resolve(), options.rows)
        case "table":
            records = table(work)
            sample = zeroth_sample(work, options.speech.resolve())
            writing.write_json(RESULTS, {"epochs": EPOCHS, "rows": records, "zeroth_sample": sample})
            plot(records, RESULTS.with_suffix(".png"))
            print(RESULTS)


if __name__ == "__main__":
    main()
