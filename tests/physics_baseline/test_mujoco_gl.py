"""OpenGL, where it works, sees what the ray caster sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clay4d.physics_baseline.engines import simulate
from clay4d.physics_baseline.renderers import gl_platform, make_renderer
from clay4d.physics_baseline.spec import (
    Box,
    Capsule,
    Cloth,
    Cylinder,
    FixedCamera,
    Material,
    SceneSpec,
    Sphere,
)


def scene(*more: Any) -> SceneSpec:
    bodies = (
        Sphere(
            name="ball", radius=0.25, position=(-0.6, 0, 0.4), material=Material(texture="checker")
        ),
        Box(name="box", size=(0.5, 0.3, 0.4), position=(0.2, 0.3, 0.5), quat=(0.8, 0.2, 0.5, 0.1)),
        Cylinder(name="can", radius=0.2, height=0.5, position=(0.8, 0, 0.7)),
        Capsule(name="pill", radius=0.12, height=0.4, position=(0.1, -0.7, 0.5)),
    )
    camera = FixedCamera(
        name="c", position=(0.4, -2.6, 1.5), look_at=(0, 0, 0.3), width=96, height=64
    )
    return SceneSpec(bodies=(*bodies, *more), cameras=(camera,), duration=0.2)


def test_it_agrees_with_the_rays() -> None:
    try:
        gl_platform.working_platform()
    except ImportError as error:
        pytest.skip(str(error))
    spec = scene()
    trajectory = simulate(spec)
    gl = make_renderer("mujoco-gl", spec, trajectory).draw("c", [0, 3])
    rays = make_renderer("raycast", spec, trajectory).draw("c", [0, 3])
    for k in range(5):  # the same colours, nearly
        mine = rays.segmentations == k
        apart = gl.images[mine].mean(0) - rays.images[mine].mean(0)
        assert np.abs(apart).max() < 45, k
    # The same geometry: the pictures fit as they lie, and worse a pixel to any side.
    fits = {
        (y, x): np.abs(np.roll(gl.images, (y, x), (1, 2)).astype(float) - rays.images).mean()
        for y in (-1, 0, 1) for x in (-1, 0, 1)
    }  # fmt: skip
    assert min(fits, key=lambda shift: fits[shift]) == (0, 0)
    for key in ("depths", "segmentations", "normals", "flows"):
        assert np.isclose(getattr(gl, key), getattr(rays, key), atol=1e-3).mean() > 0.999


def test_what_it_cannot_do_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = scene(Cloth(name="sheet", position=(0, 0, 2), cells=(2, 2)))
    with pytest.raises(ValueError, match="sheet got a body that bends.*raycast"):
        make_renderer("mujoco-gl", sheet, simulate(sheet))
    monkeypatch.setattr(gl_platform, "candidates", lambda: ("nogl",))
    gl_platform.working_platform.cache_clear()
    try:
        with pytest.raises(ImportError, match="no OpenGL works here.*apt-get install libegl1"):
            gl_platform.working_platform()
    finally:
        gl_platform.working_platform.cache_clear()
    with pytest.raises(ValueError, match="renderer got 'x'; expected one of raycast, mujoco-gl"):
        make_renderer("x", sheet, simulate(sheet))
