"""Worlds on disk: shards of safetensors and JSON with checksums, read one world at a time.

A picture and its mask are one deflate stream (RFC 1951 in zlib's wrapper, RFC 1950), so a set is some
ten times smaller than its pixels and any frame of any camera is read alone. docs/worlds.md has the
whole format.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from clay4d.files import written_whole
from clay4d.world_model.worlds.batch import WorldBatch, stack_worlds
from clay4d.world_model.worlds.checks import check_index, has_worlds
from clay4d.world_model.worlds.format import (
    FORMAT,
    SPLITS,
    Hidden,
    Question,
    Tracks,
    World,
    WorldEvent,
    WorldObject,
)

INDEX = "worlds.json"
LEVEL = 6
"""Of deflate."""
TRACKS = ("positions", "quats", "velocities", "angular_velocities")


def shard_name(number: int) -> str:
    """File name of a shard, without its ending.

    >>> shard_name(3)
    'shard-00003'
    """
    return f"shard-{number:05d}"


def write_shard(folder: str | Path, number: int, worlds: Sequence[World]) -> dict[str, Any]:
    """Write `shard-NUMBER.safetensors`, then `.json`: a shard with its JSON file is whole.

    Returns:
        What the index says of the shard: name, worlds, splits, bytes, sha256 of both files.

    Raises:
        OSError: the files cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, np.ndarray] = {}
    for world in worlds:
        tensors |= {f"{world.name}.{k}": v for k, v in _tensors(world).items()}
    data = save(tensors, metadata={"clay4d": FORMAT})
    name = shard_name(number)
    digest = hashlib.sha256(data).hexdigest()
    header = {"format": FORMAT, "sha256": digest, "worlds": [_words(w) for w in worlds]}
    text = json.dumps(header, indent=1, ensure_ascii=False) + "\n"
    _write(folder / f"{name}.safetensors", data)
    _write(folder / f"{name}.json", text.encode())
    return shard_entry(name, header, text.encode(), len(data))


def shard_entry(name: str, header: dict[str, Any], text: bytes, size: int) -> dict[str, Any]:
    """What the index says of a shard, from its parsed JSON, that file's bytes and its pictures'."""
    return {
        "name": name, "worlds": [w["name"] for w in header["worlds"]],
        "splits": [w["split"] for w in header["worlds"]], "bytes": size + len(text),
        "sha256": header["sha256"], "sha256_json": hashlib.sha256(text).hexdigest(),
    }  # fmt: skip


