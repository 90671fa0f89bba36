"""Films: every frame at its own time, turned as players turn it, and damage told in one line."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from clay4d.scenes.loaders.film import FilmReader, read_film


def picture(i: int, width: int = 64, height: int = 48) -> np.ndarray:
    """Grey of its own for each frame, a white corner at the top left."""
    pixels = np.full((height, width, 3), 40 + 6 * i, np.uint8)
    pixels[:12, :12] = 255
    return pixels


def write(
    path: Path, stamps: list[int], *, rotation: int = 0, gop: int = 4, front: bool = False
) -> None:
    """H.264 with B-frames, stamps in milliseconds."""
    options = {"movflags": "faststart"} if front else {}  # the index before the pictures
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, 2
        stream.options = {"crf": "5"}
        if rotation:
            stream.set_display_rotation(rotation)
        for i, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


STEADY = [40 * i for i in range(20)]


def test_frames_in_any_order(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", STEADY)
    film, reader = read_film(tmp_path, "a.mp4"), FilmReader(tmp_path)
    assert (len(film), film.width, film.height) == (20, 64, 48) and film.rate == pytest.approx(25)
    for i in [0, 1, 2, 7, 3, 19, 18, 5, 6, 0, 12]:
        assert abs(int(reader.frame(film, i)[30, 40, 0]) - (40 + 6 * i)) <= 2
    with pytest.raises(IndexError):
        reader.frame(film, 20)


def test_only_a_few_decoders_are_open(tmp_path: Path) -> None:
    reader, films = FilmReader(tmp_path), []
    for k in range(7):
        write(tmp_path / f"{k}.mp4", STEADY[:5])
        films.append(read_film(tmp_path, f"{k}.mp4"))
        reader.frame(films[-1], 2)
    assert len(reader._open) == 4


def test_a_variable_rate_keeps_its_times(tmp_path: Path) -> None:
    stamps = [0, 40, 50, 200, 210, 215, 400, 1000]
    write(tmp_path / "a.mp4", stamps)
    film = read_film(tmp_path, "a.mp4")
    np.testing.assert_allclose(film.times, np.array(stamps) / 1000, atol=1e-3)
    assert abs(int(FilmReader(tmp_path).frame(film, 6)[30, 40, 0]) - 76) <= 2


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_display_matrices_turn_frames_as_opencv_does(tmp_path: Path, rotation: int) -> None:
    write(tmp_path / "a.mp4", STEADY[:3], rotation=rotation)
    film = read_film(tmp_path, "a.mp4")
    ours = FilmReader(tmp_path).frame(film, 1)
    assert ours.shape == ((64, 48, 3) if rotation % 180 else (48, 64, 3))
    assert ours.shape[:2] == (film.height, film.width)
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    capture.read()
    theirs = capture.read()[1][..., ::-1]
    assert theirs.shape == ours.shape and np.abs(theirs.astype(int) - ours).mean() < 3


def test_frames_can_be_smaller(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", STEADY[:3], rotation=90)
    film = read_film(tmp_path, "a.mp4", factor=2)
    assert FilmReader(tmp_path).frame(film, 2).shape == (32, 24, 3)


@pytest.mark.parametrize("front", [False, True])
def test_damage_is_told_in_one_line(tmp_path: Path, front: bool) -> None:
    write(tmp_path / "a.mp4", STEADY, front=front)
    data = (tmp_path / "a.mp4").read_bytes()
    whole = 0
    for size in range(0, len(data) - 1, len(data) // 25):
        (tmp_path / "a.mp4").write_bytes(data[:size])
        try:
            film, reader = read_film(tmp_path, "a.mp4"), FilmReader(tmp_path)
            assert [len(reader.frame(film, i)) for i in range(20)] == [48] * 20
            whole += 1  # what was cut off was no more than notes behind the index
        except ValueError as error:
            assert re.match("a.mp4 got .*expected a whole film", str(error))
            assert "\n" not in str(error) and str(tmp_path) not in str(error)
    assert whole <= 2
    (tmp_path / "a.mp4").write_bytes(b"not a film at all")
    with pytest.raises(ValueError, match="^a.mp4 got "):
        read_film(tmp_path, "a.mp4")


def test_sound_alone_and_no_frames_are_refused(tmp_path: Path, posed: Any) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match="a.mkv got no video in it"):
        read_film(tmp_path, "a.mkv")
    with pytest.raises(ValueError, match="path got '../a.mkv'"):
        read_film(tmp_path, "../a.mkv")
    with pytest.raises(FileNotFoundError, match="'b.mp4', which is not there"):
        read_film(tmp_path, "b.mp4")
