"""The command `distilhubert-ko`: one function a command, with the heavy imports inside it."""

import json
import os
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distilhubert_ko import __version__
from distilhubert_ko.errors import DistilhubertKoError, InputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress

    from distilhubert_ko.files import Source
    from distilhubert_ko.recipe import Recipe
    from distilhubert_ko.report import Report
    from distilhubert_ko.vad import VadOptions

DEFAULT_MODEL = "Bingsu/distilhubert-ko-zeroth"
LONG = 300.0  # seconds of audio that take long enough for a progress bar


class Precision(StrEnum):
    FP32 = "fp32"
    INT8 = "int8"


class Target(StrEnum):
    ONNX = "onnx"
    SHERPA_ONNX = "sherpa-onnx"


class OutputFormat(StrEnum):
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"
    JSON = "json"
    ALL = "all"


class AlignmentFormat(StrEnum):
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"
    JSON = "json"
    TEXTGRID = "textgrid"


app = typer.Typer(
    name="distilhubert-ko",
    help="Korean speech recognition that fits in a pocket: fine-tune DistilHuBERT, measure it, transcribe with it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or zeroth, pansori or demo.")]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model folder or a Hub id.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a key of the recipe; repeatable.")
]


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(f"distilhubert-ko {__version__}")
        raise typer.Exit()


