"""Views and Dataset: memory budget, compositing, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clay4d.scenes import Cameras, Dataset, Views

SIZE = 6 * 8 * 3
"""Bytes of one picture here."""


class Source:
    """Pictures that are their own number, and a log of what was decoded."""

    def __init__(self, channels: int = 3) -> None:
        self.log: list[int] = []
        self.channels = channels

    def __call__(self, index: int) -> np.ndarray:
        self.log.append(index)
        return np.full((6, 8, self.channels), index, np.uint8)


def cameras(n: int = 4) -> Cameras:
    viewmats = torch.eye(4).repeat(n, 1, 1)
    viewmats[:, 0, 3] = torch.arange(n)
    return Cameras(viewmats, torch.eye(3).repeat(n, 1, 1), 8, 6, torch.zeros(n))


def views(decode: object, n: int = 4, **options: object) -> Views:
    return Views(cameras(n), [f"{i}.png" for i in range(n)], decode, **options)  # type: ignore


BOX = torch.tensor([[-1.0, -1, -1], [1, 1, 3]])


def test_within_the_budget_each_picture_is_decoded_once() -> None:
    source = Source()
    v = views(source, memory_budget=4 * SIZE)
    for _ in range(3):
        for i in range(4):
            assert v.pixels(i)[0, 0, 0] == i
    assert source.log == [0, 1, 2, 3]


def test_what_was_used_longest_ago_is_dropped() -> None:
    source = Source()
    v = views(source, memory_budget=2 * SIZE)
    for i in (0, 1, 0, 2, 0, 1):  # 2 pushes out 1, since 0 was used after it
        v.pixels(i)
    assert source.log == [0, 1, 2, 1]
    assert v._bytes == 2 * SIZE == sum(p.nbytes for p in v._kept.values())


def test_a_budget_below_one_picture_keeps_the_last() -> None:
    source = Source()
    v = views(source, memory_budget=1)
    for i in (0, 0, 1, 0):
        v.pixels(i)
    assert source.log == [0, 1, 0] and len(v._kept) == 1


def test_negative_indices_share_memory_with_positive_ones() -> None:
    source = Source()
    v = views(source)
    assert v.pixels(-1)[0, 0, 0] == 3 and v.pixels(3)[0, 0, 0] == 3
    assert source.log == [3]


def test_iteration_ends() -> None:
    assert len(list(views(Source()))) == 4  # type: ignore[call-overload]
    with pytest.raises(IndexError):
        views(Source())[4]


def test_kept_pictures_cannot_be_changed() -> None:
    v = views(Source())
    with pytest.raises(ValueError, match="read-only"):
        v.pixels(0)[0, 0, 0] = 9
    v[1].image.zero_()
    assert v[1].image.max() > 0


@pytest.mark.filterwarnings("error")
def test_read_only_pictures_give_no_warning() -> None:
    def decode(index: int) -> np.ndarray:
        value = np.full((6, 8, 3), 51, np.uint8)
        value.flags.writeable = False
        return value

    frame = views(decode)[0]
    assert frame.mask is None
    torch.testing.assert_close(frame.image, torch.full((6, 8, 3), 0.2))


def test_alpha_is_laid_over_the_background() -> None:
    def decode(index: int) -> np.ndarray:
        return np.tile(np.array([255, 0, 0, 51], np.uint8), (6, 8, 1))

    frame = views(decode, background=(0.0, 0.5, 1.0))[0]
    torch.testing.assert_close(frame.image[0, 0], torch.tensor([0.2, 0.4, 0.8]))
    assert frame.mask is not None and frame.mask.shape == (6, 8)
    torch.testing.assert_close(frame.mask[0, 0], torch.tensor(0.2))
    assert views(decode)[0].image[0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.zeros((8, 6, 3), np.uint8), "0.png got 6×8 pixels; expected 8×6"),
        (np.zeros((6, 8, 3), np.float32), "0.png got float32 pixels"),
        (np.zeros((6, 8), np.uint8), "expected uint8"),
        (np.zeros((6, 8, 2), np.uint8), "expected uint8"),
    ],
)
def test_wrong_pictures_are_refused(value: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        views(lambda index: value).pixels(0)


def test_names_and_camera_ids_must_be_as_many_as_cameras() -> None:
    with pytest.raises(ValueError, match="names got 1 entries; expected 2"):
        Views(cameras(2), ["a"], Source())
    with pytest.raises(ValueError, match="camera_ids got 1 entries; expected 2"):
        Views(cameras(2), ["a", "b"], Source(), camera_ids=[0])


def test_a_data_set_needs_training_views() -> None:
    with pytest.raises(ValueError, match="d got no training pictures"):
        Dataset("d", {"test": views(Source())}, 0.0, BOX)
    with pytest.raises(ValueError, match="d got no training pictures"):
        Dataset("d", {"train": views(Source(), 0)}, 0.0, BOX)


@pytest.mark.parametrize("box", [BOX.flip(0), BOX * float("nan"), torch.zeros(2, 2)])
def test_bounds_must_be_a_box(box: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="bounds got"):
        Dataset("d", {"train": views(Source())}, 0.0, box)


def test_splits_are_asked_for_by_name() -> None:
    d = Dataset("d", {"train": views(Source())}, 0.0, BOX)
    assert d.split("train") is d.train
    with pytest.raises(ValueError, match="split got 'test'; expected one of train in d"):
        d.split("test")


def test_extent_is_gsplats_scene_scale() -> None:
    d = Dataset("d", {"train": views(Source())}, 0.0, BOX)
    assert d.extent == pytest.approx(1.5 * 1.1)
    alone = Dataset("d", {"train": views(Source(), 1)}, 0.0, BOX)
    assert alone.extent == pytest.approx(2.0)  # half the longest side: never zero
