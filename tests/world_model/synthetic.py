"""Small worlds without a simulator: balls that fly, bounce on the floor and are seen by four cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from clay4d.renderers import rasterization
from clay4d.world_model.worlds import (
    Hidden,
    Tracks,
    World,
    WorldEvent,
    WorldObject,
    write_index,
    write_shard,
)
from clay4d.world_model.worlds.format import Split

COLOURS = {"red": (0.9, 0.1, 0.1), "blue": (0.1, 0.2, 0.9), "green": (0.1, 0.8, 0.2)}
FRAMES, CAMERAS = 24, 4
RADIUS = 0.2


def cameras(size: int) -> tuple[np.ndarray, np.ndarray]:
    views = []
    for k in range(CAMERAS):
        angle = 0.7 + k * np.pi / 2
        eye = np.array([3 * np.cos(angle), 3 * np.sin(angle), 1.6])
        forward = np.array([0, 0, 0.4]) - eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = R, -R @ eye
        views.append(view)
    K = np.array([[1.2 * size, 0, size / 2], [0, 1.2 * size, size / 2], [0, 0, 1]])
    return np.stack(views).astype(np.float32), np.repeat(K[None], CAMERAS, 0).astype(np.float32)


def flights(
    count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[tuple[float, int]]]:
    """Positions and velocities [T, B, 3], and when which ball hits the floor."""
    p = rng.uniform([-0.8, -0.8, 0.5], [0.8, 0.8, 1.2], (count, 3))
    v = rng.uniform([-0.7, -0.7, -0.5], [0.7, 0.7, 1.0], (count, 3))
    places, speeds, hits = [], [], []
    step = 1 / 240
    for k in range(FRAMES * 20):
        if k % 20 == 0:
            places.append(p.copy())
            speeds.append(v.copy())
        v[:, 2] -= 9.81 * step
        p = p + v * step
        for b in np.nonzero((p[:, 2] < RADIUS) & (v[:, 2] < 0))[0]:
            if v[b, 2] < -0.5:
                hits.append(((k + 1) * step, int(b)))
            v[b, 2] *= -0.6
            p[b, 2] = RADIUS
    return np.stack(places), np.stack(speeds), hits


def draw(places: np.ndarray, colours: list[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and masks of balls, each one round Gaussian, over a grey floor."""
    views, Ks = (torch.from_numpy(x) for x in cameras(size))
    frames, count = places.shape[:2]
    x, y = np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-2, 2, 9))
    floor = torch.from_numpy(np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)).float()
    means = torch.cat([torch.from_numpy(places).float(), floor.expand(frames, -1, -1)], 1)
    n = means.shape[1]
    scales = torch.full((n, 3), RADIUS * 0.6)
    scales[count:] = torch.tensor([0.35, 0.35, 0.01])
    ids = torch.zeros(n, count + 1)
    for b in range(n):
        ids[b, b + 1 if b < count else 0] = 1
    rgb = torch.cat([torch.tensor([COLOURS[c] for c in colours]), torch.full((n - count, 3), 0.5)])
    colors = torch.cat([rgb, ids], 1).expand(frames, -1, -1)
    back = torch.zeros(frames, CAMERAS, 4 + count)
    back[..., :3], back[..., 3] = 0.9, 1.0
    quats = torch.tensor([1.0, 0, 0, 0]).expand(frames, n, 4)
    seen, _, _ = rasterization(
        means, quats, scales.expand(frames, -1, -1), torch.full((frames, n), 0.99), colors,
        views.expand(frames, -1, -1, -1), Ks.expand(frames, -1, -1, -1), size, size, backgrounds=back,
    )  # fmt: skip
    images = (seen[..., :3].clamp(0, 1) * 255 + 0.5).byte().numpy()
    return images, seen[..., 3:].argmax(-1).byte().numpy()


def make_world(number: int, *, size: int = 32, split: Split = "train") -> World:
    """One to three balls of different colours."""
    rng = np.random.default_rng([7, number])
    count = int(rng.integers(1, 4))
    colours = [str(c) for c in rng.permutation(list(COLOURS))[:count]]
    places, speeds, hits = flights(count, rng)
    images, masks = draw(places, colours, size)
    views, Ks = cameras(size)
    quats = np.zeros((FRAMES, count, 4))
    quats[..., 0] = 1
    things = [f"the {c} ball" for c in colours]
    said = " and ".join(f"a {c} ball" for c in colours)
    return World(
        name=f"{number:06d}", split=split, times=np.arange(FRAMES) / 12, images=images, masks=masks,
        viewmats=views, Ks=Ks, prompt=f"{said} fall onto the floor",
        paraphrases=(f"onto the floor fall {said}",),
        events=tuple(WorldEvent(round(t, 2), f"{things[b]} hits the floor") for t, b in hits),
        questions=(),
        objects=tuple(
            WorldObject(f"{c}-ball", t, "mover", "ball", c, "rubber", (2 * RADIUS,) * 3, 1.0)
            for c, t in zip(colours, things)
        ),
        hidden=Hidden("none", {}), tracks=Tracks(places, quats, speeds, np.zeros_like(speeds)),
        scene="{}",
    )  # fmt: skip


def write_worlds(folder: Path, count: int, *, size: int = 32, held: int = 4) -> Path:
    """A set on disk: the last `held` worlds are for validation."""
    worlds = [
        make_world(k, size=size, split="train" if k < count - held else "val") for k in range(count)
    ]
    entries = [
        write_shard(folder, i, worlds[start : start + 32])
        for i, start in enumerate(range(0, count, 32))
    ]
    write_index(folder, {"preset": "synthetic"}, entries)
    return folder
