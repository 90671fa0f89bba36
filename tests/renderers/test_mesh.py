"""Meshes: a ball of Gaussians becomes a ball of triangles, where it is at each moment."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from plyfile import PlyData

from clay4d.renderers.mesh import Mesh, fuse_mesh, surface_depth, write_mesh, write_meshes
from clay4d.renderers.paths import look_at
from clay4d.scenes import Cameras, Gaussians
from clay4d.scenes.quaternions import normalise

RADIUS = 0.5


class Ball:
    """A red ball of discs that moves a metre along x, and a speck far too small to be one."""

    duration = 1.0
    background = (1.0, 1.0, 1.0)

    def at(self, time: float) -> Gaussians:
        k = torch.arange(5000) + 0.5
        polar, azimuth = torch.acos(1 - 2 * k / 5000), math.pi * (1 + 5**0.5) * k
        normals = torch.stack(
            [polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin(), polar.cos()], 1
        )
        # From z to the normal, by half of the turn: w = 1 + n·z, xyz = z × n.
        quats = normalise(
            torch.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], torch.zeros(5000)], 1)
        )
        scales = torch.tensor([0.024, 0.024, 1e-3]).expand(5000, 3)
        means = RADIUS * normals + torch.tensor([time, 0.0, 0.0])
        means[0] = torch.tensor([time, 0.0, 0.6])
        colors = torch.tensor([0.8, 0.1, 0.1]).expand(5000, 3)
        size = {"quats": quats, "scales": scales, "opacities": torch.full((5000,), 0.95)}
        return Gaussians.from_points(means, colors, **size)


def around(count: int = 14) -> Cameras:
    """Cameras on a spiral from below to above."""
    k = torch.linspace(0, 1, count)
    height, turn = 2.4 * (k - 0.5), 4 * math.pi * k
    eyes = 2.5 * torch.stack(
        [height.cos() * turn.cos(), height.cos() * turn.sin(), height.sin()], 1
    )
    K = torch.tensor([[200.0, 0, 80], [0, 200, 80], [0, 0, 1]]).expand(count, 3, 3)
    return Cameras(look_at(eyes, torch.zeros(3)), K, 160, 160, torch.zeros(count))


def test_a_ball_comes_out_round_and_red_and_where_it_is() -> None:
    pytest.importorskip("open3d", reason="open3d (the extra mesh) is not installed")
    cameras = around()
    for time in (0.0, 0.2):
        mesh = fuse_mesh(Ball(), time=time, cameras=cameras, resolution=80)
        away = np.linalg.norm(mesh.vertices - (time, 0, 0), axis=1)
        assert np.abs(away - RADIUS).mean() < 0.02 and np.abs(away - RADIUS).max() < 0.06
        red, green = mesh.colors[:, 0].astype(int), mesh.colors[:, 1].astype(int)
        assert np.median(red) > 190 and np.median(green) < 45
        shape = trimesh.Trimesh(mesh.vertices, mesh.faces)
        assert shape.area == pytest.approx(4 * math.pi * RADIUS**2, rel=0.1)
        # Outward: the triangles' normals point away from the middle.
        out = (shape.face_normals * (shape.triangles_center - (time, 0, 0))).sum(1)
        assert (out > 0).mean() > 0.98


def test_a_ball_without_cameras_and_a_folder_of_moments(tmp_path: Path) -> None:
    pytest.importorskip("open3d", reason="open3d (the extra mesh) is not installed")
    assert write_meshes(Ball(), tmp_path / "two", times=[0.0, 1.0], resolution=48) == 2
    middles = []
    for name in ("mesh_0000.ply", "mesh_0001.ply"):
        vertex = PlyData.read(str(tmp_path / "two" / name))["vertex"]
        middles.append((vertex["x"].max() + vertex["x"].min()) / 2)
    assert middles == pytest.approx([0, 1], abs=0.02)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two"]


def test_outlines_and_thin_cover_are_no_surface() -> None:
    depth = torch.full((9, 9), 2.0)
    depth[:, 5:] = 3.0
    alpha = torch.ones(9, 9)
    alpha[0, 0] = 0.5
    kept = surface_depth(depth, alpha)
    assert kept[0, 0] == 0 and kept[0, 1] == 2, "one that is missing does not spoil its neighbours"
    assert (kept[:, 4:6] == 0).all() and (kept[1:, :4] == 2).all() and (kept[:, 6:] == 3).all()


def test_files_of_meshes_are_read_by_others(tmp_path: Path) -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    for name in ("a.glb", "a.ply", "a.obj"):
        write_mesh(tmp_path / name, Mesh(corners, faces, colors))
        found = trimesh.load(tmp_path / name, force="mesh", process=False)
        upright = corners[:, [0, 2, 1]] * (1, 1, -1) if name == "a.glb" else corners
        assert np.allclose(found.vertices, upright) and np.array_equal(found.faces, faces)
        assert np.abs(found.visual.vertex_colors[:, :3].astype(int) - colors).max() <= 1
        assert found.volume == pytest.approx(1.0), "turned, never mirrored"
    ply = PlyData.read(str(tmp_path / "a.ply"))
    assert len(ply["vertex"]) == 4 and ply["vertex"]["blue"].tolist() == [0, 0, 255, 9]
    with pytest.raises(ValueError, match="got a.stl"):
        write_mesh(tmp_path / "a.stl", Mesh(corners, faces, colors))
    assert len(list(tmp_path.iterdir())) == 3


def test_what_cannot_be_meshed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="2 moments; expected one"):
        write_meshes(Ball(), tmp_path / "a.glb", times=[0.0, 1.0])
    with pytest.raises(ValueError, match="got a.stl"):
        write_meshes(Ball(), tmp_path / "a.stl")
    with pytest.raises(ValueError, match="resolution got 4"):
        fuse_mesh(Ball(), resolution=4)
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ImportError, match="extra mesh"):
        write_meshes(Ball(), tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
