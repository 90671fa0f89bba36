"""Films of comparisons: rings are where the paths say, scenes come by the rule, the page plays them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clay4d.benchmark.comparisons import RING, chosen, film, keep_film, kept_comparisons
from clay4d.benchmark.report import write_report
from clay4d.benchmark.report_films import films
from clay4d.benchmark.results import Pane, Shown
from clay4d.benchmark.run import run_suite
from clay4d.benchmark.suites import SUITES
from clay4d.world_model.worlds import World, open_worlds

SEEN = 6


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite smoke as it is, of fewer worlds, which it makes itself."""
    out = tmp_path_factory.mktemp("comparisons") / "run"
    config = dataclasses.replace(SUITES["smoke"], make=4, limit=3, resamplings=20)
    results = run_suite(config, out)
    assert all(m.status == "ok" for m in results.measurements)
    assert results.hypotheses[0].scenes == 3
    write_report(results, out / "report.html")
    return out


@pytest.fixture(scope="module")
def world(standard_worlds: Path) -> World:
    return open_worlds(standard_worlds, split="train").read(0)


def test_rings_are_where_the_path_is(world: World) -> None:
    still = np.repeat(world.tracks.positions[SEEN - 1 : SEEN], len(world.times) - SEEN, 0)
    frames = list(film(world, still, seen=SEEN, size=256))
    plain = list(film(world, None, seen=SEEN, size=256))
    assert all(np.array_equal(a, b) for a, b in zip(frames[:SEEN], plain[:SEEN]))
    ring = (np.abs(frames[-1].astype(int) - np.array(RING)) < 40).all(-1) & (
        frames[-1] != plain[-1]
    ).any(-1)
    local = world.viewmats[0, :3, :3] @ still[-1, 0] + world.viewmats[0, :3, 3]
    x, y = 4 * (world.Ks[0] @ (local / local[2]))[:2]
    away = np.hypot(*(np.argwhere(ring)[:, ::-1] - (x, y)).T)
    assert ring.any() and away.min() < 60


def test_scenes_are_chosen_by_the_rule() -> None:
    ours, theirs = (
        {"a": 1.0, "b": 2.0, "c": 9.0, "d": 1.0},
        {"a": 1.0, "b": 2.0, "c": 1.0, "d": 5.0},
    )
    assert [s for s, _ in chosen(ours, theirs)] == ["a", "b", "c", "d"]
    assert chosen(ours, theirs)[2:] == [("c", "where it loses most"), ("d", "where it gains most")]
    assert chosen({"a": 1.0}, {"a": 1.0}) == [("a", "first of all")]


def test_a_run_leaves_films_of_the_truth_and_every_system(ran: Path) -> None:
    text = (ran / "report.html").read_text()
    names = {p.name.split(".")[1] for p in (ran / "films").glob("*.mp4")}
    assert names == {"truth", "static", "constant-velocity", "engine-nominal"}
    assert text.count("data:video/mp4;base64,") == len(list((ran / "films").glob("*.mp4")))
    assert not re.search(r"https?://", text)


def test_films_that_systems_made_are_kept_and_shown(tmp_path: Path) -> None:
    frames = np.full((3, 16, 16, 3), 200, np.uint8)
    keep_film(tmp_path, "test/a", "x", frames)
    shown = kept_comparisons(
        tmp_path, [("test/a", "first of all"), ("test/b", "none")], systems=("x", "y"),
        titles={"test/a": "A ball."}, note="n",
    )  # fmt: skip
    assert [s.title for s in shown] == ["A ball. (test/a; first of all)"]
    assert [(p.label, p.video) for p in shown[0].panes] == [("x", "films/test-a.x.mp4")]
    assert films(shown, tmp_path).count("data:video/mp4") == 1


def test_titles_are_escaped_and_lost_films_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"film")
    shown = (
        Shown("<script>x</script>", (Pane("<b>", "a.mp4"),)),
        Shown("gone", (Pane("b", "b.mp4"),)),
    )
    text = films(shown, tmp_path)
    assert "&lt;script&gt;x" in text and "<b>" not in text and "gone" not in text
    assert "<script" not in text


def until(page: Any, said: str) -> None:
    """Wait until something is so; playwright's own waiting evaluates text, which the page forbids."""
    for _ in range(1200):
        if page.evaluate(said):
            return
        page.wait_for_timeout(100)
    raise TimeoutError(said)


def test_one_scrubber_moves_all_films_of_a_scene(ran: Path, browser: Any) -> None:
    page, errors = browser.new_page(), []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.goto(f"file://{ran / 'report.html'}")
    ready = "[...document.querySelectorAll('video')].every(v => v.readyState > 1)"
    until(page, ready)
    moments = []
    for value in ("0.1", "0.9"):
        page.evaluate(
            "v => { const b = document.querySelector('.film input'); b.value = v; b.oninput(); }",
            value,
        )
        settled = "[...document.querySelectorAll('video')].every(v => !v.seeking)"
        page.wait_for_timeout(300)
        until(page, settled)
        moments.append(
            page.evaluate(
                "[...document.querySelectorAll('.film')].map(f => [...f.querySelectorAll('video')].map(v => v.currentTime))"
            )
        )
    page.close()
    assert not errors
    first, last = (m[0] for m in moments)
    assert max(first) - min(first) < 0.05 and min(last) - max(first) > 1.0
    assert moments[0][1] == moments[1][1]
