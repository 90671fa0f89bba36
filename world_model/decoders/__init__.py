"""From slots to what renderers take."""

from clay4d.world_model.decoders.draw import Drawn, draw
from clay4d.world_model.decoders.gaussians import DecoderSize, GaussianDecoder, Splats

__all__ = ["DecoderSize", "Drawn", "GaussianDecoder", "Splats", "draw"]
