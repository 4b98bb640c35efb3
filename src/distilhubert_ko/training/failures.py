"""What libraries raise when the machine fails in a run, as errors of one line that say how to continue."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distilhubert_ko.errors import DistilhubertKoError, InputError, TrainingError, UnavailableError
from distilhubert_ko.files import writing

RESUME = "then rerun the same command with --resume"
DEAD_WORKER = "DataLoader worker"  # how torch begins what it says of one
CONNECTIONS = ("gloo", "NCCL")  # what connects the processes of a run, as its errors name it


@contextmanager
def in_writing(what: str, place: Path) -> Iterator[None]:
    """Turn a failure to write into a TrainingError that names `what`, the folder, and the room that is left."""
    from safetensors import SafetensorError  # the commands import this module where only transcription is installed

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch has a RuntimeError for a full disk
        if isinstance(error, DistilhubertKoError) or str(error).startswith(DEAD_WORKER) or is_of_ranks(error):
            raise
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        free = writing.free_gb(place)
        raise TrainingError(
            f"{what} cannot be written to {place} ({reason}; {free:.1f} GB are free): make room, {RESUME}; what was "
            "saved before is whole"
        ) from error


@contextmanager
def in_training() -> Iterator[None]:
    """Turn a full disk, and a worker of the data loader that dies, into a TrainingError.

    An InputError or an UnavailableError that comes from such a worker is raised again as it was there.
    """
    try:
        yield
    except (InputError, UnavailableError) as error:
        told = str(error.args[0])
        if not told.startswith("Caught "):
            raise
        # torch put the worker's traceback into the message, whose last line is the message that was.
        raise type(error)(told.splitlines()[-1].partition(": ")[2]) from error
    except OSError as error:
        if error.errno not in writing.FULL:
            raise
        name = error.filename or "a file of the run"
        raise TrainingError(f"{name} cannot be written ({error.strerror}): make room, {RESUME}") from error
    except RuntimeError as error:
        if not str(error).startswith(DEAD_WORKER):
            raise
        raise TrainingError(
            f"a process that reads audio died ({str(error).partition('. ')[0]}), which happens when memory runs out: "
            f"free some (in a container, /dev/shm may be too small), {RESUME}"
        ) from error


def is_of_ranks(error: Exception) -> bool:
    """Return whether an error says that another process of the run is gone, or late."""
    return any(name in str(error) for name in CONNECTIONS)
