"""The ray caster's two passes over pictures: every pixel once, then edges again with more rays."""

from __future__ import annotations

import math

import numba
import numpy as np

from clay4d.jit import device, fused, kernel
from clay4d.physics_baseline.renderers.intersect import FAR
from clay4d.physics_baseline.renderers.shade import radiance, scratch, tone
from clay4d.physics_baseline.renderers.trace import NOTHING, into_body, nearest, out_of_body

TILE = 16
EPS_RAY = 1e-4
LAYERS = 4
"""Of what can be seen through."""
SUBRAYS = 8
"""In a pixel on an edge, placed as Korobov's lattice of 8 points."""


@fused
def _ray(K, pose, x, y):  # type: ignore[no-untyped-def]
    """Direction through a point of the picture, and how far a step along it goes into the depth."""
    u, v = (x - K[0, 2]) / K[0, 0], (y - K[1, 2]) / K[1, 1]
    length = math.sqrt(u * u + v * v + 1)
    # The rows of a world-to-camera matrix are the camera's axes.
    dx = (u * pose[0, 0] + v * pose[1, 0] + pose[2, 0]) / length
    dy = (u * pose[0, 1] + v * pose[1, 1] + pose[2, 1]) / length
    dz = (u * pose[0, 2] + v * pose[1, 2] + pose[2, 2]) / length
    return dx, dy, dz, 1 / length


@device
def _colour(world, frame, tile, count, ox, oy, oz, dx, dy, dz, spread, chosen, every):  # type: ignore[no-untyped-def]
    """Colour along a ray through up to `LAYERS` see-through things, and the first solid hit."""
    r, g, b, left, low = 0.0, 0.0, 0.0, 1.0, EPS_RAY
    first = (FAR, NOTHING, 0.0, 0.0, 1.0, -1, 0.0, 0.0)
    for layer in range(LAYERS):
        hit = nearest(world, frame, tile, count, ox, oy, oz, dx, dy, dz, low)
        t, thing, nx, ny, nz, _, _, _ = hit
        if layer == 0 or (first[1] == NOTHING):
            first = hit
        if thing == NOTHING:
            r += left * world.background[0]
            g += left * world.background[1]
            b += left * world.background[2]
            break
        px, py, pz = ox + t * dx, oy + t * dy, oz + t * dz
        facing = max(0.08, abs(nx * dx + ny * dy + nz * dz))
        cr, cg, cb = radiance(
            world, frame, thing, t, px, py, pz, nx, ny, nz, dx, dy, dz, spread * t / facing, chosen, every
        )  # fmt: skip
        opacity = world.looks[thing, 10] if thing >= 0 else 1.0
        if layer == LAYERS - 1:
            opacity = 1.0
        r += left * opacity * cr
        g += left * opacity * cg
        b += left * opacity * cb
        left *= 1 - opacity
        if left < 0.01:
            break
        if opacity < 0.5:
            first = (FAR, NOTHING, 0.0, 0.0, 1.0, -1, 0.0, 0.0)
        low = t + 1e-4
    return r, g, b, first


