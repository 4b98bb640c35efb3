"""The processes of one run that torchrun or accelerate launch started, one for each GPU: its ranks, counted from 0.

Rank 0 leads: it alone decides what all go by, writes, and speaks. torch and accelerate are imported where they are
needed, since the command line, which starts without them, asks who leads.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from distilhubert_ko.errors import DistilhubertKoError, InputError, TrainingError
from distilhubert_ko.training import failures

T = TypeVar("T")

PATIENCE = timedelta(hours=2)  # with a rank that is late; rank 0 may be looking for places to splice 50 h of speech at
FAILED = "distilhubert-ko/failed"  # a counter in the store that the launcher keeps for the ranks


def count() -> int:
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def leads() -> bool:
    """Whether this process is rank 0, or the only one."""
    return count() == 1 or os.environ["RANK"] == "0"


def say(text: str) -> None:
    """A line on standard error, once."""
    if leads():
        print(text, file=sys.stderr)


@contextmanager
def together() -> Iterator[None]:
    """Connects the ranks for what they do within it, which all end before one goes on; one process does nothing more.

    Raises TrainingError where another rank has ended, or cannot be reached.
    """
    if count() == 1:
        yield
        return
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    try:
        yield
        state.wait_for_everyone()
    except RuntimeError as error:
        if isinstance(error, DistilhubertKoError) or not failures.is_of_ranks(error):
            raise
        raise TrainingError(
            f"another process of this run has ended, or cannot be reached ({str(error).partition('. ')[0]}): see what "
            f"it or the launcher says, {failures.AGAIN}"
        ) from error


def part() -> None:
    """Disconnects the ranks, to be called by all after their last run: torch connects a process only once."""
    if count() > 1:
        from torch.distributed import destroy_process_group

        destroy_process_group()


def from_leader(make: Callable[[], T]) -> T:
    """In every rank, what make() gives in rank 0, where alone it is called. To be called by all, `together`."""
    if count() == 1:
        return make()
    from accelerate.utils import broadcast_object_list

    box: list[Any] = [make() if leads() else None]
    broadcast_object_list(box)
    made: T = box[0]
    return made


def see(file: Path) -> None:
    """Raises InputError in the ranks that have no `file` that rank 0 wrote. To be called by all, `together`."""
    from_leader(lambda: None)  # which comes here when it has written
    if not file.is_file():
        raise InputError(
            f"{file}: written by the first process of this run, and not to be seen by another one: give an --out on a "
            "disk that all nodes share"
        )


@contextmanager
def one_voice() -> Iterator[None]:
    """Of the ranks that fail, the first says why; the others leave with their exit code and without a word."""
    try:
        yield
    except Exception as error:
        first = count() == 1 or _first_to_fail()
        if first or not isinstance(error, DistilhubertKoError):
            raise
        raise SystemExit(error.exit_code) from error


def _first_to_fail() -> bool:
    """Asks the launcher's store, which works when ranks wait for each other; without an answer each may speak."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=10))
        return bool(store.add(f"{FAILED}/{attempt}", 1) == 1)
    except (KeyError, RuntimeError):
        return True
