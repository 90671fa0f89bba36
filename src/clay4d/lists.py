"""Folders with one result for each line of a text file; what was stopped goes on, and nothing is mixed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clay4d.files import written_whole

NAME = "list.json"
MOST = 100_000
"""Lines."""


def read_list(path: str | Path) -> list[str]:
    """The lines of a text file that say something; those that begin with # do not.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no lines, too many, or no UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"list got {path}; expected a text file with a line for each.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} got bytes that are no UTF-8; expected text.") from None
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and line[0] != "#"]
    if not 0 < len(lines) <= MOST:
        raise ValueError(f"{path} got {len(lines)} lines; expected 1 to {MOST}.")
    return lines


def folder_of(out: Path, line: int) -> Path:
    """Where the result of a line is, counted from 0.

    >>> folder_of(Path("out"), 7).name
    '0007'
    """
    return out / f"{line:04d}"


@contextmanager
def told_with(line: str) -> Iterator[None]:
    """Let a ValueError say which line it comes of, as the plain type, which other machines' processes can hand back.

    >>> with told_with("a ball"):
    ...     raise ValueError("steps got 0")
    Traceback (most recent call last):
    ValueError: 'a ball': steps got 0
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{line[:200]!r}: {error}") from None


def begin_list(out: Path, lines: Sequence[str], **options: Any) -> list[Path]:
    """Note in OUT/list.json what the folders are of; gives a folder for each line, in their order.

    Lines may be added, and changed where there is no folder yet.

    Args:
        options: JSON values that all lines share.

    Raises:
        ValueError: `out` holds something else, or results of other lines or options.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     [p.name for p in begin_list(Path(place), ["a", "b"], seed=0)]
    ['0000', '0001']
    """
    folders = [folder_of(out, k) for k in range(len(lines))]
    if (out / NAME).is_file():
        had = _read(out / NAME)
        if had["options"] != options:
            raise ValueError(
                f"out got {out}, which has results of other options ({str(had['options'])[:200]!r}); expected "
                "the same ones, or a new folder."
            )
        kept = {p.name for p in out.iterdir()}
        for k, was in enumerate(had["lines"]):
            now = lines[k] if k < len(lines) else "nothing"
            if folder_of(out, k).name in kept and was != now:
                raise ValueError(
                    f"line {k + 1} got {now[:200]!r}, but {out} has results of {str(was)[:200]!r}; expected "
                    "the same lines, and new ones after them. Choose a new folder."
                )
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ValueError(f"out got {out}, which holds something else; expected a new folder.")
    text = json.dumps({"options": options, "lines": list(lines)}, indent=1, ensure_ascii=False)
    with written_whole(out / NAME) as place:
        place.write_text(text + "\n", encoding="utf-8")
    return folders


def _read(path: Path) -> dict[str, Any]:
    try:
        had = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        had = None
    if not (isinstance(had, dict) and isinstance(had.get("lines"), list) and "options" in had):
        raise ValueError(f"{path} got no list; expected lines and options. Use a new folder.")
    return had
