"""What the command line shows of the tools and their work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None] | None]:
    """A bar on the terminal for each thing in progress; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=1.0)
            bar.update(tasks[what], completed=share)

        yield tell


def print_tools() -> None:
    """All tools with their arguments, as a table."""
    from clay4d.physics_baseline.tools.server import list_tools

    table = Table(title="tools of the physics baseline")
    for column in ("tool", "arguments", ""):
        table.add_column(column)
    for tool in list_tools():
        names = ", ".join(tool["input_schema"].get("properties", {}))
        table.add_row(tool["name"], names, tool["description"].split("\n")[0])
    Console().print(table)
