"""What of the Hub a location names: a data set, its revision and its configuration, or a folder of this machine."""

import re
from dataclasses import dataclass
from pathlib import Path

from distilhubert_ko.errors import CorpusError

COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class HubSource:
    """NAME@REVISION:CONFIGURATION, of which the last two may be empty."""

    name: str
    revision: str = ""
    config: str = ""

    @classmethod
    def parse(cls, location: str) -> "HubSource":
        """Return the parts of a location. A folder's path is one whole, whatever is in it."""
        name, config, revision = location, "", ""
        if not Path(name).exists() and (match := re.fullmatch(r"(.+):([^/:]+)", name)):
            name, config = match.groups()
        if not Path(name).exists():
            folder, _, last = name.rpartition("@")
            name, revision = (folder, last) if folder and Path(folder).exists() else name.partition("@")[::2]
        return cls(name, revision, config)

    def folder_commit(self) -> str | None:
        """Return the commit that a folder is at, where a revision is asked of it; None where none is.

        Raises CorpusError if the folder is at another revision, or has none.
        """
        folder = Path(self.name)
        if not self.revision or not folder.exists():
            return None
        if COMMIT.fullmatch(folder.name) and folder.parent.name == "snapshots":  # of the Hub's cache
            refs = {"HEAD": folder.name} | _loose(folder.parent.parent / "refs")
        else:
            refs = _packed(folder / ".git") | _loose(folder / ".git" / "refs") | _head(folder / ".git")
        head = refs.get("HEAD", "")
        commit = refs.get(head.removeprefix("ref: refs/"), head)
        if not COMMIT.fullmatch(commit):
            raise CorpusError(
                f"hub:{self.name}@{self.revision}: this folder is no clone of a repository and has no revisions: leave "
                f"out @{self.revision}, or name the data set of the Hub"
            )
        named = {refs.get(f"{kind}{self.revision}") for kind in ("", "heads/", "tags/", "remotes/origin/")}
        if commit in named or (len(self.revision) >= 7 and commit.startswith(self.revision)):
            return commit
        raise CorpusError(
            f"hub:{self.name}@{self.revision}: this folder is at {commit[:12]}: leave out @{self.revision}, or run "
            f"git -C {self.name} checkout {self.revision}"
        )


def _head(git: Path) -> dict[str, str]:
    return {"HEAD": _content(git / "HEAD")}


def _loose(refs: Path) -> dict[str, str]:
    """Return the commits below a folder of refs by name, such as heads/main."""
    return {file.relative_to(refs).as_posix(): _content(file) for file in refs.rglob("*") if file.is_file()}


def _packed(git: Path) -> dict[str, str]:
    """Return the commits of packed-refs by name; a line ^COMMIT says what the tag before it stands for."""
    found: dict[str, str] = {}
    name = ""
    for line in _content(git / "packed-refs").splitlines():
        commit, _, ref = line.partition(" ")
        name = ref.removeprefix("refs/") or name
        if COMMIT.fullmatch(commit.removeprefix("^")):
            found[name] = commit.removeprefix("^")
    return found


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""
