"""The progress bars of the commands, on standard error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distilhubert_ko.errors import DistilhubertKoError

if TYPE_CHECKING:
    from distilhubert_ko.files.recordings import Recording

LONG = 300.0  # seconds of audio that take long enough for a progress bar


@contextmanager
def counting_bar(task: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, which is gone at the end. The function that it gives takes what is done of how many."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(task, total=None)
        yield lambda done, all_: progress.update(bar, completed=done, total=all_)


class RecordingsBar:
    """A bar over the seconds of recordings. It stays away where standard error is no terminal, or the work is short."""

    def __init__(self, sources: "Sequence[Recording]"):
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        seconds = _total_seconds(sources) if console.is_terminal else 0.0
        watched = console.is_terminal and (seconds is None or seconds >= LONG)
        # What is printed must go where it was sent, also while the bar stands.
        self.progress = Progress(
            console=console, transient=True, disable=not watched, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self.progress.add_task("transcribing", total=seconds)

    @contextmanager
    def next_recording(self) -> Iterator[Callable[[float], None]]:
        """Show the bar for one recording. The function that it gives takes the seconds of it that are done."""
        before = self.progress.tasks[0].completed
        with self.progress:  # gone again before anything is printed
            yield lambda seconds: self.progress.update(self._task, completed=before + seconds)


def _total_seconds(sources: "Sequence[Recording]") -> float | None:
    """Return the length of all sources together, or None where one, such as a pipe, does not say its own.

    Unreadable sources have no length.
    """
    from distilhubert_ko.audio.reading import audio_duration

    total = 0.0
    for source in sources:
        if not Path(source.path).is_file():
            return None
        try:
            total += audio_duration(source.path)
        except DistilhubertKoError:
            continue  # reported when its turn comes
    return total
