"""`clay4d simulate`: a prompt or a scene becomes a folder of pictures, truth and a data set."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from clay4d.physics_baseline.spec import SceneSpec
from clay4d.physics_baseline.tools import Session

TEST_EVERY = 4
"""The test camera keeps every so many frames."""


def simulate(
    what: str | Path | SceneSpec,
    out: str | Path,
    *,
    engine: Literal["mujoco", "bullet"] = "mujoco",
    renderer: Literal["auto", "raycast", "mujoco-gl"] = "auto",
    rig: int = 6,
    every: int = 2,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
) -> Session:
    """Simulate and render a scene; leaves a folder that `clay4d train` accepts as data.

    The folder holds video.mp4, depth.mp4 and segmentation.mp4 of the scene's first camera;
    cameras/NAME with pictures, depth, segmentation, normals, flow and metadata in Kubric's shape;
    transforms_train.json and transforms_test.json with their pictures; scene.json (the SceneSpec),
    trajectory.safetensors, scene.safetensors (Gaussians) and trace.json (every tool call). It appears
    whole or not at all.

    Args:
        what: a prompt, the path of a scene's JSON file, or a scene.
        out: a new folder.
        engine: mujoco or bullet.
        renderer: raycast, mujoco-gl, or auto, which is raycast.
        rig: fixed cameras around the scene whose pictures are for training too; with 0 there is no
            test camera either.
        every: frames between two of a rig camera's pictures.
        seed: of what a prompt leaves open.
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
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ValueError(
            f"out got {str(target)!r}, which holds something; expected a new folder. "
            "Choose another name or remove it."
        )
    if not 0 <= rig <= 64 or every < 1:
        raise ValueError(
            f"rig, every got {rig}, {every}; expected 0 to 64 cameras, 1 or more frames."
        )
    arguments = _first_call(what, seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    session = Session(work, progress=progress)
    try:
        session.call("make_scene", arguments)
        _run(session, engine, renderer, rig, every)
        work.chmod(0o755)  # mkdtemp's folders are for their owner alone
        if target.exists():
            target.rmdir()
        os.replace(work, target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    session.folder = target
    return session


def _first_call(what: str | Path | SceneSpec, seed: int) -> dict[str, Any]:
    if isinstance(what, SceneSpec):
        return {"spec": what.to_dict()}
    if isinstance(what, Path) or str(what).endswith(".json"):
        return {"spec": SceneSpec.load(what).to_dict()}
    return {"prompt": str(what), "seed": seed}


def _run(session: Session, engine: str, renderer: str, rig: int, every: int) -> None:
    session.call("simulate", engine=engine)
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
    for what in ("video", "depth", "segmentation"):
        session.call("export", what=what, camera=first)
    for what in ("scene", "trajectory", "gaussians"):
        session.call("export", what=what)
    size = {c.name: (c.width, c.height) for c in session.need_scene().cameras}
    train = [n for n in [*main, *rigged] if size[n] == size[first]]
    session.call("export", what="dataset", train=train, test=tests)


def _unused(names: list[str], prefix: str) -> str:
    while any(n.startswith(prefix) for n in names):
        prefix += "-"
    return prefix
