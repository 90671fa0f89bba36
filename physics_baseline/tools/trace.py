"""Traces: how a result came to be, call by call, and whether it comes out the same again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clay4d.physics_baseline.tools.session import FORMAT, TRACE, Session


def read_trace(path: str | Path) -> list[dict[str, Any]]:
    """The calls of a trace file, or of the trace.json in a folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no trace.
    """
    path = Path(path)
    path = path / TRACE if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"trace got {path}; expected a trace.json. Check the path.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} got {error}; expected a trace in JSON.") from None
    calls: Any = raw.get("calls") if isinstance(raw, dict) else None
    good = isinstance(calls, list) and all(
        isinstance(c, dict) and isinstance(c.get("tool"), str) and isinstance(c.get("arguments"), dict)
        for c in calls
    )  # fmt: skip
    if not good or raw.get("format") != FORMAT:
        raise ValueError(f"{path} got no trace of format {FORMAT!r}; expected one by clay4d.")
    return list(calls)


def replay(
    calls: list[dict[str, Any]],
    folder: str | Path,
    *,
    progress: Callable[[str, float], None] | None = None,
) -> list[str]:
    """Make the calls of a trace again in a new folder; gives what came out differently, line by line.

    Calls that failed are left out: they changed nothing.

    Raises:
        ValueError: the folder holds something.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise ValueError(f"folder got {target}, which holds something; expected a new one.")
    session = Session(target, progress=progress)
    differences = []
    for k, call in enumerate(calls):
        if "error" in call:
            continue
        result = session.call(call["tool"], call["arguments"])
        differences += _compare(f"call {k + 1}, {call['tool']}", call.get("result"), result)
    return differences


def _compare(where: str, before: Any, now: Any) -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in sorted({*before, *now}):
            found += _compare(f"{where}: {key}", before.get(key), now.get(key))
        return found
    return [] if before == now else [f"{where} was {before!r} and is {now!r}"]
