"""The transforms.json family: conventions, splits, times, and everything it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clay4d.scenes.loaders import load_dataset


def test_dnerf_splits_times_and_background(posed: Any, tmp_path: Path) -> None:
    posed.blender(tmp_path)
    d = load_dataset(tmp_path)
    assert list(d.splits) == ["train", "val", "test"] and d.name == tmp_path.name
    assert d.train.names[1] == "train/r_001.png" and d.duration == 1.0
    assert d.train.cameras.times.tolist() == [0, 0.5, 1]
    assert d.background == d.train.background == (1, 1, 1)
    assert torch.equal(d.bounds, torch.tensor([[-1.3] * 3, [1.3] * 3]))
    frame = d.train[0]
    assert frame.mask is not None and float(frame.mask[0, 0]) == pytest.approx(100 / 255)
    assert float(frame.image[0, 0, 0]) == pytest.approx(100 / 255 * 100 / 255 + 155 / 255)
    black = load_dataset(tmp_path, background=(0, 0, 0))
    assert float(black.train[0].image[0, 0, 0]) == pytest.approx((100 / 255) ** 2)


def test_poses_against_a_projection_worked_out_in_opengl(posed: Any, tmp_path: Path) -> None:
    meta = posed.blender(tmp_path, n=5)
    cameras = load_dataset(tmp_path).train.cameras
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    f = 0.5 * 8 / np.tan(0.35)
    for i, frame in enumerate(meta["frames"]):
        c2w = np.array(frame["transform_matrix"])
        gl = (points - c2w[:3, 3]) @ c2w[:3, :3]  # x right, y up, z back
        expected = np.stack([4 + f * gl[:, 0] / -gl[:, 2], 3 - f * gl[:, 1] / -gl[:, 2]], 1)
        cv = points @ cameras.viewmats[i, :3, :3].numpy().T + cameras.viewmats[i, :3, 3].numpy()
        pixels = cv @ cameras.Ks[i].numpy().T
        np.testing.assert_allclose(pixels[:, :2] / pixels[:, 2:], expected, atol=1e-4)
        assert (cv[:, 2] > 0).all()
        np.testing.assert_allclose(cameras.centres[i].numpy(), c2w[:3, 3], atol=1e-5)


def test_without_alpha_there_are_three_channels_and_no_background(
    posed: Any, tmp_path: Path
) -> None:
    posed.blender(tmp_path, channels=3)
    d = load_dataset(tmp_path)
    assert d.train.pixels(0).shape == (6, 8, 3) and d.train[0].mask is None
    assert d.background is None and d.train.background is None


def test_every_eighth_view_by_name_is_held_out(posed: Any, tmp_path: Path) -> None:
    posed.single(tmp_path)
    d = load_dataset(tmp_path)
    assert list(d.splits) == ["train", "test"] and d.duration == 0
    assert d.split("test").names == ["images/0000.jpg", "images/0008.jpg"]
    assert d.train.names == [f"images/{i:04d}.jpg" for i in (1, 2, 3, 4, 5, 6, 7, 9)]
    expected = torch.tensor([[9, 0, 4.5], [0, 8, 3.5], [0, 0, 1]])
    assert torch.equal(d.train.cameras.Ks[0], expected)
    assert len(load_dataset(tmp_path, test_every=2).split("test")) == 5
    posed.refused(tmp_path, "test_every got 1; expected at least 2", test_every=1)


def test_named_splits(posed: Any, tmp_path: Path) -> None:
    meta = posed.single(tmp_path)
    meta["train_filenames"] = ["images/0003.jpg", "./images/0001.jpg"]
    meta["val_filenames"] = ["images/0002.jpg"]
    posed.put(tmp_path, meta)
    d = load_dataset(tmp_path)
    assert list(d.splits) == ["train", "val"]
    assert d.train.names == ["images/0003.jpg", "images/0001.jpg"]
    posed.put(tmp_path, {**meta, "val_filenames": ["images/none.jpg"]})
    posed.refused(tmp_path, "val_filenames got 'images/none.jpg'; expected the file_path")
    posed.put(tmp_path, {**meta, "val_filenames": ["../x.jpg"]})
    posed.refused(tmp_path, "path got '../x.jpg'")
    posed.put(tmp_path, {**meta, "val_filenames": []})
    posed.refused(tmp_path, "split val of .* got no pictures")
    posed.put(tmp_path, {**meta, "train_filenames": None})
    posed.refused(tmp_path, "val_filenames alone; expected train_filenames")


def test_a_frames_own_intrinsics_come_first(posed: Any, tmp_path: Path) -> None:
    meta = posed.single(tmp_path)
    meta["frames"][0] |= {"fl_x": 20.0, "cx": 4.0}  # images/0009.jpg
    posed.put(tmp_path, meta)
    Ks = load_dataset(tmp_path).train.cameras.Ks
    assert Ks[-1, 0].tolist() == [20, 0, 4] and Ks[0, 0].tolist() == [9, 0, 4.5]


def test_masks_are_given_and_hide_nothing(posed: Any, tmp_path: Path) -> None:
    meta = posed.single(tmp_path)
    for i, frame in enumerate(meta["frames"]):
        Image.new("L", (8, 6), 51 if i else 255).save(tmp_path / f"m{i}.png")
        frame["mask_path"] = f"m{i}.png"
    posed.put(tmp_path, meta)
    frame = load_dataset(tmp_path).train[0]
    assert frame.mask is not None and float(frame.mask[0, 0]) == pytest.approx(0.2)
    assert float(frame.image[0, 0, 0]) == pytest.approx(100 / 255, abs=0.02)
    Image.new("L", (8, 5)).save(tmp_path / "m0.png")
    posed.refused(tmp_path, "m0.png got 8×5 pixels; expected 8×6")


def test_times_in_one_file(posed: Any, tmp_path: Path) -> None:
    meta = posed.single(tmp_path, duration=4.0)
    for i, frame in enumerate(meta["frames"]):
        frame["time"] = 1 - i / 9
    posed.put(tmp_path, meta)
    d = load_dataset(tmp_path)
    assert d.duration == 4.0
    torch.testing.assert_close(d.split("test").cameras.times, torch.tensor([0, 32 / 9]))
    del meta["frames"][3]["time"]
    posed.put(tmp_path, meta)
    posed.refused(tmp_path, "time got no value in 1 of 10 frames, first images/0006.jpg")
    meta["frames"][3]["time"] = 7.0
    posed.put(tmp_path, meta)
    posed.refused(tmp_path, "frame images/0006.jpg got time = 7; expected 0 to 1")


def test_durations_must_agree(posed: Any, tmp_path: Path) -> None:
    meta = posed.blender(tmp_path)
    posed.put(tmp_path, {**meta, "duration": 2.0}, "transforms_train.json")
    posed.refused(tmp_path, "duration got 1, 2 in one data set")


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../out.png", "images/../../out.png", "C:/out.png", "C:out.png",
        "images\\0001.jpg", "\\\\host\\out.png", "", "a\0b", None, 3, ["x"],
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(posed: Any, tmp_path: Path, name: object) -> None:
    root = tmp_path / "data"
    posed.save(tmp_path / "out.png")
    meta = posed.single(root)
    meta["frames"][0]["file_path"] = name
    posed.put(root, meta)
    posed.refused(root, "^path got .*; expected a relative path with / inside the data folder")
    if name is None:  # an absent mask is none
        return
    meta["frames"][0] |= {"file_path": "images/0009.jpg", "mask_path": name}
    posed.put(root, meta)
    posed.refused(root, "^path got ")


@pytest.mark.parametrize("what", ["picture", "folder", "json", "loop", "later"])
def test_no_link_leads_out_of_the_folder(posed: Any, tmp_path: Path, what: str) -> None:
    root = tmp_path / "data"
    posed.single(root)
    outside = tmp_path / "outside"
    posed.save(outside / "0009.jpg")
    d = load_dataset(root)
    try:
        if what == "folder":
            (root / "images").rename(outside / "images")
            (root / "images").symlink_to(outside / "images", target_is_directory=True)
        elif what == "json":
            (root / "transforms.json").rename(outside / "t.json")
            (root / "transforms.json").symlink_to(outside / "t.json")
        else:
            (root / "images/0009.jpg").unlink()
            target = root / "images/0009.jpg" if what == "loop" else outside / "0009.jpg"
            (root / "images/0009.jpg").symlink_to(target)
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    if what == "later":  # put in place after loading
        with pytest.raises(ValueError, match="^path got 'images/0009.jpg'"):
            d.train[7]
    elif what == "loop":
        posed.refused(root, "0009.jpg", Exception)
    else:
        posed.refused(root, "^path got ")


def test_links_within_the_folder_and_to_it_are_fine(posed: Any, tmp_path: Path) -> None:
    root = tmp_path / "data"
    posed.single(root)
    try:
        (root / "images/0009.jpg").unlink()
        (root / "images/0009.jpg").symlink_to("0001.jpg")
        (tmp_path / "link").symlink_to(root, target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    assert load_dataset(tmp_path / "link").train[7].image.shape == (6, 8, 3)


def test_damaged_pictures_are_named(posed: Any, tmp_path: Path) -> None:
    posed.single(tmp_path)
    rng = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    Image.fromarray(rng).save(tmp_path / "images/0001.jpg", quality=95)
    data = (tmp_path / "images/0001.jpg").read_bytes()
    (tmp_path / "images/0001.jpg").write_bytes(data[:-40])
    posed.refused(tmp_path, "^images/0001.jpg got a picture whose end is cut off")
    Image.fromarray(rng).save(tmp_path / "images/0001.jpg", "PNG")
    data = (tmp_path / "images/0001.jpg").read_bytes()
    (tmp_path / "images/0001.jpg").write_bytes(data[:60] + bytes(20) + data[80:])
    d = load_dataset(tmp_path)  # both ends are whole
    with pytest.raises(ValueError, match="^images/0001.jpg got a picture that does not decode"):
        d.train[0]
    (tmp_path / "images/0001.jpg").write_bytes(b"not a picture")
    posed.refused(tmp_path, "^images/0001.jpg got a picture that does not decode")
    (tmp_path / "images/0001.jpg").unlink()
    posed.refused(tmp_path, "^file got 'images/0001.jpg', which is not there", FileNotFoundError)
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(tmp_path / "images/0001.jpg", "PNG")
    posed.refused(tmp_path, "^images/0001.jpg got pixels of mode I;16; expected 8 bits")


def test_every_cut_of_a_png_is_a_clear_error(posed: Any, tmp_path: Path) -> None:
    posed.single(tmp_path)
    rng = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    Image.fromarray(rng).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    for size in range(0, len(data) - 20, 7):
        (tmp_path / "images/0001.jpg").write_bytes(data[:size])
        with pytest.raises(ValueError, match="^images/0001.jpg got a picture"):
            load_dataset(tmp_path).train[0]


def test_sizes_must_fit(posed: Any, tmp_path: Path) -> None:
    meta = posed.single(tmp_path)
    posed.save(tmp_path / "images/0004.jpg", size=(9, 6))
    posed.refused(tmp_path, "^images/0004.jpg got 9×6 pixels; expected 8×6 as transforms.json says")
    del meta["w"], meta["h"]
    posed.put(tmp_path, meta)
    posed.refused(tmp_path, "^images/0004.jpg got 9×6 .* 8×6 as images/0001.jpg of the same split")


POSE = np.eye(4)


@pytest.mark.parametrize(
    ("pose", "match"),
    [
        (POSE * [[np.nan], [1], [1], [1]], "NaN or infinity"),
        (POSE @ np.diag([2, 2, 2, 1]), r"not rigid \(off by 3, determinant 8\)"),
        (POSE @ np.diag([1, 1, -1, 1]), "not rigid .*determinant -1"),
        (POSE + np.eye(4)[3][:, None] * 0.5, "not rigid"),
        (POSE[:3], "expected 4×4 numbers"),
        (np.array([["1"] * 4] * 4), "expected 4×4 numbers"),
        (np.array("x"), "expected 4×4 numbers"),
    ],
)
def test_poses_must_be_rigid(posed: Any, tmp_path: Path, pose: np.ndarray, match: str) -> None:
    meta = posed.single(tmp_path)
    meta["frames"][3]["transform_matrix"] = pose.tolist()
    posed.put(tmp_path, meta)
    posed.refused(
        tmp_path, f"transform_matrix of transforms.json, frame images/0006.jpg got .*{match}"
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"{", "not JSON"), (b"\xff\xfe", "not JSON"), (b"[" * 100_000, "not JSON"),
        (b"[]", "got a JSON list; expected an object"), (b"{}", "got frames = 'None'"),
        (b'{"frames": []}', "got no frames"), (b'{"frames": [1]}', "expected a list of objects"),
    ],
)  # fmt: skip
def test_unreadable_json(posed: Any, tmp_path: Path, text: bytes, match: str) -> None:
    (tmp_path / "transforms.json").write_bytes(text)
    posed.refused(tmp_path, f"^transforms.json .*{match}")


def test_a_missing_pose_and_a_single_view_are_refused(posed: Any, tmp_path: Path) -> None:
    meta = posed.single(tmp_path)
    posed.put(tmp_path, {**meta, "frames": meta["frames"][:1]})
    posed.refused(tmp_path, "split train of .* got no pictures")
    del meta["frames"][0]["transform_matrix"]
    posed.put(tmp_path, meta)
    posed.refused(tmp_path, "frame images/0009.jpg got no transform_matrix")


def test_unknown_layouts_are_named(posed: Any, tmp_path: Path) -> None:
    (tmp_path / "video.mp4").touch()
    (tmp_path / "colmap").mkdir()
    posed.refused(tmp_path, "got colmap/, video.mp4; expected transforms.json")
    posed.put(tmp_path, {}, "transforms_test.json")
    posed.refused(
        tmp_path, "got transforms_test.json alone; expected transforms_train.json beside it"
    )
    with pytest.raises(FileNotFoundError, match="is not there; expected a folder"):
        load_dataset(tmp_path / "none")
    with pytest.raises(ValueError, match="video.mp4'; expected a folder"):
        load_dataset(tmp_path / "video.mp4")
    posed.refused(tmp_path, "background got", background=(255, 255, 255))
    posed.refused(tmp_path, "memory_budget got -1", memory_budget=-1)
