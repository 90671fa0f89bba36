"""Tools: calls and their log, replay, mistakes, the output folder, MCP, the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from clay4d.cli import main
from clay4d.physics_baseline.engines.trajectory_file import load_trajectory, save_trajectory
from clay4d.physics_baseline.engines.tree import rotations
from clay4d.physics_baseline.output import read_pictures
from clay4d.physics_baseline.simulate import simulate
from clay4d.physics_baseline.spec import Box, FixedCamera, SceneSpec, Sphere
from clay4d.physics_baseline.tools import TOOLS, Session, ToolError, read_trace, replay
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.store import load_scene

BALL = {"kind": "sphere", "name": "ball", "position": [0, 0, 0.8], "radius": 0.2}
CAMERA = {
    "kind": "fixed", "name": "front", "position": [0, -3, 1], "look_at": [0, 0, 0.4], "width": 48,
    "height": 32,
}  # fmt: skip


def spec() -> SceneSpec:
    bodies = (
        Sphere(name="ball", radius=0.2, position=(-0.5, 0, 0.5), velocity=(2, 0, 0)),
        Box(name="cube", size=(0.3, 0.3, 0.3), position=(0.2, 0, 0.15)),
    )
    camera = FixedCamera(
        name="main", position=(0, -2.5, 1), look_at=(0, 0, 0.2), width=40, height=32
    )
    return SceneSpec(bodies=bodies, cameras=(camera,), duration=0.5, fps=16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "data"
    simulate(spec(), out, rig=3)
    return out


def test_a_scene_step_by_step(tmp_path: Path) -> None:
    session = Session(tmp_path / "s")
    assert session.call("make_scene")["bodies"] == []
    session.call("add_body", body=BALL)
    session.call("add_camera", camera=CAMERA)
    session.call("set_field", field={"kind": "wind", "velocity": [3, 0, 0]})
    session.call("set_body", name="ball", values={"mass": 0.01, "material": {"restitution": 0.9}})
    session.call("set_scene", values={"duration": 0.6})
    assert session.call("simulate")["contacts"] == 1
    drifted = session.call("measure", quantity="position", body="ball")
    assert drifted["last"][0] > 0.05 and drifted["unit"] == "m"
    hits = session.call("measure", quantity="contacts", body="ball")["contacts"]
    assert hits[0]["bodies"] == ["floor", "ball"]
    session.call("render", camera="front", every=4)
    session.call("add_text", text="a ball in the wind", end=0.2)
    session.call("export", what="video")
    assert (tmp_path / "s" / "video.mp4").stat().st_size > 500
    assert [c["tool"] for c in session.calls][:3] == ["make_scene", "add_body", "add_camera"]
    assert all(c["seconds"] >= 0 for c in session.calls)
    trace = json.loads((tmp_path / "s" / "trace.json").read_text())
    assert trace["format"] == "clay4d-trace-1" and trace["calls"] == session.calls
    # Looks may change after the simulation, bodies may not.
    session.call("add_light", light={"kind": "point", "position": [0, 0, 3]})
    assert session.trajectory is not None and not session.rendered
    session.call("remove", what="body", name="ball")
    assert session.trajectory is None


def test_mistakes_are_named_and_change_nothing(tmp_path: Path) -> None:
    session = Session(tmp_path)
    with pytest.raises(ToolError, match="tool got 'juggle'; expected one of make_scene"):
        session.call("juggle")
    with pytest.raises(ToolError, match="scene got none yet.*make_scene"):
        session.call("simulate")
    session.call("make_scene", spec={"bodies": [BALL]})
    for tool, arguments, words in (
        ("add_body", {"body": {**BALL, "name": "b", "radius": -1}}, r"bodies\[1\].radius got -1"),
        ("add_body", {"body": BALL}, "already the name of another body"),
        ("add_body", {}, "add_body: body is missing. It takes body"),
        ("simulate", {"engine": "havok"}, "engine got 'havok'; expected one of 'mujoco', 'bullet' or 'genesis'"),
        ("simulate", {"stp": 1}, "stp got 1; no such field"),
        ("measure", {"quantity": "speed", "body": "ball"}, "trajectory got none"),
        ("remove", {"what": "camera", "name": "x"}, "camera got 'x'"),
        ("make_scene", {"prompt": "a cat juggles"}, "no rule for 'cat'"),
        ("set_body", {"name": "cube", "values": {}}, "body got 'cube'; expected one of ball"),
    ):  # fmt: skip
        before = session.scene
        with pytest.raises(ValueError, match=words):
            session.call(tool, arguments)
        assert session.scene is before and "error" in session.calls[-1]
    session.call("simulate")
    for tool, arguments, words in (
        ("render", {}, "without cameras"),
        ("measure", {"quantity": "speed"}, "without a body"),
        ("measure", {"quantity": "speed", "body": "ball", "time": 99}, "time got 99"),
        ("export", {"what": "video"}, "nothing rendered"),
        ("export", {"what": "scene", "name": "../out.json"}, "name got '../out.json'"),
        ("add_rig", {"count": 0}, "count got 0"),
    ):  # fmt: skip
        with pytest.raises(ToolError, match=words):
            session.call(tool, arguments)


def test_measures() -> None:
    session = Session(Path("unused"))
    session.save_trace = lambda: None  # type: ignore[method-assign]
    session.call("make_scene", spec=spec().to_dict())
    session.call("simulate")
    trajectory = session.need_trajectory()
    assert session.call("measure", quantity="speed", body="ball")["first"] == pytest.approx(2)
    there = session.call("measure", quantity="height", body="ball", time=0.1)["value"]
    assert there == pytest.approx(0.5 - 0.5 * 9.81 * 0.01, abs=5e-3)
    gap = session.call("measure", quantity="distance", body="ball", other="cube")
    assert gap["first"] == pytest.approx(np.hypot(0.7, 0.35))
    assert session.call("measure", quantity="energy")["first"] == pytest.approx(
        trajectory.energy[0]
    )
    assert session.call("measure", quantity="rotation", body="cube")["first"] == 0
    assert session.call("measure", quantity="rest", body="ball")["unit"] == "s"


def test_a_trace_is_replayed_to_the_bit(made: Path, tmp_path: Path) -> None:
    calls = read_trace(made)
    assert replay(calls, tmp_path / "again") == []
    again = (tmp_path / "again" / "cameras" / "rig1" / "rgba_00002.png").read_bytes()
    assert again == (made / "cameras" / "rig1" / "rgba_00002.png").read_bytes()
    calls[0]["arguments"]["spec"]["bodies"][0]["velocity"] = [2.5, 0.0, 0.0]
    differences = replay(calls[:2], tmp_path / "other")
    assert any("simulate: digest was" in line for line in differences)
    with pytest.raises(ValueError, match="holds something"):
        replay(calls, made)
    (tmp_path / "bad.json").write_text('{"format": "x", "calls": []}')
    with pytest.raises(ValueError, match="no trace of format"):
        read_trace(tmp_path / "bad.json")


def test_the_folder_is_a_data_set(made: Path) -> None:
    dataset = load_dataset(made)
    assert len(dataset.train) == 8 + 3 * 4 and len(dataset.split("test")) == 2
    assert dataset.duration == pytest.approx(7 / 16)
    low, high = dataset.bounds.tolist()
    assert low[2] < 0.01 and high[2] > 0.5
    picture = (dataset.train[3].image.numpy() * 255).round().astype(np.uint8)
    assert np.array_equal(picture, list(read_pictures(made / "cameras" / "main"))[3])
    scene = load_scene(made / "scene.safetensors")
    assert scene.duration == pytest.approx(7 / 16) and len(scene) > 6000
    assert SceneSpec.load(made / "scene.json").bodies == spec().bodies
    assert not [p for p in made.parent.iterdir() if p != made]  # nothing left over


def test_kubrics_files(made: Path) -> None:
    folder = made / "cameras" / "main"
    meta = json.loads((folder / "metadata.json").read_text())
    trajectory = load_trajectory(made / "trajectory.safetensors")
    assert set(meta) == {"flags", "metadata", "camera", "instances"}
    assert meta["metadata"]["num_frames"] == 8 and meta["metadata"]["resolution"] == [40, 32]
    ball, cube = meta["instances"]
    assert np.allclose(ball["positions"], trajectory.path("ball"))
    assert cube["mass"] == pytest.approx(27) and cube["size"] == [0.3, 0.3, 0.3]
    # Kubric's K and R bring a point to its place in the picture.
    K, R = np.array(meta["camera"]["K"]), np.array(meta["camera"]["R"])
    seen = np.linalg.inv(R[2]) @ [*ball["positions"][2], 1]
    projected = K @ seen[:3]
    place = projected[:2] / projected[2]
    assert np.allclose(place, ball["image_positions"][2])
    segmentation = list(read_pictures(folder, "segmentation"))[2]
    assert segmentation[int(place[1] * 32), int(place[0] * 40)] == 1
    assert ball["visibility"][2] == (segmentation == 1).sum()
    top, left, bottom, right = ball["bboxes"][2]
    assert (
        top * 32 <= np.nonzero((segmentation == 1).any(1))[0].min() and right <= 1 and left < right
    )
    # Depth is the distance from the camera's centre.
    depth = list(read_pictures(folder, "depth"))[2]
    away = np.linalg.norm(np.array(ball["positions"][2]) - meta["camera"]["positions"][2])
    assert depth[int(place[1] * 32), int(place[0] * 40)] == pytest.approx(away - 0.2, abs=0.01)
    assert depth.max() > 1e9
    turn = rotations(np.array(meta["camera"]["quaternions"]))
    assert np.allclose(turn, R[:, :3, :3])
    flow: Any = cv2.imread(str(folder / "forward_flow_00002.png"), cv2.IMREAD_UNCHANGED)
    bound = json.loads((folder / "data_ranges.json").read_text())["forward_flow"]
    right_down = flow[..., ::-1][..., :2] / 65535 * (bound["max"] - bound["min"]) + bound["min"]
    moved = np.subtract(ball["image_positions"][3], ball["image_positions"][2]) * [40, 32]
    assert np.allclose(right_down[segmentation == 1].mean(0), moved, atol=0.5)
    events = json.loads((folder / "events.json").read_text())["collisions"]
    pairs = {tuple(e["instances"]) for e in events}
    assert (0, 1) in pairs and (-1, 1) in pairs


def test_trajectories_come_back(made: Path, tmp_path: Path) -> None:
    trajectory = load_trajectory(made / "trajectory.safetensors")
    save_trajectory(tmp_path / "again.safetensors", trajectory)
    first = (made / "trajectory.safetensors").read_bytes()
    assert (tmp_path / "again.safetensors").read_bytes() == first
    with pytest.raises(ValueError, match="format"):
        load_trajectory(made / "scene.safetensors")


def test_compositing_by_depth(made: Path, tmp_path: Path) -> None:
    session = Session(tmp_path / "s")
    session.call("make_scene", spec=spec().to_dict())
    session.call("simulate")
    session.call("render", every=7)
    photo = np.zeros((20, 30, 3), np.uint8)
    photo[..., 1] = 200
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    before = list(read_pictures(session.camera_folder("main")))[0]
    out = session.call("composite", backdrop=str(tmp_path / "photo.png"))
    assert out["cameras"]["main"]["hidden"] == 0
    after = list(read_pictures(session.camera_folder("main")))[0]
    body = list(read_pictures(session.camera_folder("main"), "segmentation"))[0] > 0
    assert np.array_equal(after[body], before[body])
    assert (after[~body] == [0, 200, 0]).all()
    # Among its own Gaussians a body is hidden by itself in about every other pixel, and never moves.
    session.call("render", every=7)
    mixed = session.call("composite", backdrop=str(made / "scene.safetensors"))
    assert 0 <= mixed["cameras"]["main"]["hidden"] < 1
    with pytest.raises(FileNotFoundError, match="backdrop got"):
        session.call("composite", backdrop="nowhere.png")


def test_simulate_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    with pytest.raises(ValueError, match="holds something"):
        simulate(spec(), tmp_path / "full")
    with pytest.raises(ValueError, match="rig, every got -1"):
        simulate(spec(), tmp_path / "out", rig=-1)
    sunk = spec().to_dict()
    sunk["bodies"][0]["position"] = [0.2, 0, 0.2]
    with pytest.raises(ValueError, match="overlap by"):
        simulate(SceneSpec.from_dict(sunk), tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["full"]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = spec().to_dict()
    small["cameras"][0] |= {"width": 16, "height": 16}
    (tmp_path / "spec.json").write_text(json.dumps(small))
    out = tmp_path / "data"
    assert main(["simulate", str(tmp_path / "spec.json"), "--out", str(out), "--rig", "0"]) == 0
    assert (out / "video.mp4").is_file() and not (out / "test").exists()
    assert "train on it with" in capsys.readouterr().out
    assert main(["simulate", "a cat juggles", "--out", str(tmp_path / "b")]) == 2
    assert "no rule for 'cat'" in capsys.readouterr().err
    assert main(["tools", "--replay", str(out), "--out", str(tmp_path / "c")]) == 0
    assert "every call came out the same" in capsys.readouterr().out
    assert main(["tools", "--serve"]) == 2
    assert main(["tools"]) == 0
    assert "make_scene" in capsys.readouterr().out


TETHER = {
    "kind": "tether", "name": "t", "body": "ball", "anchor": [0, 0, 2], "stiffness": 1e9,
}  # fmt: skip
LEAKY = {
    "kind": "mesh", "name": "ball",
    "vertices": [[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1], [0.5, 0.5, 2]],
    "faces": [[0, 2, 1], [0, 3, 2], [0, 1, 4], [1, 2, 4], [2, 3, 4]],
}  # fmt: skip
"""A pyramid without one of its sides."""


@pytest.mark.parametrize(
    ("bodies", "fields", "words"),
    [
        ([BALL, BALL | {"name": "b", "position": [0.1, 0, 0.8]}], [], "ball and b overlap by 0.3"),
        ([BALL | {"mass": 0}], [], "bodies[0].mass got 0; expected more than 0 kilograms"),
        ([BALL | {"mass": -2}], [], "bodies[0].mass got -2; expected more than 0 kilograms"),
        ([BALL | {"velocity": [0, 1e6, 0]}], [], "expected at most 1000 metres per second"),
        ([BALL | {"radius": 0.002, "velocity": [900, 0, 0]}], [], "ball may reach 900 m/s"),
        ([LEAKY], [], "bodies[0].faces got an edge"),
        ([BALL], [TETHER], "in mujoco"),
    ],
    ids=["overlap", "no mass", "negative mass", "absurd speed", "too fast", "leaky", "blow-up"],
)
def test_bad_scenes_are_one_line_and_leave_nothing(
    bodies: list[Any], fields: list[Any], words: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    raw = {"version": "clay4d-scene-1", "bodies": bodies, "fields": fields, "duration": 0.5}
    (tmp_path / "scene.json").write_text(json.dumps(raw))
    assert main(["simulate", str(tmp_path / "scene.json"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("clay4d: ") and said.count("\n") == 1 and words in said
    assert [p.name for p in tmp_path.iterdir()] == ["scene.json"]


def test_a_real_mcp_client_makes_a_scene(tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    import anyio
    from mcp import ClientSession, StdioServerParameters, stdio_client

    folder = tmp_path / "served"
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "clay4d", "tools", "--serve", "--out", str(folder)]
    )

    async def talk() -> dict[str, Any]:
        seen: dict[str, Any] = {}
        async with stdio_client(command) as (read, write), ClientSession(read, write) as client:
            await client.initialize()
            listed = await client.list_tools()
            seen["tools"] = {t.name: t for t in listed.tools}

            async def call(name: str, **arguments: Any) -> Any:
                answer = await client.call_tool(name, arguments)
                return answer.is_error, answer.content[0].text, answer.structured_content

            seen["plan"] = await call("plan_scene", prompt="a red ball falls onto a blue cube")
            seen["schema"] = await call("get_schema", part="Sphere")
            seen["empty"] = await call("make_scene")
            seen["body"] = await call("add_body", body=BALL)
            seen["camera"] = await call("add_camera", camera=CAMERA)
            seen["wrong"] = await call("add_body", body={**BALL, "name": "b", "mass": 0})
            seen["simulate"] = await call("simulate")
            seen["measure"] = await call("measure", quantity="height", body="ball")
            seen["look"] = await call("look", camera="front", time=0.2)
        return seen

    seen = anyio.run(talk)
    assert set(seen["tools"]) == set(TOOLS)
    schema = seen["tools"]["measure"].input_schema
    assert "speed" in json.dumps(schema) and schema["required"] == ["quantity"]
    wrong, words, _ = seen["wrong"]
    assert wrong and "bodies[1].mass got 0" in words
    assert all(
        not seen[k][0]
        for k in ("plan", "schema", "empty", "body", "camera", "simulate", "measure", "look")
    )
    assert seen["measure"][2]["first"] == pytest.approx(0.8)
    assert (folder / seen["look"][2]["file"]).is_file()
    assert [c["tool"] for c in read_trace(folder)][-1] == "look"
    assert "radius" in seen["schema"][2]["properties"] and "Material" in seen["schema"][2]["$defs"]


def test_planning_leaves_the_scene_alone_and_gives_one_that_can_be_made(tmp_path: Path) -> None:
    session = Session(tmp_path)
    planned = session.call("plan_scene", prompt="a red ball falls onto a blue cube", seed=3)
    with pytest.raises(ToolError, match="scene"):
        session.call("describe_scene")
    assert any("red ball" in words for words, *_ in planned["understood"])
    session.call("make_scene", spec=planned["spec"])
    first = session.call("get_scene")
    session.call("make_scene", prompt="a red ball falls onto a blue cube", seed=3)
    assert session.call("get_scene") == first
    with pytest.raises(ValueError, match="no rule for 'juggles'"):
        session.call("plan_scene", prompt="a red ball juggles")


def test_a_parts_schema_holds_all_it_refers_to_and_accepts_what_is_right(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    session = Session(tmp_path)
    schema = session.call("get_schema", part="Sphere")
    jsonschema.validate(BALL, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**BALL, "radius": -1}, schema)
    assert "bodies" in session.call("get_schema")["properties"]
    with pytest.raises(ToolError, match="expected one of"):
        session.call("get_schema", part="Ghost")
