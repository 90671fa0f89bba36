"""The training loop: one picture a step, or one for each shard, coarse to fine, with density control.

Every draw is a function of the seed and the step, torch runs on one thread and the Numba kernels give
the same bits on any number, so a run repeats bit for bit and resumes as if it had not stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clay4d import processes
from clay4d.renderers import rasterization
from clay4d.renderers.render import raster_options
from clay4d.scenes import Cameras, Dataset
from clay4d.scenes.motion import Static
from clay4d.scenes.splat_scene import SplatScene
from clay4d.training import config as options
from clay4d.training.adam import any_nonfinite
from clay4d.training.config import DefaultDensity, McmcDensity, TrainConfig
from clay4d.training.density import (
    CappedDefault,
    Mcmc,
    contributions,
    refinements,
    seen_by_all,
    seen_by_one,
    trim,
)
from clay4d.training.exposure import Exposure
from clay4d.training.frames import Frames, generator
from clay4d.training.losses import photometric_loss
from clay4d.training.masks import check_masks, colours_and_moves, mask_loss
from clay4d.training.motions import build_motion, place_motion
from clay4d.training.poses import PoseRefinement
from clay4d.training.priors import check_priors, cover_loss, cover_weight, depth_loss
from clay4d.training.rates import Optimisers
from clay4d.training.regularisers import motion_loss
from clay4d.training.start import first_rows, with_points
from clay4d.training.tracks import check_tracks, track_term

REFRESH_EVERY = 100
"""Steps between searches for the nodes that carry each Gaussian; new ones have their parent's."""


@dataclass
class Report:
    """What a step says of itself."""

    step: int
    loss: float
    mse: float
    gaussians: int

    @property
    def psnr(self) -> float:
        """Of the picture just trained on, dB."""
        return -10 * math.log10(max(self.mse, 1e-12))

    @property
    def state(self) -> str:
        """In words, for the progress bar."""
        return f"{self.gaussians} Gaussians"

    @property
    def counted(self) -> dict[str, float]:
        """For the curves."""
        return {"gaussians": self.gaussians}


@dataclass(frozen=True)
class Drawn:
    """A training picture as a step draws it, before its gradients."""

    image: Tensor
    target: Tensor
    total: Tensor
    """The loss with all its regularisers."""
    meta: dict[str, Any]
    """What `rasterization` says of the Gaussians."""

    @property
    def mse(self) -> Tensor:
        """Mean squared difference of the colours."""
        return (self.image.detach() - self.target).square().mean()


