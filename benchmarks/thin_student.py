"""What a thin, deep student recognises beside a shallow one, at equal compute: a proxy on Pansori's training speakers.

    python -m benchmarks.thin_student train --whisper WHISPER --teacher MODEL --speech SPEECH --work DIR
    python -m benchmarks.thin_student table --work DIR

WHISPER is a folder of openai/whisper-base, MODEL one that a Whisper was fine-tuned to, SPEECH a folder with Pansori
TEDxKR in pansori-tedxkr/. What is trained lies in DIR, and what is there is not trained again.

The students are those of distill.toml and thin.toml at a quarter of their widths. The thin one has a layer for each of
the teacher's six. Both begin with random weights, and are distilled from Whisper's encoder on the speech alone. Then
they learn CTC on jamo with MODEL as their teacher, since without one they say nothing for half of the epochs. Their
steps take nearly the same seconds at these widths (1.4 in distillation), so they have the same epochs. A step of the
thin one has half of the multiplications, which decides at full width. So it is also trained for twice as long. Scores
are those of the last weights on the test speakers, greedy. `table` writes docs/results/thin_student.json.
"""

import argparse
import json
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Row:
    """A student: its shape and its targets as `--set` takes them, and the epochs of both trainings."""

    shape: tuple[str, ...]
    targets: tuple[str, ...]
    distilled: int
    tuned: int


THIN = (
    "model.conv_dim=[32, 32, 32, 64, 64, 144, 144]",
    "model.hidden_size=144",
    "model.num_hidden_layers=6",
    "model.num_attention_heads=4",
    "model.intermediate_size=336",
)
EACH = ("distill.layers=[1, 2, 3, 4, 5, 6]", "distill.heads=each")
ROWS = {
    "shallow": Row(
        (
            "model.conv_dim=[128, 128, 128, 128, 128, 128, 128]",
            "model.hidden_size=192",
            "model.num_hidden_layers=2",
            "model.num_attention_heads=4",
            "model.intermediate_size=768",
        ),
        ("distill.layers=[2, 4, 6]",),
        distilled=4,
        tuned=10,
    ),
    "thin": Row(THIN, EACH, distilled=4, tuned=10),
    "thin, by multiplications": Row(THIN, EACH, distilled=8, tuned=20),
}
SHAPE = ("model.num_conv_pos_embeddings=64",)
TRAINING = (
    "training.train_batch_size=16",
    "training.learning_rate=1e-3",
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
    """Distil a student, let it learn CTC, and score it."""
    row = ROWS[name]
    data = (*SPLITS, f"data.root={arguments.speech}", "data.heldout=every 8th speaker", "data.max_seconds=12.0")
    shared = (*data, *row.shape, *SHAPE, *TRAINING)
    distilled, tuned = (arguments.work / f"{name}-{stage}" for stage in ("distilled", "tuned"))
    if not (distilled / model_folder.DISTILLATION).is_file():
        changes = (f"distill.teacher={arguments.whisper}", *row.targets, f"training.num_epochs={row.distilled}")
        config = recipe.load_recipe(recipe.find_recipe("distill"), (*shared, *changes))
        distill(config, distilled, resume=(distilled / CHECKPOINTS).is_dir())
    changes = (
        *TUNING,
        f"model.pretrained={distilled}",
        f"teaching.teacher={arguments.teacher}",
        f"training.num_epochs={row.tuned}",
    )
    config = recipe.load_recipe(recipe.find_recipe("korean-small"), (*shared, *changes))
    train_and_score(config, tuned, arguments.speech)


def record(work: Path, name: str) -> dict[str, Any]:
    """Return the figures of a student that is trained."""
    row, tuned = ROWS[name], work / f"{name}-tuned"
    config = recipe.load_recipe(recipe.find_recipe("distill"), (*row.shape, *SHAPE))
    found = operations(config)
    scored = json.loads((tuned / model_folder.REPORT).read_text(encoding="utf-8"))
    return {
        "row": name,
        "layers": config.model.num_hidden_layers,
        "hidden_size": config.model.hidden_size,
        "parameters": found["parameters"],
        "multiplications": found["forward_flops"] / 2,
        "multiplications_of_a_step": found["step_flops"] / 2,
        "epochs": {"distilled": row.distilled, "tuned": row.tuned},
        "cer": scored["cer"],
        "cer_no_space": scored["cer_no_space"],
    }


def table(work: Path) -> list[dict[str, Any]]:
    """Return a record for each row that is trained, with a paired test against the shallow one."""
    folders = {name: work / f"{name}-tuned" for name in ROWS}
    trained = {name: folder for name, folder in folders.items() if (folder / model_folder.REPORT).is_file()}
    records = [record(work, name) for name in trained]
    for found in records:
        if found["row"] != "shallow":
            found |= tested_against("shallow", [trained[found["row"]]], [folders["shallow"]])
    return records


def main() -> None:
    arguments = parse_arguments(str(__doc__), ROWS)
    if arguments.step == "table":
        writing.write_json(RESULTS, {"rows": table(arguments.work)})
        return
    for name in arguments.rows:
        train(arguments, name)


if __name__ == "__main__":
    main()
