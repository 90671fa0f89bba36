"""What the progress bar of a training run shows."""

from __future__ import annotations

from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn


def columns() -> tuple[ProgressColumn, ...]:
    """Name, bar, steps, time left, and the task's field `state`; new ones each time, since they remember.

    >>> len(columns())
    5
    """
    return (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(), TextColumn("{task.fields[state]}"),
    )  # fmt: skip
