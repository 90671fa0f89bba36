"""What a renderer gives: pictures with depth, segmentation, normals and flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8, UInt16


@dataclass(frozen=True)
class Pictures:
    """P pictures of one camera."""

    images: UInt8[np.ndarray, "P H W 3"]
    """sRGB."""
    depths: Float[np.ndarray, "P H W"]
    """Along the camera's axis, metres; 0 where nothing is."""
    segmentations: UInt16[np.ndarray, "P H W"]
    """The body's number in the scene, the first is 1; 0 for the floor and the background."""
    normals: Float[np.ndarray, "P H W 3"]
    """World axes, towards the camera; zero where nothing is."""
    flows: Float[np.ndarray, "P H W 2"]
    """To where each point is in the next frame, pixels to the right and down; 0 in the last frame."""
