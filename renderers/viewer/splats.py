"""Gaussians that pages draw themselves: viser's renderer knows one colour each, so each page gets what its camera sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.torch_reference import spherical_harmonics
from clay4d.renderers.viewer.look import covariances
from clay4d.scenes import Gaussians

PAUSE = 0.25
"""Seconds at the least between two colourings of one page whose camera alone moves."""
HALF_STEP = 2.0**-24
"""The smallest half-precision number: pages get covariances in half precision."""
Eye = Float[np.ndarray, "3"]


def colours_from(gaussians: Gaussians, eye: Eye) -> Float[Tensor, "N 3"]:
    """The colours of Gaussians as a camera at `eye` sees them, 0 to 1.

    >>> one = Gaussians.from_points(torch.zeros(1, 3), torch.full((1, 3), 0.25))
    >>> colours_from(one, np.ones(3)).tolist()
    [[0.25, 0.25, 0.25]]
    """
    away = gaussians.means - torch.as_tensor(eye).to(gaussians.means)
    towards = torch.nn.functional.normalize(away, dim=1)
    return (spherical_harmonics(gaussians.sh_degree, towards, gaussians.sh) + 0.5).clamp(0, 1)


def leant_covariances(gaussians: Gaussians) -> Float[Tensor, "N 3 3"]:
    """Covariances (square metres) of which pages draw every one.

    viser's shader takes a Gaussian's long axis on the screen from (xy, l - xx), l its larger eigenvalue.
    For one that is round there, or stands upright, both are 0, the axis is no number, and nothing is
    drawn. A thousandth of the smallest variance, other for each pair of axes, makes it lean.

    >>> one = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3), scales=torch.ones(1, 3))
    >>> bool((leant_covariances(one) - torch.eye(3)).abs().max() < 2e-3)
    True
    """
    lean = (1e-3 * gaussians.scales.amin(1) ** 2).clamp(min=3 * HALF_STEP)
    pairs = torch.tensor([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]]) / 3
    return covariances(gaussians) + lean[:, None, None] * pairs.to(lean)


@dataclass
class _Page:
    """What a page has: of which moment and look, coloured from where and when."""

    key: Hashable
    eye: Eye
    at: float
    handle: Any


class BrowserSplats:
    """Keeps the Gaussians of every page as they should be."""

    def __init__(self) -> None:
        self._pages: dict[int, _Page] = {}
        self._key: Hashable = None
        self._gaussians: Gaussians | None = None
        self._values: dict[str, Any] = {}

    def send(self, client: Any, key: Hashable, take: Callable[[], Gaussians]) -> float | None:
        """Bring a page up to date; gives seconds after which to ask again, None if it has all there is.

        Args:
            client: viser's handle of the page.
            key: what the Gaussians depend on. take: gives them, copies that do not change.

        Raises:
            AssertionError: viser's sign that the page has not sent its camera yet.
        """
        eye, now = np.array(client.camera.position), time.monotonic()
        page = self._pages.get(client.client_id)
        if page is not None and page.key == key:
            plain = self._gaussians is not None and self._gaussians.sh_degree == 0
            if plain or np.array_equal(page.eye, eye):
                return None
            if now < page.at + PAUSE:
                return page.at + PAUSE - now
        if self._key != key:
            self._key, self._gaussians = key, take()
            self._values = {
                "centers": self._gaussians.means.cpu().numpy(),
                "covariances": leant_covariances(self._gaussians).cpu().numpy(),
                "opacities": self._gaussians.opacities[:, None].cpu().numpy(),
            }
        assert self._gaussians is not None
        handle = None
        if len(self._gaussians):
            rgbs = colours_from(self._gaussians, eye).cpu().numpy()
            # A node of the same name takes the old one's place.
            handle = client.scene.add_gaussian_splats("/splats", rgbs=rgbs, **self._values)
        elif page is not None and page.handle is not None:
            page.handle.remove()
        self._pages[client.client_id] = _Page(key, eye, now, handle)
        return None

    def show(self, visible: bool) -> None:
        """Show or hide the Gaussians of all pages."""
        for page in list(self._pages.values()):
            if page.handle is not None and page.handle.visible != visible:
                page.handle.visible = visible

    def forget(self, client: Any) -> None:
        """A page is gone."""
        self._pages.pop(client.client_id, None)
