"""Density control: where Gaussians are added and removed while training.

`capped_default` is gsplat's DefaultStrategy with a limit on the number of Gaussians. `Mcmc` follows
Kheradmand et al. 2024 ("3D Gaussian Splatting as Markov Chain Monte Carlo"); gsplat's own needs CUDA
for its relocation and its noise, so those are here. The number of Gaussians over the steps is known
beforehand, which is what lets a time budget be turned into steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from gsplat.strategy import DefaultStrategy
from gsplat.strategy.ops import _update_param_with_optimizer, remove
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.renderers.rasterization import rasterization
from clay4d.renderers.render import raster_options
from clay4d.scenes.dataset import Views
from clay4d.scenes.motion.control_nodes import rigid_transforms
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training.config import Density, McmcDensity

RATIO_MAX = 51
Params = dict[str, Tensor]
Optimizers = dict[str, torch.optim.Optimizer]


FIRST_SHARE, FULL_AT = 0.15, 0.9
"""Share of the cap that is free at the start, and share of the growing time at which all of it is."""


class CappedDefault(DefaultStrategy):  # type: ignore[misc]
    """gsplat's default strategy that never grows past `cap`: the largest gradients go first.

    The room grows evenly over the time of growth: if the first, coarse pictures could fill it, there
    would be none left for what only the full ones show.
    """

    cap: int = 1_000_000

    def room(self, step: int) -> int:
        """Gaussians that there may be after a step."""
        share = FIRST_SHARE + (1 - FIRST_SHARE) * step / max(FULL_AT * self.refine_stop_iter, 1)
        return int(self.cap * min(share, 1.0))

    @torch.no_grad()
    def _grow_gs(
        self, params: Params, optimizers: Optimizers, state: dict[str, Any], step: int
    ) -> tuple[int, int]:
        room = self.room(step) - len(params["means"])
        mean = state["grad2d"] / state["count"].clamp_min(1)
        if room <= 0:
            return 0, 0
        high = mean > self.grow_grad2d
        if int(high.sum()) > room:
            keep = torch.argsort(mean, descending=True, stable=True)[:room]
            kept = torch.zeros_like(mean)
            kept[keep] = state["grad2d"][keep]
            state["grad2d"] = kept
        grown: tuple[int, int] = super()._grow_gs(params, optimizers, state, step)
        return grown


def seen_by_all(meta: dict[str, Any], rows: Iterable[Float[Tensor, "1 N 4"]]) -> dict[str, Any]:
    """What `rasterization` said of one picture, with what several pictures tell density control.

    Args:
        rows: `seen_by_one` of each picture.
    """
    every = torch.cat(list(rows))
    means2d = torch.zeros_like(every[..., :2])
    means2d.grad = every[..., :2].contiguous()
    return meta | {"means2d": means2d, "radii": every[..., 2:]}


def seen_by_one(meta: dict[str, Any]) -> Float[Tensor, "1 N 4"]:
    """Each Gaussian's image gradient and radii in one picture, as one row for each."""
    return torch.cat([meta["means2d"].grad, meta["radii"].float()], -1)


def contributions(scene: SplatScene, views: Views) -> Float[Tensor, " N"]:
    """What each Gaussian adds to some pictures: its blending weights, summed over all their pixels.

    A picture's gradient by a colour is that Gaussian's weight, so one backward pass a picture says it.
    Source: the significance of LightGaussian (Fan et al. 2024), without its powers.
    """
    total = torch.zeros(len(scene))
    for i in range(len(views)):
        camera = views.cameras[i]
        with torch.no_grad():
            g = scene.at(float(camera.times[0]))
        with torch.enable_grad():
            colours = torch.zeros(len(g), 1, requires_grad=True)
            image, _, _ = rasterization(
                g.means, g.quats, g.scales, g.opacities, colours, camera.viewmats, camera.Ks,
                camera.width, camera.height, packed=False, **raster_options(scene),
            )  # fmt: skip
            (found,) = torch.autograd.grad(image.sum(), colours)
        total += found[:, 0]
    return total


def trim(params: Params, optimizers: Optimizers, worth: Float[Tensor, " N"], share: float) -> None:
    """Remove the share of the Gaussians that is worth least, the later ones first where they are equal."""
    order = torch.argsort(worth, descending=True, stable=True)
    away = torch.zeros(len(worth), dtype=torch.bool)
    away[order[len(worth) - int(share * len(worth)) :]] = True
    remove(params, optimizers, {}, away)


def expected_count(density: Density, first: int, progress: float) -> int:
    """About how many Gaussians there will be when `progress` (0 to 1) of the steps is done.

    >>> from clay4d.training.config import DefaultDensity
    >>> expected_count(DefaultDensity(cap=1000, stop=0.5), 100, 1.0)
    1000
    """
    if isinstance(density, McmcDensity):
        return density.cap  # reached after a few thousand steps, whatever their number
    grown = min(progress / max(FULL_AT * density.stop, 1e-9), 1.0)
    kept = 1 - density.trim if progress >= density.stop else 1
    return max(first, int(density.cap * kept * (FIRST_SHARE + (1 - FIRST_SHARE) * grown)))


