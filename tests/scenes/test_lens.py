"""Undistortion against the lens formulas, written out here a second time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.loaders.lens import Lens, pinhole, read_lens, undistort

BARREL = {"k1": -0.2, "k2": 0.05, "k3": -0.01, "p1": 0.003, "p2": -0.002}
PINCUSHION = {"k1": 0.15, "k2": 0.02, "p1": -0.002, "p2": 0.004}
FISHEYE = {"camera_model": "OPENCV_FISHEYE", "k1": 0.05, "k2": -0.02, "k3": 0.004, "k4": -0.001}
LENSES = {"barrel": BARREL, "pincushion": PINCUSHION, "fisheye": FISHEYE}
W, H = 200, 150
INTRINSICS = {"fl_x": 130.0, "fl_y": 140.0, "cx": 104.0, "cy": 71.0}
POSE = np.diag([1.0, -1, -1, 1]).tolist()
"""OpenGL pose of a camera at the origin that looks along +z with y down."""


def formula(meta: dict, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a ray (x, y, 1) meets the distorted picture, first pixel's centre at (0.5, 0.5)."""
    k1, k2, k3, k4, p1, p2 = (meta.get(k, 0.0) for k in ("k1", "k2", "k3", "k4", "p1", "p2"))
    r2 = x * x + y * y
    if "FISHEYE" in meta.get("camera_model", ""):
        r = np.sqrt(r2)
        t = np.arctan(r)
        bent = t + k1 * t**3 + k2 * t**5 + k3 * t**7 + k4 * t**9
        s = np.where(r > 0, bent / np.maximum(r, 1e-12), 1)
        x, y = x * s, y * s
    else:
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    i = meta
    return i["fl_x"] * x + i["cx"], i["fl_y"] * y + i["cy"]


