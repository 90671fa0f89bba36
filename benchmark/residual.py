"""An engine with a learned residual: a small network says how far the nominal engine will be off.

It learned from worlds of the truth's engine, as the world model did, so it is what the same information
is worth to an engine. `python -m clay4d.benchmark.residual WORLDS --out FILE` trains it: on `train`
worlds, each turned and mirrored about the vertical at random; the step is chosen on `val`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from clay4d.benchmark.estimate import estimate
from clay4d.benchmark.observation import Observation, Prediction, observe_world
from clay4d.benchmark.systems import NominalEngine
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.world_model.worlds import open_worlds

FORMAT = "clay4d-residual-1"
WEIGHTS = Path(__file__).parent / "weights" / "residual.safetensors"
SEEN, AHEAD = 6, 18
SHAPES = ("ball", "cube", "cylinder", "capsule")
MATERIALS = ("plastic", "wood", "steel", "rubber")
PLAIN = len(SHAPES) + len(MATERIALS) + 3 + SEEN
"""Features that do not turn with the world: shape, material, size, which frames saw it."""
POINTS = SEEN + AHEAD + 1
"""Features that do: where it was seen, where the engine goes, where it is."""
STEP = 1 / 12


@dataclass(frozen=True)
class Sample:
    """What is known of N things, and by how much the engine was off."""

    plain: Float[Tensor, "N P"]
    points: Float[Tensor, "N Q 3"]
    """Metres; from the last place that was seen, which itself is the last of them."""
    off: Float[Tensor, "N A 3"]
    """Truth less engine, metres."""

    def turned(self, angle: Float[Tensor, " N"], flip: Float[Tensor, " N"]) -> Sample:
        """About the vertical by angles, and mirrored in x where `flip` is −1."""
        c, s, o, one = angle.cos(), angle.sin(), 0 * angle, 1 + 0 * angle
        rows = [torch.stack([c * flip, -s, o], -1), torch.stack([s * flip, c, o], -1)]
        R = torch.stack([*rows, torch.stack([o, o, one], -1)], 1)
        return Sample(self.plain, self.points @ R.mT, self.off @ R.mT)

    def of(self, which: Tensor) -> Sample:
        """Some of the things."""
        return Sample(self.plain[which], self.points[which], self.off[which])


class Residual(nn.Module):
    """Features of a thing → how far the engine will be off at each later moment.

    >>> Residual()(torch.zeros(2, PLAIN), torch.zeros(2, POINTS, 3)).shape
    torch.Size([2, 18, 3])
    """

    def __init__(self, width: int = 192) -> None:
        super().__init__()
        last = nn.Linear(width, 3 * AHEAD)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            nn.Linear(PLAIN + 3 * POINTS, width), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1), last,
        )  # fmt: skip

    def forward(
        self, plain: Float[Tensor, "N P"], points: Float[Tensor, "N Q 3"]
    ) -> Float[Tensor, "N A 3"]:
        """Metres."""
        out: Tensor = self.layers(torch.cat([plain, points.flatten(1)], 1))
        return out.reshape(-1, AHEAD, 3)


class ResidualEngine:
    """The nominal engine, put right by the network."""

    name = "engine-residual"

    def __init__(self, weights: str | Path | None = None) -> None:
        tensors, header = read_tensors(Path(weights or WEIGHTS))
        if header.get("format") != FORMAT:
            raise ValueError(f"weights got format {header.get('format')!r}; expected {FORMAT!r}.")
        self._model = Residual()
        self._model.load_state_dict(tensors)
        self._model.eval()
        self._engine = NominalEngine()

    def predict(self, observation: Observation, times: Float[np.ndarray, " T"]) -> Prediction:
        """The engine's trajectory and what the network adds to the paths of what moves."""
        plain = self._engine.predict(observation, times)
        clock = observation.times[-1] + STEP * np.arange(1, AHEAD + 1)
        engine = self._engine.predict(observation, clock).positions
        which, known, points = features(observation, engine)
        out = plain.positions.copy()
        if len(which):
            with torch.no_grad():
                added = self._model(known, points).double().numpy()
            line = np.concatenate([[observation.times[-1]], clock])
            for b, more in zip(which, added):
                ways = np.concatenate([np.zeros((1, 3)), more])
                out[:, b] += np.stack([np.interp(times, line, ways[:, k]) for k in range(3)], -1)
        return Prediction(out, plain.quats)


