"""The commands about a model folder: evaluate, card, export."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distilhubert_ko import model_folder
from distilhubert_ko.cli.common import (
    BeamOption,
    LmOption,
    ModelArgument,
    OutsideOption,
    evaluated_report,
    exporting_module,
    model_name,
    report_lines,
    write_graph,
)
from distilhubert_ko.errors import InputError

if TYPE_CHECKING:
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.evaluation.breakdown import Comparison
    from distilhubert_ko.evaluation.report import Report


class Precision(StrEnum):
    FP32 = "fp32"
    INT8 = "int8"


class Target(StrEnum):
    ONNX = "onnx"
    SHERPA_ONNX = "sherpa-onnx"
    ONNX_ASR = "onnx-asr"
    TRANSFORMERS_JS = "transformers.js"
    WEB = "web"


def evaluate_command(
    model: ModelArgument,
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="scheme:location#split, as in a recipe.")],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures here, and one line per utterance to .jsonl beside it."),
    ] = None,
    lm: LmOption = None,
    beam: BeamOption = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write one page here with figures, charts, and the worst utterances to listen to."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A second model to compare with, by exact paired tests.")
    ] = None,
    allow_outside: OutsideOption = False,
) -> None:
    """Score a model on a corpus: CER with and without spaces, jamo and word error rates, loss, speed."""
    from distilhubert_ko.data.corpora import listing_files
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.evaluation.breakdown import compare_predictions
    from distilhubert_ko.evaluation.report import save_report

    reading = Reading(allow_outside=allow_outside)
    _check_outputs(
        json_file, html, [*listing_files(corpus, reading), *model_folder.read_files(model), *([lm] if lm else [])]
    )
    names = [model] if against is None else [model, against]
    measured = [evaluated_report(name, corpus, reading, lm=lm, beam=beam) for name in names]
    for letter, name, report in zip("AB", names, measured, strict=False):
        typer.echo(f"{letter}: {name}\n{report_lines(report)}\n" if against else report_lines(report))
    comparison = compare_predictions(*(report.predictions for report in measured)) if against else None
    if comparison:
        typer.echo(comparison_lines(comparison))
    if json_file:
        lines = save_report(measured[0], json_file, comparison)
        typer.echo(f"report: {json_file}  utterances: {lines}")
    if html:
        typer.echo(f"page: {_write_page(html, names, measured, corpus, comparison, reading)}")


def _check_outputs(json_file: Path | None, html: Path | None, inputs: Sequence[str | Path]) -> None:
    """Raise InputError before the work if a report or a page may not be written, or if one would replace the other."""
    from distilhubert_ko.evaluation.report import check_report_files
    from distilhubert_ko.files.outputs import check_output

    reports = [json_file, check_report_files(json_file, inputs)] if json_file else []
    if html:
        if any(html.absolute() == each.absolute() for each in reports):
            raise InputError(f"{html} is both --html and a file of --json: give another name to one of them")
        check_output(html, inputs)


def _write_page(
    path: Path,
    models: list[str],
    reports: "list[Report]",
    corpus: str,
    comparison: "Comparison | None",
    reading: "Reading",
) -> Path:
    """Write the page of one model or two. Audio is read from the corpus again."""
    from distilhubert_ko.evaluation.html.page import write_page
    from distilhubert_ko.evaluation.html.sections import Side
    from distilhubert_ko.evaluation.report import read_evaluation_split

    sides = [
        Side(model_name(model), model_folder.resolve(model), report)
        for model, report in zip(models, reports, strict=True)
    ]
    split = read_evaluation_split(sides[0].folder, corpus, reading)
    spoken = {example.utterance.id: example.utterance for example in split.examples}
    return write_page(path, sides, comparison, lambda name: spoken[name].wave())


def card_command(model: ModelArgument) -> None:
    """Write the README.md of a model folder again, from its recorded report."""
    from distilhubert_ko.evaluation.card import write_card

    typer.echo(write_card(Path(model)))


def push_command(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder that train wrote.")],
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The model's id on the Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Create it as private, if it is new.")] = False,
) -> None:
    """Upload a finished model folder to the Hub: the model and its card, without checkpoints and predictions."""
    from distilhubert_ko.evaluation.publishing import publish_model

    typer.echo(publish_model(model, name, private=private))


def export_command(
    model: ModelArgument,
    out: Annotated[
        Path | None, typer.Option(help="A folder to write; the model's own, or the cache, by default.")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="int8 needs --out and --calibrate.")] = Precision.FP32,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="CORPUS", help="Speech on which int8 is calibrated and compared (scheme:location#split)."),
    ] = None,
    target: Annotated[Target, typer.Option(help="The runtime; all but onnx need --out.")] = Target.ONNX,
    allow_outside: OutsideOption = False,
) -> None:
    """Write model.onnx from a model's weights after a check: float32 against torch, int8 by its CER on a corpus."""
    from distilhubert_ko.data.reading import Reading

    int8, sherpa = precision is Precision.INT8, target is Target.SHERPA_ONNX
    if int8 and calibrate is None:
        raise InputError(
            "--precision int8 needs speech to observe ranges and compare CER on: name it with --calibrate CORPUS"
        )
    if out is None and (int8 or target is not Target.ONNX):
        asked = "--precision int8" if int8 else f"--target {target.value}"
        raise InputError(f"{asked} writes another model: name its folder with --out DIR")
    if calibrate is not None and not (int8 or sherpa):
        raise InputError(
            "--calibrate is for --precision int8 and --target sherpa-onnx: leave it out, or add one of them"
        )
    folder = model_folder.resolve(model)
    if out is None:
        write_graph(folder, None if Path(model).is_dir() else model_folder.graph(folder))
        return
    difference = exporting_module().export_folder(
        folder,
        out,
        target=target.value,
        int8=int8,
        corpus=calibrate,
        reading=Reading(allow_outside=allow_outside),
        on_trial=lambda trial: typer.echo(trial, err=True),
    )
    typer.echo(f"{out}: float32 within {difference:.1e} of the weights' log-probabilities", err=True)


def comparison_lines(comparison: "Comparison") -> str:
    """Return a comparison of two models as lines for a terminal."""
    lines = [f"A and B on {comparison.utterances:,} utterances that both were given, {comparison.left_out:,} left out"]
    for name, contrast in (("CER", comparison.cer), ("CER, no spaces", comparison.cer_no_space)):
        lines.append(f"{name:<18}A {contrast.first:.4f}  B {contrast.second:.4f}")
        for unit, paired in (("utterances", contrast.over_utterances), ("speakers", contrast.over_speakers)):
            if paired:
                facts = []
                if paired.ci95:
                    facts.append("95 % interval {:+.4f} to {:+.4f}".format(*paired.ci95))
                facts.append(f"p {paired.p:.4f}")
                if paired.probability is not None:
                    facts.append(f"A better with probability {paired.probability:.4f}")
                told = ", ".join(facts)
                lines.append(f"  A - B           {paired.difference:+.4f}  ({told}; over {paired.units:,} {unit})")
    return "\n".join(lines)
