"""Tensors that have sizes and take no memory, for what a file only claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_DRAWS = (torch.Tensor.normal_, nn.init.normal_, nn.init.trunc_normal_)


class _NoDraws(TorchFunctionMode):
    """Leaves out draws of normal numbers: for tensors without memory torch would load its compiler, seconds long."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def only_sizes() -> Iterator[None]:
    """Whatever is built inside has sizes and no memory.

    >>> with only_sizes():
    ...     layer = nn.Linear(10**9, 10**9)
    >>> layer.weight.shape[0]
    1000000000
    """
    with torch.device("meta"), _NoDraws():
        yield
