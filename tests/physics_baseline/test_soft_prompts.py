"""Cloth and soft bodies of prompts: they fall as air lets them, stay down, and keep their shape."""

from __future__ import annotations

import numpy as np
import pytest

from clay4d.physics_baseline.engines import simulate
from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.planner import plan
from clay4d.physics_baseline.spec import Drag


def heights(prompt: str) -> tuple[np.ndarray, Trajectory]:
    """Mean height of the first cloth or soft body, frame by frame."""
    t = simulate(plan(prompt))
    return next(iter(t.vertices.values()))[..., 2].mean(1), t


def test_a_planned_cloth_falls_at_its_terminal_speed() -> None:
    """Drag is its weight: v = √(2·m·g/(ρ·C·A)), 2.21 m/s at 0.3 kg/m², approached as v·tanh(g·t/v)."""
    scene = plan("a cloth falls from 3 metres")
    height, t = heights("a cloth falls from 3 metres")
    speed = np.sqrt(2 * 150 * 0.002 * 9.81 / 1.2)
    fallen = speed**2 / 9.81 * np.log(np.cosh(9.81 * t.times / speed))
    air = fallen < 0.8
    # A cloth that ripples is a little less wide, so a little faster.
    assert np.abs(height[0] - height - fallen)[air].max() < 0.05
    assert [f.bodies for f in scene.fields if isinstance(f, Drag)] == [("cloth",)]


@pytest.mark.parametrize(
    ("prompt", "rebound"),
    [
        ("a cloth falls over a sphere", 0.05),  # 0.91 m before
        ("a blanket drops onto a table", 0.02),
        ("a tablecloth falls over a table on the moon", 0.02),
    ],
)
def test_cloth_does_not_bounce(prompt: str, rebound: float) -> None:
    height, _ = heights(prompt)
    low = int(np.argmax(np.diff(height) > 0))
    assert height[low] < 0.5 * height[0] and height[low:].max() - height[low] < rebound


@pytest.mark.parametrize(
    ("prompt", "rest"),
    [
        ("a soft cube drops onto the floor", 0.11),  # 0.04 m before: crushed flat
        ("a jelly falls onto a table", 0.75),
        ("drop a soft heavy cube from 3 metres onto the floor", 0.11),
        ("a soft ball falls on the floor", 0.12),
    ],
)
def test_soft_things_keep_their_shape(prompt: str, rest: float) -> None:
    height, t = heights(prompt)
    assert height[-1] == pytest.approx(rest, abs=0.02)
    # Each triangle of the surface still faces outwards as it did.
    corners, faces = next(iter(t.vertices.values())), next(iter(t.faces.values()))
    a, b, c = (corners[-1][faces[:, k]] - corners[-1].mean(0) for k in range(3))
    whole = np.einsum("fi,fi->f", a, np.cross(b, c)).sum()
    a, b, c = (corners[0][faces[:, k]] - corners[0].mean(0) for k in range(3))
    assert whole == pytest.approx(np.einsum("fi,fi->f", a, np.cross(b, c)).sum(), rel=0.15)
    mechanical = t.energy - t.energy[0]
    assert mechanical.max() < 0.02 * abs(t.energy[0])  # nothing out of nothing


def test_what_is_said_of_air_is_kept() -> None:
    assert not any(f.kind == "drag" for f in plan("a cloth falls over a sphere in a vacuum").fields)
    assert not any(f.kind == "drag" for f in plan("a ball falls onto a box").fields)
    everything = plan("a cloth falls over a sphere with air resistance")
    assert [f.bodies for f in everything.fields if isinstance(f, Drag)] == [()]
