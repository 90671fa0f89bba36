"""The ray caster against MuJoCo's own rays, against projections, and against itself on more threads."""

from __future__ import annotations

from typing import Any

import mujoco
import numba
import numpy as np
import pytest

from clay4d.physics_baseline.engines import Trajectory, simulate
from clay4d.physics_baseline.engines.mjcf import mjcf
from clay4d.physics_baseline.engines.tree import rotations
from clay4d.physics_baseline.renderers import Raycaster, scene_cameras
from clay4d.physics_baseline.spec import (
    Box,
    Capsule,
    Cloth,
    Cylinder,
    Drag,
    FixedCamera,
    FollowCamera,
    Gravity,
    Keyframe,
    Material,
    Mesh,
    OrbitCamera,
    PathCamera,
    PointLight,
    SceneSpec,
    Sphere,
    SunLight,
)

TETRA = ((0.0, 0.0, 0.3), (0.25, 0.0, -0.1), (-0.15, 0.22, -0.1), (-0.15, -0.22, -0.1))
FACES = ((0, 1, 2), (0, 2, 3), (0, 3, 1), (1, 3, 2))
CAMERA = FixedCamera(name="c", position=(0.4, -2.6, 1.5), look_at=(0, 0, 0.3), width=64, height=48)


def scene(**given: Any) -> SceneSpec:
    bodies = (
        Sphere(name="ball", radius=0.25, position=(-0.8, 0, 0.6), velocity=(1, 0, 1)),
        Box(name="box", size=(0.5, 0.3, 0.4), position=(0, 0.3, 0.5), quat=(0.8, 0.2, 0.5, 0.1), angular_velocity=(0, 0, 3)),
        Cylinder(name="can", radius=0.2, height=0.5, position=(0.8, 0, 0.7), quat=(0.9, 0.4, 0, 0.1)),
        Capsule(name="pill", radius=0.12, height=0.4, position=(0.1, -0.7, 0.5), quat=(0.7, 0.1, 0.7, 0)),
        Mesh(name="rock", vertices=TETRA, faces=FACES, position=(-0.3, -0.8, 0.9), quat=(0.9, 0, 0.3, 0.2)),
    )  # fmt: skip
    return SceneSpec(**{"bodies": bodies, "cameras": (CAMERA,), "duration": 0.25, **given})


@pytest.fixture(scope="module")
def drawn() -> tuple[SceneSpec, Trajectory, Any]:
    spec = scene()
    trajectory = simulate(spec)
    return spec, trajectory, Raycaster(spec, trajectory).draw("c", range(6))


def test_hits_are_those_of_mujocos_rays(drawn: Any) -> None:
    spec, trajectory, pictures = drawn
    model = mujoco.MjModel.from_xml_string(mjcf(spec, ()).xml)
    data = mujoco.MjData(model)
    for b, body in enumerate(spec.bodies):
        at = model.joint(body.name).qposadr[0]
        data.qpos[at : at + 7] = [*trajectory.positions[3, b], *trajectory.quats[3, b]]
    mujoco.mj_forward(model, data)
    camera = scene_cameras(spec, trajectory)["c"]
    view, K = camera.viewmats[3].numpy(), camera.Ks[3].numpy()
    eye = -view[:3, :3].T @ view[:3, 3]
    wrong = 0
    for i in range(0, 48, 3):
        for j in range(0, 64, 3):
            ray = view[:3, :3].T @ np.linalg.solve(K, [j + 0.5, i + 0.5, 1.0])
            geom, normal = np.zeros(1, np.int32), np.zeros(3)
            length = mujoco.mj_ray(model, data, eye, ray, None, 1, -1, geom, normal)
            name = model.geom(int(geom[0])).name if length >= 0 else "nothing"
            number = 0 if name in ("floor", "nothing") else trajectory.index(name) + 1
            same = number == pictures.segmentations[3, i, j]
            wrong += not same
            if same and length >= 0:
                assert pictures.depths[3, i, j] == pytest.approx(length, rel=1e-5, abs=1e-5)
                assert np.allclose(pictures.normals[3, i, j], normal, atol=1e-4)
    assert wrong <= 1  # a ray along an edge may go either way


def test_flow_leads_to_the_same_point(drawn: Any) -> None:
    """Each point's place in its body's axes is the same at the flow's end, one frame later."""
    spec, trajectory, pictures = drawn
    camera = scene_cameras(spec, trajectory)["c"]
    view, K = camera.viewmats[0].numpy(), camera.Ks[0].numpy()
    R = rotations(trajectory.quats)

    def local(frame: int, x: Any, depth: Any, body: Any) -> Any:
        rays = np.concatenate([x, np.ones_like(x[:, :1])], 1) @ np.linalg.inv(K).T * depth[:, None]
        world = (rays - view[:3, 3]) @ view[:3, :3]
        return np.einsum("nji,nj->ni", R[frame, body], world - trajectory.positions[frame, body])

    i, j = np.nonzero(pictures.segmentations[2])
    body = pictures.segmentations[2, i, j].astype(int) - 1
    start = np.stack([j + 0.5, i + 0.5], 1)
    here = local(2, start, pictures.depths[2, i, j], body)
    end = start + pictures.flows[2, i, j]
    R3, p3 = R[3, body], trajectory.positions[3, body]
    moved = np.einsum("nij,nj->ni", R3, here) + p3
    seen = moved @ view[:3, :3].T + view[:3, 3]
    there = (seen @ K.T)[:, :2] / seen[:, 2:]
    assert np.abs(there - end).max() < 1e-2
    assert np.abs(pictures.flows[2, i, j]).max() > 1
    still = pictures.segmentations[2] == 0
    assert np.abs(pictures.flows[2][still]).max() < 1e-3
    assert not pictures.flows[5].any()  # there is no next frame


