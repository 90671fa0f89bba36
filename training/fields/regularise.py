"""What keeps the planes plain where no picture says otherwise (K-Planes, section 3.2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from clay4d.scenes.motion.planes import Levels
from clay4d.training.config import KPlanes
from clay4d.training.fields.kernels import smooth_rows, smooth_space, smooth_time


def add_regularisers(
    planes: Tensor,
    levels: Levels,
    config: KPlanes,
    grad: np.ndarray[Any, Any],
    *,
    times: float = 1.0,
) -> float:
    """Add the gradient of all regularisers to the planes' flat one; gives their sum.

    Each is a mean over a plane's cells and then over the planes: squared differences of neighbours in
    space, squared second differences in time, distance from 1 of the planes with time.

    Args:
        times: a factor, for those that do not come with every step.

    >>> import torch
    >>> levels = Levels((4,), 3, 16)
    >>> add_regularisers(torch.ones(levels.size), levels, KPlanes(), np.zeros(levels.size, np.float32))
    0.0
    """
    total, F = 0.0, levels.features
    tv = config.plane_tv * times / (6 * len(levels.cells))
    bend = config.time_smoothness * times / (3 * len(levels.cells))
    pull = config.time_l1 * times / (3 * len(levels.cells))
    values = levels.split(planes.detach().numpy())
    for c, (space, moments), (g_space, g_moments) in zip(levels.cells, values, levels.split(grad)):
        T = levels.moments
        for p in range(3):
            both = np.float32(tv / 2 / (c * (c - 1) * F))
            total += smooth_space(space[p], g_space[p], both)
            total += smooth_rows(space[p], g_space[p], both)
            along = np.float32(tv / (T * (c - 1) * F))
            total += smooth_space(moments[p], g_moments[p], along)
            curve = np.float32(bend / (max(T - 2, 1) * c * F))
            total += smooth_time(moments[p], g_moments[p], curve, np.float32(pull / (T * c * F)))
    return float(total)
