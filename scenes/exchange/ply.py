"""Gaussians as INRIA PLY, the layout that 3DGS writes and most viewers read.

Source: 3D Gaussian Splatting (Kerbl et al., SIGGRAPH 2023), `GaussianModel.save_ply`: little-endian
floats x y z, normals of zero, harmonics as f_dc (the constant ones) and f_rest (a colour after another),
opacity as a logit, scales as logarithms, the quaternion real part first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from clay4d.files import written_whole
from clay4d.scenes.exchange.parts import check_times
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.scene import Scene
from clay4d.scenes.splat_scene import raw_from_gaussians


def write_ply(scene: Scene, path: str | Path, *, times: Sequence[float] | None = None) -> None:
    """Write the Gaussians of one time to a .ply file, whole or not at all.

    Args:
        times: the one time, seconds; the scene's start by default.

    Raises:
        ValueError: several times, or numbers that are not finite.

    >>> import tempfile
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ply(SplatScene(raw_from_gaussians(g), Static()), Path(folder) / "a.ply")
    ...     (Path(folder) / "a.ply").read_bytes()[:3]
    b'ply'
    """
    moments = check_times(scene, times)
    if len(moments) != 1:
        raise ValueError(f"times got {len(moments)} moments; expected one, a file's. Choose one.")
    _write(scene, Path(path), moments[0])


def _write(scene: Scene, path: Path, time: float, *comments: str) -> None:
    with torch.no_grad():
        names, table = ply_table(scene.at(time))
    if not np.isfinite(table).all():
        raise ValueError(
            f"{path} got Gaussians that are not finite; expected numbers. Train again."
        )
    header = ["ply", "format binary_little_endian 1.0", *(f"comment {c}" for c in comments)]
    header += [f"element vertex {len(table)}"]
    header += [f"property float {name}" for name in names] + ["end_header", ""]
    with written_whole(path) as place, place.open("wb") as file:
        file.write("\n".join(header).encode())
        file.write(table.astype("<f4").tobytes())


def write_ply_sequence(
    scene: Scene, folder: str | Path, *, times: Sequence[float] | None = None
) -> None:
    """Write one numbered .ply file for each time: frame_0000.ply and on, as SuperSplat reads them.

    Each says its time in a comment of its header. Only one moment is in memory at a time.

    Raises:
        ValueError: a folder that holds .ply files already, or numbers that are not finite.

    >>> import tempfile
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene
    >>> g = Gaussians.from_points(torch.zeros(2, 3), torch.ones(2, 3))
    >>> scene = SplatScene(raw_from_gaussians(g), Static())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_ply_sequence(scene, folder, times=[0.0, 1.0])
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['frame_0000.ply', 'frame_0001.ply']
    """
    folder, moments = Path(folder), check_times(scene, times)
    if folder.is_dir() and any(folder.glob("*.ply")):
        raise ValueError(
            f"{folder} holds .ply files already; expected none. Choose another folder."
        )
    for k, moment in enumerate(moments):
        _write(scene, folder / f"frame_{k:04d}.ply", moment, f"time {moment!r}")


def ply_table(gaussians: Gaussians) -> tuple[list[str], Float[np.ndarray, "N P"]]:
    """The properties' names in their order, and a row of them for each Gaussian.

    >>> ply_table(Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3)))[0][-1]
    'rot_3'
    """
    raw = raw_from_gaussians(gaussians)
    sh = raw["sh"]
    rest = sh[:, 1:].transpose(1, 2).reshape(len(sh), -1)
    columns = {
        ("x", "y", "z"): raw["means"],
        ("nx", "ny", "nz"): torch.zeros_like(raw["means"]),
        tuple(f"f_dc_{i}" for i in range(3)): sh[:, 0],
        tuple(f"f_rest_{i}" for i in range(rest.shape[1])): rest,
        ("opacity",): raw["opacities"][:, None],
        tuple(f"scale_{i}" for i in range(3)): raw["scales"],
        tuple(f"rot_{i}" for i in range(4)): torch.nn.functional.normalize(raw["quats"], dim=1),
    }
    names = [name for group in columns for name in group]
    return names, torch.cat(list(columns.values()), 1).detach().numpy()
