"""SceneSpec: everything that decides a simulated video, as one value that is also a JSON file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, TypeAdapter

from clay4d.files import written_whole
from clay4d.physics_baseline.spec.bodies import Body, Cloth, Material
from clay4d.physics_baseline.spec.fields import (
    Event,
    ForceField,
    Gravity,
    Impulse,
    Joint,
    Release,
    Tether,
)
from clay4d.physics_baseline.spec.units import Colour, Coordinate, SpecError, explain_errors, part
from clay4d.physics_baseline.spec.views import AmbientLight, Camera, FollowCamera, Light, SunLight

VERSION = "clay4d-scene-1"
MAX_FRAMES = 100_000


@part
class Floor:
    """A horizontal plane without end that holds everything above it."""

    height: Coordinate = 0.0
    """Of its surface, metres."""
    material: Material = Material(
        colour=(0.55, 0.57, 0.6), texture="checker", texture_colour=(0.65, 0.67, 0.7), friction=0.6
    )
    """Friction, restitution and look; its density means nothing."""


@part
class SceneSpec:
    """A whole simulated scene: what is in it, what acts on it, who looks, and for how long.

    World: metres, kilograms, seconds, z up; quaternions wxyz. Frames are at k / fps.

    Raises:
        SpecError: a `ValueError` whose lines each name a field and say why it is wrong.

    >>> from clay4d.physics_baseline.spec import SceneSpec, Sphere
    >>> scene = SceneSpec(bodies=(Sphere(name="ball", position=(0, 0, 1)),))
    >>> SceneSpec.from_json(scene.to_json()) == scene
    True
    >>> SceneSpec(bodies=(Sphere(name="a"), Sphere(name="a")))
    Traceback (most recent call last):
    clay4d.physics_baseline.spec.units.SpecError: bodies[1].name got 'a', already the name of another body; expected a new one.
    """

    version: Literal["clay4d-scene-1"] = "clay4d-scene-1"
    """Of this format."""
    prompt: str = ""
    """What the scene was planned from; changes nothing."""
    bodies: tuple[Body, ...] = ()
    """In the order of their instance ids: the first is 1, the floor and the background are 0."""
    joints: tuple[Joint, ...] = ()
    """Connections of two bodies, or of one to the world."""
    fields: tuple[ForceField, ...] = (Gravity(),)
    """Forces; gravity too is one, and without it bodies are weightless."""
    floor: Floor | None = Floor()
    """The ground; None: none."""
    cameras: tuple[Camera, ...] = ()
    """Each gives its own video."""
    lights: tuple[Light, ...] = (SunLight(), AmbientLight())
    """Their light adds up."""
    events: tuple[Event, ...] = ()
    """What happens at a time, by any order."""
    background: Colour = (0.85, 0.9, 0.95)
    """Where nothing is, sRGB, 0 to 1, no unit."""
    duration: Annotated[
        float, Field(gt=0, le=3600, allow_inf_nan=False, json_schema_extra={"unit": "seconds"})
    ] = 2.0
    """Seconds."""
    fps: Annotated[
        float,
        Field(
            gt=0, le=10_000, allow_inf_nan=False, json_schema_extra={"unit": "frames per second"}
        ),
    ] = 24.0
    """Frames per second."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of every random draw, no unit."""

    def __post_init__(self) -> None:
        problems = [*_names(self), *_references(self), *_events(self)]
        if self.duration * self.fps > MAX_FRAMES:
            problems.append(
                f"fps got {self.fps:g} for {self.duration:g} seconds; expected at most "
                f"{MAX_FRAMES} frames. Lower one of them."
            )
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def frames(self) -> int:
        """How many frames its videos have, at least one."""
        return max(1, round(self.duration * self.fps))

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds of each frame: k / fps."""
        return tuple(k / self.fps for k in range(self.frames))

    def body(self, name: str) -> Any:
        """The body of that name.

        Raises:
            ValueError: no such body.
        """
        for body in self.bodies:
            if body.name == name:
                return body
        known = ", ".join(b.name for b in self.bodies) or "none"
        raise ValueError(f"body got {name!r}; expected one of {known}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        plain: dict[str, Any] = json.loads(self.to_json())
        return plain

    def to_json(self) -> str:
        """The scene as JSON text, every field written out; the same scene gives the same text."""
        return scene_adapter().dump_json(self, indent=2).decode() + "\n"

    @classmethod
    def from_dict(cls, raw: Any) -> SceneSpec:
        """The scene of plain values; see `from_json`."""
        return cls.from_json(json.dumps(raw))

    @classmethod
    def from_json(cls, text: str | bytes) -> SceneSpec:
        """Read JSON text; fields left out keep their defaults.

        Raises:
            SpecError: text that is no JSON, or a field that is wrong, named with the reason.

        >>> SceneSpec.from_json('{"bodies": [{"kind": "sphere", "name": "a", "radius": -0.1}]}')
        Traceback (most recent call last):
        clay4d.physics_baseline.spec.units.SpecError: bodies[0].radius got -0.1; expected more than 0 metres.
        """
        try:
            return scene_adapter().validate_json(text, strict=True)
        except pydantic.ValidationError as error:
            raise SpecError(explain_errors(error, SceneSpec)) from None

    def save(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all."""
        path = Path(path)
        with written_whole(path) as place:
            place.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> SceneSpec:
        """Read a JSON file.

        Raises:
            FileNotFoundError: no such file.
            SpecError: its content is wrong; the message names the field.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"path got {str(path)!r}; expected a scene's JSON file.")
        return cls.from_json(Path(path).read_bytes())


@cache
def scene_adapter() -> TypeAdapter[SceneSpec]:
    """Pydantic's reader and writer of scenes, made once."""
    return TypeAdapter(SceneSpec)


