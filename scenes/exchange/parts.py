"""A scene of Gaussians taken apart into what moves rigidly, for formats that animate whole things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.scenes.fields import AnyField, AnyScene
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.motion import RigidPaths
from clay4d.scenes.scene import Scene
from clay4d.scenes.splat_scene import SplatScene

STILL = 1e-7
"""Metres, and parts of a quaternion, below which a part stands still."""
MOST = 4096
"""Parts that a file may have: where each Gaussian has a path of its own, the scene is one that bends."""


@dataclass(frozen=True)
class Part:
    """Gaussians in axes of their own, and where those axes are at T moments; 1 if they stand still."""

    name: str
    gaussians: Gaussians
    positions: Float[np.ndarray, "T 3"]
    """World axes, metres."""
    quats: Float[np.ndarray, "T 4"]
    """Part to world, unit wxyz, no jumps of sign."""

    @property
    def moves(self) -> bool:
        """Whether it is ever elsewhere."""
        return len(self.positions) > 1


def refuse_fields(scene: AnyScene) -> None:
    """Refuse a scene that is not made of Gaussians, for formats that hold nothing else.

    Raises:
        ValueError: it is a radiance field.
    """
    if isinstance(scene, AnyField):
        raise ValueError(
            "scene got a radiance field; expected Gaussians, which are what this format holds. Export "
            "a video (.mp4), or pictures with `clay4d render RUN --out FOLDER`."
        )


def check_times(scene: Scene, times: Sequence[float] | None) -> tuple[float, ...]:
    """Moments to export, seconds: as given, or the scene's start alone.

    Raises:
        ValueError: none, one that is not finite, or not in rising order; a scene that is a radiance field.

    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> from clay4d.scenes.motion import Static
    >>> g = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3))
    >>> check_times(SplatScene(raw_from_gaussians(g), Static()), None)
    (0.0,)
    """
    refuse_fields(scene)
    chosen = (0.0,) if times is None else tuple(float(t) for t in times)
    rising = all(a < b for a, b in zip(chosen, chosen[1:]))
    if not chosen or not np.isfinite(chosen).all() or not rising:
        raise ValueError(
            f"times got {list(chosen)[:4]}; expected one or more seconds, each later than the last."
        )
    return chosen


def rigid_parts(scene: Scene, times: Sequence[float]) -> list[Part] | None:
    """The parts of a scene whose motion is rigid, at some times; None for a scene that bends.

    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> raw = raw_from_gaussians(g) | {"object": torch.tensor([0, 1])}
    >>> motion = RigidPaths(objects=2, knots=2)
    >>> motion.positions[1, 1, 0] = 3.0
    >>> parts = rigid_parts(SplatScene(raw, motion, 1.0), (0.0, 0.5))
    >>> [(p.name, p.moves) for p in parts], parts[1].positions[1].tolist()
    ([('part_0', False), ('part_1', True)], [1.5, 0.0, 0.0])
    """
    motion = scene.motion if isinstance(scene, SplatScene) else None
    if not isinstance(scene, SplatScene) or not isinstance(motion, RigidPaths):
        return None
    if len(motion.positions) > MOST:
        return None
    owner = scene.raw["object"].long()
    shares = [t / scene.duration if scene.duration > 0 else 0.0 for t in times]
    poses = [motion.poses(s) for s in shares]
    plain = _canonical(scene)
    parts = []
    for k in sorted(set(owner.tolist())):
        chosen = (owner == k).nonzero()[:, 0]
        own = Gaussians(**{n: v[chosen] for n, v in plain.items()})
        if k < 0:  # What belongs to no object.
            parts.append(Part("still", own, np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]])))
            continue
        positions = torch.stack([p[k] for p, _ in poses]).double().numpy()
        quats = steady(torch.stack([q[k] for _, q in poses]).double().numpy())
        positions, quats = thin(positions, quats)
        parts.append(Part(f"part_{k}", own, positions, quats))
    return parts


def _canonical(scene: SplatScene) -> dict[str, Tensor]:
    """The Gaussians' tensors in their parts' axes, with the degree of harmonics that is used."""
    raw = {k: v.detach() for k, v in scene.raw.items()}
    sh = raw["sh"]
    if scene.sh_degree is not None:
        sh = sh[:, : (scene.sh_degree + 1) ** 2]
    return {
        "means": raw["means"], "quats": raw["quats"], "scales": torch.exp(raw["scales"]),
        "opacities": torch.sigmoid(raw["opacities"]), "sh": sh,
    }  # fmt: skip


def thin(
    positions: Float[np.ndarray, "T 3"], quats: Float[np.ndarray, "T 4"]
) -> tuple[Float[np.ndarray, "S 3"], Float[np.ndarray, "S 4"]]:
    """A path as it is, or its first moment alone if it goes nowhere.

    >>> thin(np.zeros((5, 3)), np.tile([1.0, 0, 0, 0], (5, 1)))[0].shape
    (1, 3)
    """
    still = (
        np.abs(positions - positions[0]).max() < STILL and np.abs(quats - quats[0]).max() < STILL
    )
    return (positions[:1], quats[:1]) if still else (positions, quats)


def steady(quats: Float[np.ndarray, "T 4"]) -> Float[np.ndarray, "T 4"]:
    """The same rotations at length 1, each of the sign nearer to the one before.

    >>> steady(np.array([[2.0, 0, 0, 0], [-1.0, 0, 0, 0]]))[1].tolist()
    [1.0, -0.0, -0.0, -0.0]
    """
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    signs = np.sign((unit[1:] * unit[:-1]).sum(1))
    signs[signs == 0] = 1
    flips = np.concatenate([[1.0], np.cumprod(signs)])
    turned: Float[np.ndarray, "T 4"] = unit * flips[:, None]
    return turned
