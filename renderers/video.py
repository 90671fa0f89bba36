"""Pictures to video files, and depth to colours.

The same frames give the same bytes: one thread for the colours and one for the encoder (x264's output
depends on their number), no time stamps of the writing, colours tagged and converted as BT.709, which is
what browsers assume, without the shortcuts that differ between processors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from clay4d.files import folder_written_whole, written_whole
from clay4d.renderers.render import Rendering, render
from clay4d.scenes import Cameras
from clay4d.scenes.fields import AnyScene

SUFFIXES = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""The container of each suffix."""

Show = Literal["color", "depth", "both"]
"""What a video shows: colours, expected depth in colours, or both side by side."""

# From far to near: a cold dark to a warm light, evenly brighter, so that grey prints keep the order.
ANCHORS = torch.tensor(
    [
        [0.05, 0.04, 0.17],
        [0.20, 0.13, 0.48],
        [0.16, 0.33, 0.66],
        [0.10, 0.52, 0.66],
        [0.20, 0.68, 0.52],
        [0.55, 0.79, 0.35],
        [0.88, 0.83, 0.36],
        [1.00, 0.95, 0.75],
    ]
)


def render_video(
    path: str | Path,
    scene: AnyScene,
    cameras: Cameras,
    *,
    fps: float = 30.0,
    show: Show = "color",
    backend: str = "auto",
) -> int:
    """Draw a scene along a camera path into a video, frame by frame; memory stays flat.

    Depth has one range for the whole video, taken from nine frames spread over it.

    Returns:
        How many frames were written.

    Raises:
        ValueError: an unknown `show`, and whatever `write_video` refuses.
    """
    if show not in get_args(Show):
        raise ValueError(f"show got {show!r}; expected one of {', '.join(get_args(Show))}.")
    frames = render_frames(scene, cameras, show=show, backend=backend)
    return write_video(path, frames, fps=fps)


def render_pictures(
    folder: str | Path,
    scene: AnyScene,
    cameras: Cameras,
    *,
    show: Show = "color",
    backend: str = "auto",
) -> int:
    """Draw a scene along a camera path into numbered .png files: frame_0000.png and on.

    The folder is there with all of them or not at all.

    Returns:
        How many were written.

    Raises:
        ValueError: a folder that holds something, or an unknown `show`.
    """
    from PIL import Image

    if show not in get_args(Show):
        raise ValueError(f"show got {show!r}; expected one of {', '.join(get_args(Show))}.")
    count = 0
    with folder_written_whole(Path(folder), name="out") as place:
        for frame in render_frames(scene, cameras, show=show, backend=backend):
            Image.fromarray(to_bytes(frame)).save(place / f"frame_{count:04d}.png")
            count += 1
    return count


def render_frames(
    scene: AnyScene, cameras: Cameras, *, show: Show = "color", backend: str = "auto"
) -> Iterator[Float[Tensor, "H W 3"]]:
    """The frames of `render_video`, one at a time."""
    near, far = 1.0, 2.0
    if show != "color" and len(cameras):
        probes = torch.linspace(0, len(cameras) - 1, 9).round().long().unique()
        seen = [render(scene, cameras[int(i)], backend=backend) for i in probes]
        near, far = depth_range(*(torch.cat(x) for x in zip(*map(_depth, seen))))
    for i in range(len(cameras)):
        drawn = render(scene, cameras[i], depth=show != "color", backend=backend)
        if show == "color":
            yield drawn.images[0]
            continue
        depth = colour_depth(*_depth(drawn), near=near, far=far)[0]
        yield depth if show == "depth" else side_by_side(drawn.images[0], depth)


def _depth(drawn: Rendering) -> tuple[Tensor, Tensor]:
    """Depths and alphas of a rendering that was asked for depth."""
    depths = torch.zeros_like(drawn.alphas) if drawn.depths is None else drawn.depths
    return depths, drawn.alphas


