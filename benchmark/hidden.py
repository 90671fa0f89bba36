"""Engines for hidden forces: one that fits the missing terms, and the true one, which is told them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from clay4d.benchmark.estimate import Estimate, estimate
from clay4d.benchmark.observation import Observation, Prediction
from clay4d.benchmark.systems import (
    AIR,
    MOST_AIR,
    MOST_WIND,
    REACH,
    SPEED,
    NominalEngine,
    nominal_scene,
    sampled,
)
from clay4d.physics_baseline.engines import make_engine
from clay4d.physics_baseline.identify import Experiment, Track, Unknown, identify, start_unknowns
from clay4d.physics_baseline.spec import Drag, Magnus, SceneSpec, Tether, Wind, body_mass

ROUNDS = 15
"""Of each fit; there are up to eight for a scene."""
STIFFNESS, DAMPING = (8.0, 30.0), 0.2
"""Of a tether, per kilogram of what it holds: newtons per metre, newton seconds per metre."""


@dataclass(frozen=True)
class Told:
    """An observation and, for the ceiling alone, the scene that made it."""

    observation: Observation
    scene: str
    """The simulated `SceneSpec` with its hidden forces, as JSON."""

    @property
    def key(self) -> str:
        """That of the observation."""
        return self.observation.key


class TrueEngine(NominalEngine):
    """The truth's own engine, materials and forces, from the estimated state on: what perception allows."""

    needs_truth = True

    def __init__(self) -> None:
        super().__init__()
        self.name = "engine-true"
        self._engine = make_engine("bullet", step=1 / 480)
        self._scene: SceneSpec | None = None

    def predict(self, told: Any, times: Float[np.ndarray, " T"]) -> Prediction:
        """The true engine's trajectory.

        Raises:
            ValueError: an observation alone.
        """
        if not isinstance(told, Told):
            raise ValueError("question got no truth; expected it, as this is the ceiling.")
        self._scene = SceneSpec.from_json(told.scene)
        return super().predict(told.observation, times)

    def _start(
        self, observation: Observation, found: Estimate, until: float, last: bool
    ) -> SceneSpec:
        assert self._scene is not None
        own = super()._start(observation, found, until, last)
        bodies = []
        for true, seen in zip(self._scene.bodies, own.bodies):
            state = {
                n: getattr(seen, n) for n in ("position", "quat", "velocity", "angular_velocity")
            }
            bodies.append(replace(true, **state))
        return replace(
            own, bodies=tuple(bodies), fields=self._scene.fields, floor=self._scene.floor
        )


@dataclass(frozen=True)
class Term:
    """A force that might be at work: the scene with it, and its unknowns."""

    name: str
    scene: SceneSpec
    unknowns: tuple[Unknown, ...]


class FittedTerms:
    """An engine that tries each missing force in turn, and keeps the one that the frames speak for.

    Each is fitted with the starts by least squares to all frames; the least Bayesian information
    criterion (Schwarz 1978) decides, so a force must explain more than its unknowns cost.
    """

    name = "engine-fitted-terms"

    def __init__(self) -> None:
        self._engine = make_engine("mujoco")
        self._plain = NominalEngine()

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """The chosen engine's trajectory; the nominal one's where nothing can be fitted."""
        found = estimate(observation)
        scene = nominal_scene(observation, found, until=float(times[-1]), last=False)
        clock = observation.times - observation.times[0]
        tracks = [
            Track(t.name, clock, found.positions[:, b], position_noise=found.noise)
            for b, t in enumerate(observation.things)
            if t.moves and found.seen[:, b].any()
        ]
        starts = [
            u for t in tracks for u in start_unknowns(scene, t.body, reach=REACH, speed=SPEED)
        ]
        best: tuple[float, SceneSpec] | None = None
        for term in terms(observation, scene) if tracks else ():
            fitted = self._fitted(term, tracks, starts, float(clock[-1]) + 1 / scene.fps)
            if fitted is not None and (best is None or fitted[0] < best[0]):
                best = fitted
        if best is None:
            return self._plain.predict(observation, times)
        path = self._engine.run(best[1], check=False)
        return sampled(path, float(observation.times[0]), times)

    def _fitted(
        self, term: Term, tracks: Sequence[Track], starts: Sequence[Unknown], until: float
    ) -> tuple[float, SceneSpec] | None:
        """The criterion and the scene as fitted; None where no fit is possible."""
        unknowns = [*starts, *term.unknowns]
        short = replace(term.scene, duration=until)
        try:
            found = identify([Experiment(short, tuple(tracks))], unknowns, engine=self._engine, rounds=ROUNDS)  # fmt: skip
            scene = found.apply(term.scene)
        except (ValueError, np.linalg.LinAlgError):
            return None
        count = sum(3 * int(t.seen.sum()) for t in tracks)
        return found.rms**2 * count + len(unknowns) * float(np.log(count)), scene


def terms(observation: Observation, scene: SceneSpec) -> list[Term]:
    """The forces that worlds may hide, each as a scene with guesses and unknowns; first none at all."""
    air = "fields.drag.air_density"
    wind = tuple(Unknown(f"fields.wind.velocity.{k}", -MOST_WIND, MOST_WIND) for k in (0, 1))
    blown = replace(scene, fields=(*scene.fields, Wind(velocity=(0.0, 0.0, 0.0)), Drag(air_density=AIR)))  # fmt: skip
    thick = replace(scene, fields=(*scene.fields, Drag(air_density=AIR)))
    lifted = replace(scene, fields=(*scene.fields, Magnus(air_density=150.0)))
    found = [
        Term("none", scene, ()), Term("drag", thick, (Unknown(air, 0.0, MOST_AIR),)),
        Term("wind", blown, (Unknown(air, 0.0, MOST_AIR), *wind)),
        Term("magnus", lifted, (Unknown("fields.magnus.air_density", 0.0, 400.0),)),
    ]  # fmt: skip
    movers = [t for t in observation.things if t.moves]
    by_stuff = {
        m: [t.name for t in movers if t.material == m] for m in {t.material for t in movers}
    }
    bounces = [
        Unknown("+".join(f"bodies.{n}.material.restitution" for n in names), 0.0, 0.98)
        for _, names in sorted(by_stuff.items())
    ]
    found.append(Term("restitution", scene, tuple(bounces)))
    for thing in movers:
        mass = body_mass(scene.body(thing.name))
        tie = Tether(
            name="tether", body=thing.name, anchor=(0.0, 0.0, 0.7), stiffness=18.0 * mass,
            damping=DAMPING * mass,
        )  # fmt: skip
        ends = [Unknown(f"fields.tether.anchor.{k}", -0.6, 0.6) for k in (0, 1)]
        ends += [
            Unknown("fields.tether.anchor.2", 0.3, 1.1),
            Unknown("fields.tether.stiffness", STIFFNESS[0] * mass, STIFFNESS[1] * mass),
        ]
        found.append(Term("tether", replace(scene, fields=(*scene.fields, tie)), tuple(ends)))
    return found
