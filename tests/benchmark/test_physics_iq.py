"""Physics-IQ's scores against the definitions written out anew, twice: in numpy and in OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from clay4d.benchmark import physics_iq
from clay4d.benchmark.physics_iq import Alike, alike, motion_masks, resample, score, scores


def film(seed: int, *, height: int = 64, width: int = 96, frames: int = 9) -> np.ndarray:
    """A disc and a bar that move before noise and a gradient, with a flash of faint light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    out = np.empty((frames, height, width, 3), np.uint8)
    back = 90 + 40 * x / width + rng.normal(0, 2, (height, width))
    for t in range(frames):
        picture = np.repeat(back[..., None], 3, 2) + rng.normal(0, 3, (height, width, 3))
        disc = (x - 12 - 7 * t - seed) ** 2 + (y - 30 - 2 * t) ** 2 < 81
        picture[disc] = (210, 60, 40)
        picture[5 + 2 * t : 12 + 2 * t, 60:85] = (30, 60, 190)
        if t == 5:
            picture[40:60, 70:90] += 11
        out[t] = picture.clip(0, 255)
    return out


def grey_of(frame: np.ndarray) -> np.ndarray:
    """Grey by 15-bit weights, blurred by binomials over 256, mirrored without repeating the edge."""
    r, g, b = (frame[..., k].astype(np.int64) for k in range(3))
    grey = (9798 * r + 19235 * g + 3735 * b + 16384) >> 15
    line = np.array([1, 4, 6, 4, 1])
    padded = np.pad(grey, 2, mode="reflect")
    rows = sum(w * padded[k : k + len(grey)] for k, w in enumerate(line))
    both = sum(w * rows[:, k : k + grey.shape[1]] for k, w in enumerate(line))
    return (both + 128) >> 8


def masks_by_numpy(video: np.ndarray) -> np.ndarray:
    out = np.zeros(video.shape[:3], bool)
    average = grey_of(video[0]).astype(np.float64)
    square = np.ones((5, 5), bool)
    for t in range(1, len(video)):
        grey = grey_of(video[t])
        average = 0.7 * average + 0.3 * grey
        # OpenCV rounds the average in single precision, where more of them are exactly at a half.
        moving = np.abs(grey - np.rint(average.astype(np.float32))) > 10
        # Beyond the border nothing erodes and nothing grows, at each of the four steps.
        moving = ndimage.binary_erosion(moving, square, border_value=1)
        moving = ndimage.binary_dilation(moving, square, border_value=0)
        moving = ndimage.binary_dilation(moving, square, border_value=0)
        out[t] = ndimage.binary_erosion(moving, square, border_value=1)
    return out


def masks_by_opencv(video: np.ndarray) -> np.ndarray:
    kernel, out, average = np.ones((5, 5), np.uint8), [], None
    for frame in video[..., ::-1]:
        grey = cv2.GaussianBlur(cv2.cvtColor(frame.copy(), cv2.COLOR_BGR2GRAY), (5, 5), 0)
        if average is None:
            average = grey.astype("float")
            out.append(np.zeros_like(grey))
            continue
        cv2.accumulateWeighted(grey, average, 0.3)
        difference = cv2.absdiff(grey, cv2.convertScaleAbs(average))
        _, binary = cv2.threshold(difference, 10, 255, cv2.THRESH_BINARY)
        binary = cv2.morphologyEx(binary, cv2.MORPH_OPEN, kernel)
        out.append(cv2.morphologyEx(binary, cv2.MORPH_CLOSE, kernel))
    return np.stack(out) > 0


@pytest.mark.parametrize("seed", range(3))
def test_masks_are_the_definitions_to_the_pixel(seed: int) -> None:
    video = film(seed)
    found = motion_masks(video)
    assert found.dtype == bool and found.shape == video.shape[:3]
    assert not found[0].any() and 0.02 < found[1:].mean() < 0.6
    assert (found == masks_by_opencv(video)).all()
    assert (found == masks_by_numpy(video)).all()


def test_the_average_takes_the_new_frame_in_before_it_is_compared() -> None:
    # Of a step of 14 0.7 · 14 = 9.8 is left, rounded 10, which is not above 10; 15 leaves 10.5, and
    # as the average's 104.5 is rounded to the even 104, 11.
    for step, seen in ((11, False), (14, False), (15, True)):
        video = np.full((2, 20, 20, 3), 100, np.uint8)
        video[1] += step
        assert motion_masks(video)[1].any() == seen, step


