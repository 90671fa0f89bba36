"""The player's file: what is written is read again within the steps it is rounded to."""

from __future__ import annotations

import io
import json
import re
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from clay4d.renderers.player import read_player, write_player
from clay4d.renderers.player.coding import ROTATION, STEPS, TURN
from clay4d.renderers.player.sampling import Moments
from clay4d.renderers.player.streams import Streams, from_text, read_floats, read_whole, to_text
from clay4d.renderers.player.tracks import add_tracks, find_modes, moments_at, read_track
from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import read_ply_sequence, write_ply
from clay4d.scenes.motion import Static
from clay4d.scenes.quaternions import from_rotation_vector, multiply, rotate
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians


class Wheel:
    """Gaussians that go round the z axis twice a second; some fade out, three are never seen."""

    duration = 1.0
    background = (0.2, 0.4, 0.6)
    near, antialiased, eps2d = 0.05, True, 0.1

    def __init__(self, count: int = 400, degree: int = 3) -> None:
        g = torch.Generator().manual_seed(5)
        self.means = torch.randn(count, 3, generator=g)
        self.quats = torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=1)
        self.scales = 0.05 * torch.exp(0.5 * torch.randn(count, 3, generator=g))
        self.opacities = torch.rand(count, generator=g) * 0.8 + 0.1
        self.opacities[:3] = 0.001
        self.sh = 0.3 * torch.randn(count, (degree + 1) ** 2, 3, generator=g)

    def at(self, time: float) -> Gaussians:
        turn = from_rotation_vector(torch.tensor([0.0, 0.0, 4 * torch.pi * time]))
        every = turn.expand(len(self.means), 4)
        faded = torch.where(self.means[:, 0] > 1, 1 - 0.5 * time, 1.0)
        return Gaussians(
            rotate(every, self.means), multiply(every, self.quats), self.scales,
            self.opacities * faded, self.sh,
        )  # fmt: skip


def matched(shown: Gaussians, truth: Gaussians) -> tuple[Gaussians, torch.Tensor]:
    """The truth in the order of what is shown, by places, which are rounded the least."""
    nearest = torch.cdist(shown.means, truth.means).argmin(1)
    assert len(nearest.unique()) == len(shown)
    return Gaussians(**{k: v[nearest] for k, v in truth.tensors().items()}), nearest


def test_what_is_read_again_is_within_the_steps(tmp_path: Path) -> None:
    scene = Wheel()
    write_player(tmp_path / "a.html", {"wheel": scene}, frames=40)
    (shown,) = read_player(tmp_path / "a.html")
    assert (shown.name, len(shown), shown.duration) == ("wheel", 397, 1.0)
    assert (shown.near, shown.antialiased, shown.eps2d) == (0.05, True, 0.1)
    assert shown.background == (0.2, 0.4, 0.6)
    place = shown._entry["clips"][0]["means"]["step"]
    assert place <= 0.05 / 4
    for moment in (0, 11, 39):
        got = shown.at(moment / 39)
        truth, rows = matched(got, scene.at(moment / 39))
        assert not {0, 1, 2} & set(rows.tolist()), "what is never seen is left out"
        # The base's rounding and that of the modes, each as large as half a step.
        assert (got.means - truth.means).abs().square().mean().sqrt() < place
        assert (got.scales.log() - truth.scales.log()).abs().max() <= STEPS["log_scales"] / 2 + 1e-4
        assert (got.sh[:, 0] - truth.sh[:, 0]).abs().max() <= STEPS["colours"] / 2 + 1e-4
        assert (got.sh[:, 1:] - truth.sh[:, 1:]).abs().max() <= STEPS["harmonics"] / 2 + 1e-4
        assert (got.opacities - truth.opacities).abs().max() < 3 / 255
        same = (got.quats * torch.nn.functional.normalize(truth.quats, dim=1)).sum(1).abs()
        assert 2 * torch.acos(same.clamp(max=1)).max() < 4 * (ROTATION + TURN)


