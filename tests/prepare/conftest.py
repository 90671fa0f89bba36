"""A film of a textured room in which a square flies, by cameras whose poses are known."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest

W, H = 320, 240
K = np.array([[300.0, 0, W / 2], [0, 300.0, H / 2], [0, 0, 1]])


def texture(seed: int, size: int = 512) -> np.ndarray:
    """Coloured blocks of several sizes: corners for SIFT, and no two places alike."""
    rng = np.random.default_rng(seed)
    picture = np.full((size, size, 3), 90, np.float32)
    for cells, weight in ((8, 60), (20, 50)):
        blocks = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        picture += weight * cv2.resize(blocks, (size, size), interpolation=cv2.INTER_NEAREST)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1.0) + 30, 0, 255).astype(np.uint8)


PLANES = [  # corner, side, other side; far ones first
    ((-3.0, 3.0, -1.0), (6, 0, 0), (0, 0, 3), 1),  # back wall
    ((-3.0, -3.0, -1.0), (0, 6, 0), (0, 0, 3), 2),  # left wall
    ((-3.0, -3.0, -1.0), (6, 0, 0), (0, 6, 0), 3),  # floor
    ((-0.2, 1.2, -1.0), (1.0, 0.3, 0), (0, 0, 1.1), 4),  # a board that stands in the room
]
TEXTURES = {seed: texture(seed) for *_, seed in PLANES} | {9: texture(9, 128)}


def draw(view: np.ndarray, time: float | None) -> np.ndarray:
    """The room from a world-to-camera pose; the square is where it is at `time`, 0 to 1."""
    picture = np.zeros((H, W, 3), np.uint8)
    things = list(PLANES)
    if time is not None:
        things.append(((-0.8, 0.3, -0.9 + 1.4 * time), (0.7, 0, 0), (0, 0, 0.7), 9))
    for corner, u, v, seed in things:
        a = TEXTURES[seed]
        axes = np.stack([np.array(u, float) / len(a), np.array(v, float) / len(a), corner], 1)
        P = K @ (view[:3, :3] @ axes + np.array([[0, 0, 1.0]]) * view[:3, 3:])
        # OpenCV's pixels have their centres at whole numbers.
        shift = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
        P = shift @ P @ np.linalg.inv(shift)
        drawn = cv2.warpPerspective(a, P, (W, H), flags=cv2.INTER_AREA)
        inside = cv2.warpPerspective(np.full(a.shape[:2], 255, np.uint8), P, (W, H))
        picture = np.where(inside[..., None] > 127, drawn, picture)
    return picture


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """World to camera, OpenCV axes, z up."""
    z = (target - eye) / np.linalg.norm(target - eye)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    view = np.eye(4)
    view[:3, :3] = np.stack([x, np.cross(z, x), z])
    view[:3, 3] = -view[:3, :3] @ eye
    return view


def walk(count: int) -> list[np.ndarray]:
    """A walk along a bow that looks into the room."""
    views = []
    for t in np.linspace(0, 1, count):
        eye = np.array([-0.9 + 2.6 * t, -2.6 + 0.7 * np.sin(np.pi * t), 0.7 + 0.2 * np.sin(5 * t)])
        views.append(look_at(eye, np.array([-0.3, 1.2, 0.0])))
    return views


def film(path: Path, pictures: Iterator[np.ndarray] | list[np.ndarray], *, rate: int = 30) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv420p"
        stream.options = {"crf": "14"}
        for i, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def aligned(ours: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Our centres moved onto the true ones (Umeyama 1991), the scale, and the rotation."""
    a, b = ours - ours.mean(0), truth - truth.mean(0)
    U, S, Vt = np.linalg.svd(b.T @ a)
    D = np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))])
    R = U @ D @ Vt
    scale = float((S * np.diag(D)).sum() / (a**2).sum())
    return scale * a @ R.T + truth.mean(0), scale, R


@pytest.fixture(scope="session")
def room() -> SimpleNamespace:
    """The makers above; a fixture, since test files cannot import each other here."""
    return SimpleNamespace(
        K=K, W=W, H=H, draw=draw, look_at=look_at, walk=walk, film=film, aligned=aligned
    )