@app.command()
def plan(
    recipe: RecipeArgument,
    utterances: Annotated[
        int | None, typer.Option(metavar="N", help="Training utterances; the corpus's own number by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    changes: SetOption = [],  # noqa: B006 (typer copies it)
) -> None:
    """Show what a recipe will do: steps, evaluations and learning rates. No training, no network."""
    from distilhubert_ko import recipe as recipes
    from distilhubert_ko import sizes

    config = recipes.load(recipes.find(recipe), changes)
    size = sizes.of(config) if utterances is None else sizes.Size(utterances, None)
    planned = recipes.plan(config, size.utterances)
    if as_json:
        typer.echo(
            json.dumps(asdict(planned) | {"audio_hours": size.hours_heard(config.training.num_epochs)}, indent=2)
        )
        return
    typer.echo(f"{planned.train_utterances:,} training utterances, {planned.steps_per_epoch:,} steps an epoch")
    typer.echo(f"{planned.total_steps:,} steps in {config.training.num_epochs} epochs")
    if size.hours is not None:
        typer.echo(f"{size.hours:.1f} h of speech, {size.hours_heard(config.training.num_epochs):.0f} h heard in all")
    typer.echo("   step   epoch  learning rate")
    for step in planned.evaluations:
        typer.echo(f"{step.step:7,} {step.epoch:7} {step.learning_rate:14.3e}")
    for key, value in planned.hyperparameters.items():
        typer.echo(f"{key}: {value}")


@app.command()
def prepare(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for data.json; prepared/NAME by default.")] = None,
    changes: SetOption = [],  # noqa: B006
) -> None:
    """Read and check a recipe's corpora, build the vocabulary, and report what is kept and what is not."""
    from distilhubert_ko import dataset
    from distilhubert_ko import recipe as recipes

    config = recipes.load(recipes.find(recipe), changes)
    data = dataset.prepare(config)
    folder = out or Path("prepared") / config.name
    folder.mkdir(parents=True, exist_ok=True)
    data.tokenizer.save(folder)
    dataset.save_report(data.report(), folder / "data.json")
    typer.echo(dataset.describe(data.report()))
    typer.echo(f"report: {folder / 'data.json'}  vocabulary: {folder / 'vocab.json'}")


@app.command()
def train(
    recipe: RecipeArgument,
    out: Annotated[Path | None, typer.Option(help="A new folder for the model; runs/NAME by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    changes: SetOption = [],  # noqa: B006
) -> None:
    """Train a recipe to the end: the model, its ONNX graph, its report and its card."""
    from distilhubert_ko import recipe as recipes

    config = recipes.load(recipes.find(recipe), changes)
    folder = out or Path("runs") / config.name
    report = _train(config, folder, resume)
    typer.echo(_figures(report))
    typer.echo(f"model: {folder}  card: {folder / 'README.md'}  curve: {folder / 'learning-curve.png'}")


@app.command()
def evaluate(
    model: ModelArgument,
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="scheme:location#split, as in a recipe.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here, and a line an utterance to .jsonl beside it.")
    ] = None,
) -> None:
    """Score a model on a corpus: CER with and without spaces, jamo and word error rates, loss, speed."""
    from distilhubert_ko import report as reports

    report = _evaluate(model, corpus, Path())
    typer.echo(_figures(report))
    if json_file:
        lines = reports.save(report, json_file)
        typer.echo(f"report: {json_file}  utterances: {lines}")


@app.command()
def transcribe(
    audio: Annotated[list[str], typer.Argument(metavar="AUDIO...", help="Files, folders, or - for standard input.")],
    model: Annotated[str, typer.Option(help="A model folder or a Hub id.")] = DEFAULT_MODEL,
    output_dir: Annotated[
        Path | None, typer.Option("-o", "--output-dir", help="Write files here; the current folder with -f alone.")
    ] = None,
    output_format: Annotated[
        OutputFormat | None, typer.Option("-f", "--output-format", help="What to write; txt with -o alone.")
    ] = None,
    word_timestamps: Annotated[
        bool, typer.Option("--word-timestamps", help="A subtitle, or a row, for each word.")
    ] = False,
    max_line_width: Annotated[int, typer.Option(min=1, help="Characters in a line of a subtitle.")] = 32,
    max_line_count: Annotated[int, typer.Option(min=1, help="Lines in a subtitle.")] = 1,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all by default.")] = None,
    vad_filter: Annotated[
        bool, typer.Option("--vad-filter", help="Find speech first, and transcribe only that (needs silero-vad).")
    ] = False,
    vad_threshold: Annotated[
        float | None, typer.Option(help="Probability from which it is speech; 0.5 by default.")
    ] = None,
    vad_min_speech_duration_ms: Annotated[
        int | None, typer.Option(help="Shorter speech is dropped; 0 by default.")
    ] = None,
    vad_max_speech_duration_s: Annotated[
        float | None, typer.Option(help="Longer speech is cut in a pause; no limit by default.")
    ] = None,
    vad_min_silence_duration_ms: Annotated[
        int | None, typer.Option(help="Silence that ends a region of speech; 2000 by default.")
    ] = None,
    vad_speech_pad_ms: Annotated[
        int | None, typer.Option(help="Added on both sides of a region; 400 by default.")
    ] = None,
) -> None:
    """Print the text of recordings of any length, a line each, or write txt, srt, vtt, tsv or json files."""
    from distilhubert_ko import files, transcript
    from distilhubert_ko.transcribe import Transcriber

    vad = _vad_options(
        vad_filter,
        threshold=vad_threshold,
        min_speech_duration_ms=vad_min_speech_duration_ms,
        max_speech_duration_s=vad_max_speech_duration_s,
        min_silence_duration_ms=vad_min_silence_duration_ms,
        speech_pad_ms=vad_speech_pad_ms,
    )
    sources = files.sources(audio)
    transcriber = Transcriber(_exported(model), threads)
    bar = _bar(sources)
    failed: list[DistilhubertKoError] = []
    for source in sources:
        try:
            with bar:  # gone again before anything is printed
                result = transcriber(source.read(), vad, _mover(bar))
        except DistilhubertKoError as error:  # the rest go on
            typer.echo(f"distilhubert-ko: {error}", err=True)
            failed.append(error)
            continue
        if output_dir is None and output_format is None:
            typer.echo(result.text)
            continue
        layout = transcript.Layout(max_line_width, max_line_count)
        segments = result.one_word_each() if word_timestamps else result.segmented(layout)
        chosen = output_format.value if output_format else "txt"
        for form in transcript.FORMATS if chosen == "all" else [chosen]:
            text = transcript.write(result, form, segments)
            typer.echo(files.save(text, output_dir or Path(), f"{source.name}.{form}"))
    if failed:
        sys.exit(max(error.exit_code for error in failed))


@app.command()
def align(
    audio: Annotated[str, typer.Argument(metavar="AUDIO", help="A recording of any length.")],
    text: Annotated[
        Path, typer.Argument(metavar="TEXT", help="A text file (UTF-8) of what is said; a line a segment.")
    ],
    model: Annotated[str, typer.Option(help="A model folder or a Hub id.")] = DEFAULT_MODEL,
    output_dir: Annotated[
        Path | None, typer.Option("-o", "--output-dir", help="Write a file here; the current folder with -f alone.")
    ] = None,
    output_format: Annotated[
        AlignmentFormat | None, typer.Option("-f", "--output-format", help="What to write; tsv with -o alone.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all by default.")] = None,
) -> None:
    """Find when each line, word and syllable of a known text is said: print the lines' times, or write a file.

    The text is read as training reads it, digits and Latin letters spelled out, and shown as it is written.
    """
    from distilhubert_ko import alignment, files
    from distilhubert_ko.transcribe import Transcriber

    written = files.read_text(text)
    result = alignment.align(Transcriber(_exported(model), threads), audio, written)
    for warning in result.warnings():
        typer.echo(f"distilhubert-ko: {warning}", err=True)
    form = output_format.value if output_format else "tsv"
    if output_dir is None and output_format is None:
        typer.echo(alignment.write(result, form), nl=False)
        return
    suffix = "TextGrid" if form == "textgrid" else form  # as Praat spells it
    name = f"{Path(audio).stem}.{suffix}"
    typer.echo(files.save(alignment.write(result, form), output_dir or Path(), name))


@app.command()
def card(model: ModelArgument) -> None:
    """Write README.md into a model folder again from its recorded report."""
    from distilhubert_ko import card as cards

    typer.echo(cards.write(Path(model)))


@app.command()
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
) -> None:
    """Write model.onnx from a model's weights after a check: float32 against torch, int8 by its CER on a corpus."""
    from distilhubert_ko.runtime import graph, resolve

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
        _export(folder, None if Path(model).is_dir() else graph(folder))
        return
    try:
        from distilhubert_ko import export as exports
    except ImportError as error:
        raise _missing_train(error) from error
    difference = exports.export_folder(
        folder,
        out,
        int8=int8,
        sherpa=sherpa,
        corpus=calibrate,
        on_trial=lambda trial: typer.echo(trial, err=True),
    )
    typer.echo(f"{out}: float32 within {difference:.1e} of the weights' log-probabilities", err=True)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="A new folder for the model.")] = Path("demo"),
) -> None:
    """Train, measure, document and transcribe, offline, in minutes, on speech that the program makes for itself."""
    from distilhubert_ko import corpora
    from distilhubert_ko import recipe as recipes
    from distilhubert_ko.transcribe import Transcriber

    config = recipes.load(recipes.find("demo"))
    report = _train(config, out, resume=False)
    clip = corpora.read(config.test_corpus).utterances[0]
    transcript = out / "transcript.txt"
    transcript.write_text(Transcriber(out)(clip.wave()).text + "\n", encoding="utf-8")
    typer.echo(_figures(report))
    typer.echo(f"card:       {out / 'README.md'}")
    typer.echo(f"curve:      {out / 'learning-curve.png'}")
    typer.echo(f"transcript: {transcript}  {transcript.read_text(encoding='utf-8').strip()}")
    typer.echo(f"  spoken:   {clip.audio}  {clip.text}")
    typer.echo(f"try it:     distilhubert-ko transcribe {clip.audio} --model {out}")