def test_between_the_moments_it_goes_on_round(tmp_path: Path) -> None:
    """A spline through 20 moments a turn, where lines would cut the corners by 1 % of the radius."""
    scene = Wheel()
    write_player(tmp_path / "a.html", {"wheel": scene}, frames=41)
    (shown,) = read_player(tmp_path / "a.html")
    assert shown._entry["clips"][0]["smooth"]
    got = shown.at(10.5 / 40)
    truth, _ = matched(got, scene.at(10.5 / 40))
    assert (got.means - truth.means).norm(dim=1).mean() < 0.015


def test_files_of_a_folder_are_shown_one_after_another(tmp_path: Path) -> None:
    """They differ in number, and the nearest in time is shown."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for k, count in enumerate((50, 80, 30)):
        raw = raw_from_gaussians(Wheel(count).at(0.1 * k))
        write_ply(SplatScene(raw, Static()), folder / f"frame_{k}.ply")
    sequence = read_ply_sequence(folder)
    write_player(tmp_path / "a.html", {"x": sequence})
    (shown,) = read_player(tmp_path / "a.html")
    assert shown.duration == pytest.approx(2 / 30)
    for time, count in ((0.0, 47), (0.018, 77), (0.03, 77), (2 / 30, 27), (9.0, 27)):
        assert len(shown.at(time)) == count
        truth, _ = matched(shown.at(time), sequence.at(time))
        assert (shown.at(time).means - truth.means).abs().max() < 0.05 / 8 + 1e-6
    write_player(tmp_path / "b.html", {"x": sequence}, frames=2)
    assert [len(read_player(tmp_path / "b.html")[0].at(t)) for t in (0.0, 1.0)] == [47, 27]


class Paths:
    """Gaussians that go along given paths [T, N, 3] in a second, and are else all alike."""

    duration, background = 1.0, (0.0, 0.0, 0.0)

    def __init__(self, paths: torch.Tensor) -> None:
        self.paths = paths

    def at(self, time: float) -> Gaussians:
        here = self.paths[round(time * (len(self.paths) - 1))]
        return Gaussians.from_points(
            here, torch.ones_like(here), scales=0.1 * torch.ones_like(here)
        )


def coded(paths: torch.Tensor, step: float) -> tuple[int, torch.Tensor]:
    """How many modes are kept of paths about their mean, and what comes of them, in the paths' order."""
    moments = Moments(Paths(paths), len(paths))
    made, bases = io.BytesIO(), {"means": moments.means["means"].float()}
    tracks = add_tracks(Streams(made), moments, bases, {"means": step})
    if not tracks:
        return 0, bases["means"][moments.order.argsort()].expand_as(paths)
    track = tracks["means"] | {"columns": 3}
    said = [
        read_track(made.getvalue(), track, row, base=bases["means"].numpy())
        for row in np.eye(len(paths))
    ]
    return track["basis"]["rows"] // (3 * len(paths)), torch.tensor(np.stack(said))[
        :, moments.order.argsort()
    ]


def test_few_modes_say_what_moves_alike() -> None:
    """Rigid motion about one axis has four: sine and cosine of each of two directions."""
    paths = torch.stack([Wheel().at(k / 30).means for k in range(31)])
    count, again = coded(paths, 0.001)
    assert 0 < count <= 5
    assert (again - paths).square().mean().sqrt() < 0.001
    # What never leaves its mean by a step has no modes.
    assert coded(paths, 100.0)[0] == 0
    assert find_modes(torch.zeros(5, 10, 3), 0.001) is None


def test_a_small_part_that_moves_is_not_lost_in_a_large_one_that_stands() -> None:
    paths = torch.rand(20_000, 3).expand(30, -1, -1).clone()
    paths[:, :40, 0] += torch.linspace(0, 0.1, 30)[:, None]
    _, again = coded(paths, 0.01)
    assert (again - paths).abs().max() < 0.01


def test_few_moments_are_in_memory_at_once(tmp_path: Path) -> None:
    class Watched(Wheel):
        most = 0
        places: weakref.WeakSet[torch.Tensor]

        def at(self, time: float) -> Gaussians:
            made = super().at(time)
            self.places.add(made.means)
            self.most = max(self.most, len(self.places))
            return made

    scene = Watched(50)
    scene.places = weakref.WeakSet()
    write_player(tmp_path / "a.html", {"x": scene}, frames=60)
    assert scene.most < 12


