"""Colours as they are shown and as light."""

from __future__ import annotations

from typing import Any

import numpy as np


def linear(colour: Any) -> Any:
    """sRGB 0–1 to linear light (IEC 61966-2-1), of any shape.

    >>> round(float(linear(0.5)), 4)
    0.214
    """
    c = np.asarray(colour)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def srgb(light: Any) -> Any:
    """Linear light 0–1 to sRGB (IEC 61966-2-1), of any shape.

    >>> round(float(srgb(linear(0.5))), 4)
    0.5
    """
    c = np.clip(np.asarray(light, float), 0.0, 1.0)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055)
