"""The command `align`: when each word of a known text is said."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from distilhubert_ko.audio.channel_names import CHANNELS
from distilhubert_ko.cli.chosen_model import ModelOption, chosen_model
from distilhubert_ko.cli.common import ThreadsOption, TrackOption, exported_folder, vad_options
from distilhubert_ko.recognition.formats import ALIGNMENT_FORMATS, FORMATS

OneChannel = StrEnum("OneChannel", ("MIX", "LEFT", "RIGHT"))
AlignmentFormat = StrEnum("AlignmentFormat", {name.upper(): name for name in ALIGNMENT_FORMATS})  # type: ignore[misc]


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
    result = align_text(transcriber, audio, written, vad_options(vad_filter), choice)
    for warning in result.warnings():
        typer.echo(f"distilhubert-ko: {warning}", err=True)
    if place is None:
        typer.echo(result.render(form), nl=False)
    else:
        typer.echo(write_output(place, result.render(form)))
