"""Training in several processes under torchrun: who writes, who waits, and sums in a fixed order.

A step's work is cut into shards, whose number belongs to the run and not to the machine. Process r of n
does shards r, r + n, ...; what they give is gathered and added in the order of the shards, never in that
of arrival or of a ring. So a run has the same bits at any number of processes that divides its shards.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import distributed_c10d
from torch.distributed.rendezvous import rendezvous

MEETING = timedelta(minutes=2)
"""How long processes that begin wait for each other; then an error lets torchrun start them once more."""
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
    store, own, several = next(rendezvous("env://", timeout=MEETING))
    # Torchrun's store outlives a restart: without a place of its own, a group reads the addresses of the last.
    fresh = distributed_c10d.PrefixStore(f"start-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    dist.init_process_group("gloo", store=fresh, rank=own, world_size=several, timeout=MEETING)
    distributed_c10d._set_pg_timeout(PATIENCE)
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
        ValueError: no whole number of at least 1, or no multiple of the processes.
    """
    if type(shards) is not int or shards < 1 or shards % count():
        raise ValueError(
            f"shards got {shards!r} for {count()} processes; expected a multiple of the processes. "
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
    for part in gathered(own):
        total += part
    return total


def gathered(own: Sequence[Tensor]) -> Iterator[Tensor]:
    """What all shards of all processes gave, one after another in the order of the shards.

    >>> [int(part) for part in gathered([torch.tensor(1), torch.tensor(2)])]
    [1, 2]
    """
    for row in own:
        if not _several():
            yield row
            continue
        parts = [torch.empty_like(row) for _ in range(count())]
        dist.all_gather(parts, row.contiguous())
        yield from parts


def packed(parameters: Collection[Tensor], *more: Tensor) -> Tensor:
    """The parameters' gradients, whether each has one, and more, as one row of numbers."""
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    there = torch.tensor([float(p.grad is not None) for p in parameters])
    return torch.cat([t.flatten() for t in (*grads, there, *more)])


def unpack(row: Tensor, parameters: Collection[Tensor]) -> Tensor:
    """Give the parameters the gradients of a row of `packed`, or of a mean of such; returns what follows.

    >>> x = torch.ones(2, requires_grad=True)
    >>> x.grad = torch.tensor([3.0, 4.0])
    >>> unpack(packed([x], torch.tensor(5.0)) / 2, [x]), x.grad
    (tensor([2.5000]), tensor([1.5000, 2.0000]))
    """
    there = row[sum(p.numel() for p in parameters) :]
    start = 0
    for parameter, any_there in zip(parameters, there, strict=False):
        part = row[start : start + parameter.numel()].view_as(parameter)
        parameter.grad = part.clone() if any_there > 0 else None
        start += parameter.numel()
    return row[start + len(parameters) :]


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