def test_streams_and_text_come_back() -> None:
    rng = np.random.default_rng(3)
    numbers = np.stack(
        [
            rng.integers(-3, 4, 500), np.cumsum(rng.integers(-2, 3, 500)) + 100_000,
            rng.integers(-(2**31) + 1, 2**31 - 1, 500), np.zeros(500, np.int64),
        ], 1,
    )  # fmt: skip
    file = io.BytesIO()
    made = Streams(file)
    entries = [made.add_whole(numbers), made.add_whole(np.zeros((500, 0)))]
    floats = made.add_floats(np.array([[0.1, -2.5e7]], np.float32))
    data = file.getvalue()
    plain = from_text(to_text(data))[: len(data)]
    assert plain == data
    assert np.array_equal(read_whole(plain, entries[0]), numbers)
    assert read_whole(plain, entries[1]).shape == (500, 0)
    assert read_floats(plain, floats).tolist() == np.float32([0.1, -2.5e7]).tolist()
    with pytest.raises(ValueError, match="less than"):
        made.add_whole(np.array([[2**33]]))
    with pytest.raises(ValueError, match="base 85"):
        from_text("abcd&")


def test_shares_of_moments_sum_to_one_and_meet_the_moments() -> None:
    for smooth in (True, False):
        for place in np.linspace(0, 7, 29):
            rows = moments_at(place, 8, smooth=smooth)
            assert np.isclose(rows.sum(), 1)
            assert np.isclose(rows @ np.arange(8.0), place, atol=0.13 if smooth else 1e-12)
        assert moments_at(3.0, 8, smooth=smooth).tolist() == np.eye(8)[3].tolist()
    assert moments_at(0.0, 1, smooth=False).tolist() == [1.0]


def test_equal_scenes_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_player(tmp_path / f"{name}.html", {"x": Wheel()}, frames=5)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


HOSTILE = "</script><script>alert(1)</script><!-- \"'&@DATA@@TITLE@"


def test_no_name_gets_out_of_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    write_player(path, {HOSTILE: Wheel(9)}, frames=2, title=HOSTILE, lead=f"<img src=x> {HOSTILE}")
    text = path.read_text(encoding="utf-8")
    assert len(re.findall("<script", text)) == 3 and len(re.findall("</script", text)) == 3
    assert "<img" not in text and text.count("<!--") == 0
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text
    assert (
        text.count("@DATA@@TITLE@") == 5
    )  # where it was given: title, heading, canvas, lead, header
    assert read_player(path)[0].name == HOSTILE
    assert "http" not in re.sub(r'http-equiv|<script type="text/plain".*?</script>', "", text)


def test_what_cannot_be_played_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.html"

    class Growing(Wheel):
        def at(self, time: float) -> Gaussians:
            return Wheel(10 + round(10 * time)).at(time)

    class Broken(Wheel):
        def at(self, time: float) -> Gaussians:
            made = super().at(time)
            made.means[1, 0] = float("nan")
            return made

    class Unseen(Wheel):
        def at(self, time: float) -> Gaussians:
            made = super().at(time)
            made.opacities.mul_(1e-3)
            return made

    for scenes, frames, words in [
        ({"a": Growing()}, 5, "keeps its Gaussians"), ({"a": Broken()}, 5, "means got NaN"),
        ({"a": Unseen()}, 5, "no Gaussian of an opacity"), ({}, None, "scenes got 0"),
        ({"a": Wheel()}, 1, "frames got 1"), ({"a": Wheel()}, 10**6, "frames got 1000000"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            write_player(path, scenes, frames=frames)
    assert list(tmp_path.iterdir()) == []
    path.write_text("<html>")
    with pytest.raises(ValueError, match="no player in it"):
        read_player(path)
    write_player(path, {"a": Wheel(9)}, frames=2)
    header = re.search(r'id="header">(.*?)</script>', path.read_text())
    assert header is not None
    said = json.loads(header[1])
    path.write_text(path.read_text().replace(said["format"], "clay4d-player-9"))
    with pytest.raises(ValueError, match="clay4d-player-9"):
        read_player(path)
