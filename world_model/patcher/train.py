"""Trains the byte model that comes with clay4d: `python -m clay4d.world_model.patcher.train OUT`.

The number of steps is fixed, so the same packages on the same machine give the same bits.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clay4d.jit import one_torch_thread
from clay4d.scenes.store import write_tensors
from clay4d.world_model.patcher.byte_model import FORMAT, START, WEIGHTS
from clay4d.world_model.patcher.corpus import build_corpus


@dataclass(frozen=True)
class ByteTraining:
    """How the byte model is trained; the defaults made the released weights."""

    width: int = 48
    units: int = 192
    steps: int = 1500
    batch: int = 48
    length: int = 160
    """Bytes of a sequence."""
    rate: float = 4e-3
    seed: int = 0


class ByteGRU(nn.Module):
    """The trainable twin of `ByteModel`."""

    def __init__(self, width: int, units: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(257, width)
        self.gru = nn.GRU(width, units, batch_first=True)
        self.head = nn.Linear(units, 256)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [N,L,256] of the byte after each token [N,L]."""
        states, _ = self.gru(self.embedding(tokens))
        logits: Tensor = self.head(states)
        return logits

    def arrays(self) -> dict[str, Tensor]:
        """The weights under the names that `ByteModel` gives them."""
        gru: Any = self.gru
        return {
            "embedding": self.embedding.weight, "input": gru.weight_ih_l0,
            "input_bias": gru.bias_ih_l0, "state": gru.weight_hh_l0, "state_bias": gru.bias_hh_l0,
            "head": self.head.weight, "head_bias": self.head.bias,
        }  # fmt: skip


class Windows:
    """Sequences of a text: half begin where one of its lines does, half anywhere."""

    def __init__(self, data: bytes, length: int, seed: int) -> None:
        self.data = torch.frombuffer(bytearray(data), dtype=torch.uint8).long()
        ends = np.nonzero(np.frombuffer(data, np.uint8) == ord("\n"))[0] + 1
        self.starts = ends[ends < len(data) - length]
        self.length, self.rng = length, np.random.default_rng(seed)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Tokens [N,L] that begin with `START`, and the bytes [N,L] to foretell."""
        lines = self.rng.choice(self.starts, count)
        anywhere = self.rng.integers(0, len(self.data) - self.length, count)
        first = torch.from_numpy(np.where(self.rng.random(count) < 0.5, lines, anywhere))
        targets = self.data[first[:, None] + torch.arange(self.length)]
        start = torch.full((count, 1), START)
        return torch.cat([start, targets[:, :-1]], 1), targets


def train_byte_model(out: str | Path, options: ByteTraining, *, progress: bool = True) -> float:
    """Train on `build_corpus` and write the weights.

    Returns:
        Bits per byte on the held-out text.
    """
    from rich.progress import track

    torch.manual_seed(options.seed)
    began, busy = time.monotonic(), time.process_time()
    text, held, about = build_corpus()
    model = ByteGRU(options.width, options.units)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.rate, total_steps=options.steps, pct_start=0.05
    )
    windows = Windows(text, options.length, options.seed)
    for _ in track(range(options.steps), "byte model", disable=not progress):
        tokens, targets = windows.draw(options.batch)
        loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    bits = held_out_bits(model, held, options.length)
    header = {
        "format": FORMAT, "training": vars(options), "corpus": about,
        "held_out_bits_per_byte": round(bits, 4),
    }  # fmt: skip
    write_tensors(out, model.arrays(), header)
    minutes, own = (time.monotonic() - began) / 60, (time.process_time() - busy) / 60
    print(json.dumps(header), f"{minutes:.1f} minutes, {own:.1f} of processor", file=sys.stderr)
    return bits


@torch.no_grad()
def held_out_bits(model: nn.Module, held: bytes, length: int) -> float:
    """Bits per byte over 512 windows of held-out text."""
    tokens, targets = Windows(held, length, seed=1).draw(512)
    losses = [
        float(F.cross_entropy(model(a).flatten(0, 1), b.flatten()))
        for a, b in zip(tokens.split(64), targets.split(64))
    ]
    return float(np.mean(losses) / np.log(2))


if __name__ == "__main__":
    one_torch_thread()
    train_byte_model(sys.argv[1] if len(sys.argv) > 1 else WEIGHTS, ByteTraining())
