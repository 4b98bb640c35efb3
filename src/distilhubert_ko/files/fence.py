"""The fence around a corpus: a manifest that came from elsewhere must not open files outside its folder."""

import os
from pathlib import Path

from distilhubert_ko.errors import CorpusError


class Fence:
    """The folder that the files of a manifest must lie in: the manifest's own, or `root` if that holds it.

    Symbolic links are followed, so a link that leads out of the folder is refused.
    """

    def __init__(self, home: Path, root: Path):
        inner, outer = os.path.realpath(home), os.path.realpath(root)
        self.folder = outer if _holds(outer, inner) else inner
        self._parents: dict[str, str] = {}  # resolved parents of files: a corpus has many files and few folders

    def holds(self, path: Path) -> bool:
        """Tell whether a file, which need not exist, lies within."""
        parent, name = os.path.split(path)
        if name in ("", "..") or os.path.islink(path):
            return _holds(self.folder, os.path.realpath(path))
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        return _holds(self.folder, os.path.join(self._parents[parent], name))


def outside_error(line: str, path: str, folder: str) -> CorpusError:
    """Return the error for a manifest whose `line` names a path outside its folder."""
    return CorpusError(
        f"{line} names {path!r}, which leaves {folder}: put the audio there, or, if you trust the manifest, allow it "
        "with --allow-outside"
    )


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
