"""What CR-CTC and a teacher are worth at equal compute, on small networks and Pansori's training speakers.

    python -m benchmarks.whisper_levers train --whisper WHISPER --teacher MODEL --speech SPEECH --work DIR
    python -m benchmarks.whisper_levers table --work DIR

WHISPER is a folder of openai/whisper-base, MODEL one that a Whisper was fine-tuned to, SPEECH a folder with Pansori
TEDxKR in pansori-tedxkr/. What is trained lies in DIR, and what is there is not trained again.

Two networks are compared with themselves. The first two layers of Whisper's encoder learn with and without CR-CTC. Its
steps see each clip twice and therefore it has half of the epochs. A narrow HuBERT learns from random weights with and
without the teacher. The one without has more epochs, by the seconds that a step of each takes. Scores are those of the
last weights on the test speakers, greedy. `table` writes docs/results/whisper_levers.json.
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy import NARROW, SPLITS, tested_against, train_and_score
from distilhubert_ko import model_folder, recipe
from distilhubert_ko.files import writing

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "whisper_levers.json"


@dataclass(frozen=True)
class Row:
    """Changes to recipes/korean-small.toml, as `--set` takes them."""

    changes: tuple[str, ...]
    seeds: tuple[int, ...]
    against: str = ""


WHISPER = ("model.pretrained={whisper}", "model.encoder_layers=2")
STUDENT = (
    *(f"model.{key}={getattr(NARROW, key)}" for key in "hidden_size num_attention_heads intermediate_size".split()),
    f"model.conv_dim={[*NARROW.conv_dim]}",
    f"model.num_conv_pos_embeddings={NARROW.num_conv_pos_embeddings}",
    "model.pretrained=random",
    "model.freeze_feature_encoder=false",
    "training.learning_rate=1e-3",
    "training.head_learning_rate=0",
    "training.head_only_steps=0",
    "training.blank_evaluations=100",
)
ROWS = {
    "plain": Row((*WHISPER, "training.num_epochs=6"), (1, 2, 3)),
    "consistent": Row(
        (*WHISPER, "training.num_epochs=3", "training.consistency_weight=0.2"), (1, 2, 3), against="plain"
    ),
    "untaught": Row((*STUDENT, "training.num_epochs=14"), (1,)),
    "taught": Row(
        (*STUDENT, "training.num_epochs=10", "teaching.teacher={teacher}", "teaching.weight=0.5"),
        (1,),
        against="untaught",
    ),
}


def train(arguments: argparse.Namespace, row: str, seed: int) -> None:
    """Train a row with a seed, and score its last weights on the test speakers."""
    scale = (
        *SPLITS,
        f"data.root={arguments.speech}",
        "data.max_seconds=12.0",
        "training.eval_steps=100",  # where an interrupted one goes on
        f"training.seed={seed}",
    )
    changes = [change.format(**vars(arguments)) for change in ROWS[row].changes]
    config = recipe.load_recipe(recipe.find_recipe("korean-small"), (*scale, *changes))
    train_and_score(config, arguments.work / "rows" / f"{row}-{seed}", arguments.speech)


def table(work: Path) -> list[dict[str, Any]]:
    """Return a record for each row: CER of each seed, and a paired test over utterances and over speakers."""
    records = []
    for name, row in ROWS.items():
        folders = finished(work, name, row.seeds)
        if not folders:
            continue
        reports = [json.loads((folder / model_folder.REPORT).read_text(encoding="utf-8")) for folder in folders]
        record = {
            "row": name,
            "cers": [each["cer"] for each in reports],
            "cer": statistics.mean(each["cer"] for each in reports),
            "cer_no_space": statistics.mean(each["cer_no_space"] for each in reports),
        }
        others = finished(work, row.against, row.seeds) if row.against else []
        if len(others) == len(folders):
            record |= {"against": row.against, **tested_against(row.against, folders, others)}
        records.append(record)
    return records


def finished(work: Path, row: str, seeds: Sequence[int]) -> list[Path]:
    folders = [work / "rows" / f"{row}-{seed}" for seed in seeds]
    return [folder for folder in folders if (folder / model_folder.REPORT).is_file()]


def parse_arguments(description: str, rows: Iterable[str]) -> argparse.Namespace:
    """Return the arguments of a benchmark that trains rows, and makes a table of those that are trained."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("train", "table"))
    parser.add_argument("--whisper", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rows", nargs="+", default=[*rows], choices=[*rows])
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments(str(__doc__), ROWS)
    if arguments.step == "table":
        writing.write_json(RESULTS, {"rows": table(arguments.work)})
        return
    for row in arguments.rows:
        for seed in ROWS[row].seeds:
            train(arguments, row, seed)


if __name__ == "__main__":
    main()
