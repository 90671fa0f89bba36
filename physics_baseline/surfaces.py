"""Triangles of the spec's shapes, for what has no use for exact ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Int

ROUND = 32
"""Sides of a circle."""


def body_triangles(
    body: Any, *, sides: int = ROUND
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """A rigid body's surface in its own axes; corners run counter-clockwise seen from outside.

    >>> from clay4d.physics_baseline.spec import Box
    >>> vertices, faces = body_triangles(Box(name="a"))
    >>> vertices.shape, faces.shape
    ((8, 3), (12, 3))
    """
    if body.kind == "mesh":
        return np.array(body.vertices, float), np.array(body.faces)
    if body.kind == "box":
        corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
        faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
        return corners * np.array(body.size) / 2, np.array(faces)
    if body.kind == "cylinder":
        r, h = body.radius, body.height / 2
        return _lathe(np.array([(0.0, -h), (r, -h), (r, h), (0.0, h)]), sides)
    half = body.height / 2 if body.kind == "capsule" else 0.0
    steps = sides // 2
    angle = np.linspace(-math.pi / 2, math.pi / 2, steps + 1)
    profile = np.stack([body.radius * np.cos(angle), body.radius * np.sin(angle)], 1)
    profile[[0, -1], 0] = 0.0
    if half:
        middle = (steps + 1) // 2
        lower, upper = profile[: middle + 1] - (0, half), profile[middle:] + (0, half)
        profile = np.concatenate([lower, upper])
    return _lathe(profile, sides)


def vertex_normals(
    vertices: Float[np.ndarray, "T V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "T V 3"]:
    """Of each vertex, the mean of its triangles' normals by their areas; zero where there is none.

    >>> square = np.array([[(0.0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]])
    >>> vertex_normals(square, np.array([[0, 1, 2], [0, 2, 3]]))[0, 0].tolist()
    [0.0, 0.0, 1.0]
    """
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    normals, flat = np.zeros_like(vertices), np.cross(b - a, c - a)
    for k in range(3):
        for t in range(len(vertices)):
            np.add.at(normals[t], faces[:, k], flat[t])
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    unit: Float[np.ndarray, "T V 3"] = normals / np.maximum(length, 1e-12)
    return unit


def _lathe(profile: Any, sides: int) -> tuple[Any, Any]:
    """A profile of radii and heights, from the axis to the axis, turned about z."""
    angle = np.arange(sides) / sides * 2 * math.pi
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    inner = profile[1:-1]
    rows = np.concatenate([r * ring for r, _ in inner])
    heights = np.repeat(inner[:, 1], sides)
    vertices = np.concatenate(
        [[(0, 0, profile[0, 1])], np.column_stack([rows, heights]), [(0, 0, profile[-1, 1])]]
    )
    faces, last = [], len(vertices) - 1
    for k in range(sides):
        after = (k + 1) % sides
        faces.append((0, 1 + after, 1 + k))
        for row in range(len(inner) - 1):
            a, b = 1 + row * sides + k, 1 + row * sides + after
            faces += [(a, b, b + sides), (a, b + sides, a + sides)]
        top = 1 + (len(inner) - 1) * sides
        faces.append((top + k, top + after, last))
    return vertices, np.array(faces)
