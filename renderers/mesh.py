"""Meshes of a scene at single moments: depth pictures by the rasteriser, fused by open3d. Extra `mesh`.

Truncated signed distances (Curless and Levoy, "A Volumetric Method for Building Complex Models from Range
Images", SIGGRAPH 1996), in open3d's VoxelBlockGrid, which holds blocks near surfaces only. Expected depth
is a mean over what a ray passes: at outlines it lies between front and back, on nothing, and so pixels
there are left out.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from clay4d.files import folder_written_whole, written_whole
from clay4d.renderers.around import OUTLIERS, SEEN, OneMoment, Up, around_scene, upright_turn
from clay4d.renderers.paths import focus_point, look_at
from clay4d.renderers.render import Rendering, render
from clay4d.scenes import Cameras, Scene

SUFFIXES = (".glb", ".ply", ".obj")
VIEWS = 40
"""Cameras that depth is drawn from, at the most; evenly chosen."""
HEIGHTS = (0.1, 0.5, 1.1)
"""Elevations of the rings of cameras round a scene that has none of its own, radians."""
SIDE = 400
"""Longer side of the depth pictures, pixels."""
COVERED = 0.9
"""Alpha from which a pixel shows a surface."""
STEP = 0.04
"""A pixel whose neighbours' depths differ by more than this share of its own is at an outline."""
TRUNCATION = 4.0
"""Distance in voxels up to which a surface is felt."""
SEEN_BY = 1.0
"""Pictures that a surface must be in, at the least; at two, a ball in 14 pictures lost a sixth of its area."""
BLOCKS = 20_000
"""Blocks of 8³ voxels that there is room for at first; it grows."""
SMALLEST = 0.01
"""Pieces with fewer triangles than this share of the largest are dust."""
MISSING = (
    "meshes got {}; expected the extra mesh. Run: pip install 'clay4d[mesh]'; if libusb-1.0 is what is "
    "missing, install that."
)
Progress = Callable[[Iterable[float]], Iterable[float]]


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour at each corner, in the scene's axes, metres."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    colors: UInt8[np.ndarray, "V 3"]


def check_open3d() -> None:
    """Refuse to begin without the extra.

    Raises:
        ImportError: the extra `mesh` is missing.
    """
    loaded = sys.modules["open3d"] if "open3d" in sys.modules else find_spec("open3d")
    if loaded is None:
        raise ImportError(MISSING.format("no package open3d"))


def open3d() -> Any:
    """The package open3d.

    Raises:
        ImportError: the extra `mesh` is missing, or a library of the system that it needs.
    """
    try:
        import open3d as found
    except (ImportError, OSError) as error:
        raise ImportError(MISSING.format(error)) from error
    return found


def fuse_mesh(
    scene: Scene,
    *,
    time: float = 0.0,
    cameras: Cameras | None = None,
    resolution: int = 256,
    up: Up = "z",
) -> Mesh:
    """The surface of a scene at one moment.

    Args:
        time: seconds after the start.
        cameras: where depth is drawn from, at `time` whatever their own times; rings round the scene
            by default.
        resolution: voxels along the longest side of the box in which the scene's Gaussians are.
        up: axis that points up, for the rings.

    Raises:
        ImportError: the extra `mesh` is missing.
        ValueError: a resolution outside 16 to 1024, a scene without a surface.
    """
    if not 16 <= resolution <= 1024:
        raise ValueError(f"resolution got {resolution}; expected 16 to 1024.")
    check_open3d()
    low, high = _box(scene, time)
    views = _chosen(_rings(scene, time, up) if cameras is None else cameras, time)
    first = next(views)
    drawn = render(scene, first)
    o3d = open3d()  # after a first picture: Numba does not want open3d's older TBB
    real = o3d.core.float32
    volume = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), (real, real, real), ((1), (1), (3)),
        voxel_size=float((high - low).max()) / resolution, block_resolution=8, block_count=BLOCKS,
    )  # fmt: skip
    _integrate(o3d, volume, scene, first, drawn)
    for camera in views:
        _integrate(o3d, volume, scene, camera, render(scene, camera))
    box = o3d.geometry.AxisAlignedBoundingBox(low.double().numpy(), high.double().numpy())
    whole = volume.extract_triangle_mesh(weight_threshold=SEEN_BY).to_legacy()
    found = _without_dust(whole.crop(box))
    if not len(found.triangles):
        raise ValueError(
            f"scene got no surface at {time} s from {VIEWS} cameras; expected one. Choose another time."
        )
    colors = (np.asarray(found.vertex_colors).clip(0, 1) * 255).round().astype(np.uint8)
    return Mesh(np.asarray(found.vertices), np.asarray(found.triangles), colors)


