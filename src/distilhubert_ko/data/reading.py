"""The options that every reading of a corpus shares, from a recipe or from a command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from distilhubert_ko.data.readers.columns import NONE_GIVEN, Columns
from distilhubert_ko.files.fence import Fence
from distilhubert_ko.recipe import Recipe


@dataclass(frozen=True)
class Reading:
    """How a corpus is read: from where, which part of it, and with what kept."""

    root: Path = Path()
    """The folder that a relative location counts from."""
    heldout: str = ""
    """A rule such as "every 8th speaker". With speakers in sorted order, numbered from 1, speakers 8, 16, ... are the
    test split, the speaker after each of them dev, the rest train. Where the corpus has a test split of its own, that
    stays, and speakers 8, 16, ... of its train split are dev. Where it has both test and dev, the rule changes
    nothing."""
    cache: Path | None = None
    """A folder that keeps the lengths of files and the decoded waves of utterances; not of streamed ones."""
    streaming: bool = False
    """Whether the audio of a corpus on the Hub stays there and is fetched when it is wanted."""
    allow_outside: bool = False
    """Whether a manifest, an audio folder's metadata and a Kaldi wav.scp may name files anywhere. Otherwise they may
    name files in the manifest's folder, the audio folder, or the folder that holds the Kaldi one; or in `root`, if that
    holds them."""

    columns: Columns = NONE_GIVEN
    """The names of columns that the spec gives."""

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Self:
        """Return the reading that a recipe describes."""
        data = recipe.data
        return cls(recipe.root, data.heldout, recipe.cache, data.streaming, data.allow_outside)

    def path(self, location: str) -> Path:
        """Return the file or folder that a corpus on this machine lies in."""
        return self.root / Path(location).expanduser()

    def fence(self, home: Path) -> Fence | None:
        """Return the fence of a manifest in the folder `home`; None where it may name any file."""
        return None if self.allow_outside else Fence(home, self.root)


DEFAULT_READING = Reading()
