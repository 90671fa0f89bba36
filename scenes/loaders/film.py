"""Films: an index of their frames, and frames decoded by PyAV when asked for.

Times are the container's own, so films of a variable rate keep theirs; display matrices turn the
frames as players do. One decoder thread, so that the bits do not depend on the machine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Colorspace, Interpolation
from jaxtyping import UInt8

from clay4d.scenes.loaders.images import find, inside

SUFFIXES = (".mp4", ".mov", ".mkv", ".m4v", ".webm", ".avi")
BROKEN = (FFmpegError, OSError, ValueError, EOFError)
OPEN = 4
"""Decoders kept open at once: each holds some tens of megabytes."""
LONGEST = 1 << 20
"""Frames beyond which a film is refused: nearly ten hours at 30 a second."""
HDR = (16, 18)
"""Transfer functions in H.273's count: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)."""
LARGEST = 1 << 14
"""Pixels a side beyond which a size cannot be right."""


@dataclass(frozen=True)
class Film:
    """What is known of a film without decoding more than its first frame."""

    name: str
    width: int
    height: int
    """As shown, after turning and scaling."""
    stamps: tuple[int, ...]
    """Each frame's time stamp in the container's unit, in order of showing."""
    keys: tuple[int, ...]
    """Stamps of the frames at which decoding can begin."""
    unit: float
    """Seconds that one stamp stands for."""
    turns: int
    """Quarter turns to the left that show it upright."""
    hdr: bool = False
    """Whether it is coded for bright screens (PQ or HLG): ordinary ones show it flat."""

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def times(self) -> tuple[float, ...]:
        """Seconds since the first frame."""
        return tuple((stamp - self.stamps[0]) * self.unit for stamp in self.stamps)

    @property
    def rate(self) -> float:
        """Frames a second, by the median distance of frames; 0 for one frame."""
        steps = np.diff(self.times)
        return float(1 / np.median(steps)) if len(steps) else 0.0


def read_film(root: Path, name: str, *, factor: int = 1) -> Film:
    """The index of a film in `root`, whose frames will be `factor` times smaller.

    Raises:
        ValueError: not a film, cut off, without frames, or with stamps that are not its own.
        FileNotFoundError: no such file.
    """
    path = inside(root, find(root, name, suffixes=("",)))
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise _refused(name, "no video in it")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise _refused(name, "a codec that is not known")
            unit, promised = float(stream.time_base or 0), int(stream.frames)
            stamps, keys = _packets(container, name)
        first = next(_frames(path, None))
    except BROKEN as error:
        if str(error).startswith(f"{name} got"):
            raise
        raise _refused(name, _why(error, path)) from None
    except StopIteration:
        raise _refused(name, "no frames") from None
    if not stamps:
        raise _refused(name, "no frames")
    if promised > len(stamps) + 1:
        raise _refused(name, f"{len(stamps)} of {promised} frames: its end is cut off")
    turns = round(first.rotation / 90) % 4
    width, height = first.width // factor, first.height // factor
    if not (0 < width <= LARGEST and 0 < height <= LARGEST):
        raise _refused(name, f"frames of {first.width}×{first.height} pixels at 1/{factor}")
    if turns % 2:
        width, height = height, width
    hdr = first.color_trc in HDR
    return Film(name, width, height, tuple(stamps), tuple(keys), unit, turns, hdr)


def _packets(container: Any, name: str) -> tuple[list[int], list[int]]:
    """Stamps of shown frames and of key frames, sorted; nothing is decoded."""
    stamps, keys = set(), set()
    for packet in container.demux(video=0):
        if packet.size == 0 or packet.is_discard:
            continue
        if packet.is_corrupt:
            raise _refused(name, "a damaged part in it")
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or stamp in stamps:
            raise _refused(name, "frames without time stamps of their own")
        stamps.add(int(stamp))
        if packet.is_keyframe:
            keys.add(int(stamp))
        if len(stamps) > LONGEST:
            raise _refused(name, f"more than {LONGEST} frames")
    return sorted(stamps), sorted(keys)


def _frames(path: Path, stamp: int | None) -> Iterator[Any]:
    """Decoded frames from the key frame at or before `stamp` on."""
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if stamp is not None:
            container.seek(stamp, stream=stream, backward=True, any_frame=False)
        yield from container.decode(stream)


class FilmReader:
    """Decodes frames of the films of one folder; going forwards costs one frame a frame."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: OrderedDict[str, tuple[Iterator[Any], int]] = OrderedDict()

    def frame(self, film: Film, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """Frame `index` as shown.

        Raises:
            IndexError: no such frame.
            ValueError: a frame that does not decode.
        """
        stamp = film.stamps[index]
        path = inside(self.root, find(self.root, film.name, suffixes=("",)))
        frames, at = self._open.pop(film.name, (None, 0))
        # A key frame between here and there is a shorter way.
        if frames is None or at >= stamp or any(at < key <= stamp for key in film.keys):
            start = None if stamp == film.stamps[0] else stamp
            frames = _frames(path, start)
        try:
            for frame in frames:
                if frame.pts is not None and frame.pts >= stamp:
                    break
            else:
                raise _refused(film.name, f"no frame {index}: its end is cut off")
        except BROKEN as error:
            if str(error).startswith(f"{film.name} got"):
                raise
            raise _refused(film.name, f"frame {index}: {_why(error, path)}") from None
        if frame.pts != stamp or frame.is_corrupt:
            raise _refused(film.name, f"no whole frame {index}")
        self._open[film.name] = (frames, stamp)
        while len(self._open) > OPEN:
            self._open.popitem(last=False)
        return _pixels(film, frame)


def _pixels(film: Film, frame: Any) -> UInt8[np.ndarray, "H W 3"]:
    turned = film.turns % 2
    width, height = (film.height, film.width) if turned else (film.width, film.height)
    # Players take untagged films of 720 rows and more for BT.709, and smaller ones for BT.601.
    untagged = frame.colorspace not in (1, 4, 5, 6, 7, 9, 10)
    guess = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    picture = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=guess if untagged else None,
        interpolation=Interpolation.AREA if width < frame.width else Interpolation.BICUBIC,
        threads=1,
    ).to_ndarray()
    return np.ascontiguousarray(np.rot90(picture, film.turns))


def _why(error: BaseException, path: Path) -> str:
    return " ".join(str(error).replace(str(path), path.name).split())[:160]


def _refused(name: str, what: str) -> ValueError:
    return ValueError(
        f"{name} got {what}; expected a whole film that plays. Copy or convert it again."
    )
