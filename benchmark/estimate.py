"""State from an observation, by one method for all systems: masks and cameras → places → velocities.

A thing's place is where the rays through its masks' centres meet (least squares). Pictures in which it
is covered in part are left out where two others are whole. The yaw of what is no ball is the one whose
outline covers the first masks best; things stand upright at first, capsules lie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from clay4d.benchmark.observation import Observation, Thing
from clay4d.physics_baseline.identify.tracks import rotation_between
from clay4d.scenes.triangulation import Sightings, solve_points

GRAVITY = np.array([0.0, 0.0, -9.81])
WHOLE = 0.8
"""Share of the area it should have from which a mask counts as whole."""
YAWS = 36
"""Tried in half a turn, or in a whole one where the shape is not the same after half of it."""
CLEAR = 3.0
"""Deviations that a stretch of flight or of rolling may be off."""


@dataclass(frozen=True)
class Estimate:
    """Measured places and rotations of B things at T moments."""

    times: Float[np.ndarray, " T"]
    positions: Float[np.ndarray, "T B 3"]
    """Metres; NaN where not seen."""
    quats: Float[np.ndarray, "T B 4"]
    """Body to world, wxyz; that of the first moment where rotations are not measured."""
    turning: bool
    """Whether rotations are measured at each moment."""
    noise: float
    """Of a coordinate, metres."""
    velocities: Float[np.ndarray, "B 3"] | None = None
    spins: Float[np.ndarray, "B 3"] | None = None
    """Of the last moment, where the observation gives them."""

    @property
    def seen(self) -> Bool[np.ndarray, "T B"]:
        """When each thing was seen."""
        seen: Bool[np.ndarray, "T B"] = np.isfinite(self.positions).all(-1)
        return seen


@dataclass(frozen=True)
class State:
    """Of one thing at a moment."""

    position: Float[np.ndarray, " 3"]
    quat: Float[np.ndarray, " 4"]
    velocity: Float[np.ndarray, " 3"]
    spin: Float[np.ndarray, " 3"]
    """World axes, radians per second."""
    flying: bool
    """Whether gravity was seen to act freely."""


def estimate(observation: Observation) -> Estimate:
    """Places and rotations of all things of an observation."""
    o = observation
    count = len(o.things)
    if o.positions is not None:
        turning = o.quats is not None
        quats = np.tile([1.0, 0, 0, 0], (len(o.times), count, 1)) if o.quats is None else o.quats
        return Estimate(o.times, o.positions, quats, turning, o.noise, o.velocities, o.spins)
    places = np.full((len(o.times), count, 3), np.nan)
    P = projections_of(o)
    for t in range(len(o.times)):
        for b, thing in enumerate(o.things):
            places[t, b] = _place(o, P, t, b, thing)
    if not all(thing.moves for thing in o.things):  # What never moves is where it was on average.
        for b, thing in enumerate(o.things):
            known = places[np.isfinite(places[:, b]).all(1), b]
            if not thing.moves and len(known):
                places[:, b] = np.median(known, 0)
    turns = np.stack([_upright(o, P, places[:, b], b, t) for b, t in enumerate(o.things)])
    return Estimate(o.times, places, np.tile(turns, (len(o.times), 1, 1)), False, o.noise)


def projections_of(observation: Observation) -> Float[np.ndarray, "C 3 4"]:
    """Pixels from the world, of each camera."""
    K, view = np.asarray(observation.Ks, float), np.asarray(observation.viewmats, float)
    P: Float[np.ndarray, "C 3 4"] = K @ view[:, :3]
    return P


def _place(o: Observation, P: np.ndarray, t: int, b: int, thing: Thing) -> np.ndarray:
    masks = o.masks[t] == b + 1  # type: ignore[index]
    area = masks.sum((1, 2))
    height, width = masks.shape[1:]
    inside = area - masks[:, [0, -1]].sum((1, 2)) - masks[:, :, [0, -1]].sum((1, 2))
    seen = np.flatnonzero(area > 3)
    if len(seen) < 2:
        return np.full(3, np.nan)
    xy = np.zeros((len(P), 2))
    for c in seen:
        rows, columns = np.nonzero(masks[c])
        xy[c] = columns.mean() + 0.5, rows.mean() + 0.5

    def meet(cameras: np.ndarray) -> np.ndarray:
        given = Sightings(np.zeros(len(cameras), np.int64), cameras, xy[cameras])
        return np.asarray(solve_points(P, given, 1)[0])

    place = meet(seen)
    full = np.array([_area(P[c], o.Ks[c], place, thing) for c in seen])  # type: ignore[index]
    share = np.where(inside[seen] < area[seen], 0.5, 1.0) * area[seen] / np.maximum(full, 1)
    good = seen[share > WHOLE * share.max()]
    return meet(good) if 2 <= len(good) < len(seen) else place


def _area(P: np.ndarray, K: np.ndarray, place: np.ndarray, thing: Thing) -> float:
    """Pixels of the ball with the thing's volume at a place; only ratios between cameras matter."""
    radius = 0.5 * float(np.prod(thing.size)) ** (1 / 3)
    depth = max(float(P[2] @ [*place, 1.0]), 0.1)
    seen: float = math.pi * (radius * float(K[0, 0]) / depth) ** 2
    return seen


def _upright(o: Observation, P: np.ndarray, path: np.ndarray, b: int, thing: Thing) -> np.ndarray:
    """The rotation at first: upright, turned by the yaw whose outline fits the masks best."""
    if thing.shape in ("ball", "cylinder", "pillar"):
        return np.array([1.0, 0, 0, 0])
    moments = np.flatnonzero(np.isfinite(path).all(1))[:1]
    if not len(moments):
        return standing(thing, 0.0)
    t = int(moments[0])
    turn = 2 * math.pi if thing.shape == "ramp" else math.pi
    yaws = np.arange(YAWS) * turn / YAWS
    masks = o.masks[t] == b + 1  # type: ignore[index]
    scores = [_overlap(P, masks, vertices(thing), path[t], standing(thing, y)) for y in yaws]
    return standing(thing, float(yaws[int(np.argmax(scores))]))


