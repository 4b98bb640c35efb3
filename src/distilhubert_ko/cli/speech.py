"""The commands that recognise recordings: transcribe, bulk, align, label."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distilhubert_ko import model_folder
from distilhubert_ko.audio.channel_names import CHANNELS, Channel
from distilhubert_ko.cli.chosen_model import ModelOption, chosen_model
from distilhubert_ko.cli.common import (
    BeamOption,
    Device,
    DeviceOption,
    HotwordOption,
    HotwordWeightOption,
    LmOption,
    NBestOption,
    NumeralsOption,
    OutsideOption,
    ThreadsOption,
    exported_folder,
)
from distilhubert_ko.cli.progress import RecordingsBar, counting_bar
from distilhubert_ko.errors import DistilhubertKoError, InputError, MissingExtraError
from distilhubert_ko.recognition.formats import (
    ALIGNMENT_FORMATS,
    FORMATS,
    TRANSCRIPT_FORMATS,
    Numerals,
    render_transcript,
)
from distilhubert_ko.recognition.language_names import is_korean

TrackOption = Annotated[
    int | None,
    typer.Option(
        "--track", min=1, metavar="N", help="Audio track of a video; by default the first that is not silent."
    ),
]

if TYPE_CHECKING:
    from distilhubert_ko.evaluation.labellers import Labeller
    from distilhubert_ko.recognition.vad import VadOptions

ALL = "all"
WHISPER = "whisper:"
AGREE_CER = 0.2
OutputFormat = StrEnum("OutputFormat", {name.upper(): name for name in (*TRANSCRIPT_FORMATS, ALL)})  # type: ignore[misc]
OneChannel = StrEnum("OneChannel", ("MIX", "LEFT", "RIGHT"))
AlignmentFormat = StrEnum("AlignmentFormat", {name.upper(): name for name in ALIGNMENT_FORMATS})  # type: ignore[misc]


def transcribe_command(
    audio: Annotated[
        list[str], typer.Argument(metavar="AUDIO...", help="Files, patterns, folders, or - for standard input.")
    ],
    model: ModelOption = None,
    output_dir: Annotated[
        Path | None, typer.Option("-o", "--output-dir", help="Write files here; the current folder with -f alone.")
    ] = None,
    output_format: Annotated[
        OutputFormat | None, typer.Option("-f", "--output-format", help="What to write; txt with -o alone.")
    ] = None,
    word_timestamps: Annotated[
        bool, typer.Option("--word-timestamps", help="Write one subtitle, or one row, per word.")
    ] = False,
    max_line_width: Annotated[int, typer.Option(min=1, help="Characters in a line of a subtitle.")] = 18,
    max_line_count: Annotated[int, typer.Option(min=1, help="Lines in a subtitle.")] = 2,
    language: Annotated[str | None, typer.Option(hidden=True)] = None,  # as Whisper's command has it
    channel: Annotated[
        Channel,
        typer.Option(
            help="One channel, or the mean of all (mix, or the louder where they cancel), or a speaker per channel "
            "(split)."
        ),
    ] = Channel.MIX,
    track: TrackOption = None,
    numerals: NumeralsOption = Numerals.WORDS,
    threads: ThreadsOption = None,
    batch_size: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Windows of 20 s of a long recording at once; on a CPU, more is slower."),
    ] = 1,
    device: DeviceOption = Device.AUTO,
    lm: LmOption = None,
    beam: BeamOption = None,
    hotword: HotwordOption = [],  # noqa: B006 (typer copies it)
    hotword_weight: HotwordWeightOption = 2.0,
    n_best: NBestOption = 1,
    vad_filter: Annotated[
        bool, typer.Option("--vad-filter", help="Find speech first, and transcribe only that.")
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
    """Print the text of recordings of any length, one line each, or write it to files."""
    from distilhubert_ko.audio.channels import AudioChoice
    from distilhubert_ko.files.outputs import check_output, write_output
    from distilhubert_ko.files.recordings import STDIN, find_recordings
    from distilhubert_ko.recognition.segments import Layout
    from distilhubert_ko.recognition.speakers import transcribe_channels
    from distilhubert_ko.recognition.transcriber import Transcriber

    vad = _vad_options(
        vad_filter,
        threshold=vad_threshold,
        min_speech_duration_ms=vad_min_speech_duration_ms,
        max_speech_duration_s=vad_max_speech_duration_s,
        min_silence_duration_ms=vad_min_silence_duration_ms,
        speech_pad_ms=vad_speech_pad_ms,
    )
    if language is not None and not is_korean(language):
        raise InputError(f"--language {language}: only Korean is recognised: leave --language out, or give ko")
    if channel == Channel.SPLIT and n_best > 1:
        raise InputError("--n-best has no effect with --channel split: leave out one of them")
    choice = AudioChoice(CHANNELS.get(channel), track)
    sources = find_recordings(audio)
    transcriber = Transcriber(
        exported_folder(chosen_model(model)),
        threads,
        device=device.value,
        batch_size=batch_size,
        numerals=numerals,
        lm=lm,
        beam=beam,
        hotwords=hotword,
        hotword_weight=hotword_weight,
        n_best=n_best,
    )
    bar = RecordingsBar(sources)
    layout = Layout(max_line_width, max_line_count)
    chosen = output_format.value if output_format else "txt"
    printed, home = output_dir is None and output_format is None, output_dir or Path()
    inputs = [each.path for each in sources if each.path != STDIN]
    failed: list[DistilhubertKoError] = []
    for source in sources:
        try:
            forms = TRANSCRIPT_FORMATS if chosen == ALL else [chosen]
            places = {form: home / f"{source.name}.{FORMATS[form].extension}" for form in forms if not printed}
            for place in places.values():
                check_output(place, inputs)
            with bar.next_recording() as on_progress:
                if channel == Channel.SPLIT:
                    result = transcribe_channels(transcriber, source.read(), vad, on_progress, choice)
                else:
                    result = transcriber(source.read(), vad, on_progress, choice=choice)
            if printed:
                typer.echo(result.dialogue)
            segments = result.one_word_each() if word_timestamps else result.segmented(layout)
            for form, place in places.items():
                typer.echo(write_output(place, render_transcript(result, form, segments)))
        except DistilhubertKoError as error:  # the others are still transcribed
            typer.echo(f"distilhubert-ko: {error}", err=True)
            failed.append(error)
    if failed:
        sys.exit(max(error.exit_code for error in failed))


def bulk_command(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A manifest (JSONL or CSV) or a folder; a path, or a URL as s3://..."),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write; on a cluster, one that all its machines see.")
    ],
    model: ModelOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes that transcribe; by default as many as the CPUs allow."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads per process.")] = 1,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="A Ray cluster; by default Ray is started on this machine.")
    ] = None,
    lm: LmOption = None,
    beam: BeamOption = None,
    hotword: HotwordOption = [],  # noqa: B006 (typer copies it)
    hotword_weight: HotwordWeightOption = 2.0,
    n_best: NBestOption = 1,
    numerals: NumeralsOption = Numerals.WORDS,
    allow_outside: OutsideOption = False,
) -> None:
    """Transcribe very many recordings on Ray into Parquet and JSONL, one record each.

    What cannot be transcribed gets a record with the reason. DIR/_SUCCESS is written when every input has its record.
    If interrupted, rerun the same command to continue.
    """
    try:
        from distilhubert_ko.bulk.run import WorkerOptions, transcribe_all
    except ImportError as error:
        raise MissingExtraError('bulk transcription needs Ray: pip install "distilhubert-ko[bulk]"') from error
    from distilhubert_ko.decoding.decoder import NO_LM, DecodingOptions

    named = lm if lm is None or lm == NO_LM else str(Path(lm).absolute())  # workers have other working folders
    settings = DecodingOptions(lm=named, beam=beam, hotwords=hotword, hotword_weight=hotword_weight, n_best=n_best)
    work = WorkerOptions(str(exported_folder(chosen_model(model)).absolute()), threads, settings, numerals)
    with counting_bar("transcribing") as on_progress:
        counts = transcribe_all(
            source,
            out,
            work,
            workers=workers,
            address=address,
            allow_outside=allow_outside,
            on_progress=on_progress,
        )
    hours = counts.seconds / 3600
    typer.echo(f"{out}: {counts.records:,} records, {hours:.2f} h, {counts.failures:,} of them failures (see `error`)")


def align_command(
    audio: Annotated[str, typer.Argument(metavar="AUDIO", help="A recording of any length.")],
    text: Annotated[
        Path, typer.Argument(metavar="TEXT", help="A text file (UTF-8) of what is said; one line per segment.")
    ],
    model: ModelOption = None,
    output_dir: Annotated[
        Path | None, typer.Option("-o", "--output-dir", help="Write a file here; the current folder with -f alone.")
    ] = None,
    output_format: Annotated[
        AlignmentFormat | None, typer.Option("-f", "--output-format", help="What to write; tsv with -o alone.")
    ] = None,
    channel: Annotated[
        OneChannel, typer.Option(help="The channel that is aligned, or the mean of all.")
    ] = OneChannel.MIX,
    track: TrackOption = None,
    vad_filter: Annotated[
        bool, typer.Option("--vad-filter", help="Find speech first, and place the text only there.")
    ] = False,
    threads: ThreadsOption = None,
) -> None:
    """Find when each line, word and syllable of a known text is said: print the lines' times, or write a file.

    To align it, digits and Latin letters of the text are spelled out, as in training. It is shown as it is written.
    """
    from distilhubert_ko.audio.channels import AudioChoice
    from distilhubert_ko.decoding.decoder import NO_LM
    from distilhubert_ko.files.outputs import check_output, write_output
    from distilhubert_ko.files.reading import read_text
    from distilhubert_ko.recognition.alignment import align_text
    from distilhubert_ko.recognition.transcriber import Transcriber

    form = output_format.value if output_format else "tsv"
    place = None
    if output_dir is not None or output_format is not None:
        place = (output_dir or Path()) / f"{Path(audio).stem}.{FORMATS[form].extension}"
        check_output(place, [audio, text])
    written = read_text(text)
    choice = AudioChoice(CHANNELS.get(channel), track)
    transcriber = Transcriber(exported_folder(chosen_model(model)), threads, lm=NO_LM)
    result = align_text(transcriber, audio, written, _vad_options(vad_filter), choice)
    for warning in result.warnings():
        typer.echo(f"distilhubert-ko: {warning}", err=True)
    if place is None:
        typer.echo(result.render(form), nl=False)
    else:
        typer.echo(write_output(place, result.render(form)))


def _vad_options(wanted: bool, **given: float | None) -> "VadOptions | None":
    """Return the options of --vad-filter, with defaults where they are None; without --vad-filter, return None."""
    from distilhubert_ko.recognition.vad import VadOptions

    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen and not wanted:
        raise InputError(f"--vad-{next(iter(chosen)).replace('_', '-')} has no effect alone: add --vad-filter")
    return VadOptions(**chosen) if wanted else None  # type: ignore[arg-type]


def label_command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model folder or a Hub id; or whisper:NAME, a Whisper in CTranslate2's format or a size of it.",
        ),
    ],
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="scheme:location#split, as in a recipe; text is not needed.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The manifest to write, such as labels.jsonl.")],
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out labels whose mean probability of a unit is lower.")
    ] = 0.0,
    agree: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Keep only labels that this CTC model of yours confirms.")
    ] = None,
    agree_cer: Annotated[
        float | None,
        typer.Option(min=0, help=f"CER without spaces up to which --agree confirms; {AGREE_CER:g} by default."),
    ] = None,
    heldout: Annotated[
        str, typer.Option(metavar="RULE", help="Speaker split, as in a recipe; that of MODEL's recipe by default.")
    ] = "",
    lm: LmOption = None,
    beam: BeamOption = None,
    allow_outside: OutsideOption = False,
) -> None:
    """Transcribe a corpus into a manifest to train on, with a confidence for each utterance.

    Write the manifest into a folder that holds the corpus. Elsewhere it refers to audio outside its own folder, and is
    read only with --allow-outside.
    """
    from distilhubert_ko.data.account import dropped_lines
    from distilhubert_ko.data.corpora import listing_files
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.evaluation import labelling
    from distilhubert_ko.files.outputs import check_output
    from distilhubert_ko.recognition.transcriber import Transcriber

    reading = Reading(heldout=heldout, allow_outside=allow_outside)
    check_output(out, [*listing_files(corpus, reading), *model_folder.read_files(model), *([lm] if lm else [])])
    if agree_cer is not None and agree is None:
        raise InputError("--agree-cer has no effect alone: add --agree MODEL")
    by_whisper = model.startswith(WHISPER)
    if by_whisper and agree is None and (lm is not None or beam is not None):
        raise InputError(
            f"{model}: --lm and --beam have no effect on Whisper, which searches by itself: drop them, or add --agree "
            "MODEL, which has one"
        )
    labeller = _labeller(model, lm, beam)
    search: dict[str, Any] = {"lm": lm, "beam": beam} if by_whisper else {}
    confirm = Transcriber(exported_folder(agree), **search) if agree else None
    with counting_bar("labelling") as on_progress:
        labels = labelling.label_corpus(labeller, corpus, reading=reading, confirm=confirm, on_progress=on_progress)
    if parts := labelling.deciles(labels.labels):
        typer.echo("confidence from  utterances     CER  CER from here up")
        for part in parts:
            typer.echo(f"{part.low:15.3f} {part.utterances:11,} {part.cer:7.4f} {part.cer_from_here:17.4f}")
    if levels := labelling.agreements(labels.labels):
        typer.echo("agreement to CER  utterances  CER, no spaces")
        for each in levels:
            typer.echo(f"{each.level:16g} {each.utterances:11,} {each.cer:15.4f}")
    within = AGREE_CER if agree_cer is None else agree_cer
    kept = labelling.write_labels(labels, out, min_confidence, within)
    hours = sum(each.utterance.seconds for each in kept) / 3600
    typer.echo(f"{out}: {len(kept):,} of {len(labels.labels):,} utterances, {hours:.2f} h")
    dropped = labels.dropped(min_confidence, within)
    for line in dropped_lines({reason: len(ids) for reason, ids in dropped.items()}, dropped):
        typer.echo(line)
    if (error_rate := labelling.cer_no_space(kept)) is not None:
        typer.echo(
            f"CER, no spaces: {error_rate:.4f} of what is kept, {labelling.cer_no_space(labels.labels):.4f} of all"
        )


def _labeller(model: str, lm: str | None, beam: int | None) -> "Labeller":
    from distilhubert_ko.evaluation.labellers import CtcLabeller, WhisperLabeller
    from distilhubert_ko.recognition.transcriber import Transcriber
    from distilhubert_ko.recognition.whisper import WhisperRecogniser

    if not model.startswith(WHISPER):
        return CtcLabeller(Transcriber(exported_folder(model), lm=lm, beam=beam))
    return WhisperLabeller(WhisperRecogniser(model.removeprefix(WHISPER)))
