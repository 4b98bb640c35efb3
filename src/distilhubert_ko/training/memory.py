"""The memory of a training process."""

import ctypes
import platform


def keep_freed_memory() -> None:
    """Have glibc keep large freed blocks instead of returning them to the system after every operation.

    Zeroing them again took a third of a training step on a CPU (docs/lab-notes.md).
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX: no block of its own mapping
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD: never shrink the heap
