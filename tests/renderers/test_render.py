"""`render`: each camera at its own time, memory in bounds, no gradients."""

from __future__ import annotations

import importlib

import pytest
import torch

from clay4d.renderers import rasterization
from clay4d.renderers.render import Rendering, render
from clay4d.scenes import Cameras, Gaussians
from clay4d.scenes.motion import Static
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians

# The package's name `render` is the function.
render_module = importlib.import_module("clay4d.renderers.render")


class Slide:
    """A ball that moves right by a metre in two seconds, before a blue background."""

    duration = 2.0
    background = (0.1, 0.2, 0.8)

    def __init__(self) -> None:
        self.asked: list[float] = []

    def at(self, time: float) -> Gaussians:
        self.asked.append(time)
        means = torch.tensor([[time / 2 - 0.5, 0.0, 3.0]], requires_grad=True)
        scales = torch.full((1, 3), 0.1)
        return Gaussians.from_points(
            means, torch.tensor([[1.0, 0.5, 0.2]]), scales=scales, opacities=torch.full((1,), 0.99)
        )


def cameras(times: list[float], *, width: int = 33, height: int = 20) -> Cameras:
    n = len(times)
    views = torch.eye(4).repeat(n, 1, 1)
    views[:, 0, 3] = torch.arange(n) * 0.01
    K = torch.tensor([[40.0, 0, width / 2], [0, 40, height / 2], [0, 0, 1]]).repeat(n, 1, 1)
    return Cameras(views, K, width, height, torch.tensor(times))


def test_each_camera_sees_its_own_time_and_equal_times_are_asked_for_once() -> None:
    scene, seen_from = Slide(), cameras([2.0, 0.0, 2.0, 1.0])
    drawn = render(scene, seen_from)
    assert scene.asked == [0.0, 1.0, 2.0]
    assert drawn.images.shape == (4, 20, 33, 3) and drawn.alphas.shape == (4, 20, 33, 1)
    peaks = drawn.alphas[..., 0].amax(1).argmax(1)
    assert peaks[1] < peaks[3] < peaks[0]
    for i in range(4):
        alone = render(scene, seen_from[i])
        assert torch.equal(alone.images[0], drawn.images[i])
        assert torch.equal(alone.depths[0], drawn.depths[i])
    assert not drawn.images.requires_grad


def test_many_cameras_of_one_time_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render(Slide(), cameras([1.0] * 5))
    calls = []
    monkeypatch.setattr(render_module, "PIXELS", 2 * 33 * 20)
    monkeypatch.setattr(
        render_module, "rasterization", lambda *a, **k: calls.append(1) or rasterization(*a, **k)
    )
    parts = render(Slide(), cameras([1.0] * 5))
    assert len(calls) == 3
    assert torch.equal(whole.images, parts.images)


def test_depth_is_metres_where_something_is() -> None:
    drawn = render(Slide(), cameras([1.0]))
    centre = drawn.depths[0, 10, 16, 0]
    assert centre.item() == pytest.approx(3.0, abs=1e-3)
    assert drawn.depths[drawn.alphas == 0].abs().max() == 0
    assert render(Slide(), cameras([1.0]), depth=False).depths is None


def test_backgrounds() -> None:
    corner = (0, 0, 0)
    assert render(Slide(), cameras([0.0])).images[corner].tolist() == pytest.approx([0.1, 0.2, 0.8])
    given = render(Slide(), cameras([0.0]), background=(1.0, 1.0, 1.0))
    assert given.images[corner].tolist() == [1, 1, 1]
    still = render(Slide().at(0.0), cameras([0.0, 5.0]))
    assert still.images[0, 0, 0].tolist() == [0, 0, 0]
    assert still.images.shape[0] == 2


def test_a_scene_without_gaussians_is_its_background() -> None:
    empty = Gaussians.from_points(torch.zeros(0, 3), torch.zeros(0, 3))
    drawn = render(empty, cameras([0.0]), background=(0.2, 0.4, 0.6))
    assert torch.allclose(drawn.images, torch.tensor([0.2, 0.4, 0.6]).expand_as(drawn.images))
    assert isinstance(drawn, Rendering) and drawn.alphas.sum() == 0


def test_no_cameras_give_no_pictures() -> None:
    none = cameras([0.0, 1.0])[torch.zeros(0, dtype=torch.long)]
    assert render(Slide(), none).images.shape == (0, 20, 33, 3)


@pytest.mark.parametrize("bad", [(0.1, 0.2), (float("nan"), 0.0, 0.0), 0.5])
def test_wrong_backgrounds_are_named(bad) -> None:
    with pytest.raises(ValueError, match="background got .*; expected three finite numbers."):
        render(Slide(), cameras([0.0]), background=bad)


def test_what_is_no_scene_is_named() -> None:
    with pytest.raises(TypeError, match=r"scene got str; expected Gaussians or a scene"):
        render("scene", cameras([0.0]))  # type: ignore[arg-type]


def test_an_antialiased_scene_is_drawn_so() -> None:
    dots = Gaussians.from_points(
        torch.tensor([[0.0, 0.0, 3.0]]), torch.ones(1, 3), scales=torch.full((1, 3), 0.015),
        opacities=torch.full((1,), 0.99),
    )  # fmt: skip
    scene, seen_from = SplatScene(raw_from_gaussians(dots), Static()), cameras([0.0])
    plain = render(scene, seen_from).images
    scene.antialiased = True
    fine = render(scene, seen_from).images
    wanted, _, _ = rasterization(
        dots.means, dots.quats, dots.scales, dots.opacities, dots.sh, seen_from.viewmats,
        seen_from.Ks, 33, 20, sh_degree=0, rasterize_mode="antialiased",
    )  # fmt: skip
    assert 0.02 < fine.max() < plain.max() / 3
    torch.testing.assert_close(fine, wanted, atol=1e-7, rtol=1e-6)
    scene.eps2d = 0.1
    assert render(scene, seen_from).images.max() > 1.2 * fine.max()
