"""Pictures put together: bodies before a photo or among the Gaussians of a scene, and captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from clay4d.physics_baseline.output import NOTHING, read_pictures
from clay4d.physics_baseline.tools.session import Session, ToolError
from clay4d.scenes import Cameras


@dataclass
class Backdrop:
    """What lies around the bodies, picture by picture: colours and how far away, metres."""

    images: list[UInt8[np.ndarray, "H W 3"]]
    distances: list[Float[np.ndarray, "H W"]]

    def blend(self, folder: Path, *, keep_floor: bool) -> float:
        """Put the backdrop into a camera's rgba pictures; gives the share of body pixels it hides.

        A body's edge pixel keeps its colour, so edges are as sharp as the segmentation.
        """
        import cv2

        hidden = bodies = 0
        rgba = sorted(folder.glob("rgba_*.png"))
        layers = zip(
            read_pictures(folder), read_pictures(folder, "depth"),
            read_pictures(folder, "segmentation"),
        )  # fmt: skip
        for k, (image, depth, segmentation) in enumerate(layers):
            mine = segmentation > 0
            body = mine.copy()
            if keep_floor:
                mine |= depth < NOTHING / 2
            nearer = mine & (depth < self.distances[k])
            hidden += int((body & ~nearer).sum())
            bodies += int(body.sum())
            out = np.where(nearer[..., None], image, self.images[k])
            cv2.imwrite(str(rgba[k]), np.ascontiguousarray(out[..., ::-1]))
        return hidden / max(bodies, 1)


def open_backdrop(path: Path, session: Session, camera: str) -> Backdrop:
    """A photo, scaled to fill the picture, or a scene of Gaussians seen by the same camera.

    Raises:
        FileNotFoundError: no such file.
        ToolError: a file of another kind.
    """
    if not path.is_file():
        raise FileNotFoundError(f"backdrop got {str(path)!r}; expected a picture or a scene file.")
    frames = session.rendered[camera]
    from clay4d.physics_baseline.renderers import scene_cameras

    cameras = scene_cameras(session.need_scene(), session.need_trajectory())[camera]
    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        picture = _fill(path, cameras.width, cameras.height)
        far = np.full(picture.shape[:2], np.inf)
        return Backdrop([picture] * len(frames), [far] * len(frames))
    if path.suffix.lower() == ".safetensors":
        return _splats(path, cameras, frames)
    raise ToolError(f"backdrop got {path.name}; expected .png, .jpg, .webp or .safetensors.")


def _fill(path: Path, width: int, height: int) -> UInt8[np.ndarray, "H W 3"]:
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        fitted = ImageOps.fit(ImageOps.exif_transpose(opened).convert("RGB"), (width, height))
    return np.asarray(fitted)


def _splats(path: Path, cameras: Cameras, frames: list[int]) -> Backdrop:
    from clay4d.renderers.render import render
    from clay4d.scenes.store import load_scene

    scene = load_scene(path)
    images, distances = [], []
    with torch.no_grad():
        for frame in frames:
            one = cameras[[frame]]
            view = Cameras(
                one.viewmats.float(), one.Ks.float(), one.width, one.height, one.times.float()
            )
            drawn = render(scene, view, depth=True)
            pixels = drawn.images[0].clamp(0, 1) * 255 + 0.5
            images.append(pixels.byte().numpy())
            depth: Any = drawn.depths
            there = drawn.alphas[0, ..., 0] > 0.5
            distances.append(
                np.where(there.numpy(), depth[0, ..., 0].numpy() * _slant(view), np.inf)
            )
    return Backdrop(images, distances)


def _slant(cameras: Cameras) -> Any:
    from clay4d.physics_baseline.output import distance_per_depth

    return distance_per_depth(cameras)


def write_caption(path: Path, text: str, position: str) -> None:
    """Write one line on a dark bar into a picture file; the line is made to fit.

    Raises:
        ToolError: more than one line, or nothing.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not text.strip() or "\n" in text:
        raise ToolError(f"text got {text!r}; expected one line.")
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    width, height = picture.size
    size = max(9.0, height / 14)
    draw = ImageDraw.Draw(picture, "RGBA")
    font: Any = ImageFont.load_default(size)
    while size > 6 and draw.textlength(text, font=font) > 0.94 * width:
        size *= 0.92
        font = ImageFont.load_default(size)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    high = bottom - top
    y = {"top": 0.03, "middle": 0.5, "bottom": 0.97}[position] * (height - 1.8 * high)
    x = (width - (right - left)) / 2
    pad = 0.45 * high
    draw.rounded_rectangle(
        (x - pad, y, x + right - left + pad, y + 1.8 * high), pad, (0, 0, 0, 150)
    )
    draw.text((x - left, y + 0.4 * high - top), text, (255, 255, 255, 255), font=font)
    temporary = path.with_name("." + path.name)
    picture.save(temporary, format="PNG")
    temporary.replace(path)
