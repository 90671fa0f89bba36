"""Worlds survive the disk, whatever is read, and damage is named."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from clay4d.world_model.worlds import (
    Hidden,
    Question,
    Tracks,
    World,
    WorldEvent,
    WorldObject,
    check_worlds,
    open_worlds,
    read_shard,
    stack_worlds,
    write_index,
    write_shard,
)
from clay4d.world_model.worlds.format import Split

T, C, H, W = 5, 2, 6, 8


def make_world(number: int, *, split: Split = "train", things: int = 2) -> World:
    rng = np.random.default_rng(number)
    objects = tuple(
        WorldObject(f"o{k}", f"the o{k}", "mover", "ball", "red", "rubber", (0.2, 0.2, 0.2), 1.5)
        for k in range(things)
    )
    return World(
        name=f"{number:06d}", split=split, times=np.arange(T) / 12,
        images=rng.integers(0, 256, (T, C, H, W, 3), np.uint8),
        masks=rng.integers(0, things + 1, (T, C, H, W), np.uint8),
        viewmats=rng.normal(size=(C, 4, 4)).astype(np.float32),
        Ks=rng.normal(size=(C, 3, 3)).astype(np.float32),
        prompt="a “red” ball", paraphrases=("one ball, red",),
        events=(WorldEvent(0.42, "the red ball hits the blue cube"),),
        questions=(Question("touch", "Do they touch?", "yes", ("yes", "no")),),
        objects=objects, hidden=Hidden("wind", {"wind_x_m_per_s": 3.0}),
        tracks=Tracks(*(rng.normal(size=(T, things, n)) for n in (3, 4, 3, 3))), scene="{}",
    )  # fmt: skip


def assert_same(a: World, b: World) -> None:
    for f in dataclasses.fields(World):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)
        elif isinstance(x, Tracks):
            for g in dataclasses.fields(Tracks):
                np.testing.assert_array_equal(getattr(x, g.name), getattr(y, g.name))
        else:
            assert x == y


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    worlds = [
        make_world(k, split="test" if k == 3 else "train", things=1 + k % 3) for k in range(5)
    ]
    entries = [write_shard(tmp_path, 0, worlds[:2]), write_shard(tmp_path, 1, worlds[2:])]
    write_index(tmp_path, {"preset": "none"}, entries)
    return tmp_path


def test_a_world_comes_back_as_it_was(folder: Path) -> None:
    worlds = open_worlds(folder)
    assert len(worlds) == 5
    for k in range(5):
        assert_same(worlds[k], make_world(k, split="test" if k == 3 else "train", things=1 + k % 3))


def test_chosen_frames_and_cameras(folder: Path) -> None:
    whole, part = open_worlds(folder)[4], open_worlds(folder).read(4, frames=[3, -5], cameras=[1])
    np.testing.assert_array_equal(part.images, whole.images[[3, 0]][:, [1]])
    np.testing.assert_array_equal(part.masks, whole.masks[[3, 0]][:, [1]])
    np.testing.assert_array_equal(part.tracks.quats, whole.tracks.quats[[3, 0]])
    np.testing.assert_array_equal(part.Ks, whole.Ks[[1]])


def test_splits_and_order(folder: Path) -> None:
    assert [w.name for w in open_worlds(folder, split="test")] == ["000003"]
    train = open_worlds(folder, split=("train",))
    assert [w.name for w in train[1:3]] == ["000001", "000002"]
    assert sorted(train.order(seed=1)) == [0, 1, 2, 3]
    assert (train.order(seed=1, epoch=2) == train.order(seed=1, epoch=2)).all()
    orders = {tuple(train.order(seed=s, epoch=e)) for s in range(3) for e in range(3)}
    assert len(orders) > 5


def test_batches_pad_objects(folder: Path) -> None:
    batches = list(open_worlds(folder).batches(2, seed=3, objects=4))
    assert [len(b) for b in batches] == [2, 2, 1]
    assert sorted(w.name for b in batches for w in b.worlds) == [f"{k:06d}" for k in range(5)]
    for batch in batches:
        assert batch.present.sum(1).tolist() == [len(w.objects) for w in batch.worlds]
        assert batch.positions.shape == (len(batch), T, 4, 3)
        assert (batch.quats[~batch.present[:, None].expand(-1, T, -1)] == batch.quats.new_tensor([1, 0, 0, 0])).all()  # fmt: skip
    with pytest.raises(ValueError, match="expected at most 1"):
        stack_worlds([make_world(1)], objects=1)


def test_centroids_and_visibility() -> None:
    world = make_world(0)
    masks = np.zeros_like(world.masks)
    masks[0, 0, 2:4, 1:5] = 1
    world = dataclasses.replace(world, masks=masks)
    np.testing.assert_allclose(world.centroids()[0, 0, 0], [3.0, 3.0])
    assert np.isnan(world.centroids()[1:]).all()
    assert world.visible.sum() == 1 and world.visible[0, 0, 0]


def test_damage_is_found(folder: Path) -> None:
    check_worlds(folder)
    path = folder / "shard-00001.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert read_shard(folder, 1) is None and read_shard(folder, 0) is not None
    with pytest.raises(ValueError, match="shard-00001.safetensors got other bytes"):
        check_worlds(folder)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="expected a whole shard"):
        open_worlds(folder)[4]


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make-worlds"):
        open_worlds(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="split got 'tset'"):
        open_worlds(folder, split="tset")
    index = json.loads((folder / "worlds.json").read_text())
    (folder / "worlds.json").write_text(json.dumps({**index, "complete": False}))
    with pytest.raises(ValueError, match="not finished"):
        open_worlds(folder)
    (folder / "worlds.json").write_text(json.dumps({**index, "format": "other"}))
    with pytest.raises(ValueError, match="format 'other'"):
        open_worlds(folder)
    with pytest.raises(ValueError, match="tracks got shape"):
        dataclasses.replace(make_world(1), objects=make_world(1).objects[:1])


def test_the_same_worlds_give_the_same_bytes(tmp_path: Path) -> None:
    a = write_shard(tmp_path / "a", 0, [make_world(k) for k in range(2)])
    b = write_shard(tmp_path / "b", 0, [make_world(k) for k in range(2)])
    assert a == b
    assert a != write_shard(tmp_path / "c", 0, [make_world(k) for k in (0, 2)])