def write_video(
    path: str | Path, frames: Iterable[Tensor | np.ndarray[Any, Any]], *, fps: float = 30.0
) -> int:
    """Write frames to an H.264 video as they come; memory holds one of them at a time.

    An odd width or height grows by one pixel, a copy of the last, since H.264 takes even ones. The
    file appears under its name when it is whole.

    Args:
        path: ends in .mp4, .mov or .mkv; its folder is made.
        frames: [H, W, 3] each, all of one size: uint8, or floats that are clamped to 0–1.
        fps: frames a second.

    Returns:
        How many frames were written.

    Raises:
        ValueError: no frames, frames of two sizes, values that are not finite, another suffix.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_video(Path(folder, "grey.mp4"), (torch.full((9, 9, 3), 0.5) for _ in range(3)))
    3
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"video got {path.name}; expected a name in {', '.join(SUFFIXES)}.")
    if not 0 < fps <= 1000:
        raise ValueError(f"fps got {fps}; expected a number above 0, 1000 at the most.")
    with written_whole(path) as place:
        return _encode(place, frames, fps, path.suffix.lower())


def _encode(path: Path, frames: Iterable[Any], fps: float, suffix: str) -> int:
    import av

    container, stream, size, count = None, None, None, 0
    try:
        for frame in frames:
            pixels = to_bytes(frame)
            if container is None or stream is None:
                # Only the first frame knows the size.
                size = pixels.shape
                container = av.open(
                    str(path), "w", format=SUFFIXES[suffix], options=container_options(suffix)
                )
                stream = _stream(container, size, fps)
            if pixels.shape != size:
                raise ValueError(
                    f"frame {count} got shape {list(pixels.shape)}; expected {list(size or ())}."
                )
            container.mux(stream.encode(_picture(pixels)))
            count += 1
        if container is None or stream is None:
            raise ValueError("frames got none; expected at least one.")
        container.mux(stream.encode())
    finally:
        if container is not None:
            container.close()
    return count


def container_options(suffix: str) -> dict[str, str]:
    """What the muxer of a suffix is told: with its index in front, an MP4 plays while it loads, and
    Matroska must not draw a random number for each file.

    >>> container_options(".mkv")
    {'fflags': '+bitexact'}
    """
    return {"fflags": "+bitexact"} if suffix == ".mkv" else {"movflags": "+faststart"}


def _stream(container: Any, shape: tuple[int, ...], fps: float) -> Any:
    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
    stream.width, stream.height = shape[1] + shape[1] % 2, shape[0] + shape[0] % 2
    stream.pix_fmt = "yuv420p"
    stream.options = {"crf": "17", "preset": "medium"}
    context = stream.codec_context
    context.thread_count = 1
    context.color_range = 1  # 16–235
    context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
    return stream


def _picture(pixels: UInt8[np.ndarray, "H W 3"]) -> Any:
    from av import VideoFrame
    from av.video.reformatter import ColorRange, Colorspace, Interpolation

    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    height, width = pixels.shape[:2]
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG,
        interpolation=exact, threads=1,
    )  # fmt: skip


def to_bytes(image: Tensor | np.ndarray[Any, Any]) -> UInt8[np.ndarray, "H W 3"]:
    """A picture as bytes: floats are clamped to 0–1 and rounded, bytes stay as they are.

    Raises:
        ValueError: not [H, W, 3], or values that are not finite.

    >>> to_bytes(torch.full((1, 1, 3), 0.5)).tolist()
    [[[128, 128, 128]]]
    """
    value = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if value.ndim != 3 or value.shape[2] != 3 or value.size == 0:
        raise ValueError(f"frame got shape {list(value.shape)}; expected [H, W, 3].")
    if value.dtype == np.uint8:
        return value
    if not np.isfinite(value).all():
        raise ValueError("frame got NaN or infinity; expected finite values.")
    rounded: np.ndarray[Any, Any] = (np.clip(value, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def depth_range(
    depths: Float[Tensor, "*B H W 1"], alphas: Float[Tensor, "*B H W 1"]
) -> tuple[float, float]:
    """Nearest and farthest depth that matter, metres: the 1st and 99th percentile of covered pixels.

    >>> depth_range(torch.tensor([[[2.0], [4.0]]]), torch.ones(1, 2, 1))
    (2.0, 4.0)
    """
    seen = depths[alphas > 0.5].sort().values
    if not len(seen):
        return 1.0, 2.0
    low, high = (float(seen[round(q * (len(seen) - 1))]) for q in (0.01, 0.99))
    return low, max(high, low * 1.001)


def colour_depth(
    depths: Float[Tensor, "*B H W 1"],
    alphas: Float[Tensor, "*B H W 1"],
    *,
    near: float,
    far: float,
) -> Float[Tensor, "*B H W 3"]:
    """Depth as colours, near light and far dark, even in 1/depth; black where nothing is.

    Raises:
        ValueError: near and far that are not 0 < near < far.

    >>> near, far = colour_depth(torch.tensor([[[1.0], [9.0]]]), torch.ones(1, 2, 1), near=1, far=9)[0]
    >>> bool(near.sum() > far.sum())
    True
    """
    if not 0 < near < far:
        raise ValueError(f"near, far got {near}, {far}; expected 0 < near < far.")
    inverse = 1 / depths[..., 0].clamp(near, far)
    place = (inverse - 1 / far) / (1 / near - 1 / far) * (len(ANCHORS) - 1)
    below = place.floor().long().clamp(0, len(ANCHORS) - 2)
    share = (place - below)[..., None].clamp(0, 1)
    return (ANCHORS[below] * (1 - share) + ANCHORS[below + 1] * share) * alphas


def side_by_side(*images: Float[Tensor, "H W 3"], gap: int = 0) -> Float[Tensor, "H W2 3"]:
    """Pictures of one height in a row, with `gap` white columns between them.

    Raises:
        ValueError: no pictures, or different heights.

    >>> side_by_side(torch.zeros(4, 3, 3), torch.zeros(4, 5, 3), gap=2).shape
    torch.Size([4, 10, 3])
    """
    heights = sorted({int(image.shape[0]) for image in images})
    if len(heights) != 1:
        raise ValueError(f"images got heights {heights}; expected pictures of one height.")
    parts = [images[0]]
    for image in images[1:]:
        parts += [image.new_ones(heights[0], gap, 3), image]
    return torch.cat(parts, 1)
