"""Commands about a model folder: evaluate, card, export. And what other commands do with one."""

from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from distilhubert_ko import model_folder
from distilhubert_ko.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.evaluation.breakdown import Comparison
    from distilhubert_ko.evaluation.report import Report

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model folder or a Hub id.")]

LmOption = Annotated[
    str | None,
    typer.Option("--lm", metavar="FILE", help="A language model; the model folder's own by default, or none for none."),
]
BeamOption = Annotated[
    int | None, typer.Option("--beam", min=1, metavar="N", help="Hypotheses that a search with --lm keeps.")
]
OutsideOption = Annotated[
    bool,
    typer.Option("--allow-outside", help="Let a manifest or wav.scp that you trust name sound outside its folder."),
]


class Precision(StrEnum):
    FP32 = "fp32"
    INT8 = "int8"


class Target(StrEnum):
    ONNX = "onnx"
    SHERPA_ONNX = "sherpa-onnx"


def evaluate(
    model: ModelArgument,
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="scheme:location#split, as in a recipe.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here, and a line an utterance to .jsonl beside it.")
    ] = None,
    lm: LmOption = None,
    beam: BeamOption = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one page here with figures, charts, and the worst utterances to hear.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A second model to compare with, by a paired bootstrap test.")
    ] = None,
    allow_outside: OutsideOption = False,
) -> None:
    """Score a model on a corpus: CER with and without spaces, jamo and word error rates, loss, speed."""
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.evaluation.breakdown import compare_predictions
    from distilhubert_ko.evaluation.report import save_report

    reading = Reading(allow_outside=allow_outside)
    names = [model] if against is None else [model, against]
    measured = [evaluated(name, corpus, reading, lm=lm, beam=beam) for name in names]
    for letter, name, report in zip("AB", names, measured, strict=False):
        typer.echo(f"{letter}: {name}\n{figures(report)}\n" if against else figures(report))
    comparison = compare_predictions(*(report.predictions for report in measured)) if against else None
    if comparison:
        typer.echo(compared(comparison))
    if json_file:
        lines = save_report(measured[0], json_file, comparison)
        typer.echo(f"report: {json_file}  utterances: {lines}")
    if html:
        typer.echo(f"page: {_page(html, names, measured, corpus, comparison, reading)}")


def _page(
    path: Path,
    models: list[str],
    reports: "list[Report]",
    corpus: str,
    comparison: "Comparison | None",
    reading: "Reading",
) -> Path:
    """Writes the page of one model or two, with speech read from the corpus anew."""
    from distilhubert_ko.evaluation.html.page import write_page
    from distilhubert_ko.evaluation.html.sections import Side
    from distilhubert_ko.evaluation.report import read_evaluation_split
    from distilhubert_ko.model_folder import resolve

    sides = [Side(shown(model), resolve(model), report) for model, report in zip(models, reports, strict=True)]
    split = read_evaluation_split(sides[0].folder, corpus, reading)
    spoken = {example.utterance.id: example.utterance for example in split.examples}
    return write_page(path, sides, comparison, lambda name: spoken[name].wave())


def shown(model: str) -> str:
    """A model's name as a reader knows it: that of its folder, or its Hub id."""
    folder = Path(model)
    return folder.resolve().name if folder.is_dir() else model


def card(model: ModelArgument) -> None:
    """Write README.md into a model folder again from its recorded report."""
    from distilhubert_ko.evaluation.card import write_card

    typer.echo(write_card(Path(model)))


