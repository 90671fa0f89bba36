"""Pictures and what is known of them on disk, one folder a camera, in Kubric's shape.

Files (Greff et al. 2022, kubric's own readers): `rgba_00000.png`; `depth_00000.tiff`, float32 metres
from the camera's centre, 1e10 where nothing is; `segmentation_00000.png`, the body's number from 1;
`normal_00000.png` and `forward_flow_00000.png`, 16 bits between the bounds in `data_ranges.json`
(normals in world axes; flow in pixels to the right and down); `metadata.json` with flags, metadata,
camera and instances; `events.json` with collisions. Quaternions are wxyz, the camera's axes are
OpenGL's (y up, looking along −z), K is in units of the picture's width and height.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.files import written_whole
from clay4d.physics_baseline.engines.trajectory import BLOW, Trajectory
from clay4d.physics_baseline.engines.tree import SOFT_KINDS
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.spec import SceneSpec, body_mass
from clay4d.scenes import Cameras

NOTHING = 1e10
SENSOR = 36.0
"""Width of the sensor that Kubric's focal lengths are for, millimetres."""
CHUNK = 8
"""Frames drawn at a time."""


class Renderer(Protocol):
    """Anything that draws a simulated scene."""

    name: str
    cameras: dict[str, Cameras]

    def draw(self, camera: str, frames: Sequence[int]) -> Pictures:
        """Pictures of a camera at some frames."""
        ...


def write_camera(
    folder: Path,
    scene: SceneSpec,
    trajectory: Trajectory,
    renderer: Renderer,
    camera: str,
    frames: Sequence[int],
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Draw a camera's frames and write them with their metadata.

    Args:
        folder: of this camera; files there are replaced.
        frames: of the trajectory; picture files are numbered from 0.
        progress: told how many frames were drawn since it was last told.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cameras = renderer.cameras[camera]
    away = distance_per_depth(cameras)
    width = float(max(cameras.width, cameras.height))
    kind = np.uint8 if len(scene.bodies) < 256 else np.uint16
    sightings = []
    for first in range(0, len(frames), CHUNK):
        part = list(frames[first : first + CHUNK])
        drawn = renderer.draw(camera, part)
        for k in range(len(part)):
            _write_frame(folder, f"{first + k:05d}", drawn, k, away=away, width=width, kind=kind)
        sightings += [_sighting(s, len(scene.bodies)) for s in drawn.segmentations]
        if progress is not None:
            progress(len(part))
    ranges = {"normal": {"min": -1.0, "max": 1.0}, "forward_flow": {"min": -width, "max": width}}
    write_json(folder / "data_ranges.json", ranges)
    meta = metadata(scene, trajectory, cameras, frames, renderer.name)
    for i, instance in enumerate(meta["instances"]):
        seen = [s[i] for s in sightings]
        instance["visibility"] = [count for count, _ in seen]
        instance["bbox_frames"] = [k for k, (count, _) in enumerate(seen) if count]
        instance["bboxes"] = [box for count, box in seen if count]
    write_json(folder / "metadata.json", meta)
    write_json(
        folder / "events.json", {"collisions": collisions(scene, trajectory, cameras, frames)}
    )


def _write_frame(
    folder: Path,
    number: str,
    drawn: Pictures,
    k: int,
    *,
    away: Float[np.ndarray, "H W"],
    width: float,
    kind: type[np.unsignedinteger[Any]],
) -> None:
    """One frame's five files; `away` is distance over depth, `width` the bound of the flow in
    pixels, `kind` of the segmentation's numbers."""
    import cv2

    depth = np.where(drawn.depths[k] > 0, drawn.depths[k] * away, NOTHING)
    normal = (drawn.normals[k] * 0.5 + 0.5).clip(0, 1) * 65535
    flow = ((drawn.flows[k] + width) / (2 * width)).clip(0, 1) * 65535
    flow = np.concatenate([flow, np.zeros_like(flow[..., :1])], -1)
    # OpenCV writes blue first.
    cv2.imwrite(str(folder / f"rgba_{number}.png"), drawn.images[k][..., ::-1])
    cv2.imwrite(str(folder / f"depth_{number}.tiff"), depth.astype(np.float32))
    cv2.imwrite(str(folder / f"segmentation_{number}.png"), drawn.segmentations[k].astype(kind))
    for name, value in (("normal", normal), ("forward_flow", flow)):
        sixteen = (value[..., ::-1] + 0.5).astype(np.uint16)
        cv2.imwrite(str(folder / f"{name}_{number}.png"), sixteen)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    with written_whole(path) as place:
        place.write_text(json.dumps(value, allow_nan=False) + "\n", encoding="utf-8")


def read_pictures(folder: Path, kind: str = "rgba") -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The pictures of a camera's folder in order, RGB; or its segmentations and depths as they are."""
    import cv2

    suffix = "tiff" if kind == "depth" else "png"
    for path in sorted(folder.glob(f"{kind}_*.{suffix}")):
        pixels: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        yield np.ascontiguousarray(pixels[..., ::-1]) if kind == "rgba" else pixels


def distance_per_depth(cameras: Cameras) -> Any:
    """Metres from the camera's centre for each metre along its axis [H, W]."""
    K = cameras.Ks[0].double().numpy()
    x = (np.arange(cameras.width) + 0.5 - K[0, 2]) / K[0, 0]
    y = (np.arange(cameras.height) + 0.5 - K[1, 2]) / K[1, 1]
    return np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)


