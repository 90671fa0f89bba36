"""`clay4d simulate`: a prompt or a scene becomes a folder of pictures, truth and a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from clay4d.files import check_new_folder, folder_written_whole
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.physics_baseline.tools import Session

TEST_EVERY = 4
"""The test camera keeps every so many frames."""


def simulate(
    what: str | Path | SceneSpec,
    out: str | Path,
    *,
    engine: Literal["mujoco", "bullet", "genesis"] = "mujoco",
    renderer: Literal["auto", "raycast", "mujoco-gl", "blender", "mitsuba"] = "auto",
    rig: int = 6,
    every: int = 2,
    seed: int = 0,
    sound: bool = True,
    progress: Callable[[str, float], None] | None = None,
) -> Session:
    """Simulate and render a scene; leaves a folder that `clay4d train` accepts as data.

    The folder holds video.mp4, depth.mp4 and segmentation.mp4 of the scene's first camera; sound.wav;
    cameras/NAME with pictures, depth, segmentation, normals, flow and metadata in Kubric's shape;
    transforms_train.json and transforms_test.json with their pictures; scene.json (the SceneSpec),
    trajectory.safetensors, scene.safetensors (Gaussians) and trace.json (every tool call). It appears
    whole or not at all.

    Args:
        what: a prompt, the path of a scene's JSON file, or a scene.
        out: a new folder.
        engine: mujoco, bullet or genesis.
        renderer: raycast, mujoco-gl, blender (after `make blender`), mitsuba (its extra), or auto, which is raycast.
        rig: fixed cameras around the scene whose pictures are for training too; with 0 there is no
            test camera either.
        every: frames between two of a rig camera's pictures.
        seed: of what a prompt leaves open.
        sound: video.mp4 gets the sound of what strikes, rolls and slides, which sound.wav has too.
        progress: told what is going on and the share of it that is done.

    Returns:
        The session, with the scene, the trajectory and the log.

    Raises:
        ValueError: a prompt without a rule for a word (`PlanError`), a spec with a wrong field
            (`SpecError`), a scene that cannot be simulated (`SimulationError`), a folder in use.
        FileNotFoundError: no such JSON file.
        ImportError: an engine or renderer that is not installed here; the message names the extra.
    """
    target = Path(out)
    check_new_folder(target, name="out")
    if not 0 <= rig <= 64 or every < 1:
        raise ValueError(
            f"rig, every got {rig}, {every}; expected 0 to 64 cameras, 1 or more frames."
        )
    arguments = _first_call(what, seed)
    with folder_written_whole(target, name="out") as work:
        session = Session(work, progress=progress)
        session.call("make_scene", arguments)
        session.call("simulate", engine=engine)
        first, train, tests = _render(session, renderer, rig, every)
        for kind in ("video", "depth", "segmentation"):
            session.call("export", what=kind, camera=first)
        if sound:
            session.call("add_sound", video="video.mp4", camera=first)
        for kind in ("scene", "trajectory", "gaussians"):
            session.call("export", what=kind)
        session.call("export", what="dataset", train=train, test=tests)
    session.folder = target
    return session


def _first_call(what: str | Path | SceneSpec, seed: int) -> dict[str, Any]:
    if isinstance(what, SceneSpec):
        return {"spec": what.to_dict()}
    if isinstance(what, Path) or str(what).endswith(".json"):
        return {"spec": SceneSpec.load(what).to_dict()}
    return {"prompt": str(what), "seed": seed}


def _render(
    session: Session, renderer: str, rig: int, every: int
) -> tuple[str, list[str], list[str]]:
    """Draw the scene's cameras and the rig's; gives the first, those to train on, those to test on."""
    frames = session.need_scene().frames
    every = min(every, frames)
    if not session.need_scene().cameras and not rig:
        session.call("add_rig", count=1, prefix="camera")
    main = [c.name for c in session.need_scene().cameras]
    rigged, tests = [], []
    if rig:
        rigged = session.call("add_rig", count=rig, prefix=_unused(main, "rig"))["cameras"]
        turn = 0.5 / rig
        tests = session.call("add_rig", count=1, prefix=_unused(main, "test"), turn=turn)["cameras"]
    for name in main:
        session.call("render", camera=name, renderer=renderer)
    for name in rigged:
        # A scene without cameras of its own is watched by the first of the rig.
        step = 1 if not main and name == rigged[0] else every
        session.call("render", camera=name, every=step, renderer=renderer)
    for name in tests:
        session.call("render", camera=name, every=min(TEST_EVERY, frames), renderer=renderer)
    first = (main or rigged)[0]
    size = {c.name: (c.width, c.height) for c in session.need_scene().cameras}
    return first, [n for n in [*main, *rigged] if size[n] == size[first]], tests


def _unused(names: list[str], prefix: str) -> str:
    while any(n.startswith(prefix) for n in names):
        prefix += "-"
    return prefix
