"""Systems that foretell: an observation in, places at later moments out; all see the same and no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from clay4d.benchmark.estimate import Estimate, estimate, state_at
from clay4d.benchmark.observation import Observation, Prediction, Thing
from clay4d.physics_baseline.engines import Engine, SimulationError, Trajectory, make_engine
from clay4d.physics_baseline.identify import Experiment, Track, Unknown, identify, start_unknowns
from clay4d.physics_baseline.planner.vocabulary import SUBSTANCES
from clay4d.physics_baseline.spec import (
    Box,
    Buoyancy,
    Capsule,
    Cylinder,
    Drag,
    Floor,
    Gravity,
    Material,
    Mesh,
    SceneSpec,
    Sphere,
    Wind,
)
from clay4d.physics_baseline.spec.fields import ForceField
from clay4d.world_model.reasoners import Disturbance
from clay4d.world_model.slots import PosedFrames, Slots
from clay4d.world_model.worlds.things import WEDGE, wedge

AIR, MOST_AIR = 40.0, 700.0
"""Where the search for the air's density begins, and the most it tries, kg/m³: worlds have thick air."""
MOST_WIND = 7.0
"""Metres per second."""
REACH, SPEED = 0.03, 1.0
"""Metres and metres per second by which a fitted start may differ from the estimated one."""
STARTS_ONLY, WITH_AIR = (6, 1e-3, 1 / 480), (40, 1e-9, None)
"""Of a fit: evaluations, the relative gain that ends it, and its simulations' step in seconds. Starts alone are
found by a coarse fit (measured: 0.515 m in place of 0.607 on six worlds); air and wind get the long one."""
SAMPLES = 8
"""Futures that a world model draws besides the likeliest."""
OTHER_SCENE = "A green cylinder stands still. A yellow ball falls."
"""The scene whose thoughts are put in the place of a world's own."""


class System(Protocol):
    """Anything that can be asked what comes next."""

    name: str

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """Where all things are at moments after the observation's last, seconds on its clock."""
        ...


class Static:
    """Everything stays where it was last seen."""

    name = "static"

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """The last places (and rotations, where they are measured), at all moments."""
        found = estimate(observation)
        places = np.stack([_last(found.positions[:, b]) for b in range(len(observation.things))])
        quats = np.repeat(found.quats[-1:], len(times), 0) if found.turning else None
        return Prediction(np.repeat(places[None], len(times), 0), quats)


class ConstantVelocity:
    """Everything goes on straight, with the speed between its last two sightings."""

    name = "constant-velocity"

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """Straight lines from the last sighting; measured rotations go on at an even rate."""
        found = estimate(observation)
        out = np.zeros((len(times), len(observation.things), 3))
        for b in range(len(observation.things)):
            known = np.flatnonzero(found.seen[:, b])[-2:]
            place, speed = _last(found.positions[:, b]), np.zeros(3)
            if found.velocities is not None:
                speed = found.velocities[b]
            elif len(known) == 2 and observation.things[b].moves:
                a, z = known
                speed = (place - found.positions[a, b]) / (found.times[z] - found.times[a])
            start = found.times[known[-1]] if len(known) else found.times[-1]
            out[:, b] = place + (times - start)[:, None] * speed
        return Prediction(out, _spun(observation, found, times))


class ConstantAcceleration:
    """Everything goes on along the parabola that fits all its sightings best."""

    name = "constant-acceleration"

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """Parabolas; straight lines where there are fewer than three sightings."""
        found = estimate(observation)
        straight = ConstantVelocity().predict(observation, times)
        out = straight.positions.copy()
        for b in range(len(observation.things)):
            known = found.seen[:, b]
            if known.sum() > 2:
                clock = found.times[known] - found.times[-1]
                fit = np.polynomial.polynomial.polyfit(clock, found.positions[known, b], 2)
                out[:, b] = np.polynomial.polynomial.polyval(times - found.times[-1], fit).T
        return Prediction(out, straight.quats)


