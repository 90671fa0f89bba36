"""Tasks on a Ray cluster (extra `distributed`): the functions of the local path, on other machines too.

Ray gives a task to another worker where one died, so that a killed process loses what it was at and no
more; what is done is on the disk before the next begins, so that a killed driver is simply run again.
Machines of a cluster need clay4d and the output folder under the same path, such as a shared disk.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)
FLAG = "--distributed"
LOCAL = "local"
"""Address of a cluster that is started on this computer for the one run."""
RETRIES = 5
"""Times that a task is given to another worker after its own died."""


def with_address(args: list[str]) -> list[str]:
    """Arguments in which `--distributed` alone has its address, this computer's.

    >>> with_address(["make-worlds", "--distributed", "--count", "3"])
    ['make-worlds', '--distributed', 'local', '--count', '3']
    """
    out: list[str] = []
    for k, word in enumerate(args):
        out.append(word)
        if word == FLAG and (k + 1 == len(args) or args[k + 1].startswith("-")):
            out.append(LOCAL)
    return out


def run_tasks(
    function: Callable[..., Any], tasks: Mapping[Key, tuple[Any, ...]], *, address: str
) -> Iterator[tuple[Key, Any]]:
    """Call `function(*arguments)` for each task on a cluster; gives keys and results as they are done.

    Args:
        address: `local`, `auto` for a cluster that runs on this computer, `HOST:PORT` or `ray://HOST:PORT`.

    Raises:
        ImportError: the extra `distributed` is missing.
        ValueError: no cluster at the address, or what a task raises.
        OSError: a task whose workers died again and again.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ImportError(
            "distributed got no package ray; expected the extra distributed. Run: "
            "pip install 'clay4d[distributed]'"
        ) from error
    started = not ray.is_initialized()
    if started:
        _connect(ray, address)
    try:
        remote = ray.remote(max_retries=RETRIES, num_cpus=1)(function)
        waiting = {remote.remote(*given): key for key, given in tasks.items()}
        while waiting:
            for done in ray.wait(list(waiting), num_returns=1)[0]:
                try:
                    yield waiting.pop(done), ray.get(done)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None
                except ray.exceptions.RayError as error:
                    raise OSError(
                        f"distributed got a task that died {RETRIES + 1} times "
                        f"({type(error).__name__}); expected workers that live. Give them more "
                        "memory and run the same again: it goes on where it stopped."
                    ) from error
    finally:
        if started:
            ray.shutdown()


def do_tasks(
    function: Callable[..., Any], tasks: Mapping[Key, tuple[Any, ...]], *, address: str | None
) -> Iterator[tuple[Key, Any]]:
    """`run_tasks`, or with no address the same calls in this process, one after another.

    >>> list(do_tasks(abs, {"a": (-1,), "b": (2,)}, address=None))
    [('a', 1), ('b', 2)]
    """
    if address is not None:
        yield from run_tasks(function, tasks, address=address)
        return
    for key, given in tasks.items():
        yield key, function(*given)


def _connect(ray: Any, address: str) -> None:
    # One thread a worker, as in local workers: the processes are what runs side by side.
    threads = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": dict.fromkeys(threads, "1")}, "log_to_driver": False,
        "configure_logging": False, "include_dashboard": False if address == LOCAL else None,
    }  # fmt: skip
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(
            f"distributed got {address!r}, where no cluster answers ({why}); expected local, auto or "
            "HOST:PORT. Start one with: ray start --head"
        ) from None
