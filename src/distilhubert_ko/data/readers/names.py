"""File names in either form of Hangul: a list may be in NFC where macOS has named the files in NFD, or the reverse."""

import os
import unicodedata
from pathlib import Path


class NameForms:
    """Finds files that lists name; it reads each folder with such names once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> Path:
        """Return the path of the file that is there, whose names may be in another form, or `path` itself."""
        if str(path).isascii() or os.path.lexists(path) or path.parent == path:
            return path
        home = self.find(path.parent)
        if home not in self._listed:
            try:
                self._listed[home] = {unicodedata.normalize("NFC", name): name for name in os.listdir(home)}
            except (OSError, ValueError):
                self._listed[home] = {}
        return home / self._listed[home].get(unicodedata.normalize("NFC", path.name), path.name)
