"""Pairs as 4D scenes: places are the paths', pages are small, and a report's link opens two on one clock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clay4d.benchmark.comparisons import write_comparisons
from clay4d.benchmark.report_films import SCRIPT, STYLE, films
from clay4d.benchmark.results import Pair, Shown
from clay4d.benchmark.scenes4d import links, path_scene
from clay4d.pages import html_page
from clay4d.world_model.worlds import World, open_worlds

SEEN = 6


@pytest.fixture(scope="module")
def world(standard_worlds: Path) -> World:
    return open_worlds(standard_worlds, split="train").read(0)


def still(world: World) -> np.ndarray:
    return np.repeat(world.tracks.positions[SEEN - 1 : SEEN], len(world.times) - SEEN, 0)


def written(world: World, out: Path) -> tuple[Shown, ...]:
    paths = {("static", "train/a"): still(world), ("other", "train/a"): still(world) + 0.1}
    return write_comparisons(
        out, {"train/a": world}, paths, systems=("static", "other"), seen=SEEN, titles={"train/a": "A"}
    )  # fmt: skip


def test_gaussians_are_where_the_truth_and_the_path_are(world: World) -> None:
    truth, guess = path_scene(world, None, seen=SEEN), path_scene(world, still(world), seen=SEEN)
    clock = world.times - world.times[0]
    for frame in (0, SEEN - 1, len(clock) - 1):
        for scene, centres in (
            (truth, world.tracks.positions[frame]),
            (guess, world.tracks.positions[min(frame, SEEN - 1)]),
        ):
            means = scene.at(float(clock[frame])).means
            for k, one in enumerate(world.objects):
                own = means[scene.raw["object"] == k]
                assert float((own - torch.from_numpy(centres[k])).norm(dim=1).max()) < 0.51 * np.hypot(*one.size[:2]) + one.size[2]  # fmt: skip
                if one.shape == "ball":
                    assert torch.allclose(own.mean(0), torch.from_numpy(centres[k]).float(), atol=0.01)  # fmt: skip


def test_paths_of_other_things_are_refused(world: World) -> None:
    with pytest.raises(ValueError, match="Give all things"):
        path_scene(world, still(world)[:-1], seen=SEEN)
    with pytest.raises(ValueError, match="inside its folder"):
        Pair("a", "b", "../a.html")


def test_any_two_have_a_small_page(world: World, tmp_path: Path) -> None:
    (shown,) = written(world, tmp_path)
    assert {(p.left, p.right) for p in shown.pairs} == {
        ("truth", "static"), ("truth", "other"), ("static", "other"),
    }  # fmt: skip
    sizes = [(tmp_path / p.page).stat().st_size for p in shown.pairs]
    assert max(sizes) < 400_000
    (tmp_path / shown.pairs[0].page).unlink()
    text = links((*shown.pairs, Pair("<b>", "c", shown.pairs[1].page)), tmp_path)
    assert text.count("<a ") == 3 and "&lt;b&gt;" in text


def test_a_link_of_the_report_opens_two_scenes_on_one_clock(
    world: World, browser: Any, tmp_path: Path
) -> None:
    body = films(written(world, tmp_path), tmp_path)
    page_text = html_page(title="films", body=body, style=STYLE, script=SCRIPT)
    (tmp_path / "report.html").write_text(page_text, encoding="utf-8")
    context, errors = browser.new_context(viewport={"width": 900, "height": 560}), []
    context.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    context.on("weberror", lambda e: errors.append(str(e.error)))
    page = context.new_page()
    page.goto(f"file://{tmp_path / 'report.html'}")
    page.locator(".pairs summary").first.click()
    with context.expect_page() as opened:
        page.get_by_text("truth | static", exact=True).click()
    scene = opened.value
    scene.locator("body[data-state=ready]").wait_for(state="attached", timeout=60_000)
    scene.evaluate("async () => { player.seek(1.6); await player.settled() }")
    state = scene.evaluate("player.state()")
    picture = os.environ.get("PICTURE")
    if picture:
        scene.screenshot(path=picture)
        page.screenshot(path=picture.replace(".png", "-report.png"), full_page=True)
    context.close()
    assert not errors
    assert len(state["panes"]) == 2 and state["time"] == pytest.approx(1.6)
