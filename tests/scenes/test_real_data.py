"""The loaders on the real data sets, where they are here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clay4d.scenes.loaders import load_dataset

DATA = Path(__file__).parents[3] / "shared" / "data"


def real(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"shared/data/{name} is not here")
    return DATA / name


def test_mutant() -> None:
    d = load_dataset(real("dnerf_mutant"))
    assert {k: len(v) for k, v in d.splits.items()} == {"train": 150, "val": 20}
    assert d.train.cameras.Ks[0, 0, 0] == pytest.approx(555.555, abs=0.01)
    frame = d.split("val")[7]
    assert frame.image.shape == (400, 400, 3) and frame.mask is not None
    assert torch.equal(frame.image[0, 0], torch.ones(3))  # white, not the black below alpha 0
    assert d.duration == 1 and float(d.train.cameras.times.max()) == 1


def test_fox() -> None:
    d = load_dataset(real("fox"))
    assert d.split("test").names[:2] == ["images/0001.jpg", "images/0012.jpg"]
    assert len(d.train) == 43 and len(d.split("test")) == 7 and d.duration == 0
    assert d.train[3].image.shape == (480, 270, 3)
    median = d.train.cameras.Ks.median(0).values
    assert median[0, 0] == pytest.approx(344, abs=5) and median[1, 2] == pytest.approx(241, abs=2)


def test_basketball_and_its_ball() -> None:
    """The triangulated ball must be a red spot in the held-out pictures."""
    root = real("panoptic_basketball")
    d = load_dataset(root)
    assert (len(d.train), len(d.split("test"))) == (27 * 75, 2 * 75)
    assert set(d.split("test").camera_ids) == {0, 10}
    turn = np.array(d.notes["world_from_file"])[:3, :3]
    ball = torch.tensor(np.load(root / "ball_track.npz")["xyz"] @ turn.T).float()
    views, near, all_over = d.train, [], []
    for i in range(0, len(views), 97):
        c = views.cameras[i]
        p = c.Ks[0] @ (c.viewmats[0, :3, :3] @ ball[i // 27] + c.viewmats[0, :3, 3])
        u, v = int(p[0] / p[2]), int(p[1] / p[2])
        if p[2] > 0 and 3 <= u < 317 and 3 <= v < 177:
            red = views[i].image[..., 0] - views[i].image[..., 1:].mean(-1)
            near.append(float(red[v - 2 : v + 3, u - 2 : u + 3].max()))
            all_over.append(float(red.median()))
    assert len(near) > 10 and np.median(near) > np.median(all_over) + 0.15
    assert (ball[:, 2] > d.bounds[0, 2]).all() and float(d.train.cameras.centres[:, 2].min()) > 0
