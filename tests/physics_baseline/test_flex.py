"""Cloth and soft bodies."""

from __future__ import annotations

import numpy as np

from clay4d.physics_baseline.engines import make_engine
from clay4d.physics_baseline.spec import (
    Cloth,
    Gravity,
    Material,
    Release,
    SceneSpec,
    Soft,
    Sphere,
    Wind,
)


def test_cloth_drapes_over_a_ball() -> None:
    cloth = Cloth(name="c", position=(0, 0, 0.8), cells=(8, 8), size=(0.8, 0.8))
    ball = Sphere(name="b", radius=0.25, position=(0, 0, 0.4), motion="fixed")
    t = make_engine().run(SceneSpec(bodies=(cloth, ball), duration=0.9))
    last = t.vertices["c"][-1]
    assert t.vertices["c"].shape == (22, 81, 3) and t.faces["c"].shape == (128, 3)
    away = np.linalg.norm(last - (0, 0, 0.4), axis=1)
    assert away.min() > 0.24  # nothing inside the ball
    assert last[:, 2].max() > 0.6 and last[:, 2].min() < 0.4  # it hangs over it
    area = np.linalg.norm(np.cross(*_edges(last, t.faces["c"])), axis=1).sum() / 2
    assert abs(area - 0.64) < 0.05
    assert {c.bodies for c in t.contacts} == {("c", "b")}


def _edges(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = points[faces.T]
    return b - a, c - a


def test_a_flag_flies_and_is_let_go() -> None:
    pins = ((0.0, 0.0), (0.0, 0.5), (0.0, 1.0))
    flag = Cloth(
        name="f", position=(0, 0, 2), quat=(0.7071, 0.7071, 0, 0), cells=(6, 4), size=(0.6, 0.4), pins=pins,
        material=Material(density=300),
    )  # fmt: skip
    scene = SceneSpec(
        bodies=(flag,), fields=(Gravity(), Wind(velocity=(8, 0.5, 0))), duration=1.0,
        events=(Release(time=0.7, target="f"),),
    )  # fmt: skip
    t = make_engine().run(scene)
    points, held = t.vertices["f"], t.times < 0.7
    corner = points[0][:, 0].argmin()
    assert np.allclose(points[held][:, corner], points[0, corner], atol=1e-6)
    assert points[held][-1][:, 0].max() > 0.1  # the wind keeps it up
    assert points[-1, corner, 0] > points[0, corner, 0] + 0.1
    jump = np.abs(np.diff(points, axis=0)).max((1, 2))
    assert jump.max() < 8 / 24  # nothing jumps where the model is built anew


def test_soft_bodies_sag_and_come_back() -> None:
    stiff = {"young_modulus": 1e5, "cells": 3, "size": (0.2, 0.2, 0.2)}
    bodies = (
        Soft(name="box", position=(0, 0, 0.25), **stiff),
        Soft(name="egg", shape="ellipsoid", position=(0.5, 0, 0.25), **stiff),
    )
    t = make_engine().run(SceneSpec(bodies=bodies, duration=1.2))
    for name in ("box", "egg"):
        heights = np.ptp(t.vertices[name][:, :, 2], axis=1)
        assert heights[0] > 0.19 and 0.15 < heights[-1] < 0.21
        assert t.vertices[name][:, :, 2].min() > -0.02
        volume = _volume(t.vertices[name], t.faces[name])
        assert volume[0] > 0 and abs(volume[-1] / volume[0] - 1) < 0.15
    assert t.momentum[0, 2] < 1.0 and np.isfinite(t.energy).all()


def _volume(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = np.moveaxis(points[:, faces], 2, 0)
    return np.einsum("tfi,tfi->t", a, np.cross(b, c)) / 6
