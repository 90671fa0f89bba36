"""The example of gsplat's own loop runs, and its checkpoint is one that gsplat's trainer could have written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clay4d.renderers.render import render
from clay4d.scenes import Gaussians
from clay4d.scenes.exchange import from_gsplat, read_gsplat, to_gsplat, write_gsplat
from clay4d.scenes.loaders import write_transforms

ROOT = Path(__file__).resolve().parents[2]


def call(*args: object) -> str:
    """The example, as its first lines say; its stdout."""
    line = [sys.executable, str(ROOT / "examples" / "gsplat_trainer.py"), *map(str, args)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def decibels(out: str) -> float:
    """What the last line says."""
    return float(out.strip().splitlines()[-1].split()[-2])


@pytest.fixture
def still(tmp_path: Path) -> Path:
    """Twelve pictures of three blobs that stand still."""
    import math

    from clay4d.renderers.paths import look_at
    from clay4d.scenes import Cameras

    means = torch.tensor([[0.5, 0.0, 0.2], [-0.4, 0.4, -0.2], [0.0, -0.4, 0.3]])
    g = Gaussians.from_points(
        means, torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.3, 0.9], [0.2, 0.8, 0.1]])
    )
    g = Gaussians(g.means, g.quats, torch.full((3, 3), 0.15), torch.full((3,), 0.95), g.sh)
    angles = [2.4 * k for k in range(12)]
    eyes = torch.tensor(
        [[4 * math.cos(a), 4 * math.sin(a), 1.0 + 0.3 * (k % 3)] for k, a in enumerate(angles)]
    )
    K = torch.tensor([[62.0, 0, 24], [0, 62.0, 24], [0, 0, 1]]).expand(12, 3, 3)
    views = look_at(eyes.double(), torch.zeros(3, dtype=torch.float64)).float()
    cameras = Cameras(views, K, 48, 48, torch.zeros(12))
    pixels = (render(g, cameras).images.clamp(0, 1) * 255 + 0.5).byte().numpy()
    splits = {"train": (cameras[:9], pixels[:9]), "test": (cameras[9:], pixels[9:])}
    bounds = torch.tensor([[-1.0] * 3, [1.0] * 3])
    write_transforms(tmp_path / "data", splits, bounds=bounds)
    return tmp_path / "data"


def test_gsplats_loop_trains_and_goes_on(still: Path, tmp_path: Path) -> None:
    """More steps from a checkpoint are better than the first ones, on views that were held out."""
    first, second = tmp_path / "a.pt", tmp_path / "b.pt"
    early = decibels(call("--data", still, "--out", first, "--steps", 120, "--count", 300))
    later = decibels(
        call("--data", still, "--out", second, "--steps", 200, "--start", first)
    )  # fmt: skip
    assert later > early > 15
    held = torch.load(second, weights_only=True)
    assert held["step"] == 199 and set(held["splats"]) == {
        "means", "quats", "scales", "opacities", "sh0", "shN",
    }  # fmt: skip


def some(count: int = 7) -> dict[str, torch.Tensor]:
    """Parameters of a few Gaussians, none of them round numbers."""
    draws = torch.Generator().manual_seed(3)
    points = torch.rand(count, 6, generator=draws)
    gaussians = Gaussians.from_points(points[:, :3].contiguous(), points[:, 3:].contiguous())
    return to_gsplat(gaussians, sh_degree=2)


def test_a_state_dict_as_gsplat_saves_it_is_read(tmp_path: Path) -> None:
    """Parameters in a ParameterDict, some of them views into larger memory, beside other entries."""
    splats = torch.nn.ParameterDict({k: torch.nn.Parameter(v) for k, v in some().items()})
    state = splats.state_dict()
    state["quats"] = torch.arange(56.0).reshape(8, 7).T[:, 2:6]
    torch.save({"step": 29999, "splats": state, "world_size": 1}, tmp_path / "ckpt.pt")
    read, expected = read_gsplat(tmp_path / "ckpt.pt"), from_gsplat(state)
    for name, value in expected.tensors().items():
        assert torch.equal(getattr(read, name), value.detach()), name


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("never",))


@pytest.mark.parametrize(
    ("held", "says"),
    [
        ({"step": 1}, "no splats"),
        ({"splats": {"means": torch.zeros(2, 3)}}, "no quats"),
        ({"splats": _Evil()}, "io.open to run"),
        ({"splats": {**some(), "means": torch.full((7, 3), float("nan"))}}, "NaN"),
        ({"splats": {**some(), "quats": torch.zeros(6, 4)}}, "quats got shape"),
    ],
)  # fmt: skip
def test_what_is_no_such_checkpoint_is_refused(held: object, says: str, tmp_path: Path) -> None:
    """In one line, and nothing in it is run."""
    torch.save(held, tmp_path / "bad.pt")
    with pytest.raises(ValueError, match=says):
        read_gsplat(tmp_path / "bad.pt")


def test_claims_of_size_take_no_memory(tmp_path: Path) -> None:
    """A tensor of 2^40 rows that repeat one number, and a file cut short."""
    wide = {**some(), "means": torch.zeros(1).as_strided((1 << 40, 3), (0, 0))}
    torch.save({"splats": wide}, tmp_path / "wide.pt")
    with pytest.raises(ValueError, match="a tensor of shape"):
        read_gsplat(tmp_path / "wide.pt")
    write_gsplat(tmp_path / "a.pt", some())
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a checkpoint"):
        read_gsplat(tmp_path / "cut.pt")