def dot(u: float, v: float, width: int = W, height: int = H) -> np.ndarray:
    """A soft dot, its centre at (u, v) with the first pixel's centre at (0.5, 0.5)."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return np.rint(255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 1.2**2))).astype(np.uint8)


def centre_of(picture: np.ndarray) -> tuple[float, float]:
    weight = picture.astype(float) * (picture > 8)
    x, y = np.meshgrid(np.arange(weight.shape[1]) + 0.5, np.arange(weight.shape[0]) + 0.5)
    return float((x * weight).sum() / weight.sum()), float((y * weight).sum() / weight.sum())


@pytest.mark.parametrize("kind", LENSES)
def test_points_land_where_the_pinhole_says(tmp_path: Path, kind: str) -> None:
    """Three points in space, drawn where the formula puts them, found where our K puts them."""
    meta = {**INTRINSICS, **LENSES[kind]}
    rays = np.array([[0.0, 0.0], [0.38, -0.3], [-0.45, 0.3], [-0.4, -0.28]])
    frames = []
    for i, (x, y) in enumerate(rays):
        u, v = formula(meta, x, y)
        Image.fromarray(np.repeat(dot(u, v)[..., None], 3, 2)).save(tmp_path / f"{i}.png")
        frames.append({"file_path": f"{i}.png", "transform_matrix": POSE})
    (tmp_path / "transforms.json").write_text(
        json.dumps({**meta, "w": W, "h": H, "frames": frames})
    )
    views = load_dataset(tmp_path, test_every=100)
    seen = [*range(len(views.train))]
    for i in seen:
        index = int(views.train.names[i].split(".")[0])
        K = views.train.cameras.Ks[i].double().numpy()
        expected = K @ [*rays[index], 1.0]
        found = centre_of(views.train.pixels(i)[..., 1])
        assert found == pytest.approx(
            (expected[0], expected[1]), abs=0.06
        )  # OpenCV 4 rounds to 1/32
    assert len(seen) == 3 and views.notes["undistorted"]


@pytest.mark.parametrize("kind", LENSES)
def test_every_pixel_comes_from_inside_the_picture(kind: str) -> None:
    meta = {**INTRINSICS, **LENSES[kind]}
    new = pinhole(read_lens(meta, W, H, "file"))
    x, y = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    u, v = formula(meta, (x - new.cx) / new.fx, (y - new.cy) / new.fy)
    assert u.min() > 0.49 and u.max() < W - 0.49 and v.min() > 0.49 and v.max() < H - 0.49
    # Inscribed, not just inside: each side touches the source's outermost pixels.
    assert u.min() < 1 and u.max() > W - 1 and v.min() < 1 and v.max() > H - 1


def test_no_distortion_leaves_pictures_and_intrinsics_alone() -> None:
    lens = read_lens({**INTRINSICS, "k1": 0.0}, W, H, "file")
    pixels = np.random.default_rng(0).integers(0, 256, (H, W, 3), np.uint8)
    assert pinhole(lens) == lens and undistort(lens, pixels) is pixels


def test_a_vanishing_distortion_nearly_leaves_them_alone() -> None:
    """Guards the half pixel: a wrong offset would show as a shift."""
    lens = read_lens({**INTRINSICS, "k1": 1e-9}, W, H, "file")
    new = pinhole(lens)
    assert (new.fx, new.fy, new.cx, new.cy) == pytest.approx((130, 140, 104, 71), abs=1e-3)
    pixels = dot(60.3, 40.8)[..., None].repeat(3, 2)
    assert np.abs(undistort(lens, pixels).astype(int) - pixels).max() <= 2


def test_an_equidistant_fisheye_is_distorted_without_coefficients() -> None:
    lens = read_lens({**INTRINSICS, "camera_model": "OPENCV_FISHEYE"}, W, H, "file")
    assert lens.distorted and pinhole(lens).fx < 130
    assert read_lens({**INTRINSICS, "is_fisheye": True}, W, H, "file") == lens


def test_a_view_past_90_degrees_is_cut_to_what_a_pinhole_can_hold() -> None:
    new = pinhole(Lens(W, W, 55.0, 55.0, W / 2, W / 2, "fisheye", (0.0, 0.0, 0.0, 0.0)))
    corner = np.hypot(W / 2, W / 2) / new.fx
    assert np.degrees(np.arctan(corner)) == pytest.approx(70, abs=0.5)


def test_colours_of_transparent_pixels_do_not_bleed_but_a_mask_keeps_them() -> None:
    lens = read_lens({**INTRINSICS, **BARREL}, W, H, "file")
    pixels = np.zeros((H, W, 4), np.uint8)
    pixels[:, :90], pixels[:, 90:] = (200, 0, 0, 255), (0, 255, 0, 0)
    seen = undistort(lens, pixels, alpha=True)
    opaque = seen[..., 3] > 30
    assert np.abs(seen[opaque][:, 0].astype(int) - 200).max() < 30  # bicubic rings a little
    assert seen[opaque][:, 1].max() < 12
    masked = undistort(lens, pixels, alpha=False)
    assert masked[75, 180, 1] == 255 and masked[75, 180, 3] == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"camera_model": "FOV"}, "got camera_model 'FOV'; expected one of SIMPLE_PINHOLE"),
        ({"camera_model": 3}, "got camera_model '3'"),
        ({"camera_model": "PINHOLE", "k1": 0.1}, "got k1 = 0.1; expected 0"),
        ({"camera_model": "SIMPLE_RADIAL", "k2": 0.1}, "got k2 = 0.1"),
        ({"camera_model": "OPENCV", "k4": 0.1}, "got k4 = 0.1"),
        ({"camera_model": "OPENCV_FISHEYE", "p1": 0.1}, "got p1 = 0.1"),
        ({"fl_x": -5}, "got fl_x = -5; expected a number above 0"),
        ({"fl_y": 0}, "got fl_y = 0"),
        ({"fl_x": float("nan")}, "got fl_x = nan; expected a finite number"),
        ({"fl_x": "130"}, "got fl_x = 130; expected a finite number"),
        ({"cx": True}, "got cx = True"),
        ({"cy": 10**400}, "got cy = "),
    ],
)
def test_refused(change: dict, match: str) -> None:
    with pytest.raises(ValueError, match=f"^file {match}"):
        read_lens({**INTRINSICS, **change}, W, H, "file")


def test_angles_of_view() -> None:
    lens = read_lens({"camera_angle_x": 1.2, "camera_angle_y": 0.8}, W, H, "file")
    assert np.arctan(W / 2 / lens.fx) * 2 == pytest.approx(1.2)
    assert np.arctan(H / 2 / lens.fy) * 2 == pytest.approx(0.8)
    assert (lens.cx, lens.cy) == (W / 2, H / 2)
    with pytest.raises(ValueError, match="neither fl_x nor camera_angle_x"):
        read_lens({}, W, H, "file")
    with pytest.raises(ValueError, match="radians between 0 and π"):
        read_lens({"camera_angle_x": 40.0}, W, H, "file")


def test_a_lens_that_folds_over_is_refused() -> None:
    with pytest.raises(ValueError, match="one-to-one over the picture"):
        pinhole(read_lens({**INTRINSICS, "k1": -0.9}, W, H, "file"))
