"""The gate before gsplat's CUDA backend, what it passes on, and (on a GPU) that it draws what the CPU draws."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import gsplat
import pytest
import torch
from torch import Tensor

from clay4d.renderers import rasterization
from clay4d.renderers.gsplat_backend import rasterization_gsplat
from clay4d.renderers.rasterization import rasterization_cpu
from clay4d.renderers.settings import Blending


def scene() -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    n = 200
    view = torch.eye(4)
    view[2, 3] = 3
    return [
        torch.randn(n, 3, generator=g) * 0.6,
        torch.randn(n, 4, generator=g),
        torch.rand(n, 3, generator=g) * 0.2 + 0.02,
        torch.rand(n, generator=g) * 0.9 + 0.05,
        torch.randn(n, 9, 3, generator=g) * 0.4,
        view[None],
        torch.tensor([[[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]]),
    ]


def test_the_signature_is_that_of_the_cpu_backend() -> None:
    ours, cpu = (inspect.signature(f).parameters for f in (rasterization_gsplat, rasterization_cpu))
    assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in cpu.values()]


def test_without_cuda_the_error_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="backend got 'gsplat' without a CUDA.*backend='cpu'"):
        rasterization(*scene(), 64, 48, sh_degree=2, backend="gsplat")


def test_tensors_on_the_cpu_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="means got a tensor on cpu; expected a CUDA device"):
        rasterization(*scene(), 64, 48, sh_degree=2, backend="gsplat")


@pytest.mark.parametrize("change", [{"max_alpha": 0.99}, {"blending": Blending(t_min=1e-3)}])
def test_other_constants_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError, match="blending=.* is not supported by backend"):
        rasterization(*scene(), 64, 48, sh_degree=2, backend="gsplat", **change)


def test_every_argument_reaches_gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    real = inspect.signature(gsplat.rasterization)

    def fake(*args: Any, **kwargs: Any) -> str:
        seen.update(real.bind(*args, **kwargs).arguments)
        return "drawn"

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gsplat, "rasterization", fake)
    names = ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "backgrounds")
    given: dict[str, Any] = {name: SimpleNamespace(is_cuda=True) for name in names}
    given |= {
        "width": 64, "height": 48, "near_plane": 0.2, "far_plane": 9.0, "radius_clip": 1.0,
        "eps2d": 0.1, "sh_degree": 2, "packed": False, "render_mode": "RGB+ED", "absgrad": True,
        "rasterize_mode": "antialiased", "channel_chunk": 7,
    }  # fmt: skip
    assert rasterization_gsplat(**given, blending=Blending()) == "drawn"
    assert seen == given


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("mode", ["RGB", "RGB+ED"])
@pytest.mark.parametrize("packed", [True, False])
def test_draws_what_the_cpu_draws(mode: str, packed: bool) -> None:
    results = []
    for device in ("cpu", "cuda"):
        leaves = [x.to(device).requires_grad_(i < 5) for i, x in enumerate(scene())]
        image, alpha, meta = rasterization(
            *leaves, 64, 48, sh_degree=2, render_mode=mode, packed=packed, absgrad=True
        )
        meta["means2d"].retain_grad()
        (image[..., :3].square().sum() + alpha.sum()).backward()
        gradients = [x.grad.cpu() for x in leaves[:5]]
        results.append([image.detach().cpu(), alpha.detach().cpu(), *gradients])
    for name, a, b in zip(("image", "alpha", *"means quats scales opacities sh".split()), *results):
        assert (a - b).norm() < 1e-3 * b.norm(), name
