"""One ray through the whole scene."""

from __future__ import annotations

import math

from clay4d.jit import fused
from clay4d.physics_baseline.renderers.intersect import (
    FAR,
    hit_box,
    hit_capsule,
    hit_cylinder,
    hit_mesh,
    hit_sphere,
)
from clay4d.physics_baseline.renderers.world import BOX, CAPSULE, CYLINDER, SPHERE

NOTHING, FLOOR = -2, -1


@fused
def into_body(R, x, y, z):  # type: ignore[no-untyped-def]
    """A world vector in a body's axes; R is body to world, flat."""
    return (
        R[0] * x + R[3] * y + R[6] * z,
        R[1] * x + R[4] * y + R[7] * z,
        R[2] * x + R[5] * y + R[8] * z,
    )


@fused
def out_of_body(R, x, y, z):  # type: ignore[no-untyped-def]
    """A body's vector in the world's axes."""
    return (
        R[0] * x + R[1] * y + R[2] * z,
        R[3] * x + R[4] * y + R[5] * z,
        R[6] * x + R[7] * y + R[8] * z,
    )


@fused
def hit_object(world, frame, i, px, py, pz, dx, dy, dz, low):  # type: ignore[no-untyped-def]
    """Distance, normal in the world's axes, triangle and its coordinates of object i."""
    R = world.turns[frame, i]
    ox, oy, oz = into_body(
        R, px - world.places[frame, i, 0], py - world.places[frame, i, 1],
        pz - world.places[frame, i, 2],
    )  # fmt: skip
    bx, by, bz = into_body(R, dx, dy, dz)
    kind = world.kinds[i]
    size = world.sizes[i]
    triangle, u, v = -1, 0.0, 0.0
    if kind == SPHERE:
        t, nx, ny, nz = hit_sphere(ox, oy, oz, bx, by, bz, size[0], low)
    elif kind == BOX:
        t, nx, ny, nz = hit_box(ox, oy, oz, bx, by, bz, size[0], size[1], size[2], low)
    elif kind == CYLINDER:
        t, nx, ny, nz = hit_cylinder(ox, oy, oz, bx, by, bz, size[0], size[1], low)
    elif kind == CAPSULE:
        t, nx, ny, nz = hit_capsule(ox, oy, oz, bx, by, bz, size[0], size[1], low)
    else:
        mesh = world.meshes[i]
        vertex0 = mesh[2] + frame * mesh[3]
        t, triangle, u, v = hit_mesh(
            ox, oy, oz, bx, by, bz, low, mesh[0] + frame * mesh[1], vertex0, world.boxes, world.links,
            world.vertices, world.triangles,
        )  # fmt: skip
        nx, ny, nz = 0.0, 0.0, 1.0
        if triangle >= 0:
            nx, ny, nz = mesh_normal(world, vertex0, triangle, u, v)
            if nx * bx + ny * by + nz * bz > 0:  # Cloth is seen from both sides.
                nx, ny, nz = -nx, -ny, -nz
    nx, ny, nz = out_of_body(R, nx, ny, nz)
    return t, nx, ny, nz, triangle, u, v


@fused
def mesh_normal(world, vertex0, triangle, u, v):  # type: ignore[no-untyped-def]
    """Normal of a point on a triangle: of its vertices where the mesh is smooth, else its own."""
    i, j, k = (vertex0 + world.triangles[triangle, 0], vertex0 + world.triangles[triangle, 1],
               vertex0 + world.triangles[triangle, 2])  # fmt: skip
    w = 1 - u - v
    n = world.smooth
    nx = w * n[i, 0] + u * n[j, 0] + v * n[k, 0]
    ny = w * n[i, 1] + u * n[j, 1] + v * n[k, 1]
    nz = w * n[i, 2] + u * n[j, 2] + v * n[k, 2]
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    if length < 1e-6:
        p = world.vertices
        ex, ey, ez = p[j, 0] - p[i, 0], p[j, 1] - p[i, 1], p[j, 2] - p[i, 2]
        gx, gy, gz = p[k, 0] - p[i, 0], p[k, 1] - p[i, 1], p[k, 2] - p[i, 2]
        nx, ny, nz = ey * gz - ez * gy, ez * gx - ex * gz, ex * gy - ey * gx
        length = max(1e-30, math.sqrt(nx * nx + ny * ny + nz * nz))
    return nx / length, ny / length, nz / length


@fused
def meets_sphere(sphere, px, py, pz, dx, dy, dz):  # type: ignore[no-untyped-def]
    """Whether a ray comes within an object's bounding sphere."""
    x, y, z, r = sphere[0] - px, sphere[1] - py, sphere[2] - pz, sphere[3]
    along = x * dx + y * dy + z * dz
    square = x * x + y * y + z * z
    return square <= r * r or (along > 0 and square - along * along <= r * r)


@fused
def nearest(world, frame, chosen, count, px, py, pz, dx, dy, dz, low):  # type: ignore[no-untyped-def]
    """The nearest thing on a ray among the first `count` objects of `chosen`, and the floor.

    Gives distance, thing (an object, `FLOOR` or `NOTHING`), normal, triangle and its coordinates.
    """
    best, thing, nx, ny, nz, triangle, u, v = FAR, NOTHING, 0.0, 0.0, 1.0, -1, 0.0, 0.0
    if world.floor[0] > 0 and abs(dz) > 1e-12:
        t = (world.floor[1] - pz) / dz
        if t > low:
            best, thing, nz = t, FLOOR, 1.0 if dz < 0 else -1.0
    for c in range(count):
        i = chosen[c]
        if not meets_sphere(world.spheres[frame, i], px, py, pz, dx, dy, dz):
            continue
        t, ax, ay, az, f, a, b = hit_object(world, frame, i, px, py, pz, dx, dy, dz, low)
        if t < best:
            best, thing, nx, ny, nz, triangle, u, v = t, i, ax, ay, az, f, a, b
    return best, thing, nx, ny, nz, triangle, u, v
