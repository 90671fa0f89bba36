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


def test_a_wrong_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit got -1; expected"):
        keep_freed_memory(limit=-1)
