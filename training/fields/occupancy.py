"""Where there is something to look at: a grid over space and time that follows the density.

After instant-ngp (Müller et al. 2022): each cell holds the largest optical depth of a step that was found
in it, which fades with the steps. What training looks at anyway tells of occupied cells; a slow sweep over
all cells tells where density has appeared in empty ones.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from clay4d.scenes import Dataset
from clay4d.scenes.fields import FieldScene
from clay4d.training.fields.kernels import fade, note_depths
from clay4d.training.frames import generator

EVERY = 16
"""Steps between updates."""
FADE = 0.9
"""What an update leaves of a cell that nothing was found in."""
LEAST = 0.01
"""Optical depth of a step from which a cell holds something."""
FIRST = 0.04
"""What cells hold at the start."""
SWEPT = 64
"""Updates in which the sweep comes to every cell once."""
SEEN_AT = 6
"""Moments at which masks are asked where the scene is."""
SEEN = 0.6
"""Share of a moment's pictures that must show something at a cell, where pictures have masks."""


class Occupancy:
    """The grid of a run; `scene.occupied` is kept up to date by it."""

    def __init__(self, scene: FieldScene, *, seed: int) -> None:
        self.scene, self.seed = scene, seed
        self.grid = FIRST * scene.occupied.astype(np.float32)

    def note(self, points: np.ndarray[Any, Any], depth: np.ndarray[Any, Any]) -> None:
        """Tell of optical depths of a step [M] at points [M, 4] from −1 to 1."""
        note_depths(points, depth, self.grid)

    def update(self, step: int) -> None:
        """Every `EVERY` steps: sweep, fade, and mark what is occupied."""
        if (step + 1) % EVERY:
            return
        self._sweep(step)
        flat = self.scene.occupied.reshape(-1)
        fade(self.grid.reshape(-1), np.float32(FADE), np.float32(LEAST), flat)

    @torch.no_grad()
    def _sweep(self, step: int) -> None:
        """Look at a random place of every `SWEPT`th cell, another set each time."""
        scene, shape = self.scene, self.grid.shape
        chosen = np.arange((step // EVERY * 37) % SWEPT, self.grid.size, SWEPT)
        places = np.stack(np.unravel_index(chosen, shape), 1)[:, (1, 2, 3, 0)]
        shift = torch.rand(len(chosen), 4, generator=generator(self.seed, 12, step)).numpy()
        sizes = np.array([shape[1], shape[2], shape[3], shape[0]], np.float32)
        points = ((places + shift) / sizes * 2 - 1).astype(np.float32)
        _, density = scene.field.find_density(points)
        # Faded once before anybody asks, so a depth of `LEAST` is enough.
        depth = density * np.float32(scene.step / scene.extent / FADE)
        note_depths(points, depth, self.grid)


def seen_by_masks(
    dataset: Dataset, bounds: torch.Tensor, moments: int, cells: int, *, unseen: bool = True
) -> Any:
    """Occupancy at the start [moments, cells, cells, cells]: where a moment's masks allow something.

    A cell is kept where at least `SEEN` of the pictures of its moment that it falls into show something
    there; `unseen` says whether one is that none of them sees. Everything is kept, where pictures have no
    masks.
    """
    full = np.ones((moments, cells, cells, cells), np.uint8)
    views = dataset.train
    if views.pixels(0).shape[2] != 4:
        return full
    low, high = bounds.double().numpy()
    size = (high - low) / cells
    axes = [low[a] + (np.arange(cells) + 0.5) * size[a] for a in range(3)]
    centres = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    shares = views.cameras.times.double().numpy() / max(dataset.duration, 1e-12)
    bins = np.clip((shares * moments).astype(int), 0, moments - 1)
    radius = float(np.linalg.norm(size)) / 2
    for moment in range(moments):
        sees, shows = np.zeros(len(centres), np.int32), np.zeros(len(centres), np.int32)
        for i in np.flatnonzero(bins == moment):
            inside, there = _project(views, int(i), centres, radius)
            sees += inside
            shows += there
        kept = (shows >= SEEN * sees) & (unseen | (sees > 0))
        full[moment] = kept.reshape(cells, cells, cells)
    return full


def box_of_masks(dataset: Dataset, *, cells: int = 48) -> torch.Tensor:
    """The part [2, 3] of the data's box in which masks allow something at any time, and a cell around it.

    The planes' cells are few and spread over the whole box, so it should not be larger than it must be.

    >>> from clay4d.training.warm import _dataset
    >>> box_of_masks(_dataset()).tolist()  # its pictures have no masks
    [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    bounds = dataset.bounds.float()
    moments = SEEN_AT if dataset.duration > 0 else 1
    ever = seen_by_masks(dataset, bounds, moments, cells, unseen=False).any(0)
    if not ever.any():
        return bounds.clone()
    low, high = bounds
    places = np.argwhere(ever)
    first, last = (torch.from_numpy(x).float() for x in (places.min(0) - 1, places.max(0) + 2))
    size = (high - low) / cells
    box = torch.stack([low + first.clamp(min=0) * size, low + last.clamp(max=cells) * size])
    return torch.minimum(box, high)


def _project(views: Any, index: int, centres: Any, radius: float) -> tuple[Any, Any]:
    """Which places fall into a picture, and which within a cell's radius of its mask."""
    empty = (views.pixels(index)[..., 3] == 0).astype(np.uint8)
    distance = cv2.distanceTransform(empty, cv2.DIST_L2, 5)
    V = views.cameras.viewmats[index].double().numpy()
    K = views.cameras.Ks[index].double().numpy()
    x, y, z = (centres @ V[:3, :3].T + V[:3, 3]).T
    front = z > 1e-3
    depth = np.where(front, z, 1.0)
    u = np.floor(K[0, 0] * x / depth + K[0, 2])
    v = np.floor(K[1, 1] * y / depth + K[1, 2])
    inside = front & (u >= 0) & (v >= 0) & (u < empty.shape[1]) & (v < empty.shape[0])
    u, v = np.where(inside, u, 0).astype(int), np.where(inside, v, 0).astype(int)
    return inside, inside & (distance[v, u] <= radius * K[0, 0] / depth + 1)
