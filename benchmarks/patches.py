"""Ways to cut bytes into patches, compared at equal loss: `python benchmarks/patches.py [OUT.json]`.

One small model of patches (a local encoder and decoder on bytes, a global transformer on patches: the plan of the Byte
Latent Transformer) is trained from the same start on the same windows, once for each way to cut. Loss is held-out
bits per byte. The figure that counts is how many operations each needed, in training and for a byte at inference,
to reach the loss that all of them reached.
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

from clay4d.world_model.patcher import (
    FixedSize,
    GlobalThreshold,
    Monotonic,
    Rule,
    SingleBytes,
    Whitespace,
    load_byte_model,
    patch_starts,
)
from clay4d.world_model.patcher.corpus import build_corpus

LOCAL, WINDOW = 64, 16
"""Width of the byte layers, and how far back they look."""
GLOBAL, LAYERS, HEADS = 128, 3, 4
LENGTH, BATCH, STEPS, EVERY = 192, 12, 700, 50
TEXT = 500_000
"""Bytes of training text."""


class Layer(nn.Module):
    """A transformer's layer: attention where `seen` allows it, then a feed-forward block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        n, length, width = x.shape
        qkv = self.qkv(self.norms[0](x)).view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], attn_mask=seen)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, length, width))
        return x + self.down(F.gelu(self.up(self.norms[1](x))))


class PatchModel(nn.Module):
    """Bytes → patches → the next patch's context → bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.byte, self.place = nn.Embedding(257, LOCAL), nn.Embedding(LENGTH, GLOBAL)
        self.encoder, self.decoder = Layer(LOCAL, 2), Layer(LOCAL, 2)
        self.rise, self.fall = nn.Linear(LOCAL, GLOBAL), nn.Linear(GLOBAL, LOCAL)
        self.first = nn.Parameter(torch.zeros(GLOBAL))
        self.layers = nn.ModuleList([Layer(GLOBAL, HEADS) for _ in range(LAYERS)])
        self.head = nn.Linear(LOCAL, 256)

    def forward(self, data: Tensor, starts: Tensor) -> Tensor:
        """Logits [N,L,256] of each byte [N,L] from those before it; `starts` [N,L] cuts patches."""
        n, length = data.shape
        at = torch.arange(length)
        band = (at[:, None] >= at) & (at[:, None] - at < WINDOW)
        shifted = torch.cat([torch.full((n, 1), 256), data[:, :-1]], 1)
        local = self.encoder(self.byte(shifted), band)  # At t: what is known before byte t.
        patch = starts.long().cumsum(1) - 1
        count = int(patch.max()) + 1
        # A patch is known when the next one starts: there the encoder has read its last byte.
        known = torch.zeros(n, count, dtype=torch.long).scatter_reduce(1, patch, at.expand(n, -1), "amin", include_self=False)  # fmt: skip
        pooled = self.rise(local.gather(1, known[..., None].expand(-1, -1, LOCAL)))
        x = pooled + self.place.weight[:count]
        x = torch.cat([(self.first + self.place.weight[0]).expand(n, 1, -1), x[:, 1:]], 1)
        causal = torch.ones(count, count, dtype=torch.bool).tril()
        for layer in self.layers:
            x = layer(x, causal)
        context = self.fall(x).gather(1, patch[..., None].expand(-1, -1, LOCAL))
        logits: Tensor = self.head(self.decoder(local + context, band))
        return logits


@dataclass(frozen=True)
class Text:
    """Bytes and, for each way to cut, where patches start; texts are lines, each cut by itself."""

    data: Tensor
    starts: dict[str, Tensor]
    firsts: np.ndarray

    def draw(self, name: str, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Windows [N,L] that begin with a line, and their patches' starts."""
        first = torch.from_numpy(rng.choice(self.firsts, count))
        rows = first[:, None] + torch.arange(LENGTH)
        return self.data[rows], self.starts[name][rows]


def cut(data: bytes, rules: dict[str, Rule]) -> Text:
    lines = data.splitlines(keepends=True)
    starts = {
        name: torch.from_numpy(np.concatenate([patch_starts(line, rule) for line in lines]))
        for name, rule in rules.items()
    }
    firsts = np.cumsum([0, *map(len, lines)])[:-1]
    bytes_ = torch.frombuffer(bytearray(data), dtype=torch.uint8).long()
    return Text(bytes_, starts, firsts[firsts < len(data) - LENGTH])


