"""The light that comes back along a ray: lamps with soft shadows, sky, ground, gloss, glass."""

from __future__ import annotations

import math

import numpy as np

from clay4d.jit import device, fused
from clay4d.physics_baseline.renderers.intersect import FAR
from clay4d.physics_baseline.renderers.texture import pattern
from clay4d.physics_baseline.renderers.trace import (
    FLOOR,
    NOTHING,
    hit_object,
    into_body,
    nearest,
)
from clay4d.physics_baseline.renderers.world import LAMP_RADIUS, PLAIN, SUN, SUN_RADIUS

EPS = 1e-4
RAYS = 16
"""Towards a light, spread over its disc as a sunflower's seeds (Vogel 1979)."""
GOLDEN = 2.399963229728653


@fused
def blocked(world, frame, chosen, count, px, py, pz, dx, dy, dz, far):  # type: ignore[no-untyped-def]
    """Share of the light that gets through along a ray of length `far`."""
    through = 1.0
    for c in range(count):
        i = chosen[c]
        t, _, _, _, _, _, _ = hit_object(world, frame, i, px, py, pz, dx, dy, dz, EPS)
        if t < far:
            through *= 1 - world.looks[i, 10]
            if through < 1e-3:
                return 0.0
    return through


@fused
def visibility(world, frame, px, py, pz, lx, ly, lz, far, slope, chosen):  # type: ignore[no-untyped-def]
    """Share of a light's disc that a point sees; `slope` is its radius over its distance."""
    count = 0
    for i in range(len(world.kinds)):
        sphere = world.spheres[frame, i]
        x, y, z = sphere[0] - px, sphere[1] - py, sphere[2] - pz
        along = x * lx + y * ly + z * lz
        reach = sphere[3] + slope * max(along, 0.0)
        square = x * x + y * y + z * z
        if square <= sphere[3] * sphere[3] or (
            along > 0 and square - along * along <= reach * reach
        ):
            chosen[count] = i
            count += 1
    if count == 0:
        return 1.0
    # Two directions across the light's.
    if abs(lz) < 0.9:
        ax, ay, az = ly, -lx, 0.0
    else:
        ax, ay, az = 0.0, lz, -ly
    length = math.sqrt(ax * ax + ay * ay + az * az)
    ax, ay, az = ax / length, ay / length, az / length
    bx, by, bz = ly * az - lz * ay, lz * ax - lx * az, lx * ay - ly * ax
    total = 0.0
    for s in range(RAYS):
        # The outermost first: where four of them agree with each other the rest are left out.
        k = RAYS - 1 - s
        radius = slope * math.sqrt((k + 0.5) / RAYS)
        u, v = radius * math.cos(GOLDEN * k), radius * math.sin(GOLDEN * k)
        dx, dy, dz = lx + u * ax + v * bx, ly + u * ay + v * by, lz + u * az + v * bz
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        total += blocked(
            world, frame, chosen, count, px, py, pz, dx / length, dy / length, dz / length, far
        )
        if s == 4 and (total <= 1e-6 or total >= 5 - 1e-6):
            return total / 5
    return total / RAYS


@fused
def openness(world, frame, thing, px, py, pz, nx, ny, nz):  # type: ignore[no-untyped-def]
    """Share of the sky that things nearby leave over, each as a ball of its volume."""
    share = 1.0
    for i in range(len(world.kinds)):
        r = world.blockers[i]
        if i == thing or r <= 0:
            continue
        sphere = world.spheres[frame, i]
        x, y, z = sphere[0] - px, sphere[1] - py, sphere[2] - pz
        square = x * x + y * y + z * z
        if square > 36 * r * r:
            continue
        distance = math.sqrt(square)
        facing = (x * nx + y * ny + z * nz) / distance
        near = min(1.0, r * r / max(square, 1e-12))
        # Part of the ball may stand below the surface's horizon.
        share *= 1 - 0.85 * near * min(1.0, max(0.0, facing + 0.25 * near) / (1 + 0.25 * near))
    if thing != FLOOR and world.floor[0] > 0:
        # Close to the ground what faces down sees little light.
        height = max(0.0, pz - world.floor[1])
        down = max(0.0, -nz)
        share *= 1 - 0.6 * down / (1 + 8 * height)
    return max(0.12, share)


