"""Memory that a training step frees is kept for the next one."""

from __future__ import annotations

import ctypes
import sys

# glibc's mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, ARENA_MAX = -1, -2, -3, -8


def keep_freed_memory(*, limit: int = 1 << 30, heaps: int | None = None) -> bool:
    """Have glibc keep freed memory instead of handing it back; whether that was possible.

    By default each array past a limit of at most 32 MB is mapped afresh and the system clears it page by page:
    a tenth of the time of a step with 60 000 Gaussians. This is a setting of the whole process, so it is
    for programs (a training run), not for libraries. Elsewhere than on Linux with glibc it does nothing.

    Args:
        limit: free memory, bytes, above which the heap's end is handed back after all.
        heaps: that all threads share. By default nearly each thread has its own, so that what one has freed
            is no use to the others: for servers, whose every thread draws.

    Raises:
        ValueError: `limit` outside 0 to 2^31 − 1, or less than one heap.

    Source: mallopt(3).

    Example:
        >>> keep_freed_memory() in (True, False)
        True
    """
    if not 0 <= limit < 1 << 31:
        raise ValueError(f"limit got {limit}; expected bytes from 0 to 2147483647.")
    if heaps is not None and heaps < 1:
        raise ValueError(f"heaps got {heaps}; expected at least 1, or None.")
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = [(MMAP_THRESHOLD, limit), (TRIM_THRESHOLD, limit), (TOP_PAD, 1 << 26)]
    if heaps is not None:
        settings.append((ARENA_MAX, heaps))
    return all([mallopt(name, value) == 1 for name, value in settings])
