"""What is done in every step between MuJoCo's own halves, compiled."""

from __future__ import annotations

import numpy as np

from clay4d.jit import device
from clay4d.physics_baseline.engines.forces import apply_forces
from clay4d.physics_baseline.engines.touches import note


@device
def mujoco_forces(  # type: ignore[no-untyped-def]
    xpos, xipos, xmat, cvel, subtree_com, rootid, ids, first, previous, dt,
    wind, drag, lift, constant, shapes, faces, face_rows, tether_bodies, tethers, intact, applied,
):  # fmt: skip
    """Put the fields' forces on bodies `ids`; gives their work over a step, joules.

    MuJoCo's velocities lag half a step behind its positions here, so they are carried forward by half
    of their last change, which `previous` [B, 3] remembers.
    """
    n = len(ids)
    origins, centres = np.empty((n, 3)), np.empty((n, 3))
    turns, speeds, spins = np.empty((n, 9)), np.empty((n, 3)), np.empty((n, 3))
    out = np.empty((n, 6))
    for i in range(n):
        b = ids[i]
        root = rootid[b]
        wx, wy, wz = cvel[b, 0], cvel[b, 1], cvel[b, 2]
        ax = xipos[b, 0] - subtree_com[root, 0]
        ay = xipos[b, 1] - subtree_com[root, 1]
        az = xipos[b, 2] - subtree_com[root, 2]
        speeds[i, 0] = cvel[b, 3] + wy * az - wz * ay
        speeds[i, 1] = cvel[b, 4] + wz * ax - wx * az
        speeds[i, 2] = cvel[b, 5] + wx * ay - wy * ax
        for k in range(3):
            lagging = speeds[i, k]
            if not first:
                speeds[i, k] += 0.5 * (lagging - previous[i, k])
            previous[i, k] = lagging
            origins[i, k], centres[i, k], spins[i, k] = xpos[b, k], xipos[b, k], cvel[b, k]
        for k in range(9):
            turns[i, k] = xmat[b, k]
    work = apply_forces(
        origins, centres, turns, speeds, spins, dt, wind, drag, lift, constant, shapes, faces,
        face_rows, tether_bodies, tethers, intact, out,
    )  # fmt: skip
    for i in range(n):
        for k in range(6):
            applied[ids[i], k] = out[i, k]
    return work


@device
def mujoco_touches(  # type: ignore[no-untyped-def]
    time, dt, geoms, flexes, addresses, dims, pyramids, forces, speeds, places, frames, geom_things, flex_things,
    rows, table, count,
):  # fmt: skip
    """Note the contact points of a step in the table of touches; gives the new number of touches.

    An elliptic cone's first row is the normal; a pyramid's rows are its edges, whose forces add up to
    the normal one and whose speeds have the normal one as their mean.
    """
    for c in range(len(geoms)):
        at = addresses[c]
        if at < 0:
            continue
        rows_of = 2 * (dims[c] - 1) if pyramids and dims[c] > 1 else 1
        force, speed = 0.0, 0.0
        for r in range(at, at + rows_of):
            force += forces[r]
            speed -= speeds[r] / rows_of
        a, b = geoms[c, 0], geoms[c, 1]
        a = geom_things[a] if a >= 0 else flex_things[flexes[c, 0]]
        b = geom_things[b] if b >= 0 else flex_things[flexes[c, 1]]
        count = note(
            time, dt, a, b, places[c], frames[c, :3], max(0.0, speed), max(0.0, force),
            rows, table, count,
        )  # fmt: skip
    return count
