"""Progress bars: what they show of a training run, and one for work that is counted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn


def columns() -> tuple[ProgressColumn, ...]:
    """Name, bar, steps, time left, and the task's field `state`; new ones each time, since they remember.

    >>> len(columns())
    5
    """
    return (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(), TextColumn("{task.fields[state]}"),
    )  # fmt: skip


@contextmanager
def counted(
    total: int, what: str = "", *, done: int = 0, shown: bool = True
) -> Iterator[Callable[[int, str | None], None]]:
    """A bar on standard error, where a person watches, with the time that is left.

    What it gives takes how many more are done, and what the bar says from then on, if that changes.

    >>> with counted(3, "worlds") as tell:
    ...     tell(2, None)
    """
    shown = shown and sys.stderr.isatty()
    with Progress(*columns(), console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task(what, total=total, completed=done, state="")
        yield lambda more, now: bar.update(task, advance=more, description=now)
