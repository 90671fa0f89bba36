"""`prepare`: a film, a folder of films or of pictures becomes a data set with poses.

Written is a folder with transforms.json (nerfstudio's fields; `time`, `duration` and `moving_path`
are clay4d's), undistorted pictures in images, masks of what moves in moving, points.ply,
contact_sheet.png and report.md.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from clay4d.files import check_new_folder, folder_written_whole
from clay4d.scenes.loaders.colmap_model import ColmapModel
from clay4d.scenes.loaders.fields import inverse
from clay4d.scenes.loaders.lens import Lens, pinhole, undistort, undistort_nearest
from clay4d.scenes.loaders.ply import write_points
from clay4d.scenes.loaders.transforms import FLIP
from clay4d.scenes.loaders.upright import turned, upright
from clay4d.scenes.prepare.choose import LOOK, Look, choose, look_through
from clay4d.scenes.prepare.depths import Depths
from clay4d.scenes.prepare.moving import moving_mask
from clay4d.scenes.prepare.poses import check_sfm, find_poses
from clay4d.scenes.prepare.report import Report, advice, contact_sheet, shown, write_report
from clay4d.scenes.prepare.sources import Source, find_sources, fitted, grey, spread
from clay4d.scenes.prepare.tracks import GivenTracks

FRAMES = 150
"""Frames kept of a film, at the most."""
LEAST = 40
"""Frames kept of a film that has as many, at the least: what moves has to be seen often."""
SWAY = 0.03
"""Share of the longer side within which a camera that gave no poses counts as standing still."""
LONGEST = 1280
"""Longer side of the written pictures, pixels."""
GUESS = 1.2
"""Focal length over the longer side where nothing is known: COLMAP's guess, some 45° of view."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """A data set that was written, and what there is to know about it."""

    path: Path
    report: Report


@dataclass(frozen=True)
class Taken:
    """A chosen picture on its way to the data set."""

    name: str
    """Of the file, without suffix; also its camera's folder."""
    camera: int
    index: int
    """In its source."""
    time: float | None
    """Seconds."""
    mask: Bool[np.ndarray, "H W"] | None = None


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    frames: int = FRAMES,
    size: int = LONGEST,
    depths: str | Path | None = None,
    tracks: str | Path | None = None,
    say: Say | None = None,
) -> Prepared:
    """Turn raw video or pictures into a data set with camera poses, as `clay4d prepare` does.

    Of a film the sharpest frames are kept that still overlap, what moves by itself is masked by
    optical flow, and poses are found by SIFT and incremental mapping (COLMAP's, by pycolmap in a
    process of its own). Times are the film's own. A folder of films is one camera a film, which
    begin together; cameras that stand still get one pose each. One camera that stands still gives no
    depth: its frames are written with one pose and a guessed focal length, and the report says so.
    Everything is written to a temporary folder beside `out`, which is then renamed.

    Args:
        source: a film, a folder of films, or a folder of pictures. out: a new folder. frames: the
            most that are kept of a film, or of all films together where cameras move. size: longer side of the written pictures, pixels.
        depths: a folder of depth that another tool found for the pictures (see `Depths`); it goes
            into the data set in its own unit, for `losses.depth`. tracks: an npz file of points that
            another tool has followed (see `GivenTracks`), for `losses.tracks`. say: is told how far it is.

    Raises:
        FileNotFoundError: no such source.
        ValueError: nothing that can be used in it, an `out` that holds something, or too little in
            common between the pictures to find poses.
        ImportError: poses are needed and pycolmap (the extra `sfm`) is not installed.

    >>> prepare("no/such/film.mp4", "data")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: input got 'no/such/film.mp4', which is not there; expected a film or ...
    """
    say = say or (lambda text: None)
    for what, value, least in (("frames", frames, 3), ("size", size, 64)):
        if value < least:
            raise ValueError(f"{what} got {value}; expected at least {least}. Choose a higher one.")
    sources, target = find_sources(Path(source)), Path(out)
    known = None if depths is None else Depths(Path(depths), cameras=len(sources))
    followed = None if tracks is None else GivenTracks(Path(tracks), sources)
    check_new_folder(target, name="out")
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch,
        folder_written_whole(target, name="out") as data,
    ):
        run = _Run(sources, Path(scratch), data, frames, size, say, known, followed)
        report = run.run(Path(source).name)
    return Prepared(target, report)


