"""`evaluate`: the means of PSNR and SSIM, on the right background, written whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.renderers import render
from clay4d.renderers.video import to_bytes
from clay4d.scenes import Cameras, Gaussians, Views
from clay4d.scenes.exchange.ply import write_ply
from clay4d.scenes.motion import Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
from clay4d.training.evaluate import EQUAL, evaluate, evaluate_run, write_metrics
from clay4d.training.metrics import psnr, ssim


class Rise:
    """A ball that rises by a metre in a second, before a green background."""

    duration = 1.0
    background = (0.1, 0.6, 0.3)

    def at(self, time: float) -> Gaussians:
        means = torch.tensor([[0.0, 0.5 - time, 3.0]])
        scales = torch.full((1, 3), 0.2)
        return Gaussians.from_points(
            means, torch.tensor([[1.6, 0.5, 0.2]]), scales=scales, opacities=torch.full((1,), 0.99)
        )


def make_views(count: int = 3, *, noise: float = 0.1, background=None) -> tuple[Views, list]:
    """Noisy bytes of the scene's own pictures, and the pictures themselves."""
    K = torch.tensor([[30.0, 0, 12], [0, 30, 10], [0, 0, 1]])
    times = torch.linspace(0, 1, count)
    cameras = Cameras(torch.eye(4).repeat(count, 1, 1), K.repeat(count, 1, 1), 24, 20, times)
    images = render(Rise(), cameras, background=background).images.clamp(0, 1)
    g = torch.Generator().manual_seed(0)
    pictures = [to_bytes(x + noise * torch.randn(x.shape, generator=g)) for x in images]
    names = [f"view {i}" for i in range(count)]
    return Views(cameras, names, lambda i: pictures[i], background=background), list(images)


def test_metrics_are_those_of_each_picture_at_its_time_and_their_means() -> None:
    views, images = make_views()
    found = evaluate(Rise(), views, name="val")
    assert (found["split"], found["images"]) == ("val", 3)
    for i, row in enumerate(found["per_image"]):
        truth = views[i].image
        assert row["name"] == f"view {i}" and row["time"] == pytest.approx(i / 2)
        assert row["psnr"] == psnr(images[i], truth) and row["ssim"] == ssim(images[i], truth)
    for key in ("psnr", "ssim"):
        assert found[key] == pytest.approx(np.mean([row[key] for row in found["per_image"]]))
    assert 15 < found["psnr"] < 25


def test_the_views_background_goes_before_the_scenes() -> None:
    white = (1.0, 1.0, 1.0)
    views, _ = make_views(1, noise=0.0, background=white)
    assert evaluate(Rise(), views)["psnr"] > 50
    views.background = None
    assert evaluate(Rise(), views)["psnr"] < 10


def test_equal_pictures_are_100_db_and_the_file_is_plain_json(tmp_path: Path) -> None:
    views, images = make_views(1)

    class Exact(Views):
        def __getitem__(self, index: int):
            frame = super().__getitem__(index)
            return type(frame)(images[index], frame.mask)

    exact = Exact(views.cameras, ["ü"], lambda i: views.pixels(i))
    found = evaluate(Rise(), exact)
    assert found["psnr"] == 100 and math.isclose(found["ssim"], 1)
    write_metrics(tmp_path / "run", found)
    path = tmp_path / "run" / "metrics.json"
    assert json.loads(path.read_text(encoding="utf-8")) == found
    assert [p.name for p in path.parent.iterdir()] == ["metrics.json"]


def test_no_views_are_named() -> None:
    views, _ = make_views(1)
    none = Views(views.cameras[torch.zeros(0, dtype=torch.long)], [], views.pixels)
    with pytest.raises(ValueError, match="views of test got none; expected at least one picture."):
        evaluate(Rise(), none)


@pytest.fixture
def cut_out(tmp_path: Path) -> Path:
    """Pictures of nothing: half of each is a red that alpha hides whole."""
    pixels = np.zeros((20, 24, 4), np.uint8)
    pixels[:, :12, 0] = 255
    (tmp_path / "train").mkdir()
    Image.fromarray(pixels).save(tmp_path / "train" / "0.png")
    pose = np.eye(4).tolist()
    frames = [{"file_path": "./train/0", "transform_matrix": pose, "time": 0.0}]
    for name in ("train", "test"):
        text = json.dumps({"camera_angle_x": 0.7, "frames": frames})
        (tmp_path / f"transforms_{name}.json").write_text(text)
    return tmp_path


def behind_the_camera() -> SplatScene:
    """One Gaussian that the camera of `cut_out` does not see."""
    g = Gaussians.from_points(torch.tensor([[0.0, 0, 5]]), torch.zeros(1, 3))
    return SplatScene(raw_from_gaussians(g), Static())


def test_pictures_with_alpha_are_laid_over_another_background(
    cut_out: Path, tmp_path: Path
) -> None:
    write_ply(behind_the_camera(), tmp_path / "one.ply")
    for background in (None, (0.0, 0.0, 0.0), (0.2, 0.9, 0.4)):
        found = evaluate_run(tmp_path / "one.ply", data=cut_out, background=background)
        assert found["psnr"] == EQUAL


def test_a_background_for_opaque_pictures_is_refused(cut_out: Path, tmp_path: Path) -> None:
    opaque = np.full((20, 24, 3), 90, np.uint8)
    Image.fromarray(opaque).save(cut_out / "train" / "0.png")
    write_ply(behind_the_camera(), tmp_path / "one.ply")
    with pytest.raises(ValueError, match="without transparency"):
        evaluate_run(tmp_path / "one.ply", data=cut_out, background=(0.0, 0.0, 0.0))
