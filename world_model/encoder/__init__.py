"""From posed frames to slots."""

from clay4d.world_model.encoder.encoder import Encoder, EncoderSize

__all__ = ["Encoder", "EncoderSize"]