class Trainer:
    """A run's state and its step; the loop, files and clock are around it."""

    def __init__(
        self, config: TrainConfig, dataset: Dataset, *, resuming: bool = False, shards: int = 1
    ) -> None:
        """A run at its first step.

        Args:
            resuming: a checkpoint brings the Gaussians.
            shards: pictures of a step, whose mean gradient is followed; dealt out among the processes
                under torchrun. Step k has the pictures of steps k·shards and following of a run with one.
        """
        if not resuming:
            dataset = with_points(dataset, config.start)
        self.config, self.dataset, self.shards = config, dataset, shards
        self.frames = Frames(dataset.train, seed=config.seed)
        self.size = float((dataset.bounds[1] - dataset.bounds[0]).max() / 2)
        self.extent = dataset.extent
        torch.manual_seed(config.seed)
        self.scene = self._first_scene()
        if not resuming:
            check_masks(config, self.scene.raw)
        check_priors(config.losses, dataset)
        self.cover = cover_weight(config.losses, dataset)
        check_tracks(config, dataset)
        exposed = config.losses.exposure
        self.camera_rows = {c: i for i, c in enumerate(sorted(set(dataset.train.camera_ids)))}
        self.exposure = Exposure(len(self.camera_rows)) if exposed else None
        views = dataset.train.cameras.viewmats
        self.poses = PoseRefinement(views, extent=self.extent) if config.losses.poses else None
        self.optimisers = Optimisers(
            self.scene, config.rates, config.motion, self.extent, self.exposure, self.poses
        )
        self.step_done = 0
        self.moving = False
        self.strategy = self._strategy()
        self.reset_density_state()

    def _first_scene(self) -> SplatScene:
        config, dataset = self.config, self.dataset
        motion = build_motion(config.motion, self.size)
        raw = first_rows(dataset, config, motion)
        raw = {k: torch.nn.Parameter(v, v.is_floating_point()) for k, v in raw.items()}
        return SplatScene(
            raw,
            motion,
            dataset.duration,
            dataset.background or (0.0, 0.0, 0.0),
            sh_degree=0,
            near=config.near,
            antialiased=config.antialiased,
            eps2d=config.eps2d,
        )

    def _strategy(self) -> CappedDefault | Mcmc:
        density = self.config.density
        if isinstance(density, McmcDensity):
            return Mcmc(cap=density.cap, growth=density.growth, noise=density.noise)
        begin, every = refinements(density, self.config.steps)
        strategy = CappedDefault(
            grow_grad2d=density.grow_grad2d, refine_start_iter=begin,
            refine_stop_iter=int(density.stop * self.config.steps), refine_every=every,
            reset_every=density.reset_every,
        )  # fmt: skip
        strategy.cap = density.cap
        return strategy

    @property
    def progress(self) -> float:
        """Share of the steps that is done."""
        return self.step_done / self.config.steps

    def picture_size(self) -> float:
        """Size of the pictures at this moment, as a share of the full one."""
        return [size for start, size in self.config.schedule.coarse if self.progress >= start][-1]

    def step(self) -> Report:
        """One picture for each shard, one move of everything."""
        if self.shards > 1:
            return self._sharded_step()
        drawn = self.forward(self.frames.index(self.step_done))
        drawn.total.backward()
        return self.finish(drawn)

    def _sharded_step(self) -> Report:
        """Follow the mean gradient of all shards; density control sees the pictures of them all."""
        parameters = self.optimisers.parameters()
        rows, seen, meta = [], [], dict[str, Any]()
        for shard in processes.own_shards(self.shards):
            self.optimisers.zero_grad()
            index = self.frames.index(self.step_done * self.shards + shard)
            drawn = self.forward(index, shard=shard)
            drawn.total.backward()
            said = torch.stack([drawn.total.detach(), drawn.mse])
            rows.append(processes.packed(parameters, said))
            seen.append(seen_by_one(drawn.meta))
            meta = drawn.meta
        mean = processes.summed(rows) / self.shards
        value, mse = processes.unpack(mean, parameters).tolist()
        return self._move(value, mse, seen_by_all(meta, processes.gathered(seen)))

    def forward(self, index: int, *, shard: int = 0) -> Drawn:
        """Draw training picture `index` as this step does, with its loss; gradients are yet to come."""
        self._begin_moving()
        draw = self.step_done * self.shards + shard
        size = self.picture_size()
        background, target = self._background(draw), self.frames.image(index, size)
        if self.config.losses.random_background:
            change = background - torch.tensor(self.scene.background)
            target = target + (1 - self.frames.mask(index, size))[..., None] * change
        cameras = self.dataset.train.cameras[index].resized(size)
        degree = int(self.progress / self.config.schedule.sh_every)
        self.scene.sh_degree = min(degree, self.config.schedule.sh_degree)
        views = cameras.viewmats if self.poses is None else self.poses(index)
        image, meta = self._draw(cameras, views, background)
        image, drawn_mask = image[..., :3], image[..., 3:]
        known = self._known(index, size, meta) + self._tracked(draw, index, views, meta)
        if self.exposure is not None:
            row = self.camera_rows[self.dataset.train.camera_ids[index]]
            image = self.exposure(image, row)
        loss = photometric_loss(image, target, ssim_weight=self.config.losses.ssim)
        if self.config.losses.squared > 0:
            loss = loss + self.config.losses.squared * (image - target).square().mean()
        total = self._regularised(loss, float(cameras.times[0]), draw) + known
        if drawn_mask.shape[-1]:
            mask = self.frames.mask(index, size)
            total = total + self.config.losses.mask * mask_loss(drawn_mask[..., 0], mask)
        meta["means2d"].retain_grad()
        return Drawn(image, target, total, meta)

    def finish(self, drawn: Drawn) -> Report:
        """Move everything by the gradients that `drawn.total.backward()` has left, and count the step."""
        return self._move(float(drawn.total.detach()), float(drawn.mse), drawn.meta)

    @torch.no_grad()
    def _move(self, value: float, mse: float, meta: dict[str, Any]) -> Report:
        if not math.isfinite(value):
            self._name_nonfinite()
        self._control(meta)
        self.optimisers.step(self.progress)
        self.scene.raw["scales"].clamp_(max=math.log(self.config.largest))
        self.step_done += 1
        return Report(self.step_done, value, mse, len(self.scene))

    def _background(self, draw: int) -> Tensor:
        """The data's background, or a new one for this picture."""
        if not self.config.losses.random_background:
            return torch.tensor(self.scene.background)
        return torch.rand(3, generator=generator(self.config.seed, 4, draw))

    def _draw(
        self, cameras: Cameras, viewmats: Tensor, background: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        if self.moving:
            g = self.scene.at(float(cameras.times[0]))
        else:
            still = SplatScene(self.scene.raw, Static(), sh_degree=self.scene.sh_degree)
            g = still.at(0.0)
        background = background[None]
        colors, degree = self.scene.raw["sh"], self.scene.sh_degree
        if self.config.losses.mask > 0 and self.moving:
            colors, degree = colours_and_moves(colors, self.scene.raw["moves"]), None
            background = torch.cat([background, torch.zeros(1, 1)], 1)
        losses = self.config.losses
        image, alphas, meta = rasterization(
            g.means, g.quats, g.scales, g.opacities, colors, viewmats,
            cameras.Ks, cameras.width, cameras.height, sh_degree=degree,
            packed=False, backgrounds=background, **raster_options(self.scene),
            render_mode="RGB+ED" if losses.depth > 0 else "RGB",
        )  # fmt: skip
        image, meta["alpha"], meta["drawn"] = image[0], alphas[0, ..., 0], g
        if losses.depth > 0:
            image, meta["depth"] = image[..., :-1], image[..., -1]
        return image, meta

    def _known(self, index: int, size: float, meta: dict[str, Any]) -> Tensor:
        """The terms of what is known beside the colours: depth and cover."""
        losses, total = self.config.losses, torch.zeros(())
        if losses.depth > 0:
            prior, drawn = self.frames.depth(index, size), (meta["depth"], meta["alpha"])
            inverse = losses.inverse_depth
            total = total + losses.depth * depth_loss(*drawn, prior, inverse=inverse)
        if self.cover > 0:
            mask, squared = self.frames.mask(index, size), losses.squared
            total = total + self.cover * cover_loss(meta["alpha"], mask, squared=squared)
        return total

    def _tracked(self, draw: int, index: int, view: Tensor, meta: dict[str, Any]) -> Tensor:
        """The term of points that another tool has followed."""
        weight, tracks = self.config.losses.tracks, self.dataset.train.tracks
        if weight <= 0 or tracks is None or not self.moving:
            return torch.zeros(())
        draws = generator(self.config.seed, 15, draw)
        return weight * track_term(
            self.scene, meta["drawn"], self.dataset.train.cameras, tracks,
            index=index, view=view, size=self.picture_size(), draws=draws,
        )  # fmt: skip

    def _regularised(self, loss: Tensor, time: float, draw: int) -> Tensor:
        losses = self.config.losses
        wanted = max(losses.rigidity, losses.isometry, losses.smoothness) > 0
        if self.moving and wanted and draw % losses.motion_every == 0:
            draws = generator(self.config.seed, 5, draw)
            term = motion_loss(self.scene, time, losses, extent=self.size, draws=draws)
            loss = loss + losses.motion_every * term
        density = self.config.density
        if isinstance(density, McmcDensity) and self.progress < density.stop:
            raw = self.scene.raw
            loss = loss + density.opacity_weight * torch.sigmoid(raw["opacities"]).mean()
            loss = loss + density.scale_weight * raw["scales"].exp().mean()
        return loss

    def _begin_moving(self) -> None:
        motion = self.config.motion
        if self.moving or isinstance(motion, options.Static) or self.progress < motion.start:
            return
        if isinstance(motion, options.ControlNodes):
            if self.step_done < min(motion.settle, self.config.steps // 10):
                return
        place_motion(self.scene)
        self.moving = True

    def _control(self, meta: dict[str, Any]) -> None:
        """Add, remove and shake Gaussians; runs between the backward pass and the optimisers."""
        density, step = self.config.density, self.step_done
        last = int(density.stop * self.config.steps)
        if isinstance(density, DefaultDensity):
            assert isinstance(self.strategy, CappedDefault)
            torch.manual_seed(generator(self.config.seed, 2, step).initial_seed())
            self.strategy.step_post_backward(
                self.scene.raw, self.optimisers.rows, self.strategy_state, step, meta
            )
            if step == last and density.trim > 0:
                worth = contributions(self.scene, self.dataset.train)
                trim(self.scene.raw, self.optimisers.rows, worth, density.trim)
                self.reset_density_state()
        elif step < last:
            assert isinstance(self.strategy, Mcmc)
            draws = generator(self.config.seed, 2, step)
            self._gather(meta)
            begin, every = refinements(density, self.config.steps)
            if step >= begin and step % every == 0:
                weights = torch.sigmoid(self.scene.raw["opacities"].detach())
                mean = self.gradients / self.seen.clamp_min(1)
                weights = weights * (mean / mean.mean().clamp_min(1e-12)) ** density.by_error
                self.strategy.refine(self.scene.raw, self.optimisers.rows, weights, generator=draws)
                self.reset_density_state()
            if density.noise > 0:
                lr = self.optimisers.lr("raw.means", self.progress)
                self.strategy.shake(self.scene.raw, lr=lr, generator=draws)
        if self.moving and step % REFRESH_EVERY == 0:
            self.scene.motion.refresh(self.scene.raw)

    def replace_rows(self, raw: dict[str, Tensor]) -> None:
        """Put other Gaussians in the place of those there are, with no memory of how they moved."""
        for name, value in raw.items():
            parameter = torch.nn.Parameter(value.clone(), value.is_floating_point())
            self.scene.raw[name] = parameter
            if name in self.optimisers.rows:
                optimiser = self.optimisers.rows[name]
                optimiser.state.clear()
                optimiser.param_groups[0]["params"] = [parameter]

    def reset_density_state(self) -> None:
        """Forget what density control has gathered; its counters fit the Gaussians there are."""
        if isinstance(self.strategy, Mcmc):
            self.gradients = torch.zeros(len(self.scene))
            self.seen = torch.zeros(len(self.scene))
        else:
            self.strategy_state: dict[str, Any] = self.strategy.initialize_state(
                scene_scale=self.size
            )

    def density_state(self) -> dict[str, Tensor]:
        """What density control has gathered since its last refinement."""
        if isinstance(self.strategy, Mcmc):
            return {"gradients": self.gradients, "seen": self.seen}
        return {k: v for k, v in self.strategy_state.items() if isinstance(v, Tensor)}

    def set_density_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `density_state` gave."""
        if isinstance(self.strategy, Mcmc):
            self.gradients, self.seen = state["gradients"], state["seen"]
        else:
            self.strategy_state |= state

    def _gather(self, meta: dict[str, Any]) -> None:
        scale = torch.tensor([meta["width"] / 2, meta["height"] / 2])
        for grad, radii in zip(meta["means2d"].grad, meta["radii"], strict=True):
            self.gradients += (grad * scale).norm(dim=1)
            self.seen += (radii[:, 0] > 0).float()

    def _name_nonfinite(self) -> None:
        everything = {f"raw.{k}": v for k, v in self.scene.raw.items()}
        everything |= self.scene.motion.tensors()
        bad = next((k for k, v in everything.items() if any_nonfinite(v)), "the loss itself")
        raise FloatingPointError(
            f"loss got NaN at step {self.step_done}, first in {bad}; expected a number. "
            "Resume from the last checkpoint with lower rates."
        )


Callback = Callable[[Report], None]
