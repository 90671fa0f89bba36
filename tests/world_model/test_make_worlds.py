"""Worlds are what their settings, seed and number say, and true to themselves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from clay4d.cli import main
from clay4d.physics_baseline.planner import PlanError, plan
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.world_model.worlds import World, open_worlds
from clay4d.world_model.worlds.format import HIDDEN, SPLITS
from clay4d.world_model.worlds.layout import Crowded
from clay4d.world_model.worlds.make import make_world, make_worlds, world_presets
from clay4d.world_model.worlds.sample import Story, draw_story
from clay4d.world_model.worlds.settings import WorldsConfig, hidden_of, split_of
from clay4d.world_model.worlds.things import HELD_OUT, SIZES, SIZES_OOD
from clay4d.world_model.worlds.words import write_paraphrases, write_prompt

pytest.importorskip("pybullet")

SMALL = WorldsConfig(size=32, frames=12, supersample=1, step=1 / 240, shard=3, cameras=2)


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [make_world(dataclasses.replace(SMALL, size=64), 0, k) for k in range(6)]


def stories(split: str, count: int) -> list[Story]:
    out = []
    for k in range(count):
        for tries in range(100):
            try:
                rng = np.random.default_rng([7, k, tries])
                out.append(draw_story(rng, WorldsConfig(), split, HIDDEN[k % 6]))  # type: ignore[arg-type]
                break
            except Crowded:
                continue
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_any_number_of_workers_writes_the_same_bytes(tmp_path: Path) -> None:
    make_worlds(SMALL, tmp_path / "one", count=5, seed=3)
    make_worlds(SMALL, tmp_path / "two", count=5, seed=3, workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    make_worlds(SMALL, tmp_path / "other", count=3, seed=4)
    assert open_worlds(tmp_path / "other")[0].prompt != open_worlds(tmp_path / "one")[0].prompt


def test_a_set_goes_on_and_grows(tmp_path: Path) -> None:
    make_worlds(SMALL, tmp_path / "whole", count=7)
    part = tmp_path / "part"
    make_worlds(SMALL, part, count=4)
    (part / "shard-00000.json").unlink()  # As if it was stopped before this shard was done.
    data = bytearray((part / "shard-00001.safetensors").read_bytes())
    data[-1] ^= 1
    (part / "shard-00001.safetensors").write_bytes(data)
    make_worlds(SMALL, part, count=7)
    assert files(part) == files(tmp_path / "whole")
    before = {p.name: p.stat().st_mtime_ns for p in part.iterdir() if "shard" in p.name}
    make_worlds(SMALL, part, count=7)
    assert before == {p.name: p.stat().st_mtime_ns for p in part.iterdir() if "shard" in p.name}


def test_true_centres_are_where_the_masks_are(worlds: list[World]) -> None:
    """Cameras, masks and tracks agree: balls in full view project to the middle of their masks."""
    offs = []
    for world in worlds:
        centroids = world.centroids()
        for b, thing in enumerate(world.objects):
            if thing.shape != "ball":
                continue
            for c in range(len(world.Ks)):
                V, K = world.viewmats[c], world.Ks[c]
                points = world.tracks.positions[:, b] @ V[:3, :3].T + V[:3, 3]
                pixels = (points / points[:, 2:]) @ K.T
                radius = thing.size[0] / 2 * K[0, 0] / points[:, 2]
                for t in range(len(world.times)):
                    area = (world.masks[t, c] == b + 1).sum()
                    if area > 0.9 * np.pi * radius[t] ** 2:  # Not hidden, not cut off.
                        offs.append(centroids[t, c, b] - pixels[t, :2])
    assert len(offs) > 40
    assert np.abs(np.mean(offs, 0)).max() < 0.1
    assert np.abs(offs).max() < 0.8


def test_a_world_holds_together(worlds: list[World]) -> None:
    for world in worlds:
        scene = SceneSpec.from_json(world.scene)
        assert [b.name for b in scene.bodies] == [o.name for o in world.objects]
        np.testing.assert_allclose(world.tracks.positions[0], [b.position for b in scene.bodies])
        roles = [o.role == "mover" for o in world.objects]
        assert roles == sorted(roles, reverse=True) and 1 <= world.movers
        fixed = world.tracks.positions[:, world.movers :]
        assert (fixed == fixed[:1]).all()
        assert set(np.unique(world.masks)) <= set(range(len(world.objects) + 1))
        assert world.visible[0].any(0)[: world.movers].mean() > 0.4
        times = [e.time for e in world.events]
        assert times == sorted(times) and all(0 < t <= scene.duration for t in times)
        assert len({world.prompt, *world.paraphrases}) == 1 + len(world.paraphrases)
        for thing in world.objects:
            assert thing.words.removeprefix("the ").split()[-1] in world.prompt
        for question in world.questions:
            assert question.answer in question.choices
            if question.kind == "heavier":
                masses = {o.words: o.mass for o in world.objects}
                assert masses[question.answer] == max(masses[c] for c in question.choices)
        for word in ("wind", "drag", "spring", "tether", "magnus"):
            assert word not in world.prompt.lower()


def test_events_are_of_things_that_are_near_then(worlds: list[World]) -> None:
    """An independent look: whoever hits is within both things' reach, by the tracks."""
    seen = 0
    for world in worlds:
        for event in world.events:
            for verb in (" hits ", " lands on "):
                subject, _, other = event.words.removesuffix(" again").partition(verb)
                by_words = {o.words: k for k, o in enumerate(world.objects)}
                if other in by_words:
                    a, b = by_words[subject], by_words[other]
                    t = min(int(event.time * 12), len(world.times) - 2)
                    gap = np.linalg.norm(
                        world.tracks.positions[t : t + 2, a] - world.tracks.positions[t : t + 2, b],
                        axis=-1,
                    )
                    sizes = [np.linalg.norm(world.objects[k].size) / 2 for k in (a, b)]
                    assert gap.min() < sum(sizes) + 0.1
                    seen += 1
    assert seen >= 3


