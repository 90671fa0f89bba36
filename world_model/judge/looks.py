"""What an object's pictures show: a small network that reads shape and colour off crops.

It learns from the worlds' own pictures and never from anything that the world model makes, so it can
say of both what is to be seen in them.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from clay4d.physics_baseline.planner.vocabulary import PALETTE
from clay4d.scenes.store import read_tensors, write_tensors
from clay4d.world_model.encoder.crops import SIDE, cut_crops
from clay4d.world_model.worlds.things import FIXTURES, SHAPES

NAMES: dict[str, tuple[str, ...]] = {
    "shape": (*SHAPES, *FIXTURES),
    "colour": tuple(PALETTE),
}
"""What can be said of an object; colours are those of things that move."""
FORMAT = "clay4d-judge-1"
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
    def load(cls, path: str | Path) -> LooksJudge:
        """Read a judge that `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: damaged, no judge, or one of other words.
        """
        tensors, header = read_tensors(path)
        judge = cls()
        own = judge.state_dict()
        names = {k: list(v) for k, v in NAMES.items()}
        shapes = {k: v.shape for k, v in tensors.items()} == {k: v.shape for k, v in own.items()}
        if header.get("format") != FORMAT or header.get("names") != names or not shapes:
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
        crops, well = crops_of(images, masks, count)
        for k in range(count):
            if not well[:, k].any():
                said.append(None)
                continue
            logits = self(crops[well[:, k], k])
            said.append(
                {n: NAMES[n][int(F.log_softmax(x, -1).sum(0).argmax())] for n, x in logits.items()}
            )
        return said


def crops_of(
    images: Float[Tensor, "P H W 3"], masks: UInt8[Tensor, "P H W"], count: int
) -> tuple[Float[Tensor, "P B 4 S S"], Bool[Tensor, "P B"]]:
    """Square crops around the objects 1 to `count`, a pixel wider, with all else dark, and the masks as
    fourth channel; and whether each is seen well enough.

    >>> masks = torch.zeros(1, 32, 32, dtype=torch.uint8); masks[:, 8:16, 8:16] = 1
    >>> crops, seen = crops_of(torch.ones(1, 32, 32, 3), masks, 2)
    >>> bool(crops[0, 0, 0].mean() > 0.5), seen.tolist()
    (True, [[True, False]])
    """
    pixels, _ = cut_crops(masks.numpy(), images.contiguous().numpy(), count, SIDE)
    index = torch.arange(1, count + 1, dtype=torch.uint8)
    area = (masks[:, None] == index[:, None, None]).sum((2, 3))
    return torch.from_numpy(pixels)[:, :, :4], area >= LEAST
