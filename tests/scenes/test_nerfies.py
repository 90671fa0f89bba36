"""Nerfies' layout and what DyCheck adds to it, written here from their own descriptions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clay4d.scenes import Gaussians
from clay4d.scenes.loaders import load_dataset
from clay4d.training.evaluate import evaluate

SIZE = (40, 30)
"""Of rgb/1x; rgb/2x has half."""
TURN = [[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]
"""World to camera of a camera that looks along the file's y, which is up in no picture: z is up."""


def camera(position: tuple[float, float, float], **changes: Any) -> dict[str, Any]:
    return {
        "orientation": TURN, "position": position, "focal_length": 50.0, "pixel_aspect_ratio": 1.02,
        "principal_point": [21.0, 14.0], "skew": 0.0, "radial_distortion": [0.0, 0.0, 0.0],
        "tangential_distortion": [0.0, 0.0], "image_size": list(SIZE), **changes,
    }  # fmt: skip


def write(root: Path, ids: list[str], *, val: tuple[str, ...] = (), mode: str = "RGB") -> None:
    (root / "camera").mkdir(parents=True, exist_ok=True)
    metadata = {}
    for i, name in enumerate(ids):
        c, t = (int(part) for part in name.split("_"))
        metadata[name] = {"warp_id": t, "appearance_id": t, "camera_id": c}
        put(root, f"camera/{name}.json", camera((0.1 * i, -2.0, 0.2)))
        for factor in (1, 2):
            path = root / f"rgb/{factor}x/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            size = (SIZE[0] // factor, SIZE[1] // factor)
            Image.new(mode, size, (10 * i, 90, 90, 255)[: len(mode)]).save(path)
    train = [name for name in ids if name not in val] if val else []
    put(root, "dataset.json", {"count": len(ids), "ids": ids, "train_ids": train, "val_ids": val})
    put(root, "metadata.json", metadata)
    put(root, "scene.json", {"scale": 0.5, "center": [0.0, 1.0, 0.0], "near": 0.1, "far": 2.0})


def put(root: Path, name: str, value: object) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(value))


def pixel(data: Any, split: str, index: int, point: tuple[float, float, float]) -> np.ndarray:
    c = data.split(split).cameras[index]
    x = np.array(data.notes["world_from_file"]) @ [*point, 1.0]
    p = c.Ks[0].double().numpy() @ (c.viewmats[0].double().numpy() @ x)[:3]
    return p[:2] / p[2]


VRIG = [f"{c}_{t:05d}" for t in range(4) for c in (0, 1)]


def test_conventions_by_hand(tmp_path: Path) -> None:
    """From (0, -2, 0.2) the point (0.4, 0, 0.6) is 2 ahead, 0.4 right and 0.4 up."""
    write(tmp_path, VRIG, val=tuple(VRIG[1::2]))
    data = load_dataset(tmp_path)
    assert data.notes["format"] == "Nerfies" and data.notes["pictures"] == "rgb/2x"
    at_1x = np.array([21 + 50 * 0.2, 14 - 51 * 0.2])
    np.testing.assert_allclose(pixel(data, "train", 0, (0.4, 0, 0.6)), at_1x / 2, atol=1e-5)
    np.testing.assert_allclose(np.array(data.notes["world_from_file"]), np.eye(4), atol=1e-9)
    assert data.train.cameras.times.tolist() == pytest.approx([0, 1 / 15, 2 / 15, 3 / 15])
    assert data.duration == pytest.approx(0.2) and data.split("test").camera_ids == [1] * 4
    full = load_dataset(tmp_path, factor=1)
    np.testing.assert_allclose(pixel(full, "train", 0, (0.4, 0, 0.6)), at_1x, atol=1e-5)
    with pytest.raises(FileNotFoundError, match="rgb/4x is not in .*expected one of 1, 2"):
        load_dataset(tmp_path, factor=4)


def test_without_val_ids_every_fourth_is_trained_on(tmp_path: Path) -> None:
    ids = [f"0_{t:05d}" for t in range(9)]
    write(tmp_path, ids)
    data = load_dataset(tmp_path)
    assert [n[7:-4] for n in data.train.names] == ids[::4]
    assert [n[7:-4] for n in data.split("test").names] == ids[2::4]


def test_both_names_of_the_tangential_coefficients(tmp_path: Path) -> None:
    write(tmp_path, VRIG)
    for name, key in (("0_00000", "tangential_distortion"), ("0_00002", "tangential")):
        lens = camera((0, -2, 0), radial_distortion=[0.1, 0.0, 0.0])
        del lens["tangential_distortion"]
        put(tmp_path, f"camera/{name}.json", lens | {key: [0.01, 0.02]})
    data = load_dataset(tmp_path)
    Ks = data.train.cameras.Ks
    assert data.notes["undistorted"] and (Ks[0] == Ks[1]).all() and float(Ks[0, 0, 0]) != 25


