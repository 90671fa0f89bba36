"""A simulated scene as a `Scene` of Gaussians: discs on the surfaces, carried by their bodies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.engines.tree import rotation
from clay4d.physics_baseline.renderers.shade import tone
from clay4d.physics_baseline.renderers.texture import pattern
from clay4d.physics_baseline.renderers.world import World, make_world
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.physics_baseline.surfaces import body_triangles
from clay4d.scenes.gaussians import C0
from clay4d.scenes.motion import RigidPaths
from clay4d.scenes.splat_scene import SplatScene

PER_BODY = 3000
"""Discs on a body; a cloth or soft body has as many as triangles, times up to four."""
FLOOR_REACH = 3.0
"""Metres of floor on each side of where things are."""
FLOOR_DISCS = 20_000


def gaussian_scene(scene: SceneSpec, trajectory: Trajectory) -> SplatScene:
    """A scene of per-object rigid Gaussians that follows a trajectory.

    Surfaces are covered with flat Gaussians in the colours of their materials, lit once: bodies that
    hardly turn keep the light of their first moment, others have its mean. Shadows and gloss are
    missing. The triangles of cloth and soft bodies are rigid parts of their own.

    >>> from clay4d.physics_baseline.engines import simulate
    >>> from clay4d.physics_baseline.spec import Sphere
    >>> spec = SceneSpec(bodies=(Sphere(name="a", position=(0, 0, 1)),), duration=0.2, floor=None)
    >>> len(gaussian_scene(spec, simulate(spec)))
    3000
    """
    world = make_world(scene, trajectory)
    parts: list[dict[str, Any]] = []
    paths: list[tuple[Any, Any]] = []
    for i, body in enumerate(scene.bodies):
        if body.kind in ("cloth", "soft"):
            parts.append(_sheet(world, trajectory, i, body.name, len(paths)))
            paths += _triangle_paths(trajectory.vertices[body.name], trajectory.faces[body.name])
        else:
            parts.append(_rigid(world, trajectory, i, body, len(paths)))
            paths.append((trajectory.positions[:, i], trajectory.quats[:, i]))
    if scene.floor is not None:
        parts.append(_floor(world, trajectory, len(paths)))
        still = np.zeros_like(trajectory.times)[:, None]
        paths.append((still + np.zeros(3), still + np.array([1.0, 0, 0, 0])))
    if not parts:
        raise ValueError("scene got neither bodies nor a floor; expected something. Add a body.")
    raw = {
        k: torch.from_numpy(np.concatenate([p[k] for p in parts])).float() for k in parts[0]
    }  # fmt: skip
    raw["object"] = raw["object"].long()
    motion = RigidPaths(objects=len(paths), knots=len(trajectory.times))
    motion.positions.copy_(torch.from_numpy(np.stack([p for p, _ in paths])))
    motion.quats.copy_(torch.from_numpy(np.stack([q for _, q in paths])))
    r, g, b = (float(c) for c in scene.background)
    return SplatScene(raw, motion, float(trajectory.times[-1]), (r, g, b))


def _discs(
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"],
    spacing: Any,
    colours: Float[np.ndarray, "N 3"],
    part: Any,
    opacity: float = 1.0,
) -> dict[str, Any]:
    """Raw parameters of flat Gaussians about `spacing` metres apart."""
    n, opacity = len(points), min(max(opacity, 0.02), 0.98)
    size = np.broadcast_to(0.5 * np.asarray(spacing, float), (n,))
    # A little inwards, since half of a disc's thickness stands out.
    scales = np.stack([size, size, 0.12 * size], 1)
    return {
        "means": points - 0.12 * size[:, None] * normals,
        "quats": _turn_z_to(normals),
        "scales": np.log(scales),
        "opacities": np.full(n, math.log(opacity / (1 - opacity))),
        "sh": ((colours - 0.5) / C0)[:, None, :],
        "object": np.broadcast_to(np.asarray(part), (n,)),
    }


def _turn_z_to(normals: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 4"]:
    """Quaternions that turn z to the normals along the shorter arc."""
    w = 1 + normals[:, 2]
    quats = np.stack([w, -normals[:, 1], normals[:, 0], 0 * w], 1)
    quats[w < 1e-6] = (0, 1, 0, 0)
    turned: Float[np.ndarray, "N 4"] = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    return turned


def spread(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"], count: int
) -> tuple[Any, Any, Any]:
    """`count` points spread evenly over triangles, their normals, and which triangle each is on.

    The places are an additive sequence in the plane (Roberts 2018), so the same every time.

    >>> points, _, _ = spread(np.eye(3), np.array([[0, 1, 2]]), 4)
    >>> bool(np.allclose(points.sum(1), 1))
    True
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    areas = np.linalg.norm(flat, axis=1)
    ends = np.cumsum(areas)
    k = np.arange(count)
    index = np.minimum(np.searchsorted(ends, (k + 0.5) / count * ends[-1]), len(faces) - 1)
    u, v = (0.5 + k * 0.7548776662466927) % 1, (0.5 + k * 0.5698402909980532) % 1
    over = u + v > 1
    u[over], v[over] = 1 - u[over], 1 - v[over]
    points = a[index] + u[:, None] * (b - a)[index] + v[:, None] * (c - a)[index]
    return points, flat[index] / areas[index, None], index


