"""Pinhole cameras in OpenCV axes, each with the moment of its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.rays import camera_centres

RIGID = 1e-3
"""How far a rotation may be from orthonormal: pose files hold four digits at the least."""


@dataclass(frozen=True)
class Cameras:
    """C pinhole cameras of one picture size.

    Raises:
        ValueError: shapes that do not agree, values that are not finite, poses that are not rigid.

    >>> Cameras(torch.eye(4)[None], torch.eye(3)[None], 8, 8, torch.zeros(1)).centres.shape
    torch.Size([1, 3])
    """

    viewmats: Float[Tensor, "C 4 4"]
    """World to camera; x right, y down, z forward."""
    Ks: Float[Tensor, "C 3 3"]
    """Intrinsics in pixels; the first pixel's centre is at (0.5, 0.5)."""
    width: int
    height: int
    times: Float[Tensor, " C"]
    """Seconds since the scene's start."""

    def __post_init__(self) -> None:
        n = self.viewmats.shape[0]
        for name, shape in (("viewmats", (n, 4, 4)), ("Ks", (n, 3, 3)), ("times", (n,))):
            value = getattr(self, name)
            if tuple(value.shape) != shape:
                raise ValueError(f"{name} got shape {list(value.shape)}; expected {list(shape)}.")
            if not torch.isfinite(value).all():
                raise ValueError(f"{name} got NaN or infinity; expected finite values.")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"size got {self.width}×{self.height}; expected at least 1×1.")
        R = self.viewmats[:, :3, :3].double()
        off = (R @ R.transpose(1, 2) - torch.eye(3, dtype=R.dtype)).abs().amax((1, 2))
        bad = ((off > RIGID) | (torch.linalg.det(R) < 0)).nonzero()[:, 0]
        if len(bad):
            raise ValueError(
                f"viewmats[{int(bad[0])}] is not rigid (rotation off by {float(off[bad[0]]):.2g}); "
                "expected a rotation and a translation. Remove scale or mirroring from the poses."
            )

    def __len__(self) -> int:
        return int(self.viewmats.shape[0])

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Cameras:
        """The chosen cameras; one index keeps the leading dimension."""
        if not isinstance(index, (slice, Tensor)):
            # A tuple would index three dimensions, and numpy's integers would drop one.
            index = list(index) if isinstance(index, Sequence) else [int(index)]
        return Cameras(
            self.viewmats[index], self.Ks[index], self.width, self.height, self.times[index]
        )

    @property
    def centres(self) -> Float[Tensor, "C 3"]:
        """Camera centres in the world, metres."""
        return camera_centres(self.viewmats)

    def resized(self, factor: float) -> Cameras:
        """Cameras of pictures `factor` times as large, rounded to whole pixels.

        Raises:
            ValueError: a factor that is not above 0.
        """
        if not 0 < factor < float("inf"):
            raise ValueError(f"factor got {factor}; expected a number above 0.")
        width, height = max(1, round(self.width * factor)), max(1, round(self.height * factor))
        scale = torch.tensor([width / self.width, height / self.height, 1.0]).to(self.Ks)
        return Cameras(self.viewmats, self.Ks * scale[:, None], width, height, self.times)