def export(
    model: ModelArgument,
    out: Annotated[
        Path | None, typer.Option(help="A folder to write; the model's own, or the cache, by default.")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="int8 needs --out and --calibrate.")] = Precision.FP32,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="CORPUS", help="Speech for int8 to be made for and compared on (scheme:location#split)."),
    ] = None,
    target: Annotated[Target, typer.Option(help="sherpa-onnx needs --out.")] = Target.ONNX,
    allow_outside: OutsideOption = False,
) -> None:
    """Write model.onnx from a model's weights after a check: float32 against torch, int8 by its CER on a corpus."""
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.model_folder import graph, resolve

    int8, sherpa = precision is Precision.INT8, target is Target.SHERPA_ONNX
    if int8 and calibrate is None:
        raise InputError("--precision int8 observes ranges and compares CER on speech: name it with --calibrate CORPUS")
    if out is None and (int8 or sherpa):
        raise InputError("--precision int8 and --target sherpa-onnx make another model: name its folder with --out DIR")
    if calibrate is not None and not (int8 or sherpa):
        raise InputError(
            "--calibrate is for --precision int8 and --target sherpa-onnx: leave it out, or add one of them"
        )
    folder = resolve(model)
    if out is None:
        write_graph(folder, None if Path(model).is_dir() else graph(folder))
        return
    difference = _exports().export_folder(
        folder,
        out,
        target=target.value,
        int8=int8,
        corpus=calibrate,
        reading=Reading(allow_outside=allow_outside),
        on_trial=lambda trial: typer.echo(trial, err=True),
    )
    typer.echo(f"{out}: float32 within {difference:.1e} of the weights' log-probabilities", err=True)


def write_graph(folder: Path, path: Path | None = None) -> None:
    """Exports a model folder, to `path` where it is named, and says how near it is to the weights."""
    difference = _exports().export_graph(folder, path)
    typer.echo(
        f"{path or folder / model_folder.GRAPH}: within {difference:.1e} of the weights' log-probabilities", err=True
    )


def _exports() -> ModuleType:
    try:
        from distilhubert_ko.export import exporting
    except ImportError as error:
        raise missing_train(error) from error
    return exporting


def exported(model: str) -> Path:
    """The folder of a model, exported now, into the cache, where it comes without a graph of its weights."""
    from distilhubert_ko.model_folder import graph, resolve, weights

    folder = resolve(model)
    path = graph(folder)
    if not path.is_file() and weights(folder):
        write_graph(folder, path)
    return folder


def evaluated(model: str, corpus: str, reading: "Reading", lm: str | None = None, beam: int | None = None) -> "Report":
    """The report of a model on a corpus, under a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    from distilhubert_ko.evaluation.report import evaluate as evaluate_model
    from distilhubert_ko.recognition.transcriber import Transcriber

    transcriber = Transcriber(exported(model), lm=lm, beam=beam)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluating", total=None)
        return evaluate_model(
            transcriber,
            corpus,
            reading=reading,
            on_progress=lambda done, all_: progress.update(task, completed=done, total=all_),
        )


def figures(report: "Report") -> str:
    """A report as lines for a terminal."""
    low, high = report.cer_ci95
    return "\n".join(
        (
            f"{report.corpus}: {report.utterances:,} utterances, {report.hours:.2f} h",
            f"CER               {report.cer:.4f}  (95 % interval {low:.4f} to {high:.4f})",
            f"CER, no spaces    {report.cer_no_space:.4f}",
            f"jamo error rate   {report.jer:.4f}",
            f"WER               {report.wer:.4f}",
            f"loss              {report.loss:.4f}",
            f"speed             {report.speed:.0f} s of speech a second",
            *(f"dropped, {reason}: {count:,}" for reason, count in report.dropped.items()),
        )
    )


def compared(comparison: "Comparison") -> str:
    """A comparison of two models as lines for a terminal."""
    lines = [f"A and B on {comparison.utterances:,} utterances that both were given, {comparison.left_out:,} left out"]
    for name, contrast in (("CER", comparison.cer), ("CER, no spaces", comparison.cer_no_space)):
        lines.append(f"{name:<18}A {contrast.first:.4f}  B {contrast.second:.4f}")
        for unit, paired in (("utterances", contrast.over_utterances), ("speakers", contrast.over_speakers)):
            if paired:
                low, high = paired.ci95
                lines.append(
                    f"  A - B           {paired.difference:+.4f}  (95 % interval {low:+.4f} to {high:+.4f}, "
                    f"p {paired.p:.4f}; A better with probability {paired.probability:.4f}; over {unit})"
                )
    return "\n".join(lines)


def missing_train(error: ImportError) -> MissingExtraError:
    """What to say where an import of training failed."""
    return MissingExtraError(f'this needs more packages ({error.name}): pip install "distilhubert-ko[train]"')
