"""A folder of bounded size for fetched files that several processes soon want again."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from distilhubert_ko.files.writing import replaced_file

LOCKS = 16  # lock files in a folder, which the names of files share


class Spool:
    """The `keep` files of a folder that were used last, each fetched once for all processes."""

    def __init__(self, folder: Path, keep: int):
        self.folder = folder
        self.keep = keep

    def file(self, name: str, fetch: Callable[[Path], None]) -> Path:
        """Return the file of a name, which `fetch(path)` writes if it is not there.

        It may be deleted as soon as others are wanted. Open it at once, and fetch it again if it is gone.
        """
        path = self.folder / name
        if not self._used(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{zlib.crc32(name.encode()) % LOCKS}.lock"):
                if not self._used(path):  # nobody fetched it while this waited
                    with replaced_file(path, sync=False) as temporary:
                        fetch(temporary)
            self._forget()
        return path

    def _used(self, path: Path) -> bool:
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _forget(self) -> None:
        """Delete the files that were not used for longest. Readers that have one open can read on."""
        found = []
        for path in self.folder.iterdir():
            if path.suffix not in (".lock", ".tmp"):
                try:
                    found.append((path.stat().st_mtime_ns, path))
                except FileNotFoundError:  # another process was quicker
                    continue
        for _, path in sorted(found)[: -self.keep]:
            path.unlink(missing_ok=True)
