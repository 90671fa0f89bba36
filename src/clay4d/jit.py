"""How every Numba kernel of clay4d is compiled: fast float maths, no GIL, cached in the user's cache folder.

`fastmath` lets LLVM turn reductions into vectors, `error_model="numpy"` drops the test for zero before
each division. Neither sees NaN, so callers check their inputs first. The order of every sum is fixed
by the code and never by the number of threads, so a kernel gives the same bits on one core and on many.

Numba takes a compiled kernel for fresh as long as its own file is the same, though it holds what it
called from other files, and their constants. So the cache has a folder for each state of a module and of
the modules that it imports. Where the files lie does not matter: copies of the same source share it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.codegen import JITCPUCodegen
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


def source_key(name: str, seen: frozenset[str] = frozenset()) -> str:
    """Digits that change with a module's source, or with what kernels can take from what it imports.

    Imports are followed through modules that have kernels themselves; of others the text counts.

    >>> source_key("clay4d.jit") == source_key("clay4d.jit")
    True
    """
    path = getattr(sys.modules.get(name), "__file__", None)
    if path is None or name in seen:
        return ""
    text = _source(path)
    parts = [hashlib.sha256(text).hexdigest()]
    if b"from clay4d.jit import" in text:
        for found in sorted(set(re.findall(rb"^from (clay4d[.\w]*) import", text, re.M))):
            parts.append(source_key(found.decode(), seen | {name}))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


@cache
def _source(path: str) -> bytes:
    return Path(path).read_bytes()


def one_torch_thread() -> None:
    """Let torch compute on one thread, so that its sums do not depend on the machine's cores.

    Numba's threads, when the first kernel starts them, set OpenMP's number for the whole process, which
    is torch's too and would undo `torch.set_num_threads`; so they are started here, before it.

    >>> import torch
    >>> one_torch_thread()
    >>> torch.get_num_threads()
    1
    """
    import torch  # what only asks for the cache's folder does without

    numba.get_num_threads()
    torch.set_num_threads(1)


class _Place(_CacheLocator):  # type: ignore[misc]
    """Where a function's machine code is kept: by its module's name and what that says."""

    def __init__(self, function: Any, file: str) -> None:
        self._py_file, self._lineno = file, function.__code__.co_firstlineno
        self._key, self._module = _settled_key(function.__module__), function.__module__

    def get_cache_path(self) -> str:
        return str(cache_folder() / self._key / self._module)

    def get_source_stamp(self) -> str:
        return self._key

    def get_disambiguator(self) -> str:
        return str(self._lineno)

    @classmethod
    def from_function(cls, function: Any, file: str) -> _Place | None:
        """None where the folder cannot be written; Numba then keeps its code beside the source."""
        place = cls(function, file)
        try:
            place.ensure_cache_path()
        except OSError:
            return None
        return place


@cache
def _settled_key(name: str) -> str:
    """The key of a module whose imports have been made: of all its functions, found once."""
    return source_key(name)


class _Reduced(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Place, *CompileResultCacheImpl._locator_classes]


class _Kept(FunctionCache):  # type: ignore[misc]
    """Numba's cache of a function; processes that compile it at the same time write in turn.

    Numba reads the list of a function's kernels, adds one and writes it: of two at once one is lost, or
    stands under the other's name.
    """

    _impl_class = _Reduced
    compiled: Any = None
    """What `_AsKept` has compiled last; what it gives out cannot be written any more."""

    def save_overload(self, signature: Any, made: Any) -> None:
        with _alone(Path(self.cache_path)):
            super().save_overload(signature, self.compiled or made)
        self.compiled = None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Other processes wait for the folder; on Windows they do not."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _AsKept:
    """Numba's compiler of a kernel, whose machine code is the one that the cache gives to later processes.

    A process that compiles a kernel has its loop twice: as a function of its own, and linked into the
    kernel and optimised once more, which can round another way. The first is the one that runs, the
    second is all that the cache keeps. So what was compiled is taken apart as for the cache and put
    together again, by a generator of its own, in which the first is not known.
    """

    def __init__(self, compiler: Any, cache: _Kept) -> None:
        self._compiler, self._cache = compiler, cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiler, name)

    def compile(self, args: Any, return_type: Any) -> Any:
        """What Numba compiles for these types, loaded as from the cache."""
        made = self._compiler.compile(args, return_type)
        self._cache.compiled, context = made, made.target_context
        return type(made)._rebuild(
            context.subtarget(_internal_codegen=_generator()), *made._reduce()
        )


@cache
def _generator() -> JITCPUCodegen:
    return JITCPUCodegen("clay4d.kernels")


def _compile(function: Any, **options: Any) -> Any:
    """Compile when called; the place in the cache is settled here."""
    made = numba.njit(**options, **_OPTIONS)(function)
    made._cache = _Kept(function)
    return made


_OPTIONS: dict[str, Any] = {"fastmath": True, "error_model": "numpy", "nogil": True}


def kernel(function: Any) -> Any:
    """Compile a function that loops with `numba.prange` over independent pieces of work."""
    made = _compile(function, parallel=True)
    made._compiler = _AsKept(made._compiler, made._cache)
    return made


def device(function: Any) -> Any:
    """Compile a function that kernels call."""
    return _compile(function)


def inlined(function: Any) -> Any:
    """Compile a small function into each of its callers."""
    return _compile(function, inline="always")


def fused(function: Any) -> Any:
    """Compile a function into each of its callers by LLVM, which `inlined` does before types are known.

    For what takes a tuple of many arrays: a real call would copy and count each of them.
    """
    return _compile(function, forceinline=True)


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
