"""How every Numba kernel of clay4d is compiled: fast float maths, no GIL, cached in the user's cache folder.

`fastmath` lets LLVM turn reductions into vectors, `error_model="numpy"` drops the test for zero before
each division. Neither sees NaN, so callers check their inputs first. The order of every sum is fixed
by the code and never by the number of threads, so a kernel gives the same bits on one core and on many.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


def cache_folder() -> Path:
    """The folder that keeps compiled kernels: `NUMBA_CACHE_DIR`, else the user's cache folder.

    >>> cache_folder().name != ""
    True
    """
    if "NUMBA_CACHE_DIR" in os.environ:
        return Path(os.environ["NUMBA_CACHE_DIR"])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "clay4d" / "kernels"


if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = str(cache_folder())

_OPTIONS: dict[str, Any] = {
    "fastmath": True,
    "error_model": "numpy",
    "nogil": True,
    "cache": True,
}


def kernel(function: Any) -> Any:
    """Compile a function that loops with `numba.prange` over independent pieces of work."""
    return numba.njit(parallel=True, **_OPTIONS)(function)


def device(function: Any) -> Any:
    """Compile a function that kernels call."""
    return numba.njit(**_OPTIONS)(function)


def inlined(function: Any) -> Any:
    """Compile a small function into each of its callers."""
    return numba.njit(inline="always", **_OPTIONS)(function)


def fused(function: Any) -> Any:
    """Compile a function into each of its callers by LLVM, which `inlined` does before types are known.

    For what takes a tuple of many arrays: a real call would copy and count each of them.
    """
    return numba.njit(forceinline=True, **_OPTIONS)(function)


@intrinsic
def float_from_bits(typing_context, value):  # type: ignore[no-untyped-def]
    """The float32 that has these 32 bits: vectorises, where a view of an array does not."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def bits_from_float(typing_context, value):  # type: ignore[no-untyped-def]
    """The 32 bits of a float32 as an int32; of positive floats they sort as the floats do."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate
