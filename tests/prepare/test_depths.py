"""Depth from another tool goes with the pictures that `prepare` writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.prepare import prepare
from clay4d.scenes.prepare.depths import Depths
from clay4d.scenes.prepare.sources import Source

PICTURES = Source(Path("."), "images", pictures=("a b.jpg", "images/c.jpg"))


def ramp(height: int, width: int) -> np.ndarray:
    return (1000 + np.arange(height * width).reshape(height, width)).astype(np.uint16)


def test_both_kinds_of_file_and_sizes(tmp_path: Path) -> None:
    Image.fromarray(ramp(6, 8)).save(tmp_path / "a b.png")
    np.save(tmp_path / "c.npy", ramp(3, 4).astype(np.float32) / 7)
    depths = Depths(tmp_path, cameras=1)
    png, npy = (depths.read(PICTURES, i, width=8, height=6) for i in range(2))
    assert png is not None and np.array_equal(png, ramp(6, 8))
    assert npy is not None and np.array_equal(npy[::2, ::2], ramp(3, 4).astype(np.float32) / 7)
    assert depths.found == 2
    depths.check_used()


def test_several_cameras_have_a_folder_each(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "c.npy", ramp(3, 4))
    assert Depths(tmp_path, cameras=1).read(PICTURES, 1, width=4, height=3) is None
    assert Depths(tmp_path, cameras=2).read(PICTURES, 1, width=4, height=3) is not None


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="depths got .*no/such.* is no folder"):
        Depths(tmp_path / "no" / "such", cameras=1)
    np.save(tmp_path / "c.npy", ramp(4, 3))
    with pytest.raises(ValueError, match="3×4 pixels for a picture of 4×3"):
        Depths(tmp_path, cameras=1).read(PICTURES, 1, width=4, height=3)
    with pytest.raises(ValueError, match="got c.npy; expected files named as the pictures"):
        Depths(tmp_path, cameras=1).check_used()
    np.save(tmp_path / "c.npy", -ramp(3, 4).astype(np.float32))
    with pytest.raises(ValueError, match="c.npy got depth -"):
        Depths(tmp_path, cameras=1).read(PICTURES, 1, width=4, height=3)


def test_depth_of_a_film_comes_out_of_the_data(room: SimpleNamespace, tmp_path: Path) -> None:
    view = room.walk(8)[0]
    room.film(tmp_path / "still.mp4", [room.draw(view, i / 8) for i in range(8)])
    (tmp_path / "depth").mkdir()
    with pytest.raises(ValueError, match="depths folder depth got nothing"):
        prepare(tmp_path / "still.mp4", tmp_path / "data", depths=tmp_path / "depth")
    assert not (tmp_path / "data").exists()
    for i in (0, 3):
        Image.fromarray(ramp(room.H, room.W)[::-1] + 5 * i).save(tmp_path / f"depth/{i:05d}.png")
    prepare(tmp_path / "still.mp4", tmp_path / "data", depths=tmp_path / "depth")
    train = load_dataset(tmp_path / "data").train
    found = {name: train[i].depth for i, name in enumerate(train.names)}
    assert len(found) == 7 and train.has_depth  # every eighth is held out
    known = found["images/00003.png"]
    assert known is not None and np.array_equal(known.numpy(), ramp(room.H, room.W)[::-1] + 15)
    assert found["images/00004.png"] is None
