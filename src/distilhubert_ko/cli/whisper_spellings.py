"""A command line as Whisper's is written: underscores in the names of options, and flags with a value."""

from typing import Any

from typer.core import TyperCommand

FLAGS = ("--word_timestamps", "--vad_filter")  # whisper's and faster-whisper's take True or False


class WhisperSpelledCommand(TyperCommand):
    """A command that takes Whisper's spelling of an option, --output_dir, too. Its help shows the other alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.token_normalize_func = _hyphenated
        return super().parse_args(ctx, _without_values(args))


def _hyphenated(name: str) -> str:
    return name.replace("_", "-")


def _without_values(args: list[str]) -> list[str]:
    """Return the arguments with "FLAG True" as the flag alone, and without "FLAG False"."""
    kept: list[str] = []
    for each in args:
        if not (kept and kept[-1] in FLAGS and each in ("True", "False")):
            kept.append(each)
        elif each == "False":
            kept.pop()
    return kept
