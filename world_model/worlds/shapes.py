"""Triangles with normals for drawing: round things smooth, edges sharp."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

SIDES, RINGS = 20, 6
"""Around a round body, and from a cap's rim to its tip."""

Parts = tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]


def shape_mesh(body: Any) -> Parts:
    """Vertices, normals and triangles of a rigid body in its own axes.

    >>> from clay4d.physics_baseline.spec import Box
    >>> vertices, normals, faces = shape_mesh(Box(name="b", size=(1, 1, 2)))
    >>> len(faces), float(vertices[:, 2].max())
    (12, 1.0)
    """
    if body.kind == "sphere":
        return _lathe(_arc(body.radius, 0.0))
    if body.kind == "capsule":
        return _lathe(_arc(body.radius, body.height / 2))
    if body.kind == "cylinder":
        return _lathe(_can(body.radius, body.height / 2))
    if body.kind == "box":
        return _box(body.size)
    return flat_mesh(np.array(body.vertices, float), np.array(body.faces, int))


def flat_mesh(vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> Parts:
    """The same triangles, each with three vertices and one normal of its own."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    count = 3 * len(faces)
    return corners.reshape(-1, 3), np.repeat(normal, 3, 0), np.arange(count).reshape(-1, 3)


def _box(size: Any) -> Parts:
    half = np.array(size) / 2
    vertices: list[np.ndarray] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            start = len(vertices)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[axis], corner[u], corner[v] = sign, a * sign, b
                vertices.append(corner * half)
            faces += [(start, start + 1, start + 2), (start, start + 2, start + 3)]
    return flat_mesh(np.array(vertices), np.array(faces))


def _arc(radius: float, half: float) -> list[list[tuple[float, float, float, float]]]:
    """Profile (r, z, normal r, normal z) from the lower tip to the upper one."""
    out = []
    for sign, angles in ((-1, np.linspace(-90, 0, RINGS + 1)), (1, np.linspace(0, 90, RINGS + 1))):
        for a in np.radians(angles):
            c, s = math.cos(a), math.sin(a)
            out.append((radius * c, radius * s + sign * half, c, s))
    return [out]


def _can(radius: float, half: float) -> list[list[tuple[float, float, float, float]]]:
    return [
        [(0.0, -half, 0, -1), (radius, -half, 0, -1)],
        [(radius, -half, 1, 0), (radius, half, 1, 0)],
        [(radius, half, 0, 1), (0.0, half, 0, 1)],
    ]


def _lathe(profiles: list[list[tuple[float, float, float, float]]]) -> Parts:
    """Profiles turned about z; each keeps its own normals."""
    vertices: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    faces: list[tuple[int, int, int]] = []
    turns = 2 * np.pi * np.arange(SIDES) / SIDES
    cos, sin = np.cos(turns), np.sin(turns)
    for profile in profiles:
        for k, (r, z, nr, nz) in enumerate(profile):
            start = len(vertices) * SIDES
            vertices.append(np.stack([r * cos, r * sin, np.full(SIDES, z)], -1))
            normals.append(np.stack([nr * cos, nr * sin, np.full(SIDES, float(nz))], -1))
            if k:
                for i in range(SIDES):
                    j = (i + 1) % SIDES
                    a, b, c, d = start - SIDES + i, start - SIDES + j, start + j, start + i
                    faces += [(a, b, c), (a, c, d)]
    return np.concatenate(vertices), np.concatenate(normals), np.array(faces)
