"""Compile the kernels of the world model's training in a process of their own; see `clay4d.training.warm`."""

from __future__ import annotations

import torch

from clay4d.jit import one_torch_thread
from clay4d.training.warm import FOLDERS, ensure_kernels
from clay4d.world_model.decoders import GaussianDecoder, draw
from clay4d.world_model.decoders.gaussians import DecoderSize
from clay4d.world_model.encoder import Encoder, EncoderSize
from clay4d.world_model.encoder.crops import cut_out
from clay4d.world_model.encoder.measure import measure
from clay4d.world_model.slots import PosedFrames
from clay4d.world_model.training.losses import pixel_losses
from clay4d.world_model.training.turns import try_turns


def ensure_world_kernels() -> None:
    """Fill the cache where it may lack a kernel: about a minute once, then nothing.

    Raises:
        RuntimeError: the kernels do not compile.
    """
    ensure_kernels(module=__name__, folders=(*FOLDERS, "world_model"))


def main() -> None:
    """One step of perception on squares that no world shows."""
    one_torch_thread()
    torch.manual_seed(0)
    masks = torch.zeros(1, 2, 2, 32, 32, dtype=torch.uint8)
    masks[..., 8:20, 8:20] = 1
    views = torch.eye(4).repeat(1, 2, 2, 1, 1)
    views[..., 2, 3] = 3.0
    K = torch.tensor([[40.0, 0, 16], [0, 40, 16], [0, 0, 1]]).repeat(1, 2, 2, 1, 1)
    given = torch.ones(1, 2, 2, dtype=torch.bool)
    images = torch.rand(1, 2, 2, 32, 32, 3)
    frames = PosedFrames(images, masks, views, K, torch.arange(2.0)[None], given)
    encoder = Encoder(EncoderSize(features=8, looks=8, stage=4, objects=2))
    decoder = GaussianDecoder(DecoderSize(gaussians=4, stage=4, hidden=8), looks=8, stage=4)
    slots, proposed = encoder.propose(frames)
    cuts = cut_out(frames, objects=2)
    turned = try_turns(decoder, slots, proposed, frames, cuts, torch.Generator().manual_seed(0))
    drawn = draw(decoder, turned.slots, views, K, width=32, height=32)
    parts = pixel_losses(drawn, turned.slots, frames, measure(frames, objects=2))
    (parts.total() + turned.crops).backward()


if __name__ == "__main__":
    main()
