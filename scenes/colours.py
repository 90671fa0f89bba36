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
