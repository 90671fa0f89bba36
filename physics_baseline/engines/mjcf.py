"""A scene as MuJoCo's XML: only what decides the model's structure; numbers that may change between
runs (masses, friction, restitution, gravity, starts of free bodies) are written into the model later."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.flex import flex_xml
from clay4d.physics_baseline.engines.tree import (
    SOFT_KINDS,
    Assembly,
    Held,
    assemble,
    conjugate,
    jointed_pairs,
    product,
    rigid_bodies,
    rotation,
    unit,
)
from clay4d.physics_baseline.spec import SceneSpec

SAME_MATERIAL_FROM = 40
"""Bodies past which those of one material collide by their own parameters instead of their pair's."""

_FLAGS = '<flag autoreset="disable" energy="disable"/></option>'
OPTIONS = (
    '<option integrator="Euler" cone="elliptic" impratio="10" iterations="100" tolerance="1e-10">'
    + _FLAGS
)
SOFT_OPTIONS = (  # Elasticity needs the implicit integrator, and its many contacts the quick solver.
    '<option integrator="discrete" solver="CG" cone="pyramidal" iterations="40" tolerance="1e-6">'
    + _FLAGS
)


@dataclass
class Mjcf:
    """The XML of a scene at a stage of its releases."""

    xml: str
    assembly: Assembly
    pairs: list[tuple[str, str]] = field(default_factory=list)
    """Names of bodies (and "floor") with contact parameters of their own, in the model's order."""


def mjcf(scene: SceneSpec, released: Collection[str]) -> Mjcf:
    """Write a scene's structure, when those in `released` have been let go.

    >>> from clay4d.physics_baseline.spec import Sphere
    >>> "freejoint" in mjcf(SceneSpec(bodies=(Sphere(name="a"),)), ()).xml
    True
    """
    assembly = assemble(scene, released)
    rigid = rigid_bodies(scene)
    soft = len(rigid) < len(scene.bodies)
    pairs, excluded = _pairs(scene, assembly, released)
    out = [
        '<mujoco model="scene"><compiler angle="radian" autolimits="true" balanceinertia="false"/>',
        SOFT_OPTIONS if soft else OPTIONS,
        '<size memory="64M"/><asset>', *[mesh_xml(b) for b in rigid if b.kind == "mesh"], "</asset><worldbody>",
    ]  # fmt: skip
    if scene.floor is not None:
        height = scene.floor.height
        out.append(f'<geom name="floor" type="plane" size="0 0 1" pos="0 0 {height!r}"/>')
    sites = _rope_sites(scene, assembly)
    children: dict[str | None, list[Any]] = {}
    for b in rigid:
        holder = assembly.tree[b.name].holder if b.name in assembly.tree else None
        children.setdefault(holder, []).append(b)
    out += [s for s in sites.get(None, [])]
    out += [_body(b, None, scene, assembly, children, sites) for b in children.get(None, [])]
    out += [flex_xml(b, scene, released) for b in scene.bodies if b.kind in SOFT_KINDS]
    out.append("</worldbody><contact>")
    out += [f'<exclude body1="{a}" body2="{b}"/>' for a, b in excluded]
    rolling = {b.name: b.material.rolling_friction for b in rigid}
    if scene.floor is not None:
        rolling["floor"] = scene.floor.material.rolling_friction
    for first, second in pairs:  # Rows of rolling friction cost time, so only where there is some.
        size = 6 if rolling[first] + rolling[second] > 0 else 3
        out.append(f'<pair geom1="{first}" geom2="{second}" condim="{size}"/>')
    out += ["</contact>", _equality(scene, assembly), _tendons(assembly), "</mujoco>"]
    return Mjcf("".join(out), assembly, pairs)


def _numbers(values: Any) -> str:
    return " ".join(repr(float(v)) for v in values)


def mesh_xml(body: Any) -> str:
    """A mesh body's triangles."""
    vertices = _numbers(np.ravel(body.vertices))
    faces = " ".join(str(int(i)) for i in np.ravel(body.faces))
    return f'<mesh name="{body.name}" vertex="{vertices}" face="{faces}" inertia="convex"/>'


def geom_xml(body: Any) -> str:
    """A rigid body's shape."""
    name = f'name="{body.name}" condim="{6 if body.material.rolling_friction > 0 else 3}"'
    if body.kind == "sphere":
        return f'<geom {name} type="sphere" size="{body.radius!r}"/>'
    if body.kind == "box":
        return f'<geom {name} type="box" size="{_numbers(s / 2 for s in body.size)}"/>'
    if body.kind in ("cylinder", "capsule"):
        return f'<geom {name} type="{body.kind}" size="{body.radius!r} {body.height / 2!r}"/>'
    return f'<geom {name} type="mesh" mesh="{body.name}"/>'


