"""clay4d inside nerfstudio: trained, measured and exported there; skipped without `make nerfstudio`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from on_disk import written

from clay4d.cli import main
from clay4d.plugins.nerfstudio import launch
from clay4d.plugins.nerfstudio.compat import at_home, on_cpu
from clay4d.scenes import Dataset
from clay4d.scenes.loaders import load_dataset
from clay4d.scenes.store import load_scene
from clay4d.training.evaluate import evaluate

TINY = {
    "motion": {"kind": "control-nodes", "nodes": 20, "width": 16, "depth": 2, "start": 0.1},
    "start": {"count": 150},
    "density": {"kind": "mcmc-density", "cap": 200, "begin": 10, "every": 10},
    "schedule": {"coarse": [[0.0, 0.5], [0.3, 1.0]], "sh_degree": 1},
}
STEPS = 60


@pytest.fixture(scope="module")
def python() -> Path:
    """nerfstudio's Python."""
    try:
        return launch.find_python()
    except ModuleNotFoundError:
        pytest.skip("no nerfstudio here; `make nerfstudio` installs it")


@pytest.fixture(scope="module")
def run(python: Path, swinging: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ns-train on a small moving scene: its folder."""
    folder = tmp_path_factory.mktemp("nerfstudio")
    written(swinging, folder / "data")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    call(
        python, "train", "clay4d", "--pipeline.model.preset", folder / "tiny.yaml", "--max-num-iterations", STEPS,
        "--output-dir", folder / "out", "--vis", "tensorboard",
        "clay4d-data", "--data", folder / "data", "--pictures", folder / "pictures",
    )  # fmt: skip
    (config,) = (folder / "out").rglob("config.yml")
    return config.parent


def call(python: Path, command: str, *args: object) -> str:
    """One of nerfstudio's commands, as the wrapper runs it; its stdout."""
    line = [str(python), "-m", "clay4d.plugins.nerfstudio", command, *map(str, args)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def psnr_of(scene_file: Path, data: Path) -> dict[str, float]:
    """Our own measure of a scene's file on the held-out views."""
    return evaluate(load_scene(scene_file), load_dataset(data).split("test"))


def test_it_trains_as_clay4d_train_does(run: Path, tmp_path: Path) -> None:
    """The steps are the same but for the order of the pictures."""
    assert (run / "nerfstudio_models" / f"step-{STEPS - 1:09d}.ckpt").is_file()
    folder = run.parents[3]
    assert load_scene(run / "scene.safetensors").duration == 1.0
    out = tmp_path / "ours"
    steps = ["--steps", str(STEPS)]
    args = ["train", str(folder / "tiny.yaml"), "--data", str(folder / "data"), *steps]
    assert main([*args, "--out", str(out)]) == 0
    ours = psnr_of(out / "scene.safetensors", folder / "data")
    theirs = psnr_of(run / "scene.safetensors", folder / "data")
    assert theirs["psnr"] == pytest.approx(ours["psnr"], abs=1.5)


def test_ns_eval_measures_as_we_do(python: Path, run: Path) -> None:
    """Cameras, times and pictures go through nerfstudio and give the same figure."""
    out = run / "eval.json"
    call(python, "eval", "--load-config", run / "config.yml", "--output-path", out)
    theirs = json.loads(out.read_text())["results"]
    ours = psnr_of(run / "scene.safetensors", run.parents[3] / "data")
    assert theirs["psnr"] == pytest.approx(ours["psnr"], abs=0.01)
    assert theirs["ssim"] == pytest.approx(ours["ssim"], abs=1e-3)


def test_ns_export_writes_the_start(python: Path, run: Path) -> None:
    """Its PLY holds the Gaussians of the first moment."""
    out = run / "export"
    call(
        python, "export", "gaussian-splat", "--load-config", run / "config.yml", "--output-dir", out
    )
    exported, first = (
        load_scene(path).at(0.0) for path in (out / "splat.ply", run / "scene.safetensors")
    )
    order = [np.lexsort(g.means.detach().numpy().T) for g in (exported, first)]
    assert len(exported) == len(first)
    for name in ("means", "scales", "opacities"):
        a, b = (getattr(g, name).detach().numpy()[o] for g, o in zip((exported, first), order))
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


INTERRUPTED = """
import sys
from pathlib import Path
from clay4d.plugins.nerfstudio import compat
compat.make_ready()
from nerfstudio.utils.eval_utils import eval_setup
_, pipeline, _, _ = eval_setup(Path(sys.argv[1]), test_mode="inference")
def stop(frame, event, arg):
    if "renderers" in frame.f_code.co_filename:
        raise KeyboardInterrupt
    return stop
camera = pipeline.datamanager.train_dataset.cameras[0:1]
sys.settrace(stop)
seen = pipeline.model.get_outputs_for_camera(camera)
sys.settrace(None)
print("drawn", tuple(seen["rgb"].shape), tuple(seen["depth"].shape))
"""


def test_the_viewer_cannot_break_a_kernel(python: Path, run: Path) -> None:
    """It interrupts by a trace function that raises; a picture is drawn to its end all the same."""
    line = [str(python), "-c", INTERRUPTED, str(run / "config.yml")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert "drawn (48, 48, 3) (48, 48, 1)" in done.stdout, done.stderr[-2000:]


def test_a_missing_environment_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """It names the command that makes it."""
    monkeypatch.setenv(launch.VARIABLE, str(tmp_path / "python"))
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    assert main(["ns-train", "clay4d", "--data", "d"]) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "make nerfstudio" in err


def test_other_methods_are_sent_to_the_cpu() -> None:
    """Unless the user says where, or asks for help."""
    assert on_cpu(["nerfacto", "--machine.device_type", "cuda"])[1] == "--machine.device_type"
    assert on_cpu(["--help"]) == ["--help"]
    assert at_home(["--viewer.websocket_host=0.0.0.0"]) == ["--viewer.websocket_host=0.0.0.0"]
    assert at_home(["--help"]) == ["--help"]
