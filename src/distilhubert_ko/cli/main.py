"""The command `distilhubert-ko`, and what happens around each of its commands.

A command is a function of a module beside this one, with heavy imports inside it.
"""

import codecs
import contextlib
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from distilhubert_ko.cli.align import align_command
from distilhubert_ko.cli.bulk import bulk_command
from distilhubert_ko.cli.label import label_command
from distilhubert_ko.cli.language_model import lm_command, tune_command
from distilhubert_ko.cli.model import card_command, evaluate_command, export_command, push_command
from distilhubert_ko.cli.serve import serve_command
from distilhubert_ko.cli.train import demo_command, distill_command, plan_command, prepare_command, train_command
from distilhubert_ko.cli.transcribe import transcribe_command
from distilhubert_ko.cli.whisper_spellings import WhisperSpelledCommand
from distilhubert_ko.errors import DistilhubertKoError, reason
from distilhubert_ko.version import __version__

HUB_RETRIES = "huggingface_hub.utils._http"  # the logger of the Hub's client that warns of each retry
SHOWN = "distilhubert-ko"  # an error handler of codecs
SURROGATE = 0xDC00  # plus a byte: how Python writes a byte of a file name that is not text

app = typer.Typer(
    name="distilhubert-ko",
    help="Korean speech recognition that fits in a pocket: fine-tune DistilHuBERT, measure it, transcribe with it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {  # in the order of the help
    "plan": plan_command,
    "prepare": prepare_command,
    "distill": distill_command,
    "train": train_command,
    "evaluate": evaluate_command,
    "transcribe": transcribe_command,
    "bulk": bulk_command,
    "serve": serve_command,
    "align": align_command,
    "label": label_command,
    "lm": lm_command,
    "tune": tune_command,
    "card": card_command,
    "export": export_command,
    "push": push_command,
    "demo": demo_command,
}
for name, command in COMMANDS.items():
    app.command(name, cls=WhisperSpelledCommand if command is transcribe_command else None)(command)


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
    """Shows what the package logs as plain lines on standard error, wherever that is at the time, each line once.

    A recording that is read twice, for its length and its text, would tell of its channels twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if line not in self._shown:
            self._shown.add(line)
            typer.echo(line, err=True)


@contextmanager
def _shown_log() -> Iterator[None]:
    """Show messages of the package from INFO on. A server sets up a log of its own instead."""
    logger, handler = logging.getLogger("distilhubert_ko"), _PlainLines()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logging.getLogger(HUB_RETRIES).setLevel(logging.ERROR)  # an error of one line tells of what they did not mend
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _show_what_can_be_shown() -> None:
    """Let the terminal show a question mark for a character that it lacks, and names that are no text as they are."""
    codecs.register_error(SHOWN, _shown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=SHOWN)


def _shown(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    refused = error.object[error.start : error.end]
    lone = [ord(each) - SURROGATE if SURROGATE + 128 <= ord(each) < SURROGATE + 256 else ord("?") for each in refused]
    return bytes(lone), error.end


def _abandon_output() -> None:
    """Write nothing more to standard output, so that Python does not fail at it again as it ends."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check_output(stream: object) -> None:
    """Raise DistilhubertKoError for a standard output that is closed: a file that is opened would take its place."""
    if stream is None:
        raise DistilhubertKoError("standard output is closed: leave it open, or send it to a file or /dev/null")


def main() -> None:
    """Run the command. An error is one line on standard error, and its exit code."""
    _show_what_can_be_shown()
    try:
        _check_output(sys.stdout)
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
        _abandon_output()
        sys.exit(1)
    except OSError as error:  # such as a full disk, where no command says more
        if "--debug" in sys.argv:
            raise
        _abandon_output()
        place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "the output"
        told = DistilhubertKoError(
            f"{place}: {error.strerror or reason(error)}: check the path, your permissions and the room on the disk"
        )
        with contextlib.suppress(OSError):  # standard error may be full, too
            typer.echo(f"distilhubert-ko: {told}", err=True)
        sys.exit(told.exit_code)
