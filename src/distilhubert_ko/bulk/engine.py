"""The Ray that a bulk transcription runs on: that of a cluster, or one that this machine's user alone can reach."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants

from distilhubert_ko.errors import BulkError, UnavailableError

OBJECT_STORE = 200_000_000  # bytes of memory for what Ray passes around: only the inputs of the shards
TOKEN = Path("~/.ray/auth_token")
"""Where Ray keeps the token, for all to read."""
PREFIX = "distilhubert-ko-ray-"


@contextlib.contextmanager
def ray_engine(address: str | None, threads: int, workers: int | None) -> Iterator[int]:
    """Start Ray unless it already runs in this process, and yield the number of workers to use.

    Without an address, its ports are on loopback, and need the token that Ray keeps in the user's home. Its files lie
    in a folder that only this user may enter, and which goes at the end, unless the transcription failed.
    """
    if ray.is_initialized():
        yield workers or _room(threads)
        return
    os.environ.setdefault("RAY_worker_niceness", "0")  # not 15: the user decides on the priority
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with contextlib.ExitStack() as stack:
        try:
            if address:
                ray.init(address, **quiet)
            else:
                cpus = threads * (workers or max(1, (os.cpu_count() or 1) // threads))
                folder = stack.enter_context(_private_folder())
                with _on_loopback():
                    ray.init(
                        "local",
                        num_cpus=cpus,
                        object_store_memory=OBJECT_STORE,
                        include_dashboard=False,
                        _temp_dir=str(folder / "ray"),  # Ray opens the folder itself to everybody
                        **quiet,
                    )
        except (ConnectionError, ValueError, RuntimeError) as error:
            where = address or "on this machine"
            raise UnavailableError(
                f"Ray cannot be used {where} ({error}): give --address HOST:6379 of a cluster with the same version of "
                "Ray, or leave --address out"
            ) from error
        stack.callback(ray.shutdown)
        yield workers or _room(threads)


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a folder for this user alone, with a short name: sockets in it may have about 100 characters."""
    top = os.environ.get("RAY_TMPDIR") or ("/tmp" if os.name == "posix" else None)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=top))
    try:
        yield folder
    except BulkError:
        raise  # its reader may want the logs
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that starts now listen on loopback alone, as it does by itself on macOS and Windows.

    `ray.init` replaces a loopback address that it is given by one of the network.
    """
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR  # for processes of Ray; this one has read it
    given, usual = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = usual
        del os.environ[name]
        if given is not None:
            os.environ[name] = given
    with contextlib.suppress(OSError):  # another user with this token could run code as this one
        TOKEN.expanduser().chmod(0o600)


def _room(threads: int) -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1) // threads))
