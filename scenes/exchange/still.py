"""What all formats of Gaussians at one moment share: checks at the door, raw arrays in and out.

The numbers of a scene are those of its INRIA PLY: no axes are turned between them. A format that has
axes of its own is turned as the field's converters turn it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from clay4d.scenes.exchange.parts import check_times
from clay4d.scenes.gaussians import C0
from clay4d.scenes.motion import Static
from clay4d.scenes.scene import Scene
from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians

SMALLEST = 1e-9
"""Metres: a standard deviation of zero is read as this, since its logarithm must be finite."""
CLEAR = 1e-6
"""Opacities of 0 and 1 are read as this far from them, since their logits must be finite."""
BANDS = (1, 4, 9, 16)
INFLATED = 256
"""Times its own size that a file may hold; no scene is all zeros."""
ALWAYS = 64 << 20
"""Bytes that any file may inflate to, however small it is."""


@dataclass(frozen=True)
class Still:
    """Gaussians at one moment as most files hold them; K = (degree + 1)² harmonics."""

    means: Float[np.ndarray, "N 3"]
    quats: Float[np.ndarray, "N 4"]
    """wxyz."""
    log_scales: Float[np.ndarray, "N 3"]
    logits: Float[np.ndarray, " N"]
    """Logits of the opacities."""
    sh: Float[np.ndarray, "N K 3"]

    def __len__(self) -> int:
        return len(self.means)

    def taken(self, order: Int[np.ndarray, " N"]) -> Still:
        """The same Gaussians in another order."""
        return Still(
            self.means[order], self.quats[order], self.log_scales[order], self.logits[order],
            self.sh[order],
        )  # fmt: skip


def still_scene(still: Still, name: str) -> SplatScene:
    """A scene that stands still; quaternions of length 0 turn nothing, and degree 4 is left out.

    Raises:
        ValueError: nothing in it, or NaN or infinity.

    >>> import numpy as np
    >>> still = Still(*(np.zeros(s) for s in ((1, 3), (1, 4), (1, 3), (1,), (1, 1, 3))))
    >>> still_scene(still, "a.splat").at(0.0).quats.tolist()
    [[1.0, 0.0, 0.0, 0.0]]
    """
    if not len(still):
        raise ValueError(f"{name} got no Gaussians; expected at least one. Write it again.")
    quats = np.array(still.quats, np.float32)
    quats[~(quats != 0).any(1)] = (1, 0, 0, 0)
    arrays = {
        "means": still.means, "quats": quats, "scales": still.log_scales,
        "opacities": still.logits, "sh": still.sh[:, : BANDS[-1]],
    }  # fmt: skip
    with np.errstate(over="ignore"):
        floats = {k: np.ascontiguousarray(v, np.float32) for k, v in arrays.items()}
    # A reader's arrays may be the file's own bytes, which nobody may write to.
    raw = {k: torch.from_numpy(v if v.flags.owndata else v.copy()) for k, v in floats.items()}
    for key, value in raw.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} got {key} with NaN or infinity; expected finite numbers.")
    return SplatScene(raw, Static())


def frozen(scene: Scene, path: Path, times: Sequence[float] | None) -> Still:
    """The Gaussians of a scene at the one time that a file holds, the scene's start by default.

    Raises:
        ValueError: several times, nothing to write, or numbers that are not finite.

    >>> from clay4d.scenes.gaussians import Gaussians
    >>> one = Gaussians.from_points(torch.zeros(1, 3), torch.ones(1, 3))
    >>> len(frozen(SplatScene(raw_from_gaussians(one), Static()), Path("a.splat"), None))
    1
    """
    moments = check_times(scene, times)
    if len(moments) != 1:
        raise ValueError(f"times got {len(moments)} moments; expected one, a file's. Choose one.")
    with torch.no_grad():
        gaussians = scene.at(moments[0])
    # Harmonics are most of the numbers, and no format keeps them to more than float32.
    raw = {
        k: (v.detach().cpu().float() if k == "sh" else v.detach().cpu().double()).numpy()
        for k, v in raw_from_gaussians(gaussians).items()
    }
    if not len(gaussians):
        raise ValueError(f"{path} got no Gaussians; expected at least one. Choose another time.")
    if not all(np.isfinite(v).all() for v in raw.values()):
        raise ValueError(
            f"{path} got Gaussians that are not finite; expected numbers. Train again."
        )
    lengths = np.linalg.norm(raw["quats"], axis=1, keepdims=True)
    quats = np.where(lengths > 0, raw["quats"] / np.maximum(lengths, 1e-30), (1.0, 0, 0, 0))
    return Still(raw["means"], quats, raw["scales"], raw["opacities"], raw["sh"])


def check_claim(path: Path, claimed: int) -> None:
    """Refuse a file that says it holds more than a file of its size can.

    Raises:
        ValueError: more than `ALWAYS` bytes and more than `INFLATED` times its size.
    """
    size = path.stat().st_size
    if claimed > max(ALWAYS, INFLATED * size):
        raise ValueError(
            f"{path.name} got a claim of {claimed} bytes in {size}; expected at most {INFLATED} "
            "times its size. Make the file again."
        )


def opened(path: str | Path, kind: str) -> Path:
    """The path of a file that is there.

    Raises:
        FileNotFoundError: it is not.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a {kind} file. Check the path.")
    return path


def logit(opacities: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Logits of opacities in 0–1, finite at both ends.

    >>> float(logit(np.array([0.5]))[0])
    0.0
    """
    inner = np.clip(opacities, CLEAR, 1 - CLEAR)
    logits: np.ndarray = np.log(inner / (1 - inner))
    return logits


def sigmoid(logits: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Opacities of logits.

    >>> float(sigmoid(np.array([0.0]))[0])
    0.5
    """
    opacities: np.ndarray = 0.5 * (1 + np.tanh(0.5 * logits))
    return opacities


def colours(sh: Float[np.ndarray, "N K 3"]) -> Float[np.ndarray, "N 3"]:
    """Colours of the constant harmonics alone, 0.5 in the middle; they may leave 0–1."""
    shades: np.ndarray = 0.5 + C0 * sh[:, 0]
    return shades


def constant(shades: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 1 3"]:
    """Harmonics of degree 0 that have these colours.

    >>> constant(np.full((1, 3), 0.5)).tolist()
    [[[0.0, 0.0, 0.0]]]
    """
    sh: np.ndarray = ((shades - 0.5) / C0)[:, None]
    return sh


def to_byte(x: np.ndarray) -> np.ndarray:
    """The nearest whole numbers from 0 to 255.

    >>> to_byte(np.array([-1.0, 0.6, 300])).tolist()
    [0, 1, 255]
    """
    whole: np.ndarray = np.rint(np.clip(x, 0, 255)).astype(np.uint8)
    return whole
