"""A player's file read again: its scenes as it shows them, for whoever wants to measure or keep them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from clay4d.renderers.player.streams import from_text, read_whole
from clay4d.renderers.player.tracks import moments_at, read_track
from clay4d.scenes import Gaussians
from clay4d.scenes.quaternions import multiply, normalise

FORMAT = "clay4d-player-1"
_HEADER = re.compile(r'<script type="application/json" id="header">(.*?)</script>', re.DOTALL)
_DATA = re.compile(r'<script type="text/plain" id="data">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class PlayedScene:
    """A scene as a player shows it."""

    name: str
    duration: float
    background: tuple[float, float, float]
    near: float
    antialiased: bool
    eps2d: float
    _entry: dict[str, Any]
    _data: bytes

    def at(self, time: float) -> Gaussians:
        """The Gaussians `time` seconds after the start, rounded as the file has them."""
        clips = self._entry["clips"]
        entry = (
            min(clips, key=lambda clip: abs(clip["time"] - time)) if len(clips) > 1 else clips[0]
        )
        count = entry["moments"]
        place = time / self.duration * (count - 1) if self.duration > 0 else 0.0
        rows = moments_at(min(max(place, 0.0), count - 1), count, smooth=entry["smooth"])

        def track(name: str, base: Any = None) -> Tensor:
            return torch.from_numpy(read_track(self._data, entry[name], rows, base=base)).float()

        quats = _rotations(read_whole(self._data, entry["quats"]["base"]), entry["quats"]["step"])
        turns = track("turns", np.array([[1.0, 0, 0, 0]])).expand(len(quats), 4)
        opacities = track("opacities")[:, 0]
        sh = torch.cat([track("colours"), track("harmonics")], 1).reshape(len(quats), -1, 3)
        return Gaussians(
            track("means"), normalise(multiply(turns, quats)), track("log_scales").exp(),
            opacities.sigmoid() if entry["opacities"]["logits"] else opacities.clamp(0, 1), sh,
        )  # fmt: skip

    def __len__(self) -> int:
        return int(self._entry["clips"][0]["count"])


def read_player(path: str | Path) -> list[PlayedScene]:
    """The scenes of a file that `write_player` wrote.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that `write_player` did not write, or of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; expected a player's file. Check the path.")
    text = path.read_text(encoding="utf-8")
    header, data = _HEADER.search(text), _DATA.search(text)
    if header is None or data is None:
        raise ValueError(
            f"{path} got no player in it; expected a file of `clay4d export RUN OUT.html`."
        )
    said = json.loads(header[1])
    if said.get("format") != FORMAT:
        raise ValueError(f"{path} got format {said.get('format')!r}; expected {FORMAT!r}.")
    plain = from_text(data[1])
    return [
        PlayedScene(
            e["name"], e["duration"], tuple(e["background"]), e["near"], e["antialiased"], e["eps2d"],
            e, plain[slice(*e["bytes"])],
        )
        for e in said["scenes"]
    ]  # fmt: skip


def _rotations(whole: Any, step: float) -> Float[Tensor, "N 4"]:
    """Unit quaternions of which three components are kept."""
    three = torch.from_numpy(whole[:, 1:] * step).float()
    largest = torch.from_numpy(whole[:, :1])
    fourth = (1 - three.square().sum(1, keepdim=True)).clamp_min(0).sqrt()
    quats = torch.zeros(len(whole), 4)
    quats.scatter_(1, largest, fourth)
    return normalise(quats.scatter_(1, (largest + torch.tensor([1, 2, 3])) % 4, three))
