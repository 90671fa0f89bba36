"""Draws whole worlds: things, acts, hidden physics, cameras → a `SceneSpec` and its story."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clay4d.physics_baseline.planner.vocabulary import SUBSTANCES
from clay4d.physics_baseline.spec import (
    Drag,
    FixedCamera,
    Floor,
    Gravity,
    Magnus,
    Material,
    SceneSpec,
    Tether,
    Wind,
    body_mass,
)
from clay4d.world_model.worlds.format import Hidden, HiddenKind, Split, WorldObject
from clay4d.world_model.worlds.layout import DIRECTIONS, Act, Crowded, Kind, Placed, Stage
from clay4d.world_model.worlds.settings import WorldsConfig
from clay4d.world_model.worlds.things import (
    FIXTURES,
    SLIPPERY,
    Thing,
    describe,
    draw_things,
    fixture,
    make_body,
)

FLOOR = Floor(
    material=Material(
        friction=0.6, restitution=0.5, colour=(0.55, 0.57, 0.6), texture="checker",
        texture_colour=(0.6, 0.62, 0.65),
    )
)  # fmt: skip
FIELD_OF_VIEW = 40.0
"""Degrees."""


@dataclass(frozen=True)
class Story:
    """A world that is not yet simulated."""

    split: Split
    scene: SceneSpec
    placed: tuple[Placed, ...]
    """Movers first, as the scene's bodies are."""
    objects: tuple[WorldObject, ...]
    hidden: Hidden


def draw_story(
    rng: np.random.Generator, config: WorldsConfig, split: Split, hidden: HiddenKind
) -> Story:
    """One world of a split; the same generator and settings give the same one.

    Raises:
        Crowded: what was drawn does not fit; draw again.
    """
    low, high = config.movers_ood if split == "ood-count" else config.movers
    count = int(rng.integers(low, high + 1))
    movers = draw_things(
        rng, count, combination=split == "ood-combination", size=split == "ood-size"
    )
    fixtures = [fixture(str(s)) for s in FIXTURES if rng.random() < 0.2]
    things = [*movers, *fixtures[:2]]
    stage = Stage(rng, config.speed_ood if split == "ood-speed" else config.speed)
    for k in range(count, len(things)):
        stage.add_fixture(k, things[k])
    acts = _draw_acts(rng, things, count)
    if split == "ood-speed" and not any(a.kind in ("roll", "slide", "throw") for a in acts):
        raise Crowded("nothing that goes fast was drawn")
    for k in sorted(range(count), key=lambda k: (acts[k].kind != "rest", acts[k].aim is not None, k)):  # fmt: skip
        stage.add(k, things[k], acts[k])
    placed = tuple(stage.placed[k] for k in range(len(things)))
    bounces, secret = _draw_restitutions(rng, things, hidden)
    bodies = tuple(
        make_body(
            p.thing, p.position, yaw=p.yaw, velocity=p.velocity, spin=p.spin,
            restitution=bounces.get(p.thing.material),
            friction=SLIPPERY if p.act.kind == "slide" else None,
        )
        for p in placed
    )  # fmt: skip
    masses = [body_mass(b) if p.thing.role == "mover" else 0.0 for b, p in zip(bodies, placed)]
    fields, values = _draw_fields(rng, placed[:count], masses, hidden)
    scene = SceneSpec(
        bodies=bodies, fields=(Gravity(), *fields), floor=FLOOR,
        cameras=_draw_cameras(rng, config), duration=config.frames / config.fps, fps=config.fps,
    )  # fmt: skip
    objects = tuple(describe(t, round(m, 4)) for t, m in zip(things, masses))
    return Story(split, scene, placed, objects, Hidden(hidden, secret | values))


def _draw_acts(rng: np.random.Generator, things: Sequence[Thing], count: int) -> list[Act]:
    """The first thing that moves leads; what rests may be met by others."""
    leader = int(rng.integers(count))
    rests = [k for k in range(count) if k != leader and rng.random() < 0.5]
    goals = [*rests, *(k for k in range(count, len(things)) if things[k].shape != "ramp")]
    ramps = [k for k in range(count, len(things)) if things[k].shape == "ramp"]
    platforms = [k for k in range(count, len(things)) if things[k].shape == "platform"]
    acts: list[Act] = []
    for k in range(count):
        if k in rests:
            on = platforms.pop() if platforms and rng.random() < 0.5 else None
            acts.append(Act("rest", on))
            continue
        if ramps and things[k].shape == "ball" and things[k].grade != "huge":
            acts.append(Act("descend", ramps.pop()))
            continue
        kind = _draw_kind(rng, things[k].shape)
        aim = int(rng.choice(goals)) if goals and rng.random() < 0.65 else None
        if aim is not None and kind == "fall" and things[aim].shape in ("wall", "pillar", "ball"):
            aim = None
        directed = aim is None and kind != "fall"
        direction = DIRECTIONS[int(rng.integers(2))] if directed else None
        pace = ("", "", "slowly", "quickly")[int(rng.integers(4))] if kind != "fall" else ""
        acts.append(Act(kind, aim, direction, pace))  # type: ignore[arg-type]
    return acts


