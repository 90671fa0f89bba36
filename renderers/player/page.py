"""`write_player`: scenes that move in one HTML file, with their player, for any browser and no server."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

import torch

from clay4d.files import written_whole
from clay4d.pages import html_page
from clay4d.renderers.around import Up, around_scene, upright_turn
from clay4d.renderers.paths import focus_point
from clay4d.renderers.player.coding import add_scene
from clay4d.renderers.player.reading import FORMAT
from clay4d.renderers.player.sampling import Progress
from clay4d.renderers.player.streams import Streams, to_text
from clay4d.scenes import Cameras, Scene

CAMERAS = 40
"""Cameras of the data that the page can go through, at the most; evenly chosen, the first first."""
SCENES = 16
PIECE = 1 << 20
"""Bytes that become text at a time."""


def write_player(
    path: str | Path,
    scenes: Mapping[str, Scene],
    *,
    cameras: Cameras | None = None,
    frames: int | None = None,
    title: str = "",
    lead: str = "",
    time: float = 0.0,
    play: bool = False,
    up: Up = "z",
    progress: Progress = iter,
) -> Path:
    """Write scenes as one HTML file that plays them side by side, with one clock and one camera.

    The file holds everything, asks nothing of the network and needs WebGL2. Scenes are rounded, and drawn
    as clay4d's rasteriser draws them: docs/player.md has the format and what it costs. All texts are
    escaped. Equal scenes give equal bytes on one machine.

    Args:
        path: where the file goes; it is there whole or not at all.
        scenes: anything with `.at(time)` that keeps its Gaussians, by the name that the page shows.
        cameras: of the data; the page starts at the first of them. Without, it starts beside the first scene.
        frames: moments kept of each scene, 2 to 1000; 25 a second within 50 to 300 by default. Between them
            Gaussians follow a spline, or lines where those are nearer.
        title, lead: what stands above; the scenes' names by default.
        time: second of the first picture. play: whether it plays at once.
        up: axis that points up.
        progress: wraps the moments of each scene as they are sampled, as `rich.progress.track` does.

    Raises:
        ValueError: no scenes or too many, a scene whose Gaussians change their number, nothing to see,
            values that are not finite, a number of frames out of range.

    >>> import tempfile
    >>> from clay4d.scenes import Gaussians
    >>> from clay4d.scenes.motion import Static
    >>> from clay4d.scenes.splat_scene import SplatScene, raw_from_gaussians
    >>> g = Gaussians.from_points(torch.rand(9, 3), torch.rand(9, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_player(Path(folder, "a.html"), {"<b>": SplatScene(raw_from_gaussians(g), Static())})
    ...     "<title>&lt;b&gt;</title>" in page.read_text()
    True
    """
    if not 1 <= len(scenes) <= SCENES:
        raise ValueError(f"scenes got {len(scenes)}; expected 1 to {SCENES}.")
    first = next(iter(scenes.values()))
    views = around_scene(first, frames=8, up=up) if cameras is None else cameras
    with tempfile.TemporaryFile() as data:
        header = {
            "format": FORMAT, "scenes": _add_scenes(data, scenes, frames, progress),
            "cameras": _cameras(views, first), "time": float(time), "play": play,
            "up": upright_turn(up)[2].tolist(),
        }  # fmt: skip
        data.seek(0)
        return _write_page(Path(path), header, data, title or " | ".join(scenes), lead)


def _add_scenes(
    data: BinaryIO, scenes: Mapping[str, Scene], frames: int | None, progress: Progress
) -> list[dict[str, Any]]:
    """Write the scenes' bytes, each begun at a multiple of four; gives their entries in the header."""
    entries: list[dict[str, Any]] = []
    for name, scene in scenes.items():
        began = data.tell()
        entry = add_scene(Streams(data), scene, frames=frames, progress=progress)
        data.write(bytes(-data.tell() % 4))
        entries.append({"name": name, **entry, "bytes": [began, data.tell()]})
    return entries


def _cameras(cameras: Cameras, scene: Scene) -> list[dict[str, Any]]:
    """Up to `CAMERAS` cameras, each with the distance of what it looks at, round which the page turns."""
    with torch.no_grad():
        middle = scene.at(0.0).means.detach().float().cpu().median(0).values
    focus = focus_point(cameras, fallback=middle) if len(cameras) > 1 else middle
    count = min(len(cameras), CAMERAS)
    rows = []
    for k in range(count):
        i = k * len(cameras) // count
        depth = float(cameras.viewmats[i, 2, :3] @ focus + cameras.viewmats[i, 2, 3])
        K = cameras.Ks[i]
        rows.append(
            {
                "viewmat": cameras.viewmats[i].tolist(), "fx": float(K[0, 0]), "fy": float(K[1, 1]),
                "cx": float(K[0, 2]), "cy": float(K[1, 2]), "width": cameras.width,
                "height": cameras.height, "distance": max(depth, 0.1),
            }
        )  # fmt: skip
    return rows


def _write_page(path: Path, header: dict[str, Any], data: BinaryIO, title: str, lead: str) -> Path:
    """The page from its template; the policy allows its own script and nothing else."""
    folder = files(__package__)

    def part(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    script = "\n".join(part(name) for name in ("engine.js", "draw.js", "player.js"))
    said = json.dumps(header, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    counts = sum(scene["count"] for scene in header["scenes"])
    moments = max(scene["moments"] for scene in header["scenes"])
    values = {
        "TITLE": escape(title), "LEAD": f"<p>{escape(lead)}</p>" if lead else "",
        "FACTS": f"{counts:,} Gaussians, {moments} moments.",
        # No name can end the script element or begin a comment in it.
        "HEADER": said.replace("<", "\\u003c"), "DATA": "@DATA@",
    }  # fmt: skip
    body = re.sub("@([A-Z]+)@", lambda match: values[match[1]], part("page.html"))
    text = html_page(title=title, body=body, style=part("player.css"), script=script, workers=True)
    # Names and titles may say the same, but they stand before it.
    above, _, below = text.rpartition("@DATA@")
    with written_whole(path) as place, place.open("w", encoding="utf-8") as out:
        out.write(above)
        while piece := data.read(PIECE):
            out.write(to_text(piece))
        out.write(below)
    return path
