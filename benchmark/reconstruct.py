"""The suite `reconstruct`: motion models learn the same pictures in the same number of steps, and draw others.

The pictures are of worlds, drawn anew from a ring of cameras, or those of a data set that is given. A system is
handed the training pictures with their cameras, and the held-out cameras without their pictures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from clay4d.benchmark.cases import Case, Measured, Place
from clay4d.benchmark.metrics import psnr, ssim
from clay4d.benchmark.suites import SuiteConfig
from clay4d.config import from_dict
from clay4d.physics_baseline.engines.bullet_engine import BulletEngine
from clay4d.physics_baseline.spec import FixedCamera, SceneSpec
from clay4d.renderers.render import render
from clay4d.scenes import Cameras, Dataset, Views
from clay4d.scenes.loaders import load_dataset
from clay4d.training.config import TrainConfig
from clay4d.training.trainer import Trainer
from clay4d.world_model.worlds import open_worlds
from clay4d.world_model.worlds.pictures import camera_matrices, draw_scene

SIDE, RING, HELD = 96, 10, 3
"""Pictures' side in pixels, cameras around, and which of them are held out: every third, from the second on."""
AWAY, HEIGHTS, FOV = 2.8, (0.8, 1.5, 2.2), 40.0
"""Metres from the middle and above the floor; degrees."""
STEP = 1 / 480
BOX = ((-1.6, -1.6, -0.1), (1.6, 1.6, 1.6))
"""Where Gaussians start in worlds, metres."""
ASKED = 24
"""Held-out pictures of a data set that are asked for, at most, evenly spread."""
EQUAL = 100.0


@dataclass(frozen=True)
class Pose:
    """Cameras: where pictures were taken, or are asked for."""

    viewmats: Float[np.ndarray, "N 4 4"]
    Ks: Float[np.ndarray, "N 3 3"]
    times: Float[np.ndarray, " N"]
    """Seconds."""

    def cameras(self, width: int, height: int) -> Cameras:
        """The same as the renderer takes them."""
        views, Ks, times = (
            torch.from_numpy(np.array(x, np.float32)) for x in (self.viewmats, self.Ks, self.times)
        )
        return Cameras(views, Ks, width, height, times)


@dataclass(frozen=True)
class Captured:
    """The question: pictures with cameras, and the cameras whose pictures are asked for."""

    images: UInt8[np.ndarray, "N H W 3"]
    taken: Pose
    asked: Pose
    bounds: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Where the scene is, metres."""
    background: tuple[float, float, float] | None
    steps: int
    """Optimiser steps that everybody has."""

    @property
    def key(self) -> str:
        """SHA-256 of all of it."""
        digest = hashlib.sha256(repr((self.bounds, self.background, self.steps)).encode())
        digest.update(self.images.tobytes())
        for pose in (self.taken, self.asked):
            for value in (pose.viewmats, pose.Ks, pose.times):
                digest.update(np.ascontiguousarray(value, np.float32).tobytes())
        return digest.hexdigest()


class Reconstruction:
    """A motion model of Gaussians, trained with settings that all kinds share."""

    def __init__(self, kind: str, *, seed: int = 0) -> None:
        self.name = f"gaussians-{kind}"
        self._kind, self._seed = kind, seed

    def predict(self, question: Captured, _times: Any) -> UInt8[np.ndarray, "M H W 3"]:
        """The pictures that were asked for."""
        dataset = dataset_of(question)
        trainer = Trainer(config_of(self._kind, question.steps, seed=self._seed), dataset)
        while trainer.step_done < question.steps:
            trainer.step()
        height, width = question.images.shape[1:3]
        asked = question.asked.cameras(width, height)
        drawn = [
            render(trainer.scene, asked[i], depth=False, background=question.background).images[0]
            for i in range(len(asked))
        ]
        pictures: np.ndarray = (
            (torch.stack(drawn).detach().clamp(0, 1) * 255).round().byte().numpy()
        )
        return pictures


class NearestPicture:
    """The training picture that was taken nearest: the same moment first, then the place."""

    name = "nearest-picture"

    def predict(self, question: Captured, _times: Any) -> UInt8[np.ndarray, "M H W 3"]:
        """One picture for each that was asked for."""
        taken, asked = question.taken, question.asked
        own, other = (-np.einsum("nji,nj->ni", p.viewmats[:, :3, :3], p.viewmats[:, :3, 3]) for p in (taken, asked))  # fmt: skip
        late = np.abs(asked.times[:, None] - taken.times)
        late = np.round(late / max(float(np.ptp(taken.times)), 1e-9), 3)
        off = np.linalg.norm(other[:, None] - own, axis=-1)
        chosen: UInt8[np.ndarray, "M H W 3"] = question.images[(1e6 * late + off).argmin(1)]
        return chosen


def config_of(kind: str, steps: int, *, seed: int = 0) -> TrainConfig:
    """The settings that all kinds share: start, density control, rates, coarse to fine."""
    return from_dict(
        TrainConfig,
        {
            "motion": {"kind": kind}, "start": {"count": 8000}, "steps": steps, "seed": seed,
            "density": {"kind": "default-density", "cap": 20_000},
            "schedule": {"coarse": [[0.0, 0.5], [0.3, 1.0]], "sh_degree": 1},
        },
        where="reconstruct",
    )  # fmt: skip


def dataset_of(question: Captured) -> Dataset:
    """A question's training pictures as a data set."""
    height, width = question.images.shape[1:3]
    cameras = question.taken.cameras(width, height)
    names = [f"{i:05d}" for i in range(len(question.images))]
    views = Views(cameras, names, lambda i: question.images[i], background=question.background)
    duration = float(np.ptp(question.taken.times))
    bounds = torch.tensor(question.bounds)
    return Dataset("pictures", {"train": views}, duration, bounds, question.background)


