"""The demo end to end, small; its page holds everything and asks for nothing."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from clay4d import demo, demo_scene
from clay4d.config import preset_folder, presets
from clay4d.demo_page import write_page
from clay4d.demo_scene import Simulated
from clay4d.training.config import TrainConfig

Result = tuple[int, str, str]


class Page(HTMLParser):
    """What a page would load, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [v or "" for k, v in attrs if k in ("src", "href", "poster", "srcset")]


def read(page: Path) -> tuple[str, Page]:
    text, parsed = page.read_text(encoding="utf-8"), Page()
    parsed.feed(text)
    return text, parsed


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo that takes seconds."""
    for name, value in {"SIZE": 40, "CAMERAS": 4, "TIMES": 3, "FRAMES": 4}.items():
        monkeypatch.setattr(demo, name, value)
    note, config = presets(TrainConfig, preset_folder())["demo"]
    config = dataclasses.replace(config, steps=30)
    monkeypatch.setattr(demo, "presets", lambda *_: {"demo": (note, config)})


@pytest.mark.usefixtures("small")
def test_the_demo_leaves_videos_metrics_and_a_page(
    tmp_path: Path, clay4d: Callable[..., Result]
) -> None:
    out = tmp_path / "new" / "demo"
    code, said, err = clay4d("demo", "--out", out)
    assert code == 0, err
    for name in ("orbit.mp4", "comparison.mp4", "depth.mp4", "run/metrics.json", "index.html"):
        assert str(out / name) in said
    for name, width in {"orbit": 80, "comparison": 168, "depth": 168}.items():
        with av.open(str(out / f"{name}.mp4")) as video:
            frames = list(video.decode(video=0))
        assert (len(frames), frames[0].width, frames[0].height) == (4, width, 80)
    metrics = json.loads((out / "run/metrics.json").read_text())
    text, page = read(out / "index.html")
    assert f"{metrics['psnr']:.2f} dB" in text and metrics["images"] == 2
    assert html.escape((out / "run/config.yaml").read_text()) in text
    videos = [v for v in page.loads if v.startswith("data:video/mp4;base64,")]
    contents = {base64.b64decode(v.partition(",")[2]) for v in videos}
    assert contents == {p.read_bytes() for p in out.glob("*.mp4")}
    assert not [v for v in page.loads if not v.startswith("data:")]
    assert "script" not in page.tags and not re.search(r"https?://|url\(|@import", text)


@pytest.mark.usefixtures("small")
def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, clay4d: Callable[..., Result]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    code, said, err = clay4d("demo", "--out", tmp_path)
    assert (code, said) == (2, "") and "holds something" in err and err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_every_value_on_the_page_is_escaped(tmp_path: Path) -> None:
    nasty = """<script>alert("1")</script>&'$title"""
    (tmp_path / "v.mp4").write_bytes(b"video")
    films = {f'{nasty}" onload="x | b': (tmp_path / "v.mp4", nasty)}
    write_page(tmp_path / "i.html", {nasty: nasty}, films, nasty, title=nasty, lead=nasty)
    text, page = read(tmp_path / "i.html")
    assert "script" not in page.tags and "<script" not in text
    assert page.loads == ["data:,", "data:video/mp4;base64," + base64.b64encode(b"video").decode()]
    assert html.escape(nasty) in text


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_page(tmp_path / "a/i.html", {}, {"x": (tmp_path / "none.mp4", "")}, "")
    with pytest.raises(ValueError, match=r"v\.gif"):
        write_page(tmp_path / "a/i.html", {}, {"x": (tmp_path / "v.gif", "")}, "")
    assert not list(tmp_path.iterdir())


def test_the_simulated_toys_move_hit_and_stay_on_the_table() -> None:
    truth = Simulated()
    path = truth.trajectory
    assert truth.frames == 93 and path.times[-1] == pytest.approx(demo_scene.LENGTH)
    moved = (path.positions[-1] - path.positions[0])[2:]
    assert (moved**2).sum(1).min() > 0.01**2 and (moved**2).sum(1).max() > 0.3**2
    assert {("red-ball", "blue-cube"), ("table", "green-ball")} <= {c.bodies for c in path.contacts}
    assert path.positions[:, 2:, 2].min() > 0.05


def test_cutouts_cover_what_is_there_and_hold_no_backdrop() -> None:
    truth = Simulated()
    cameras = dataclasses.replace(demo.make_cameras(1).resized(0.25), times=torch.zeros(1))
    ((cutout, depth),) = truth.cutouts(cameras)
    alpha = cutout[..., 3]
    assert ((alpha == 255) <= (depth > 0)).all() and ((depth > 0) <= (alpha > 0)).all()
    assert 0.15 < (alpha == 255).mean() < 0.8 and ((alpha > 0) & (alpha < 255)).any()
    assert not cutout[..., :3][alpha == 0].any()
    # The table's rim is darker than the backdrop, and stays so where pixels are shared with it.
    shared = (alpha > 60) & (alpha < 255)
    assert cutout[..., :3][shared].mean() < 235


def test_the_test_views_are_new_in_place_and_in_time() -> None:
    places: Any = demo.make_cameras(demo.CAMERAS).centres
    test = demo.make_cameras(demo.TEST_CAMERAS, shift=demo.TEST_SHIFT).centres
    assert torch.cdist(places, test).min() > 0.4
