"""The suite reconstruct: held-out pictures stay with the judge, all learn from the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from clay4d.benchmark.reconstruct import (
    Captured,
    CapturedCases,
    NearestPicture,
    Pose,
    Reconstruction,
    _Judge,
    dataset_of,
)
from clay4d.benchmark.suites import SUITES

SIDE = 32


def captured(count: int = 6, *, steps: int = 30) -> Captured:
    """Pictures of one colour each from a ring, asked for between them."""

    def ring(angles: np.ndarray, times: np.ndarray) -> Pose:
        views = np.repeat(np.eye(4)[None], len(angles), 0)
        for view, angle in zip(views, angles):
            c, s = np.cos(angle), np.sin(angle)
            view[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
            view[2, 3] = 3
        K = np.array([[30.0, 0, SIDE / 2], [0, 30.0, SIDE / 2], [0, 0, 1]])
        return Pose(views, np.repeat(K[None], len(angles), 0), times)

    angles = np.arange(count) * 2 * np.pi / count
    images = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    images[:] = (40 * np.arange(count))[:, None, None, None]
    return Captured(
        images, ring(angles, np.arange(count) % 2), ring(angles[:2] + 0.1, np.array([0.0, 1.0])),
        ((-1, -1, -1), (1, 1, 1)), (0, 0, 0), steps,
    )  # fmt: skip


def test_the_question_has_a_key_of_all_that_it_holds() -> None:
    one = captured()
    assert one.key == captured().key
    other = one.images.copy()
    other[0, 0, 0, 0] += 1
    moved = dataclasses.replace(one.asked, times=one.asked.times + 1)
    changed = (
        dataclasses.replace(one, images=other), dataclasses.replace(one, asked=moved),
        dataclasses.replace(one, steps=31),
    )  # fmt: skip
    assert len({one.key, *(c.key for c in changed)}) == 4


def test_the_nearest_picture_is_of_the_same_moment() -> None:
    one = captured()
    found = NearestPicture().predict(one, None)
    assert [int(f[0, 0, 0]) for f in found] == [0, 40]


def test_the_judge_takes_as_many_pictures_as_were_asked_for() -> None:
    truth = captured().images[:2]
    assert _Judge(truth)(truth).values == {"psnr": 100.0, "ssim": pytest.approx(1.0)}
    off = np.clip(truth.astype(int) + 51, 0, 255).astype(np.uint8)
    assert _Judge(truth)(off).values["psnr"] == pytest.approx(-20 * np.log10(0.2), abs=0.01)
    with pytest.raises(ValueError, match="pictures got shape"):
        _Judge(truth)(truth[:1])


def test_a_motion_model_learns_and_draws_what_was_asked_for() -> None:
    one = captured(steps=4)
    found = Reconstruction("static").predict(one, None)
    assert found.shape == (2, SIDE, SIDE, 3) and found.dtype == np.uint8
    data = dataset_of(one)
    assert list(data.splits) == ["train"] and len(data.train) == 6
    assert np.array_equal(np.asarray(data.train[2].image * 255).round(), one.images[2])


def test_a_folder_without_either_is_named(tmp_path: Path) -> None:
    cases = CapturedCases(SUITES["reconstruct"], tmp_path)
    with pytest.raises((FileNotFoundError, ValueError)):
        cases.read(cases.places()[0])