def _vad_options(wanted: bool, **given: float | None) -> "VadOptions | None":
    """Options of --vad-filter, those that are None at their defaults; None without it."""
    from distilhubert_ko.vad import VadOptions

    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen and not wanted:
        raise InputError(f"--vad-{next(iter(chosen)).replace('_', '-')} does nothing alone: add --vad-filter")
    return VadOptions(**chosen) if wanted else None  # type: ignore[arg-type]


def _bar(sources: "Sequence[Source]") -> "Progress":
    """A progress bar over all sources, which stays away where nobody looks or the work is short."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    seconds = _seconds(sources) if console.is_terminal else 0.0
    watched = console.is_terminal and (seconds is None or seconds >= LONG)
    # What is printed must go where it was sent, also while the bar stands.
    bar = Progress(console=console, transient=True, disable=not watched, redirect_stdout=False, redirect_stderr=False)
    bar.add_task("transcribing", total=seconds)
    return bar


def _seconds(sources: "Sequence[Source]") -> float | None:
    """The length of all sources, or None where one of them, such as a pipe, does not say; unreadable ones have none."""
    from distilhubert_ko import audio

    total = 0.0
    for source in sources:
        if not Path(source.path).is_file():
            return None
        try:
            total += audio.duration(source.path)
        except DistilhubertKoError:
            continue  # reported when its turn comes
    return total


def _mover(bar: "Progress") -> "Callable[[float], None]":
    """Moves the bar on from where it stands, by the seconds of one source that are done."""
    (task,) = bar.tasks
    before = task.completed
    return lambda seconds: bar.update(task.id, completed=before + seconds)


def _train(config: "Recipe", folder: Path, resume: bool) -> "Report":
    """Trains, exports, evaluates and writes the card."""
    from distilhubert_ko import report as reports

    try:
        from distilhubert_ko import card as cards
        from distilhubert_ko import train as training
    except ImportError as error:
        raise _missing_train(error) from error

    training.train(config, folder, resume=resume)
    _export(folder)
    report = _evaluate(str(folder), config.test_corpus, config.root)
    reports.save(report, folder / reports.REPORT)
    cards.write(folder)
    return report


def _export(folder: Path, path: Path | None = None) -> None:
    try:
        from distilhubert_ko import export as exports
    except ImportError as error:
        raise _missing_train(error) from error

    difference = exports.export(folder, path)
    typer.echo(f"{path or folder / 'model.onnx'}: within {difference:.1e} of the weights' log-probabilities", err=True)


def _exported(model: str) -> Path:
    """The folder of a model, exported now, into the cache, where it comes without a graph of its weights."""
    from distilhubert_ko.runtime import graph, resolve, weights

    folder = resolve(model)
    path = graph(folder)
    if not path.is_file() and weights(folder):
        _export(folder, path)
    return folder


def _evaluate(model: str, corpus: str, root: Path) -> "Report":
    from rich.console import Console
    from rich.progress import Progress

    from distilhubert_ko import report as reports
    from distilhubert_ko.transcribe import Transcriber

    transcriber = Transcriber(_exported(model))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("evaluating", total=None)
        return reports.evaluate(
            transcriber,
            corpus,
            root=root,
            on_progress=lambda done, all_: progress.update(task, completed=done, total=all_),
        )


def _figures(report: "Report") -> str:
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


def _missing_train(error: ImportError) -> MissingExtraError:
    return MissingExtraError(f'this needs more packages ({error.name}): pip install "distilhubert-ko[train]"')


def main() -> None:
    """Runs the command; an error is one line on standard error, and its exit code."""
    try:
        app()
    except DistilhubertKoError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"distilhubert-ko: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output, such as head, left early
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
