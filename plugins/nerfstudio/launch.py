"""Finds the Python that has nerfstudio and runs nerfstudio's commands with it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

COMMANDS = ("train", "eval", "export", "viewer")
VARIABLE = "CLAY4D_NERFSTUDIO"
"""Environment variable that names the Python of nerfstudio's environment."""


def places() -> list[Path]:
    """Where nerfstudio's Python may be: as the variable says, in the checkout, in the folder one is in."""
    named = os.environ.get(VARIABLE)
    if named:
        return [Path(named)]
    parts = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
    roots = [Path(__file__).resolve().parents[2], Path.cwd()]
    return [root.joinpath(".venv", "nerfstudio", *parts) for root in roots]


def find_python() -> Path:
    """The Python that has nerfstudio: this one if it has it, else that of `make nerfstudio`.

    Raises:
        ModuleNotFoundError: there is none.
    """
    if importlib.util.find_spec("nerfstudio") is not None:
        return Path(sys.executable)
    for path in places():
        if path.is_file():
            return path
    raise ModuleNotFoundError(
        "nerfstudio got no environment of its own; expected one in .venv/nerfstudio, or its Python "
        f"in {VARIABLE}. Make it with: make nerfstudio"
    )


def run(command: str, args: Sequence[str]) -> int:
    """Run `ns-COMMAND` with its own arguments; gives its exit code.

    Raises:
        ModuleNotFoundError: there is no nerfstudio.
    """
    line = [str(find_python()), "-m", "clay4d.plugins.nerfstudio", command, *args]
    return subprocess.run(line, check=False).returncode