def write_mesh(path: str | Path, mesh: Mesh) -> None:
    """Write a mesh as .glb, .ply or .obj, whole or not at all; .glb has y up, others the scene's axes.

    Raises:
        ValueError: another suffix.

    >>> import tempfile
    >>> corner = Mesh(np.eye(3), np.array([[0, 1, 2]]), np.zeros((3, 3), np.uint8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_mesh(Path(folder, "a.ply"), corner)
    ...     Path(folder, "a.ply").read_bytes()[:3]
    b'ply'
    """
    import trimesh

    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"out got {path.name}; expected {', '.join(SUFFIXES)}. Rename it.")
    vertices = mesh.vertices[:, [0, 2, 1]] * (1, 1, -1) if kind == ".glb" else mesh.vertices
    shape = trimesh.Trimesh(vertices, mesh.faces, vertex_colors=mesh.colors, process=False)
    data: Any = shape.export(file_type=kind[1:])
    with written_whole(path) as place:
        place.write_bytes(data.encode() if isinstance(data, str) else data)


def write_meshes(
    scene: Scene,
    out: str | Path,
    *,
    times: Sequence[float] = (0.0,),
    suffix: str = ".ply",
    progress: Progress = iter,
    **options: Any,
) -> int:
    """Write a mesh for each of some moments: one file, or a folder of numbered ones; gives their number.

    One mesh is in memory at a time.

    Args:
        out: a name with a suffix of `SUFFIXES` for one moment, or a new folder.
        suffix: of the files in a folder.
        options: as `fuse_mesh` takes them.

    Raises:
        ValueError: as `fuse_mesh` does; one file for several moments.
    """
    out = Path(out)
    if out.suffix:
        if len(times) != 1:
            raise ValueError(
                f"{out.name} got {len(times)} moments; expected one. Name a folder, or leave --frames out."
            )
        if out.suffix.lower() not in SUFFIXES:
            raise ValueError(f"out got {out.name}; expected {', '.join(SUFFIXES)}. Rename it.")
        write_mesh(out, fuse_mesh(scene, time=times[0], **options))
        return 1
    with folder_written_whole(out, name="out") as folder:
        for k, time in enumerate(progress(times)):
            mesh = fuse_mesh(scene, time=time, **options)
            write_mesh(folder / f"mesh_{k:04d}{suffix}", mesh)
    return len(times)


def _box(scene: Scene, time: float) -> tuple[Tensor, Tensor]:
    """Lowest and highest corner of where the scene is, with some room."""
    with torch.no_grad():
        gaussians = scene.at(time)
    means = gaussians.means[gaussians.opacities >= SEEN].detach().float().cpu()
    if not len(means):
        raise ValueError(
            f"scene got nothing to see at {time} s; expected Gaussians of an opacity of {SEEN}."
        )
    ordered = means.sort(0).values
    share = OUTLIERS / 4
    low, high = (
        ordered[round(share * (len(means) - 1))],
        ordered[round((1 - share) * (len(means) - 1))],
    )
    room = 0.05 * (high - low).max().clamp_min(1e-3)
    return low - room, high + room


