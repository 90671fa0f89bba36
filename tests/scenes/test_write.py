"""What is written reads back, and nothing is half written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clay4d.scenes import Cameras
from clay4d.scenes.loaders import load_dataset, write_transforms


@pytest.mark.parametrize("same", [True, False])
def test_what_is_written_reads_back(posed: Any, tmp_path: Path, same: bool) -> None:
    splits = {}
    rng = np.random.default_rng(0)
    for name, n in (("train", 5), ("val", 2), ("test", 3)):
        c = posed.cameras_of(posed.ring(n))
        Ks = torch.tensor([[11.3, 0, 4.1], [0, 10.7, 2.9], [0, 0, 1]]).repeat(n, 1, 1)
        if not same:
            Ks[:, 0, 0] += torch.arange(n)
        c = Cameras(c.viewmats, Ks, 8, 6, c.times)
        splits[name] = (c, rng.integers(0, 256, (n, 6, 8, 3 + (name == "val")), np.uint8))
    box = torch.tensor([[-1.0, -2, 0], [1, 2, 0.7]])
    write_transforms(tmp_path / "out/set", splits, duration=2.1, bounds=box)
    d = load_dataset(tmp_path / "out/set")
    assert list(d.splits) == list(splits) and d.duration == 2.1
    assert torch.equal(d.bounds, box)
    for name, (cameras, pictures) in splits.items():
        got = d.split(name)
        assert torch.equal(got.cameras.Ks, cameras.Ks)
        assert torch.equal(got.cameras.times, cameras.times)
        torch.testing.assert_close(got.cameras.viewmats, cameras.viewmats, atol=2e-6, rtol=0)
        for i, picture in enumerate(pictures):
            assert (got.pixels(i) == picture).all()
    assert os.listdir(tmp_path / "out") == ["set"]


def test_a_scene_that_stands_still_has_no_times(posed: Any, tmp_path: Path) -> None:
    c = posed.cameras_of(posed.ring(3))
    still = Cameras(c.viewmats, c.Ks, 8, 6, torch.zeros(3))
    write_transforms(tmp_path, {"train": (still, np.zeros((3, 6, 8, 3), np.uint8))})
    assert load_dataset(tmp_path).duration == 0


def test_nothing_is_half_written(posed: Any, tmp_path: Path) -> None:
    c = posed.cameras_of(posed.ring(3))
    good = np.zeros((3, 6, 8, 3), np.uint8)

    def write(split: str = "train", pictures: Any = good, **options: Any) -> None:
        write_transforms(tmp_path / "set", {split: (c, pictures)}, **options)

    for match, change in (
        ("picture 0 of train got float32", {"pictures": good.astype(np.float32)}),
        (r"expected uint8 \[6, 8, 3 or 4\]", {"pictures": good[:, :5]}),
        ("pictures of train got 2; expected 3", {"pictures": good[:2]}),
        ("pictures of train got 4; expected 3", {"pictures": iter([*good, good[0]])}),
        ("splits got tset; expected train", {"split": "tset"}),
        ("times got 0 to 0.7 s; expected 0 to 0.5 s", {"duration": 0.5}),
    ):
        with pytest.raises(ValueError, match=match):
            write(**change)
        assert list(tmp_path.iterdir()) == []
    write()
    with pytest.raises(ValueError, match="which holds something"):
        write()