class _Run:
    """One call of `prepare`: its settings, a scratch folder and the folder of the data."""

    def __init__(
        self, sources: list[Source], work: Path, data: Path, frames: int, size: int, say: Say,
        depths: Depths | None = None, tracks: GivenTracks | None = None,
    ) -> None:  # fmt: skip
        self.sources, self.work, self.data = sources, work, data
        self.frames, self.size, self.say, self.depths = frames, size, say, depths
        self.tracks = tracks
        (work / "images").mkdir()
        self.report = Report("", cameras=len(sources))
        self.sizes: dict[str, tuple[int, int]] = {}
        self.sway = 1.0

    def run(self, name: str) -> Report:
        self.report.source = name
        looks = [self._look(source) for source in self.sources]
        fixed = all(look is not None and look.fixed for look in looks)
        self.report.fixed = fixed
        self.sway = max((1.0 if look is None else look.drift for look in looks), default=1.0)
        taken = [t for i, look in enumerate(looks) for t in self._take(i, look, fixed)]
        self.report.frames = len(taken)
        self.report.duration = max((t.time or 0.0 for t in taken), default=0.0)
        if fixed and len(self.sources) == 1:
            return self._one_view(taken)
        check_sfm()
        return self._mapped(taken, fixed)

    def _look(self, source: Source) -> Look | None:
        if source.film is None:
            return None
        self.say(f"looking through {source.name}: {len(source)} frames")
        return look_through(source)

    def _take(self, camera: int, look: Look | None, fixed: bool) -> list[Taken]:
        """The chosen pictures of one source, in order."""
        source, times = self.sources[camera], self.sources[camera].times
        stems = [_plain(Path(name).stem) for name in source.pictures]
        stems = stems if len(set(stems)) == len(stems) else []
        at = f"{camera:02d}/" if len(self.sources) > 1 else ""
        if look is None:
            chosen = list(range(len(source)))
        elif fixed:
            chosen = spread(len(source), self.frames)
        else:
            most = max(3, self.frames // len(self.sources))
            chosen = choose(look, least=min(LEAST, most), most=most)
        names = stems or [f"{i:05d}" for i in range(len(source))]
        return [
            Taken(f"{at}{names[i]}", camera, i, None if times is None else times[i]) for i in chosen
        ]

    def _one_view(self, taken: list[Taken]) -> Report:
        """A camera that stands still: no poses to find, and no depth either."""
        first = self._picture(taken[0])
        height, width = first.shape[:2]
        focal = GUESS * max(width, height)
        lens = Lens(width, height, focal, focal, width / 2, height / 2)
        entries = [(shot, lens, np.eye(4)) for shot in taken]
        self.report.registered, self.report.fixed = len(taken), True
        self.report.notes = [
            f"The camera {'stands still' if self.sway < 0.005 else 'hardly moves'}. One view gives no depth: what is trained on this shows the "
            "film again from its own place, and nothing from elsewhere.",
            f"The focal length, {focal:.0f} pixels, is a guess; so are all lengths.",
            "For a scene that can be seen from other places, walk around it while filming, or film "
            "with several cameras and give their folder.",
        ]
        self._write(entries, None, upright(np.eye(4)[None]), {})
        return self.report

    def _picture(self, shot: Taken) -> UInt8[np.ndarray, "H W 3"]:
        return self.sources[shot.camera].frame(shot.index, longest=self.size)

    def _mapped(self, taken: list[Taken], fixed: bool) -> Report:
        """Poses by structure from motion; of cameras that stand still, one picture each."""
        masks: dict[str, Any] = {}
        if fixed:
            asked = [self._background(i, taken) for i in range(len(self.sources))]
        else:
            for shot in taken:
                pixels = self._picture(shot)
                self._save(shot.name, pixels)
                self._mask(shot, pixels.shape[:2], masks)
            asked = [shot.name for shot in taken]
        if masks:
            self._save_masks(masks, asked)
        focal = self.sources[0].focal(self.size) if len(self.sources) == 1 else None
        by_camera = [[t.name for t in taken if t.camera == c] for c in range(len(self.sources))]
        cameras = [[f"{n}.png" for n in names] for names in (by_camera if not fixed else [asked])]
        found = find_poses(
            self.work, cameras, masks=bool(masks), focal=focal, size=self.sizes[asked[0]],
            say=self.say,
        )  # fmt: skip
        if found.model is None or not _sound(found.model):
            if len(self.sources) == 1 and self.sway < SWAY:
                return self._one_view(taken)
            raise self._no_poses(len(asked))
        poses = {i.name.removesuffix(".png"): i for i in found.model.images}
        entries = []
        for shot in taken:
            image = poses.get(_background_name(shot.camera) if fixed else shot.name)
            if image is not None:
                entries.append((shot, found.model.lenses[image.camera], image.viewmat))
        turn = upright(np.stack([viewmat for _, _, viewmat in entries]))
        points = found.model.points
        self.report.registered, self.report.error = len(entries), found.error
        self.report.points = 0 if points is None else len(points)
        self._write(entries, points, turn, masks, taken)
        return self.report

    def _no_poses(self, count: int) -> ValueError:
        return ValueError(
            f"poses got 0 of {count} pictures; expected pictures with much in common, from several "
            "places. Walk around the scene rather than turning on the spot, keep half of each "
            "picture in the next, avoid blur and blank walls."
        )

    def _save(self, name: str, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
        path = self.work / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=1)
        self.sizes[name] = (pixels.shape[1], pixels.shape[0])

    def _background(self, camera: int, taken: list[Taken]) -> str:
        """What a camera that stands still sees most of the time: nothing that moves."""
        own = [shot for shot in taken if shot.camera == camera]
        few = [self._picture(own[i]) for i in spread(len(own), 15)]
        name = _background_name(camera)
        self._save(name, np.median(np.stack(few), axis=0).astype(np.uint8))
        return name

    def _mask(self, shot: Taken, shape: tuple[int, ...], masks: dict[str, Any]) -> None:
        """What moves in a film's frame, by the frames before and after it."""
        source = self.sources[shot.camera]
        if source.film is None:
            return
        gap = max(1, round(source.film.rate / 15))
        near = [shot.index - gap, shot.index, shot.index + gap]
        before, now, after = (
            grey(source.frame(i, longest=LOOK)) if 0 <= i < len(source) else None for i in near
        )
        if now is not None:
            masks[shot.name] = moving_mask(before, now, after)

    def _save_masks(self, masks: dict[str, Any], names: list[str]) -> None:
        """Masks as the mapper wants them: black hides features."""
        for name in names:
            path = self.work / "masks" / f"{name}.png.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            mask = masks.get(name, np.zeros((8, 8), bool))
            still = Image.fromarray((~mask * 255).astype(np.uint8))
            still.resize(self.sizes[name], Image.Resampling.NEAREST).save(path)

    def _write(
        self,
        entries: list[tuple[Taken, Lens, Any]],
        points: Any,
        turn: Any,
        masks: dict[str, Any],
        taken: list[Taken] | None = None,
    ) -> None:
        """The data set: pictures undistorted, masks, points, transforms.json and the report."""
        self.say(f"writing {len(entries)} pictures")
        frames, found = [], {shot.name for shot, _, _ in entries}
        timed = any(shot.time is not None for shot, _, _ in entries)
        start = min((shot.time or 0.0 for shot, _, _ in entries), default=0.0)
        last = max((shot.time or 0.0 for shot, _, _ in entries), default=0.0) - start
        for shot, lens, viewmat in entries:
            frames.append(self._frame(shot, lens, viewmat @ inverse(turn), masks))
            if timed and last > 0:
                frames[-1]["time"] = min(((shot.time or 0.0) - start) / last, 1.0)
        meta: dict[str, Any] = {"camera_model": "PINHOLE"}
        if self.depths is not None:
            self.depths.check_used()
            meta["depth_unit_scale_factor"] = 1.0
        if self.tracks is not None:
            meta["tracks_file_path"] = self.tracks.write(self.data)
        if timed and last > 0:
            meta["duration"] = last
        if points is not None and len(points):
            meta["ply_file_path"] = "points.ply"
            write_points(self.data / "points.ply", turned(points, turn))
        meta |= self._splits(frames) | {"frames": frames}
        text = json.dumps(meta, indent=1, allow_nan=False) + "\n"
        (self.data / "transforms.json").write_text(text, encoding="utf-8")
        self.report.size = (int(frames[0]["w"]), int(frames[0]["h"]))
        moving = any(mask.any() for mask in masks.values())
        self.report.notes += advice(self.report, moving=moving)
        if any(source.film is not None and source.film.hdr for source in self.sources):
            self.report.notes.append(
                "The film is HDR (PQ or HLG): colours are written as coded and look flat. Export it "
                "as SDR for the colours that a player shows."
            )
        everything = taken if taken is not None else [shot for shot, _, _ in entries]
        tiles = [
            (t.name, fitted(self._picture(t), 320), masks.get(t.name), t.name in found)
            for t in (everything[i] for i in shown(len(everything)))
        ]
        write_report(self.data, self.report, contact_sheet(tiles))

    def _splits(self, frames: list[dict[str, Any]]) -> dict[str, Any]:
        """Of several cameras that stand still the first is held out, as in Neural 3D Video."""
        if not self.report.fixed or len({f["camera_id"] for f in frames}) < 3:
            return {}
        first = min(f["camera_id"] for f in frames)
        names = {True: [], False: []}  # type: dict[bool, list[str]]
        for frame in frames:
            names[frame["camera_id"] == first].append(frame["file_path"])
        return {"train_filenames": names[False], "test_filenames": names[True]}

    def _frame(
        self, shot: Taken, lens: Lens, viewmat: Any, masks: dict[str, Any]
    ) -> dict[str, Any]:
        """Write one picture and its mask; gives its entry in transforms.json."""
        pixels = self._picture(shot)
        height, width = pixels.shape[:2]
        lens = lens.scaled(width, height)
        path = self.data / "images" / f"{shot.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(undistort(lens, pixels)).save(path, compress_level=3)
        new = pinhole(lens)
        entry: dict[str, Any] = {
            "file_path": f"images/{shot.name}.png", "camera_id": shot.camera,
            "fl_x": new.fx, "fl_y": new.fy, "cx": new.cx, "cy": new.cy, "w": width, "h": height,
            "transform_matrix": (inverse(viewmat) @ FLIP).tolist(),
        }  # fmt: skip
        if shot.name in masks:
            mask = Image.fromarray(masks[shot.name].astype(np.uint8) * 255)
            full = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST), np.float32)
            at = self.data / "moving" / f"{shot.name}.png"
            at.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(undistort_nearest(lens, full).astype(np.uint8)).save(at)
            entry["moving_path"] = f"moving/{shot.name}.png"
        if self.depths is not None:
            source = self.sources[shot.camera]
            depth = self.depths.read(source, shot.index, width=width, height=height)
            if depth is not None:
                at = self.data / "depths" / f"{shot.name}.npy"
                at.parent.mkdir(parents=True, exist_ok=True)
                np.save(at, undistort_nearest(lens, depth))
                entry["depth_file_path"] = f"depths/{shot.name}.npy"
        if self.tracks is not None:
            self.tracks.note(shot.camera, shot.index, entry["file_path"], lens)
        return entry


def _background_name(camera: int) -> str:
    return f"{camera:02d}/background"


def _plain(stem: str) -> str:
    """A name without what lists of pairs and other programs trip over."""
    return re.sub(r"[^\w.-]", "_", stem, flags=re.ASCII)


def _sound(model: ColmapModel) -> bool:
    """Whether every lens can be undistorted: from too little, mapping makes lenses that fold."""
    try:
        for number in {image.camera for image in model.images}:
            pinhole(model.lenses[number])
    except ValueError:
        return False
    return True
