"""Tools that draw: render, rigs, captions, and a place among other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from clay4d.physics_baseline.output import Renderer, read_pictures, write_camera
from clay4d.physics_baseline.renderers import make_renderer
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.physics_baseline.tools.compositing import Backdrop, open_backdrop, write_caption
from clay4d.physics_baseline.tools.rigs import ring_cameras
from clay4d.physics_baseline.tools.session import Session, ToolError, digest

Json = dict[str, Any]


def add_rig(
    session: Session,
    count: int = 4,
    prefix: str = "rig",
    size: int | None = None,
    turn: float = 0.0,
) -> Json:
    """Add a ring of fixed cameras about what moves; needs a simulated scene.

    Args:
        count: how many, 1 to 64.
        prefix: of their names, before a number.
        size: width and height of their pictures in pixels; the first camera's if not given.
        turn: share of the way to the next camera by which the ring is turned, 0 to 1.
    """
    scene, trajectory = session.need_scene(), session.need_trajectory()
    if not 1 <= count <= 64:
        raise ToolError(f"count got {count}; expected 1 to 64 cameras.")
    width = height = size or 256
    if size is None and scene.cameras:
        width, height = scene.cameras[0].width, scene.cameras[0].height
    made = ring_cameras(
        scene, trajectory, count, width=width, height=height, prefix=prefix, turn=turn
    )
    plain = scene.to_dict()
    plain["cameras"] += SceneSpec(cameras=made).to_dict()["cameras"]
    rendered = session.rendered
    session.change(SceneSpec.from_dict(plain), physics=False)
    session.rendered = rendered  # A new camera changes nothing for the others.
    return {"cameras": [c.name for c in made]}


def render(
    session: Session, camera: str | None = None, every: int = 1,
    renderer: Literal["auto", "raycast", "mujoco-gl", "blender", "mitsuba"] = "auto",
) -> Json:  # fmt: skip
    """Draw a camera's frames: colour, depth, segmentation, normals, flow, in Kubric's shape.

    Args:
        camera: its name; all of the scene's if not given.
        every: draw every so many frames, from the first.
        renderer: raycast (everywhere, the same bits always), mujoco-gl (needs OpenGL), blender (path
            tracing; needs bpy, see `make blender`), auto: raycast.
    """
    scene, trajectory = session.need_scene(), session.need_trajectory()
    if not scene.cameras:
        raise ToolError("render got a scene without cameras; expected one. Call add_camera or add_rig.")  # fmt: skip
    names = [c.name for c in scene.cameras]
    if camera is not None and camera not in names:
        raise ToolError(f"camera got {camera!r}; expected one of {', '.join(names)}.")
    if not 1 <= every <= len(trajectory.times):
        raise ToolError(f"every got {every}; expected 1 to {len(trajectory.times)} frames.")
    chosen = names if camera is None else [camera]
    wanted = "raycast" if renderer == "auto" else renderer
    if session.renderer is None or session.renderer.name != wanted:
        session.renderer = make_renderer(wanted, scene, trajectory)
    frames = list(range(0, len(trajectory.times), every))
    for k, name in enumerate(chosen):
        _draw(session, session.renderer, name, frames, k, len(chosen))
    return {
        "renderer": wanted, "frames": len(frames),
        "cameras": {n: {"folder": f"cameras/{n}", "digest": _digest(session, n)} for n in chosen},
    }  # fmt: skip


def _draw(
    session: Session, renderer: Renderer, name: str, frames: list[int], k: int, cameras: int
) -> None:
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        session.tell(f"render {name}", (k + done / len(frames)) / cameras)

    folder = session.folder / "cameras" / name
    for old in folder.glob("*_*.*") if folder.is_dir() else ():
        old.unlink()
    write_camera(
        folder, session.need_scene(), session.need_trajectory(), renderer, name, frames, progress=progress
    )  # fmt: skip
    session.rendered[name] = frames


def _digest(session: Session, name: str) -> str:
    folder = session.camera_folder(name)
    return digest(*read_pictures(folder), *read_pictures(folder, "segmentation"))


def composite(session: Session, backdrop: str, camera: str | None = None, keep_floor: bool = False) -> Json:  # fmt: skip
    """Put the rendered bodies in front of a photo or into a trained splat scene, by depth.

    Args:
        backdrop: a picture (PNG, JPEG) that fills what no body covers, or a scene file of clay4d, whose
            nearer parts hide the bodies; the cameras are the same in both worlds.
        camera: which rendered one; all if not given.
        keep_floor: leave the simulated floor where it is nearer than the backdrop.
    """
    session.need_trajectory()
    names = [camera] if camera is not None else list(session.rendered)
    if not names:
        raise ToolError("composite got nothing rendered; expected pictures. Call render first.")
    out = {}
    for name in names:
        folder = session.camera_folder(name)
        view: Backdrop = open_backdrop(Path(backdrop), session, name)
        out[name] = {"hidden": view.blend(folder, keep_floor=keep_floor), "digest": _digest(session, name)}  # fmt: skip
    return {"cameras": out}


def add_text(
    session: Session, text: str, camera: str | None = None, start: float = 0.0,
    end: float | None = None, position: Literal["top", "middle", "bottom"] = "bottom",
) -> Json:  # fmt: skip
    """Write a caption into rendered pictures.

    Args:
        text: one line.
        camera: which rendered one; all if not given.
        start: seconds after the scene's start.
        end: seconds; to the end if not given.
        position: where in the picture.
    """
    t = session.need_trajectory()
    names = [camera] if camera is not None else list(session.rendered)
    if not names:
        raise ToolError("add_text got nothing rendered; expected pictures. Call render first.")
    last = float("inf") if end is None else end
    written = 0
    for name in names:
        folder = session.camera_folder(name)
        for k, frame in enumerate(session.rendered[name]):
            if start - 1e-9 <= t.times[frame] <= last:
                write_caption(folder / f"rgba_{k:05d}.png", text, position)
                written += 1
    return {"pictures": written, "digest": {n: _digest(session, n) for n in names}}


def look(session: Session, camera: str, time: float = 0.0) -> Json:
    """Draw one picture of the simulated scene to look at, as a PNG in the session's folder.

    Args:
        camera: its name.
        time: seconds; the nearest frame is drawn.
    """
    from PIL import Image

    scene, t = session.need_scene(), session.need_trajectory()
    frame = int(np.abs(t.times - time).argmin())
    renderer = make_renderer("raycast", scene, t)
    pixels = renderer.draw(camera, [frame]).images[0]
    path = session.file(f"look-{camera}-{frame:05d}.png")
    session.folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return {"file": path.name, "time": float(t.times[frame]), "digest": digest(pixels)}
