"""Videos: what is written plays back, the same bytes every time, one frame in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from clay4d.renderers.video import (
    ANCHORS,
    colour_depth,
    depth_range,
    side_by_side,
    to_bytes,
    write_video,
)

RED, GREEN = torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.1, 0.7, 0.3])


def frames(count: int = 6, height: int = 33, width: int = 47) -> Iterator[Tensor]:
    for i in range(count):
        frame = RED.expand(height, width, 3).clone()
        frame[:, : 4 * (i + 1)] = GREEN
        yield frame


def decode(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_frames_play_back_with_their_colours_and_even_sides(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"v{suffix}"
    assert write_video(path, frames(), fps=24) == 6
    back = decode(path)
    assert len(back) == 6 and back[0].shape == (34, 48, 3)
    for i, frame in enumerate(back):
        left, right = frame[4:30, 1 : 4 * i + 2], frame[4:30, 4 * i + 8 : 47]
        assert abs(left.mean((0, 1)) - GREEN.numpy() * 255).max() < 4
        assert abs(right.mean((0, 1)) - RED.numpy() * 255).max() < 4
    assert abs(back[0][33, 47].astype(int) - back[0][32, 46]).max() < 6
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == 24
        assert (stream.codec_context.pix_fmt, stream.codec_context.colorspace) == ("yuv420p", 1)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, frames(9), fps=29.97)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_frames_are_taken_one_at_a_time(tmp_path: Path) -> None:
    import weakref

    alive: list[weakref.ref] = []

    def watched() -> Iterator[Tensor]:
        for frame in frames(20):
            assert sum(ref() is not None for ref in alive) <= 2
            alive.append(weakref.ref(frame))
            yield frame

    assert write_video(tmp_path / "v.mp4", watched()) == 20


def test_bytes_and_floats_mean_the_same() -> None:
    picture = next(frames())
    assert np.array_equal(to_bytes(picture), to_bytes(to_bytes(picture)))
    wild = torch.tensor([[[-1.0, 0.5, 7.0]]])
    assert to_bytes(wild).tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "frames got none; expected at least one."),
        ([torch.zeros(4, 4, 3), torch.zeros(4, 6, 3)], r"frame 1 got shape \[4, 6, 3\]; expected"),
        ([torch.zeros(4, 4)], r"frame got shape \[4, 4\]; expected \[H, W, 3\]."),
        ([torch.full((4, 4, 3), torch.nan)], "frame got NaN or infinity; expected finite"),
    ],
)
def test_wrong_frames_leave_no_file(given: list[Tensor], message: str, tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"older")
    with pytest.raises(ValueError, match=message):
        write_video(tmp_path / "v.mp4", given)
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]
    assert (tmp_path / "v.mp4").read_bytes() == b"older"


def test_wrong_names_and_rates_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"video got v.avi; expected a name in .mp4, .mov, .mkv."):
        write_video(tmp_path / "v.avi", frames())
    with pytest.raises(ValueError, match="fps got 0; expected a number above 0"):
        write_video(tmp_path / "v.mp4", frames(), fps=0)


def test_depth_colours_run_from_light_to_dark_and_fade_out() -> None:
    light = ANCHORS @ torch.tensor([0.2126, 0.7152, 0.0722])
    assert (light.diff() > 0).all()
    depths = torch.linspace(1, 5, 50).reshape(1, 50, 1)
    colours = colour_depth(depths, torch.ones(1, 50, 1), near=1, far=5)
    assert torch.allclose(colours[0, 0], ANCHORS[-1]) and torch.allclose(colours[0, -1], ANCHORS[0])
    assert (colours.sum(-1).diff() < 0.01).all()
    assert colour_depth(depths, torch.zeros(1, 50, 1), near=1, far=5).sum() == 0
    outside = torch.tensor([[[0.0], [99.0]]])
    ends = colour_depth(outside, torch.ones(1, 2, 1), near=1, far=5)[0]
    assert torch.allclose(ends, ANCHORS[[-1, 0]])
    with pytest.raises(ValueError, match="near, far got 2, 1; expected 0 < near < far."):
        colour_depth(depths, depths, near=2, far=1)


def test_depth_range_ignores_what_is_not_covered_and_strays() -> None:
    depths = torch.linspace(2, 3, 1000).reshape(1, 1000, 1)
    alphas = torch.ones_like(depths)
    depths[0, -1], alphas[0, 0], depths[0, 0] = 900, 0, 0
    near, far = depth_range(depths, alphas)
    assert 2 < near < 2.02 and 2.98 < far < 3
    assert depth_range(depths, 0 * alphas) == (1.0, 2.0)


def test_side_by_side_wants_one_height() -> None:
    row = side_by_side(torch.zeros(4, 3, 3), torch.ones(4, 2, 3) / 2, gap=1)
    assert row[0, :, 0].tolist() == [0, 0, 0, 1, 0.5, 0.5]
    with pytest.raises(ValueError, match=r"images got heights \[4, 5\]; expected pictures of one"):
        side_by_side(torch.zeros(4, 3, 3), torch.zeros(5, 3, 3))