def scene_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scene's file; `docs/scene_spec.schema.json` is this, published.

    >>> scene_schema()["properties"]["duration"]["unit"]
    'seconds'
    """
    schema = scene_adapter().json_schema()
    for definition in schema["$defs"].values():
        if "kind" in definition.get(
            "properties", {}
        ):  # The tag tells the members of a union apart.
            required = definition.setdefault("required", [])
            if "kind" not in required:
                required.insert(0, "kind")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _names(scene: SceneSpec) -> list[str]:
    problems = []
    parts: dict[str, Any] = {"bodies": scene.bodies, "joints": scene.joints, "fields": scene.fields}
    words = {"bodies": "body", "joints": "joint", "fields": "tether", "cameras": "camera"}
    taken: dict[str, str] = {}
    for where, values in [*parts.items(), ("cameras", scene.cameras)]:
        if where == "cameras":  # Folders of their own, so their names need not differ from bodies'.
            taken = {}
        for k, value in enumerate(values):
            name = getattr(value, "name", None)
            if name in taken:
                problems.append(
                    f"{where}[{k}].name got {name!r}, already the name of another {taken[name]}; "
                    "expected a new one."
                )
            elif name is not None:
                taken[name] = words[where]
    return problems


def _references(scene: SceneSpec) -> list[str]:
    known = {b.name for b in scene.bodies}
    asked: list[tuple[str, str]] = []
    for k, joint in enumerate(scene.joints):
        asked.append((f"joints[{k}].child", joint.child))
        if joint.parent is not None:
            asked.append((f"joints[{k}].parent", joint.parent))
    for k, field in enumerate(scene.fields):
        if isinstance(field, Tether):
            asked.append((f"fields[{k}].body", field.body))
        for j, name in enumerate(getattr(field, "bodies", ())):
            asked.append((f"fields[{k}].bodies[{j}]", name))
    for k, camera in enumerate(scene.cameras):
        if isinstance(camera, FollowCamera):
            asked.append((f"cameras[{k}].body", camera.body))
    for k, event in enumerate(scene.events):
        if isinstance(event, Impulse):
            asked.append((f"events[{k}].body", event.body))
    names = ", ".join(sorted(known)) or "none"
    problems = [
        f"{where} got {name!r}; expected the name of a body ({names})."
        for where, name in asked
        if name not in known
    ]
    for k, joint in enumerate(scene.joints):
        if joint.child == joint.parent:
            problems.append(
                f"joints[{k}].parent got {joint.parent!r}, its child; expected another."
            )
    return problems


def _events(scene: SceneSpec) -> list[str]:
    bodies = {b.name: b for b in scene.bodies}
    ties = {j.name for j in scene.joints} | {f.name for f in scene.fields if isinstance(f, Tether)}
    problems = []
    for k, event in enumerate(scene.events):
        if event.time > scene.duration:
            problems.append(
                f"events[{k}].time got {event.time:g}; expected at most the duration, "
                f"{scene.duration:g} seconds."
            )
        if isinstance(event, Release):
            body = bodies.get(event.target)
            holds = body is not None and (
                body.motion == "held" or (isinstance(body, Cloth) and bool(body.pins))
            )
            if not holds and event.target not in ties:
                problems.append(
                    f"events[{k}].target got {event.target!r}; expected a held body, a pinned "
                    "cloth, a joint or a tether."
                )
        elif event.body in bodies and bodies[event.body].motion == "fixed":
            problems.append(
                f"events[{k}].body got {event.body!r}, which is fixed; expected a body that moves."
            )
    return problems