def features(
    observation: Observation, engine: Float[np.ndarray, "A B 3"]
) -> tuple[list[int], Float[Tensor, "N P"], Float[Tensor, "N Q 3"]]:
    """Which things move and were seen, and what is known of each."""
    found = estimate(observation)
    which, plain, points = [], [], []
    for b, thing in enumerate(observation.things):
        seen = found.seen[-SEEN:, b]
        if not thing.moves or not seen.any():
            continue
        path = np.nan_to_num(found.positions[-SEEN:, b])
        here = path[np.flatnonzero(seen)[-1]]
        path = np.where(seen[:, None], path - here, 0.0)
        lead = SEEN - len(path)
        path, seen = np.pad(path, ((lead, 0), (0, 0))), np.pad(seen, (lead, 0))
        kinds = [float(thing.shape == s) for s in SHAPES]
        kinds += [float(thing.material == m) for m in MATERIALS]
        plain.append([*kinds, *thing.size, *map(float, seen)])
        points.append(np.concatenate([path, engine[:, b] - here, here[None]]))
        which.append(b)
    shape = (-1, POINTS, 3)
    return which, torch.tensor(plain).float(), torch.tensor(np.array(points)).float().reshape(shape)


def collect(folder: str | Path, split: str, count: int) -> Sample:
    """Samples of the first worlds of a split."""
    worlds, engine = open_worlds(folder, split=split), NominalEngine()
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for k in range(min(count, len(worlds))):
        world = worlds.read(k)
        observation = observe_world(world, frames=SEEN)
        path = engine.predict(observation, world.times[SEEN:]).positions
        which, plain, points = features(observation, path)
        off = torch.from_numpy(world.tracks.positions[SEEN:] - path).float()[:, which]
        if which:
            rows.append((plain, points, off.transpose(0, 1)))
    return Sample(*(torch.cat(part) for part in zip(*rows)))


def train(
    train: Sample, val: Sample, *, steps: int = 6000, seed: int = 0
) -> tuple[Residual, list[tuple[int, float]]]:
    """The network of the step that erred least on `val`, and the errors at all steps looked at, metres."""
    torch.manual_seed(seed)
    draws = torch.Generator().manual_seed(seed)
    model = Residual()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, kept, errors = math.inf, model.state_dict(), []
    for step in range(steps + 1):
        if step % 250 == 0:
            model.eval()
            with torch.no_grad():
                error = float((model(val.plain, val.points) - val.off).norm(dim=-1).mean())
            model.train()
            errors.append((step, error))
            if error < best:
                best, kept = error, {k: v.clone() for k, v in model.state_dict().items()}
        chosen = torch.randint(0, len(train.plain), (256,), generator=draws)
        angle = torch.rand(256, generator=draws) * 2 * math.pi
        flip = torch.randint(0, 2, (256,), generator=draws) * 2.0 - 1
        batch = train.of(chosen).turned(angle, flip)
        # The distance, and not its square: few engines' futures are far off, and by much.
        loss = (model(batch.plain, batch.points) - batch.off).norm(dim=-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    model.load_state_dict(kept)
    return model.eval(), errors


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on worlds and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=800, help="of train worlds; a fifth of val's")
    parser.add_argument("--steps", type=int, default=6000)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    own = collect(given.worlds, "train", given.count)
    held = collect(given.worlds, "val", given.count // 5)
    model, errors = train(own, held, steps=given.steps)
    for step, error in errors:
        print(f"step {step}: {error:.4f} m on val")
    notes = {"format": FORMAT, "worlds": given.count, "things": len(own.plain), "val": min(e for _, e in errors)}  # fmt: skip
    write_tensors(given.out, model.state_dict(), notes)


if __name__ == "__main__":
    main()
