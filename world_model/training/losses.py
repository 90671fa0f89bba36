"""What slots are compared with: pictures, masks, and the centroids of masks. Nothing of the simulator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from clay4d.training.losses import photometric_loss
from clay4d.world_model.decoders.draw import Drawn, binary_digits
from clay4d.world_model.encoder.measure import Measured
from clay4d.world_model.slots import PosedFrames, Slots


@dataclass(frozen=True)
class PixelLosses:
    """The parts of the loss, each a number."""

    image: Float[Tensor, ""]
    """L1 and D-SSIM."""
    mask: Float[Tensor, ""]
    """L1 of the blended labels, divided by the share of pixels that are objects."""
    centroid: Float[Tensor, ""]
    """How far projected centres are from centroids, in picture widths."""

    def total(self, *, mask: float = 0.1, centroid: float = 1.0) -> Float[Tensor, ""]:
        """The weighted sum."""
        return self.image + mask * self.mask + centroid * self.centroid


def pixel_losses(drawn: Drawn, slots: Slots, truth: PosedFrames, measured: Measured) -> PixelLosses:
    """Losses of slots and their pictures against what was seen at the same moments.

    A centre that projects to the wrong place is pulled to where the mask is, however far that is;
    pictures alone would rather push the object out of view.
    """
    image = photometric_loss(drawn.images.flatten(0, 2), truth.images.flatten(0, 2).contiguous())
    labels = binary_digits(truth.masks)
    share = (truth.masks > 0).float().mean().clamp_min(1e-3)
    mask = (drawn.labels - labels).abs().mean() / share
    off = reprojection(slots.positions, truth) - measured.centroids
    off = off / truth.images.shape[-2]
    return PixelLosses(image, mask, _mean(_robust(off), measured.visible))


def reprojection(
    positions: Float[Tensor, "N T B 3"], frames: PosedFrames
) -> Float[Tensor, "N T C B 2"]:
    """Pixels that centres project to; what is behind a camera counts as just before it."""
    R, t = frames.viewmats[..., :3, :3], frames.viewmats[..., :3, 3]
    local = positions[:, :, None] @ R.transpose(-1, -2) + t[..., None, :]
    flat = local[..., :2] / local[..., 2:].clamp_min(0.1)
    K = frames.Ks[..., None, :, :]
    focal = torch.stack([K[..., 0, 0], K[..., 1, 1]], -1)
    return flat * focal + K[..., :2, 2]


def state_loss(
    slots: Slots, positions: Float[Tensor, "N T B 3"], quats: Float[Tensor, "N T B 4"]
) -> Float[Tensor, ""]:
    """Distance from the simulator's states: for the twin that is labelled as supervised by states.

    Metres for centres, 1 − cos² of half the angle for rotations.
    """
    there = slots.present[:, None].expand(slots.seen.shape)
    away = F.smooth_l1_loss(slots.positions, positions, reduction="none", beta=0.1).sum(-1)
    turned = 1 - (slots.quats * quats).sum(-1).square()
    return _mean(away + 0.2 * turned, there)


def _robust(off: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """Length, with a square's foot so that small errors are not fought over (Huber 1964)."""
    return F.smooth_l1_loss(off, torch.zeros_like(off), reduction="none", beta=0.02).sum(-1)


def _mean(values: Tensor, chosen: Bool[Tensor, "*batch"]) -> Tensor:
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
