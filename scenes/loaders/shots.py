"""Checked entries of any layout, and the views made of them: splits, undistortion, masks, depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.dataset import Views
from clay4d.scenes.loaders.images import check_size, read_depth, read_image, read_mask, with_mask
from clay4d.scenes.loaders.lens import Lens, pinhole, undistort, undistort_nearest
from clay4d.scenes.tracks import Tracks

Color = tuple[float, float, float]
WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Shot:
    """One picture with its camera, checked."""

    name: str
    """The picture, from the data folder, with its suffix."""
    lens: Lens
    """As the file states it; the picture is undistorted when decoded."""
    viewmat: Float[np.ndarray, "4 4"]
    """World to camera, OpenCV axes, float64."""
    time: float | None = None
    """Seconds."""
    mask: str | None = None
    alpha: bool = False
    camera: int | None = None
    """Number of the physical camera, where the data says it."""
    depth: str | None = None
    """PNG or npy of distances along the camera's axis."""
    depth_unit: float = 1.0
    """Metres that one unit of the depth file stands for."""
    covisible: str | None = None
    """Mask of what the training pictures see too."""


Read = Callable[[Shot], UInt8[np.ndarray, "H W D"]]
"""Decodes one shot's picture as stored, before its mask and undistortion."""


def every(shots: Sequence[Shot], test_every: int) -> dict[str, list[Shot]]:
    """Every `test_every`-th view by name is held out, as mip-NeRF 360 and gsplat do."""
    ordered = sorted(shots, key=lambda shot: shot.name)
    train = [shot for i, shot in enumerate(ordered) if i % test_every]
    return {"train": train, "test": ordered[::test_every]}


def views_of(
    root: Path,
    split: str,
    shots: Sequence[Shot],
    *,
    background: Color | None,
    memory_budget: int,
    read: Read | None = None,
    tracks: Tracks | None = None,
) -> Views:
    """The views of one split; pictures are decoded by `read`, from files of `root` by default.

    Raises:
        ValueError: no shots, shots of several sizes, or a lens that cannot be undistorted.
    """
    if not shots:
        raise ValueError(
            f"split {split} of {root.name} got no pictures; expected at least one. "
            "Add pictures, or list fewer for the other splits."
        )
    width, height = shots[0].lens.width, shots[0].lens.height
    for shot in shots:
        check_size(
            shot.name,
            (shot.lens.width, shot.lens.height),
            (width, height),
            whose=f"{shots[0].name} of the same split",
        )
    new = [pinhole(shot.lens) for shot in shots]
    Ks = [[[n.fx, 0, n.cx], [0, n.fy, n.cy], [0, 0, 1]] for n in new]
    cameras = Cameras(
        torch.from_numpy(np.stack([shot.viewmat for shot in shots])).float(),
        torch.tensor(Ks, dtype=torch.float32),
        width,
        height,
        torch.tensor([shot.time or 0.0 for shot in shots], dtype=torch.float32),
    )
    alpha = any(shot.alpha for shot in shots)
    ids = [i if shot.camera is None else shot.camera for i, shot in enumerate(shots)]
    has_depth = any(shot.depth for shot in shots)
    has_covisible = any(shot.covisible for shot in shots)
    return Views(
        cameras,
        [shot.name for shot in shots],
        partial(_decode, root, shots, read or (lambda shot: read_image(root, shot.name))),
        camera_ids=ids,
        background=(background or WHITE) if alpha else None,
        memory_budget=memory_budget,
        depth=partial(_depth, root, shots) if has_depth else None,
        covisible=partial(_covisible, root, shots) if has_covisible else None,
        tracks=tracks,
    )


def _decode(
    root: Path, shots: Sequence[Shot], read: Read, index: int
) -> UInt8[np.ndarray, "H W D"]:
    """Picture `index`, with its mask as fourth channel, undistorted."""
    shot = shots[index]
    size = (shot.lens.width, shot.lens.height)
    pixels = read(shot)
    check_size(shot.name, pixels.shape[1::-1], size)
    if shot.mask is not None:
        mask = read_mask(root, shot.mask)
        check_size(shot.mask, mask.shape[::-1], size)
        pixels = with_mask(pixels, mask)
    return undistort(shot.lens, pixels, alpha=shot.alpha)


def _depth(root: Path, shots: Sequence[Shot], index: int) -> Float[np.ndarray, "H W"] | None:
    shot = shots[index]
    if shot.depth is None:
        return None
    size = (shot.lens.width, shot.lens.height)
    depth = read_depth(root, shot.depth) * np.float32(shot.depth_unit)
    check_size(shot.depth, depth.shape[::-1], size, whose=f"picture {shot.name}")
    return undistort_nearest(shot.lens, depth)


def _covisible(root: Path, shots: Sequence[Shot], index: int) -> Float[np.ndarray, "H W"] | None:
    shot = shots[index]
    if shot.covisible is None:
        return None
    size = (shot.lens.width, shot.lens.height)
    mask = (read_mask(root, shot.covisible) > 127).astype(np.float32)
    check_size(shot.covisible, mask.shape[::-1], size, whose=f"picture {shot.name}")
    return undistort_nearest(shot.lens, mask)
