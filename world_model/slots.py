"""What the world model says of a scene: a slot for each object, its looks and its poses over time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from clay4d.world_model.worlds import WorldBatch


@dataclass(frozen=True)
class PosedFrames:
    """Pictures of N worlds at T moments by C cameras, which may move."""

    images: Float[Tensor, "N T C H W 3"]
    """sRGB, 0 to 1."""
    masks: UInt8[Tensor, "N T C H W"]
    """0 for what is no object, k for the object of slot k − 1."""
    viewmats: Float[Tensor, "N T C 4 4"]
    Ks: Float[Tensor, "N T C 3 3"]
    times: Float[Tensor, "N T"]
    """Seconds."""
    given: Bool[Tensor, "N T C"]
    """False where there is no picture."""

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @classmethod
    def from_worlds(cls, batch: WorldBatch) -> PosedFrames:
        """The pictures of a batch, all of them given."""
        n, t, c = batch.masks.shape[:3]
        return cls(
            batch.images.float() / 255, batch.masks,
            batch.viewmats[:, None].expand(n, t, c, 4, 4), batch.Ks[:, None].expand(n, t, c, 3, 3),
            batch.times, torch.ones(n, t, c, dtype=torch.bool),
        )  # fmt: skip

    def only(self, given: Bool[Tensor, "N T C"]) -> PosedFrames:
        """The same with fewer pictures given."""
        return replace(self, given=self.given & given)


@dataclass(frozen=True)
class Slots:
    """N worlds of at most B objects at T moments."""

    looks: Float[Tensor, "N B A"]
    """Shape and colours of each object: logarithm of its radius in metres, logits of its mean colour,
    then what is learned."""
    stage: Float[Tensor, "N S"]
    """What is no object: floor, background."""
    positions: Float[Tensor, "N T B 3"]
    """Centres, metres, z up."""
    quats: Float[Tensor, "N T B 4"]
    """Object to world, wxyz, unit."""
    seen: Bool[Tensor, "N T B"]
    """Whether the pose was seen; where not, it was filled in from other moments."""
    present: Bool[Tensor, "N B"]
    """Whether there is such an object."""
    times: Float[Tensor, "N T"]
    """Seconds."""

    def __len__(self) -> int:
        return int(self.looks.shape[0])

    def at(self, frames: slice | list[int]) -> Slots:
        """The same at chosen moments."""
        return replace(
            self, positions=self.positions[:, frames], quats=self.quats[:, frames],
            seen=self.seen[:, frames], times=self.times[:, frames],
        )  # fmt: skip

    def of(self, worlds: slice | list[int] | Tensor) -> Slots:
        """The slots of chosen worlds."""
        return Slots(**{k: v[worlds] for k, v in vars(self).items()})

    def detach(self) -> Slots:
        """The same values without gradients."""
        return Slots(**{k: v.detach() for k, v in vars(self).items()})


def fill_unseen(
    values: Float[Tensor, "N T B D"], seen: Bool[Tensor, "N T B"]
) -> Float[Tensor, "N T B D"]:
    """Values at moments that were not seen: on the line between the nearest ones that were.

    Before the first and after the last seen moment the value stays; zeros where nothing was seen.

    >>> x = torch.tensor([0.0, 9.0, 4.0, 9.0]).reshape(1, 4, 1, 1)
    >>> fill_unseen(x, torch.tensor([True, False, True, False]).reshape(1, 4, 1)).flatten().tolist()
    [0.0, 2.0, 4.0, 4.0]
    """
    count = values.shape[1]
    place = torch.arange(count, device=values.device)[None, :, None].expand(seen.shape)
    before = torch.where(seen, place, -1).cummax(1).values
    after = torch.where(seen, place, count).flip(1).cummin(1).values.flip(1)
    low = torch.where(before < 0, after, before).clamp(0, count - 1)
    high = torch.where(after >= count, before, after).clamp(0, count - 1)
    share = (place - low).float() / (high - low).clamp_min(1)
    ends = [values.gather(1, i[..., None].expand(values.shape)) for i in (low, high)]
    filled = ends[0] + (ends[1] - ends[0]) * share[..., None]
    return torch.where(seen.any(1, keepdim=True)[..., None], filled, 0.0)