def test_the_same_bits_at_any_number_of_threads(drawn: Any) -> None:
    spec, trajectory, pictures = drawn
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(max(1, numba.config.NUMBA_NUM_THREADS))
        again = Raycaster(spec, trajectory).draw("c", range(6))
    finally:
        numba.set_num_threads(before)
    for name in ("images", "depths", "segmentations", "normals", "flows"):
        assert np.array_equal(getattr(pictures, name), getattr(again, name))


def one_ball(*lights: Any, **look: Any) -> Any:
    ball = Sphere(
        name="a", radius=0.3, position=(0, 0, 1), motion="fixed", material=Material(**look)
    )
    camera = FixedCamera(name="c", position=(0, -3, 1), look_at=(0, 0, 1), width=65, height=65)
    spec = SceneSpec(
        bodies=(ball,), cameras=(camera,), lights=lights, duration=0.05, background=(0, 0, 0), floor=None
    )  # fmt: skip
    return Raycaster(spec, simulate(spec)).draw("c", [0])


def test_light_is_as_bright_as_the_spec_says() -> None:
    """A white matt surface that faces a sun of 0.5 is linear 0.5, which is sRGB 0.735."""
    sun = SunLight(direction=(0, 1, 0), intensity=0.5)
    pictures = one_ball(sun, colour=(1, 1, 1), roughness=1.0)
    assert abs(int(pictures.images[0, 32, 32, 0]) - 188) <= 2
    assert pictures.images[0, 0, 0].tolist() == [0, 0, 0]
    lamp = PointLight(position=(0, -2.3, 1), intensity=2.0)
    near = one_ball(lamp, colour=(1, 1, 1), roughness=1.0)
    assert abs(int(near.images[0, 32, 32, 0]) - 188) <= 2  # 2 / 2² at 2 m


def test_see_through_things_show_what_is_behind() -> None:
    solid = one_ball(SunLight(), colour=(1, 0, 0), opacity=1.0)
    glass = one_ball(SunLight(), colour=(1, 0, 0), opacity=0.3)
    assert glass.segmentations[0, 32, 32] == 0 and solid.segmentations[0, 32, 32] == 1
    assert 0 < glass.images[0, 32, 32, 0] < solid.images[0, 32, 32, 0]


def test_shadows_fall_away_from_the_sun() -> None:
    ball = Sphere(name="a", radius=0.3, position=(0, 0, 0.6), motion="fixed")
    above = FixedCamera(name="c", position=(0, 0, 6), look_at=(0, 0, 0), width=96, height=96)
    sun = SunLight(direction=(1, 0, -1))
    spec = SceneSpec(bodies=(ball,), cameras=(above,), lights=(sun,), duration=0.05)
    pictures = Raycaster(spec, simulate(spec)).draw("c", [0])
    grey = pictures.images[0].mean(-1)
    floor = pictures.segmentations[0] == 0
    dark = np.argwhere(floor & (grey < 0.4 * np.median(grey[floor])))
    place = (dark.mean(0) - 47.5) / 96 * 2 * 6 * np.tan(np.radians(22.5))
    # A ball 0.6 m up throws its shadow 0.6 m to the right; what the ball hides is missing.
    assert 0.5 < place[1] < 0.85 and abs(place[0]) < 0.05


def test_moving_meshes_and_cameras() -> None:
    cloth = Cloth(
        name="sheet", position=(0, 0, 0.5), cells=(6, 6), material=Material(texture="stripes")
    )
    cameras = (
        OrbitCamera(name="o", width=32, height=32),
        PathCamera(
            name="p", width=32, height=24,
            keyframes=(Keyframe(time=0, position=(0, -3, 1), look_at=(0, 0, 0)), Keyframe(time=1, position=(3, -3, 1), look_at=(0, 0, 0))),
        ),
        FollowCamera(name="f", body="sheet", width=16, height=16),
    )  # fmt: skip
    spec = SceneSpec(bodies=(cloth,), cameras=cameras, fields=(Gravity(), Drag()), duration=0.3)
    trajectory = simulate(spec)
    rays = Raycaster(spec, trajectory)
    for name in ("o", "p", "f"):
        pictures = rays.draw(name, [0, 6])
        assert (pictures.segmentations[0] == 1).any() and (pictures.segmentations[1] == 1).any()
    last = rays.draw("f", [6])
    centre = last.depths[0, 8, 8]
    # It follows the cloth, so it stays √5 m away.
    assert centre == pytest.approx(np.sqrt(5), abs=0.15)
    middle = pictures.flows[0][pictures.segmentations[0] == 1]
    assert np.isfinite(middle).all()
    path = scene_cameras(spec, trajectory)["p"].centres.numpy()
    assert np.allclose(path[:, 0], 3 * trajectory.times)


def test_bad_requests_are_named(drawn: Any) -> None:
    spec, trajectory, _ = drawn
    rays = Raycaster(spec, trajectory)
    with pytest.raises(ValueError, match="camera got 'x'; expected one of c"):
        rays.draw("x", [0])
    with pytest.raises(ValueError, match="frames got 9 to 9; expected 0 to 5"):
        rays.draw("c", [9])
    with pytest.raises(ValueError, match="cameras got none"):
        scene_cameras(scene(cameras=()), trajectory)
    follower = FollowCamera(name="f", body="ball", offset=(0, 0, 0))
    with pytest.raises(ValueError, match="camera f got its own place to look at"):
        scene_cameras(scene(cameras=(follower,)), trajectory)
