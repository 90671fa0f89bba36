"""Bodies of a scene as meshes with normals, still or moving."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.exchange.bake import bake
from clay4d.physics_baseline.renderers.world import make_world
from clay4d.physics_baseline.surfaces import body_triangles, vertex_normals
from clay4d.scenes.exchange.parts import thin

CREASE = 0.75
"""Cosine of the angle between neighbouring faces past which their edge is sharp."""
FLOOR = 6.0
"""Metres of floor on each side of what moves."""


@dataclass(frozen=True)
class Thing:
    """A body: a mesh in its own axes and where it goes; a cloth's mesh is in the world's axes."""

    name: str
    material: Any
    vertices: Float[np.ndarray, "S V 3"]
    """Metres; S is 1 for rigid bodies, else the frames."""
    normals: Float[np.ndarray, "S V 3"]
    faces: Int[np.ndarray, "F 3"]
    positions: Float[np.ndarray, "T 3"]
    quats: Float[np.ndarray, "T 4"]
    thin: bool = False
    """Seen from both sides."""
    uvs: Float[np.ndarray, "V 2"] | None = None
    """Where the vertices are in the texture, from its upper left corner; None: no pattern."""
    png: bytes = b""
    """The texture, which repeats beyond its edges."""


def things(scene: Any, trajectory: Trajectory) -> list[Thing]:
    """The scene's bodies, and its floor as a square, as meshes.

    >>> from clay4d.physics_baseline.engines import simulate
    >>> from clay4d.physics_baseline.spec import Box, SceneSpec
    >>> scene = SceneSpec(bodies=(Box(name="a", position=(0, 0, 1)),), duration=0.1)
    >>> [(t.name, t.vertices.shape[1]) for t in things(scene, simulate(scene))]
    [('a', 24), ('floor', 4)]
    """
    out: list[Thing] = []
    for i, body in enumerate(scene.bodies):
        place, turn = thin(trajectory.positions[:, i], trajectory.quats[:, i])
        if body.kind in ("cloth", "soft"):
            moving, faces = trajectory.vertices[body.name], trajectory.faces[body.name]
            normals = vertex_normals(moving, faces)
            # A vertex without area has no normal, and formats want one of length 1.
            normals[np.linalg.norm(normals, axis=-1) < 0.5] = 0.0, 0.0, 1.0
            place, turn = np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]])
            out.append(Thing(body.name, body.material, moving, normals, faces, place, turn, body.kind == "cloth"))  # fmt: skip
            continue
        sides = {} if body.kind in ("mesh", "box") else {"sides": 48}
        vertices, normals, faces = creased(*body_triangles(body, **sides))
        out.append(Thing(body.name, body.material, vertices[None], normals[None], faces, place, turn))  # fmt: skip
    if scene.floor is not None:
        spread = (
            trajectory.positions.reshape(-1, 3)[:, :2] if len(scene.bodies) else np.zeros((1, 2))
        )
        low, high = spread.min(0).clip(-50, 50) - FLOOR, spread.max(0).clip(-50, 50) + FLOOR
        z = scene.floor.height
        corners = np.array([(low[0], low[1], z), (high[0], low[1], z), (high[0], high[1], z), (low[0], high[1], z)])  # fmt: skip
        up = np.tile([0.0, 0, 1], (1, 4, 1))
        taken = {t.name for t in out}
        name = "floor" if "floor" not in taken else "floor_"
        out.append(Thing(name, scene.floor.material, corners[None], up, np.array([[0, 1, 2], [0, 2, 3]]), np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]])))  # fmt: skip
    return _patterned(scene, trajectory, out)


def _patterned(scene: Any, trajectory: Trajectory, found: list[Thing]) -> list[Thing]:
    """The same things, those with a pattern with its texture; the floor, if there is one, is last."""
    if all(t.material.texture == "plain" for t in found):
        return found
    world = make_world(scene, trajectory)
    out = []
    for i, thing in enumerate(found):
        body = i < len(scene.bodies)
        if thing.material.texture == "plain":
            out.append(thing)
            continue
        skin = bake(
            thing.vertices[0], thing.normals[0], thing.faces, world.looks[i],
            kind=int(world.kinds[i]) if body else -1, size=world.sizes[i] if body else np.zeros(3),
            flat=body and scene.bodies[i].kind == "mesh",
        )  # fmt: skip
        vertices, normals = thing.vertices[:, skin.order], thing.normals[:, skin.order]
        cut = replace(thing, vertices=vertices, normals=normals, faces=skin.faces)
        out.append(replace(cut, uvs=skin.uvs, png=skin.png))
    return out


def creased(vertices: Any, faces: Any) -> tuple[Any, Any, Any]:
    """A mesh whose vertices are split at sharp edges: vertices, normals, faces.

    >>> from clay4d.physics_baseline.spec import Box
    >>> creased(*body_triangles(Box(name="a")))[0].shape
    (24, 3)
    """
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-20)
    around: list[list[int]] = [[] for _ in vertices]
    for f, corners in enumerate(faces.tolist()):
        for v in corners:
            around[v].append(f)
    places: dict[tuple[int, ...], int] = {}
    split: list[Any] = []
    normals: list[Any] = []
    out = np.zeros_like(faces)
    for f, corners in enumerate(faces.tolist()):
        for k, v in enumerate(corners):
            near = [g for g in around[v] if unit[g] @ unit[f] > CREASE]
            total = flat[near].sum(0)
            n = total / max(float(np.linalg.norm(total)), 1e-20)
            key = (v, *np.rint(n * 1e4).astype(int).tolist())
            if key not in places:
                places[key] = len(split)
                split.append(vertices[v])
                normals.append(n)
            out[f, k] = places[key]
    return np.array(split), np.array(normals), out