def _rigid(world: World, trajectory: Trajectory, i: int, body: Any, part: int) -> dict[str, Any]:
    vertices, faces = body_triangles(body)
    points, normals, _ = spread(vertices, faces, PER_BODY)
    area = np.linalg.norm(
        np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]),
        axis=1,
    ).sum() / 2  # fmt: skip
    spacing = math.sqrt(area / PER_BODY)
    turns = np.abs((trajectory.quats[:, i] * trajectory.quats[0, i]).sum(1)).min()
    facing = normals @ rotation(trajectory.quats[0, i]).T if turns > 0.98 else None
    colours = _lit(world, i, points, normals, facing, spacing)
    return _discs(points, normals, spacing, colours, part, float(world.looks[i, 10]))


def _sheet(world: World, trajectory: Trajectory, i: int, name: str, part: int) -> dict[str, Any]:
    vertices, faces = trajectory.vertices[name][0], trajectory.faces[name]
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    areas = np.linalg.norm(flat, axis=1) / 2
    normals = flat / (2 * areas[:, None])
    # Four discs a triangle: at its middle and half way to each corner.
    shares = np.array([[4, 4, 4], [8, 2, 2], [2, 8, 2], [2, 2, 8]]) / 12
    world_points = np.einsum("sk,kfd->fsd", shares, np.stack([a, b, c])).reshape(-1, 3)
    each = np.repeat(np.arange(len(faces)), 4)
    spacing = np.sqrt(areas / 4)[each] * 1.15
    colours = _lit(world, i, world_points, normals[each], None, float(spacing.mean()))
    frames = _frames(a, b, c)
    local = np.einsum("nji,nj->ni", frames[each], world_points - ((a + b + c) / 3)[each])
    upright = np.repeat(np.array([[0.0, 0, 1]]), len(each), 0)
    return _discs(local, upright, spacing, colours, part + each, float(world.looks[i, 10]))


def _frames(a: Any, b: Any, c: Any) -> Any:
    """Axes of triangles [..., 3, 3]: along the first edge, across, and the normal, as columns."""
    x = b - a
    x = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    z = np.cross(b - a, c - a)
    z = z / np.maximum(np.linalg.norm(z, axis=-1, keepdims=True), 1e-18)
    return np.stack([x, np.cross(z, x), z], -1)


def _triangle_paths(vertices: Any, faces: Any) -> list[tuple[Any, Any]]:
    """Positions [T, 3] and quaternions [T, 4] of each triangle."""
    from scipy.spatial.transform import Rotation

    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    frames = _frames(a, b, c)
    quats = Rotation.from_matrix(frames.reshape(-1, 3, 3)).as_quat(scalar_first=True)
    quats = quats.reshape(*frames.shape[:2], 4)
    middles = (a + b + c) / 3
    return [(middles[:, f], quats[:, f]) for f in range(len(faces))]


def _floor(world: World, trajectory: Trajectory, part: int) -> dict[str, Any]:
    places = world.spheres[:, :, :2].reshape(-1, 2)
    low, high = (places.min(0), places.max(0)) if len(places) else (np.zeros(2), np.zeros(2))
    middle = np.clip((low + high) / 2, -50, 50)
    half = np.minimum((high - low) / 2, 6.0) + FLOOR_REACH
    spacing = math.sqrt(4 * half[0] * half[1] / FLOOR_DISCS)
    nx, ny = (max(1, round(2 * h / spacing)) for h in half)
    grid = np.stack(
        np.meshgrid((np.arange(nx) + 0.5) / nx * 2 - 1, (np.arange(ny) + 0.5) / ny * 2 - 1), -1
    )
    flat = grid.reshape(-1, 2) * half + middle
    points = np.concatenate([flat, np.full((len(flat), 1), world.floor[1])], 1)
    normals = np.repeat(np.array([[0.0, 0, 1]]), len(points), 0)
    colours = _lit(world, -1, points, normals, normals, spacing)
    return _discs(points, normals, spacing, colours, part)


def _lit(world: World, i: int, points: Any, normals: Any, facing: Any, width: float) -> Any:
    """sRGB of a thing's points under the scene's lights; `facing` are normals in the world, or None."""
    look = world.looks[i]
    kind, size = (world.kinds[i], world.sizes[i]) if i >= 0 else (-1, world.floor)
    share = np.ones(len(points))
    if look[6]:
        for n in range(len(points)):
            share[n] = pattern(look[6], kind, look[7], size, *points[n], *normals[n], width)
    albedo = share[:, None] * look[:3] + (1 - share[:, None]) * look[3:6]
    light = np.repeat((0.85 * world.ambient)[None], len(points), 0)
    for row in world.lights:
        towards = row[1:4]
        strength = 1.0
        if row[0] == 1:
            middle = world.spheres[0, i, :3] if i >= 0 else np.zeros(3)
            away = towards - middle
            # A lamp inside a body would be endlessly bright.
            square = max(float(away @ away), 1e-2)
            strength, towards = 1 / square, away / math.sqrt(square)
        # A ball's lit half has 1/2 in the mean, half of the ball is dark.
        cosine = np.full(len(points), 0.35) if facing is None else np.maximum(facing @ towards, 0.0)
        light += strength * cosine[:, None] * row[4:7]
    value = albedo * light
    return np.array([[tone(c) for c in row] for row in value])
