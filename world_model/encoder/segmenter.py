"""Masks where none are given: a small network tells objects from the stage, and regions that have one
colour and whose rays meet are one object.

Which region of one picture is which of another is found by assignment (Kuhn 1955): by colour, and by how
far a region's ray passes from where the object was seen by other cameras and before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import label
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from clay4d.scenes.rays import camera_centres, pixel_rays
from clay4d.world_model.slots import PosedFrames

WIDTH = 12
CHROMA = 0.12
"""How far colours of neighbouring pixels may be apart within one region, as shares of red, green, blue."""
SMALLEST = 4
"""Pixels of a region."""
FAR = 1.0
"""Cost from which a region is a new object."""
JOIN = 0.7
"""Cost below which a region that is left over is a further part of an object."""
REACH = 0.5
"""Metres of a ray's miss that cost as much as `FAR`."""
TINT = 0.3
"""Distance of mean colours that costs as much as `FAR`."""


class Segmenter(nn.Module):
    """Pixels → how likely each belongs to an object.

    >>> Segmenter()(torch.rand(2, 16, 16, 3)).shape
    torch.Size([2, 16, 16])
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(3 if k == 0 else WIDTH, WIDTH, 3, padding=2**k, dilation=2**k)
            for k in range(4)
        )
        self.out = nn.Conv2d(WIDTH, 1, 1)

    def forward(self, images: Float[Tensor, "P H W 3"]) -> Float[Tensor, "P H W"]:
        """Logits."""
        state = images.permute(0, 3, 1, 2) - 0.5
        for layer in self.layers:
            state = F.gelu(layer(state))
        return self.out(state)[:, 0]  # type: ignore[no-any-return]


@dataclass
class _Track:
    """An object while it is being found: its colour, and the rays that saw it last from each camera."""

    colour: np.ndarray
    rays: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def miss(self, camera: int, origin: np.ndarray, ray: np.ndarray) -> float:
        """How far a ray passes from where the object is, metres."""
        others = [r for c, r in self.rays.items() if c != camera] or list(self.rays.values())
        point = _meet([*others, (origin, ray)])
        return max(_distance(point, o, d) for o, d in [*others, (origin, ray)])


@torch.no_grad()
def find_objects(frames: PosedFrames, segmenter: Segmenter, *, objects: int) -> PosedFrames:
    """The frames of one world with masks: objects numbered alike in all pictures, largest first.

    Raises:
        ValueError: more than one world, or nothing that looks like an object.
    """
    if len(frames) != 1:
        raise ValueError(f"frames got {len(frames)} worlds; expected one.")
    n, t, c, height, width, _ = frames.images.shape
    likely = segmenter(frames.images.flatten(0, 2)).unflatten(0, (t, c)) > 0
    centres = camera_centres(frames.viewmats)[0].double().numpy()
    masks = np.zeros((t, c, height, width), np.int64)
    tracks: list[_Track] = []
    for moment in range(t):
        for camera in range(c):
            if not bool(frames.given[0, moment, camera]):
                continue
            image = frames.images[0, moment, camera].double().numpy()
            found = regions(image, likely[moment, camera].numpy())
            middles = torch.tensor([_middle(r) for r in found], dtype=torch.float32).reshape(-1, 2)
            rays = pixel_rays(
                middles, frames.viewmats[0, moment, camera], frames.Ks[0, moment, camera]
            ).double().numpy()  # fmt: skip
            colours = [image[r].mean(0) for r in found]
            chosen = _assign(tracks, camera, centres[moment, camera], rays, colours)
            for region, k in zip(found, chosen):
                masks[moment, camera][region] = k + 1
    if not tracks:
        raise ValueError(
            "context got pictures in which no object was found; expected some. Give masks."
        )
    areas = np.bincount(masks.flatten(), minlength=len(tracks) + 1)[1:]
    number = np.zeros(len(tracks) + 1, np.uint8)
    for place, k in enumerate(np.argsort(-areas, kind="stable")[:objects]):
        number[k + 1] = place + 1
    told: UInt8[np.ndarray, "T C H W"] = number[masks]
    return replace(frames, masks=torch.from_numpy(told)[None])


def regions(
    image: Float[np.ndarray, "H W 3"], likely: Bool[np.ndarray, "H W"]
) -> list[Bool[np.ndarray, "H W"]]:
    """Connected stretches of likely pixels, cut where the colour changes."""
    chroma = image / (image.sum(-1, keepdims=True) + 0.15)
    left = likely.copy()
    found = []
    while left.any():
        # Start from the pixel in the middle of the most: edges have mixed colours.
        depth = sum(np.roll(left, s, a) for s in (-1, 1) for a in (0, 1))
        seed = np.unravel_index(int(np.argmax(np.where(left, 1 + depth, 0))), left.shape)
        alike = left & (np.abs(chroma - chroma[seed]).sum(-1) < 2 * CHROMA)
        parts, _ = label(alike, np.ones((3, 3)))
        region = parts == parts[seed]
        if region.sum() >= SMALLEST:
            found.append(region)
        left &= ~region
    return found


def _middle(region: Bool[np.ndarray, "H W"]) -> tuple[float, float]:
    y, x = np.nonzero(region)
    return float(x.mean() + 0.5), float(y.mean() + 0.5)


def _assign(
    tracks: list[_Track],
    camera: int,
    origin: np.ndarray,
    rays: np.ndarray,
    colours: list[np.ndarray],
) -> list[int]:
    """Which track each region belongs to; regions that fit none begin new ones."""
    cost = np.full((len(colours), len(tracks)), 2 * FAR)
    for i, colour in enumerate(colours):
        for k, track in enumerate(tracks):
            tint = float(np.linalg.norm(colour - track.colour)) / TINT
            cost[i, k] = min(tint + track.miss(camera, origin, rays[i]) / REACH, 2 * FAR)
    chosen = [-1] * len(colours)
    for i, k in zip(*linear_sum_assignment(cost)):
        if cost[i, k] < FAR:
            chosen[i] = int(k)
    for i, colour in enumerate(colours):
        if chosen[i] < 0 and len(cost[i]) and cost[i].min() < JOIN:
            # A second part of an object that another region already stands for.
            chosen[i] = int(cost[i].argmin())
            continue
        if chosen[i] < 0:
            tracks.append(_Track(colour))
            chosen[i] = len(tracks) - 1
        track = tracks[chosen[i]]
        track.colour = 0.7 * track.colour + 0.3 * colour
        track.rays[camera] = (origin, rays[i])
    return chosen


def _meet(rays: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    matrix, right = 1e-9 * np.eye(3), np.zeros(3)
    for origin, ray in rays:
        across = np.eye(3) - np.outer(ray, ray)
        matrix = matrix + across
        right = right + across @ origin
    return np.linalg.solve(matrix, right)


def _distance(point: np.ndarray, origin: np.ndarray, ray: np.ndarray) -> float:
    off = point - origin
    return float(np.linalg.norm(off - ray * (off @ ray)))