def test_splits_are_what_they_say() -> None:
    for split in SPLITS:
        for story in stories(split, 40):
            movers = [o for o in story.objects if o.role == "mover"]
            odd = [o for o in movers if o.colour in HELD_OUT[o.shape]]
            assert len(odd) == (split == "ood-combination")
            low, high = (5, 6) if split == "ood-count" else (1, 4)
            assert low <= len(movers) <= high
            grades = {p.thing.grade for p in story.placed if p.thing.role == "mover"}
            assert (not grades & set(SIZES_OOD)) == (split != "ood-size")
            assert grades <= {*SIZES, *SIZES_OOD}
            speeds = [
                float(np.hypot(*p.velocity[:2]))
                for p in story.placed
                if p.act.kind in ("roll", "slide", "throw")
            ]
            if split == "ood-speed":
                assert speeds and all(v >= 2.7 for v in speeds)
            else:
                assert all(v <= 2.3 for v in speeds)


def test_shares_hold_at_any_count() -> None:
    config = WorldsConfig()
    for count in (50, 400):
        names = [split_of(k, config.splits) for k in range(count)]
        for split, share in zip(SPLITS, config.splits):
            assert abs(names.count(split) - share * count) <= 1.5
        kinds = [hidden_of(k, config.hidden) for k in range(count)]
        for kind, share in zip(HIDDEN, config.hidden):
            assert abs(kinds.count(kind) - share * count) <= 1.5


def test_the_planner_reads_most_prompts() -> None:
    """The two speak one language, so the baseline can be asked for the same things."""
    read = 0
    told = stories("train", 60)
    for story in told:
        try:
            scene = plan(write_prompt(story.placed))
        except PlanError:
            continue
        read += 1
        assert len(scene.bodies) == len(story.objects)
    assert read >= 0.9 * len(told)


def test_nothing_hidden_decides_what_is_said() -> None:
    """The same draws with another hidden force give the same prompt and paraphrases."""
    for k in range(12):
        said = set()
        for kind in HIDDEN:
            try:
                story = draw_story(np.random.default_rng([1, k]), WorldsConfig(), "train", kind)
            except Crowded:
                continue
            words = write_paraphrases(story.placed, 2, np.random.default_rng(0))
            said.add((write_prompt(story.placed), *words))
        assert len(said) <= 1


def test_presets() -> None:
    assert {"standard", "plain", "medium", "sharp"} <= world_presets().keys()
    assert world_presets()["standard"][1] == WorldsConfig()


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        ("nope", "4", "0"): "preset got 'nope'; expected one of",
        ("plain", "0", "0"): "count got 0; expected 1 or more.",
        ("plain", "4", "-1"): "seed got -1; expected 0 or more.",
    }
    for (preset, count, seed), message in cases.items():
        args = ["make-worlds", preset, "--out", str(tmp_path / "w"), "--count", count]
        assert main([*args, "--seed", seed]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "w").exists()
    make_worlds(SMALL, tmp_path / "w", count=1)
    with pytest.raises(ValueError, match="another seed"):
        make_worlds(SMALL, tmp_path / "w", count=1, seed=1)
    with pytest.raises(ValueError, match="another settings"):
        make_worlds(dataclasses.replace(SMALL, size=16), tmp_path / "w", count=1)
    with pytest.raises(ValueError, match="at least 2, which"):
        index = tmp_path / "w" / "worlds.json"
        raw = json.loads(index.read_text())
        raw["recipe"]["count"] = 2
        index.write_text(json.dumps(raw))
        make_worlds(SMALL, tmp_path / "w", count=1)
    with pytest.raises(ValueError, match="hidden got"):
        WorldsConfig(hidden=(1.0, 1.0))
