"""Tracks from another tool go with the pictures that `prepare` writes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.prepare import prepare
from clay4d.scenes.prepare.sources import Source
from clay4d.scenes.prepare.tracks import GivenTracks

PICTURES = Source(Path("."), "images", pictures=("a.jpg", "b.jpg"))
OTHER = Source(Path("."), "other", pictures=("a.jpg", "b.jpg"))
SIZE = np.array([8, 6])


def test_tracks_of_a_film_come_out_of_the_data(room: SimpleNamespace, tmp_path: Path) -> None:
    view = room.walk(8)[0]
    room.film(tmp_path / "still.mp4", [room.draw(view, i / 8) for i in range(8)])
    xy = np.random.default_rng(0).uniform(1, room.H - 1, (5, 8, 2)) / 2
    seen = np.ones((5, 8), bool)
    seen[0, 3:] = seen[4, 1:] = False
    size = np.array([room.W, room.H]) // 2  # they were followed at half size
    np.savez(tmp_path / "t.npz", tracks=xy, visible=seen, size=size)
    prepare(tmp_path / "still.mp4", tmp_path / "data", tracks=tmp_path / "t.npz")
    train = load_dataset(tmp_path / "data").train
    assert train.tracks is not None and len(train.tracks) == 4  # one was seen once alone
    frames = [int(Path(name).stem) for name in train.names]
    assert np.array_equal(train.tracks.seen.numpy(), seen[:4, frames])
    shown = seen[:4, frames]
    assert np.allclose(train.tracks.xy.numpy()[shown], 2 * xy[:4, frames][shown], atol=1e-3)


def test_several_cameras_have_a_file_each(tmp_path: Path) -> None:
    for k, name in enumerate(("images", "other")):
        tracks, seen = np.full((2 + k, 2, 2), 3.0 + k), np.ones((2 + k, 2))
        np.savez(tmp_path / f"{name}.npz", tracks=tracks, visible=seen, size=SIZE)
    given = GivenTracks(tmp_path, [PICTURES, OTHER])
    assert sorted(given.parts) == [0, 1]
    with pytest.raises(ValueError, match="images.npz for 2 cameras; expected a folder"):
        GivenTracks(tmp_path / "images.npz", [PICTURES, OTHER])


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no.npz'?, which is not there"):
        GivenTracks(tmp_path / "no.npz", [PICTURES])
    file, seen = tmp_path / "t.npz", np.ones((4, 2))
    np.savez(file, tracks=np.ones((4, 3, 2)), visible=np.ones((4, 3)), size=SIZE)
    with pytest.raises(ValueError, match="tracks over 3 frames; expected 2, as many as images has"):
        GivenTracks(file, [PICTURES])
    np.savez(file, tracks=np.ones((4, 2, 2)), visible=seen, size=np.array([8, -6]))
    with pytest.raises(ValueError, match=r"size \[8, -6\]; expected width and height"):
        GivenTracks(file, [PICTURES])
    np.savez(file, tracks=np.ones((4, 2, 2)), visible=seen)
    with pytest.raises(ValueError, match="expected tracks, visible, size"):
        GivenTracks(file, [PICTURES])
    np.savez(file, tracks=np.ones((4, 2, 2)), visible=0 * seen, size=SIZE)
    with pytest.raises(ValueError, match="none is visible in two of the pictures"):
        GivenTracks(file, [PICTURES]).write(tmp_path)
