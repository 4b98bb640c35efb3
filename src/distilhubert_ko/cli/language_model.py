"""The commands about language models: lm, tune."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distilhubert_ko.cli.common import BeamOption, ModelArgument, OutsideOption, exported_folder
from distilhubert_ko.cli.progress import counting_bar
from distilhubert_ko.errors import InputError

if TYPE_CHECKING:
    from distilhubert_ko.evaluation.tuning import WeightTrial


class LmUnits(StrEnum):
    SYLLABLES = "syllables"
    WORDS = "words"


def lm_command(
    texts: Annotated[
        list[Path], typer.Argument(metavar="TEXT...", help="Text files (UTF-8), one sentence per line.", exists=False)
    ],
    out: Annotated[Path, typer.Option(help="The ARPA file to write.")],
    units: Annotated[LmUnits, typer.Option(help="Syllables suit models of jamo too.")] = LmUnits.SYLLABLES,
    order: Annotated[
        int | None, typer.Option(min=1, max=6, help="Units of an n-gram; 6 syllables or 3 words by default.")
    ] = None,
) -> None:
    """Train an n-gram language model on Korean text, for --lm: modified Kneser-Ney, in the ARPA format.

    Text is normalised as transcripts are: digits and Latin letters are spelled out, and lines with other scripts are
    left out. Long n-grams that occur once are left out, too.
    """
    from distilhubert_ko.decoding.kneser_ney import train_ngrams, write_arpa
    from distilhubert_ko.decoding.language_model import CUTOFFS, ORDER, read_sentences
    from distilhubert_ko.files.outputs import check_output

    check_output(out, texts)
    words = units is LmUnits.WORDS
    left_out: Counter[str] = Counter()
    model = train_ngrams(read_sentences(texts, words, left_out), order or ORDER[words], CUTOFFS[words])
    write_arpa(model, out)
    for reason, count in left_out.items():
        typer.echo(f"left out, {reason}: {count:,}", err=True)
    typer.echo(f"{out}: n-grams of 1 to {model.order} {units.value}: {', '.join(f'{n:,}' for n in model.sizes())}")


def tune_command(
    model: ModelArgument,
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="Development speech, scheme:location#split.")],
    lm: Annotated[Path, typer.Option("--lm", metavar="FILE", help="A language model.")],
    beam: BeamOption = None,
    save: Annotated[
        bool, typer.Option("--save", help="Put the language model and the weights into the model folder.")
    ] = False,
    allow_outside: OutsideOption = False,
) -> None:
    """Find the weights with which a language model lowers the CER on a development corpus most.

    Weights are not tuned on a split named test. With --save, transcribe and evaluate use the language model with the
    best weights from then on, unless told --lm none.
    """
    from distilhubert_ko.data.reading import Reading
    from distilhubert_ko.decoding.decoder import check_installable, install_language_model
    from distilhubert_ko.decoding.language_model import LmWeights
    from distilhubert_ko.decoding.pruning import BeamOptions
    from distilhubert_ko.evaluation import tuning
    from distilhubert_ko.evaluation.report import read_evaluation_split
    from distilhubert_ko.recognition.transcriber import Transcriber

    tuning.refuse_test_split(corpus)
    if save:
        check_installable(Path(model), lm)
    transcriber = Transcriber(exported_folder(model), lm=lm, beam=beam)
    assert transcriber.decoder.model is not None
    split = read_evaluation_split(transcriber.folder, corpus, Reading(allow_outside=allow_outside))
    with counting_bar("recognising") as on_progress:
        recognised = tuning.recognise_split(transcriber, split, on_progress)
    options = transcriber.decoder.options
    plain = tuning.error_rate(recognised, transcriber.tokenizer, None, LmWeights(), BeamOptions(width=1))
    typer.echo(f"{len(recognised.references):,} utterances of {corpus}, beam {options.width}")
    typer.echo(f" alpha    beta     CER\n     greedy     {plain:.4f}")
    trials = tuning.tune_weights(
        recognised, transcriber.tokenizer, transcriber.decoder.model, options, on_trial=_print_trial
    )
    best = tuning.best_trial(trials)
    typer.echo(f"best: alpha {best.weights.alpha:g}, beta {best.weights.beta:g}: CER {best.cer:.4f}")
    if save:
        if best.cer >= plain:
            raise InputError(
                f"the language model does not lower the CER ({best.cer:.4f}, without it {plain:.4f}) and is not saved: "
                "train one on more text, or on text nearer to the speech"
            )
        typer.echo(install_language_model(transcriber.folder, lm, best.weights))


def _print_trial(trial: "WeightTrial") -> None:
    typer.echo(f"{trial.weights.alpha:6.3f}  {trial.weights.beta:6.3f}  {trial.cer:.4f}")
