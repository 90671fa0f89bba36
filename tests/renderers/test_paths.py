"""Camera paths: where they look, what times they have, and their files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from clay4d.renderers.paths import (
    camera_path,
    focus_point,
    look_at,
    orbit,
    read_path,
    spiral,
    through,
    write_path,
)
from clay4d.scenes import Cameras, Dataset, Views


def ring(n: int = 12, *, radius: float = 3.0, height: float = 1.0, duration: float = 2.0):
    """Cameras on a circle about (1, 2, 0.5) that look at it."""
    angles = torch.arange(n) / n * 2 * math.pi
    centre = torch.tensor([1.0, 2.0, 0.5])
    eyes = centre + torch.stack(
        [radius * angles.cos(), radius * angles.sin(), torch.full((n,), height)], 1
    )
    K = torch.tensor([[50.0, 0, 16], [0, 50, 12], [0, 0, 1]])
    times = torch.linspace(0, duration, n)
    return Cameras(look_at(eyes, centre), K.expand(n, 3, 3), 32, 24, times), centre


def looks_at(cameras: Cameras, point: torch.Tensor) -> None:
    """The point is in the middle of every picture, and the world's z points up in it."""
    seen = cameras.viewmats[:, :3, :3] @ point + cameras.viewmats[:, :3, 3]
    assert seen[:, :2].abs().max() < 1e-4
    assert (seen[:, 2] > 0).all()
    assert (cameras.viewmats[:, 1, 2] < 0).all()


def test_the_focus_is_found_and_axes_without_one_fall_back() -> None:
    cameras, centre = ring()
    assert (focus_point(cameras) - centre).abs().max() < 1e-4
    parallel = Cameras(
        torch.eye(4).repeat(3, 1, 1), torch.eye(3).repeat(3, 1, 1), 8, 8, torch.zeros(3)
    )
    assert focus_point(parallel).tolist() == [0, 0, 1]
    assert focus_point(parallel, fallback=centre).tolist() == centre.tolist()
    flip = torch.diag(torch.tensor([-1.0, 1, -1, 1]))
    outward = Cameras(flip @ cameras.viewmats, cameras.Ks, 32, 24, cameras.times)
    assert focus_point(outward, fallback=centre + 9).tolist() == (centre + 9).tolist()


def test_an_orbit_keeps_distance_and_height_and_sweeps_the_time() -> None:
    cameras, centre = ring()
    path = orbit(cameras, frames=40, duration=2.0)
    looks_at(path, centre)
    offsets = path.centres - centre
    assert (offsets[:, 2] - 1).abs().max() < 1e-4
    assert (offsets.norm(dim=1) - math.sqrt(10)).abs().max() < 1e-4
    assert (path.centres[0] - cameras.centres[0]).norm() < 1e-4
    assert path.times[0] == 0 and path.times[-1] == 2.0
    steps = (path.centres.roll(-1, 0) - path.centres).norm(dim=1)
    assert steps.max() - steps.min() < 1e-4
    assert torch.equal(path.Ks[3], cameras.Ks[0])


def test_an_orbit_from_straight_above_still_has_an_up() -> None:
    eyes = torch.tensor([[0.01, 0, 3.0], [-0.01, 0, 3.0], [0, 0.01, 3.0]])
    views = look_at(eyes, torch.zeros(3))
    cameras = Cameras(views, torch.eye(3).repeat(3, 1, 1), 8, 8, torch.zeros(3))
    # No point is where near-parallel axes meet, so the orbit is about a metre ahead.
    assert (orbit(cameras, frames=5).centres[:, 2] < 2.9975).all()


def test_a_spiral_stays_near_a_camera_and_looks_at_the_focus() -> None:
    cameras, centre = ring(radius=3.0)
    path = spiral(cameras, frames=30, duration=1.0)
    looks_at(path, centre)
    nearest = torch.cdist(path.centres, cameras.centres).min(1).values
    assert nearest.max() < 0.35 * math.sqrt(10)
    assert (path.centres - path.centres.mean(0)).norm(dim=1).min() > 0.1


def test_a_spiral_of_one_still_camera_moves() -> None:
    cameras, _ = ring(1)
    path = spiral(cameras, frames=8, fallback=torch.tensor([1.0, 2.0, 0.5]))
    assert (path.centres - cameras.centres).norm(dim=1).max() > 0.1


