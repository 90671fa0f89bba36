"""The command line: help, presets, and the way from pictures to a video.

Most tests call `main` in this process, since each new one costs seconds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest
import yaml

from clay4d.cli import parse_train
from clay4d.config import preset_folder, presets
from clay4d.renderers.player import read_player
from clay4d.renderers.render import render
from clay4d.training import run
from clay4d.training.checks import check_config
from clay4d.training.config import TrainConfig

Result = tuple[int, str, str]
Listing = Callable[[Path], list[str]]


def test_help_names_every_command(clay4d: Callable[..., Result]) -> None:
    code, out, _ = clay4d("--help")
    assert code == 0
    for command in ("demo", "train", "evaluate", "render"):
        assert command in out
    assert clay4d()[1] == out


def test_presets_are_sub_commands_with_their_notes(clay4d: Callable[..., Result]) -> None:
    code, out, _ = clay4d("train", "--help")
    words = " ".join(out.replace("│", " ").split())
    assert code == 0
    for path in preset_folder().glob("*.yaml"):
        if "." in path.stem:
            continue
        note = path.read_text().splitlines()[0]
        assert path.stem in out
        assert note.startswith("# ") and note[2:].split(":")[0] in words


def test_every_preset_is_in_range() -> None:
    found = presets(TrainConfig, preset_folder())
    assert {"demo", "quick", "static"} <= found.keys()
    for _, config in found.values():
        check_config(config)


@pytest.mark.parametrize("command", ["train quick", "evaluate", "export", "render", "demo"])
def test_every_command_explains_its_options(command: str, clay4d: Callable[..., Result]) -> None:
    code, out, _ = clay4d(*command.split(), "--help")
    assert code == 0
    expected = {
        "train quick": ["--data", "--out", "--minutes", "--steps", "--seed", "--resume"],
        "evaluate": ["RUN", "--split", "--data"],
        "export": ["RUN", "OUT", "--time", "--frames"],
        "render": ["RUN", "--path", "--out", "--frames", "--scale", "--show"],
        "demo": ["--out", "--minutes", "--seed"],
    }[command]
    assert all(option in out for option in expected)


def test_the_command_line_has_the_last_word(tiny: str) -> None:
    given = parse_train(
        f"{tiny} --data a --out b --steps 7 --seed 5 --minutes 2 --motion.nodes 9".split()
    )
    assert (given.config.steps, given.config.seed, given.minutes) == (7, 5, 2.0)
    assert given.config.motion.nodes == 9  # type: ignore[union-attr]
    assert given.config.density.cap == 200


@pytest.mark.parametrize(
    "args",
    [
        "fly", "train", "train nothing --data a --out b", "train quick --out b",
        "train quick --data a --out b --step 5", "train quick --data a --out b --steps many",
        "evaluate", "render run --show smell",
    ],
)  # fmt: skip
def test_arguments_that_do_not_parse(
    args: str,
    clay4d: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listing: Listing,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = clay4d(*args.split())
    assert code == 2
    assert "Traceback" not in err and err
    assert listing(tmp_path) == []


def test_a_run_leaves_what_belongs_to_it(
    trained: Path, pictures: Path, tiny: str, listing: Listing
) -> None:
    names = listing(trained)
    assert {"config.yaml", "scene.safetensors", "checkpoint.safetensors"} <= set(names)
    assert any(n.startswith("previews/") for n in names)
    assert any(n.startswith("tensorboard/events") for n in names)
    assert not [n for n in names if "part" in n]
    resolved = yaml.safe_load((trained / "config.yaml").read_text())
    assert resolved["data"] == str(pictures)
    own = yaml.safe_load(Path(tiny).read_text())
    assert resolved["density"] == {**resolved["density"], **own["density"]}


def test_export_writes_what_the_suffix_says(
    trained: Path, tmp_path: Path, clay4d: Callable[..., Result]
) -> None:
    for name, start in (("a.ply", b"ply"), ("a.glb", b"glTF")):
        code, out, _ = clay4d("export", trained, tmp_path / name, "--time", "0.1")
        assert code == 0 and "Gaussians" in out
        assert (tmp_path / name).read_bytes().startswith(start)
    assert clay4d("export", trained, tmp_path / "sequence", "--frames", "3")[0] == 0
    assert len(list((tmp_path / "sequence").glob("frame_*.ply"))) == 3


def test_export_makes_a_page_of_runs_side_by_side(
    trained: Path, tmp_path: Path, clay4d: Callable[..., Result]
) -> None:
    """A run, its file, and its scene in a folder without a config, as `simulate` leaves one."""
    simulated = tmp_path / "simulated"
    simulated.mkdir()
    shutil.copy(trained / "scene.safetensors", simulated)
    assert clay4d("export", trained, tmp_path / "a.clay4d")[0] == 0
    page = tmp_path / "page.html"
    args = (trained, tmp_path / "a.clay4d", simulated, page, "--frames", "5", "--title", "Three")
    code, out, err = clay4d("export", *args)
    assert (code, err) == (0, "") and "MB. Open it" in out
    assert [scene.name for scene in read_player(page)] == [trained.name, "a", "simulated"]
    assert "<title>Three</title>" in page.read_text()


def test_files_of_gaussians_stand_in_for_runs(
    trained: Path, pictures: Path, tmp_path: Path, clay4d: Callable[..., Result]
) -> None:
    """Written from a run, read, drawn without data, measured with it, and written again."""
    for name in ("a.ply", "a.compressed.ply", "a.splat", "a.spz", "a.v4.spz"):
        file = tmp_path / name
        assert clay4d("export", trained, file)[0] == 0
        assert clay4d("export", file, tmp_path / f"again_{name}.ply")[0] == 0
    small = ("--frames", "2", "--scale", "0.06")
    assert clay4d("render", file, "--out", tmp_path / "shown", *small, "--up", "-y")[0] == 0
    assert [p.name for p in sorted((tmp_path / "shown").iterdir())] == [
        "frame_0000.png", "frame_0001.png"
    ]  # fmt: skip
    assert clay4d("evaluate", tmp_path / "a.spz", "--data", pictures)[0] == 0
    assert clay4d("export", trained, tmp_path / "sequence", "--frames", "3")[0] == 0
    assert clay4d("render", tmp_path / "sequence", "--out", tmp_path / "v.mp4", *small)[0] == 0
    code, _, err = clay4d("render", file, "--path", "spiral")
    assert code == 2 and "Give --data" in err
    (tmp_path / "b.spz").write_bytes(b"no splats here, whatever it says")
    code, _, err = clay4d("export", tmp_path / "b.spz", tmp_path / "b.ply")
    assert code == 2 and "b.spz got magic" in err and err.count("\n") == 1


def test_evaluate_prints_a_table_and_leaves_metrics(
    trained: Path, clay4d: Callable[..., Result]
) -> None:
    code, out, _ = clay4d("evaluate", trained)
    assert code == 0 and "PSNR" in out and "metrics.json" in out
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["split"] == "test" and metrics["images"] == len(metrics["per_image"]) == 6
    assert 0 < metrics["psnr"] < 60 and 0 < metrics["ssim"] <= 1
    assert f"{metrics['psnr']:.2f}" in out


def test_data_given_from_here_is_found_from_elsewhere(
    tiny: str, pictures: Path, tmp_path: Path, clay4d: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(pictures.parent)
    given = ("train", tiny, "--data", pictures.name, "--out", tmp_path / "run")
    assert clay4d(*given, "--steps", 10)[0] == 0
    monkeypatch.chdir(tmp_path)
    assert clay4d("evaluate", "run")[0] == 0


def test_data_that_was_moved_is_found_by_its_new_place(
    trained: Path, pictures: Path, tmp_path: Path, clay4d: Callable[..., Result]
) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run/config.yaml").write_text(yaml.safe_dump({**config, "data": "gone"}))
    assert clay4d("evaluate", tmp_path / "run")[0] == 2
    assert clay4d("evaluate", tmp_path / "run", "--data", pictures)[0] == 0


@pytest.mark.parametrize(
    ("path", "show", "size"),
    [("orbit", "color", (48, 48)), ("spiral", "depth", (48, 48)), ("test", "both", (96, 48))],
)
def test_render_draws_a_video(
    path: str,
    show: str,
    size: tuple[int, int],
    trained: Path,
    tmp_path: Path,
    clay4d: Callable[..., Result],
    listing: Listing,
) -> None:
    out = tmp_path / "videos" / "v.mp4"
    code, text, err = clay4d(
        "render", trained, "--path", path, "--show", show, "--frames", 5, "--out", out
    )
    assert (code, err) == (0, "")
    assert str(out) in text
    with av.open(str(out)) as video:
        frames = list(video.decode(video=0))
    assert len(frames) == 5 and (frames[0].width, frames[0].height) == size
    assert listing(out.parent) == ["v.mp4"]


def test_the_scene_of_a_run_is_what_python_gives(trained: Path) -> None:
    scene, config, data = run.load_run(trained)
    assert config.steps == 60
    camera = run.load_dataset(data).train.cameras[0]
    assert render(scene, camera).images.shape == (1, 48, 48, 3)


def test_refined_poses_are_left_with_the_run_and_used(
    clay4d: Callable[..., Result], pictures: Path, tiny: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code, _, err = clay4d("train", tiny, "--data", pictures, "--out", run, "--losses.poses")
    assert code == 0, err
    found = {}
    for name in ("poses.json", "elsewhere"):
        if name == "elsewhere":
            (run / "poses.json").rename(run / name)
        for split in ("train", "test"):
            assert clay4d("evaluate", run, "--split", split)[0] == 0
            found[name, split] = json.loads((run / "metrics.json").read_text())["psnr"]
    assert found["poses.json", "test"] == found["elsewhere", "test"]
    assert found["poses.json", "train"] != found["elsewhere", "train"]
    (run / "elsewhere").rename(run / "poses.json")
    code, out, err = clay4d("render", run, "--path", "train", "--frames", 3)
    assert code == 0 and "train.mp4: 3 frames" in out, err
