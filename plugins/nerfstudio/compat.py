"""What keeps nerfstudio 1.1.5 from running on a CPU, put right before it is imported."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_KEPT: list[Any] = []
"""Holds the library of operators: they go when it does."""


def torchvision_operators() -> bool:
    """Declare the two operators that torchvision's import asks for, where its own cannot be loaded.

    torchvision's wheel is linked to CUDA and its operators do not load beside the CPU build of torch;
    its Python then fails on `torchvision::nms`. Nothing on nerfstudio's way calls them.

    Returns:
        Whether they were missing.
    """
    if hasattr(torch.ops.torchvision, "nms"):
        return False
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)
    return True


def make_ready() -> None:
    """Operators, one thread, and silence about what nerfstudio's age alone brings about."""
    if not torch.cuda.is_available():
        torchvision_operators()
    os.environ.setdefault("WANDB_MODE", "offline")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", message="Converting a tensor with requires_grad=True")
    torch.set_num_threads(1)  # as in every run of clay4d: its pool and Numba's would fight


@contextmanager
def untraced() -> Iterator[None]:
    """No trace function in this thread for a while.

    >>> with untraced():
    ...     sys.gettrace() is None
    True
    """
    kept = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(kept)


def on_cpu(args: list[str]) -> list[str]:
    """The arguments of ns-train with `--machine.device-type cpu`, unless they say another or only ask.

    >>> on_cpu(["nerfacto", "--data", "d"])[:3]
    ['nerfacto', '--machine.device-type', 'cpu']
    """
    said = any(a.split("=")[0].replace("_", "-") == "--machine.device-type" for a in args)
    if said or not args or args[0].startswith("-") or torch.cuda.is_available():
        return args
    return [args[0], "--machine.device-type", "cpu", *args[1:]]


def at_home(args: list[str]) -> list[str]:
    """The arguments of ns-viewer with a page for this computer alone, unless they say another or only ask.

    >>> at_home(["--load-config", "c.yml"])[-2:]
    ['--viewer.websocket-host', '127.0.0.1']
    """
    said = any(a.split("=")[0].replace("_", "-") == "--viewer.websocket-host" for a in args)
    if said or "--help" in args or "-h" in args:
        return args
    return [*args, "--viewer.websocket-host", "127.0.0.1"]