class CapturedCases:
    """Worlds drawn from a ring of cameras, or the one data set that the folder holds.

    Raises:
        FileNotFoundError, ValueError: neither of them.
    """

    protocols: tuple[tuple[str, str], ...] = (
        (
            "*",
            "posed training pictures in; pictures of held-out cameras out, after the same number of steps with the "
            "same settings of all that is not motion; PSNR and SSIM by picture, their mean by scene",
        ),
    )

    def __init__(self, config: SuiteConfig, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._worlds = None
        if (folder / "worlds.json").is_file():
            self._worlds = open_worlds(folder, split=config.splits[0])

    def places(self) -> list[Place]:
        """The first `limit` worlds, or the data set."""
        if self._worlds is None:
            return [Place(f"data/{self._folder.name}", "data", "data", 0)]
        count = min(len(self._worlds), self._config.limit or len(self._worlds))
        split = self._config.splits[0]
        return [Place(f"{split}/{self._worlds.words(k)['name']}", "worlds", split, k) for k in range(count)]  # fmt: skip

    def read(self, place: Place) -> Case:
        """One scene; held-out pictures stay with the judge."""
        steps = self._config.steps
        if self._worlds is None:
            question, truth = given_pictures(self._folder, steps)
            cameras = 1
        else:
            scene = self._worlds.read(place.index, cameras=[0]).scene
            question, truth = ring_pictures(SceneSpec.from_json(scene), steps)
            cameras = len(range(1, RING, HELD))

        def film(found: UInt8[np.ndarray, "M H W 3"]) -> UInt8[np.ndarray, "T H W 3"]:
            return found[::cameras]  # all moments of one held-out camera

        return Case(question, np.zeros(0), _Judge(truth), film=film, truth=film(truth))


def ring_pictures(scene: SceneSpec, steps: int) -> tuple[Captured, UInt8[np.ndarray, "M H W 3"]]:
    """A world drawn from a ring of cameras, of which every third is held out."""
    cameras = tuple(
        FixedCamera(
            name=f"c{k}", width=SIDE, height=SIDE, fov=FOV, look_at=(0.0, 0.0, 0.3),
            position=(
                AWAY * math.cos(2 * math.pi * k / RING), AWAY * math.sin(2 * math.pi * k / RING),
                HEIGHTS[k % len(HEIGHTS)],
            ),
        )
        for k in range(RING)
    )  # fmt: skip
    scene = dataclasses.replace(scene, cameras=cameras)
    path = BulletEngine(step=STEP).run(scene)
    images, _ = draw_scene(scene, path, supersample=2)
    matrices = [camera_matrices(c) for c in cameras]
    held = [k for k in range(RING) if k % HELD == 1]
    kept = [k for k in range(RING) if k % HELD != 1]

    def part(chosen: list[int]) -> tuple[UInt8[np.ndarray, "N H W 3"], Pose]:
        count = len(images)
        pose = Pose(
            np.stack([matrices[k][0] for _ in range(count) for k in chosen]),
            np.stack([matrices[k][1] for _ in range(count) for k in chosen]),
            np.repeat(path.times[:count], len(chosen)),
        )
        return images[:, chosen].reshape(-1, SIDE, SIDE, 3), pose

    (seen, taken), (truth, asked) = part(kept), part(held)
    # The sky is given: no Gaussian stands for it.
    return Captured(seen, taken, asked, BOX, scene.background, steps), truth


def given_pictures(folder: Path, steps: int) -> tuple[Captured, UInt8[np.ndarray, "M H W 3"]]:
    """A data set's training pictures, and a choice of its test (or val) views to be asked for."""
    data = load_dataset(folder)
    name = next((n for n in ("test", "val") if n in data.splits and len(data.splits[n])), None)
    if name is None:
        raise ValueError(f"data got {folder} without held-out pictures; expected a split test or val.")  # fmt: skip
    held = data.split(name)
    rows = np.unique(np.linspace(0, len(held) - 1, min(ASKED, len(held))).round().astype(int))

    def part(views: Views, chosen: list[int]) -> tuple[UInt8[np.ndarray, "N H W 3"], Pose]:
        cameras = views.cameras[chosen]
        pose = Pose(cameras.viewmats.numpy(), cameras.Ks.numpy(), cameras.times.numpy())
        pictures = [(views[i].image.clamp(0, 1) * 255).round().byte().numpy() for i in chosen]
        return np.stack(pictures), pose

    seen, taken = part(data.train, list(range(len(data.train))))
    truth, asked = part(held, [int(r) for r in rows])
    low, high = (tuple(float(v) for v in corner) for corner in data.bounds)
    return Captured(seen, taken, asked, (low, high), data.background, steps), truth  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Judge:
    truth: UInt8[np.ndarray, "M H W 3"]

    def __call__(self, found: UInt8[np.ndarray, "M H W 3"]) -> Measured:
        if found.shape != self.truth.shape:
            raise ValueError(f"pictures got shape {found.shape}; expected {self.truth.shape}.")
        pairs = [(a / 255.0, b / 255.0) for a, b in zip(found, self.truth)]
        values = {
            "psnr": float(np.mean([min(float(psnr(a, b)), EQUAL) for a, b in pairs])),
            "ssim": float(np.mean([float(ssim(a, b)) for a, b in pairs])),
        }
        return Measured(values)