@fused
def _first(world, frame, tile, count, ox, oy, oz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """What `_colour` calls the first hit, without its light: the first that is not nearly invisible."""
    low = EPS_RAY
    hit = nearest(world, frame, tile, count, ox, oy, oz, dx, dy, dz, low)
    for _ in range(LAYERS - 1):
        thing = hit[1]
        opacity = world.looks[thing, 10] if thing >= 0 else 1.0
        if thing == NOTHING or opacity >= 0.5:
            break
        low = hit[0] + 1e-4
        hit = nearest(world, frame, tile, count, ox, oy, oz, dx, dy, dz, low)
    return hit


@fused
def _choose(world, frame, K, pose, ox, oy, oz, x0, y0, x1, y1, chosen):  # type: ignore[no-untyped-def]
    """Objects whose bounding sphere a rectangle of the picture can see."""
    dx, dy, dz, _ = _ray(K, pose, 0.5 * (x0 + x1), 0.5 * (y0 + y1))
    least = 1.0
    for c in range(4):
        ex, ey, ez, _ = _ray(K, pose, x0 if c & 1 else x1, y0 if c & 2 else y1)
        least = min(least, ex * dx + ey * dy + ez * dz)
    cone = math.acos(max(-1.0, min(1.0, least))) + 1e-6
    count = 0
    for i in range(len(world.kinds)):
        s = world.spheres[frame, i]
        x, y, z = s[0] - ox, s[1] - oy, s[2] - oz
        distance = math.sqrt(x * x + y * y + z * z)
        if distance <= s[3] * 1.001:
            chosen[count] = i
            count += 1
            continue
        angle = math.acos(max(-1.0, min(1.0, (x * dx + y * dy + z * dz) / distance)))
        if angle <= cone + math.asin(min(1.0, s[3] / distance)):
            chosen[count] = i
            count += 1
    return count


@fused
def _flow(world, frame, after, thing, px, py, pz, triangle, u, v, K, pose):  # type: ignore[no-untyped-def]
    """Where a point of a thing is in the next frame's picture."""
    if thing >= 0:
        mesh = world.meshes[thing]
        if mesh[3] > 0:
            base = mesh[2] + after * mesh[3]
            i, j, k = (base + world.triangles[triangle, 0], base + world.triangles[triangle, 1],
                       base + world.triangles[triangle, 2])  # fmt: skip
            p, w = world.vertices, 1 - u - v
            px = w * p[i, 0] + u * p[j, 0] + v * p[k, 0]
            py = w * p[i, 1] + u * p[j, 1] + v * p[k, 1]
            pz = w * p[i, 2] + u * p[j, 2] + v * p[k, 2]
        else:
            a, b = world.places[frame, thing], world.places[after, thing]
            x, y, z = into_body(world.turns[frame, thing], px - a[0], py - a[1], pz - a[2])
            x, y, z = out_of_body(world.turns[after, thing], x, y, z)
            px, py, pz = x + b[0], y + b[1], z + b[2]
    cx = pose[0, 0] * px + pose[0, 1] * py + pose[0, 2] * pz + pose[0, 3]
    cy = pose[1, 0] * px + pose[1, 1] * py + pose[1, 2] * pz + pose[1, 3]
    cz = max(1e-6, pose[2, 0] * px + pose[2, 1] * py + pose[2, 2] * pz + pose[2, 3])
    return K[0, 0] * cx / cz + K[0, 2], K[1, 1] * cy / cz + K[1, 2]


@kernel
def cast(world, frames, Ks, poses, next_poses, lit, colours, depths, things, normals, flows):  # type: ignore[no-untyped-def]
    """One ray a pixel: linear colours if `lit`, depth along the axis, things + 2, normals, flow in pixels.

    `frames` [P] says which moment each of the P pictures is of; poses are world to camera.
    """
    pictures, height, width = depths.shape
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    for item in numba.prange(pictures * tiles_y * tiles_x):
        p, rest = item // (tiles_y * tiles_x), item % (tiles_y * tiles_x)
        top, left = rest // tiles_x * TILE, rest % tiles_x * TILE
        frame, K, pose, onward = frames[p], Ks[p], poses[p], next_poses[p]
        after = min(frame + 1, len(world.places) - 1)
        ox, oy, oz = _centre(pose)
        n = len(world.kinds)
        tile, chosen, every = scratch(n), scratch(n), np.arange(max(n, 1))
        bottom, right = min(top + TILE, height), min(left + TILE, width)
        count = _choose(world, frame, K, pose, ox, oy, oz, left, top, right, bottom, tile)
        for i in range(top, bottom):
            for j in range(left, right):
                dx, dy, dz, axis = _ray(K, pose, j + 0.5, i + 0.5)
                if lit:
                    r, g, b, hit = _colour(
                        world, frame, tile, count, ox, oy, oz, dx, dy, dz, axis / K[0, 0], chosen, every
                    )  # fmt: skip
                    colours[p, i, j, 0], colours[p, i, j, 1], colours[p, i, j, 2] = r, g, b
                else:
                    hit = _first(world, frame, tile, count, ox, oy, oz, dx, dy, dz)
                t, thing, nx, ny, nz, triangle, u, v = hit
                things[p, i, j] = thing + 2
                if thing == NOTHING:
                    depths[p, i, j] = 0.0
                    # Far away: only the camera's turning moves it.
                    t = 1e6
                else:
                    depths[p, i, j] = t * axis
                    normals[p, i, j, 0], normals[p, i, j, 1], normals[p, i, j, 2] = nx, ny, nz
                x, y = _flow(
                    world, frame, after, thing, ox + t * dx, oy + t * dy, oz + t * dz, triangle, u, v,
                    K, onward,
                )  # fmt: skip
                flows[p, i, j, 0], flows[p, i, j, 1] = x - (j + 0.5), y - (i + 0.5)


@fused
def _centre(pose):  # type: ignore[no-untyped-def]
    """The camera's place in the world."""
    x, y, z = pose[0, 3], pose[1, 3], pose[2, 3]
    return (
        -(pose[0, 0] * x + pose[1, 0] * y + pose[2, 0] * z),
        -(pose[0, 1] * x + pose[1, 1] * y + pose[2, 1] * z),
        -(pose[0, 2] * x + pose[1, 2] * y + pose[2, 2] * z),
    )


@fused
def _differs(colours, things, p, i, j, k, l):  # type: ignore[no-untyped-def]  # noqa: E741
    """Whether two pixels show different things or clearly different colours."""
    if things[p, i, j] != things[p, k, l]:
        return True
    for c in range(3):
        a, b = max(0.0, colours[p, i, j, c]), max(0.0, colours[p, k, l, c])
        if abs(a - b) > 0.02 + 0.1 * min(a, b):
            return True
    return False


@kernel
def smooth_edges(world, frames, Ks, poses, colours, things, images):  # type: ignore[no-untyped-def]
    """Write sRGB bytes; pixels that differ from a neighbour are the mean of `SUBRAYS` rays."""
    pictures, height, width = things.shape
    for item in numba.prange(pictures * height):
        p, i = item // height, item % height
        frame, K, pose = frames[p], Ks[p], poses[p]
        ox, oy, oz = _centre(pose)
        n = len(world.kinds)
        near, chosen, every = scratch(n), scratch(n), np.arange(max(n, 1))
        for j in range(width):
            r, g, b = colours[p, i, j, 0], colours[p, i, j, 1], colours[p, i, j, 2]
            edge = (i > 0 and _differs(colours, things, p, i, j, i - 1, j)) or (
                i < height - 1 and _differs(colours, things, p, i, j, i + 1, j)
            )
            edge = edge or (j > 0 and _differs(colours, things, p, i, j, i, j - 1)) or (
                j < width - 1 and _differs(colours, things, p, i, j, i, j + 1)
            )  # fmt: skip
            if not edge:
                images[p, i, j, 0] = int(255 * tone(r) + 0.5)
                images[p, i, j, 1] = int(255 * tone(g) + 0.5)
                images[p, i, j, 2] = int(255 * tone(b) + 0.5)
                continue
            count = _choose(world, frame, K, pose, ox, oy, oz, j, i, j + 1, i + 1, near)
            r = g = b = 0.0
            for s in range(SUBRAYS):
                x, y = j + (s + 0.5) / SUBRAYS, i + ((3 * s) % SUBRAYS + 0.5) / SUBRAYS
                dx, dy, dz, axis = _ray(K, pose, x, y)
                a, c, d, _ = _colour(
                    world, frame, near, count, ox, oy, oz, dx, dy, dz, 0.5 * axis / K[0, 0], chosen, every
                )  # fmt: skip
                # The mean of what is seen, so a bright light does not swallow its edge.
                r, g, b = r + tone(a), g + tone(c), b + tone(d)
            images[p, i, j, 0] = int(255 * r / SUBRAYS + 0.5)
            images[p, i, j, 1] = int(255 * g / SUBRAYS + 0.5)
            images[p, i, j, 2] = int(255 * b / SUBRAYS + 0.5)
