"""Blender as a renderer: what it is told, what goes wrong, and, where bpy is there, that it draws the same scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clay4d.physics_baseline.engines import simulate
from clay4d.physics_baseline.renderers import Raycaster, make_renderer
from clay4d.physics_baseline.renderers.blender import (
    FLOOR,
    Blender,
    _towards,
    blender_python,
    camera_job,
    scene_job,
)
from clay4d.physics_baseline.renderers.world import make_world
from clay4d.physics_baseline.spec import (
    AmbientLight,
    Box,
    FixedCamera,
    Material,
    PointLight,
    SceneSpec,
    Sphere,
    SunLight,
)

RED, BLUE = Material(colour=(0.9, 0.1, 0.1)), Material(colour=(0.1, 0.2, 0.9), texture="checker")


def scene() -> SceneSpec:
    return SceneSpec(
        bodies=(
            Sphere(name="ball", radius=0.3, position=(-0.5, 0, 0.3), material=RED),
            Box(name="cube", size=(0.4, 0.4, 0.4), position=(0.5, 0.2, 0.2), material=BLUE),
        ),
        cameras=(FixedCamera(name="c", position=(0.3, -2.5, 1.2), look_at=(0, 0, 0.2), width=96, height=64),),
        lights=(SunLight(), AmbientLight(), PointLight(position=(0, -1, 2), intensity=0.2)),
        duration=0.1,
    )  # fmt: skip


def test_the_job_holds_the_scene_as_json_and_plain_arrays() -> None:
    spec = scene()
    t = simulate(spec)
    job, arrays = scene_job(spec, t, make_world(spec, t).looks, samples=4, threads=2)
    assert json.loads(json.dumps(job, allow_nan=False)) == job
    assert [b["name"] for b in job["bodies"]] == ["ball", "cube", FLOOR]
    assert [b["smooth"] for b in job["bodies"]] == [True, False, False]
    assert all(a.dtype != object for a in arrays.values()) and len(arrays) == 6
    assert np.abs(np.linalg.norm(arrays["vertices0"], axis=1) - 0.3).max() < 1e-6
    assert [lamp["kind"] for lamp in job["lights"]] == ["sun", "point"]
    assert job["ambient"] == pytest.approx([0.35] * 3)
    assert job["bodies"][1]["material"]["cell"] > 0


def test_cameras_project_as_ours_do() -> None:
    spec = scene()
    cameras = Raycaster(spec, simulate(spec)).cameras["c"]
    view, K = cameras.viewmats[0].double().numpy(), cameras.Ks[0].double().numpy()
    K = K + np.array([[0, 0, 5], [0, 0, -3], [0, 0, 0]])
    job = camera_job(view, K, 96, 64)
    point = np.array([0.2, 0.3, 0.1, 1.0])
    ours = K @ (view @ point)[:3]
    # Blender's rule: y up, looking along −z, focal length and shift in shares of the sensor's width.
    local = np.linalg.inv(np.array(job["camera"])) @ point
    across = job["lens"] / 36.0 * local[:2] / -local[2] - np.array(job["shift"])
    theirs = np.array([96 * (0.5 + across[0]), 32 - 96 * across[1]])
    assert np.allclose(theirs, ours[:2] / ours[2], atol=1e-9)


@pytest.mark.parametrize("way", [(0.3, 0.4, -1.0), (0, 0, -1.0), (0, 0, 1.0), (1.0, 0, 0)])
def test_lamps_shine_the_way_that_is_said(way: tuple[float, float, float]) -> None:
    w, x, y, z = _towards(way)
    # The third column of the rotation, turned about: where −z goes.
    forward = -np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    assert np.allclose(forward, np.array(way) / np.linalg.norm(way), atol=1e-9)


def test_a_missing_or_failing_blender_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = scene()
    path = simulate(spec)
    monkeypatch.setenv("CLAY4D_BLENDER", str(tmp_path / "none"))
    with pytest.raises(ImportError, match="make blender"):
        make_renderer("blender", spec, path)
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho no bpy here >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("CLAY4D_BLENDER", str(fake))
    with pytest.raises(RuntimeError, match=r"no bpy here\. Try --renderer raycast"):
        make_renderer("blender", spec, path)


def test_blender_draws_the_same_scene_the_same_way_each_time() -> None:
    try:
        blender_python()
    except ImportError as error:
        pytest.skip(str(error))
    spec = scene()
    path = simulate(spec)
    drawn = []
    for _ in range(2):
        renderer = Blender(spec, path, samples=8, threads=1)
        drawn.append(renderer.draw("c", [0]))
        renderer.close()
    assert np.array_equal(drawn[0].images, drawn[1].images)
    image, things = drawn[0].images[0].astype(int), drawn[0].segmentations[0]
    for number, channel in ((1, 0), (2, 2)):
        rest = np.delete(image, channel, -1).max(-1)
        ours, theirs = things == number, image[..., channel] > rest + 40
        assert (ours & theirs).sum() / (ours | theirs).sum() > (0.85 if number == 1 else 0.5)
    exact = Raycaster(spec, path).draw("c", [0])
    assert np.isclose(drawn[0].depths, exact.depths, atol=1e-3).mean() > 0.999
