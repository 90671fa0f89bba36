"""`clay4d prepare` as people call it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

Result = tuple[int, str, str]


def test_a_still_film_and_mistakes(tmp_path: Path, clay4d: Callable[..., Result]) -> None:
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 255, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for i in range(6):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    code, out, err = clay4d("prepare", tmp_path / "a.mp4", "--out", tmp_path / "data")
    assert code == 0, err
    assert "The camera stands still." in out and "looking through a: 6 frames" in err
    assert (tmp_path / "data/contact_sheet.png").is_file()
    code, _, err = clay4d("prepare", tmp_path / "b.mp4", "--out", tmp_path / "other")
    assert code == 2 and "which is not there" in err and err.count("\n") == 1
    code, _, err = clay4d("prepare", tmp_path / "a.mp4", "--out", tmp_path / "data")
    assert code == 2 and "holds something" in err and err.count("\n") == 1
