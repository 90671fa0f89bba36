"""The suite generate: what is right of a scene is what the prompt says, and a refusal is none of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from clay4d.benchmark.prompted import (
    FRAMES,
    NOTHING,
    Made,
    PlannerEngine,
    Prompt,
    PromptJudge,
    _cameras,
    _true,
)
from clay4d.world_model.worlds.format import WorldObject

PROMPT = "A red ball rolls to the right. A blue cube rests on the floor."
BALL = WorldObject("", "the red ball", "mover", "ball", "red", "plastic", (0.24,) * 3, 1)
CUBE = WorldObject("", "the blue cube", "mover", "cube", "blue", "plastic", (0.2,) * 3, 1)


class Looks:
    """Says of each thing what it is told to."""

    def __init__(self, *said: str) -> None:
        self.said = said

    def look(self, _images: Any, _masks: Any, count: int) -> list[dict[str, str] | None]:
        said = [dict(zip(("colour", "shape"), s.split())) for s in self.said]
        return [said[k] if k < len(said) else None for k in range(count)]


def made(*things: tuple[float, float, float]) -> Made:
    """Things on the floor with a speed along x."""
    clock = np.arange(FRAMES) / 12
    path = np.stack(
        [np.stack([x + v * clock, 0 * clock + k, z + 0 * clock], -1) for k, (x, v, z) in enumerate(things)], 1
    )  # fmt: skip
    return Made(path, NOTHING.images, NOTHING.masks)


def judged(found: Made, *said: str) -> dict[str, float]:
    return dict(PromptJudge(Looks(*said), PROMPT, [BALL, CUBE])(found).values)  # type: ignore[arg-type]


def test_each_part_of_a_prompt_counts() -> None:
    right = made((0, 1, 0.12), (1, 0, 0.1))
    assert set(judged(right, "red ball", "blue cube").values()) == {1.0}
    colour = judged(right, "red ball", "green cube")
    assert colour["prompt_right"] == 0 == colour["looks_right"]
    assert colour["things_right"] == 0.5 and colour["acts_right"] == 1
    still = judged(made((0, 0, 0.12), (1, 0, 0.1)), "red ball", "blue cube")
    assert still["acts_right"] == 0 and still["looks_right"] == 1
    assert still["clauses_right"] == 0.5 and still["prompt_right"] == 0
    left = judged(made((0, -1, 0.12), (1, 0, 0.1)), "red ball", "blue cube")
    assert left["clauses_right"] == 0.5
    more = judged(made((0, 1, 0.12), (1, 0, 0.1), (2, 0, 0.1)), "red ball", "blue cube", "blue cube")  # fmt: skip
    assert more["count_right"] == 0 == more["prompt_right"] and more["things_right"] == 1


def test_a_refusal_is_none_of_it() -> None:
    assert set(judged(NOTHING).values()) == {0.0}
    assert PlannerEngine().predict(Prompt("a cat juggles"), None) is NOTHING


def test_a_systems_own_sizes_say_where_the_floor_is() -> None:
    high = made((0, 1, 0.4), (1, 0, 0.1))
    assert judged(high, "red ball", "blue cube")["acts_right"] == 0
    sized = dataclasses.replace(high, sizes=np.array([[0.8] * 3, [0.2] * 3]))
    assert judged(sized, "red ball", "blue cube")["acts_right"] == 1


def test_the_planners_scene_is_seen_and_moves() -> None:
    pytest.importorskip("pybullet")
    found = PlannerEngine().predict(Prompt(PROMPT), None)
    assert found.positions.shape == (FRAMES, 2, 3)
    assert found.positions[6, 0, 0] > found.positions[0, 0, 0] + 0.1
    assert found.images.shape[:2] == (8, 4) and set(np.unique(found.masks)) == {0, 1, 2}
    acts = judged(found, "red ball", "blue cube")
    assert acts["prompt_right"] == 1


def test_truth_is_ordered_as_it_is_said() -> None:
    class World:
        images = np.zeros((24, 1, 4, 4, 3), np.uint8)
        masks = np.full((24, 1, 4, 4), 2, np.uint8)

        class tracks:
            positions = np.arange(24 * 2 * 3).reshape(24, 2, 3).astype(float)

    found = _true(World, [1, 0])  # type: ignore[arg-type]
    assert (found.masks == 1).all() and np.array_equal(
        found.positions[:, 0], World.tracks.positions[:, 1]
    )


def test_cameras_step_back_from_large_scenes() -> None:
    near, far = (_cameras(np.array([[[-x, 0, 0], [x, 0, 0]]])) for x in (0.5, 4.0))
    off = [float(np.hypot(*c[0].position[:2])) for c in (near, far)]
    assert off[0] == pytest.approx(2.8) and off[1] > 8
