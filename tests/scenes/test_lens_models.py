"""Every camera model of COLMAP against pycolmap's own projection, and back again."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from clay4d.scenes.loaders.lens import Lens, colmap_lens, pinhole, undistort
from clay4d.scenes.loaders.lens_models import COLMAP_MODELS, LENSES, determinant

W, H = 200, 150
F = (130.0, 140.0, 104.0, 71.0)
EXTRA: dict[str, tuple[float, ...]] = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": (-0.1,),
    "RADIAL": (-0.1, 0.03),
    "OPENCV": (-0.2, 0.05, 0.003, -0.002),
    "OPENCV_FISHEYE": (0.05, -0.02, 0.004, -0.001),
    "FULL_OPENCV": (-0.1, 0.03, 0.003, -0.002, -0.003, 0.02, 0.01, 0.002),
    "FOV": (0.7,),
    "SIMPLE_RADIAL_FISHEYE": (0.05,),
    "RADIAL_FISHEYE": (0.05, -0.02),
    "THIN_PRISM_FISHEYE": (0.05, -0.02, 0.003, -0.002, 0.004, -0.001, 0.006, -0.004),
    "RAD_TAN_THIN_PRISM_FISHEYE": (
        0.05, -0.02, 0.004, -0.001, 0.0005, -0.0002, 0.003, -0.002, 0.006, -0.001, -0.004, 0.002,
    ),
    "SIMPLE_DIVISION": (-0.12,),
    "DIVISION": (-0.12,),
    "SIMPLE_FISHEYE": (),
    "FISHEYE": (),
    "EUCM": (0.6, 1.1),
}  # fmt: skip
RAYS = np.random.default_rng(0).uniform(-0.6, 0.6, (50, 2))

GOLDEN = {
    "SIMPLE_RADIAL": (142.40525, 38.995625), "FOV": (143.62340153, 35.44053708),
    "EUCM": (141.20043308, 37.61499595),
}  # fmt: skip
"""Where pycolmap 4.2.1 puts the ray (0.3, -0.25, 1) with the coefficients above."""


def lens_of(model: str) -> Lens:
    single = "fx" not in COLMAP_MODELS[model][2]
    return colmap_lens(model, ((F[0], *F[2:]) if single else F) + EXTRA[model], W, H, "camera 1")


def project(lens: Lens, rays: np.ndarray) -> np.ndarray:
    bent = LENSES[lens.kind].bend(rays, lens.distortion)
    return bent * [lens.fx, lens.fy] + [lens.cx, lens.cy]


def test_all_models_against_pycolmap() -> None:
    """In a process of its own: pycolmap and pillow do not always live in one."""
    if find_spec("pycolmap") is None:
        pytest.skip("pycolmap is not installed (the extra `sfm`)")
    models = {m: (lens_of(m), EXTRA[m]) for m in COLMAP_MODELS}
    asked = {
        m: [F[0], *(F[2:] if "fx" not in COLMAP_MODELS[m][2] else F[1:]), *extra]
        for m, (_, extra) in models.items()
    }
    code = (
        "import sys, json, pycolmap, numpy as np\n"
        "asked, rays = json.load(sys.stdin)\n"
        "rays = np.concatenate([np.array(rays), np.ones((len(rays), 1))], 1)\n"
        "ids = pycolmap.CameraModelId.__members__\n"
        "print(json.dumps({m: [int(ids[m]), pycolmap.Camera(model=m, width=200, height=150,"
        " params=p).img_from_cam(rays).tolist()] for m, p in asked.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps([asked, RAYS.tolist()]), text=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for model, (number, pixels) in json.loads(done.stdout).items():
        assert COLMAP_MODELS[model][0] == number
        np.testing.assert_allclose(project(models[model][0], RAYS), pixels, atol=1e-6)


@pytest.mark.parametrize("model", GOLDEN)
def test_golden_pixels(model: str) -> None:
    pixel = project(lens_of(model), np.array([[0.3, -0.25]]))[0]
    np.testing.assert_allclose(pixel, GOLDEN[model], atol=1e-6)


@pytest.mark.parametrize("model", COLMAP_MODELS)
def test_unbending_undoes_bending(model: str) -> None:
    lens = lens_of(model)
    lens_model = LENSES[lens.kind]
    bent = lens_model.bend(RAYS, lens.distortion)
    # The fisheye's table has steps of 7e-5 radians.
    np.testing.assert_allclose(lens_model.unbend(bent, lens.distortion), RAYS, atol=1e-7)
    assert (determinant(lens_model.bend, RAYS, lens.distortion) > 0).all()


@pytest.mark.parametrize("model", COLMAP_MODELS)
def test_every_pixel_of_the_pinhole_picture_comes_from_inside(model: str) -> None:
    lens = lens_of(model)
    new = pinhole(lens)
    x, y = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    rays = np.stack([(x - new.cx) / new.fx, (y - new.cy) / new.fy], -1).reshape(-1, 2)
    u, v = project(lens, rays).T
    assert u.min() > 0.49 and u.max() < W - 0.49 and v.min() > 0.49 and v.max() < H - 0.49


@pytest.mark.parametrize("model", ["FULL_OPENCV", "FOV", "THIN_PRISM_FISHEYE", "EUCM", "DIVISION"])
def test_a_dot_is_found_where_the_pinhole_says(model: str) -> None:
    lens, ray = lens_of(model), np.array([[0.3, -0.25]])
    u, v = project(lens, ray)[0]
    x, y = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    dot = np.rint(255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 3)).astype(np.uint8)
    seen = undistort(lens, np.repeat(dot[..., None], 3, 2))[..., 0].astype(float)
    seen *= seen > 8
    new = pinhole(lens)
    expected = ray[0] * [new.fx, new.fy] + [new.cx, new.cy]
    found = [(x * seen).sum() / seen.sum(), (y * seen).sum() / seen.sum()]
    np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize(
    ("model", "params", "match"),
    [
        ("EQUIRECTANGULAR", (200, 150), "camera 1 got camera model 'EQUIRECTANGULAR'; expected"),
        ("OPENCV", F, "camera 1 got 4 parameters of OPENCV; expected 8"),
        ("PINHOLE", (0.0, *F[1:]), "camera 1 got fx = 0; expected a number above 0"),
        ("PINHOLE", (float("nan"), *F[1:]), "camera 1 got fx = nan"),
        ("PINHOLE", (*F[:3], float("inf")), "camera 1 got cy = inf"),
    ],
)
def test_refused(model: str, params: tuple[float, ...], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        colmap_lens(model, params, W, H, "camera 1")