def _draw_kind(rng: np.random.Generator, shape: str) -> Kind:
    # The same shares whatever is hidden, or a prompt would tell what is.
    along: Kind = "roll" if shape in ("ball", "capsule") else "slide"
    kinds: tuple[Kind, ...] = (along, "throw", "fall")
    return kinds[int(rng.choice(3, p=(0.35, 0.4, 0.25)))]


def _draw_restitutions(
    rng: np.random.Generator, things: Sequence[Thing], hidden: HiddenKind
) -> tuple[dict[str, float], dict[str, float]]:
    """Restitution of each material, if that is what is hidden: far from what it usually is."""
    if hidden != "restitution":
        return {}, {}
    bounces: dict[str, float] = {}
    for material in sorted({t.material for t in things}):
        usual = SUBSTANCES[material].restitution
        options = [v for v in np.linspace(0.0, 0.95, 20) if abs(v - usual) >= 0.25]
        bounces[material] = round(float(rng.choice(options)), 3)
    return bounces, {f"restitution_{k}": v for k, v in bounces.items()}


def _draw_fields(
    rng: np.random.Generator, movers: Sequence[Placed], masses: Sequence[float], hidden: HiddenKind
) -> tuple[tuple[Drag | Wind | Magnus | Tether, ...], dict[str, float]]:
    """Hidden forces and their numbers. The air is as thick as it must be to matter to solid bodies."""
    if hidden == "drag":
        air = round(float(rng.uniform(200, 600)), 1)
        return (Drag(air_density=air),), {"air_density_kg_per_m3": air}
    if hidden == "wind":
        air, speed = round(float(rng.uniform(25, 60)), 1), float(rng.uniform(3.0, 6.0))
        angle = float(rng.uniform(0, 2 * math.pi))
        x, y = round(speed * math.cos(angle), 3), round(speed * math.sin(angle), 3)
        values = {"wind_x_m_per_s": x, "wind_y_m_per_s": y, "air_density_kg_per_m3": air}
        return (Wind(velocity=(x, y, 0.0)), Drag(air_density=air)), values
    if hidden == "magnus":
        air = round(float(rng.uniform(100, 350)), 1)
        return (Magnus(air_density=air),), {"air_density_kg_per_m3": air}
    if hidden == "tether":
        moving = [k for k, p in enumerate(movers) if p.act.kind != "rest"]
        k = int(rng.choice(moving))
        x, y = rng.uniform(-0.5, 0.5, 2)
        anchor = (round(float(x), 3), round(float(y), 3), round(float(rng.uniform(0.4, 1.0)), 3))
        stiffness = round(masses[k] * float(rng.uniform(12.0, 25.0)), 3)
        tie = Tether(
            name="tether", body=movers[k].thing.name, anchor=anchor, stiffness=stiffness,
            damping=round(0.2 * masses[k], 3),
        )  # fmt: skip
        values = {f"anchor_{a}_m": v for a, v in zip("xyz", anchor)}
        return (tie,), {"body": float(k), "stiffness_n_per_m": stiffness, **values}
    return (), {}


def _draw_cameras(rng: np.random.Generator, config: WorldsConfig) -> tuple[FixedCamera, ...]:
    """Around the stage at even angles, jittered; the first in front, at −y."""
    cameras = []
    for k in range(config.cameras):
        angle = math.radians(360.0 * k / config.cameras - 90 + rng.uniform(-12, 12))
        rise = math.radians(rng.uniform(18, 42))
        far = rng.uniform(2.5, 3.0)
        to = (*rng.uniform(-0.08, 0.08, 2), rng.uniform(0.2, 0.3))
        eye = (
            far * math.cos(rise) * math.cos(angle), far * math.cos(rise) * math.sin(angle),
            to[2] + far * math.sin(rise),
        )  # fmt: skip
        cameras.append(
            FixedCamera(
                name=f"camera-{k}", width=config.size, height=config.size, fov=FIELD_OF_VIEW,
                position=_tidy(eye), look_at=_tidy(to),
            )
        )  # fmt: skip
    return tuple(cameras)


def _tidy(values: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 4) for v in values)
    return (x, y, z)