def measures_by_numpy(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """At a quarter of the size: bilinear samples lie in the middle of each four by four."""

    def quarter(x: np.ndarray) -> np.ndarray:
        x = x.astype(np.int64)
        total = x[:, 1::4, 1::4] + x[:, 1::4, 2::4] + x[:, 2::4, 1::4] + x[:, 2::4, 2::4]
        return (total + 2) >> 2

    A, B = (quarter(masks_by_numpy(v) * 255) > 127 for v in (a, b))
    frames = [1.0 if not (x | y).any() else (x & y).sum() / (x | y).sum() for x, y in zip(A, B)]
    all_a, all_b = A.max(0), B.max(0)
    weight_a, weight_b = A.sum(0) / len(A), B.sum(0) / len(B)
    return {
        "spatial_iou": (all_a & all_b).sum() / (all_a | all_b).sum(),
        "spatiotemporal_iou": np.mean(frames),
        "weighted_spatial_iou": np.minimum(weight_a, weight_b).sum() / np.maximum(weight_a, weight_b).sum(),
        "mse": np.mean((quarter(a) / 255 - quarter(b) / 255) ** 2),
    }  # fmt: skip


def test_scores_are_the_definitions() -> None:
    made, one, two = film(9), film(0), film(2)
    found = scores(made, one, two)
    ours, real = measures_by_numpy(made, one), measures_by_numpy(two, one)
    for name, value in ours.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    shares = [
        ours[n] / real[n] for n in ("spatiotemporal_iou", "spatial_iou", "weighted_spatial_iou")
    ]
    assert found["score"] == pytest.approx(100 * (np.mean(shares) - (ours["mse"] - real["mse"])))
    assert 0 < found["score"] < 100
    assert scores(two, one, two)["score"] == pytest.approx(100)
    assert set(found) == {*ours, "score"}


def test_means_come_first_and_ratios_after() -> None:
    good, bad = Alike(0.8, 0.8, 0.8, 0.01), Alike(0.2, 0.2, 0.2, 0.03)
    many, few = Alike(1.0, 1.0, 1.0, 0.0), Alike(0.25, 0.25, 0.25, 0.02)
    found = score([good, bad], [many, few])
    assert found == pytest.approx(100 * (0.5 / 0.625 - (0.02 - 0.01)))
    assert found != pytest.approx(100 * (np.mean([0.8, 0.8]) - 0.01 * 2))
    assert score([Alike(0, 0, 0, 0.5)], [many]) == 0.0


def test_where_nothing_moves_masks_agree() -> None:
    still = np.full((5, 32, 32, 3), 80, np.uint8)
    found = alike(still, still)
    assert found == Alike(1.0, 1.0, 1.0, 0.0)
    assert scores(still, still, still)["score"] == 100
    flashing = still.copy()
    flashing[1::2, 8:24, 8:24] = 240
    mixed = alike(still, flashing)
    assert mixed.spatial_iou == 0 and mixed.spatiotemporal_iou == pytest.approx(1 / 5)


def test_another_size_is_brought_to_a_quarter_of_the_first_takes() -> None:
    one, two = film(0), film(2)
    double = np.stack([cv2.resize(f, (192, 128)) for f in one])
    found = scores(double, one, two)
    assert found["spatial_iou"] > 0.6 and found["mse"] < 0.002
    odd = np.ascontiguousarray(one[:, :63, :95])
    assert scores(odd, odd, odd)["score"] == 100


@pytest.mark.parametrize(
    ("generated", "says"),
    [
        (film(0, frames=7), r"generated got 7 frames; expected the 9 of take1"),
        (film(0)[..., :2], r"generated got uint8 \[9, 64, 96, 2\]; expected uint8"),
        (film(0).astype(float), r"generated got float64"),
        (film(0)[0], r"generated got uint8 \[64, 96, 3\]"),
        (film(0)[:0], r"generated got uint8 \[0, 64, 96, 3\]"),
        ([1, 2], r"generated got <class 'list'>"),
    ],
)  # fmt: skip
def test_what_is_no_video_is_refused(generated: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        scores(generated, film(0), film(1))


def test_takes_without_common_motion_have_no_score() -> None:
    still, moving = np.full((9, 64, 96, 3), 80, np.uint8), film(0)
    with pytest.raises(ValueError, match="of the real takes got 0"):
        scores(moving, moving, still)
    with pytest.raises(ValueError, match=r"take1 got 3 × 96 pixels"):
        scores(moving[:, :3], moving[:, :3], moving[:, :3])


def test_other_rates_are_resampled_or_refused() -> None:
    video = film(0, frames=10)
    assert (resample(video, 30, to=30, frames=10) == video).all()
    assert (resample(video, 30, to=15, frames=5) == video[::2]).all()
    between = resample(video, 20, to=30, frames=14)
    at = np.arange(14) * 20 / 30
    low = at.astype(int)
    share = (at - low)[:, None, None, None]
    expected = (1 - share) * video[low] + share * video[np.minimum(low + 1, 9)]
    assert np.abs(between - expected).max() <= 0.5 + 1e-9
    with pytest.raises(ValueError, match=r"video got 0.33 s; expected 0.67 s"):
        resample(video, 30, to=30, frames=20)
    with pytest.raises(ValueError, match="expected above 0"):
        resample(video, 0, to=30, frames=2)


def test_it_is_public() -> None:
    import clay4d.benchmark

    assert clay4d.benchmark.physics_iq is physics_iq
