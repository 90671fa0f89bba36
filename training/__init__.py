"""Training of scenes from posed video."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clay4d.training.config import TrainConfig
    from clay4d.training.run import load_run, train

__all__ = ["TrainConfig", "load_run", "train"]

# Looked up when used: the command line reads `clay4d.training.config` without waiting for torch.
_HOMES = {"TrainConfig": "config", "load_run": "run", "train": "run"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
