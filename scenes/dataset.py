"""Posed pictures with times: what every loader gives and every trainer takes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.tracks import Tracks

MEMORY_BUDGET = 1 << 30
"""Bytes of decoded pictures kept per split; the rest is decoded again when asked for."""

Extra = Callable[[int], Float[np.ndarray, "H W"] | None]


@dataclass(frozen=True)
class Frame:
    """One picture: colours over the data set's background, and what is known of its pixels."""

    image: Float[Tensor, "H W 3"]
    """sRGB, 0 to 1, composited on the background."""
    mask: Float[Tensor, "H W"] | None
    """Foreground, 0 to 1, where the data has it (alpha channel or segmentation)."""
    depth: Float[Tensor, "H W"] | None = None
    """Metres along the camera's axis, 0 where unknown, where the data has it."""
    covisible: Float[Tensor, "H W"] | None = None
    """1 where training pictures see the same place, where the data says so."""


class Views:
    """The pictures of one split, decoded when asked for and kept within a memory budget.

    `decode(i)` gives picture i as uint8 [H, W, 3], or [H, W, 4] with its mask; the budget counts
    decoded bytes, and what was used longest ago is dropped first. `depth(i)` and `covisible(i)`
    give [H, W], or None for a picture without, and are read each time.
    """

    def __init__(
        self,
        cameras: Cameras,
        names: list[str],
        decode: Callable[[int], UInt8[np.ndarray, "H W D"]],
        *,
        camera_ids: list[int] | None = None,
        background: tuple[float, float, float] | None = None,
        memory_budget: int = MEMORY_BUDGET,
        depth: Extra | None = None,
        covisible: Extra | None = None,
        tracks: Tracks | None = None,
    ) -> None:
        for what, given in (("names", names), ("camera_ids", camera_ids)):
            if given is not None and len(given) != len(cameras):
                raise ValueError(f"{what} got {len(given)} entries; expected {len(cameras)}.")
        self.cameras = cameras
        self.names = names
        self.camera_ids = camera_ids if camera_ids is not None else list(range(len(names)))
        """Which physical camera took each picture."""
        self.background = background
        if tracks is not None and tracks.seen.shape[1] != len(names):
            raise ValueError(f"tracks got {tracks.seen.shape[1]} pictures; expected {len(names)}.")
        self.tracks = tracks
        """Points followed over these pictures, where the data has them."""
        self.memory_budget = memory_budget
        self._decode = decode
        self._depth = depth
        self._covisible = covisible
        self._kept: OrderedDict[int, np.ndarray[Any, Any]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def has_depth(self) -> bool:
        """Whether any picture may come with depth."""
        return self._depth is not None

    def seen_by(self, cameras: Cameras) -> Views:
        """The same pictures with other cameras of the same size and number.

        Raises:
            ValueError: another number of cameras.
        """
        return Views(
            cameras, self.names, self._decode, camera_ids=self.camera_ids,
            background=self.background, memory_budget=self.memory_budget,
            depth=self._depth, covisible=self._covisible, tracks=self.tracks,
        )  # fmt: skip

    def pixels(self, index: int) -> UInt8[np.ndarray, "H W D"]:
        """Picture `index` as decoded, read-only, from memory where it is still there.

        Raises:
            IndexError: no such picture.
            ValueError: a picture that does not decode, or of another size than its camera's.
        """
        index = range(len(self))[index]
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        value = self._decode(index)
        expected = (self.cameras.height, self.cameras.width)
        if value.shape[:2] != expected:
            raise ValueError(
                f"{self.names[index]} got {value.shape[1]}×{value.shape[0]} pixels; "
                f"expected {expected[1]}×{expected[0]}. Make all pictures of a split one size."
            )
        if value.dtype != np.uint8 or value.ndim != 3 or value.shape[2] not in (3, 4):
            raise ValueError(
                f"{self.names[index]} got {value.dtype} pixels of shape {list(value.shape)}; "
                "expected uint8 [H, W, 3 or 4]. Convert the picture."
            )
        value = value.view()
        value.flags.writeable = False  # what is kept must not change under its readers
        self._kept[index] = value
        self._bytes += value.nbytes
        while self._bytes > self.memory_budget and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return value

    def __getitem__(self, index: int) -> Frame:
        pixels = torch.from_numpy(self.pixels(index).astype(np.float32)) / 255
        image, mask = pixels[..., :3], pixels[..., 3] if pixels.shape[-1] == 4 else None
        if mask is not None and self.background is not None:
            image = image * mask[..., None] + torch.tensor(self.background) * (1 - mask[..., None])
        depth, covisible = (self._extra(read, index) for read in (self._depth, self._covisible))
        return Frame(image.contiguous(), mask, depth, covisible)

    def _extra(self, read: Extra | None, index: int) -> Tensor | None:
        value = None if read is None else read(range(len(self))[index])
        return None if value is None else torch.from_numpy(np.array(value, np.float32))


@dataclass(frozen=True)
class Dataset:
    """Splits of posed pictures, and what the loader knows of the scene.

    Raises:
        ValueError: no training pictures, or a box that is none.
    """

    name: str
    splits: Mapping[str, Views]
    """By name: "train" always, "val" and "test" where the data has them."""
    duration: float
    """Seconds from the first time to the last; 0 for a scene that stands still."""
    bounds: Float[Tensor, "2 3"]
    """Lowest and highest corner of the box in which to start, metres."""
    background: tuple[float, float, float] | None = None
    """Colour behind everything, where the pictures have one."""
    points: Float[Tensor, "P 6"] | None = None
    """Known points: xyz in metres and RGB in 0–1."""
    point_times: Float[Tensor, " P"] | None = None
    """Seconds at which each known point is there, NaN for one that stands still; None if all do."""
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "train" not in self.splits or not len(self.splits["train"]):
            raise ValueError(
                f"{self.name} got no training pictures; expected a split train. Add views to it."
            )
        box = self.bounds
        if tuple(box.shape) != (2, 3) or not torch.isfinite(box).all() or (box[0] >= box[1]).any():
            raise ValueError(
                f"bounds got {box.tolist()}; expected a lowest and a highest corner. Correct it."
            )

    @property
    def train(self) -> Views:
        """The training pictures."""
        return self.splits["train"]

    def split(self, name: str) -> Views:
        """A split by name.

        Raises:
            ValueError: the data has no such split.
        """
        if name not in self.splits:
            known = ", ".join(self.splits)
            raise ValueError(f"split got {name!r}; expected one of {known} in {self.name}.")
        return self.splits[name]

    @property
    def extent(self) -> float:
        """Radius of the training cameras about their mean, times 1.1: gsplat's scene scale.

        Half the box's longest side for a camera that stands still: learning rates scale with it.
        """
        centres = self.train.cameras.centres
        radius = float((centres - centres.mean(0)).norm(dim=1).max()) * 1.1
        return radius if radius > 1e-4 else float((self.bounds[1] - self.bounds[0]).max()) / 2