def _sighting(segmentation: Any, bodies: int) -> list[tuple[int, list[float]]]:
    """For each body its pixels and its box: top, left, bottom, right as shares of the picture."""
    height, width = segmentation.shape
    out = []
    for k in range(1, bodies + 1):
        rows, columns = np.nonzero(segmentation == k)
        box = []
        if len(rows):
            box = [
                float(rows.min() / height), float(columns.min() / width),
                float((rows.max() + 1) / height), float((columns.max() + 1) / width),
            ]  # fmt: skip
        out.append((len(rows), box))
    return out


def metadata(
    scene: SceneSpec, trajectory: Trajectory, cameras: Cameras, frames: Sequence[int], renderer: str
) -> dict[str, Any]:
    """Kubric's metadata of one camera's pictures."""
    chosen = list(frames)
    return {
        "flags": {
            "prompt": scene.prompt, "seed": scene.seed, "engine": trajectory.engine,
            "renderer": renderer,
        },
        "metadata": {
            "resolution": [cameras.width, cameras.height], "width": cameras.width,
            "height": cameras.height, "num_frames": len(chosen), "num_instances": len(scene.bodies),
            "frame_rate": scene.fps, "step_rate": 1 / trajectory.step, "frames": chosen,
            "times": trajectory.times[chosen].tolist(),
        },
        "camera": camera_info(cameras, chosen),
        "instances": [
            _instance(scene, trajectory, cameras, i, chosen) for i in range(len(scene.bodies))
        ],
    }  # fmt: skip


def camera_info(cameras: Cameras, frames: Sequence[int]) -> dict[str, Any]:
    """A camera as Kubric has it: OpenGL axes, K in shares of the picture."""
    from scipy.spatial.transform import Rotation

    views = cameras.viewmats[list(frames)].double().numpy()
    K = cameras.Ks[0].double().numpy()
    turns = np.transpose(views[:, :3, :3], (0, 2, 1)) @ np.diag([1.0, -1.0, -1.0])
    centres = cameras.centres[list(frames)].double().numpy()
    matrices = np.tile(np.eye(4), (len(views), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = turns, centres
    fx, fy = K[0, 0] / cameras.width, K[1, 1] / cameras.height
    return {
        "focal_length": fx * SENSOR, "sensor_width": SENSOR,
        "field_of_view": 2 * float(np.arctan(0.5 / fx)), "positions": centres.tolist(),
        "quaternions": Rotation.from_matrix(turns).as_quat(scalar_first=True).tolist(),
        "K": [[fx, 0.0, -0.5], [0.0, -fy, -0.5], [0.0, 0.0, -1.0]], "R": matrices.tolist(),
    }  # fmt: skip


def project(cameras: Cameras, frames: Sequence[int], points: Any) -> Any:
    """Points [F, 3] in the pictures of frames [F], as shares of width and height."""
    views = cameras.viewmats[list(frames)].double().numpy()
    K = cameras.Ks[0].double().numpy()
    seen = np.einsum("fij,fj->fi", views[:, :3, :3], points) + views[:, :3, 3]
    pixels = (seen @ K.T)[:, :2] / np.where(np.abs(seen[:, 2:]) < 1e-9, 1e-9, seen[:, 2:])
    return pixels / [cameras.width, cameras.height]


def _instance(
    scene: SceneSpec, trajectory: Trajectory, cameras: Cameras, i: int, frames: list[int]
) -> dict[str, Any]:
    body, material = scene.bodies[i], scene.bodies[i].material
    place = trajectory.positions[frames, i]
    return {
        "asset_id": body.kind, "name": body.name, "shape": body.kind, "size": _size(body),
        "color": list(material.colour), "mass": body_mass(body), "friction": material.friction,
        "restitution": material.restitution, "dynamic": body.motion != "fixed",
        "rigid": body.kind not in SOFT_KINDS, "positions": place.tolist(),
        "quaternions": trajectory.quats[frames, i].tolist(),
        "velocities": trajectory.velocities[frames, i].tolist(),
        "angular_velocities": trajectory.angular_velocities[frames, i].tolist(),
        "image_positions": project(cameras, frames, place).tolist(),
    }  # fmt: skip


def _size(body: Any) -> list[float]:
    """Whole extents along the body's axes, metres."""
    if body.kind == "sphere":
        return [2 * body.radius] * 3
    if body.kind == "cylinder":
        return [2 * body.radius, 2 * body.radius, body.height]
    if body.kind == "capsule":
        return [2 * body.radius, 2 * body.radius, body.height + 2 * body.radius]
    if body.kind == "mesh":
        extents: list[float] = np.ptp(np.array(body.vertices), 0).tolist()
        return extents
    return [*body.size, body.thickness] if body.kind == "cloth" else list(body.size)


def collisions(
    scene: SceneSpec, trajectory: Trajectory, cameras: Cameras, frames: Sequence[int]
) -> list[dict[str, Any]]:
    """Touches as Kubric's collisions; instances count from 0, −1 is the floor.

    `force` is the mean over the blow, newtons; `impulse` (newton seconds), `speed` (of approach,
    metres per second) and `end` (a frame) are ours. The normal goes from the first to the second.
    """
    at = {b.name: i for i, b in enumerate(scene.bodies)} | {"floor": -1}
    rate = scene.fps / max(1, frames[1] - frames[0]) if len(frames) > 1 else scene.fps
    out = []
    for touch in trajectory.contacts:
        nearest = min(frames, key=lambda f: abs(trajectory.times[f] - touch.time))
        seen = project(cameras, [nearest], np.array([touch.position]))[0]
        out.append(
            {
                "instances": [at[n] for n in touch.bodies], "frame": touch.time * rate,
                "end": touch.end * rate, "force": touch.impulse / BLOW, "impulse": touch.impulse,
                "speed": touch.speed, "position": list(touch.position),
                "contact_normal": list(touch.normal), "image_position": seen.tolist(),
            }
        )  # fmt: skip
    return out