def write_index(folder: str | Path, recipe: dict[str, Any], shards: Sequence[Any]) -> None:
    """Write worlds.json: the recipe and, once all is made, the shards; none yet if it is begun."""
    index = {"format": FORMAT, "recipe": recipe, "complete": bool(shards), "shards": list(shards)}
    Path(folder).mkdir(parents=True, exist_ok=True)
    _write(Path(folder) / INDEX, (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode())


def read_index(folder: str | Path) -> dict[str, Any]:
    """What worlds.json holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is of another format.
    """
    path = Path(folder) / INDEX
    if not path.is_file():
        raise FileNotFoundError(
            f"worlds got {folder}; expected a folder with {INDEX}. Make one with: clay4d make-worlds"
        )
    index = _json(path)
    if index.get("format") != FORMAT:
        raise ValueError(
            f"{path} got format {index.get('format')!r}; expected {FORMAT!r}. Make the worlds again."
        )
    check_index(str(path), index)
    return index


def read_shard(folder: str | Path, number: int) -> dict[str, Any] | None:
    """The index entry of a shard that is whole, None for one that is not; reads all its bytes."""
    name = shard_name(number)
    data, text = (Path(folder) / f"{name}{end}" for end in (".safetensors", ".json"))
    if not (data.is_file() and text.is_file()):
        return None
    try:
        header = json.loads(text.read_bytes())
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or header.get("format") != FORMAT or not has_worlds(header):
        return None
    if header.get("sha256") != _sha256(data):
        return None
    return shard_entry(name, header, text.read_bytes(), data.stat().st_size)


def open_worlds(folder: str | Path, *, split: str | Sequence[str] | None = None) -> WorldSet:
    """The worlds of a folder, all of them or those of one or more splits; nothing is read yet.

    Raises:
        FileNotFoundError: no worlds.json.
        ValueError: unknown split, another format, a set that is not finished.
    """
    index = read_index(folder)
    if not index["complete"]:
        raise ValueError(
            f"worlds got {folder}, which is not finished; expected a whole set. Run the same "
            "clay4d make-worlds again: it goes on where it stopped."
        )
    wanted = SPLITS if split is None else (split,) if isinstance(split, str) else tuple(split)
    for name in wanted:
        if name not in SPLITS:
            raise ValueError(f"split got {name!r}; expected one of {', '.join(SPLITS)}.")
    places = [
        (shard["name"], k, name)
        for shard in index["shards"]
        for k, name in enumerate(shard["worlds"])
        if shard["splits"][k] in wanted
    ]
    return WorldSet(Path(folder), index["recipe"], tuple(places))


def check_worlds(folder: str | Path) -> None:
    """Compare every file of a set with its checksums.

    Raises:
        ValueError: naming the first file that is not what was written.
    """
    for shard in read_index(folder)["shards"]:
        for end, key in ((".safetensors", "sha256"), (".json", "sha256_json")):
            path = Path(folder) / f"{shard['name']}{end}"
            if not path.is_file() or _sha256(path) != shard[key]:
                raise ValueError(
                    f"{path} got other bytes than were written; expected sha256 {shard[key][:12]}…. "
                    "Delete it and run the same clay4d make-worlds again."
                )


@dataclasses.dataclass(frozen=True)
class WorldSet(Sequence[World]):
    """Worlds on disk in a fixed order; each access reads one world."""

    folder: Path
    recipe: dict[str, Any]
    """Preset, settings, seed and count they were made with."""
    places: tuple[tuple[str, int, str], ...]
    """Shard, row in the shard and name of each world."""

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        """A world, or the set of a slice."""
        if isinstance(index, slice):
            return dataclasses.replace(self, places=self.places[index])
        return self.read(index)

    def read(
        self,
        index: int,
        *,
        frames: Sequence[int] | None = None,
        cameras: Sequence[int] | None = None,
    ) -> World:
        """One world, with all its frames and cameras or the chosen ones only; tracks follow suit.

        Raises:
            IndexError: no such world, frame or camera.
            ValueError: its shard is damaged.
        """
        shard, row, name = self.places[index]
        words = self.words(index)
        path = self.folder / f"{shard}.safetensors"
        try:
            with safe_open(path, framework="np") as file:
                return _world(file, name, words, frames, cameras)
        except (
            SafetensorError, OSError, zlib.error, KeyError, TypeError, ValueError, AttributeError, OverflowError
        ) as error:  # fmt: skip
            raise ValueError(
                f"{path} got {repr(error)[:200]} for world {name[:20]!r}; expected a whole shard. Delete it and run "
                "the same clay4d make-worlds again."
            ) from error

    def words(self, index: int) -> dict[str, Any]:
        """What the shard's JSON says of a world (prompt, events, …), without touching its pictures."""
        shard, row, _ = self.places[index]
        path = self.folder / f"{shard}.json"
        words = _shard_words(path)
        if row >= len(words):
            raise ValueError(
                f"{path} got {len(words)} worlds; expected more. Delete it and run the same clay4d "
                "make-worlds again."
            )
        return words[row]

    def order(self, *, seed: int, epoch: int = 0) -> Int64[np.ndarray, " n"]:
        """A shuffle of the indices that depends on seed and epoch alone."""
        order: Int64[np.ndarray, " n"] = np.random.default_rng([seed, epoch]).permutation(len(self))
        return order

    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        epoch: int = 0,
        frames: Sequence[int] | None = None,
        cameras: Sequence[int] | None = None,
        objects: int | None = None,
        drop_last: bool = False,
    ) -> Iterator[WorldBatch]:
        """Batches through the set once: in its order, or shuffled by `seed` and `epoch`.

        Raises:
            ValueError: a size below 1.
        """
        if size < 1:
            raise ValueError(f"size got {size}; expected at least 1.")
        order = np.arange(len(self)) if seed is None else self.order(seed=seed, epoch=epoch)
        for start in range(0, len(self), size):
            chosen = order[start : start + size]
            if len(chosen) < size and drop_last:
                return
            read = [self.read(int(i), frames=frames, cameras=cameras) for i in chosen]
            yield stack_worlds(read, objects=objects)


def _tensors(world: World) -> dict[str, np.ndarray]:
    frames, cameras, height, width = world.masks.shape
    streams = [
        zlib.compress(world.images[t, c].tobytes() + world.masks[t, c].tobytes(), LEVEL)
        for t in range(frames)
        for c in range(cameras)
    ]
    ends = np.cumsum([0, *map(len, streams)], dtype=np.int64)
    tracks = {f"tracks.{k}": np.ascontiguousarray(getattr(world.tracks, k)) for k in TRACKS}
    return {
        "pictures": np.frombuffer(b"".join(streams), np.uint8), "offsets": ends,
        "shape": np.array([frames, cameras, height, width], np.int64), "times": world.times,
        "viewmats": world.viewmats, "Ks": world.Ks, **tracks,
    }  # fmt: skip


