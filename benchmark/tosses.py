"""Engines that know the tossed cube: numbers identified on the tosses for fitting, none of them held out.

The values are those of docs/identification.md, which names the commands that found them on the tosses
with even places in the file; the benchmark asks for those with odd ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.benchmark.observation import Observation, Prediction
from clay4d.physics_baseline.engines.mujoco_engine import MujocoEngine
from clay4d.physics_baseline.identify import write
from clay4d.physics_baseline.identify.smooth_contact import SmoothContact, roll_out
from clay4d.physics_baseline.identify.tosses import Tosses
from clay4d.physics_baseline.spec import Box, Floor, Gravity, Material, SceneSpec

FRICTION = "bodies.cube.material.friction+floor.material.friction"
RESTITUTION = "bodies.cube.material.restitution+floor.material.restitution"
ENGINE = {
    FRICTION: 0.1816, RESTITUTION: 0.2246, "bodies.cube.inertia_factor": 1.617,
    "fields.gravity.acceleration.2": -9.771, "floor.height": -0.001238,
    "bodies.cube.mass_centre.0": -0.0005864, "bodies.cube.mass_centre.1": 0.0005727,
    "bodies.cube.mass_centre.2": 0.007612, "engine.contact_rate": 168.4,
}  # fmt: skip
"""MuJoCo's, by 280 candidates on 30 of the tosses for fitting."""
STATED = dict.fromkeys(ENGINE, 0.0) | {
    FRICTION: 0.18, RESTITUTION: 0.125, "bodies.cube.inertia_factor": 1.196,
    "fields.gravity.acceleration.2": -9.81, "engine.contact_rate": 236.0,
}  # fmt: skip
"""What the data's own experiment.json says, with the mass in the middle; its authors' fit saw all tosses."""
CONTACT = SmoothContact(
    friction=0.1765, rate=215.3, damping=0.4796, slip=0.01247, gravity=(-0.01756, 0.0003463, -9.735),
    floor=-0.0009639, gyration=0.003452, mass_centre=(-0.0001273, 0.000156, 0.006537),
)  # fmt: skip
"""By 1800 candidates on all 225 of them."""
SIZE = 0.9905
"""Of the cube of `CONTACT` over the true one."""


class IdentifiedEngine:
    """MuJoCo with the identified numbers of the cube and the floor, or with those the data states."""

    def __init__(self, *, stated: bool = False) -> None:
        self.name = "engine-stated" if stated else "engine-identified"
        self._values = STATED if stated else ENGINE

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """Poses of the cube.

        Raises:
            ValueError: an observation of anything else.
        """
        gravity = np.array([0.0, 0.0, self._values["fields.gravity.acceleration.2"]])
        centre = np.array([self._values[f"bodies.cube.mass_centre.{k}"] for k in range(3)])
        tosses, start = _start(observation, times, gravity, centre)
        engine = MujocoEngine(step=tosses.dt / 8, contact_rate=self._values["engine.contact_rate"])
        material = Material(friction=0.18, restitution=0.2)
        x: list[Any] = start.tolist()
        cube = Box(
            name="cube", size=(tosses.width,) * 3, position=tuple(x[:3]), quat=tuple(x[3:7]),
            velocity=tuple(x[7:10]), angular_velocity=tuple(x[10:]), mass=observation.things[0].mass,
            material=material, inertia_factor=5 / 3,
        )  # fmt: skip
        scene = SceneSpec(
            bodies=(cube,), floor=Floor(material=material), fps=1 / tosses.dt, fields=(Gravity(),),
            duration=float(tosses.lengths[0] * tosses.dt),
        )  # fmt: skip
        path = engine.run(write(scene, self._values, engine), check=False)
        return _at(np.concatenate([path.positions[:, 0], path.quats[:, 0]], 1), observation, times)


class IdentifiedContact:
    """One rigid body on a floor with smooth contacts, and the numbers identified for it."""

    name = "contact-identified"

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """Poses of the cube.

        Raises:
            ValueError: an observation of anything else.
        """
        given = np.array(CONTACT.gravity), np.array(CONTACT.mass_centre)
        tosses, start = _start(observation, times, *given)
        corners = tosses.corners() * SIZE
        poses = roll_out(CONTACT, corners, start[None], tosses.lengths, tosses.dt)
        return _at(poses, observation, times)


def _start(
    observation: Observation, times: np.ndarray, gravity: np.ndarray, mass_centre: np.ndarray
) -> tuple[Tosses, Float[np.ndarray, " 13"]]:
    """A toss as long as what is asked for, and its start by all frames that were seen."""
    o = observation
    if (
        len(o.things) != 1
        or o.things[0].material != "acrylic"
        or o.positions is None
        or o.quats is None
    ):
        raise ValueError("observation got no tossed acrylic cube with poses; expected one, as its numbers are known.")  # fmt: skip
    dt = float(times[0] - o.times[-1])
    seen = len(o.times)
    states = np.zeros((seen, 13))
    states[:, :3], states[:, 3:7] = o.positions[:, 0], o.quats[:, 0]
    width = o.things[0].size[0]
    frames = round(float(times[-1] - o.times[0]) / dt) + 1
    if seen > 1:
        start = Tosses(states, np.array([seen]), dt, width).smoothed_starts(
            seen, gravity, mass_centre
        )[0]
    else:
        if o.velocities is None or o.spins is None:
            raise ValueError("observation got one frame without velocities; expected them with it.")
        start = np.concatenate([states[0, :7], o.velocities[0], o.spins[0]])
    return Tosses(states, np.array([frames]), dt, width), start


def _at(
    poses: Float[np.ndarray, "F 7"], observation: Observation, times: Float[np.ndarray, " T"]
) -> Prediction:
    """Poses at the frames nearest to some moments."""
    dt = float(times[0] - observation.times[-1])
    rows = np.rint((times - observation.times[0]) / dt).astype(int)
    return Prediction(poses[rows, None, :3], poses[rows, None, 3:])
