"""Numbers of a scene written into a compiled MuJoCo model: masses, friction, restitution, gravity.

What MuJoCo's soft contacts make of the spec's constants:

- Restitution: the pair's mean e becomes a damped spring (see `restitution.py`), `solref` in its direct
  form (−ω², −2ζω) with constant impedance 0.998. Every body of the pair bounces with e whatever its
  mass, within 0.02 for one contact point; a box that lands on several corners loses more, as real
  ones do. The depth of a blow is v/ω = 2.5 mm for each metre per second at a step of 0.5 ms.
- Friction: Coulomb's cone, elliptic, by the geometric mean of the pair. What should stick creeps by a
  little, impratio 10.
- Rolling friction: the sum of both bodies' lever arms, and as much against spinning on the spot.
"""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np

from clay4d.physics_baseline.engines.forces import Forces
from clay4d.physics_baseline.engines.mass import mass_properties
from clay4d.physics_baseline.engines.restitution import STIFFNESS, damping_ratio
from clay4d.physics_baseline.spec import Material, SceneSpec

IMPEDANCE = (0.998, 0.998, 0.001, 0.5, 2.0)


def pair_material(a: Material, b: Material) -> tuple[float, float, float]:
    """Friction, restitution and rolling friction (metres) of two materials that touch.

    >>> pair_material(Material(friction=0.4), Material(friction=0.9))[0].__round__(9)
    0.6
    """
    return (
        math.sqrt(a.friction * b.friction),
        math.sqrt(a.restitution * b.restitution),
        a.rolling_friction + b.rolling_friction,
    )


def solref(restitution: float, dt: float) -> tuple[float, float]:
    """MuJoCo's direct contact reference of a restitution at steps of `dt` seconds."""
    omega = STIFFNESS / dt
    return -omega * omega, -2 * damping_ratio(restitution) * omega


def write_parameters(
    model: Any, data: Any, scene: SceneSpec, pairs: Any, forces: Forces, bodies: Any, dt: float
) -> None:
    """Set a model's numbers to a scene's; `bodies` are its moving rigid ones, as in `forces`."""
    model.opt.gravity[:] = forces.gravity
    model.opt.timestep = dt
    for body, added in zip(bodies, forces.added):
        at = model.body(body.name).id
        properties = mass_properties(body)
        moments, axes = properties.principal()
        model.body_mass[at] = properties.mass + added
        model.body_inertia[at] = moments
        model.body_ipos[at] = properties.centre
        mujoco.mju_mat2Quat(model.body_iquat[at], axes.ravel())
    materials: dict[str, Material] = {b.name: b.material for b in scene.bodies}
    if scene.floor is not None:
        materials["floor"] = scene.floor.material
    for k, (a, b) in enumerate(pairs):
        friction, restitution, rolling = pair_material(materials[a], materials[b])
        model.pair_friction[k] = _friction(friction, rolling)
        model.pair_solref[k] = solref(restitution, dt)
        model.pair_solimp[k] = IMPEDANCE
        # Friction acts on speeds alone: it stops them within a few steps, without a spring.
        model.pair_solreffriction[k] = 0.0, -STIFFNESS / dt
    for g in range(model.ngeom):
        own = materials[model.geom(g).name]
        friction, restitution, rolling = pair_material(own, own)
        model.geom_friction[g] = _friction(friction, rolling)[[0, 2, 3]]
        model.geom_solref[g] = solref(restitution, dt)
        model.geom_solimp[g] = IMPEDANCE
    mujoco.mj_setConst(model, data)


def _friction(sliding: float, rolling: float) -> Any:
    return np.array([sliding, sliding, rolling, rolling, rolling]).clip(1e-5)