def _body(
    body: Any, holder: Any, scene: SceneSpec, assembly: Assembly, children: Any, sites: Any
) -> str:
    """One body with those that it holds inside it."""
    position, quat = np.array(body.position), np.array(unit(body.quat))
    free = body.name in assembly.moving and body.name not in assembly.tree
    if holder is not None:
        inverse = conjugate(unit(holder.quat))
        position = rotation(inverse) @ (position - holder.position)
        quat = product(inverse, quat)
    elif free:  # Its start is written into the state.
        position, quat = np.zeros(3), np.array([1.0, 0, 0, 0])
    inner = "".join(sites.get(body.name, []))
    inner += "".join(
        _body(c, body, scene, assembly, children, sites) for c in children.get(body.name, [])
    )
    # A mesh has its centre of mass off its origin, which a "simple" body may not.
    simple = ' simple="false"' if body.kind == "mesh" else ""
    joint = f'<freejoint name="{body.name}"/>' if free else ""
    if body.name in assembly.tree:
        joint = _joint(body, assembly.tree[body.name])
    return (
        f'<body name="{body.name}" pos="{_numbers(position)}" quat="{_numbers(quat)}"{simple}>{joint}'
        f'<inertial pos="0 0 0" mass="1" diaginertia="1 1 1"/>{geom_xml(body)}{inner}</body>'
    )


def _joint(body: Any, held: Held) -> str:
    joint = held.joint
    if joint.kind == "weld":
        return ""
    R = rotation(body.quat)
    words = f'<joint name="{joint.name}" damping="{joint.damping!r}"'
    if joint.kind in ("hinge", "socket"):
        words += f' pos="{_numbers(R.T @ (np.array(joint.anchor) - body.position))}"'
    if joint.kind in ("hinge", "slider"):
        axis = np.array(joint.axis) / np.linalg.norm(joint.axis) * (-1 if held.flipped else 1)
        words += f' axis="{_numbers(R.T @ axis)}"'
        if joint.limits is not None:
            words += f' range="{_numbers(joint.limits)}" solreflimit="0.002 1" solimplimit="0.99 0.99 0.001"'
    kind = {"hinge": "hinge", "slider": "slide", "socket": "ball"}[joint.kind]
    return f'{words} type="{kind}"/>'


def _rope_sites(scene: SceneSpec, assembly: Assembly) -> dict[str | None, list[str]]:
    sites: dict[str | None, list[str]] = {}
    for rope in assembly.ropes:
        for end, name, anchor in (
            ("parent", rope.parent, rope.parent_anchor), ("child", rope.child, rope.child_anchor),
        ):  # fmt: skip
            local = np.array(anchor, float)
            if name is not None:
                body = scene.body(name)
                local = rotation(body.quat).T @ (local - body.position)
            site = f'<site name="{rope.name}-{end}" pos="{_numbers(local)}" size="0.001"/>'
            sites.setdefault(name, []).append(site)
    return sites


def _tendons(assembly: Assembly) -> str:
    out = []
    for rope in assembly.ropes:
        length = rope_length(rope)
        out.append(
            f'<spatial name="{rope.name}" range="0 {length!r}" solreflimit="0.002 1" '
            f'solimplimit="0.995 0.995 0.001"><site site="{rope.name}-parent"/>'
            f'<site site="{rope.name}-child"/></spatial>'
        )
    return f"<tendon>{''.join(out)}</tendon>" if out else ""


def rope_length(rope: Any) -> float:
    """As given, or the distance of its ends at time 0, metres."""
    if rope.length is not None:
        return float(rope.length)
    return float(np.linalg.norm(np.subtract(rope.parent_anchor, rope.child_anchor)))


def _equality(scene: SceneSpec, assembly: Assembly) -> str:
    """Joints that close loops, as constraints; a slider there is refused."""
    out = []
    hard = 'solref="0.002 1" solimp="0.999 0.999 0.001"'
    for joint in assembly.loops:
        body = scene.body(joint.child)
        other = f' body2="{joint.parent}"' if joint.parent is not None else ""
        R = rotation(body.quat)
        if joint.kind == "slider":
            raise ValueError(
                f"joints got the slider {joint.name!r} in a loop of joints; expected one that hangs "
                "in a tree. Remove another joint of the loop."
            )
        if joint.kind == "weld":
            out.append(f'<weld body1="{joint.child}"{other} {hard}/>')
            continue
        points = [np.array(joint.anchor)]
        if joint.kind == "hinge":  # Two points of its axis.
            axis = np.array(joint.axis) / np.linalg.norm(joint.axis)
            points = [points[0] - 0.1 * axis, points[0] + 0.1 * axis]
        for point in points:
            local = _numbers(R.T @ (point - body.position))
            out.append(f'<connect body1="{joint.child}"{other} anchor="{local}" {hard}/>')
    return f"<equality>{''.join(out)}</equality>" if out else ""


def material_key(material: Any) -> tuple[float, float, float]:
    """What decides contacts."""
    return material.friction, material.restitution, material.rolling_friction


def _pairs(
    scene: SceneSpec, assembly: Assembly, released: Collection[str]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs that may touch and have their own parameters, and jointed ones that may not."""
    rigid = rigid_bodies(scene)
    things: list[tuple[str, Any]] = [("floor", scene.floor)] if scene.floor is not None else []
    things += [(b.name, b) for b in rigid]
    joined = jointed_pairs(scene, released)
    pairs, excluded = [], []
    for i, (a, first) in enumerate(things):
        for b, second in things[i + 1 :]:
            if frozenset((a, b)) in joined:
                excluded.append((a, b))
            elif a not in assembly.moving and b not in assembly.moving:
                continue
            elif len(rigid) < SAME_MATERIAL_FROM or material_key(first.material) != material_key(second.material):  # fmt: skip
                pairs.append((a, b))
    return pairs, excluded