@fused
def surface(world, frame, thing, px, py, pz, nx, ny, nz, width):  # type: ignore[no-untyped-def]
    """The colour of a point of a thing."""
    look = world.looks[thing] if thing >= 0 else world.looks[len(world.kinds)]
    if look[6] == PLAIN:
        return look[0], look[1], look[2]
    if thing >= 0:
        R, place = world.turns[frame, thing], world.places[frame, thing]
        x, y, z = into_body(R, px - place[0], py - place[1], pz - place[2])
        ax, ay, az = into_body(R, nx, ny, nz)
        share = pattern(
            look[6], world.kinds[thing], look[7], world.sizes[thing], x, y, z, ax, ay, az, width
        )
    else:
        share = pattern(look[6], -1, look[7], world.floor, px, py, pz, nx, ny, nz, width)
    rest = 1 - share
    return (
        share * look[0] + rest * look[3],
        share * look[1] + rest * look[4],
        share * look[2] + rest * look[5],
    )


@fused
def sky(world, dz):  # type: ignore[no-untyped-def]
    """Light of the surroundings where nothing is: the background, brighter overhead."""
    up = 1 + 0.35 * max(0.0, dz)
    return up * world.background[0], up * world.background[1], up * world.background[2]


@fused
def lit(world, frame, thing, px, py, pz, nx, ny, nz, dx, dy, dz, width, chosen, rich):  # type: ignore[no-untyped-def]
    """Light that a point sends back against the direction d, without mirrored things.

    Lambert's diffuse light, and a gloss of Blinn (1977) of the lamps alone.
    """
    cr, cg, cb = surface(world, frame, thing, px, py, pz, nx, ny, nz, width)
    look = world.looks[thing] if thing >= 0 else world.looks[len(world.kinds)]
    rough, metal = look[8], look[9]
    diffuse = 1 - 0.85 * metal
    # Light from above and, dimmer, from the ground.
    above = 0.5 + 0.5 * nz
    share = openness(world, frame, thing, px, py, pz, nx, ny, nz)
    ar, ag, ab = 0.0, 0.0, 0.0
    floor = world.looks[len(world.kinds)]
    for k in range(3):
        under = (0.45 * floor[k] + 0.2) if world.floor[0] > 0 else 1.0
        light = world.ambient[k] * share * (above + (1 - above) * under)
        if k == 0:
            ar = light
        elif k == 1:
            ag = light
        else:
            ab = light
    sr, sg, sb = 0.0, 0.0, 0.0
    power = 2 / max(0.02, rough * rough) - 1
    for n in range(len(world.lights)):
        light = world.lights[n]
        if light[0] == SUN:
            lx, ly, lz, far, slope, fall = light[1], light[2], light[3], FAR, SUN_RADIUS, 1.0
        else:
            lx, ly, lz = light[1] - px, light[2] - py, light[3] - pz
            far = max(1e-3, math.sqrt(lx * lx + ly * ly + lz * lz))
            lx, ly, lz = lx / far, ly / far, lz / far
            slope, fall = LAMP_RADIUS / far, 1 / (far * far)
        facing = nx * lx + ny * ly + nz * lz
        if facing <= 0:
            continue
        seen = fall
        if rich:
            seen *= visibility(
                world, frame, px + EPS * nx, py + EPS * ny, pz + EPS * nz, lx, ly, lz, far, slope, chosen
            )  # fmt: skip
        if seen <= 0:
            continue
        ar += seen * facing * light[4]
        ag += seen * facing * light[5]
        ab += seen * facing * light[6]
        hx, hy, hz = lx - dx, ly - dy, lz - dz
        length = math.sqrt(hx * hx + hy * hy + hz * hz)
        half = max(0.0, (nx * hx + ny * hy + nz * hz) / max(length, 1e-9))
        gloss = seen * facing * (power + 2) / 8 * half**power * (1 - rough)
        sr += gloss * light[4]
        sg += gloss * light[5]
        sb += gloss * light[6]
    base = 0.04 * (1 - metal)
    return (
        diffuse * cr * ar + (base + metal * cr) * sr,
        diffuse * cg * ag + (base + metal * cg) * sg,
        diffuse * cb * ab + (base + metal * cb) * sb,
    )


