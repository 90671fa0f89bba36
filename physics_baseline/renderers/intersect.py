"""Rays against spheres, boxes, cylinders, capsules and meshes, in the body's axes.

Every function gives the distance in units of the direction's length, `FAR` for a miss, and the
outward normal; only the nearest hit beyond `low` counts.
"""

from __future__ import annotations

import math

from clay4d.jit import fused

FAR = 1e30


@fused
def hit_sphere(ox, oy, oz, dx, dy, dz, r, low):  # type: ignore[no-untyped-def]
    """A sphere about the origin; the direction has length 1."""
    b = ox * dx + oy * dy + oz * dz
    # The distance of the line from the centre, without the cancellation of b² − c.
    qx, qy, qz = ox - b * dx, oy - b * dy, oz - b * dz
    inside = r * r - (qx * qx + qy * qy + qz * qz)
    if inside <= 0:
        return FAR, 0.0, 0.0, 1.0
    root = math.sqrt(inside)
    t = -b - root
    if t <= low:
        t = -b + root
    if t <= low:
        return FAR, 0.0, 0.0, 1.0
    return t, (ox + t * dx) / r, (oy + t * dy) / r, (oz + t * dz) / r


@fused
def hit_box(ox, oy, oz, dx, dy, dz, hx, hy, hz, low):  # type: ignore[no-untyped-def]
    """A box about the origin with half edges hx, hy, hz."""
    near, far, axis_near, axis_far = -FAR, FAR, 0, 0
    for k in range(3):
        o = ox if k == 0 else (oy if k == 1 else oz)
        d = dx if k == 0 else (dy if k == 1 else dz)
        h = hx if k == 0 else (hy if k == 1 else hz)
        if abs(d) < 1e-12:
            if abs(o) > h:
                return FAR, 0.0, 0.0, 1.0
            continue
        a, b = (-h - o) / d, (h - o) / d
        if a > b:
            a, b = b, a
        if a > near:
            near, axis_near = a, k
        if b < far:
            far, axis_far = b, k
    if near > far:
        return FAR, 0.0, 0.0, 1.0
    t, axis, side = near, axis_near, -1.0
    if t <= low:
        t, axis, side = far, axis_far, 1.0
    if t <= low:
        return FAR, 0.0, 0.0, 1.0
    d = dx if axis == 0 else (dy if axis == 1 else dz)
    n = side if d > 0 else -side
    return t, n if axis == 0 else 0.0, n if axis == 1 else 0.0, n if axis == 2 else 0.0


@fused
def hit_tube(ox, oy, oz, dx, dy, dz, r, h, low):  # type: ignore[no-untyped-def]
    """The side of a cylinder about z with half height h."""
    best, nx, ny, nz = FAR, 0.0, 0.0, 1.0
    a = dx * dx + dy * dy
    if a > 1e-14:
        b = ox * dx + oy * dy
        c = ox * ox + oy * oy - r * r
        inside = b * b - a * c
        if inside > 0:
            root = math.sqrt(inside)
            for t in ((-b - root) / a, (-b + root) / a):
                if low < t < best and abs(oz + t * dz) <= h:
                    best = t
                    nx, ny, nz = (ox + t * dx) / r, (oy + t * dy) / r, 0.0
    return best, nx, ny, nz


@fused
def hit_cylinder(ox, oy, oz, dx, dy, dz, r, h, low):  # type: ignore[no-untyped-def]
    """A cylinder about z with half height h."""
    best, nx, ny, nz = hit_tube(ox, oy, oz, dx, dy, dz, r, h, low)
    if abs(dz) > 1e-14:
        for cap in (-h, h):
            t = (cap - oz) / dz
            x, y = ox + t * dx, oy + t * dy
            if low < t < best and x * x + y * y <= r * r:
                best = t
                nx, ny, nz = 0.0, 0.0, 1.0 if cap > 0 else -1.0
    return best, nx, ny, nz


@fused
def hit_capsule(ox, oy, oz, dx, dy, dz, r, h, low):  # type: ignore[no-untyped-def]
    """A cylinder about z with half height h and half balls on its ends."""
    best, nx, ny, nz = hit_tube(ox, oy, oz, dx, dy, dz, r, h, low)
    for end in (-h, h):
        pz = oz - end
        b = ox * dx + oy * dy + pz * dz
        c = ox * ox + oy * oy + pz * pz - r * r
        inside = b * b - c
        if inside <= 0:
            continue
        root = math.sqrt(inside)
        for t in (-b - root, -b + root):
            z = pz + t * dz
            if low < t < best and z * end >= 0:
                best = t
                nx, ny, nz = (ox + t * dx) / r, (oy + t * dy) / r, z / r
    return best, nx, ny, nz


@fused
def hit_mesh(ox, oy, oz, dx, dy, dz, low, node0, vertex0, boxes, links, vertices, triangles):  # type: ignore[no-untyped-def]
    """Triangles in a tree (Möller and Trumbore 1997): also which one, and its two coordinates.

    Both sides count; the normal is that of the triangle's turn, not normalised towards the ray.
    """
    best, hit, hit_u, hit_v = FAR, -1, 0.0, 0.0
    ix = 1 / dx if abs(dx) > 1e-14 else math.copysign(1e14, dx)
    iy = 1 / dy if abs(dy) > 1e-14 else math.copysign(1e14, dy)
    iz = 1 / dz if abs(dz) > 1e-14 else math.copysign(1e14, dz)
    node, end = node0, node0 + links[node0, 0]
    while node < end:
        a, b = (boxes[node, 0] - ox) * ix, (boxes[node, 3] - ox) * ix
        near, far = min(a, b), max(a, b)
        a, b = (boxes[node, 1] - oy) * iy, (boxes[node, 4] - oy) * iy
        near, far = max(near, min(a, b)), min(far, max(a, b))
        a, b = (boxes[node, 2] - oz) * iz, (boxes[node, 5] - oz) * iz
        near, far = max(near, min(a, b)), min(far, max(a, b))
        if near > far + 1e-9 or far < low or near > best:
            node = node0 + links[node, 0]
            continue
        first = links[node, 1]
        for f in range(first, first + links[node, 2]):
            i, j, k = (vertex0 + triangles[f, 0], vertex0 + triangles[f, 1],
                       vertex0 + triangles[f, 2])  # fmt: skip
            px, py, pz = vertices[i, 0], vertices[i, 1], vertices[i, 2]
            ex, ey, ez = vertices[j, 0] - px, vertices[j, 1] - py, vertices[j, 2] - pz
            gx, gy, gz = vertices[k, 0] - px, vertices[k, 1] - py, vertices[k, 2] - pz
            cx, cy, cz = dy * gz - dz * gy, dz * gx - dx * gz, dx * gy - dy * gx
            det = ex * cx + ey * cy + ez * cz
            if abs(det) < 1e-16:
                continue
            sx, sy, sz = ox - px, oy - py, oz - pz
            u = (sx * cx + sy * cy + sz * cz) / det
            if u < -1e-9 or u > 1 + 1e-9:
                continue
            qx, qy, qz = sy * ez - sz * ey, sz * ex - sx * ez, sx * ey - sy * ex
            v = (dx * qx + dy * qy + dz * qz) / det
            if v < -1e-9 or u + v > 1 + 1e-9:
                continue
            t = (gx * qx + gy * qy + gz * qz) / det
            if low < t < best:
                best, hit, hit_u, hit_v = t, f, u, v
        node += 1
    return best, hit, hit_u, hit_v
