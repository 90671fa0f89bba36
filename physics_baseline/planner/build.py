"""From placed things to the parts of a SceneSpec: bodies, joints, fields, floor and events."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from clay4d.physics_baseline.planner import vocabulary as n
from clay4d.physics_baseline.planner.layout import Layout
from clay4d.physics_baseline.planner.story import Story
from clay4d.physics_baseline.planner.syntax import Sentences
from clay4d.physics_baseline.planner.things import Copy, Thing, Vec, sound_of
from clay4d.physics_baseline.planner.words import PlanError
from clay4d.physics_baseline.spec import (
    Body,
    Box,
    Capsule,
    Cloth,
    Cylinder,
    Drag,
    Event,
    Floor,
    ForceField,
    Gravity,
    Impulse,
    Joint,
    Material,
    Mesh,
    Release,
    Rope,
    Socket,
    Soft,
    Sphere,
    Wind,
    body_mass,
)

CONE_SIDES = 24
CLOTH_STIFFNESS = 1e6
"""Pascals: softer cloth stretches at a blow and throws itself back."""
SOFT_STIFFNESS, SOFT_DAMPING = 2e4, 0.03
"""Pascals, at the least, and seconds."""
SOFT_BLOW, LEAST_BLOW = 5.0, 20.0
"""Stiffness over ρ·v² of the hardest landing, where a body's strain is then about √(1/5); and the v² in
metres² per second² that is reckoned with at the least, since others may fall on it."""


def spin_things(story: Story) -> None:
    """Things that spin: thin discs on their edge, everything else as it stands."""
    for thing in story.spinning:
        path = story.path(thing)
        speed = path.turning if path.turning is not None else 10.0 * path.factor
        for copy in thing.copies:
            if (
                thing.shape == "cylinder"
                and thing.size[2] < 0.4 * thing.size[0]
                and not thing.lying
            ):
                x, y, z = copy.position
                copy.position = (x, y, z - thing.size[2] / 2 + thing.size[0] / 2)
                copy.quat = (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)
            copy.spin = (copy.spin[0], copy.spin[1], speed)


def name_things(things: list[Thing]) -> None:
    """`red-ball`, or `blue-cube-2` where there are several."""
    stems = []
    for thing in things:
        named = [a for kind, a in thing.phrase.adjectives if kind == "colour"]
        stems.append("-".join([*named[:1], thing.noun.name]).replace(" ", "-"))
    total = Counter[str]()
    for thing, stem in zip(things, stems):
        total[stem] += thing.count
    used = Counter[str]()
    for thing, stem in zip(things, stems):
        names = []
        for _ in range(thing.count):
            used[stem] += 1
            names.append(f"{stem}-{used[stem]}" if total[stem] > 1 else stem)
        thing.names = tuple(names)


def tidy(values: tuple[float, ...]) -> tuple[float, ...]:
    """Micrometres and microradians are enough, and 0 has no sign."""
    return tuple(round(v, 6) + 0.0 for v in values)


def make_body(thing: Thing, k: int, copy: Copy) -> Body:
    """Copy `k` of a thing as the body it is in the scene."""
    colour = n.COLOURS[thing.colours[k % len(thing.colours)]]
    material = thing.material
    if len(thing.colours) > 1:
        material = _recoloured(material, colour)
    w, d, h = (round(s, 6) for s in thing.size)
    fixed = thing.fixed
    common: dict[str, object] = {
        "name": thing.names[k], "material": material, "position": tidy(copy.position),
        "quat": tuple(round(q, 12) + 0.0 for q in copy.quat), "velocity": tidy(copy.velocity),
        "motion": "fixed" if fixed else "held" if copy.held else "free",
    }  # fmt: skip
    if fixed:
        common["velocity"] = (0.0, 0.0, 0.0)
    if thing.soft:
        shape = "ellipsoid" if thing.shape == "sphere" else "box"
        return Soft(
            **common, shape=shape, size=(w, d, h), damping=SOFT_DAMPING,  # type: ignore[arg-type]
            young_modulus=_firm_enough(material.density, copy),
        )  # fmt: skip
    if thing.shape == "cloth":
        return Cloth(
            **common, size=(w, d), thickness=h, pins=thing.pins,  # type: ignore[arg-type]
            young_modulus=CLOTH_STIFFNESS,
        )  # fmt: skip
    common["mass"] = thing.mass
    common["angular_velocity"] = (0.0, 0.0, 0.0) if fixed else tidy(copy.spin)
    if thing.shape == "sphere":
        return Sphere(**common, radius=w / 2)  # type: ignore[arg-type]
    if thing.shape == "box":
        return Box(**common, size=(w, d, h))  # type: ignore[arg-type]
    if thing.shape == "cylinder":
        return Cylinder(**common, radius=w / 2, height=h)  # type: ignore[arg-type]
    if thing.shape == "capsule":
        return Capsule(**common, radius=w / 2, height=max(h - w, 0.001))  # type: ignore[arg-type]
    vertices, faces = _cone(w / 2, h) if thing.shape == "cone" else _wedge(w, d, h, thing.mirrored)
    return Mesh(**common, vertices=vertices, faces=faces)  # type: ignore[arg-type]


def _firm_enough(density: float, copy: Copy) -> float:
    """Stiffness of a soft body that its fall does not crush, pascals.

    A body that meets the floor at v is strained by about √(ρ·v²/E) (its waves' speed is √(E/ρ)); v² is at the
    most that of its start and of the fall from there.
    """
    square = sum(v * v for v in copy.velocity) + 2 * 9.81 * max(copy.position[2], 0.0)
    return round(max(SOFT_STIFFNESS, SOFT_BLOW * density * max(square, LEAST_BLOW)), -3)


def _recoloured(material: Material, colour: Vec) -> Material:
    return replace(material, colour=colour)


Faces = tuple[tuple[int, int, int], ...]


def _wedge(length: float, width: float, height: float, mirrored: bool) -> tuple[tuple[Vec, ...], Faces]:  # fmt: skip
    """A ramp about the middle of its box: high at −x and its foot at +x, or the other way."""
    x, y, z = length / 2, width / 2, height / 2
    s = -1.0 if mirrored else 1.0
    vertices = (
        (-s * x, -y, -z), (s * x, -y, -z), (-s * x, -y, z),
        (-s * x, y, -z), (s * x, y, -z), (-s * x, y, z),
    )  # fmt: skip
    faces: Faces = (
        (0, 1, 2), (3, 5, 4), (0, 4, 1), (0, 3, 4), (1, 4, 5), (1, 5, 2), (0, 2, 5), (0, 5, 3),
    )  # fmt: skip
    return vertices, tuple((a, c, b) for a, b, c in faces) if mirrored else faces


def _cone(radius: float, height: float) -> tuple[tuple[Vec, ...], Faces]:
    """A cone about the middle of its box, its tip up."""
    ring = [2 * math.pi * k / CONE_SIDES for k in range(CONE_SIDES)]
    base = [
        (round(radius * math.cos(a), 6), round(radius * math.sin(a), 6), -height / 2) for a in ring
    ]
    top, bottom = CONE_SIDES, CONE_SIDES + 1
    faces = []
    for k in range(CONE_SIDES):
        after = (k + 1) % CONE_SIDES
        faces += [(k, after, top), (after, k, bottom)]
    return (*base, (0.0, 0.0, height / 2), (0.0, 0.0, -height / 2)), tuple(faces)


def followed_bodies(said: Sentences, story: Story) -> dict[int, str]:
    """The body that each camera wish is about: the one it names, or the first that moves."""
    found = {}
    moving = [t for t, p in story.paths if p.kind] + [t for t in story.things if not t.fixed]
    for k in range(len(said.cameras)):
        choice = story.watched[k] if k in story.watched else (moving or story.things)[0]
        found[k] = choice.names[0]
    return found


def make_joints(layout: Layout) -> tuple[Joint, ...]:
    """Sockets and ropes of what hangs."""
    joints: list[Joint] = []
    for k, (thing, copy, anchor, kind) in enumerate(layout.anchors):
        child, name = thing.names[copy], f"{'pivot' if kind == 'socket' else 'rope'}-{k + 1}"
        at: Vec = tidy(anchor)  # type: ignore[assignment]
        if kind == "socket":
            joints.append(Socket(name=name, child=child, anchor=at))
        else:
            x, y, z = thing.copies[copy].position
            end: Vec = tidy((x, y, z + thing.solid_size[2] / 2))  # type: ignore[assignment]
            joints.append(Rope(name=name, child=child, parent_anchor=at, child_anchor=end))
    return tuple(joints)


def make_fields(said: Sentences, story: Story, gravity: float) -> tuple[ForceField, ...]:
    """Gravity and what the prompt says of air and wind; flutter brings a wind."""
    fields: list[ForceField] = [Gravity(acceleration=(0.0, 0.0, -gravity))] if gravity else []
    drag = [value for kind, value, _ in said.worlds if kind == "drag"]
    winds = [Wind(velocity=tidy(tuple(w.speed * c for c in w.towards))) for w in said.winds]  # type: ignore[arg-type]
    if not winds and any(p.kind == "flutter" for _, p in story.paths):
        winds = [Wind(velocity=(6.0, 0.0, 0.0))]
    fields += winds
    cloths = tuple(n for t in story.things if t.shape == "cloth" for n in t.names)
    if (drag and drag[-1] > 0) or winds:
        fields.append(Drag(air_density=1.2))
    elif cloths and not drag:
        # Air is what stops a cloth; what is heavier hardly feels it, and was not said to.
        fields.append(Drag(air_density=1.2, bodies=cloths))
    return tuple(fields)


def make_floor(said: Sentences, gravity: float) -> Floor | None:
    """The floor as the prompt has it; None in space or where it is told away."""
    gone = any(kind == "floor" for kind, _, _ in said.worlds)
    if gone or any(text in ("in space", "in outer space") for _, _, text in said.worlds):
        return None
    floor = Floor()
    material = floor.material
    for kind, name in sorted(said.floor_quality, key=lambda quality: quality[0] == "colour"):
        if kind == "material":
            s = n.SUBSTANCES[name]
            r, g, b = n.COLOURS[s.colour]
            material = replace(
                material, friction=s.friction, restitution=s.restitution, roughness=s.roughness,
                colour=(r, g, b), texture_colour=(0.85 * r, 0.85 * g, 0.85 * b), sound=sound_of(name),  # type: ignore[arg-type]
            )  # fmt: skip
        elif kind == "colour":
            material = replace(material, colour=n.COLOURS[name])
        else:
            friction = n.QUALITIES[name].friction
            if friction is None and name not in ("flat", "medium", "horizontal", "lying"):
                raise PlanError(
                    f"no rule for a floor that is {name!r}; known: colours, materials, how rough."
                )
            material = material if friction is None else replace(material, friction=friction)
    if any(kind == "friction" for kind, _, _ in said.worlds):
        material = replace(material, friction=0.0)
    return replace(floor, material=material)


def make_events(story: Story, bodies: dict[str, Body]) -> tuple[Event, ...]:
    """Releases, pushes that topple, and blows, in the order of the story."""
    events: list[Event] = []
    for thing, path in story.paths:
        if path.kind == "hold" and path.release is not None:
            events += [
                Release(time=round(path.release + k * path.stagger, 6), target=name)
                for k, name in enumerate(thing.names)
            ]
        if path.kind == "topple":
            body = bodies[thing.names[0]]
            push = round(body_mass(body) * 1.2, 6)
            top = round(0.45 * thing.size[2], 6)
            events.append(Impulse(time=0.2, body=body.name, impulse=(push, 0.0, 0.0), offset=(0.0, 0.0, top)))  # fmt: skip
        if path.blow is not None:
            for name in thing.names:
                push = round(body_mass(bodies[name]) * (path.speed or 2.0) * path.heading, 6)
                events.append(Impulse(time=path.blow, body=name, impulse=(push, 0.0, 0.0)))
    return tuple(events)
