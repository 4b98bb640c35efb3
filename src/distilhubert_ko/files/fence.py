"""Where the sound files that a corpus names may lie: a manifest that came from elsewhere must not open other files."""

import os
from pathlib import Path

from distilhubert_ko.errors import CorpusError


class Fence:
    """The folder that the files of a list must lie in: that of the list, or `root` where it holds the list.

    Symbolic links are followed, so one that leads out of the folder is no way out.
    """

    def __init__(self, home: Path, root: Path):
        inner, outer = os.path.realpath(home), os.path.realpath(root)
        self.folder = outer if _holds(outer, inner) else inner
        self._parents: dict[str, str] = {}  # of files, resolved: a corpus has many files and few folders

    def holds(self, path: Path) -> bool:
        """Whether a file, which need not be there, lies within."""
        parent, name = os.path.split(path)
        if name in ("", "..") or os.path.islink(path):
            return _holds(self.folder, os.path.realpath(path))
        if parent not in self._parents:
            self._parents[parent] = os.path.realpath(parent)
        return _holds(self.folder, os.path.join(self._parents[parent], name))


def outside_error(line: str, path: str, folder: str) -> CorpusError:
    """The error for a list that names, in the line called so, a path outside its folder."""
    return CorpusError(
        f"{line} names {path!r}, which leaves {folder}: put the sound there, or, if you trust the list, allow it with "
        "--allow-outside"
    )


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
