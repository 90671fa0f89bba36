"""What two systems foretold of a world as two 4D scenes on one clock: pages of the HTML player for a report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import ConvexHull

from clay4d.benchmark.estimate import vertices
from clay4d.benchmark.observation import Thing
from clay4d.benchmark.results import Pair
from clay4d.physics_baseline.gaussians import spread
from clay4d.physics_baseline.planner.vocabulary import COLOURS
from clay4d.renderers.player import write_player
from clay4d.scenes import Cameras
from clay4d.scenes.gaussians import C0
from clay4d.scenes.motion.rigid_paths import RigidPaths
from clay4d.scenes.splat_scene import SplatScene
from clay4d.world_model.worlds import World
from clay4d.world_model.worlds.format import WorldObject

EACH, FLOOR = 240, 900
"""Gaussians of a thing, and of the floor."""
REACH = 1.6
"""Half a side of the floor, metres."""
SKY = (0.93, 0.94, 0.96)


def write_pairs(
    out: Path,
    world: World,
    paths: Mapping[str, Float[np.ndarray, "F B 3"]],
    *,
    scene: str,
    seen: int,
) -> tuple[Pair, ...]:
    """Write a page for each two of the truth and the systems into `out`/scenes, and say where they are.

    Args:
        paths: by system, centres at the frames after the first `seen`, metres.

    Raises:
        ValueError: a path of other things than the world has.
    """
    made = {"truth": path_scene(world, None, seen=seen)}
    made |= {name: path_scene(world, path, seen=seen) for name, path in paths.items()}
    lead = f"{world.prompt} The first {world.times[seen - 1]:.2f} s were given; turns after them are not foretold."
    pairs = []
    (out / "scenes").mkdir(parents=True, exist_ok=True)
    for left, right in combinations(made, 2):
        page = f"scenes/{scene.replace('/', '-')}.{left}.{right}.html"
        write_player(
            out / page, {left: made[left], right: made[right]}, cameras=_cameras(world),
            frames=2 * len(world.times) - 1, title=f"{scene}: {left} | {right}", lead=lead,
        )  # fmt: skip
        pairs.append(Pair(left, right, page))
    return tuple(pairs)


def path_scene(world: World, path: Float[np.ndarray, "F B 3"] | None, *, seen: int) -> SplatScene:
    """A world's things as rigid Gaussians: the true frames that were given, then a system's path.

    Args:
        path: centres after the first `seen` frames, metres; None for the truth, which turns, too.

    Raises:
        ValueError: a path of other things or frames than the world has.
    """
    places, quats = world.tracks.positions.copy(), world.tracks.quats.copy()
    if path is not None:
        if path.shape != places[seen:].shape:
            raise ValueError(f"path got {path.shape}; expected {places[seen:].shape}. Give all things.")  # fmt: skip
        places[seen:], quats[seen:] = path, quats[seen - 1]
    parts = [_thing(one, k) for k, one in enumerate(world.objects)] + [_floor()]
    raw = {k: torch.cat([part[k] for part in parts]) for k in parts[0]}
    motion = RigidPaths(objects=len(world.objects), knots=len(places), between="straight")
    clock = world.times - world.times[0]
    motion.times = torch.from_numpy(clock / clock[-1]).float()
    motion.positions = torch.from_numpy(places).float().transpose(0, 1).contiguous()
    motion.quats = torch.from_numpy(quats).float().transpose(0, 1).contiguous()
    return SplatScene(raw, motion, float(clock[-1]), SKY)


def _thing(one: WorldObject, index: int) -> dict[str, torch.Tensor]:
    corners = _corners(one)
    hull = ConvexHull(corners)
    faces = hull.simplices.copy()
    cross = np.cross(corners[faces[:, 1]] - corners[faces[:, 0]], corners[faces[:, 2]] - corners[faces[:, 0]])  # fmt: skip
    inward = (cross * hull.equations[:, :3]).sum(1) < 0
    faces[inward] = faces[inward][:, ::-1]
    points, normals, _ = spread(corners, faces, EACH)
    light = 0.72 + 0.28 * normals @ np.array([0.3, -0.4, 0.87])
    colours = np.clip(light[:, None] * np.array(COLOURS.get(one.colour, (0.6, 0.6, 0.6))), 0, 1)
    return _dots(points, 0.6 * math.sqrt(hull.area / EACH), colours, index)


def _corners(one: WorldObject) -> Float[np.ndarray, "V 3"]:
    """Points whose convex hull is the thing, its axes, metres."""
    x, y, z = (s / 2 for s in one.size)
    around = np.linspace(0, 2 * math.pi, 20, endpoint=False)
    if one.shape == "ball":
        k = np.arange(160) + 0.5
        up, turn = 1 - 2 * k / 160, k * 2.399963229728653
        flat = np.sqrt(1 - up**2)
        return np.stack([x * flat * np.cos(turn), y * flat * np.sin(turn), z * up], 1)
    if one.shape in ("cylinder", "pillar"):
        ring = np.stack([x * np.cos(around), y * np.sin(around)], 1)
        return np.concatenate([np.column_stack([ring, np.full(20, h)]) for h in (-z, z)])
    return vertices(Thing(one.name, one.shape, one.size, one.material, True))


def _floor() -> dict[str, torch.Tensor]:
    side = round(math.sqrt(FLOOR))
    line = (np.arange(side) + 0.5) / side * 2 * REACH - REACH
    x, y = (v.ravel() for v in np.meshgrid(line, line))
    size = 1.2 * REACH / side
    points = np.stack([x, y, np.full(len(x), -1.5 * size)], 1)
    checks = ((np.floor(x / 0.4) + np.floor(y / 0.4)) % 2)[:, None]
    return _dots(points, size, np.repeat(0.74 + 0.08 * checks, 3, 1), -1)


def _dots(points: np.ndarray, size: float, colours: np.ndarray, owner: int) -> dict[str, torch.Tensor]:  # fmt: skip
    """Raw parameters of round Gaussians of one size, metres."""
    n = len(points)
    turns = torch.zeros(n, 4)
    turns[:, 0] = 1
    return {
        "means": torch.from_numpy(points).float(), "quats": turns,
        "scales": torch.full((n, 3), math.log(size)), "opacities": torch.full((n,), 3.0),
        "sh": torch.from_numpy((colours - 0.5) / C0).float()[:, None],
        "object": torch.full((n,), owner, dtype=torch.int64),
    }  # fmt: skip


def _cameras(world: World) -> Cameras:
    height, width = world.masks.shape[2:]
    count = len(world.Ks)
    return Cameras(
        torch.from_numpy(world.viewmats.copy()), torch.from_numpy(world.Ks.copy()), width, height, torch.zeros(count)
    )  # fmt: skip


def links(pairs: Sequence[Pair], folder: Path) -> str:
    """Links to the pages that are there, as HTML; nothing where there are none."""
    from html import escape
    from urllib.parse import quote

    found = [p for p in pairs if (folder / p.page).is_file()]
    if not found:
        return ""
    rows = "".join(
        f'<a href="{escape(quote(p.page))}" target="_blank" rel="noopener">{escape(p.left)} | {escape(p.right)}</a> '
        for p in found
    )
    first = found[0]
    return (
        f'<details class="pairs"><summary>Open in 4D: {len(found)} pairs, each on one clock, such as '
        f"{escape(first.left)} beside {escape(first.right)}</summary><p>{rows}</p></details>"
    )
