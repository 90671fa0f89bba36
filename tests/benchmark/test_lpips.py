"""LPIPS by weights that are made up here, against AlexNet's layers put together by torch.nn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from clay4d.benchmark.lpips import lpips


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def test_it_is_the_paper_s_sum_over_five_layers(network: nn.Sequential, tmp_path: Path) -> None:
    places = {1: 0, 2: 3, 3: 6, 4: 8, 5: 10}
    tensors = {f"net.slice{p}.{i}.{n}": x.detach() for p, i in places.items() for n, x in network[i].named_parameters()}  # fmt: skip
    sizes = (64, 192, 384, 256, 256)
    heads = [torch.rand(1, n, 1, 1) for n in sizes]
    for k, head in enumerate(heads):
        tensors[f"lins.{k}.model.1.weight" if k == 2 else f"lin{k}.model.1.weight"] = head
    save_file(tensors, tmp_path / "w.safetensors")
    a, b = np.random.default_rng(0).random((2, 48, 64, 3))
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x, y = (torch.from_numpy(((p * 2 - 1) - shift) / scale).float().permute(2, 0, 1)[None] for p in (a, b))  # fmt: skip
    total = 0.0
    with torch.no_grad():
        for n, layer in enumerate(network):
            x, y = layer(x), layer(y)
            if n - 1 in places.values():
                u, v = nn.functional.normalize(x, dim=1), nn.functional.normalize(y, dim=1)
                head = heads[list(places.values()).index(n - 1)]
                total += float(nn.functional.conv2d((u - v) ** 2, head).mean())
    assert lpips(a, b, weights=tmp_path / "w.safetensors") == pytest.approx(total, rel=1e-5)
    assert lpips(a, a, weights=tmp_path / "w.safetensors") == 0
    with pytest.raises(ValueError, match=r"pictures got \[16, 64, 3\]"):
        lpips(a[:16], b[:16], weights=tmp_path / "w.safetensors")


def test_files_that_have_no_weights_are_named(tmp_path: Path) -> None:
    a = np.zeros((32, 32, 3))
    with pytest.raises(FileNotFoundError, match="does not bring"):
        lpips(a, a, weights=tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"x" * 99)
    with pytest.raises(ValueError, match="expected a safetensors file"):
        lpips(a, a, weights=tmp_path / "bad")
    save_file({"other": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(ValueError, match=r"without net.slice1.0.weight"):
        lpips(a, a, weights=tmp_path / "other")
