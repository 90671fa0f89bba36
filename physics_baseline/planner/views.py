"""Cameras that see everything: placed by what is there and what will move."""

from __future__ import annotations

import math

from clay4d.physics_baseline.planner import verbs as v
from clay4d.physics_baseline.planner.syntax import CameraWish
from clay4d.physics_baseline.planner.things import Vec
from clay4d.physics_baseline.spec import (
    Camera,
    FixedCamera,
    FollowCamera,
    Keyframe,
    OrbitCamera,
    PathCamera,
)

FOV = 45.0
MARGIN = 0.88
"""Share of the picture that the scene may fill."""


def middle_of(points: list[Vec]) -> Vec:
    """The middle of the box around points, metres."""
    return tuple((min(p[k] for p in points) + max(p[k] for p in points)) / 2 for k in range(3))  # type: ignore[return-value]


def distance_to_see(points: list[Vec], centre: Vec, way: Vec, *, fov: float = FOV) -> float:
    """The least distance along `way` from which a square picture holds all points, metres.

    >>> round(distance_to_see([(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)], (0, 0, 0), (0.0, -1.0, 0.0)), 2)
    2.74
    """
    f = _unit(way)
    right = _unit((-f[1], f[0], 0.0)) if abs(f[0]) + abs(f[1]) > 1e-6 else (1.0, 0.0, 0.0)
    up = (
        f[1] * right[2] - f[2] * right[1], f[2] * right[0] - f[0] * right[2],
        f[0] * right[1] - f[1] * right[0],
    )  # fmt: skip
    slope = math.tan(math.radians(fov / 2)) * MARGIN
    needed = 0.5
    for p in points:
        d = (p[0] - centre[0], p[1] - centre[1], p[2] - centre[2])
        nearer = sum(a * b for a, b in zip(d, f))
        wide = max(
            abs(sum(a * b for a, b in zip(d, right))), abs(sum(a * b for a, b in zip(d, up)))
        )
        needed = max(needed, nearer + wide / slope)
    return needed


def _unit(a: Vec) -> Vec:
    norm = math.sqrt(sum(c * c for c in a))
    return (a[0] / norm, a[1] / norm, a[2] / norm)


def _at(centre: Vec, way: Vec, distance: float) -> Vec:
    """A camera's place, never under the floor."""
    f = _unit(way)
    x, y, z = (round(c + distance * a, 4) for c, a in zip(centre, f))
    return (x, y, max(z, 0.1))


def make_cameras(
    wishes: list[CameraWish], points: list[Vec], duration: float, targets: dict[int, str]
) -> tuple[Camera, ...]:
    """The cameras that the prompt asks for, or one in front.

    Args:
        wishes: what the prompt says of cameras.
        points: what has to be seen, metres.
        duration: of the scene, seconds.
        targets: name of the body that each wish (by its place) is to follow.
    """
    centre: Vec = tuple(round(c, 4) for c in middle_of(points))  # type: ignore[assignment]
    wish = CameraWish(view="front")
    follow = ""
    for k, said in enumerate(wishes):
        wish.view = said.view or wish.view
        wish.distance *= said.distance
        wish.move = said.move or wish.move
        wish.count = said.count or wish.count
        follow = targets.get(k, follow)
    way = v.VIEWS[wish.view]
    far = round(distance_to_see(points, centre, way) * wish.distance, 4)
    if (wish.count or 1) > 1:
        return _rig(wish, points, centre)
    if wish.move == "orbit":
        return (_orbit(points, centre, wish.distance, way),)
    if wish.move == "follow" and follow:
        f = _unit(way)
        offset: Vec = tuple(round(0.8 * far * a, 4) for a in f)  # type: ignore[assignment]
        return (FollowCamera(name="camera", body=follow, offset=offset),)
    if wish.move in ("zoom in", "zoom out", "pan", "rise"):
        return (_moving(wish.move, centre, way, far, duration),)
    return (FixedCamera(name="camera", position=_at(centre, way, far), look_at=centre),)


def _rig(wish: CameraWish, points: list[Vec], centre: Vec) -> tuple[Camera, ...]:
    """Cameras evenly around the scene, the first in front."""
    count = wish.count or 1
    cameras = []
    for k in range(count):
        a = -math.pi / 2 + 2 * math.pi * k / count + 0.25
        way = (math.cos(a), math.sin(a), 0.45)
        far = distance_to_see(points, centre, way) * wish.distance
        cameras.append(FixedCamera(name=f"camera-{k + 1}", position=_at(centre, way, far), look_at=centre))  # fmt: skip
    return tuple(cameras)


def _orbit(points: list[Vec], centre: Vec, distance: float, way: Vec) -> Camera:
    """Once around, as far as the worst side needs."""
    rise = max(0.35, way[2] if way[2] < 1.0 else 1.0)
    sides = [(math.cos(a), math.sin(a), rise) for a in (k * math.pi / 8 for k in range(16))]
    far = max(distance_to_see(points, centre, side) for side in sides) * distance
    flat = math.hypot(1.0, rise)
    return OrbitCamera(
        name="camera", centre=centre, radius=round(far / flat, 4), rise=round(far * rise / flat, 4)
    )


def _moving(move: str, centre: Vec, way: Vec, far: float, duration: float) -> Camera:
    start, end = _at(centre, way, far), _at(centre, way, far)
    look = [centre, centre]
    if move == "zoom in":
        end = _at(centre, way, 0.6 * far)
    elif move == "zoom out":
        start = _at(centre, way, 0.6 * far)
    elif move == "rise":
        end = _at(centre, (way[0], way[1], way[2] + 0.8), far)
    else:
        start, end = (start[0] - 0.25 * far, *start[1:]), (end[0] + 0.25 * far, *end[1:])
    return PathCamera(
        name="camera",
        keyframes=(
            Keyframe(time=0.0, position=start, look_at=look[0]),
            Keyframe(time=max(duration, 0.01), position=end, look_at=look[1]),
        ),
    )