def test_through_passes_every_camera_at_its_time() -> None:
    cameras, centre = ring(5, duration=2.0)
    order = torch.tensor([3, 0, 4, 1, 2])
    path = through(cameras[order], frames=9)
    assert torch.equal(path.times, torch.linspace(0, 2, 9))
    assert (path.viewmats[::2] - cameras.viewmats).abs().max() < 1e-4
    # Half-way is between, still rigid (Cameras checks), and turned half-way.
    R = path.viewmats[:, :3, :3]
    ahead = (R[1:] @ R[:-1].transpose(1, 2)).diagonal(dim1=1, dim2=2).sum(1)
    assert ahead.max() - ahead.min() < 1e-4


def test_through_handles_one_camera_and_equal_times() -> None:
    cameras, _ = ring(4, duration=0.0)
    path = through(cameras, frames=7)
    assert (path.viewmats[::2] - cameras.viewmats).abs().max() < 1e-4
    assert not path.times.any()
    one = through(cameras[0], frames=3)
    assert (one.viewmats - cameras.viewmats[:1]).abs().max() < 1e-5


def test_a_fixed_camera_with_moving_time_stands_still() -> None:
    cameras, _ = ring(1)
    still = Cameras(
        cameras.viewmats.repeat(4, 1, 1), cameras.Ks.repeat(4, 1, 1), 32, 24, torch.arange(4.0)
    )
    path = through(still, frames=10)
    assert (path.viewmats - cameras.viewmats).abs().max() < 1e-5
    assert path.times[-1] == 3


def make_dataset(cameras: Cameras) -> Dataset:
    import numpy as np

    names = [str(i) for i in range(len(cameras))]
    views = Views(cameras, names, lambda i: np.zeros((24, 32, 3), np.uint8))
    box = torch.tensor([[-1.0, -1, -1], [1, 1, 1]])
    return Dataset("ring", {"train": views, "test": views}, 2.0, box)


def test_paths_by_name() -> None:
    dataset = make_dataset(ring()[0])
    for name in ("orbit", "spiral", "test"):
        path = camera_path(name, dataset, frames=6)
        assert len(path) == 6 and path.times[-1] == 2.0
    with pytest.raises(
        ValueError, match="path got 'helix'; expected orbit, spiral, test, train or a"
    ):
        camera_path("helix", dataset)
    for name in ("orbit", "spiral", "test"):
        with pytest.raises(ValueError, match="frames got 0; expected at least 1."):
            camera_path(name, dataset, frames=0)


def test_a_path_file_round_trips(tmp_path: Path) -> None:
    cameras, _ = ring()
    write_path(tmp_path / "path.json", cameras, fps=12.5)
    back, fps = read_path(tmp_path / "path.json")
    assert fps == 12.5 and (back.width, back.height) == (32, 24)
    for name in ("viewmats", "Ks", "times"):
        assert torch.equal(getattr(back, name), getattr(cameras, name))
    assert [p.name for p in tmp_path.iterdir()] == ["path.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cameras": []}, "no list of cameras"),
        ({"width": "9"}, "size '9' × 24"),
        ({"fps": 0}, "fps 0.0"),
        ({"cameras": [{"time": 0, "K": [[1]]}]}, "no key 'viewmat'"),
        (
            {"cameras": [{"time": 0, "viewmat": [[1, 0], [0, 1]], "K": [[1.0]]}]},
            r"viewmats got shape \[1, 2, 2\]",
        ),
        ({"cameras": [{"time": "x", "viewmat": [], "K": []}]}, "expected a path file: width"),
        ({"cameras": 3}, "no list of cameras"),
    ],
)
def test_a_wrong_path_file_is_named(change: dict, message: str, tmp_path: Path) -> None:
    write_path(tmp_path / "path.json", ring()[0])
    raw = json.loads((tmp_path / "path.json").read_text())
    (tmp_path / "path.json").write_text(json.dumps(raw | change))
    with pytest.raises(ValueError, match=message) as caught:
        read_path(tmp_path / "path.json")
    assert str(caught.value).startswith("path.json got ")


def test_no_path_file_and_no_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match="expected orbit, spiral, test, train or a path file"
    ):
        read_path(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match="bad.json is not JSON"):
        read_path(tmp_path / "bad.json")
