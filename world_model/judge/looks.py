"""What an object's pictures show: a small network that reads shape and colour off crops.

It learns from the worlds' own pictures and never from anything that the world model makes, so it can
say of both what is to be seen in them.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from clay4d.physics_baseline.planner.vocabulary import PALETTE
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.world_model.worlds.things import FIXTURES, SHAPES

NAMES: dict[str, tuple[str, ...]] = {
    "shape": (*SHAPES, *FIXTURES),
    "colour": tuple(PALETTE),
}
"""What can be said of an object; colours are those of things that move."""
FORMAT = "clay4d-judge-1"
SIDE = 16
"""Pixels of a crop's side."""
LEAST = 12
"""Pixels of a mask below which a picture says nothing."""


class LooksJudge(nn.Module):
    """Crops of one object → what it is, for each crop.

    >>> judge = LooksJudge()
    >>> said = judge(torch.rand(5, 4, SIDE, SIDE))
    >>> said["shape"].shape, said["colour"].shape
    (torch.Size([5, 8]), torch.Size([5, 8]))
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, width, 3, padding=1), nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, stride=2), nn.GELU(),
            nn.Conv2d(width, 2 * width, 3, padding=1, stride=2), nn.GELU(),
            nn.Flatten(), nn.Linear(2 * width * (SIDE // 4) ** 2, 64), nn.GELU(),
        )  # fmt: skip
        self.heads = nn.ModuleDict({k: nn.Linear(64, len(v)) for k, v in NAMES.items()})

    def forward(self, crops: Float[Tensor, "N 4 S S"]) -> dict[str, Float[Tensor, "N K"]]:
        """Logits of each thing that can be said."""
        state = self.layers(crops)
        return {k: head(state) for k, head in self.heads.items()}

    def save(self, path: Path) -> None:
        """Write the judge to one safetensors file."""
        write_tensors(path, self.state_dict(), {"format": FORMAT, "names": NAMES})

    @classmethod
    def load(cls, path: Path) -> LooksJudge:
        """Read a judge that `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: damaged, no judge, or one of other words.
        """
        tensors, header = read_tensors(path)
        judge = cls()
        own = judge.state_dict()
        said = {k: tuple(v) for k, v in header.get("names", {}).items()}
        shapes = {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in own.items()}
        if header.get("format") != FORMAT or said != NAMES or not shapes:
            raise ValueError(
                f"{path} got no judge of this version; expected format {FORMAT!r}. Train one with: "
                "clay4d train-world"
            )
        judge.load_state_dict(tensors)
        return judge.eval()

    @torch.no_grad()
    def look(
        self, images: Float[Tensor, "P H W 3"], masks: UInt8[Tensor, "P H W"], count: int
    ) -> list[dict[str, str] | None]:
        """What each of the objects 1 to `count` looks like over all pictures; None if never seen."""
        said: list[dict[str, str] | None] = []
        for k in range(1, count + 1):
            own = masks == k
            seen = own.flatten(1).sum(1) >= LEAST
            if not seen.any():
                said.append(None)
                continue
            logits = self(crops_of(images[seen], own[seen]))
            said.append(
                {n: NAMES[n][int(F.log_softmax(x, -1).sum(0).argmax())] for n, x in logits.items()}
            )
        return said


def crops_of(
    images: Float[Tensor, "P H W 3"], own: Float[Tensor, "P H W"] | Tensor
) -> Float[Tensor, "P 4 S S"]:
    """Square crops around masks, a pixel wider, with all else dark, and the masks as fourth channel.

    >>> own = torch.zeros(1, 32, 32); own[:, 8:16, 8:16] = 1
    >>> crops_of(torch.ones(1, 32, 32, 3), own)[0, 0].mean() > 0.5
    tensor(True)
    """
    member = own.float()
    height, width = member.shape[1:]
    rows, columns = member.amax(2), member.amax(1)
    y0, y1 = _ends(rows)
    x0, x1 = _ends(columns)
    half = 0.5 * torch.maximum(y1 - y0, x1 - x0) + 1
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x = ((x0 + x1) / 2)[:, None] + half[:, None] * line
    y = ((y0 + y1) / 2)[:, None] + half[:, None] * line
    grid = torch.stack(
        [
            (x / width * 2 - 1)[:, None].expand(-1, SIDE, -1),
            (y / height * 2 - 1)[:, :, None].expand(-1, -1, SIDE),
        ],
        -1,
    )
    shown = torch.cat([images.permute(0, 3, 1, 2) * member[:, None], member[:, None]], 1)
    cut: Tensor = F.grid_sample(shown, grid, align_corners=False)
    return cut


def _ends(line: Float[Tensor, "P L"]) -> tuple[Tensor, Tensor]:
    """First pixel that is set, and the one after the last."""
    count = line.shape[1]
    place = torch.arange(count)
    some = line > 0
    first = torch.where(some, place, count).amin(1)
    last = torch.where(some, place, -1).amax(1) + 1
    return first.float(), last.float()
