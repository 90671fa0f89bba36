"""Patterns of materials as pictures: a mesh is cut into flat charts, which share one texture.

Round and boxy shapes are charted by the six ways their faces look, free meshes by their planes; each chart
is seen straight on. A floor whose pattern repeats has one period of it, which tiles. A cloth's or soft body's
pattern is that of its first frame and sticks to it from there.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import imageio.v3 as iio
import numpy as np
from jaxtyping import Float, Int

from clay4d.jit import device
from clay4d.physics_baseline.renderers.texture import shares
from clay4d.physics_baseline.renderers.world import CHECKER, DOTS, STRIPES
from clay4d.scenes.colours import srgb

SIDE, TILE = 512, 128
"""Texels along an edge of a texture, and of a floor's tile."""
PAD = 2
"""Texels around each chart that repeat its edge."""


@dataclass(frozen=True)
class Skin:
    """A mesh's texture: which old vertex each new one is, faces of new ones, and where they are in it."""

    order: Int[np.ndarray, " V"]
    faces: Int[np.ndarray, "F 3"]
    uvs: Float[np.ndarray, "V 2"]
    """0 to 1 from the upper left corner; beyond, the texture repeats."""
    png: bytes
    """sRGB, 8 bits."""


def bake(
    vertices: Float[np.ndarray, "V 3"], normals: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"], look: Any, *, kind: int, size: Any, flat: bool = False,
) -> Skin:  # fmt: skip
    """A mesh's pattern as a texture.

    Args:
        vertices: in the axes of the pattern, metres.
        normals: of the vertices.
        look: a row of `World.looks`.
        kind: of the shape, as in `World.kinds`; −1: a floor at z = 0 whose pattern may tile.
        size: of the shape, as in `World.sizes`.
        flat: chart by planes; else by the six ways that faces look.

    >>> from clay4d.physics_baseline.renderers.world import CHECKER
    >>> corners = np.array([(0.0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0)])
    >>> look = np.array([1.0, 1, 1, 0, 0, 0, CHECKER, 0.5, 1, 0, 1])
    >>> up = np.tile([0.0, 0, 1], (4, 1))
    >>> skin = bake(corners, up, np.array([[0, 1, 2], [0, 2, 3]]), look, kind=-1, size=np.zeros(3))
    >>> skin.uvs.tolist()
    [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
    """
    if kind == -1 and look[6] in (CHECKER, DOTS, STRIPES):
        return _tiled(vertices, faces, look)
    chart = _charts(vertices, faces, flat=flat)
    order, new_faces, of_vertex = _split(faces, chart)
    flat_at, extents = _laid_flat(vertices, faces, chart, order, of_vertex)
    scale, corner = _packed(extents)
    texels = flat_at * scale + corner[of_vertex] + PAD
    points, ways, covered = _raster(texels, vertices[order], normals[order], new_faces)
    picture = np.zeros((SIDE, SIDE, 3))
    colours = _colours(look, kind, size, points[covered], ways[covered], 1 / scale)
    picture[:] = colours.mean(0)
    picture[covered] = colours
    return Skin(order, new_faces, texels / SIDE, _png(picture))


def _tiled(vertices: Any, faces: Any, look: Any) -> Skin:
    period = 2 * float(look[7])
    at = (np.arange(TILE) + 0.5) / TILE * period
    x, y = np.meshgrid(at, at)
    points = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    up = np.tile([0.0, 0, 1], (len(points), 1))
    colours = _colours(look, -1, np.zeros(3), points, up, period / TILE).reshape(TILE, TILE, 3)
    return Skin(np.arange(len(vertices)), faces, vertices[:, :2] / period, _png(colours))


def _colours(look: Any, kind: int, size: Any, points: Any, normals: Any, width: float) -> Any:
    """Linear colours [N, 3] of points of the surface."""
    share = shares(look[6], kind, look[7], np.asarray(size, float), points, normals, width)
    return share[:, None] * look[:3] + (1 - share[:, None]) * look[3:6]


def _png(picture: Any) -> bytes:
    out = io.BytesIO()
    iio.imwrite(out, np.rint(255 * srgb(picture)).astype(np.uint8), extension=".png")
    return out.getvalue()