def dycheck(root: Path) -> None:
    write(root, VRIG, mode="RGBA")
    put(root, "extra.json", {"factor": 2, "fps": 30.0, "bbox": [[-1.0, -1, -1], [1, 1, 1]],
                             "lookat": [0, 0, 0], "up": [0, 0, 1]})  # fmt: skip
    for split, names in (("train", VRIG[::2]), ("val", VRIG[1::2])):
        ids = [int(n.split("_")[1]) for n in names]
        put(
            root, f"splits/{split}.json", {"frame_names": names, "time_ids": ids, "camera_ids": ids}
        )
    w, h = SIZE[0] // 2, SIZE[1] // 2
    for name in VRIG[::2]:
        (root / "depth/2x").mkdir(parents=True, exist_ok=True)
        np.save(root / f"depth/2x/{name}.npy", np.full((h, w, 1), 1.25, np.float32))
    for name in VRIG[1::2]:
        (root / "covisible/2x/val").mkdir(parents=True, exist_ok=True)
        seen = np.zeros((h, w), np.uint8)
        seen[:, : w // 2] = 255
        Image.fromarray(seen).save(root / f"covisible/2x/val/{name}.png")
    np.save(root / "points.npy", np.array([[1.0, 2, 3], [4, 5, 6]]))


def test_dycheck_has_depth_covisible_masks_and_its_own_splits(tmp_path: Path) -> None:
    dycheck(tmp_path)
    data = load_dataset(tmp_path)
    assert data.notes["format"] == "DyCheck iPhone" and data.duration == pytest.approx(3 / 30)
    train, test = data.train[1], data.split("test")[1]
    assert train.depth is not None and float(train.depth[3, 4]) == 1.25 and train.covisible is None
    assert test.depth is None and test.covisible is not None
    assert float(test.covisible.mean()) == 0.5 and train.mask is not None
    assert data.train.background is None  # alpha is the lidar's, nothing shines through
    assert data.points is not None and data.points[1].tolist() == [4, 5, 6, 0.5, 0.5, 0.5]
    assert data.bounds.tolist() == [[-2, -1, -2], [2, 3, 2]]  # in metres, not in scene.json's unit


class Grey:
    """A scene that is grey everywhere."""

    duration, background = 1.0, (0.5, 0.5, 0.5)

    def at(self, time: float) -> Gaussians:
        import torch

        return Gaussians.from_points(torch.tensor([[0.0, -9.0, 0.0]]), torch.full((1, 3), 0.5))


def test_masked_metrics_are_evaluated(tmp_path: Path) -> None:
    dycheck(tmp_path)
    for name in VRIG[1::2]:  # the half that is seen is grey, the rest is black
        path = tmp_path / f"rgb/2x/{name}.png"
        pixels = np.zeros((15, 20, 4), np.uint8)
        pixels[:, :10] = 140
        Image.fromarray(pixels).save(path)
    found = evaluate(Grey(), load_dataset(tmp_path).split("test"))
    assert found["mpsnr"] == pytest.approx(-20 * np.log10(140 / 255 - 0.5), abs=1e-3)
    assert found["mpsnr"] > found["psnr"] + 10 and found["mssim"] > found["ssim"]


@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        ("camera/0_00000.json", {"focal_length": -1}, "got focal_length = -1; expected"),
        ("camera/0_00000.json", {"orientation": np.ones((3, 3)).tolist()}, "not rigid"),
        ("camera/0_00000.json", {"image_size": [0, 30]}, "image_size of .* got"),
        ("camera/0_00000.json", {"image_size": [30, 40]}, "got 20×15 pixels; expected 30×40"),
        ("camera/0_00000.json", {"skew": 0.1}, "got skew = 0.1"),
        ("camera/0_00000.json", {"position": [0, float("nan"), 0]}, "position of .* NaN"),
        ("metadata.json", {"0_00000": None}, "metadata.json, 0_00000 got 'None'"),
        ("metadata.json", {"0_00000": {"warp_id": -1}}, "got warp_id = '-1'"),
        ("dataset.json", {"ids": ["../../x"]}, "path got 'rgb/2x/../../x.png'"),
        ("dataset.json", {"ids": 3}, "got ids = '3'; expected a list of names"),
        ("dataset.json", {"ids": []}, "got no training pictures"),
    ],
)
def test_refused(posed: Any, tmp_path: Path, file: str, change: dict, match: str) -> None:
    write(tmp_path, VRIG)
    meta = json.loads((tmp_path / file).read_text())
    put(tmp_path, file, meta | change)
    posed.refused(tmp_path, match + ".*read as Nerfies")


def test_broken_arrays_and_missing_parts(posed: Any, tmp_path: Path) -> None:
    dycheck(tmp_path)
    whole = (tmp_path / "points.npy").read_bytes()
    (tmp_path / "points.npy").write_bytes(whole[:-8])
    posed.refused(tmp_path, "points.npy got no readable array")
    (tmp_path / "points.npy").write_bytes(whole.replace(b"(2, 3)", b"(2**40, 3)"[:6]))
    posed.refused(tmp_path, "points.npy got no readable array")
    np.save(tmp_path / "points.npy", np.array([{}], dtype=object), allow_pickle=True)
    posed.refused(tmp_path, "points.npy got no readable array")
    (tmp_path / "points.npy").unlink()
    np.save(tmp_path / "depth/2x/0_00000.npy", np.zeros((3, 4), np.float32))
    with pytest.raises(ValueError, match="depth/2x/0_00000.npy got 4×3 pixels; expected 20×15"):
        load_dataset(tmp_path).train[0]
    (tmp_path / "metadata.json").unlink()
    posed.refused(tmp_path, "'metadata.json', which is not there", FileNotFoundError)
