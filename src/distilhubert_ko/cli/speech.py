"""Commands that hear recordings: transcribe, bulk, align, label."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distilhubert_ko.cli.model import BeamOption, LmOption, ModelArgument, OutsideOption, exported
from distilhubert_ko.errors import DistilhubertKoError, InputError, MissingExtraError
from distilhubert_ko.recognition.formats import ALIGNMENT_FORMATS, FORMATS, TRANSCRIPT_FORMATS, render_transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.progress import Progress

    from distilhubert_ko.files.reading import Source
    from distilhubert_ko.recognition.vad import VadOptions

DEFAULT_MODEL = "Bingsu/distilhubert-ko-zeroth"
LONG = 300.0  # seconds of audio that take long enough for a progress bar

ALL = "all"
OutputFormat = StrEnum("OutputFormat", {name.upper(): name for name in (*TRANSCRIPT_FORMATS, ALL)})  # type: ignore[misc]
AlignmentFormat = StrEnum("AlignmentFormat", {name.upper(): name for name in ALIGNMENT_FORMATS})  # type: ignore[misc]

HotwordOption = Annotated[
    list[str], typer.Option("--hotword", metavar="WORD", help="A word or name to listen for; repeatable.")
]
HotwordWeightOption = Annotated[float, typer.Option(min=0.0, help="How much, in nats a syllable.")]
NBestOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Texts to find; json has those after the first as alternatives.")
]


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def transcribe(
    audio: Annotated[
        list[str], typer.Argument(metavar="AUDIO...", help="Files, patterns, folders, or - for standard input.")
    ],
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
    batch_size: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Windows of 20 s of a long recording at once; on a CPU, more is slower."),
    ] = 1,
    device: Annotated[Device, typer.Option(help="auto is a CUDA GPU where onnxruntime has one.")] = Device.AUTO,
    lm: LmOption = None,
    beam: BeamOption = None,
    hotword: HotwordOption = [],  # noqa: B006 (typer copies it)
    hotword_weight: HotwordWeightOption = 2.0,
    n_best: NBestOption = 1,
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
    """Print the text of recordings of any length, a line each, or write files of one format or all."""
    from distilhubert_ko.files import reading as files
    from distilhubert_ko.files import writing
    from distilhubert_ko.recognition.segments import Layout
    from distilhubert_ko.recognition.transcriber import Transcriber

    vad = _vad_options(
        vad_filter,
        threshold=vad_threshold,
        min_speech_duration_ms=vad_min_speech_duration_ms,
        max_speech_duration_s=vad_max_speech_duration_s,
        min_silence_duration_ms=vad_min_silence_duration_ms,
        speech_pad_ms=vad_speech_pad_ms,
    )
    sources = files.sources(audio)
    transcriber = Transcriber(
        exported(model),
        threads,
        device=device.value,
        batch_size=batch_size,
        lm=lm,
        beam=beam,
        hotwords=hotword,
        hotword_weight=hotword_weight,
        n_best=n_best,
    )
    bar = _bar(sources)
    layout = Layout(max_line_width, max_line_count)
    chosen = output_format.value if output_format else "txt"
    failed: list[DistilhubertKoError] = []
    for source in sources:
        try:
            with bar:  # gone again before anything is printed
                result = transcriber(source.read(), vad, _mover(bar))
            if output_dir is None and output_format is None:
                typer.echo(result.text)
                continue
            segments = result.one_word_each() if word_timestamps else result.segmented(layout)
            for form in TRANSCRIPT_FORMATS if chosen == ALL else [chosen]:
                text = render_transcript(result, form, segments)
                name = f"{source.name}.{FORMATS[form].extension}"
                typer.echo(writing.write_text((output_dir or Path()) / name, text))
        except DistilhubertKoError as error:  # the rest go on
            typer.echo(f"distilhubert-ko: {error}", err=True)
            failed.append(error)
    if failed:
        sys.exit(max(error.exit_code for error in failed))


def bulk(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A manifest (JSONL or CSV) or a folder; a path, or a URL as s3://..."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write; on a cluster, one that all its machines see.")
    ],
    model: Annotated[str, typer.Option(help="A model folder or a Hub id.")] = DEFAULT_MODEL,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes that transcribe; as many as there are CPUs for.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each.")] = 1,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="A Ray cluster; by default Ray is started on this machine.")
    ] = None,
    lm: LmOption = None,
    beam: BeamOption = None,
    hotword: HotwordOption = [],  # noqa: B006 (typer copies it)
    hotword_weight: HotwordWeightOption = 2.0,
    n_best: NBestOption = 1,
    allow_outside: OutsideOption = False,
) -> None:
    """Transcribe very many recordings on Ray into Parquet and JSONL, one record each; given again, it goes on.

    What cannot be transcribed gets a record with the reason. DIR/_SUCCESS is written when every input has its record.
    """
    from rich.console import Console
    from rich.progress import Progress

    try:
        from distilhubert_ko.bulk import run as bulk
    except ImportError as error:
        raise MissingExtraError('bulk transcription needs Ray: pip install "distilhubert-ko[bulk]"') from error
    from distilhubert_ko.decoding import decoder
    from distilhubert_ko.decoding.decoder import Settings

    named = lm if lm is None or lm == decoder.NONE else str(Path(lm).absolute())  # workers have other working folders
    settings = Settings(lm=named, beam=beam, hotwords=hotword, hotword_weight=hotword_weight, n_best=n_best)
    work = bulk.WorkerOptions(str(exported(model).absolute()), threads, settings)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("transcribing", total=None)
        counts = bulk.transcribe_all(
            source,
            out,
            work,
            workers=workers,
            address=address,
            allow_outside=allow_outside,
            on_progress=lambda done, all_: progress.update(task, completed=done, total=all_),
        )
    hours = counts.seconds / 3600
    typer.echo(f"{out}: {counts.records:,} records, {hours:.2f} h, {counts.failures:,} of them failures (see `error`)")


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
    from distilhubert_ko.decoding import decoder
    from distilhubert_ko.files import reading as files
    from distilhubert_ko.files import writing
    from distilhubert_ko.recognition import alignment
    from distilhubert_ko.recognition.transcriber import Transcriber

    written = files.read_text(text)
    result = alignment.align(Transcriber(exported(model), threads, lm=decoder.NONE), audio, written)
    for warning in result.warnings():
        typer.echo(f"distilhubert-ko: {warning}", err=True)
    form = output_format.value if output_format else "tsv"
    if output_dir is None and output_format is None:
        typer.echo(result.render(form), nl=False)
        return
    name = f"{Path(audio).stem}.{FORMATS[form].extension}"
    typer.echo(writing.write_text((output_dir or Path()) / name, result.render(form)))


def _vad_options(wanted: bool, **given: float | None) -> "VadOptions | None":
    """Options of --vad-filter, those that are None at their defaults; None without it."""
    from distilhubert_ko.recognition.vad import VadOptions

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
    from distilhubert_ko.audio.reading import audio_duration

    total = 0.0
    for source in sources:
        if not Path(source.path).is_file():
            return None
        try:
            total += audio_duration(source.path)
        except DistilhubertKoError:
            continue  # reported when its turn comes
    return total


def _mover(bar: "Progress") -> "Callable[[float], None]":
    """Moves the bar on from where it stands, by the seconds of one source that are done."""
    (task,) = bar.tasks
    before = task.completed
    return lambda seconds: bar.update(task.id, completed=before + seconds)


def label(
    model: ModelArgument,
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="scheme:location#split, as in a recipe; text is not needed.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The manifest to write, such as labels.jsonl.")],
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out labels whose mean probability of a unit is lower.")
    ] = 0.0,
    lm: LmOption = None,
    beam: BeamOption = None,
    allow_outside: OutsideOption = False,
) -> None:
    """Write what a model hears in a corpus as a manifest to train on, with a confidence for each utterance.

    Write it into a folder that holds the corpus: elsewhere it names files outside, which reading it has to allow.
    """
    from rich.console import Console
    from rich.progress import Progress

    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.evaluation import labelling
    from distilhubert_ko.recognition.transcriber import Transcriber

    transcriber = Transcriber(exported(model), lm=lm, beam=beam)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("labelling", total=None)
        labels = labelling.label_corpus(
            transcriber,
            corpus,
            reading=Reading(allow_outside=allow_outside),
            on_progress=lambda done, all_: progress.update(task, completed=done, total=all_),
        )
    if parts := labelling.deciles(labels.labels):
        typer.echo("confidence from  utterances     CER  CER from here up")
        for part in parts:
            typer.echo(f"{part.low:15.3f} {part.utterances:11,} {part.cer:7.4f} {part.cer_from_here:17.4f}")
    kept = labelling.write_labels(labels, out, min_confidence)
    hours = sum(each.utterance.seconds for each in kept) / 3600
    typer.echo(f"{out}: {len(kept):,} of {len(labels.labels):,} utterances, {hours:.2f} h")
    for reason, count in labels.dropped(min_confidence).items():
        typer.echo(f"dropped, {reason}: {count:,}")
