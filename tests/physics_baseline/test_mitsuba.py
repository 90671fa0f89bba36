"""Mitsuba as a renderer: it draws what the ray caster draws, and its absence is named."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from clay4d.physics_baseline.engines import simulate
from clay4d.physics_baseline.renderers import Raycaster, make_renderer
from clay4d.physics_baseline.renderers.mitsuba_renderer import Mitsuba
from clay4d.physics_baseline.spec import (
    AmbientLight,
    Box,
    Cloth,
    FixedCamera,
    Material,
    PointLight,
    SceneSpec,
    Sphere,
    SunLight,
)

RED = Material(colour=(0.9, 0.1, 0.1), texture="checker")
BLUE = Material(colour=(0.1, 0.2, 0.9), texture="dots")


def scene() -> SceneSpec:
    return SceneSpec(
        bodies=(
            Sphere(name="ball", radius=0.3, position=(-0.5, 0, 0.3), angular_velocity=(0, 0, 9), material=RED),
            Box(name="cube", size=(0.4, 0.4, 0.4), position=(0.5, 0.2, 0.2), material=BLUE),
            Box(name="pane", size=(0.1, 0.6, 0.6), position=(1, 0.9, 0.3), material=Material(opacity=0.5)),
            Cloth(name="sheet", size=(0.5, 0.5), cells=(4, 4), position=(0, 1, 0.9)),
        ),
        cameras=(FixedCamera(name="c", position=(0.3, -2.5, 1.2), look_at=(0, 0, 0.2), width=96, height=64),),
        lights=(SunLight(), AmbientLight(), PointLight(position=(0, -1, 2), intensity=0.2)),
        duration=0.2, fps=20,
    )  # fmt: skip


def test_it_draws_what_the_rays_draw() -> None:
    pytest.importorskip("mitsuba", reason="mitsuba (the extra mitsuba) is not installed")
    spec = scene()
    t = simulate(spec)
    renderer = Mitsuba(spec, t, samples=16)
    mine, rays = renderer.draw("c", [0, 3]), Raycaster(spec, t).draw("c", [0, 3])
    for key in ("depths", "segmentations", "normals", "flows"):
        assert np.isclose(getattr(mine, key), getattr(rays, key), atol=1e-3).mean() > 0.999
    for k in (0, 1, 2, 4):
        on = rays.segmentations == k
        apart = mine.images[on].mean(0) - rays.images[on].mean(0)
        assert np.abs(apart).max() < 45, (k, apart)
    fits = {
        (y, x): np.abs(np.roll(mine.images, (y, x), (1, 2)).astype(float) - rays.images).mean()
        for y in (-1, 0, 1) for x in (-1, 0, 1)
    }  # fmt: skip
    assert min(fits, key=lambda shift: fits[shift]) == (0, 0)
    # The ball's own pattern, which turned between the two frames: red where the rays see red.
    ball = rays.segmentations == 1
    red = [p.images[..., 1].astype(int) < 100 for p in (mine, rays)]
    assert (red[0] == red[1])[ball].mean() > 0.85
    assert (rays.images[0] != rays.images[1])[ball[0] & ball[1]].any()
    assert np.array_equal(renderer.draw("c", [3]).images[0], mine.images[1])
    with pytest.raises(ValueError, match="camera got 'x'; expected one of c"):
        renderer.draw("x", [0])


def test_its_absence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    spec = scene()
    with pytest.raises(ImportError, match=r"expected the extra mitsuba. Run: pip install 'clay4d"):
        make_renderer("mitsuba", spec, simulate(spec))