def _words(world: World) -> dict[str, Any]:
    return {
        "name": world.name, "split": world.split, "prompt": world.prompt,
        "paraphrases": list(world.paraphrases),
        "events": [dataclasses.asdict(e) for e in world.events],
        "questions": [dataclasses.asdict(q) for q in world.questions],
        "objects": [dataclasses.asdict(o) for o in world.objects],
        "hidden": dataclasses.asdict(world.hidden), "scene": world.scene,
    }  # fmt: skip


def _world(file: Any, name: str, words: dict[str, Any], frames: Any, cameras: Any) -> World:
    shape = _claimed_shape(file, name)
    chosen = np.arange(shape[0]) if frames is None else np.arange(shape[0])[list(frames)]
    views = np.arange(shape[1]) if cameras is None else np.arange(shape[1])[list(cameras)]
    images, masks = _pictures(file, name, shape, chosen, views)
    tracks = {k: file.get_tensor(f"{name}.tracks.{k}")[chosen] for k in TRACKS}
    return World(
        name=name,
        split=words["split"],
        times=file.get_tensor(f"{name}.times")[chosen],
        images=images,
        masks=masks,
        viewmats=file.get_tensor(f"{name}.viewmats")[views],
        Ks=file.get_tensor(f"{name}.Ks")[views],
        prompt=words["prompt"],
        paraphrases=tuple(words["paraphrases"]),
        events=tuple(WorldEvent(**e) for e in words["events"]),
        questions=tuple(
            Question(**{**q, "choices": tuple(q["choices"])}) for q in words["questions"]
        ),
        objects=tuple(WorldObject(**{**o, "size": tuple(o["size"])}) for o in words["objects"]),
        hidden=Hidden(**words["hidden"]),
        tracks=Tracks(**tracks),
        scene=words["scene"],
    )


def _pictures(file: Any, name: str, shape: Any, frames: Any, cameras: Any) -> tuple[Any, Any]:
    _, count, height, width = shape
    ends = file.get_tensor(f"{name}.offsets")
    stream = file.get_slice(f"{name}.pictures")
    images = np.empty((len(frames), len(cameras), height, width, 3), np.uint8)
    masks = np.empty(images.shape[:-1], np.uint8)
    size = height * width
    for i, t in enumerate(frames):
        for j, c in enumerate(cameras):
            k = t * count + c
            raw = np.frombuffer(
                _inflated(stream[ends[k] : ends[k + 1]].tobytes(), 4 * size), np.uint8
            )
            images[i, j] = raw[: 3 * size].reshape(height, width, 3)
            masks[i, j] = raw[3 * size :].reshape(height, width)
    return images, masks


def _claimed_shape(file: Any, name: str) -> list[int]:
    """Frames, cameras, height and width, if the pictures can be that many: deflate makes at most 1032
    bytes of one."""
    shape = file.get_tensor(f"{name}.shape").tolist()
    packed = file.get_slice(f"{name}.pictures").get_shape()
    whole = len(shape) == 4 and all(type(n) is int and n > 0 for n in shape)
    if not whole or len(packed) != 1 or 4 * math.prod(shape) > 1100 * packed[0]:
        raise ValueError(f"pictures of shape {shape} in {packed} bytes")
    return [int(n) for n in shape]


def _inflated(data: bytes, size: int) -> bytes:
    """What a deflate stream holds, `size` bytes of it and no more."""
    raw = zlib.decompressobj().decompress(data, size + 1)
    if len(raw) != size:
        raise ValueError(f"a picture of other than {size} bytes")
    return raw


@lru_cache(maxsize=512)
def _shard_words(path: Path) -> list[dict[str, Any]]:
    header = _json(path)
    if not has_worlds(header):
        raise ValueError(f"{path} got no list of worlds; expected one. Make the worlds again.")
    words: list[dict[str, Any]] = header["worlds"]
    return words


def _json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path} got {error}; expected JSON. Make the worlds again.") from error
    if not isinstance(raw, dict):
        raise ValueError(f"{path} got no mapping; expected one. Make the worlds again.")
    return raw


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as place:
        place.write_bytes(data)
