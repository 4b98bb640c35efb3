"""A folder of files that were fetched and are soon wanted again, by several processes, and of bounded size."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

LOCKS = 16  # files for locks, so that they are as few


class Spool:
    """Keeps the `keep` files of a folder that were used last, and fetches each of them once for all processes."""

    def __init__(self, folder: Path, keep: int):
        self.folder = folder
        self.keep = keep

    def file(self, name: str, fetch: Callable[[Path], None]) -> Path:
        """The file of a name, which `fetch(path)` writes where it is not there.

        It may be deleted as soon as others are wanted: open it at once, and fetch again where it is gone.
        """
        path = self.folder / name
        if not self._used(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{zlib.crc32(name.encode()) % LOCKS}.lock"):
                if not self._used(path):  # nobody fetched it while this waited
                    aside = self.folder / f"{name}.tmp"
                    try:
                        fetch(aside)
                        os.replace(aside, path)
                    except BaseException:
                        aside.unlink(missing_ok=True)
                        raise
            self._forget()
        return path

    def _used(self, path: Path) -> bool:
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _forget(self) -> None:
        """Deletes what was not used for longest. One who has such a file open can read on."""
        found = []
        for path in self.folder.iterdir():
            if path.suffix not in (".lock", ".tmp"):
                try:
                    found.append((path.stat().st_mtime_ns, path))
                except FileNotFoundError:  # another process was quicker
                    continue
        for _, path in sorted(found)[: -self.keep]:
            path.unlink(missing_ok=True)
