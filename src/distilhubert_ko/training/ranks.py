"""The processes of one run that torchrun or accelerate launch started, one for each GPU: its ranks, counted from 0.

Rank 0 leads: it alone decides, writes, and logs. torch and accelerate are imported where they are needed, since the
command line, which starts without them, asks who leads.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from distilhubert_ko.errors import DistilhubertKoError, InputError, TrainingError
from distilhubert_ko.training import failures

T = TypeVar("T")

logger = logging.getLogger(__name__)

PATIENCE = timedelta(hours=2)  # with a rank that is late; rank 0 may be looking for places to splice 50 h of speech at
FAILED = "distilhubert-ko/failed"  # a counter in the store that the launcher keeps for the ranks


def count() -> int:
    """Return the number of ranks, 1 where no launcher started this process."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def leads() -> bool:
    """Return whether this process is rank 0, or the only one."""
    return count() == 1 or os.environ["RANK"] == "0"


def announce(text: str) -> None:
    """Log a line as a warning, in rank 0 alone, since runs are watched at that level."""
    if leads():
        logger.warning(text)


@contextmanager
def together() -> Iterator[None]:
    """Connect the ranks within the block, which all of them end before one continues.

    A single process needs no connection. Raises TrainingError where another rank has ended, or cannot be reached.
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
            f"another process of this run has ended, or cannot be reached ({str(error).partition('. ')[0]}): read what "
            f"it or the launcher printed, {failures.RESUME}"
        ) from error


def disconnect() -> None:
    """Disconnect the ranks. All call this after their last run, since torch connects a process only once."""
    if count() > 1:
        from torch.distributed import destroy_process_group

        destroy_process_group()


def from_leader(make: Callable[[], T]) -> T:
    """Return, in every rank, what make() returns in rank 0, where alone it is called. All call this, `together`."""
    if count() == 1:
        return make()
    from accelerate.utils import broadcast_object_list

    box: list[Any] = [make() if leads() else None]
    broadcast_object_list(box)
    made: T = box[0]
    return made


def require_visible(file: Path) -> None:
    """Raise InputError in the ranks that cannot see a `file` that rank 0 wrote. All call this, `together`."""
    from_leader(lambda: None)  # rank 0 comes here when it has written
    if not file.is_file():
        raise InputError(
            f"{file}: the first process of this run wrote it, but another one cannot see it: give an --out on a disk "
            "that all nodes share"
        )


@contextmanager
def one_voice() -> Iterator[None]:
    """Let the first rank that fails say why; the others exit with their code and say nothing."""
    try:
        yield
    except Exception as error:
        first = count() == 1 or _first_to_fail()
        if first or not isinstance(error, DistilhubertKoError):
            raise
        raise SystemExit(error.exit_code) from error


def _first_to_fail() -> bool:
    """Ask the launcher's store, which works when ranks wait for each other; without an answer each may speak."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=10))
        return bool(store.add(f"{FAILED}/{attempt}", 1) == 1)
    except (KeyError, RuntimeError):
        return True
