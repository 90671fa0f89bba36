"""Tracks as a loss: the truth costs nothing, runs follow them, and what cannot be used is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.scenes import Cameras, Dataset, Gaussians
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.loaders.lens import Lens, _maps, undistort_points
from clay4d.scenes.tracks import Tracks
from clay4d.training.checks import check_config
from clay4d.training.config import Losses, McmcDensity, Polynomial, Schedule, Start, TrainConfig
from clay4d.training.tracks import check_tracks, other_picture, track_term
from clay4d.training.trainer import Trainer
from tests.conftest import Swinging

CONFIG = TrainConfig(
    motion=Polynomial(path_lr=1e-2),
    start=Start(count=300),
    density=McmcDensity(cap=300, noise=0, opacity_weight=0, scale_weight=0),
    schedule=Schedule(coarse=((0.0, 1.0),), sh_degree=0),
    steps=240,
)


def pixels(cameras: Cameras, points: torch.Tensor) -> torch.Tensor:
    """Where each camera sees its points [C, P, 3]."""
    x = points @ cameras.viewmats[:, :3, :3].transpose(1, 2) + cameras.viewmats[:, None, :3, 3]
    x = x @ cameras.Ks.transpose(1, 2)
    return x[..., :2] / x[..., 2:]


def followed(cameras: Cameras) -> Tracks:
    """The middles of both blobs, eight times each, where neither is before the other."""
    middles = torch.stack([Swinging().at(float(t)).means for t in cameras.times])
    xy = pixels(cameras, middles)
    apart = (xy[:, 0] - xy[:, 1]).norm(dim=1) > 6
    xy = xy.transpose(0, 1).repeat(8, 1, 1)
    return Tracks(xy, apart.expand(16, -1).clone())


@pytest.fixture
def tracked(swinging: Dataset) -> Dataset:
    views = swinging.train.seen_by(swinging.train.cameras)
    views.tracks = followed(views.cameras)
    return dataclasses.replace(swinging, splits={"train": views})


class Frozen(Swinging):
    def at(self, time: float) -> Gaussians:
        return super().at(0.25)


def cost(scene: Swinging, data: Dataset, *, size: float = 1.0) -> float:
    """Mean term over all pictures."""
    cameras, tracks = data.train.cameras, data.train.tracks
    assert tracks is not None
    draws, found = torch.Generator().manual_seed(0), []
    for i in range(len(cameras)):
        if tracks.seen[:, i].any():
            drawn = scene.at(float(cameras.times[i]))
            term = track_term(
                scene, drawn, cameras, tracks,  # type: ignore[arg-type]
                index=i, view=cameras.viewmats[i : i + 1], size=size, draws=draws,
            )  # fmt: skip
            found.append(float(term))
    assert len(found) > 5
    return float(np.mean(found))


@pytest.mark.parametrize("size", [1.0, 0.5])
def test_the_truth_costs_next_to_nothing(tracked: Dataset, size: float) -> None:
    assert cost(Swinging(), tracked, size=size) < 0.006
    assert cost(Frozen(), tracked, size=size) > 0.02  # where it covers the pixel at all


def test_a_run_follows_tracks(tracked: Dataset) -> None:
    found = []
    for weight in (0.0, 0.2):
        config = dataclasses.replace(CONFIG, losses=Losses(tracks=weight))
        trainer = Trainer(config, tracked)
        for _ in range(CONFIG.steps):
            trainer.step()
        with torch.no_grad():
            found.append(cost(trainer.scene, tracked))  # type: ignore[arg-type]
    assert found[1] < 0.7 * found[0]


def test_the_other_picture_shares_points() -> None:
    seen = torch.zeros(20, 5, dtype=torch.bool)
    seen[:, 0] = seen[:9, 2] = seen[10:, 3] = seen[:3, 4] = True
    tracks, draws = Tracks(torch.zeros(20, 5, 2), seen), torch.Generator().manual_seed(0)
    assert {other_picture(tracks, 0, draws) for _ in range(40)} == {2, 3}
    assert other_picture(tracks, 4, draws) is None


def test_a_weight_without_tracks_or_times_is_refused(swinging: Dataset, tracked: Dataset) -> None:
    config = dataclasses.replace(CONFIG, losses=Losses(tracks=0.5))
    with pytest.raises(ValueError, match=r"losses\.tracks got 0\.5 for swinging, which has no tr"):
        check_tracks(config, swinging)
    with pytest.raises(ValueError, match="whose pictures are of one moment"):
        check_tracks(config, dataclasses.replace(tracked, duration=0.0))
    check_tracks(config, tracked)
    with pytest.raises(ValueError, match=r"losses\.tracks got -1"):
        check_config(dataclasses.replace(CONFIG, losses=Losses(tracks=-1)))


@pytest.mark.parametrize("kind", ["perspective", "fisheye"])
def test_points_go_where_their_pixels_go(kind: str) -> None:
    """`undistort_points` against the map by which pictures are undistorted."""
    coefficients = (-0.12, 0.03, *(0.0,) * (6 if kind == "perspective" else 2))
    lens = Lens(64, 48, 60.0, 58.0, 31.0, 25.0, kind, coefficients)
    x, y = _maps(lens)
    v, u = np.mgrid[2:46:5, 2:62:5].reshape(2, -1)
    source = np.stack([x[v, u], y[v, u]], 1).astype(np.float64) + 0.5
    assert np.abs(undistort_points(lens, source) - np.stack([u, v], 1) - 0.5).max() < 0.01


def write(folder: Path, data: Dataset, *, k1: float = 0.0) -> None:
    """Two pictures with tracks as files."""
    frames = []
    for i in range(2):
        Image.fromarray(data.train.pixels(i)).save(folder / f"{i}.png")
        pose = torch.linalg.inv(data.train.cameras.viewmats[i].double()).numpy()
        frames.append(
            {"file_path": f"./{i}", "time": float(i), "transform_matrix": pose.tolist()}
        )  # fmt: skip
    meta = {"fl_x": 60, "cx": 24, "cy": 24, "k1": k1, "frames": frames, "duration": 2}
    meta |= {"tracks_file_path": "tracks.npz", "train_filenames": ["0", "1"]}
    (folder / "transforms.json").write_text(json.dumps(meta))


def test_tracks_are_read_with_the_data(swinging: Dataset, tmp_path: Path) -> None:
    write(tmp_path, swinging)
    xy = np.array([[[24.0, 24], [10, 11]], [[1, 2], [np.nan, 3]], [[60, 4], [5, 5]]])
    names = np.array(["./1", "0.png"])
    np.savez(tmp_path / "tracks.npz", tracks=xy, visible=np.ones((3, 2)), pictures=names)
    tracks = load_dataset(tmp_path).train.tracks
    assert tracks is not None
    assert tracks.seen.tolist() == [[True, True], [False, True], [True, False]]
    assert tracks.xy[0].tolist() == [[10.0, 11.0], [24.0, 24.0]]
    write(tmp_path, swinging, k1=-0.1)
    bent = load_dataset(tmp_path).train.tracks
    assert bent is not None and not torch.allclose(bent.xy[0, 0], tracks.xy[0, 0], atol=0.02)
    assert torch.allclose(bent.xy[0, 1], tracks.xy[0, 1], atol=0.7)  # next to the middle


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tracks": np.zeros((3, 2))}, r"tracks\.npz got tracks float64 \[3, 2\] and visible"),
        ({"visible": np.ones((3, 3))}, r"expected numbers \[P, F, 2\] and \[P, F\]"),
        ({"pictures": np.array(["0"])}, r"expected 2 names"),
        ({"pictures": np.array(["a", "b"])}, r"got pictures a, b; expected file paths of frames"),
        ({"pictures": np.array([None, 1])}, r"no readable arrays"),
    ],
)
def test_broken_tracks_are_told(
    swinging: Dataset, tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    write(tmp_path, swinging)
    whole = {"tracks": np.zeros((3, 2, 2)), "visible": np.ones((3, 2))}
    np.savez(tmp_path / "tracks.npz", **whole | {"pictures": np.array(["0", "1"])} | change)
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path)
