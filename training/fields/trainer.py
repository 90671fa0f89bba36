"""The training loop of radiance fields: rays through random pixels, as many as the step's places allow.

As `Trainer`, whose place it takes in a run: every draw is a function of the seed and the step, sums have a
fixed order, and a run resumes to the bits of one that did not stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clay4d.renderers.volume import Blend, Places, find_places, rays_through, shade_places
from clay4d.scenes import Dataset
from clay4d.scenes.fields import FieldScene, KPlanes
from clay4d.scenes.fields.kplanes import add_plane_gradient
from clay4d.training.adam import FusedAdam, any_nonfinite
from clay4d.training.config import KPlanes as Options
from clay4d.training.config import TrainConfig
from clay4d.training.fields.occupancy import Occupancy, box_of_masks, seen_by_masks
from clay4d.training.fields.pool import Draw, PixelPool
from clay4d.training.fields.regularise import add_regularisers
from clay4d.training.frames import generator

REGULARISED_EVERY = 4
"""Steps between those that regularise the planes, which then count as many times."""
FEWEST, MOST = 64, 1 << 18
"""Rays of a step."""


@dataclass
class FieldReport:
    """What a step says of itself."""

    step: int
    loss: float
    mse: float
    rays: int

    @property
    def psnr(self) -> float:
        """Of the pixels just trained on, dB."""
        return -10 * math.log10(max(self.mse, 1e-12))

    @property
    def state(self) -> str:
        """In words, for the progress bar."""
        return f"{self.rays} rays"

    @property
    def counted(self) -> dict[str, float]:
        """For the curves."""
        return {"rays": self.rays}


class FieldTrainer:
    """A run's state and its step."""

    def __init__(self, config: TrainConfig, dataset: Dataset, *, resuming: bool = False) -> None:
        """A run at its first step; `resuming` says that a checkpoint brings box and occupancy."""
        assert config.field is not None
        self.config, self.dataset, self.options = config, dataset, config.field
        self.poses = None
        torch.manual_seed(config.seed)
        self.scene = self._first_scene(resuming)
        self.occupancy = Occupancy(self.scene, seed=config.seed)
        self.pool = PixelPool(dataset.train, seed=config.seed)
        field = self.scene.field
        self.optimisers = {
            name: FusedAdam([value], lr=1.0, eps=1e-15) for name, value in field.tensors().items()
        }
        self.rays = max(FEWEST, self.options.places // self.options.along)
        self.step_done = 0
        self._grad = np.zeros(field.levels.size, np.float32)

    def _first_scene(self, resuming: bool) -> FieldScene:
        options, dataset = self.options, self.dataset
        field = KPlanes(
            resolution=options.resolution, time_resolution=options.time_resolution,
            features=options.features, levels=options.levels, width=options.width,
            geometry=options.geometry,
        )  # fmt: skip
        moments = options.moments if dataset.duration > 0 else 1
        bounds = dataset.bounds.float().clone()
        occupied = np.ones((moments, *(options.cells,) * 3), np.uint8)
        if not resuming:
            bounds = box_of_masks(dataset) if options.tight else bounds
            occupied = seen_by_masks(dataset, bounds, moments, options.cells)
        background = dataset.background or (0.0, 0.0, 0.0)
        return FieldScene(field, bounds, occupied, dataset.duration, background, options.along)

    def step(self) -> FieldReport:
        """Some rays, one move of everything."""
        draw = self.pool.draw(self.step_done, self.rays)
        rays = rays_through(self.scene, self.dataset.train.cameras, draw.which, draw.xy)
        places = find_places(self.scene, rays, jitter=draw.jitter)
        features = torch.from_numpy(places.features).requires_grad_()
        depth, colours = shade_places(self.scene, rays, places, features)
        summed, left = Blend.apply(depth, colours, places.rays, len(draw.which))
        behind, target = self._target(draw)
        off = summed + left[:, None] * behind - target
        # Rays that meet nothing cannot be moved; their number must not scale the gradient.
        hit = np.unique(places.rays).size
        loss = off.square().sum() / (3 * max(hit, 1))
        loss.backward()
        value = float(loss.detach())
        if not math.isfinite(value):
            self._name_nonfinite()
        assert features.grad is not None
        self._gather(places, features.grad)
        self._move()
        self.occupancy.note(places.points, depth.detach().numpy())
        self.occupancy.update(self.step_done)
        self._set_rays(len(places.points))
        self.step_done += 1
        mse = float(off.detach().square().mean())
        return FieldReport(self.step_done, value, mse, len(draw.which))

    def _gather(self, places: Places, above: Tensor) -> None:
        """The planes' gradient: of the features and, every few steps, of the regularisers."""
        planes, levels = self.scene.field.planes, self.scene.field.levels
        self._grad[:] = 0
        add_plane_gradient(places.points, planes, levels, above.contiguous().numpy(), self._grad)
        if self.step_done % REGULARISED_EVERY == 0:
            add_regularisers(planes, levels, self.options, self._grad, times=REGULARISED_EVERY)
        planes.grad = torch.from_numpy(self._grad)

    def _target(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """What is behind each ray and what its pixel shows."""
        behind = torch.tensor(self.scene.background).expand(len(draw.which), 3)
        if draw.alphas is None or self.dataset.background is None:
            return behind, draw.colours
        if self.options.random_background:
            draws = generator(self.config.seed, 14, self.step_done)
            behind = torch.rand(len(draw.which), 3, generator=draws)
        alphas = draw.alphas[:, None]
        return behind, draw.colours * alphas + behind * (1 - alphas)

    def _move(self) -> None:
        """Adam, its rates rising at first and then falling as a cosine."""
        share = rate_share(self.step_done, self.config.steps, self.options)
        for name, optimiser in self.optimisers.items():
            rate = self.options.lr if name == "planes" else self.options.network_lr
            optimiser.param_groups[0]["lr"] = rate * share
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def _set_rays(self, places: int) -> None:
        """As many rays for the next step as would have had the places that a step may have."""
        wanted = self.rays * self.options.places / max(places, 1)
        wanted = min(max(wanted, self.rays / 2), self.rays * 1.25)
        self.rays = int(min(max(wanted, FEWEST), MOST))

    def _name_nonfinite(self) -> None:
        tensors = self.scene.field.tensors()
        bad = next((k for k, v in tensors.items() if any_nonfinite(v)), "the loss itself")
        raise FloatingPointError(
            f"loss got NaN at step {self.step_done}, first in {bad}; expected a number. "
            "Resume from the last checkpoint with lower rates."
        )


def rate_share(step: int, steps: int, options: Options) -> float:
    """Share of the learning rates at a step.

    >>> options = Options(warm=10, final=0.1)
    >>> [round(rate_share(s, 1000, options), 3) for s in (0, 9, 505, 999)]
    [0.1, 1.0, 0.55, 0.1]
    """
    warm = max(1, min(options.warm, steps // 10))
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(steps - warm, 1)
    return options.final + (1 - options.final) * (1 + math.cos(math.pi * progress)) / 2
