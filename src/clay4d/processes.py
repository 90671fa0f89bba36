"""Training in several processes under torchrun: who writes, who waits, and sums in a fixed order.

A step's work is cut into shards, whose number belongs to the run and not to the machine. Process r of n
does shards r, r + n, ...; what they give is gathered and added in the order of the shards, never in that
of arrival or of a ring. So a run has the same bits at any number of processes that divides its shards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(hours=12)
"""How long one process waits for another, such as for the first to encode all worlds. Torchrun itself
ends the others when one dies."""


def rank() -> int:
    """Which of the processes this is; 0 where there is one."""
    return dist.get_rank() if _several() else 0


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if _several() else 1


def is_first() -> bool:
    """Whether this is the process that writes files and says how far it is."""
    return rank() == 0


def restarted() -> bool:
    """Whether torchrun has started this process again after one of its group died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def asked() -> int:
    """How many processes torchrun has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


@contextmanager
def together() -> Iterator[None]:
    """Join the processes that torchrun has started; alone, do nothing."""
    if asked() == 1 or _several():
        yield
        return
    dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()


def wait() -> None:
    """Go on when all processes are here."""
    if _several():
        dist.barrier()


@contextmanager
def first_then_others() -> Iterator[None]:
    """What the first process leaves on the disk, the others find there."""
    if not is_first():
        wait()
    yield
    if is_first():
        wait()


def check_shards(shards: int) -> None:
    """Refuse shards that cannot be dealt out evenly.

    Raises:
        ValueError: fewer than 1, or no multiple of the processes.
    """
    if shards < 1 or shards % count():
        raise ValueError(
            f"shards got {shards} for {count()} processes; expected a multiple of the processes. "
            "Change --nproc-per-node, or begin a new run with other --shards."
        )


def own_shards(shards: int) -> range:
    """The shards of a step that this process does.

    >>> list(own_shards(3))
    [0, 1, 2]
    """
    return range(rank(), shards, count())


def summed(own: Sequence[Tensor]) -> Tensor:
    """Add what all shards of all processes gave, in the order of the shards.

    Args:
        own: what each of `own_shards` gave, tensors of one shape, the same in all processes.

    >>> summed([torch.ones(2), torch.ones(2)])
    tensor([2., 2.])
    """
    total = torch.zeros_like(own[0])
    for row in own:
        if _several():
            parts = [torch.empty_like(row) for _ in range(count())]
            dist.all_gather(parts, row.contiguous())
        else:
            parts = [row]
        for part in parts:
            total += part
    return total


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
