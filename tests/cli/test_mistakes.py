"""Users' mistakes: one line on stderr, exit code 2, and nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors import SafetensorError

from clay4d.scenes import store
from clay4d.training import run

Result = tuple[int, str, str]
Listing = Callable[[Path], list[str]]
Fingerprint = Callable[[Path], str]


def change(data: Path, edit: Callable[[dict[str, Any]], object], split: str = "train") -> None:
    path = data / f"transforms_{split}.json"
    meta = json.loads(path.read_text())
    edit(meta)
    path.write_text(json.dumps(meta))


def truncate(data: Path) -> None:
    picture = data / "train/00003.png"
    picture.write_bytes(picture.read_bytes()[:-30])


def shrink(data: Path) -> None:
    Image.new("RGB", (20, 20)).save(data / "train/00003.png")


def skew(meta: dict[str, Any]) -> None:
    meta["frames"][2]["transform_matrix"][0][0] *= 1.2


def nan(meta: dict[str, Any]) -> None:
    meta["frames"][2]["transform_matrix"][0][3] = float("nan")


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing data": (lambda d: shutil.rmtree(d), "is not there"),
    "missing picture": (lambda d: (d / "train/00003.png").unlink(), "train/00003"),
    "truncated picture": (truncate, "cut off"),
    "wrong size": (shrink, "20×20 pixels; expected 48×48"),
    "NaN pose": (lambda d: change(d, nan), "00002"),
    "non-rigid pose": (lambda d: change(d, skew), "00002"),
    "unknown camera": (
        lambda d: change(d, lambda m: m.update(camera_model="EQUIRECTANGULAR")),
        "EQUIRECTANGULAR",
    ),
    "path out of the folder": (
        lambda d: change(d, lambda m: m["frames"][1].update(file_path="../../etc/passwd")),
        "inside the data folder",
    ),
    "empty split": (lambda d: change(d, lambda m: m.update(frames=[])), "train"),
    "times missing": (lambda d: change(d, lambda m: m["frames"][4].pop("time")), "time"),
    "not JSON": (lambda d: (d / "transforms_train.json").write_text("{"), "JSON"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_data_that_cannot_be_used_is_refused_at_the_door(
    case: str,
    pictures: Path,
    tiny: str,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    listing: Listing,
) -> None:
    data, out = tmp_path / "data", tmp_path / "some" / "run"
    shutil.copytree(pictures, data)
    spoil, words = SPOILED[case]
    spoil(data)
    before = listing(tmp_path)
    code, _, err = clay4d("train", tiny, "--data", data, "--out", out)
    assert code == 2
    assert words in err and "expected" in err
    assert err.count("\n") == 1 and err.startswith("clay4d: ")
    assert listing(tmp_path) == before


def test_a_config_with_an_unknown_key_is_refused(
    pictures: Path, tmp_path: Path, clay4d: Callable[..., Result], listing: Listing
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("stepz: 5\n")
    code, _, err = clay4d("train", own, "--data", pictures, "--out", tmp_path / "run")
    assert code == 2 and "unknown key 'stepz'" in err and err.count("\n") == 1
    assert listing(tmp_path) == ["own.yaml"]


@pytest.mark.parametrize(
    ("option", "value"), [
        ("--steps", "0"), ("--minutes", "-1"), ("--start.count", "0"), ("--losses.ssim", "1.5"),
        ("--rates.sh", "nan"), ("--motion.start", "-0.1"),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(
    option: str,
    value: str,
    pictures: Path,
    tiny: str,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    listing: Listing,
) -> None:
    args = ["--data", pictures, "--out", tmp_path / "run", option, value]
    code, _, err = clay4d("train", tiny, *args)
    assert code == 2 and f"got {value}" in err and err.count("\n") == 1
    assert listing(tmp_path) == []


def test_a_folder_that_holds_a_run_is_not_overwritten(
    trained: Path, pictures: Path, tiny: str, clay4d: Callable[..., Result], listing: Listing
) -> None:
    before = {n: (trained / n).stat().st_mtime_ns for n in listing(trained)}
    code, _, err = clay4d("train", tiny, "--data", pictures, "--out", trained)
    assert code == 2 and "holds a run already" in err and "--resume" in err
    assert {n: (trained / n).stat().st_mtime_ns for n in listing(trained)} == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("evaluate NOWHERE", "expected a folder that `clay4d train` wrote"),
        ("render NOWHERE", "expected a folder that `clay4d train` wrote"),
        ("evaluate RUN --split validation", "validation"),
        ("evaluate RUN --data NOWHERE", "is not there"),
        ("render RUN --path loop", "loop"),
        ("render RUN --out OUT.gif", ".mp4"),
        ("render RUN --scale 0", "got 0"),
        ("render RUN --frames 0 --out OUT.mp4", "got 0"),
        ("export RUN OUT.obj", "expected .gltf"),
        ("export RUN", "expected RUN and OUT"),
        ("export RUN OUT.glb --mesh --frames 3", "Name a folder"),
        ("export RUN OUT.spz --mesh", "expected .glb, .ply, .obj"),
        ("export RUN RUN OUT.ply", "runs got 2"),
        ("export RUN OUT.html --frames 1001", "frames got 1001"),
        ("export RUN OUT.ply --time 0 --frames 2", "Leave one out"),
        ("export RUN OUT.ply --frames 1", "at least 2"),
        ("export RUN OUT.ply --frames 3", "3 moments; expected one"),
        ("render RUN --fps -3 --out OUT.mp4", "got -3"),
    ],
)
def test_mistakes_about_a_run(
    args: str,
    words: str,
    trained: Path,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    listing: Listing,
) -> None:
    names = {"RUN": str(trained), "NOWHERE": str(tmp_path / "nowhere"), "OUT": f"{tmp_path}/out"}
    for name, value in names.items():
        args = args.replace(name, value)
    code, _, err = clay4d(*args.split())
    assert code == 2 and words in err and err.count("\n") == 1
    assert listing(tmp_path) == []


def test_a_run_cut_short_is_no_scene(
    trained: Path, tmp_path: Path, clay4d: Callable[..., Result]
) -> None:
    shutil.copytree(trained, tmp_path / "run")
    scene = tmp_path / "run/scene.safetensors"
    scene.write_bytes(scene.read_bytes()[:-100])
    assert clay4d("evaluate", tmp_path / "run")[0] == 2
    scene.unlink()
    code, _, err = clay4d("evaluate", tmp_path / "run")
    assert code == 2 and err.count("\n") == 1


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_before_the_first_checkpoint_leaves_nothing(
    pictures: Path,
    tiny: str,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    listing: Listing,
) -> None:
    monkeypatch.setattr(run, "save_checkpoint", full)
    code, _, err = clay4d("train", tiny, "--data", pictures, "--out", tmp_path / "a/run")
    assert code == 2 and "No space left" in err and err.count("\n") == 1
    assert listing(tmp_path) == []


def test_a_full_disk_keeps_the_last_good_checkpoint(
    pictures: Path,
    tiny: str,
    trained: Path,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    listing: Listing,
    fingerprint: Fingerprint,
) -> None:
    """The file under its temporary name is cut short; then there is room, and the run goes on."""
    save_file, calls = store.save_file, []

    def run_out(tensors: Any, path: Path, **options: Any) -> None:
        save_file(tensors, path, **options)
        calls.append(path)
        if len(calls) == 2:
            os.truncate(path, 1000)
            # What safetensors says where a disk is full in earnest.
            raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(store, "save_file", run_out)
    args = ["train", tiny, "--data", pictures, "--out", tmp_path / "run"]
    code, _, err = clay4d(*args)
    assert code == 2 and "No space left" in err
    assert not [n for n in listing(tmp_path) if "part" in n]
    monkeypatch.undo()
    assert clay4d(*args, "--resume")[0] == 0
    name = "scene.safetensors"
    assert fingerprint(tmp_path / "run" / name) == fingerprint(trained / name)


def test_a_reader_that_has_enough_is_no_mistake() -> None:
    command = [sys.executable, "-m", "clay4d", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
