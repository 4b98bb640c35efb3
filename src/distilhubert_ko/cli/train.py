"""The commands that take a recipe: plan, prepare, distill, train; and demo, which has its own."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distilhubert_ko import model_folder
from distilhubert_ko.cli.common import (
    OutsideOption,
    missing_train_extra,
    report_lines,
    write_graph,
)
from distilhubert_ko.cli.progress import counting_bar
from distilhubert_ko.training import ranks

if TYPE_CHECKING:
    from distilhubert_ko.evaluation.report import Report
    from distilhubert_ko.recipe import Recipe

RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="A TOML file, or whisper, zeroth, zeroth-plus, korean-small, pansori or demo."
    ),
]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a key of the recipe; repeatable.")
]


def plan_command(
    recipe: RecipeArgument,
    utterances: Annotated[
        int | None, typer.Option(metavar="N", help="Training utterances; the corpus's own number by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    allow_outside: OutsideOption = False,
    changes: SetOption = [],  # noqa: B006 (typer copies it)
) -> None:
    """Show what a recipe will do: steps, evaluations and learning rates. No training, no network."""
    from distilhubert_ko.data.sizes import CorpusSize, training_size
    from distilhubert_ko.training import schedule

    config = _load_recipe(recipe, changes, allow_outside)
    size = training_size(config) if utterances is None else CorpusSize(utterances, None)
    planned = schedule.plan_training(config, size.utterances)
    if as_json:
        typer.echo(
            json.dumps(asdict(planned) | {"audio_hours": size.hours_heard(config.training.num_epochs)}, indent=2)
        )
        return
    typer.echo(f"{planned.train_utterances:,} training utterances, {planned.steps_per_epoch:,} steps an epoch")
    typer.echo(f"{planned.total_steps:,} steps in {config.training.num_epochs} epochs")
    if size.hours is not None:
        typer.echo(f"{size.hours:.1f} h of speech, {size.hours_heard(config.training.num_epochs):.0f} h in all epochs")
    typer.echo("   step   epoch  learning rate")
    for step in planned.evaluations:
        typer.echo(f"{step.step:7,} {step.epoch:7} {step.learning_rate:14.3e}")
    for warning in planned.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for key, value in planned.hyperparameters.items():
        typer.echo(f"{key}: {value}")


def prepare_command(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for data.json; prepared/NAME by default.")] = None,
    allow_outside: OutsideOption = False,
    changes: SetOption = [],  # noqa: B006
) -> None:
    """Read and check a recipe's corpora, build the vocabulary, and report what is kept and what is not."""
    from distilhubert_ko.data.account import describe_data
    from distilhubert_ko.data.dataset import prepare_dataset
    from distilhubert_ko.files.outputs import check_replaceable_folder, replaced_output_folder
    from distilhubert_ko.files.writing import write_json

    config = _load_recipe(recipe, changes, allow_outside)
    folder = out or Path("prepared") / config.name
    check_replaceable_folder(folder)
    data = prepare_dataset(config)
    account = data.report()
    with replaced_output_folder(folder) as temporary:
        data.tokenizer.save(temporary)
        write_json(temporary / model_folder.DATA, account.to_dict())
    typer.echo(describe_data(account))
    typer.echo(f"report: {folder / model_folder.DATA}  vocabulary: {folder / model_folder.VOCABULARY}")


def train_command(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="A new folder for the model; runs/NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in --out.")] = False,
    allow_outside: OutsideOption = False,
    changes: SetOption = [],  # noqa: B006
) -> None:
    """Train a recipe to the end: the model, its ONNX graph, its report and its card."""
    with ranks.one_voice():
        config = _load_recipe(recipe, changes, allow_outside)
        folder = out or Path("runs") / config.name
        report = _train_and_report(config, folder, resume)
    if report is None:
        return
    typer.echo(report_lines(report))
    typer.echo(f"model: {folder}  card: {folder / model_folder.CARD}  curve: {folder / model_folder.LEARNING_CURVE}")


def distill_command(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file with [distill], or distill.")],
    out: Annotated[Path | None, typer.Option(help="A new folder for the student; runs/NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in --out.")] = False,
    allow_outside: OutsideOption = False,
    changes: SetOption = [],  # noqa: B006
) -> None:
    """Distil a teacher into a small encoder on speech alone, for a recipe's model.pretrained."""
    with ranks.one_voice():
        config = _load_recipe(recipe, changes, allow_outside)
        folder = out or Path("runs") / config.name
        try:
            from distilhubert_ko.training.distill import distill
        except ImportError as error:
            raise missing_train_extra(error) from error

        report = distill(config, folder, resume=resume)
        ranks.disconnect()
    if not ranks.leads():
        return
    typer.echo(f"held-out loss {report['eval_loss']:.4f} at step {report['best_step']} of {report['total_steps']}")
    for layer, terms in report["layers"].items():
        typer.echo(f"  layer {layer}: L1 {terms['l1']:.4f}, cosine term {terms['cosine']:.4f}")
    typer.echo(f"student: {folder}  losses: {folder / model_folder.DISTILLATION}")


def demo_command(
    out: Annotated[Path, typer.Option(help="A new folder for the model.")] = Path("demo"),
) -> None:
    """Train, measure, document and transcribe in minutes, offline, on speech that the program synthesises."""
    from distilhubert_ko.data.corpora import read_corpora
    from distilhubert_ko.files.writing import write_text
    from distilhubert_ko.recipe import find_recipe, load_recipe
    from distilhubert_ko.recognition.transcriber import Transcriber

    config = load_recipe(find_recipe("demo"))
    report = _train_and_report(config, out, resume=False)
    if report is None:
        return
    clip = read_corpora(config.test_corpus).utterances[0]
    text = Transcriber(out)(clip.wave()).text
    transcript = write_text(out / "transcript.txt", f"{text}\n")
    typer.echo(report_lines(report))
    typer.echo(f"card:       {out / model_folder.CARD}")
    typer.echo(f"curve:      {out / model_folder.LEARNING_CURVE}")
    typer.echo(f"transcript: {transcript}  {text}")
    typer.echo(f"  spoken:   {clip.audio}  {clip.text}")
    typer.echo(f"try it:     distilhubert-ko transcribe {clip.audio} --model {out}")


def _load_recipe(recipe: str, changes: list[str], allow_outside: bool) -> "Recipe":
    from distilhubert_ko.recipe import find_recipe, load_recipe

    allowed = ["data.allow_outside=true"] if allow_outside else []
    return load_recipe(find_recipe(recipe), [*changes, *allowed])


def _train_and_report(config: "Recipe", folder: Path, resume: bool) -> "Report | None":
    """Train, export, evaluate and write the card. Of several ranks all train, and the first does the rest."""
    from distilhubert_ko.evaluation.report import check_report_files, evaluate_split, save_report
    from distilhubert_ko.recognition.transcriber import Transcriber

    try:
        from distilhubert_ko.evaluation.card import check_card, write_card
        from distilhubert_ko.training.finetune import fine_tune
    except ImportError as error:
        raise missing_train_extra(error) from error

    if resume:
        check_card(folder)
        check_report_files(folder / model_folder.REPORT)
    tuned = fine_tune(config, folder, resume=resume)
    ranks.disconnect()
    if not ranks.leads():
        return None
    write_graph(folder)
    with counting_bar("evaluating") as on_progress:
        report = evaluate_split(Transcriber(folder), tuned.test, on_progress)
    save_report(report, folder / model_folder.REPORT)
    write_card(folder)
    return report
