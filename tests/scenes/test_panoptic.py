"""Panoptic's layout, turned so that z is up, and the box in which a scene starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.loaders.bounds import camera_bounds, focus


def test_panoptic_is_turned_so_that_z_is_up(posed: Any, tmp_path: Path) -> None:
    meta = posed.panoptic(tmp_path)
    np.savez(tmp_path / "init_pt_cld.npz", data=np.array([[1.0, -2, 3, 0.1, 0.2, 0.3, 1]]))
    d = load_dataset(tmp_path)
    assert d.train.camera_ids == [2, 5] * 4 and d.split("test").camera_ids == [9] * 4
    torch.testing.assert_close(d.train.cameras.times[::2], torch.arange(4) / 30)
    assert d.duration == pytest.approx(3 / 30) and d.background is None
    assert d.points is not None and d.points[0].tolist() == pytest.approx([1, 3, 2, 0.1, 0.2, 0.3])
    torch.testing.assert_close(d.bounds.mean(0), torch.tensor([1.0, 3, 2]), atol=1e-4, rtol=0)
    # A point projects where the file's own pose and the point in the file's world put it.
    for i, w2c in enumerate(w for row in meta["w2c"] for w in row):
        file = np.array(w2c) @ [0.3, -1.5, 2.8, 1]
        ours = d.train.cameras.viewmats[i].double().numpy() @ [0.3, 2.8, 1.5, 1]
        np.testing.assert_allclose(ours, file, atol=1e-5)
    assert d.train.cameras.viewmats[:, 1, 2].max() < 0  # world's z is up in the pictures
    assert "z is up" in d.notes["world"]
    masks = [d.train[i].mask for i in (0, 2)]
    assert masks[0] is not None and masks[1] is not None
    assert float(masks[0].max()) == 0 and float(masks[1].min()) == 1
    assert d.split("test")[0].mask is None
    assert float(d.train[2].image.mean()) == pytest.approx(40 / 255, abs=0.02)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("fn", "../2/000000.jpg", "path got 'ims/../2/000000.jpg'"),
        ("w2c", (np.eye(4) * 2).tolist(), "w2c of train_meta.json, frame ims/5/000001.jpg got a"),
        ("k", [[-9.0, 0, 4], [0, 9, 3], [0, 0, 1]], "frame ims/5/000001.jpg got focal lengths -9"),
        ("k", [[9.0, 0], [0, 9]], "k of train_meta.json, .*expected 3×3 numbers"),
        ("cam_id", "5", "cam_id of train_meta.json, .*expected a whole number"),
    ],
)
def test_panoptic_refuses(posed: Any, tmp_path: Path, key: str, value: object, match: str) -> None:
    meta = posed.panoptic(tmp_path)
    meta[key][1][1] = value
    posed.put(tmp_path, meta, "train_meta.json")
    posed.refused(tmp_path, match)


def test_panoptic_needs_whole_tables_and_masks(posed: Any, tmp_path: Path) -> None:
    meta = posed.panoptic(tmp_path)
    posed.put(tmp_path, {**meta, "cam_id": meta["cam_id"][1:]}, "train_meta.json")
    posed.refused(tmp_path, "got 6 entries of cam_id in 3 frames; expected 8 in 4")
    posed.put(tmp_path, {**meta, "w2c": None}, "train_meta.json")
    posed.refused(tmp_path, "got w2c = 'None'; expected a list of lists")
    posed.put(tmp_path, {**meta, "w": 9}, "train_meta.json")
    posed.refused(tmp_path, "got 8×6 pixels; expected 9×6 as train_meta.json says")
    posed.put(tmp_path, meta, "train_meta.json")
    os.unlink(tmp_path / "seg/5/000002.png")
    posed.refused(tmp_path, "pictures without masks, first seg/5/000002.png")
    np.savez(tmp_path / "init_pt_cld.npz", data=np.array([{}], dtype=object))
    np.savez(tmp_path / "cut.npz", data=np.zeros((9, 7)))
    Image.new("L", (8, 6)).save(tmp_path / "seg/5/000002.png")
    whole = (tmp_path / "cut.npz").read_bytes()
    for size in range(1, len(whole), 60):
        (tmp_path / "init_pt_cld.npz").write_bytes(whole[:size])
        posed.refused(tmp_path, "init_pt_cld.npz got no readable arrays")
    np.savez(tmp_path / "init_pt_cld.npz", data=np.array([{}], dtype=object))
    posed.refused(tmp_path, "init_pt_cld.npz got no readable arrays")  # no pickle is opened


def test_the_box_is_where_the_cameras_look(posed: Any) -> None:
    poses = posed.ring(9, radius=3.0, target=(5, -1, 2))
    box = camera_bounds(posed.cameras_of(poses))
    torch.testing.assert_close(box.mean(0), torch.tensor([5.0, -1, 2]), atol=1e-4, rtol=0)
    assert float(box[1, 0] - box[0, 0]) / 2 == pytest.approx(3 * np.hypot(1, 0.4), rel=0.03)
    side = [posed.look_at(np.array([x, -5.0, 0]), np.array([x, 0.0, 0])) for x in (0, 1.0, 2)]
    assert focus(posed.cameras_of(side)) is None
    assert float(camera_bounds(posed.cameras_of(side)).mean(0)[1]) > -5  # ahead of the cameras
    outward = [posed.look_at(p[:3, 3], 2 * p[:3, 3]) for p in posed.ring(9)]
    assert focus(posed.cameras_of(outward)) is None