def refinements(density: Density, steps: int) -> tuple[int, int]:
    """Step of the first refinement and steps between them, earlier and closer in short runs.

    >>> refinements(McmcDensity(begin=500, every=100), 600)
    (60, 20)
    """
    return min(density.begin, steps // 10), min(density.every, max(steps // 30, 1))


def relocated(
    opacities: Float[Tensor, " n"], scales: Float[Tensor, "n 3"], ratios: Int[Tensor, " n"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 3"]]:
    """Opacity and scale of each of `ratios` equal copies that together draw what one Gaussian drew.

    Source: Kheradmand et al. 2024, equation 9; computed in float64, since the sum alternates.

    >>> o, s = relocated(torch.tensor([0.75]), torch.ones(1, 3), torch.tensor([2]))
    >>> round(float(o), 4)
    0.5
    """
    o = opacities.double()
    n = ratios.clamp(1, RATIO_MAX)
    new = 1 - (1 - o) ** (1 / n)
    total = torch.zeros_like(o)
    for i in range(1, int(n.max()) + 1 if len(n) else 1):
        for k in range(i):
            term = math.comb(i - 1, k) * (-1) ** k / math.sqrt(k + 1) * new ** (k + 1)
            total += torch.where(n >= i, term, torch.zeros_like(term))
    return new.float(), scales * (o / total).float()[:, None]


class Mcmc:
    """Relocation of the dead, growth to a cap, and noise that shakes the faint.

    Args of `__init__`: `cap`, Gaussians at the most; `growth`, how much is added at a time;
    `min_opacity`, below which a Gaussian is dead; `noise`, gsplat's `noise_lr`.
    """

    def __init__(
        self, *, cap: int, growth: float = 0.05, min_opacity: float = 0.005, noise: float = 5e5
    ) -> None:
        self.cap, self.growth = cap, growth
        self.min_opacity, self.noise = min_opacity, noise

    @torch.no_grad()
    def refine(
        self, params: Params, optimizers: Optimizers, weights: Float[Tensor, " N"],
        *, generator: torch.Generator,
    ) -> None:  # fmt: skip
        """Move the dead onto live ones and add new ones, drawn in proportion to `weights`."""
        alive = torch.sigmoid(params["opacities"]) > self.min_opacity
        if not bool(alive.any()):
            return
        dead = (~alive).nonzero()[:, 0]
        weights = torch.where(alive, weights.clamp(min=1e-12), 0)
        if len(dead):
            chosen = torch.multinomial(weights, len(dead), True, generator=generator)
            self._shrink(params, chosen)
            self._write(params, optimizers, chosen, dead)
        count = len(params["means"])
        more = min(self.cap, int((1 + self.growth) * count)) - count
        if more > 0:
            chosen = torch.multinomial(weights, more, True, generator=generator)
            self._shrink(params, chosen)
            self._append(params, optimizers, chosen)

    def _shrink(self, params: Params, chosen: Int[Tensor, " n"]) -> None:
        ratios = torch.bincount(chosen, minlength=len(params["means"]))[chosen] + 1
        opacities, scales = relocated(
            torch.sigmoid(params["opacities"][chosen]), params["scales"][chosen].exp(), ratios
        )
        opacities = opacities.clamp(self.min_opacity, 1 - torch.finfo(torch.float32).eps)
        params["opacities"][chosen] = torch.logit(opacities)
        params["scales"][chosen] = scales.log()

    @staticmethod
    def _write(
        params: Params, optimizers: Optimizers, chosen: Int[Tensor, " n"], dead: Int[Tensor, " n"]
    ) -> None:
        def copy(name: str, value: Tensor) -> Tensor:
            value[dead] = value[chosen]
            return torch.nn.Parameter(value.detach(), requires_grad=value.requires_grad)

        def forget(key: str, value: Tensor) -> Tensor:
            value[chosen] = 0
            value[dead] = 0
            return value

        _update_param_with_optimizer(copy, forget, params, optimizers)

    @staticmethod
    def _append(params: Params, optimizers: Optimizers, chosen: Int[Tensor, " n"]) -> None:
        def grow(name: str, value: Tensor) -> Tensor:
            grown = torch.cat([value, value[chosen]]).detach()
            return torch.nn.Parameter(grown, requires_grad=value.requires_grad)

        def forget(key: str, value: Tensor) -> Tensor:
            value[chosen] = 0
            return torch.cat([value, value.new_zeros(len(chosen), *value.shape[1:])])

        _update_param_with_optimizer(grow, forget, params, optimizers)

    @torch.no_grad()
    def shake(self, params: Params, *, lr: float, generator: torch.Generator) -> None:
        """Move faint Gaussians by noise of their own shape, scaled by the learning rate of means."""
        scale = lr * self.noise * torch.sigmoid(-100 * (torch.sigmoid(params["opacities"]) - 0.005))
        moving = (scale > lr * self.noise * 1e-3).nonzero()[:, 0]
        if not len(moving):
            return
        zeros = torch.zeros(len(moving), 3)
        R = rigid_transforms(params["quats"][moving], zeros, zeros)[:, :9].reshape(-1, 3, 3)
        draw = torch.randn(len(moving), 3, generator=generator) * scale[moving, None]
        along = (R.transpose(1, 2) @ draw[..., None])[..., 0]
        along = along * (2 * params["scales"][moving]).exp()
        params["means"].data.index_add_(0, moving, (R @ along[..., None])[..., 0])
