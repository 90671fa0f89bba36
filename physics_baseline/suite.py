"""`clay4d simulate LIST.txt`: a folder of `simulate` for each prompt or scene of a list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clay4d.distributed import do_tasks
from clay4d.lists import begin_list, read_list, told_with
from clay4d.physics_baseline.simulate import simulate


def simulate_suite(
    source: str | Path,
    out: str | Path,
    *,
    distributed: str | None = None,
    progress: Callable[[str, float], None] | None = None,
    **options: Any,
) -> list[Path]:
    """Simulate what a list names, or what is missing of it: OUT/0000 and so on, in the list's order.

    Args:
        source: a text file with a prompt or the path of a scene's JSON, from the list's folder, a line.
        out: the suite's folder; each scene's appears whole or not at all.
        distributed: the address of a Ray cluster that simulates, or "local".
        progress: told the share that is done.
        options: of `simulate`, for all alike.

    Raises:
        ValueError: a line that cannot be simulated, named; a folder of another list or other options.
        FileNotFoundError: no such list, or no scene of its.
        ImportError: Ray where it is asked for, or an engine, is not installed.
    """
    lines, beside = read_list(source), Path(source).resolve().parent
    folders = begin_list(Path(out), lines, **options)
    tasks = {
        k: (str(beside / line) if line.endswith(".json") else line, folder.resolve(), options)
        for k, (line, folder) in enumerate(zip(lines, folders, strict=True))
        if not folder.exists()
    }
    done = len(lines) - len(tasks)
    for _ in do_tasks(simulate_one, tasks, address=distributed):
        done += 1
        if progress is not None:
            progress("scenes", done / len(lines))
    return folders


def simulate_one(what: str, out: Path, options: dict[str, Any]) -> None:
    """One line's folder; the task that is given to a worker."""
    if out.exists():  # by a worker that died before it could say so
        return
    with told_with(what):
        simulate(what, out, **options)
