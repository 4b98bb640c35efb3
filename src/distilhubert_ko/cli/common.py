"""What commands share: their options, the folder of a model with its graph, and how a report is printed."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distilhubert_ko import model_folder
from distilhubert_ko.cli.progress import counting_bar
from distilhubert_ko.errors import InputError, MissingExtraError
from distilhubert_ko.recognition.formats import Numerals

if TYPE_CHECKING:
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.evaluation.report import Report
    from distilhubert_ko.recognition.vad import VadOptions


class Device(StrEnum):
    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model folder or a Hub id.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads; all by default.")]
TrackOption = Annotated[
    int | None,
    typer.Option(
        "--track", min=1, metavar="N", help="Audio track of a video; by default the first that is not silent."
    ),
]
DeviceOption = Annotated[Device, typer.Option(help="auto is a CUDA GPU where onnxruntime has one.")]
LmOption = Annotated[
    str | None,
    typer.Option("--lm", metavar="FILE", help="A language model; the model folder's own by default, or none for none."),
]
BeamOption = Annotated[
    int | None, typer.Option("--beam", min=1, metavar="N", help="Hypotheses that a search with --lm keeps.")
]
HotwordOption = Annotated[
    list[str], typer.Option("--hotword", metavar="WORD", help="A word or name to listen for; repeatable.")
]
HotwordWeightOption = Annotated[float, typer.Option(min=0.0, help="How much a hot word is raised, in nats a syllable.")]
NBestOption = Annotated[
    int, typer.Option(min=1, metavar="N", help="Texts to find; json has those after the first as alternatives.")
]
NumeralsOption = Annotated[
    Numerals, typer.Option(help="Numbers as they were said, or in digits where they surely are numbers.")
]
OutsideOption = Annotated[
    bool,
    typer.Option("--allow-outside", help="Let a manifest or wav.scp that you trust refer to audio outside its folder."),
]


def vad_options(wanted: bool, **given: float | None) -> "VadOptions | None":
    """Return the options of --vad-filter, with defaults where they are None; without --vad-filter, return None."""
    from distilhubert_ko.recognition.vad import VadOptions

    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen and not wanted:
        raise InputError(f"--vad-{next(iter(chosen)).replace('_', '-')} has no effect alone: add --vad-filter")
    return VadOptions(**chosen) if wanted else None  # type: ignore[arg-type]


def exported_folder(model: str) -> Path:
    """Return the folder of a model. A model with weights but no graph of them is exported now, into the cache."""
    folder = model_folder.resolve(model)
    path = model_folder.graph(folder)
    if not path.is_file() and (model_folder.weights(folder) or model_folder.pickled_weights(folder)):
        write_graph(folder, path)
    return folder


def write_graph(folder: Path, path: Path | None = None) -> None:
    """Export a model folder, to `path` where it is given, and print how near the graph is to the weights."""
    difference = exporting_module().export_graph(folder, path)
    path = path or folder / model_folder.GRAPH
    typer.echo(f"{path}: within {difference:.1e} of the weights' log-probabilities", err=True)


def exporting_module() -> ModuleType:
    """Return the module that exports models. Raises MissingExtraError without the packages that it needs."""
    try:
        from distilhubert_ko.export import exporting
    except ImportError as error:
        raise missing_train_extra(error) from error
    return exporting


def missing_train_extra(error: ImportError) -> MissingExtraError:
    """Return the error to raise where an import of training failed."""
    return MissingExtraError(f'this needs more packages ({error.name}): pip install "distilhubert-ko[train]"')


def model_name(model: str) -> str:
    """Return a model's name as a reader knows it: that of its folder, or its Hub id."""
    folder = Path(model)
    return folder.resolve().name if folder.is_dir() else model


def evaluated_report(
    model: str, corpus: str, reading: "Reading", lm: str | None = None, beam: int | None = None
) -> "Report":
    """Return the report of a model on a corpus, under a progress bar."""
    from distilhubert_ko.evaluation.report import evaluate_model
    from distilhubert_ko.recognition.transcriber import Transcriber

    transcriber = Transcriber(exported_folder(model), lm=lm, beam=beam)
    with counting_bar("evaluating") as on_progress:
        return evaluate_model(transcriber, corpus, reading=reading, on_progress=on_progress)


def decoding_text(used: Mapping[str, Any]) -> str:
    """Return how a text was decoded: a language model that the model folder carries is used unless told otherwise."""
    way = "greedy" if used["beam"] == 1 and not used["lm"] else f"beam {used['beam']}"
    lm = f"language model {used['lm']}, alpha {used['alpha']:g}, beta {used['beta']:g}" if used["lm"] else ""
    words = f"hot words {', '.join(used['hotwords'])}" if used.get("hotwords") else ""
    return ", ".join(filter(None, (way, lm or "no language model", words)))


def report_lines(report: "Report") -> str:
    """Return a report as lines for a terminal."""
    from distilhubert_ko.data.account import dropped_lines, speakers_text

    low, high = report.cer_ci95
    return "\n".join(
        (
            f"{report.corpus}: {report.utterances:,} utterances, {report.hours:.2f} h, "
            f"{speakers_text(report.speakers or None)}",
            f"decoding          {decoding_text(report.decoding)}",
            f"CER               {report.cer:.4f}  (95 % interval {low:.4f} to {high:.4f})",
            f"CER, no spaces    {report.cer_no_space:.4f}",
            f"jamo error rate   {report.jer:.4f}",
            f"WER               {report.wer:.4f}",
            f"loss              {report.loss:.4f}",
            f"speed             {report.speed:.0f} s of speech a second",
            *dropped_lines(report.dropped, report.dropped_clips),
        )
    )
