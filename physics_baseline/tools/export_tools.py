"""Tools that write results: videos, a data set to train on, Gaussians, tables."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8

from clay4d.physics_baseline.engines.trajectory_file import save_trajectory
from clay4d.physics_baseline.exchange import write_gltf_scene, write_usd_scene
from clay4d.physics_baseline.gaussians import gaussian_scene
from clay4d.physics_baseline.output import NOTHING, read_pictures
from clay4d.physics_baseline.renderers import scene_cameras
from clay4d.physics_baseline.renderers.region import region
from clay4d.physics_baseline.sound.synthesis import RATE, recorded, synthesize
from clay4d.physics_baseline.tools.session import Session, ToolError, digest
from clay4d.renderers.audio import add_sound as put_sound
from clay4d.renderers.audio import write_wav
from clay4d.renderers.video import colour_depth, depth_range, write_video
from clay4d.scenes import Cameras
from clay4d.scenes.exchange import WRITERS
from clay4d.scenes.loaders.write import write_transforms
from clay4d.scenes.store import save_scene

Json = dict[str, Any]
What = Literal[
    "video", "depth", "segmentation", "dataset", "gaussians", "trajectory", "scene", "gltf", "usd"
]


def export(
    session: Session, what: What, camera: str | None = None, name: str | None = None,
    train: list[str] | None = None, test: list[str] | None = None,
) -> Json:  # fmt: skip
    """Write a result into the session's folder.

    Args:
        what: video, depth or segmentation (MP4 of a rendered camera), dataset (posed pictures that
            `clay4d train` takes), gaussians (a scene file), trajectory (arrays), scene (the spec),
            gltf (meshes, materials, cameras and lights in .glb or .gltf) or usd (the same in .usdc,
            .usda or .usdz; extra `export`). Gaussians too may be named .glb, .gltf or .usd*.
        camera: of a video; the first rendered one if not given.
        name: of the file; by what it is if not given.
        train: rendered cameras of the data set's training pictures; all but `test` if not given.
        test: rendered cameras of its test pictures.
    """
    session.folder.mkdir(parents=True, exist_ok=True)
    if what in ("video", "depth", "segmentation"):
        return _video(session, what, camera, session.file(name or f"{what}.mp4"))
    if what == "dataset":
        return _dataset(session, train, test or [])
    if what == "scene":
        path = session.file(name or "scene.json")
        session.need_scene().save(path)
    elif what == "trajectory":
        path = session.file(name or "trajectory.safetensors")
        save_trajectory(path, session.need_trajectory())
    elif what in ("gltf", "usd"):
        path = session.file(name or ("scene.glb" if what == "gltf" else "scene.usdc"))
        write = write_gltf_scene if what == "gltf" else write_usd_scene
        write(session.need_scene(), session.need_trajectory(), path)
    else:
        path = session.file(name or "scene.safetensors")
        trajectory = session.need_trajectory()
        splats = gaussian_scene(session.need_scene(), trajectory)
        if path.suffix in WRITERS:
            WRITERS[path.suffix](splats, path, times=trajectory.times.tolist())
        else:
            save_scene(path, splats)
    return {"file": path.name, "bytes": path.stat().st_size}


def add_sound(
    session: Session,
    video: str | None = "video.mp4",
    camera: str | None = None,
    rubbing: bool = True,
) -> Json:
    """Make the scene's sound from its contacts, write sound.wav and put it into an exported video.

    Args:
        video: name of the file that gets it; null for none.
        camera: whose place is the ear's; the first rendered one if not given.
        rubbing: what rolls and slides is heard too, not only blows.
    """
    scene, trajectory = session.need_scene(), session.need_trajectory()
    target = None if video is None else session.file(video)
    if target is not None and not target.is_file():
        raise ToolError(f"video got {video!r}, not there yet; expected one. Call export first.")
    everyone = scene_cameras(scene, trajectory)
    name = next(iter([*session.rendered, *everyone]), None) if camera is None else camera
    if name is not None and name not in everyone:
        raise ToolError(f"camera got {name!r}; expected one of {', '.join(everyone) or 'none'}.")
    ear = None if name is None else everyone[name].centres.double().numpy()
    pascals = synthesize(scene, trajectory, ear=ear, rubbing=rubbing)
    samples = recorded(pascals)
    session.folder.mkdir(parents=True, exist_ok=True)
    write_wav(session.file("sound.wav"), samples, rate=RATE)
    if target is not None:
        put_sound(target, samples, rate=RATE)
    return {
        "file": "sound.wav", "seconds": len(samples) / RATE, "loudest": float(abs(pascals).max()),
        "digest": digest((samples * 32767).round().astype(np.int16)),
    }  # fmt: skip


def _first(session: Session, camera: str | None) -> str:
    if camera is None and not session.rendered:
        raise ToolError("export got nothing rendered; expected pictures. Call render first.")
    return next(iter(session.rendered)) if camera is None else camera


def _video(session: Session, what: str, camera: str | None, path: Path) -> Json:
    name = _first(session, camera)
    folder = session.camera_folder(name)
    frames = session.rendered[name]
    rate = session.need_scene().fps / (frames[1] - frames[0] if len(frames) > 1 else 1)
    pictures: Iterator[Any] = read_pictures(folder)
    if what == "depth":
        pictures = _depths(folder)
    elif what == "segmentation":
        pictures = (colour_bodies(s) for s in read_pictures(folder, "segmentation"))
    count = write_video(path, pictures, fps=min(rate, 240.0))
    return {"file": path.name, "frames": count, "fps": min(rate, 240.0)}


def _depths(folder: Path) -> Iterator[Any]:
    paths = list(read_pictures(folder, "depth"))
    stack = torch.from_numpy(np.stack(paths))[..., None]
    there = (stack < NOTHING / 2).float()
    # What stands on the floor counts, not where the floor meets the sky.
    near, far = depth_range(stack, there)
    far = min(far, 6 * near)
    for depth, alpha in zip(stack, there):
        yield colour_depth(depth, alpha, near=near, far=far)


def colour_bodies(segmentation: Any) -> UInt8[np.ndarray, "H W 3"]:
    """A segmentation in colours that differ, black where no body is.

    >>> colour_bodies(np.array([[0, 1]])).tolist()
    [[[0, 0, 0], [242, 109, 85]]]
    """
    import colorsys

    most = int(segmentation.max(initial=0))
    table = np.zeros((most + 1, 3), np.uint8)
    for k in range(1, most + 1):
        hue = (0.0255 + (k - 1) * 0.6180339887) % 1
        light = (0.95, 0.75, 0.6)[(k - 1) // 8 % 3]
        table[k] = [round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.65, light)]
    coloured: UInt8[np.ndarray, "H W 3"] = table[segmentation]
    return coloured


def _dataset(session: Session, train: list[str] | None, test: list[str]) -> Json:
    """Write transforms files and pictures beside what is in the folder already."""
    scene, trajectory = session.need_scene(), session.need_trajectory()
    names = [n for n in session.rendered if n not in test] if train is None else train
    everyone = scene_cameras(scene, trajectory)
    sizes = {(everyone[n].width, everyone[n].height) for n in [*names, *test] if n in everyone}
    if not names:
        raise ToolError("export got no rendered camera to train on; expected some. Call render.")
    if len(sizes) > 1:
        raise ToolError(f"export got cameras of sizes {sorted(sizes)}; expected one size.")
    splits: dict[str, tuple[Cameras, Any]] = {}
    for split, chosen in (("train", names), ("test", test)):
        if chosen:
            splits[split] = _gather(everyone, chosen, session), _pictures(session, chosen)
    centre, radius = region(scene, trajectory)
    low, high = centre - radius, centre + radius
    if scene.floor is not None:
        low[2] = min(low[2], scene.floor.height - 0.05)
    bounds = torch.tensor(np.stack([low, high]))
    # A folder of its own first, since the session's holds other things.
    with tempfile.TemporaryDirectory(prefix=".dataset.", dir=session.folder) as work:
        write_transforms(work, splits, duration=float(trajectory.times[-1]), bounds=bounds)
        for made in sorted(Path(work).iterdir()):
            target = session.folder / made.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(made, target)
    return {split: len(cameras) for split, (cameras, _) in splits.items()}


def _gather(everyone: dict[str, Cameras], names: list[str], session: Session) -> Cameras:
    parts = []
    for name in names:
        session.camera_folder(name)
        parts.append(everyone[name][session.rendered[name]])
    return Cameras(
        torch.cat([c.viewmats for c in parts]), torch.cat([c.Ks for c in parts]), parts[0].width,
        parts[0].height, torch.cat([c.times for c in parts]),
    )  # fmt: skip


def _pictures(session: Session, names: list[str]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    for name in names:
        yield from read_pictures(session.camera_folder(name))
