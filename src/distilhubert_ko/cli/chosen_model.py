"""The model of a command that was given none: from the environment, or from the user's configuration."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from distilhubert_ko.errors import InputError, reason
from distilhubert_ko.files.toml_tables import dataclass_from_table

VARIABLE = "DISTILHUBERT_KO_MODEL"
CONFIGURATION = Path("distilhubert-ko") / "config.toml"  # in $XDG_CONFIG_HOME, by default ~/.config

ModelOption = Annotated[
    str | None,
    typer.Option(envvar=VARIABLE, help="A model folder or a Hub id; by default that of your configuration."),
]


@dataclass(frozen=True)
class Configuration:
    """What the user's configuration may say."""

    model: str = ""
    """A model folder or a Hub id, for commands without --model."""


def chosen_model(given: str | None) -> str:
    """Return the model that was given, or else that of the user's configuration.

    Raises InputError for a configuration that cannot be read. Without a model, print how to get one, and leave.
    """
    path = _configuration_path()
    if model := given or _configured_model(path):
        return model
    typer.echo(
        "distilhubert-ko: no model: give a folder or a Hub id (OWNER/NAME) with --model\n"
        "to make one: `distilhubert-ko demo`, in minutes, or `distilhubert-ko train RECIPE --out FOLDER`, from speech\n"
        f'to name it for good: set {VARIABLE}, or write model = "FOLDER" into {path}',
        err=True,
    )
    raise typer.Exit(InputError.exit_code)


def _configuration_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / CONFIGURATION


def _configured_model(path: Path) -> str:
    """Return the model of the configuration; "" where there is none."""
    if not path.is_file():
        return ""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f'{path} cannot be read ({reason(error)}): write it as model = "FOLDER"') from error
    found: Configuration = dataclass_from_table(Configuration, table, str(path))
    return os.path.expanduser(found.model)
