"""What a thin, deep student recognises beside a shallow one, at equal compute: a proxy on Pansori's training speakers.

    python -m benchmarks.thin_student train --whisper WHISPER --teacher MODEL --speech SPEECH --work DIR
    python -m benchmarks.thin_student table --work DIR

WHISPER is a folder of openai/whisper-base, MODEL one that a Whisper was fine-tuned to, SPEECH a folder with Pansori
TEDxKR in pansori-tedxkr/. What is trained lies in DIR, and what is there is not trained again.

The students are those of distill.toml and thin.toml at a quarter of their widths. The thin one has a layer for each of
the teacher's six. Both begin with random weights, and are distilled from Whisper's encoder on the speech alone. Then
they learn CTC on jamo with MODEL as their teacher, since without one they say nothing for half of the epochs. Their
steps take nearly the same seconds at these widths, so they have the same epochs. A step of the thin one has half of the
multiplications, which decides at full width, so it also has twice the epochs with CTC. At the shallow one's rate the
thin one says nothing. So it has a lower one too. Scores are those of the last weights on the test speakers, greedy.
`table` writes docs/results/thin_student.json.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy import SPLITS, tested_against, train_and_score
from benchmarks.scaling import operations
from benchmarks.whisper_levers import parse_arguments
from distilhubert_ko import model_folder, recipe
from distilhubert_ko.files import writing
from distilhubert_ko.training.checkpoints import CHECKPOINTS
from distilhubert_ko.training.distill import distill

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "thin_student.json"
SEED = 1
DISTILLED = 4  # epochs


@dataclass(frozen=True)
class Student:
    """The shape of a student, and its targets in distillation, as `--set` takes them."""

    shape: tuple[str, ...]
    targets: tuple[str, ...]


SHALLOW, THIN = "shallow", "thin"
STUDENTS = {
    SHALLOW: Student(
        (
            "model.conv_dim=[128, 128, 128, 128, 128, 128, 128]",
            "model.hidden_size=192",
            "model.num_hidden_layers=2",
            "model.num_attention_heads=4",
            "model.intermediate_size=768",
        ),
        ("distill.layers=[2, 4, 6]",),
    ),
    THIN: Student(
        (
            "model.conv_dim=[32, 32, 32, 64, 64, 144, 144]",
            "model.hidden_size=144",
            "model.num_hidden_layers=6",
            "model.num_attention_heads=4",
            "model.intermediate_size=336",
        ),
        ("distill.layers=[1, 2, 3, 4, 5, 6]", "distill.heads=each"),
    ),
}


@dataclass(frozen=True)
class Row:
    """A student, and how it learns CTC."""

    student: str
    learning_rate: float
    epochs: int = 10


ROWS = {
    "shallow-1e-3": Row(SHALLOW, 1e-3),
    "thin-1e-3": Row(THIN, 1e-3),
    "thin-3e-4": Row(THIN, 3e-4),
    "thin-3e-4-20": Row(THIN, 3e-4, epochs=20),
}
SHAPE = ("model.num_conv_pos_embeddings=64",)
TRAINING = (
    "training.train_batch_size=16",
    "training.lr_scheduler_warmup_steps=50",
    "training.logging_steps=25",
    "training.eval_steps=100",  # where an interrupted one goes on
    f"training.seed={SEED}",
)
TUNING = (
    "model.freeze_feature_encoder=false",
    "model.mask_time_prob=0.1",
    "training.head_learning_rate=0",
    "training.head_only_steps=0",
    "training.consistency_weight=0",
    "training.blank_evaluations=100",
    "teaching.weight=0.5",
)


def train(arguments: argparse.Namespace, name: str) -> None:
    """Distil the student of a row unless another row has, let it learn CTC, and score it."""
    row = ROWS[name]
    student = STUDENTS[row.student]
    data = (*SPLITS, f"data.root={arguments.speech}", "data.heldout=every 8th speaker", "data.max_seconds=12.0")
    shared = (*data, *student.shape, *SHAPE, *TRAINING)
    distilled, tuned = arguments.work / f"{row.student}-distilled", arguments.work / name
    if not (distilled / model_folder.DISTILLATION).is_file():
        changes = (
            f"distill.teacher={arguments.whisper}",
            *student.targets,
            "training.learning_rate=1e-3",
            f"training.num_epochs={DISTILLED}",
        )
        config = recipe.load_recipe(recipe.find_recipe("distill"), (*shared, *changes))
        distill(config, distilled, resume=(distilled / CHECKPOINTS).is_dir())
    changes = (
        *TUNING,
        f"model.pretrained={distilled}",
        f"teaching.teacher={arguments.teacher}",
        f"training.learning_rate={row.learning_rate}",
        f"training.num_epochs={row.epochs}",
    )
    config = recipe.load_recipe(recipe.find_recipe("korean-small"), (*shared, *changes))
    train_and_score(config, tuned, arguments.speech)


def record(work: Path, name: str) -> dict[str, Any]:
    """Return the figures of a row that is trained, with a paired test against the shallow student."""
    row, tuned = ROWS[name], work / name
    config = recipe.load_recipe(recipe.find_recipe("distill"), (*STUDENTS[row.student].shape, *SHAPE))
    found = operations(config)
    scored = json.loads((tuned / model_folder.REPORT).read_text(encoding="utf-8"))
    evaluated = [line["eval_cer"] for line in model_folder.read_log(tuned) if "eval_cer" in line]
    tests = {} if row.student == SHALLOW else tested_against(SHALLOW, [tuned], [work / "shallow-1e-3"])
    return {
        **asdict(row),
        "layers": config.model.num_hidden_layers,
        "hidden_size": config.model.hidden_size,
        "parameters": found["parameters"],
        "multiplications": found["forward_flops"] / 2,
        "development_cer": evaluated[-1],
        "cer": scored["cer"],
        "cer_no_space": scored["cer_no_space"],
        **tests,
    }


def table(work: Path) -> list[dict[str, Any]]:
    """Return a record for each row that is trained."""
    return [record(work, name) for name in ROWS if (work / name / model_folder.REPORT).is_file()]


def main() -> None:
    arguments = parse_arguments(str(__doc__), ROWS)
    if arguments.step == "table":
        writing.write_json(RESULTS, {"distilled_epochs": DISTILLED, "rows": table(arguments.work)})
        return
    for name in arguments.rows:
        train(arguments, name)


if __name__ == "__main__":
    main()
