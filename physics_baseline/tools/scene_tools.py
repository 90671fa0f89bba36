"""Tools that make and change the scene. Parts are given as JSON, as docs/scene_spec.schema.json says."""

from __future__ import annotations

from typing import Any, Literal

from clay4d.physics_baseline.planner import explain
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.physics_baseline.spec.scene import scene_schema
from clay4d.physics_baseline.tools.session import Session, ToolError

Json = dict[str, Any]


def make_scene(
    session: Session, prompt: str | None = None, spec: Json | None = None, seed: int = 0
) -> Json:
    """Begin a scene: from a prompt by the grammar planner, from a whole spec, or empty.

    Args:
        prompt: English sentences, such as "a red ball rolls down a ramp and hits two blue cubes".
        spec: a whole SceneSpec as JSON.
        seed: of what a prompt leaves open.
    """
    if prompt is not None and spec is not None:
        raise ToolError("make_scene got a prompt and a spec; expected one of them.")
    understood: list[list[str]] = []
    passed: list[str] = []
    if prompt is not None:
        explanation = explain(prompt, seed=seed)
        scene = explanation.scene
        understood = [list(line) for line in explanation.lines]
        passed = list(explanation.passed_over)
    else:
        scene = SceneSpec.from_dict({"seed": seed, **(spec or {})})
    session.change(scene)
    return {**describe_scene(session), "understood": understood, "passed_over": passed}


def plan_scene(session: Session, prompt: str, seed: int = 0) -> Json:
    """Say how a prompt is understood, and the SceneSpec that it gives; the session's scene stays as it is.

    Args:
        prompt: English sentences.
        seed: of what the prompt leaves open.
    """
    explanation = explain(prompt, seed=seed)
    return {
        "spec": explanation.scene.to_dict(),
        "understood": [list(line) for line in explanation.lines],
        "passed_over": list(explanation.passed_over),
    }


def get_schema(session: Session, part: str | None = None) -> Json:
    """The JSON Schema of scenes, or of one part, with all that it refers to.

    Args:
        part: such as Sphere, Material, Drag or OrbitCamera; the whole SceneSpec if not given.
    """
    schema = scene_schema()
    if part is None:
        return schema
    known = schema["$defs"]
    if part not in known:
        raise ToolError(f"part got {part!r}; expected one of {', '.join(sorted(known))}.")
    named: Json = {}
    waiting = [part]
    while waiting:
        name = waiting.pop()
        if name not in named:
            named[name] = known[name]
            waiting += _references(known[name])
    return {**named.pop(part), "$defs": named}


def _references(schema: Any) -> list[str]:
    """Names of the definitions that a schema refers to."""
    if isinstance(schema, dict):
        own = [schema["$ref"].rpartition("/")[2]] if isinstance(schema.get("$ref"), str) else []
        return own + [name for value in schema.values() for name in _references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _references(value)]
    return []


def describe_scene(session: Session) -> Json:
    """Say what is in the scene: bodies, joints, fields, cameras, events, times."""
    scene = session.need_scene()
    return {
        "bodies": [f"{b.name}: {b.motion} {b.kind} at {_words(b.position)}" for b in scene.bodies],
        "joints": [f"{j.name}: {j.kind} of {j.child}" for j in scene.joints],
        "fields": [f.kind for f in scene.fields],
        "cameras": [f"{c.name}: {c.kind} {c.width}×{c.height}" for c in scene.cameras],
        "events": [f"{e.time:g} s {e.kind}" for e in scene.events],
        "duration": scene.duration,
        "fps": scene.fps,
        "frames": scene.frames,
    }


def get_scene(session: Session) -> Json:
    """The whole scene as JSON."""
    return session.need_scene().to_dict()


def add_body(session: Session, body: Json) -> Json:
    """Add a body.

    Args:
        body: its JSON with kind (sphere, box, cylinder, capsule, mesh, cloth, soft) and name.
    """
    return _add(session, "bodies", body)


def add_joint(session: Session, joint: Json) -> Json:
    """Connect two bodies, or one with the world.

    Args:
        joint: its JSON with kind (hinge, slider, socket, weld, rope), name and child.
    """
    return _add(session, "joints", joint)


def add_event(session: Session, event: Json) -> Json:
    """Add something that happens at a time.

    Args:
        event: its JSON with kind (impulse, release) and time.
    """
    return _add(session, "events", event)


def add_camera(session: Session, camera: Json) -> Json:
    """Add a camera; what was simulated stays.

    Args:
        camera: its JSON with kind (fixed, path, orbit, follow) and name.
    """
    return _add(session, "cameras", camera, physics=False)


def add_light(session: Session, light: Json) -> Json:
    """Add a light; what was simulated stays.

    Args:
        light: its JSON with kind (sun, point, ambient).
    """
    return _add(session, "lights", light, physics=False)


def set_field(session: Session, field: Json) -> Json:
    """Set a force field: it takes the place of those of its kind, a tether that of its name.

    Args:
        field: its JSON with kind (gravity, wind, drag, buoyancy, magnus, tether).
    """
    plain = session.need_scene().to_dict()
    kind, name = field.get("kind"), field.get("name")
    plain["fields"] = [
        f for f in plain["fields"] if f["kind"] != kind or (kind == "tether" and f["name"] != name)
    ]
    plain["fields"].append(field)
    session.change(SceneSpec.from_dict(plain))
    return {"fields": [f["kind"] for f in plain["fields"]]}


def set_body(session: Session, name: str, values: Json) -> Json:
    """Change a body's values, such as position, velocity, mass or material.

    Args:
        name: of the body.
        values: JSON of the fields to change; a material's own fields may be given alone.
    """
    plain = session.need_scene().to_dict()
    for body in plain["bodies"]:
        if body["name"] == name:
            values = dict(values)
            if isinstance(values.get("material"), dict):
                values["material"] = {**body["material"], **values["material"]}
            body.update(values)
            session.change(SceneSpec.from_dict(plain))
            return {**body}
    session.need_scene().body(name)  # says which there are
    return {}


def set_scene(session: Session, values: Json) -> Json:
    """Change the scene's own values: duration, fps, floor, background, seed.

    Args:
        values: JSON of the fields to change.
    """
    plain = session.need_scene().to_dict()
    session.change(SceneSpec.from_dict({**plain, **values}))
    return describe_scene(session)


def remove(session: Session, what: Literal["body", "joint", "camera", "tether"], name: str) -> Json:
    """Take a body, joint, camera or tether out of the scene.

    Args:
        what: the kind of thing.
        name: which one.
    """
    where = {"body": "bodies", "joint": "joints", "camera": "cameras", "tether": "fields"}[what]
    plain = session.need_scene().to_dict()
    left = [p for p in plain[where] if p.get("name") != name]
    if len(left) == len(plain[where]):
        known = ", ".join(p["name"] for p in plain[where] if p.get("name")) or "none"
        raise ToolError(f"{what} got {name!r}; expected one of {known}.")
    plain[where] = left
    session.change(SceneSpec.from_dict(plain), physics=what != "camera")
    return {where: [p.get("name", p.get("kind")) for p in left]}


def _add(session: Session, where: str, part: Json, *, physics: bool = True) -> Json:
    plain = session.need_scene().to_dict()
    plain[where].append(part)
    session.change(SceneSpec.from_dict(plain), physics=physics)
    return {where: [p.get("name", p.get("kind")) for p in plain[where]]}


def _words(values: Any) -> str:
    return "(" + ", ".join(f"{v:.3g}" for v in values) + ")"
