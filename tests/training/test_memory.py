"""Freed memory is used again without the system clearing it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from clay4d.training.memory import keep_freed_memory

FAULTS = """
import resource
import numpy as np
from clay4d.training.memory import keep_freed_memory
if KEEP:
    assert keep_freed_memory()
for _ in range(3):
    np.ones(20_000_000, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(20_000_000, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> int:
    program = FAULTS.replace("KEEP", str(keep))
    return int(subprocess.check_output([sys.executable, "-c", program]))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_a_large_array_is_mapped_once() -> None:
    assert faults(keep=True) < 20 < faults(keep=False)


HEAPS = """
import ctypes, sys, threading
import numpy as np
from clay4d.training.memory import keep_freed_memory
assert keep_freed_memory(heaps=COUNT)
together = threading.Barrier(8)
def work():
    together.wait()
    kept = [np.ones(1000) for _ in range(100)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def heaps(count: int | None) -> int:
    program = HEAPS.replace("COUNT", str(count))
    return subprocess.check_output([sys.executable, "-c", program]).count(b"<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_threads_share_as_many_heaps_as_they_are_told() -> None:
    assert heaps(1) == 1 < heaps(None)


@pytest.mark.parametrize("count", [0, -1])
def test_no_heap_at_all_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"heaps got {count}; expected"):
        keep_freed_memory(heaps=count)


def test_a_wrong_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit got -1; expected"):
        keep_freed_memory(limit=-1)
