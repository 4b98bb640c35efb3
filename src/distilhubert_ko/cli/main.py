"""The command `distilhubert-ko`, and what happens around each of its commands.

A command is a function of a module beside this one, with heavy imports inside it.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from distilhubert_ko.cli.language_model import lm, tune
from distilhubert_ko.cli.model import card, evaluate, export
from distilhubert_ko.cli.serve import serve
from distilhubert_ko.cli.speech import align, bulk, label, transcribe
from distilhubert_ko.cli.train import demo, distill, plan, prepare, train
from distilhubert_ko.errors import DistilhubertKoError
from distilhubert_ko.version import __version__

app = typer.Typer(
    name="distilhubert-ko",
    help="Korean speech recognition that fits in a pocket: fine-tune DistilHuBERT, measure it, transcribe with it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
TRAINING, MODEL = (plan, prepare, distill, train), (lm, tune, card, export)
SPEECH = (transcribe, bulk, serve, align, label)
for command in (*TRAINING, evaluate, *SPEECH, *MODEL, demo):  # the order of the help
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"distilhubert-ko {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    """Take the options that stand before a command; each does its work elsewhere."""


class _PlainLines(logging.Handler):
    """Shows what the package logs as plain lines on standard error, wherever that is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


@contextmanager
def _shown_log() -> Iterator[None]:
    """Show messages of the package from INFO on. A server sets up a log of its own instead."""
    logger, handler = logging.getLogger("distilhubert_ko"), _PlainLines()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def main() -> None:
    """Run the command. An error is one line on standard error, and its exit code."""
    try:
        with _shown_log():
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