def _charts(vertices: Any, faces: Any, *, flat: bool) -> Any:
    """The chart of each face, counted from 0."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    n = np.cross(b - a, c - a)
    n /= np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-20)
    if flat:
        keys = np.rint(np.column_stack([n, (n * a).sum(1)]) * 1e3)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    axis = np.abs(n).argmax(1)
    way = 2 * axis + (n[np.arange(len(n)), axis] < 0)
    return np.unique(way, return_inverse=True)[1].reshape(-1)


def _split(faces: Any, chart: Any) -> tuple[Any, Any, Any]:
    """Vertices once per chart: the old index of each, faces of new ones, and the chart of each."""
    pairs = np.column_stack([np.repeat(chart, 3), faces.ravel()])
    found, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return found[:, 1], inverse.reshape(-1, 3), found[:, 0]


def _laid_flat(vertices: Any, faces: Any, chart: Any, order: Any, of_vertex: Any) -> tuple[Any, Any]:  # fmt: skip
    """Vertices on their chart's plane from its lower corner [V, 2], and charts' extents [K, 2], metres."""
    flat, extents = np.zeros((len(order), 2)), []
    for k in range(int(chart.max()) + 1):
        a, b, c = (vertices[faces[chart == k][:, j]] for j in range(3))
        n = np.cross(b - a, c - a).sum(0)
        n /= max(float(np.linalg.norm(n)), 1e-20)
        along = np.eye(3)[(int(np.abs(n).argmax()) + 1) % 3]
        u = along - (along @ n) * n
        u /= np.linalg.norm(u)
        mine = of_vertex == k
        at = vertices[order[mine]] @ np.stack([u, np.cross(n, u)], 1)
        flat[mine] = at - at.min(0)
        extents.append(np.ptp(at, axis=0))
    return flat, np.array(extents)


def _packed(extents: Any) -> tuple[float, Any]:
    """Texels per metre, and each chart's corner [K, 2] in texels: on shelves, tallest first."""
    rank = np.argsort(-extents[:, 1], kind="stable")
    low, high, best = 0.0, SIDE / max(float(extents.max()), 1e-9), None
    for _ in range(24):
        scale = (low + high) / 2
        corner, x, y, shelf = np.zeros_like(extents), 0, 0, 0
        for k in rank:
            w, h = np.ceil(extents[k] * scale).astype(int) + 2 * PAD + 1
            if x + w > SIDE:
                x, y, shelf = 0, y + shelf, 0
            corner[k], x, shelf = (x, y), x + w, max(shelf, h)
            if w > SIDE or y + h > SIDE:
                y = SIDE + 1
                break
        if y > SIDE:
            high = scale
        else:
            low, best = scale, corner
    if best is None:
        raise ValueError(
            f"texture got a mesh of {len(extents)} planes; expected fewer. Use the texture plain."
        )
    return low, best


def _raster(texels: Any, vertices: Any, normals: Any, faces: Any) -> tuple[Any, Any, Any]:
    """Points, unit normals [SIDE, SIDE, 3] and cover of the texels that triangles lie on or next to."""
    points, ways = np.zeros((SIDE, SIDE, 3)), np.zeros((SIDE, SIDE, 3))
    nearest = np.full((SIDE, SIDE), float(PAD))
    _cover(texels[faces], vertices[faces], normals[faces], points, ways, nearest)
    ways /= np.maximum(np.linalg.norm(ways, axis=-1, keepdims=True), 1e-12)
    return points, ways, nearest < PAD


@device
def _cover(texels, vertices, normals, points, ways, nearest):  # type: ignore[no-untyped-def]
    """Give each texel the point and normal of the triangle that it lies on or nearest to."""
    side = len(nearest)
    for f in range(len(texels)):
        (ax, ay), (bx, by), (cx, cy) = texels[f, 0], texels[f, 1], texels[f, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-12:
            continue
        for j in range(max(0, int(min(ay, by, cy)) - 2), min(side, int(max(ay, by, cy)) + 3)):
            for i in range(max(0, int(min(ax, bx, cx)) - 2), min(side, int(max(ax, bx, cx)) + 3)):
                x, y = i + 0.5, j + 0.5
                v = max(0.0, ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area)
                w = max(0.0, ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area)
                u = max(0.0, 1 - v - w)
                total = u + v + w
                u, v, w = u / total, v / total, w / total
                away = math.hypot(u * ax + v * bx + w * cx - x, u * ay + v * by + w * cy - y)
                if away < nearest[j, i]:
                    nearest[j, i] = away
                    for k in range(3):
                        t, n = vertices[f], normals[f]
                        points[j, i, k] = u * t[0, k] + v * t[1, k] + w * t[2, k]
                        ways[j, i, k] = u * n[0, k] + v * n[1, k] + w * n[2, k]
