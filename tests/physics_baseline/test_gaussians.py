"""The scene door: Gaussians where the surfaces are, on the engine's paths."""

from __future__ import annotations

import numpy as np
import torch

from clay4d.physics_baseline.engines import simulate
from clay4d.physics_baseline.engines.mass import mass_properties
from clay4d.physics_baseline.gaussians import gaussian_scene, spread
from clay4d.physics_baseline.renderers import Raycaster, scene_cameras
from clay4d.physics_baseline.spec import (
    Box,
    Capsule,
    Cloth,
    Cylinder,
    FixedCamera,
    Material,
    Mesh,
    SceneSpec,
    Sphere,
)
from clay4d.physics_baseline.surfaces import body_triangles
from clay4d.renderers.render import render
from clay4d.scenes import Cameras, Scene


def test_surfaces_enclose_their_shapes_volumes() -> None:
    for body in (
        Sphere(name="a", radius=0.3), Box(name="b", size=(0.1, 0.2, 0.3)), Cylinder(name="c"),
        Capsule(name="d", radius=0.2, height=0.5),
    ):  # fmt: skip
        vertices, faces = body_triangles(body, sides=96)
        as_mesh = Mesh(
            name="m", vertices=tuple(map(tuple, vertices.tolist())), faces=tuple(map(tuple, faces.tolist()))
        )  # fmt: skip
        assert abs(as_mesh.volume / body.volume - 1) < 4e-3  # watertight and turned outwards
        ratio = mass_properties(as_mesh).inertia / np.maximum(mass_properties(body).inertia, 1e-30)
        assert np.allclose(np.diag(ratio), 1, atol=8e-3)


def test_points_are_even() -> None:
    vertices, faces = body_triangles(Box(name="b", size=(1, 1, 1)))
    points, normals, _ = spread(vertices, faces, 6000)
    assert np.allclose(np.abs(points).max(1), 0.5)
    assert (np.einsum("ni,ni->n", points, normals) > 0.49).all()
    top = points[normals[:, 2] > 0.9]
    counts, _, _ = np.histogram2d(top[:, 0], top[:, 1], bins=4, range=[[-0.5, 0.5]] * 2)
    assert counts.min() > 0.6 * counts.mean()


def test_scene_looks_as_the_ray_caster_sees_it() -> None:
    camera = FixedCamera(
        name="c", position=(0, -2.5, 1.2), look_at=(0, 0, 0.5), width=64, height=64
    )
    bodies = (
        Sphere(name="ball", radius=0.3, position=(-0.4, 0, 0.8), material=Material(colour=(0.9, 0.1, 0.1))),
        Box(name="box", size=(0.4, 0.4, 0.4), position=(0.5, 0, 1.0), material=Material(colour=(0.1, 0.2, 0.9)), angular_velocity=(2, 1, 0)),
        Cloth(name="cloth", size=(0.5, 0.5), cells=(5, 5), position=(0, 0.5, 1.3), material=Material(colour=(0.1, 0.8, 0.1))),
    )  # fmt: skip
    spec = SceneSpec(bodies=bodies, cameras=(camera,), duration=0.5)
    trajectory = simulate(spec)
    scene = gaussian_scene(spec, trajectory)
    assert isinstance(scene, Scene) and scene.duration == trajectory.times[-1]
    rays = Raycaster(spec, trajectory)
    cameras = scene_cameras(spec, trajectory)["c"]
    for frame in (0, 7, 11):
        one = cameras[[frame]]
        single = Cameras(one.viewmats.float(), one.Ks.float(), 64, 64, one.times.float())
        drawn = render(scene, single, depth=True)
        exact = rays.draw("c", [frame])
        assert drawn.depths is not None
        body = exact.segmentations[0] > 0
        inner = body & (drawn.alphas[0, ..., 0].detach().numpy() > 0.9)
        assert inner.sum() > 0.9 * body.sum()
        depth = drawn.depths[0, ..., 0].detach().numpy()
        assert np.median(np.abs(depth - exact.depths[0])[inner]) < 0.03
        colour = drawn.images[0].detach().numpy()
        for k, channel in ((1, 0), (2, 2), (3, 1)):
            mine = exact.segmentations[0] == k
            if mine.sum() > 10:
                assert colour[mine].mean(0).argmax() == channel


def test_textures_are_painted_on() -> None:
    ball = Sphere(
        name="a", material=Material(colour=(1, 0, 0), texture="checker", texture_colour=(0, 0, 1))
    )
    spec = SceneSpec(bodies=(ball,), duration=0.1, floor=None)
    scene = gaussian_scene(spec, simulate(spec))
    red, blue = scene.raw["sh"][:, 0, 0], scene.raw["sh"][:, 0, 2]
    assert 0.35 < (red > blue).float().mean() < 0.65
    assert torch.isfinite(scene.raw["sh"]).all()