def standing(thing: Thing, yaw: float) -> Float[np.ndarray, " 4"]:
    """Upright and turned by `yaw`, wxyz; a capsule's axis lies along it."""
    c, s = math.cos(yaw / 2), math.sin(yaw / 2)
    h = math.sqrt(0.5)
    return np.array([c * h, -s * h, c * h, s * h] if thing.shape == "capsule" else [c, 0.0, 0.0, s])


def vertices(thing: Thing) -> Float[np.ndarray, "V 3"]:
    """Points whose convex hull is the thing, its axes, metres."""
    x, y, z = (s / 2 for s in thing.size)
    if thing.shape == "ramp":
        return np.array(
            [(-x, -y, -z), (x, -y, -z), (-x, -y, z), (-x, y, -z), (x, y, -z), (-x, y, z)]
        )
    if thing.shape == "capsule":
        ball = np.array(
            [(math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e))
             for a in np.linspace(0, 2 * math.pi, 12, False) for e in np.linspace(-1.5, 1.5, 7)]
        ) * x  # fmt: skip
        return np.concatenate([ball + [0, 0, z - x], ball - [0, 0, z - x]])
    return np.array([(a, b, c) for a in (-x, x) for b in (-y, y) for c in (-z, z)])


def rotation_matrix(quat: Float[np.ndarray, " 4"]) -> Float[np.ndarray, "3 3"]:
    """Body to world of a unit quaternion, wxyz."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(quat, scalar_first=True).as_matrix())


def _overlap(P: Any, masks: Any, points: Any, place: Any, quat: Any) -> float:
    """Intersection over union of outline and mask, mean over the cameras that see it."""
    world = points @ rotation_matrix(quat).T + place
    total, seen = 0.0, 0
    for c in range(len(P)):
        if not masks[c].any():
            continue
        xyw = np.column_stack([world, np.ones(len(world))]) @ P[c].T
        outline = cv2.convexHull(np.round((xyw[:, :2] / xyw[:, 2:] - 0.5) * 16).astype(np.int32))
        drawn = np.zeros(masks[c].shape, np.uint8)
        cv2.fillConvexPoly(drawn, outline, 1, shift=4)
        both = (drawn > 0) & masks[c]
        total += both.sum() / max(((drawn > 0) | masks[c]).sum(), 1)
        seen += 1
    return total / max(seen, 1)


def state_at(found: Estimate, b: int, *, last: bool, thing: Thing, floor: bool) -> State:
    """The state of thing b at the last or the first moment, from the longest stretch that fits.

    Stretches that end (or begin) there are tried from the longest; each is fitted by free flight and by
    even motion, and the better of both counts once it is within the noise.
    """
    if found.velocities is not None and found.spins is not None:
        return State(found.positions[-1, b], found.quats[-1, b], found.velocities[b], found.spins[b], False)  # fmt: skip
    known = np.flatnonzero(found.seen[:, b])
    moment = found.times[-1] if last else found.times[0]
    if not len(known):
        zero = np.zeros(3)
        return State(zero, found.quats[0, b], zero, zero, False)
    place, velocity, flying, used = found.positions[known[-1], b], np.zeros(3), False, known[-1:]
    for count in range(len(known), 1, -1):
        chosen = known[-count:] if last else known[:count]
        t, x = found.times[chosen] - moment, found.positions[chosen, b]
        fits = [_line(t, x, g) for g in ((GRAVITY, 0 * GRAVITY) if count > 2 else (0 * GRAVITY,))]
        k = int(np.argmin([f[2] for f in fits]))
        if fits[k][2] < CLEAR * found.noise or count == 2:
            place, velocity, flying, used = fits[k][0], fits[k][1], k == 0 and count > 2, chosen
            break
    quat, spin = _turn(found, b, used, moment)
    low = 0.5 * min(thing.size[0], thing.size[2])
    if not found.turning and thing.shape in ("ball", "capsule") and floor and not flying:
        if place[2] < low + 4 * found.noise:  # It rolls: nobody sees a plain ball's spin.
            spin = np.cross([0, 0, 1.0], velocity) / low
    return State(place, quat, velocity, spin, flying)


def _line(t: np.ndarray, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Place and velocity at 0 under an acceleration, and how far the fit is off (mean square root)."""
    design = np.stack([np.ones_like(t), t], 1)
    y = x - 0.5 * np.outer(t**2, g)
    (place, velocity), *_ = np.linalg.lstsq(design, y, rcond=None)
    rest = y - design @ np.array([place, velocity])
    return place, velocity, float(np.sqrt((rest**2).sum() / max(3 * (len(t) - 2), 1)))


def _turn(found: Estimate, b: int, used: np.ndarray, moment: float) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Rotation and spin at a moment by a straight line through the rotation vectors."""
    from scipy.spatial.transform import Rotation

    if not found.turning or len(used) < 2:
        return found.quats[used[-1], b], np.zeros(3)
    q = found.quats[used, b]
    base = Rotation.from_quat(q[0], scalar_first=True)
    own = rotation_between(np.repeat(q[:1], len(q), 0), q)  # In the first one's axes.
    t = found.times[used] - moment
    (off, spin), *_ = np.linalg.lstsq(np.stack([np.ones_like(t), t], 1), own, rcond=None)
    now = base * Rotation.from_rotvec(off)
    return np.asarray(now.as_quat(scalar_first=True)), np.asarray(base.apply(spin))
