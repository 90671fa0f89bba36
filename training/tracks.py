"""Tracks as a loss: what a pixel shows at one moment is, at another, where another tool saw it go.

From each of two pictures to the other this is optical flow, over many pictures long-range flow. After the
track loss of Shape of Motion (Wang et al. 2024, section 3.3).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers import rasterization
from clay4d.renderers.render import raster_options
from clay4d.scenes import Cameras, Dataset, Gaussians
from clay4d.scenes.splat_scene import SplatScene
from clay4d.scenes.tracks import Tracks
from clay4d.training.config import TrainConfig

FEWEST = 8
"""Points that two pictures must share to be compared."""
MOST = 4096
"""Points that a step looks at."""
COVERED = 0.5
"""Cover below which a pixel shows nothing that could be followed."""


def check_tracks(config: TrainConfig, dataset: Dataset) -> None:
    """Refuse a weight of tracks where the data has none, or where nothing moves.

    Raises:
        ValueError: names the weight and what is missing.
    """
    if config.losses.tracks <= 0:
        return
    if dataset.train.tracks is None:
        raise ValueError(
            f"losses.tracks got {config.losses.tracks:g} for {dataset.name}, which has no tracks; "
            "expected tracks_file_path in transforms.json. Add tracks or set losses.tracks to 0."
        )
    if dataset.duration <= 0:
        raise ValueError(
            f"losses.tracks got {config.losses.tracks:g} for {dataset.name}, whose pictures are of one "
            "moment; expected times. Set losses.tracks to 0."
        )


def other_picture(tracks: Tracks, index: int, draws: torch.Generator) -> int | None:
    """A picture, any as likely, that shares points with picture `index`; None if there is none.

    >>> seen = torch.ones(20, 3, dtype=torch.bool)
    >>> other_picture(Tracks(torch.zeros(20, 3, 2), seen), 1, torch.Generator()) in (0, 2)
    True
    """
    shared = tracks.seen[tracks.seen[:, index]].sum(0)
    shared[index] = 0
    found = (shared >= FEWEST).nonzero()[:, 0]
    if not len(found):
        return None
    return int(found[int(torch.randint(len(found), (), generator=draws))])


def track_loss(
    places: Float[Tensor, "H W 3"], alpha: Float[Tensor, "H W"],
    here: Float[Tensor, "K 2"], there: Float[Tensor, "K 2"], camera: Cameras,
) -> Float[Tensor, ""]:  # fmt: skip
    """Mean distance of where points are seen to go and where `camera` sees them, in its longer side.

    Args:
        places: sums over each pixel of where its Gaussians are at the camera's moment, metres, not
            divided by `alpha`.
        here: pixels of the picture that was drawn. there: of the camera's.

    >>> eye = Cameras(torch.eye(4)[None], torch.eye(3)[None], 2, 2, torch.zeros(1))
    >>> places = torch.tensor([1.0, 1.0, 1.0]).expand(2, 2, 3)
    >>> spots = torch.tensor([[0.5, 0.5]])
    >>> round(float(track_loss(places, torch.ones(2, 2), spots, spots + 0.5, eye)), 3)
    0.0
    """
    column, row = here.floor().long().unbind(1)
    cover = alpha[row, column]
    world = places[row, column] / cover.clamp_min(1e-6)[:, None]
    view = camera.viewmats[0]
    x, y, z = (world @ view[:3, :3].T + view[:3, 3]).unbind(1)
    known = (cover.detach() > COVERED) & (z.detach() > 1e-3)
    if not bool(known.any()):
        return 0 * places.sum()
    K, z = camera.Ks[0], z.clamp_min(1e-3)
    pixels = torch.stack([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]], 1)
    off = (pixels - there)[known].square().sum(1).add(1e-8).sqrt()
    return off.mean() / max(camera.width, camera.height)


def track_term(
    scene: SplatScene, drawn: Gaussians, cameras: Cameras, tracks: Tracks, *,
    index: int, view: Float[Tensor, "1 4 4"], size: float, draws: torch.Generator,
) -> Float[Tensor, ""]:  # fmt: skip
    """The loss of one picture and another that `draws` decides.

    Which Gaussians a pixel shows is for the colours to say: only where they are at the other moment
    gets a gradient, and each moment is the other one in its turn.

    Args:
        drawn: the Gaussians at the moment of picture `index`, which `view` sees.
        cameras: of all pictures, at full size. size: of the drawn picture, as a share.
    """
    other = other_picture(tracks, index, draws)
    if other is None:
        return torch.zeros(())
    both = (tracks.seen[:, index] & tracks.seen[:, other]).nonzero()[:, 0]
    both = both[torch.randperm(len(both), generator=draws)[:MOST]]
    small = cameras.resized(size)
    scale = torch.tensor([small.width / cameras.width, small.height / cameras.height])
    here, there = (tracks.xy[both, k] * scale for k in (index, other))
    limit = torch.tensor([small.width - 0.5, small.height - 0.5])
    later = scene.at(float(cameras.times[other])).means
    places, alphas, _ = rasterization(
        drawn.means.detach(), drawn.quats.detach(), drawn.scales.detach(),
        drawn.opacities.detach(), later, view.detach(), small.Ks[[index]],
        small.width, small.height, sh_degree=None, packed=False, **raster_options(scene),
    )  # fmt: skip
    return track_loss(places[0], alphas[0, ..., 0], here.minimum(limit), there, small[other])
