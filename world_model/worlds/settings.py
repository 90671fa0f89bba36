"""What decides a set of worlds beside its seed: sizes of pictures, counts, speeds, shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clay4d.world_model.worlds.format import HIDDEN, SPLITS, HiddenKind, Split


@dataclass(frozen=True)
class WorldsConfig:
    """Settings of `make_worlds`; a preset is a YAML file of these, `configs/worlds.NAME.yaml`.

    Raises:
        ValueError: a number out of range, shares that are no shares.

    >>> WorldsConfig(size=1)
    Traceback (most recent call last):
    ValueError: size got 1; expected 16 to 512 pixels.
    """

    size: int = 64
    """Width and height of the pictures, pixels."""
    cameras: int = 4
    """Around the scene; the first stands in front, where the prompt's left and right are meant."""
    frames: int = 24
    fps: float = 12.0
    supersample: int = 2
    """Samples a pixel has each way."""
    step: float = 1 / 480
    """Longest step of the simulation, seconds."""
    movers: tuple[int, int] = (1, 4)
    """Fewest and most bodies that move, except in `ood-count`."""
    movers_ood: tuple[int, int] = (5, 6)
    """The same in `ood-count`."""
    speed: tuple[float, float] = (0.7, 2.2)
    """Slowest and fastest start along the floor, metres per second, except in `ood-speed`."""
    speed_ood: tuple[float, float] = (2.8, 4.0)
    """The same in `ood-speed`."""
    hidden: tuple[float, ...] = (0.25, 0.15, 0.15, 0.15, 0.15, 0.15)
    """Shares of none, drag, wind, magnus, tether, restitution."""
    splits: tuple[float, ...] = (0.8, 0.04, 0.04, 0.03, 0.03, 0.03, 0.03)
    """Shares of train, val, test, ood-speed, ood-size, ood-count, ood-combination."""
    paraphrases: int = 3
    """Of each prompt."""
    shard: int = 32
    """Worlds in a shard."""

    def __post_init__(self) -> None:
        ranges = {
            "size": (16, 512, " pixels"), "cameras": (1, 16, ""), "frames": (2, 1000, ""),
            "fps": (1, 1000, " frames per second"), "supersample": (1, 4, ""),
            "step": (2e-5, 1 / 60, " seconds"), "paraphrases": (0, 8, ""), "shard": (1, 4096, ""),
        }  # fmt: skip
        for name, (low, high, unit) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} got {value:g}; expected {low:g} to {high:g}{unit}.")
        for name, top in (("movers", 6), ("movers_ood", 6), ("speed", 10), ("speed_ood", 10)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= top:
                raise ValueError(f"{name} got {low:g} to {high:g}; expected a range within 0 to {top}.")  # fmt: skip
        for name, kinds in (("hidden", len(HIDDEN)), ("splits", len(SPLITS))):
            shares = getattr(self, name)
            if len(shares) != kinds or min(shares) < 0 or abs(math.fsum(shares) - 1) > 1e-6:
                raise ValueError(f"{name} got {list(shares)}; expected {kinds} shares that add up to 1.")  # fmt: skip


def split_of(index: int, shares: tuple[float, ...]) -> Split:
    """The split of a world by its number: at any count each split has its share, rounded.

    Each world goes to the split that lags its share most, so a set can grow without a world changing.

    >>> [split_of(k, (0.5, 0.25, 0.25, 0, 0, 0, 0)) for k in range(4)]
    ['train', 'val', 'test', 'train']
    """
    return SPLITS[_schedule(shares, index)]


def hidden_of(index: int, shares: tuple[float, ...]) -> HiddenKind:
    """The hidden physics of the world that is number `index` of its split."""
    return HIDDEN[_schedule(shares, index)]


def _schedule(shares: tuple[float, ...], index: int) -> int:
    return _schedules(shares, index)[index]


def _schedules(shares: tuple[float, ...], index: int) -> list[int]:
    known, made = _KNOWN.setdefault(shares, ([], [0] * len(shares)))
    while len(known) <= index:
        lags = [share * (len(known) + 1) - n for share, n in zip(shares, made)]
        chosen = max(range(len(shares)), key=lambda k: (lags[k], -k))
        known.append(chosen)
        made[chosen] += 1
    return known


_KNOWN: dict[tuple[float, ...], tuple[list[int], list[int]]] = {}
