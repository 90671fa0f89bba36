"""SceneSpec: JSON round trips, agreement with the published schema, errors that name the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clay4d.physics_baseline import spec as s
from clay4d.physics_baseline.spec import SceneSpec, SpecError, scene_schema

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "scene_spec.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(scene_schema())

coordinates = st.floats(-100, 100)
vectors = st.tuples(coordinates, coordinates, coordinates)
lengths = st.floats(1e-3, 10)
fractions = st.floats(0, 1)
colours = st.tuples(fractions, fractions, fractions)
quats = st.tuples(coordinates, coordinates, coordinates, coordinates).filter(
    lambda q: sum(v * v for v in q) > 1e-6
)
materials = st.builds(
    s.Material, density=st.floats(1, 2e4), friction=st.floats(0, 3), restitution=fractions,
    colour=colours, texture=st.sampled_from(["plain", "checker", "stripes", "dots", "noise"]),
)  # fmt: skip
TETRAHEDRON = {
    "vertices": ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "faces": ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)),
}


@st.composite
def bodies(draw: Any, name: str) -> Any:
    common = {
        "name": name, "material": draw(materials), "position": draw(vectors),
        "quat": draw(quats), "velocity": draw(vectors),
    }  # fmt: skip
    cls = draw(st.sampled_from([s.Sphere, s.Box, s.Cylinder, s.Capsule, s.Mesh, s.Cloth, s.Soft]))
    if cls in (s.Sphere, s.Cylinder, s.Capsule):
        common["radius"] = draw(lengths)
    if cls in (s.Cylinder, s.Capsule):
        common["height"] = draw(lengths)
    if cls in (s.Box, s.Soft):
        common["size"] = draw(st.tuples(lengths, lengths, lengths))
    if cls is s.Mesh:
        common.update(TETRAHEDRON)
    if cls is s.Cloth:
        common["pins"] = draw(st.lists(st.tuples(fractions, fractions), max_size=3).map(tuple))
    return cls(**common)


@st.composite
def scenes(draw: Any) -> SceneSpec:
    made = tuple(draw(bodies(f"body-{k}")) for k in range(draw(st.integers(1, 3))))
    first = made[0].name
    fields = draw(
        st.lists(
            st.sampled_from(
                [
                    s.Gravity(), s.Wind(velocity=(1, 0, 0)), s.Drag(bodies=(first,)), s.Magnus(),
                    s.Buoyancy(added_mass=0.5),
                    s.Tether(name="t", body=first, anchor=(0, 0, 3), stiffness=5),
                ]
            ),
            max_size=4,
            unique_by=lambda f: f.kind,
        )
    )  # fmt: skip
    joints = draw(
        st.lists(
            st.sampled_from(
                [
                    s.Hinge(name="j0", child=first, anchor=(0, 0, 1), axis=(0, 1, 0)),
                    s.Slider(name="j1", child=first, axis=(1, 0, 0), limits=(-1, 1)),
                    s.Socket(name="j2", child=first, anchor=(0, 0, 1)),
                    s.Weld(name="j3", child=first),
                    s.Rope(name="j4", child=first, parent_anchor=(0, 0, 2), child_anchor=(0, 0, 1)),
                ]
            ),
            max_size=2,
            unique=True,
        )
    )
    cameras = (
        s.FixedCamera(name="a", position=draw(vectors), look_at=(200, 0, 0)),
        s.PathCamera(
            name="b", keyframes=(s.Keyframe(time=0, position=draw(vectors), look_at=(0, 0, 0)),)
        ),
        s.OrbitCamera(name="c"),
        s.FollowCamera(name="d", body=first),
    )
    return SceneSpec(
        bodies=made, fields=tuple(fields), joints=tuple(joints), cameras=cameras,
        events=(s.Impulse(time=0.1, body=first, impulse=draw(vectors)),),
        lights=(s.SunLight(), s.PointLight(position=draw(vectors))),
        floor=draw(st.sampled_from([None, s.Floor()])), duration=draw(st.floats(0.2, 10)),
        fps=draw(st.floats(1, 200)), seed=draw(st.integers(0, 2**63 - 1)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_json_round_trip_and_schema(scene: SceneSpec) -> None:
    text = scene.to_json()
    again = SceneSpec.from_json(text)
    assert again == scene and again.to_json() == text
    VALIDATOR.validate(json.loads(text))
    assert SceneSpec.from_dict(scene.to_dict()) == scene


BASE = SceneSpec(
    bodies=(
        s.Sphere(name="ball", motion="held"), s.Box(name="cube"), s.Cylinder(name="can"),
        s.Mesh(name="wedge", **TETRAHEDRON), s.Cloth(name="cloth"),
    ),
    joints=(s.Hinge(name="door", child="cube", anchor=(0, 0, 0), axis=(0, 0, 1)),),
    fields=(s.Gravity(), s.Tether(name="spring", body="ball", anchor=(0, 0, 2), stiffness=10)),
    cameras=(s.FixedCamera(name="front", position=(0, -3, 1)),),
    events=(s.Release(time=0.5, target="ball"),),
).to_dict()  # fmt: skip


def put(path: str, value: Any) -> Any:
    """BASE with another value at a dotted path; `...` removes what is there."""
    raw = json.loads(json.dumps(BASE))
    here, keys = raw, [int(k) if k.isdigit() else k for k in path.split(".")]
    for key in keys[:-1]:
        here = here[key]
    if value is ...:
        del here[keys[-1]]
    else:
        here[keys[-1]] = value
    return raw


SCHEMA_FAULTS = [
    ("bodies.0.radius", -0.1, "bodies[0].radius got -0.1; expected more than 0 metres."),
    ("bodies.2.height", 0, "bodies[2].height got 0; expected more than 0 metres."),
    ("bodies.0.radius", "0.1", "bodies[0].radius got '0.1'; "),
    ("bodies.0.mass", 0, "bodies[0].mass got 0; expected more than 0 kilograms."),
    ("bodies.0.velocity.2", 1e6, "bodies[0].velocity[2] got 1000000.0; expected at most 1000 metres per second."),
    ("bodies.1.material.restitution", 1.5, "bodies[1].material.restitution got 1.5; expected at most 1."),
    ("bodies.1.material.colour", [1, 0], "bodies[1].material.colour[2] is missing"),
    ("bodies.0.kind", "torus", "bodies[0].kind got 'torus'; expected one of 'sphere', "),
    ("bodies.0.kind", ..., "bodies[0].kind is missing"),
    ("bodies.0.name", ..., "bodies[0].name is missing"),
    ("bodies.0.name", "../x", "bodies[0].name got '../x'; expected a letter"),
    ("bodies.0.colour", "red", "bodies[0].colour got 'red'; no such field"),
    ("bodies.0.motion", "flying", "bodies[0].motion got 'flying'; expected one of 'free', "),
    ("fields.1.stiffness", -1, "fields[1].stiffness got -1; expected at least 0."),
    ("cameras.0.fov", 180, "cameras[0].fov got 180; expected less than 170 degrees."),
    ("duration", 0, "duration got 0; expected more than 0 seconds."),
    ("fps", None, "fps got None; "),
    ("version", "clay4d-scene-9", "version got 'clay4d-scene-9'; expected one of 'clay4d-scene-1'."),
]  # fmt: skip
MEANING_FAULTS = [
    ("bodies.1.name", "ball", "bodies[1].name got 'ball', already the name of another body"),
    ("joints.0.name", "ball", "joints[0].name got 'ball', already the name of another body"),
    ("joints.0.child", "bell", "joints[0].child got 'bell'; expected the name of a body (ball,"),
    ("joints.0.parent", "cube", "joints[0].parent got 'cube', its child"),
    ("joints.0.axis", [0, 0, 0], "joints[0].axis got [0, 0, 0]; expected a vector that is not zero."),
    ("bodies.0.quat", [0, 0, 0, 0], "bodies[0].quat got [0, 0, 0, 0]; expected a vector"),
    ("fields.1.body", "bell", "fields[1].body got 'bell'"),
    ("events.0.time", 5, "events[0].time got 5; expected at most the duration, 2 seconds."),
    ("events.0.target", "cube", "events[0].target got 'cube'; expected a held body"),
    ("bodies.3.faces.0", [0, 1, 2], "bodies[3].faces got an edge"),
    ("bodies.3.faces.0", [0, 9, 1], "bodies[3].faces got index 9; expected less than 4."),
    ("cameras.0.look_at", [0, -3, 1], "cameras[0].look_at got (0.0, -3.0, 1.0), its position"),
    ("fps", 10000, None),
    ("duration", 3600, None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), SCHEMA_FAULTS)
def test_faults_that_the_schema_sees_too(path: str, value: Any, message: str) -> None:
    raw = put(path, value)
    assert not VALIDATOR.is_valid(raw)
    with pytest.raises(SpecError) as error:
        SceneSpec.from_dict(raw)
    assert message in str(error.value), str(error.value)


@pytest.mark.parametrize(("path", "value", "message"), MEANING_FAULTS)
def test_faults_of_meaning(path: str, value: Any, message: str | None) -> None:
    raw = put(path, value)
    VALIDATOR.validate(raw)
    if message is None:
        SceneSpec.from_dict(raw)
        return
    with pytest.raises(SpecError) as error:
        SceneSpec.from_dict(raw)
    assert message in str(error.value), str(error.value)


def test_several_faults_are_all_named() -> None:
    raw = put("bodies.0.radius", -1)
    raw["fps"] = -24
    with pytest.raises(SpecError) as error:
        SceneSpec.from_dict(raw)
    assert len(str(error.value).splitlines()) == 2


def test_python_construction_is_checked_with_the_same_words() -> None:
    with pytest.raises(SpecError, match=r"^radius got -0.1; expected more than 0 metres\.$"):
        s.Sphere(name="ball", radius=-0.1)
    with pytest.raises(SpecError, match="^velocity got a moving start"):
        s.Box(name="wall", motion="fixed", velocity=(1, 0, 0))
    with pytest.raises(SpecError, match="frames"):
        SceneSpec(duration=3600, fps=10_000)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', '{"bodies": 3}', '{"duration": NaN}'])
def test_text_that_is_no_scene(text: str) -> None:
    with pytest.raises(SpecError):
        SceneSpec.from_json(text)


def test_save_and_load(tmp_path: Path) -> None:
    scene = SceneSpec.from_dict(BASE)
    scene.save(tmp_path / "a" / "scene.json")
    assert SceneSpec.load(tmp_path / "a" / "scene.json") == scene
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["scene.json"]
    with pytest.raises(FileNotFoundError, match="expected a scene's JSON file"):
        SceneSpec.load(tmp_path / "none.json")


def test_published_schema_is_up_to_date() -> None:
    """After a change of the spec: python -m clay4d.physics_baseline.spec.schema docs/scene_spec.schema.json."""
    assert json.loads(SCHEMA_FILE.read_text()) == scene_schema()


def test_every_number_of_the_schema_says_its_unit() -> None:
    """Every field has a docstring, and a number's docstring names its unit or that it has none."""
    words = (
        "metre", "second", "kilogram", "pascal", "newton", "degree", "radian", "no unit", "pixel",
        "frame", "centre",
    )  # fmt: skip
    for name, definition in {**scene_schema()["$defs"], "SceneSpec": scene_schema()}.items():
        for field, value in definition["properties"].items():
            if field == "kind":
                continue
            assert value.get("description"), f"{name}.{field} has no docstring"
            if "number" in json.dumps(value):
                assert any(w in value["description"].lower() for w in words), f"{name}.{field}"
