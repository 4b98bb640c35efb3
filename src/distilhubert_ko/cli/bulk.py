"""The command `bulk`: the texts of very many recordings, on Ray."""

from pathlib import Path
from typing import Annotated

import typer

from distilhubert_ko.cli.chosen_model import ModelOption, chosen_model
from distilhubert_ko.cli.common import (
    BeamOption,
    HotwordOption,
    HotwordWeightOption,
    LmOption,
    NBestOption,
    NumeralsOption,
    OutsideOption,
    exported_folder,
)
from distilhubert_ko.cli.progress import counting_bar
from distilhubert_ko.errors import MissingExtraError
from distilhubert_ko.recognition.formats import Numerals


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