@fused
def faded(world, distance):  # type: ignore[no-untyped-def]
    """How much of the floor has gone over into the background at a distance, 0 to 1."""
    x = (distance - world.fade[0]) / (world.fade[1] - world.fade[0])
    x = min(1.0, max(0.0, x))
    return x * x * (3 - 2 * x)


@device
def mirrored(world, frame, px, py, pz, dx, dy, dz, spread, chosen, every):  # type: ignore[no-untyped-def]
    """Light that comes from a mirrored direction: things with plain light, floor, sky."""
    n = len(world.kinds)
    t, thing, nx, ny, nz, _, _, _ = nearest(world, frame, every, n, px, py, pz, dx, dy, dz, EPS)
    sr, sg, sb = sky(world, dz)
    if thing == NOTHING:
        return sr, sg, sb
    qx, qy, qz = px + t * dx, py + t * dy, pz + t * dz
    width = spread * t + 1e-4
    r, g, b = lit(world, frame, thing, qx, qy, qz, nx, ny, nz, dx, dy, dz, width, chosen, t < 3.0)
    if thing == FLOOR:
        f = faded(world, t)
        r, g, b = r + f * (sr - r), g + f * (sg - g), b + f * (sb - b)
    return r, g, b


@fused
def radiance(world, frame, thing, t, px, py, pz, nx, ny, nz, dx, dy, dz, width, chosen, every):  # type: ignore[no-untyped-def]
    """Light back along a ray that met `thing` at p, a distance t away."""
    r, g, b = lit(world, frame, thing, px, py, pz, nx, ny, nz, dx, dy, dz, width, chosen, True)
    look = world.looks[thing] if thing >= 0 else world.looks[len(world.kinds)]
    rough, metal = look[8], look[9]
    if thing == FLOOR:
        f = faded(world, t)
        return (
            r + f * (world.background[0] - r), g + f * (world.background[1] - g),
            b + f * (world.background[2] - b),
        )  # fmt: skip
    if rough < 0.75 or metal > 0:
        facing = -(dx * nx + dy * ny + dz * nz)
        mx, my, mz = dx + 2 * facing * nx, dy + 2 * facing * ny, dz + 2 * facing * nz
        if rough < 0.5:
            mr, mg, mb = mirrored(
                world, frame, px + EPS * nx, py + EPS * ny, pz + EPS * nz, mx, my, mz,
                0.01 + 0.3 * rough, chosen, every,
            )  # fmt: skip
        else:
            mr, mg, mb = sky(world, mz)
            if mz < 0 and world.floor[0] > 0:
                floor = world.looks[len(world.kinds)]
                mr, mg, mb = 0.8 * floor[0], 0.8 * floor[1], 0.8 * floor[2]
        # Schlick's Fresnel term, less for what is rough.
        edge = (1 - max(0.0, facing)) ** 5 * (1 - rough)
        base = (1 - rough) * (1 - 0.5 * rough)
        plain = (0.04 + 0.96 * edge) * base * (1 - metal)
        cr, cg, cb = surface(world, frame, thing, px, py, pz, nx, ny, nz, width)
        metal *= 0.4 + 0.6 * (1 - rough)
        r = r * (1 - plain) + mr * (plain + metal * (cr + (1 - cr) * edge))
        g = g * (1 - plain) + mg * (plain + metal * (cg + (1 - cg) * edge))
        b = b * (1 - plain) + mb * (plain + metal * (cb + (1 - cb) * edge))
    return r, g, b


@fused
def tone(x):  # type: ignore[no-untyped-def]
    """Linear light to sRGB 0–1; above 0.8 it bends over softly instead of burning out."""
    x = max(0.0, x)
    if x > 0.8:
        x = 0.8 + 0.2 * (1 - math.exp(-(x - 0.8) / 0.2))
    return 12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055


@fused
def scratch(n):  # type: ignore[no-untyped-def]
    """Room for a list of n objects."""
    return np.empty(max(n, 1), np.int64)