def _spun(
    observation: Observation, found: Estimate, times: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T B 4"] | None:
    """Measured rotations, turned on at an even rate."""
    if not found.turning:
        return None
    out = np.zeros((len(times), len(observation.things), 4))
    for b, thing in enumerate(observation.things):
        state = state_at(found, b, last=True, thing=thing, floor=observation.floor)
        ahead = np.outer(times - found.times[-1], state.spin)
        turns = Rotation.from_rotvec(ahead) * Rotation.from_quat(state.quat, scalar_first=True)
        out[:, b] = turns.as_quat(scalar_first=True)
    return out


class NominalEngine:
    """An engine from the estimated state on, with the materials' usual numbers and gravity alone.

    It is told what everything is and how large; what is hidden it does not know.
    """

    def __init__(self, *, engine: str = "mujoco", air: bool = False) -> None:
        self.name = f"engine-nominal{'-air' if air else ''}"
        self._engine: Engine = make_engine(engine)
        self._air = air

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """The engine's trajectory from the last moment that was seen."""
        return self.predict_from(observation, estimate(observation), times)

    def predict_from(
        self, observation: Observation, found: Estimate, times: Float[np.ndarray, " T"]
    ) -> Prediction:
        """The same where the state was estimated before."""
        start, path = self._run(observation, found, float(times[-1]))
        return sampled(path, start, times)

    def _run(
        self, observation: Observation, found: Estimate, until: float
    ) -> tuple[float, Trajectory]:
        """From the last moment on; from the first where estimated bodies lie in each other by then."""
        for last, check in ((True, True), (False, True)):
            start = float(observation.times[-1 if last else 0])
            scene = self._start(observation, found, until, last)
            try:
                return start, self._engine.run(scene, check=check)
            except SimulationError:
                continue
        return start, self._engine.run(scene, check=False)

    def _start(
        self, observation: Observation, found: Estimate, until: float, last: bool
    ) -> SceneSpec:
        """The scene to simulate."""
        return nominal_scene(observation, found, until=until, last=last, air=self._air)


def nominal_scene(
    observation: Observation, found: Estimate, *, until: float, last: bool = True, air: bool = False
) -> SceneSpec:
    """The scene from an observation's last (or first) moment on, by all that the observation states."""
    bodies = []
    for b, thing in enumerate(observation.things):
        state = state_at(found, b, last=last, thing=thing, floor=observation.floor)
        common: dict[str, Any] = {
            "name": thing.name, "material": _material(thing), "position": _tuple(state.position),
            "quat": _tuple(state.quat / np.linalg.norm(state.quat)),
        }  # fmt: skip
        if thing.moves:
            common |= {
                "velocity": _tuple(state.velocity), "angular_velocity": _tuple(state.spin),
                "mass": thing.mass,
            }  # fmt: skip
        else:
            common["motion"] = "fixed"
        bodies.append(_body(thing, common))
    step = float(np.median(np.diff(observation.times))) if len(observation.times) > 1 else 1 / 30
    start = float(observation.times[-1 if last else 0])
    frames = int(np.ceil((until - start) / step - 1e-6)) + 1
    floor = Floor(material=Material(friction=0.6, restitution=0.5)) if observation.floor else None
    return SceneSpec(
        bodies=tuple(bodies), fields=(Gravity(), *([Drag()] if air else [])), floor=floor,
        duration=frames * step, fps=1 / step,
    )  # fmt: skip


class FittedEngine:
    """An engine whose start is fitted to all that was seen, and the air with it where that is asked for.

    The least squares run over whole simulations from the first moment on, so a blow between the first
    frames helps where a straight line through them would not.
    """

    def __init__(self, *, air: Literal["none", "unknown", "real"]) -> None:
        """`unknown` air's density and wind are fitted; `real` air is that of a room, and stands still."""
        self.name = {"none": "engine-fitted", "unknown": "engine-fitted-air"}.get(
            air, "engine-fitted-true-air"
        )
        self._air = air
        self._engine: Engine = make_engine("mujoco")
        self._rounds, self._tolerance, step = STARTS_ONLY if air == "none" else WITH_AIR
        self._fitting: Engine = self._engine if step is None else make_engine("mujoco", step=step)
        self._plain = NominalEngine()

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """The fitted engine's trajectory; the nominal one's where nothing moves or no fit is possible."""
        found = estimate(observation)
        scene = nominal_scene(observation, found, until=float(times[-1]), last=False)
        more: tuple[ForceField, ...] = ()
        if self._air == "unknown":
            more = Wind(velocity=(0.0, 0.0, 0.0)), Drag(air_density=AIR)
        elif self._air == "real":
            more = Drag(), Buoyancy(added_mass=0.5)
        scene = replace(scene, fields=(*scene.fields, *more))
        clock = observation.times - observation.times[0]
        movers = [b for b, t in enumerate(observation.things) if t.moves and found.seen[:, b].any()]
        tracks = tuple(
            Track(
                observation.things[b].name, clock, found.positions[:, b], position_noise=found.noise
            )
            for b in movers
        )
        unknowns = [
            unknown
            for track in tracks
            for unknown in start_unknowns(scene, track.body, reach=REACH, speed=SPEED)
        ]
        if self._air == "unknown":
            unknowns += [Unknown("fields.drag.air_density", 0.0, MOST_AIR)]
            unknowns += [
                Unknown(f"fields.wind.velocity.{k}", -MOST_WIND, MOST_WIND) for k in (0, 1)
            ]
        try:
            # Only what was seen is simulated while fitting.
            short = replace(scene, duration=float(clock[-1]) + 1 / scene.fps)
            fitted = identify(
                [Experiment(short, tracks)], unknowns, engine=self._fitting, rounds=self._rounds,
                tolerance=self._tolerance,
            )  # fmt: skip
            path = self._engine.run(fitted.apply(scene), check=False)
        except (ValueError, np.linalg.LinAlgError):
            return self._plain.predict(observation, times)
        return sampled(path, observation.times[0], times)


class Learned:
    """A world model: the pictures and the prompt in, its likeliest future out.

    Args:
        thoughts: before each segment. samples: futures drawn besides the likeliest. seed: of these.
        disturbance: what is done to thoughts as they are had; a swap brings those that the model has
            about `OTHER_SCENE`, a scene of its own making.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        thoughts: int = 4,
        samples: int = SAMPLES,
        disturbance: Disturbance | None = None,
        seed: int = 0,
    ) -> None:
        from clay4d.world_model.generate import load_weights

        self._model = load_weights(weights)
        self._thoughts, self._samples, self._seed = thoughts, samples, seed
        if disturbance is not None and disturbance.kind == "swap":
            _, had = self._model.imagine([OTHER_SCENE], thoughts=thoughts, temperature=0.0)
            disturbance = replace(disturbance, donor=had.thoughts[-1].vectors[0])
        self._disturbance = disturbance
        self.name = f"world-model-{self._model.config.reasoning.kind}"

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """Paths of the slots, straight between the model's moments.

        Raises:
            ValueError: an observation without pictures.
        """
        o = observation
        if o.images is None or o.masks is None or o.viewmats is None or o.Ks is None:
            raise ValueError(
                "observation got no pictures; expected some. The world model needs them."
            )
        t, c = o.masks.shape[:2]
        views, Ks = (torch.from_numpy(x.copy()).float() for x in (o.viewmats, o.Ks))
        frames = PosedFrames(
            torch.from_numpy(o.images.copy())[None].float() / 255, torch.from_numpy(o.masks.copy())[None],
            views.expand(1, t, c, 4, 4), Ks.expand(1, t, c, 3, 3),
            torch.from_numpy(o.times.copy())[None].float(), torch.ones(1, t, c, dtype=torch.bool),
        )  # fmt: skip
        with torch.no_grad():
            context = self._model.encoder(frames)
        step = float(np.median(np.diff(o.times)))
        count = int(np.ceil((times[-1] - o.times[0]) / step - 1e-6)) + 1
        slots, _ = self._model.imagine(
            [o.prompt], context=context, frames=count, thoughts=self._thoughts, temperature=0.0,
            disturbance=self._disturbance,
        )  # fmt: skip
        clock, known = o.times[0] + step * np.arange(count), len(o.things)
        likeliest = _between(clock, slots.positions[0, :, :known].double().numpy(), times)
        if not self._samples:
            return Prediction(likeliest)
        drawn, _ = self._model.imagine(
            [o.prompt] * self._samples, context=_repeated(context, self._samples), frames=count,
            thoughts=self._thoughts, temperature=1.0, seed=self._seed, disturbance=self._disturbance,
        )  # fmt: skip
        samples = [_between(clock, p[:, :known].double().numpy(), times) for p in drawn.positions]
        return Prediction(likeliest, samples=np.stack(samples))


def _repeated(slots: Slots, count: int) -> Slots:
    """One world's slots, several times over."""
    return Slots(**{k: v.repeat(count, *[1] * (v.dim() - 1)) for k, v in vars(slots).items()})


def sampled(path: Trajectory, start: float, times: Float[np.ndarray, " T"]) -> Prediction:
    """A trajectory that starts at a moment, at other moments; rotations of the nearest frames."""
    clock = path.times + start
    nearest = np.abs(clock[:, None] - times).argmin(0)
    return Prediction(_between(clock, path.positions, times), path.quats[nearest])


def _between(
    clock: Float[np.ndarray, " F"], path: Float[np.ndarray, "F B 3"], times: Float[np.ndarray, " T"]
) -> Float[np.ndarray, "T B 3"]:
    flat = path.reshape(len(path), -1)
    rows = np.stack([np.interp(times, clock, flat[:, k]) for k in range(flat.shape[1])], -1)
    return rows.reshape(len(times), *path.shape[1:])


def _material(thing: Thing) -> Material:
    made = SUBSTANCES.get(
        {"acrylic": "plastic", "basketball": "rubber"}.get(thing.material, thing.material)
    )
    if made is None:
        return Material()
    return Material(density=made.density, friction=made.friction, restitution=made.restitution)


def _body(thing: Thing, common: dict[str, Any]) -> Any:
    x, y, z = thing.size
    if thing.shape == "ball":
        return Sphere(**common, radius=x / 2)
    if thing.shape in ("cylinder", "pillar"):
        return Cylinder(**common, radius=x / 2, height=z)
    if thing.shape == "capsule":
        return Capsule(**common, radius=x / 2, height=z - x)
    if thing.shape == "ramp":
        return Mesh(**common, vertices=wedge(x, y, z), faces=WEDGE)
    return Box(**common, size=(x, y, z))


def _last(path: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, " 3"]:
    """The last place that was seen; the middle of the world where none was."""
    known = path[np.isfinite(path).all(-1)]
    return known[-1] if len(known) else np.zeros(3)


def _tuple(values: Sequence[float] | np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
