"""The command `label`: transcripts of a corpus to train on, by a model or by Whisper."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distilhubert_ko import model_folder
from distilhubert_ko.cli.common import BeamOption, LmOption, OutsideOption, exported_folder
from distilhubert_ko.cli.progress import counting_bar
from distilhubert_ko.errors import InputError

if TYPE_CHECKING:
    from distilhubert_ko.evaluation.labellers import Labeller

WHISPER = "whisper:"
AGREE_CER = 0.2


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
