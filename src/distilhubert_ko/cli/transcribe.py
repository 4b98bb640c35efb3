"""The command `transcribe`: the text of recordings, printed or in files."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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
    ThreadsOption,
    TrackOption,
    exported_folder,
    vad_options,
)
from distilhubert_ko.cli.progress import RecordingsBar
from distilhubert_ko.errors import DistilhubertKoError, InputError
from distilhubert_ko.recognition.formats import FORMATS, TRANSCRIPT_FORMATS, Numerals, render_transcript
from distilhubert_ko.recognition.language_names import is_korean

ALL = "all"
OutputFormat = StrEnum("OutputFormat", {name.upper(): name for name in (*TRANSCRIPT_FORMATS, ALL)})  # type: ignore[misc]


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

    vad = vad_options(
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
