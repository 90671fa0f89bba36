"""A small motion of each training camera, since poses from other tools are a little off.

Gradients come from the rasteriser's viewmats. Motions are taken less their mean over the cameras, so
that the scene does not drift from the cameras of other splits, which stay as they are.

A run leaves its poses in poses.json, in the loaded world's axes, and whoever draws its training cameras
takes them from there: {"names": [NAME, …], "viewmats": [[[…] × 4] × 4, …]}.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clay4d.files import written_whole
from clay4d.scenes import Dataset, Views
from clay4d.scenes.loaders.fields import array, read_json
from clay4d.scenes.quaternions import from_rotation_vector, rotate

POSES = "poses.json"


class PoseRefinement(nn.Module):
    """Cameras turned about their centres and shifted, in the world's axes.

    Pictures with one pose share one motion, so that a camera that stands still has one for its film.

    Args of `__init__`: `viewmats`, poses of the training pictures; `extent`, metres by which shifts
    are scaled.

    >>> poses = PoseRefinement(torch.eye(4).expand(2, 4, 4), extent=1.0)
    >>> poses(0).tolist() == torch.eye(4)[None].tolist()
    True
    """

    def __init__(self, viewmats: Float[Tensor, "C 4 4"], *, extent: float) -> None:
        super().__init__()
        poses, rows = viewmats.reshape(-1, 16).unique(dim=0, return_inverse=True)
        self.rows, self.extent = rows, extent
        self.viewmats = viewmats
        self.turns = nn.Parameter(torch.zeros(len(poses), 3))
        """[P, 3], rotation vectors, radians."""
        self.shifts = nn.Parameter(torch.zeros(len(poses), 3))
        """[P, 3], of the centres, in extents."""

    def forward(self, index: int) -> Float[Tensor, "1 4 4"]:
        """The viewmat of training picture `index`; differentiable."""
        row, view = self.rows[index], self.viewmats[index]
        turn = from_rotation_vector(self.turns[row] - self.turns.mean(0))
        R, t = view[:3, :3], view[:3, 3]
        turned = rotate(turn.expand(3, 4), R)  # rows of R are the camera's axes in the world
        shift = self.extent * (self.shifts[row] - self.shifts.mean(0))
        centre = -(R.T @ t) + shift
        # Not −R'·centre: where nothing moves, t should keep its bits.
        moved = t + R @ (-shift) - (turned - R) @ centre
        top = torch.cat([turned, moved[:, None]], 1)
        return torch.cat([top, view[3:]])[None]


def save_poses(run: Path, poses: PoseRefinement, views: Views) -> None:
    """Write the poses that the training pictures have by now to RUN/poses.json."""
    with torch.no_grad():
        viewmats = [poses(i)[0].tolist() for i in range(len(views))]
    text = json.dumps({"names": views.names, "viewmats": viewmats}, ensure_ascii=False)
    with written_whole(run / POSES) as place:
        place.write_text(text + "\n", encoding="utf-8")


def with_poses(dataset: Dataset, run: str | Path) -> Dataset:
    """The data with the poses of RUN/poses.json for its training pictures, if the run has refined them.

    Raises:
        ValueError: a file that is none, or that speaks of other pictures.
    """
    run = Path(run)
    if not (run / POSES).is_file():
        return dataset
    found, views = read_json(run, POSES), dataset.train
    if found.get("names") != views.names:
        raise ValueError(
            f"{POSES} got other pictures than those of {dataset.name}; expected the data of the "
            "run. Give it with --data."
        )
    poses = array(found.get("viewmats"), (len(views), 4, 4), POSES)
    cameras = dataclasses.replace(views.cameras, viewmats=torch.from_numpy(poses).float())
    return dataclasses.replace(dataset, splits={**dataset.splits, "train": views.seen_by(cameras)})
