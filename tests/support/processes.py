"""Processes of their own, for what a test kills, counts or limits.

None is a fork of the process that runs the tests. Arrow, Ray, FFmpeg and ONNX Runtime have threads in that one, and a
fork takes over the locks and the memory that they were at work on, but not the threads: one in fifty crashed. These
are forked from a server that has imported the package and done nothing else. Functions and arguments are pickled.
"""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

pristine: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
pristine.set_forkserver_preload(["tests.support.preloaded"])


def apart(act: Callable[..., Result], *arguments: Any) -> Result:
    """What act(*arguments) returns in such a process, or raises."""
    with ProcessPoolExecutor(1, pristine) as pool:
        return pool.submit(act, *arguments).result()


def start_processes_as_usual() -> None:
    """From now on, such a process starts others as a user's does, and not from the server."""
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