def operations(model: PatchModel, per_byte: float) -> float:
    """Floating-point operations of a forward pass for one byte, at so many patches for a byte."""
    local = [*model.encoder.parameters(), *model.decoder.parameters(), *model.head.parameters()]
    weights = sum(p.numel() for p in local)
    step = sum(p.numel() for p in model.layers.parameters())
    step += sum(p.numel() for m in (model.rise, model.fall) for p in m.parameters())
    attention_local = 2 * 2 * 2 * WINDOW * LOCAL
    attention = LAYERS * 2 * 2 * (per_byte * LENGTH / 2) * GLOBAL
    return 2 * weights + attention_local + per_byte * (2 * step + attention)


@torch.no_grad()
def held_out(model: PatchModel, text: Text, name: str) -> float:
    rng = np.random.default_rng(1)
    losses = []
    for _ in range(8):
        data, starts = text.draw(name, rng, 16)
        losses.append(float(F.cross_entropy(model(data, starts).flatten(0, 1), data.flatten())))
    return float(np.mean(losses) / np.log(2))


def train(text: Text, held: Text, name: str) -> dict[str, Any]:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = PatchModel()
    per_byte = float(text.starts[name].float().mean())
    forward = operations(model, per_byte)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, total_steps=STEPS, pct_start=0.1
    )
    curve, began = [], time.monotonic()
    for step in range(1, STEPS + 1):
        data, starts = text.draw(name, rng, BATCH)
        loss = F.cross_entropy(model(data, starts).flatten(0, 1), data.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % EVERY == 0:
            curve.append((step, held_out(model, held, name)))
            print(f"{name:<14} {step:>5} {curve[-1][1]:.3f}", file=sys.stderr, flush=True)
    return {
        "name": name, "bytes_per_patch": 1 / per_byte, "flops_per_byte": forward, "curve": curve,
        "seconds": time.monotonic() - began, "parameters": sum(p.numel() for p in model.parameters()),
    }  # fmt: skip


def thresholds(data: bytes, per_byte: float) -> tuple[float, float]:
    """Thresholds of both entropy rules that cut about as often as asked."""
    model = load_byte_model()
    entropies = [model.entropies(line) for line in data.splitlines(keepends=True)]
    level = np.quantile(np.concatenate(entropies), 1 - per_byte)
    rise = np.quantile(np.concatenate([np.diff(e) for e in entropies]), 1 - per_byte)
    return round(float(level), 3), round(float(rise), 3)


def table(rows: list[dict[str, Any]], byte_model: int) -> str:
    """At the loss that all reached: operations to get there, and for a byte at inference."""
    target = max(min(b for _, b in row["curve"]) for row in rows)
    out = [
        f"Equal loss: {target:.3f} bits per byte, held out.", "",
        "| patches | bytes a patch | steps to equal loss | training, TFLOP | inference, MFLOP a byte | with the byte model | final bits per byte |",  # noqa: E501
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        step = next(s for s, b in row["curve"] if b <= target)
        entropy = 2 * byte_model if "entropy" in row["name"] else 0
        forward = row["flops_per_byte"]
        training = 3 * forward * step * BATCH * LENGTH + entropy * min(TEXT, step * BATCH * LENGTH)
        out.append(
            f"| {row['name']} | {row['bytes_per_patch']:.2f} | {step} | {training / 1e12:.2f} | "
            f"{forward / 1e6:.2f} | {(forward + entropy) / 1e6:.2f} | {row['curve'][-1][1]:.3f} |"
        )
    return "\n".join(out)


def main() -> None:
    torch.set_num_threads(1)
    text, held, _ = build_corpus(worlds=600)
    half = TEXT // 2  # The corpus is prompts first, then English.
    text = _ends(text, half)
    held = _ends(held, half // 8)
    spaces = float(cut(text, {"s": Whitespace()}).starts["s"].float().mean())
    level, rise = thresholds(text, spaces)
    rules: dict[str, Rule] = {
        "single bytes": SingleBytes(), "fixed, 4": FixedSize(4), "fixed, 6": FixedSize(6),
        "white space": Whitespace(), f"entropy > {level:.2f}": GlobalThreshold(level),
        f"entropy rises > {rise:.2f}": Monotonic(rise),
    }  # fmt: skip
    cuts, cuts_held = cut(text, rules), cut(held, rules)
    rows = [train(cuts, cuts_held, name) for name in rules]
    byte_model = load_byte_model().parameters
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps({"rows": rows, "byte_model": byte_model}, indent=1))
    print(table(rows, byte_model))


def _ends(data: bytes, size: int) -> bytes:
    """So many bytes from the start and from the end, cut at lines."""
    first, last = data[:size], data[-size:]
    return first[: first.rfind(b"\n") + 1] + last[last.find(b"\n") + 1 :]


if __name__ == "__main__":
    main()