def _rings(scene: Scene, time: float, up: Up) -> Cameras:
    """Cameras round a scene at three heights, all about its middle at a time."""
    ring = around_scene(OneMoment(scene, time), frames=13, up=up, size=SIDE)
    upright = upright_turn(up)
    eyes, middle = ring.centres.double() @ upright.T, focus_point(ring).double() @ upright.T
    away = eyes - middle
    radius, azimuth = away.norm(dim=1), torch.atan2(away[:, 1], away[:, 0])
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = upright
    views = []
    for height in HEIGHTS:
        flat = math.cos(height) * radius
        place = [flat * azimuth.cos(), flat * azimuth.sin(), radius * math.sin(height)]
        views.append((look_at(middle + torch.stack(place, 1), middle).double() @ turn).float())
    Ks = ring.Ks[:1].expand(len(HEIGHTS) * len(ring), 3, 3)
    return Cameras(torch.cat(views), Ks, SIDE, SIDE, torch.zeros(len(Ks)))


def _chosen(cameras: Cameras, time: float) -> Iterator[Cameras]:
    """Up to `VIEWS` of the cameras, small, at one time."""
    factor = min(1.0, SIDE / max(cameras.width, cameras.height))
    cameras = cameras.resized(factor)
    step = max(1.0, len(cameras) / VIEWS)
    for k in range(min(len(cameras), VIEWS)):
        one = cameras[int(k * step)]
        yield Cameras(one.viewmats, one.Ks, one.width, one.height, torch.tensor([time]))


def _integrate(o3d: Any, volume: Any, scene: Scene, camera: Cameras, drawn: Rendering) -> None:
    assert drawn.depths is not None
    depth = surface_depth(drawn.depths[0, ..., 0], drawn.alphas[0, ..., 0]).numpy()
    # Colour without the background that shows through.
    shade = torch.tensor(scene.background)
    alpha = drawn.alphas[0].clamp_min(1e-3)
    image = ((drawn.images[0] - (1 - alpha) * shade) / alpha).clamp(0, 1).numpy()
    K = camera.Ks[0].double().numpy().copy()
    K[:2, 2] -= 0.5  # open3d's first pixel has its centre at 0
    lens, pose = o3d.core.Tensor(K), o3d.core.Tensor(camera.viewmats[0].double().numpy())
    picture = o3d.t.geometry.Image(np.ascontiguousarray(depth[..., None], np.float32))
    colors = o3d.t.geometry.Image(np.ascontiguousarray(image, np.float32))
    far = float(depth.max()) + 1.0
    if not (depth > 0).any():
        return
    touched = volume.compute_unique_block_coordinates(picture, lens, pose, 1.0, far, TRUNCATION)
    volume.integrate(touched, picture, colors, lens, pose, 1.0, far, TRUNCATION)


def surface_depth(depth: Float[Tensor, "H W"], alpha: Float[Tensor, "H W"]) -> Float[Tensor, "H W"]:
    """Depth where a surface is seen, 0 elsewhere: not where little covers a pixel, not at outlines.

    >>> depth = torch.ones(5, 5)
    >>> depth[:, 3:] = 2
    >>> surface_depth(depth, torch.ones(5, 5))[2].tolist()
    [1.0, 1.0, 0.0, 0.0, 2.0]
    """
    known = torch.where(alpha >= COVERED, depth, torch.zeros_like(depth))
    padded = known[None, None]
    highest = torch.nn.functional.max_pool2d(padded, 3, 1, 1)[0, 0]
    missing = torch.where(known > 0, known, torch.full_like(known, torch.inf))
    lowest = -torch.nn.functional.max_pool2d(-missing[None, None], 3, 1, 1)[0, 0]
    return torch.where((highest - lowest) <= STEP * known, known, torch.zeros_like(known))


def _without_dust(mesh: Any) -> Any:
    """Without the pieces that are far smaller than the largest."""
    labels, counts, _ = mesh.cluster_connected_triangles()
    labels, counts = np.asarray(labels), np.asarray(counts)
    if len(counts):
        mesh.remove_triangles_by_mask(counts[labels] < SMALLEST * counts.max())
        mesh.remove_unreferenced_vertices()
    return mesh
