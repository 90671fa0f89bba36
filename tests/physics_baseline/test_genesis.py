"""Genesis as an engine: what it is told, what is refused, and, where it is installed, laws of motion."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from clay4d.physics_baseline.engines import SimulationError, make_engine
from clay4d.physics_baseline.engines.genesis_engine import (
    GenesisEngine,
    genesis_python,
    refuse,
    scene_job,
)
from clay4d.physics_baseline.spec import (
    Box,
    Capsule,
    Cloth,
    Cylinder,
    Floor,
    Material,
    Rope,
    SceneSpec,
    Soft,
    Sphere,
    Wind,
)

SLIPPERY = Material(friction=0.01)


def scene() -> SceneSpec:
    """A ball in flight, a tumbling box in the air, a ball that hits a cube, a can at rest, a fixed block."""
    return SceneSpec(
        bodies=(
            Sphere(name="flies", radius=0.1, position=(0, 0, 2), velocity=(1, 0, 2)),
            Box(name="turns", size=(0.2, 0.3, 0.1), position=(0, 3, 3), angular_velocity=(0, 0, 5),
                quat=(0.70710678, 0.70710678, 0, 0)),
            Sphere(name="hits", radius=0.15, position=(0, -2, 0.15), velocity=(3, 0, 0), material=SLIPPERY),
            Box(name="is-hit", size=(0.3, 0.3, 0.3), position=(1, -2, 0.15), material=SLIPPERY),
            Cylinder(name="stands", radius=0.1, height=0.3, position=(3, 0, 0.15)),
            Capsule(name="lies", radius=0.1, height=0.3, position=(3, 2, 0.1), quat=(0.70710678, 0.70710678, 0, 0)),
            Box(name="block", size=(0.4, 0.4, 0.4), position=(5, 0, 0.2), motion="fixed"),
        ),
        duration=0.5, fps=20, floor=Floor(material=SLIPPERY),
    )  # fmt: skip


def test_the_job_is_plain_json(tmp_path: Path) -> None:
    job = scene_job(scene(), None, tmp_path)
    assert json.loads(json.dumps(job, allow_nan=False)) == job
    assert job["step"] <= 2e-3 and job["step"] * job["substeps"] == pytest.approx(1 / 20)
    assert [b["kind"] for b in job["bodies"]][:2] == ["sphere", "box"]
    assert job["bodies"][0]["density"] == pytest.approx(1000)
    assert Path(job["bodies"][5]["file"]).read_text().startswith("v ")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SceneSpec(bodies=(Cloth(name="sheet"),)), "sheet got cloth; expected rigid bodies"),
        (SceneSpec(bodies=(Box(name="a", motion="held"),)), "a got a body that is held"),
        (SceneSpec(bodies=(Box(name="a"),), fields=(Wind(velocity=(1, 0, 0)),)), "scene got wind"),
        (SceneSpec(bodies=(Box(name="a"),), joints=(Rope(name="r", child="a", parent_anchor=(0, 0, 2), child_anchor=(0, 0, 0)),)), "scene got joints"),
    ],
)  # fmt: skip
def test_what_it_is_not_told_is_refused(spec: SceneSpec, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        refuse(spec)


def test_its_absence_and_its_end_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLAY4D_GENESIS", str(tmp_path / "none"))
    with pytest.raises(ImportError, match="engine got genesis.*make genesis"):
        make_engine("genesis")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no kernels >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CLAY4D_GENESIS", str(broken))
    with pytest.raises(RuntimeError, match="genesis stopped with 3.*no kernels"):
        GenesisEngine().run(scene())


@pytest.mark.skipif(sys.platform == "win32", reason="paths of Linux")
def test_laws_of_motion() -> None:
    """Minutes for the first time, since Genesis compiles its kernels then."""
    if "CLAY4D_GENESIS" not in os.environ:
        try:
            genesis_python()
        except ImportError as error:
            pytest.skip(str(error))
    t = make_engine("genesis").run(scene())
    # Steps of 2 ms, symplectic: behind the parabola by g·h·t/2 at the most, 5 mm after 0.5 s.
    exact = np.outer(t.times, [1, 0, 2]) + [0, 0, 2] - 0.5 * 9.81 * np.outer(t.times**2, [0, 0, 1])
    assert np.abs(t.path("flies") - exact).max() < 6e-3
    # About a principal axis (the body's y, the world's z) it turns steadily.
    assert np.abs(t.angular_velocities[:, t.index("turns")] - [0, 0, 5]).max() < 0.05
    assert np.abs(t.path("stands") - [3, 0, 0.15]).max() < 5e-3
    assert np.abs(t.path("lies")[:, 2] - 0.1).max() < 5e-3
    assert np.abs(t.path("block") - [5, 0, 0.2]).max() == 0
    hit = next(c for c in t.contacts if c.bodies == ("hits", "is-hit"))
    assert hit.time == pytest.approx(0.7 / 3, abs=0.02) and hit.speed == pytest.approx(3, abs=0.3)
    assert hit.normal[0] > 0.95
    pair = [t.index("hits"), t.index("is-hit")]
    masses = np.array([4 / 3 * np.pi * 0.15**3, 0.3**3]) * 1000
    along = (t.velocities[:, pair, 0] * masses).sum(1)
    after = t.times > hit.time + 0.05
    assert np.abs(along[after] / along[0] - 1).max() < 0.05


def water() -> SceneSpec:
    pond = Soft(name="water", size=(0.2, 0.2, 0.2), position=(0, 0, 0.3), liquid=True)
    return SceneSpec(bodies=(pond, Sphere(name="ball", radius=0.05, position=(0.4, 0, 0.3))), duration=0.8, fps=20)  # fmt: skip


def test_a_liquid_needs_genesis() -> None:
    with pytest.raises(SimulationError, match="water got a liquid; expected solids in mujoco"):
        make_engine("mujoco").run(water())
    elastic = SceneSpec(bodies=(Soft(name="jelly"),))
    with pytest.raises(SimulationError, match="jelly got soft; expected rigid bodies"):
        refuse(elastic)


def test_a_liquid_falls_and_spreads() -> None:
    if "CLAY4D_GENESIS" not in os.environ:
        try:
            genesis_python()
        except ImportError as error:
            pytest.skip(str(error))
    t = make_engine("genesis").run(water())
    path = t.vertices["water"].reshape(len(t.times), -1, 6, 3).mean(2)
    flight = t.times < 0.18  # Its lower side is 0.2 m above the floor: 0.2 s.
    fallen = path[0, :, 2].mean() - path[:, :, 2].mean(1)
    assert np.abs(fallen - 0.5 * 9.81 * t.times**2)[flight].max() < 0.02
    assert path[-1, :, 2].min() > -0.03 and path[-1, :, 2].mean() < 0.06
    assert np.ptp(path[-1, :, 0]) > 2 * np.ptp(path[0, :, 0])
    assert np.abs(t.path("ball")[-1] - [0.4, 0, 0.05])[2] < 0.02
