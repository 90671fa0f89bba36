"""Triangulation against scenes whose every point is known: solving, matching, stereo, hull, the whole."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch

from clay4d.scenes import Cameras, Views
from clay4d.scenes.features import find_features, join_tracks, match
from clay4d.scenes.fill import fill_empty
from clay4d.scenes.hull import splat_depths, visual_hull
from clay4d.scenes.stereo import agreement, dense_points, rank_neighbours, sociable, sweep_depths
from clay4d.scenes.triangulate import Points, triangulate_points
from clay4d.scenes.triangulation import (
    Sightings,
    believable,
    fundamental,
    medians,
    parallax,
    pixel_to_world,
    project,
    projections,
    solve_points,
)

CAMERAS, WIDTH, HEIGHT, FOCAL = 20, 128, 96, 90.0
HALF = np.array([3.0, 2.5, 1.5])
"""Half the edges of the room, metres."""
BALL = 0.5
"""Radius of the ball, metres."""


def rig(n: int, *, radius: float = 1.8, width: int = WIDTH, height: int = HEIGHT) -> Cameras:
    """Cameras on a circle in the room, each looking through its middle at the other side."""
    views = []
    for angle in np.arange(n) * 2 * np.pi / n:
        eye = np.array([radius * np.cos(angle), radius * np.sin(angle), 0.5 * np.cos(3 * angle)])
        forward = -eye / np.linalg.norm(eye)
        right = np.cross(forward, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        view = np.eye(4)
        view[:3, :3] = np.stack([right, np.cross(forward, right), forward])
        view[:3, 3] = -view[:3, :3] @ eye
        views.append(view)
    K = np.array([[FOCAL, 0, width / 2 + 3], [0, FOCAL, height / 2 - 2], [0, 0, 1]])
    viewmats = torch.tensor(np.stack(views)).float()
    return Cameras(viewmats, torch.tensor(K).float().expand(n, 3, 3), width, height, torch.zeros(n))


def texture(xyz: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """A smooth pattern in space, 0 to 1 in three colours, with detail of some centimetres."""
    draw = np.random.default_rng(seed)
    total = np.zeros((*xyz.shape[:-1], 3))
    for wave in (0.25, 0.4, 0.7, 1.1):
        for _ in range(6):
            k = draw.normal(size=3)
            k *= 2 * np.pi / wave / np.linalg.norm(k)
            total += np.sin(xyz @ k + draw.uniform(0, 7))[..., None] * draw.normal(size=3)
    return np.clip(0.5 + 0.08 * total, 0, 1)


def picture(cameras: Cameras, i: int, ball: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """What camera i sees of the room and of a red ball: uint8 RGB and mask [H, W, 4], depths."""
    back = pixel_to_world(projections(cameras))[i]
    y, x = np.mgrid[: cameras.height, : cameras.width] + 0.5
    rays, eye = np.stack([x, y, np.ones_like(x)], -1) @ back[:, :3].T, back[:, 3]
    with np.errstate(divide="ignore"):
        depth = np.where(rays > 0, (HALF - eye) / rays, (-HALF - eye) / rays).min(-1)
    colour = texture(eye + rays * depth[..., None])
    hit = np.zeros(depth.shape, bool)
    if ball is not None:
        a, b = (rays**2).sum(-1), rays @ (eye - ball)
        root = b**2 - a * (((eye - ball) ** 2).sum() - BALL**2)
        near = (-b - np.sqrt(np.maximum(root, 0))) / a
        hit = (root > 0) & (near > 0)
        depth = np.where(hit, near, depth)
        colour[hit] = [0.9, 0.2, 0.1]
    pixels = np.concatenate([colour, hit[..., None]], -1)
    return (pixels * 255).round().astype(np.uint8), depth


def off_walls(xyz: np.ndarray) -> np.ndarray:
    """Distance of points from the nearest wall, metres."""
    return np.abs(np.abs(xyz) - HALF).min(-1)


@pytest.fixture(scope="module")
def room() -> tuple[Cameras, list[np.ndarray], np.ndarray]:
    """Cameras, their RGB pictures of the empty room, and their depths."""
    cameras = rig(CAMERAS)
    seen = [picture(cameras, i, None) for i in range(CAMERAS)]
    return cameras, [p[..., :3] for p, _ in seen], np.stack([d for _, d in seen])


PATH = np.array([[-0.6, 0.0, 0.0], [0.0, 0.3, 0.1], [0.6, 0.0, 0.2]])
"""Where the ball is at each moment, metres."""


@pytest.fixture(scope="module")
def video() -> Views:
    """The room with a moving ball, by all cameras at three moments, with masks."""
    one, n = rig(CAMERAS), CAMERAS
    cameras = Cameras(
        one.viewmats.repeat(3, 1, 1), one.Ks.repeat(3, 1, 1), WIDTH, HEIGHT,
        torch.tensor([0.0, 0.5, 1.0]).repeat_interleave(n),
    )  # fmt: skip
    pictures = [picture(cameras, i, PATH[i // n])[0] for i in range(3 * n)]
    names = [f"{i % n}/{i // n}" for i in range(3 * n)]
    return Views(cameras, names, lambda i: pictures[i], camera_ids=[i % n for i in range(3 * n)])


def sightings(P: np.ndarray, xyz: np.ndarray) -> Sightings:
    """Every point in every picture, wherever it lies."""
    uv = np.stack([project(p, xyz)[0] for p in P])
    point, view = np.tile(np.arange(len(xyz)), len(P)), np.repeat(np.arange(len(P)), len(xyz))
    return Sightings(point, view, uv.reshape(-1, 2))


def test_rays_meet_where_the_points_are() -> None:
    P = projections(rig(7))
    xyz = np.random.default_rng(1).uniform(-0.8, 0.8, (50, 3))
    seen = sightings(P, xyz)
    assert np.abs(solve_points(P, seen, 50) - xyz).max() < 1e-8
    back = pixel_to_world(P)[3]
    uv, depth = project(P[3], xyz)
    rays = np.column_stack([uv, np.ones(50)]) @ back[:, :3].T
    assert np.allclose(rays * depth[:, None] + back[:, 3], xyz)


def test_a_false_sighting_hardly_moves_a_point_and_is_dropped() -> None:
    P = projections(rig(7))
    xyz = np.random.default_rng(2).uniform(-0.8, 0.8, (50, 3))
    seen = sightings(P, xyz)
    seen.xy[seen.view == 4] += 25.0
    found, error, which = believable(P, seen, 50, least=6)
    assert len(which) == 50 and error.max() < 1e-6
    assert np.abs(found - xyz).max() < 1e-6
    assert not len(believable(P, seen, 50, least=7)[2])


def test_points_without_parallax_are_not_believed() -> None:
    """Two cameras 1 cm apart see a point 3 m away within 0.2°."""
    cameras = rig(1)
    near = cameras.viewmats.clone()
    near[0, 0, 3] += 0.01
    P = projections(
        Cameras(
            torch.cat([cameras.viewmats, near]), cameras.Ks.expand(2, 3, 3), 9, 9, torch.zeros(2)
        )
    )
    seen = sightings(P, np.array([[-1.2, 0.0, -0.3]]))
    angle = parallax(P, seen, 1)[0]
    assert angle == pytest.approx(np.degrees(0.01 / 3.0), rel=0.1)
    assert not len(believable(P, seen, 1, least=2)[2])


def test_epipolar_lines_hold_their_points() -> None:
    P = projections(rig(6))
    xyz = np.random.default_rng(3).uniform(-0.8, 0.8, (20, 3))
    for a, b in ((0, 1), (4, 2), (5, 0)):
        one, other = (np.column_stack([project(P[k], xyz)[0], np.ones(20)]) for k in (a, b))
        line = one @ fundamental(P[a], P[b]).T
        off = np.abs((line * other).sum(1)) / np.linalg.norm(line[:, :2], axis=1)
        assert off.max() < 1e-6


def test_medians_are_those_of_numpy() -> None:
    draw = np.random.default_rng(4)
    values, group = draw.normal(size=(99, 2)), draw.integers(0, 8, 99)
    group[group == 5] = 6
    found = medians(values, group, 8)
    for g in range(8):
        mine = values[group == g]
        if not len(mine):
            assert np.isnan(found[g]).all()
        else:
            expected = np.quantile(mine, 0.5, axis=0, method="inverted_cdf")
            assert (found[g] == expected).all()


@pytest.mark.parametrize("upsample", [1.0, 2.0])
def test_a_feature_lies_at_the_middle_of_its_blob(upsample: float) -> None:
    """The first pixel's centre is at (0.5, 0.5), whatever OpenCV counts from."""
    y, x = np.mgrid[:64, :64] + 0.5
    blob = 40 + 180 * np.exp(-((x - 30.25) ** 2 + (y - 34.75) ** 2) / 18)
    image = np.repeat(blob[..., None], 3, 2).round().astype(np.uint8)
    found = find_features(image, upsample=upsample)
    assert np.abs(found.xy[0] - [30.25, 34.75]).max() < 0.15


def test_features_match_where_depth_says(room: tuple) -> None:
    cameras, images, depths = room
    P = projections(cameras)
    back = pixel_to_world(P)
    a, b = 0, 1
    one, other = find_features(images[a]), find_features(images[b])
    pairs = match(one, other, fundamental(P[a], P[b]))
    xy = one.xy[pairs[:, 0]].astype(float)
    depth = depths[a][tuple(np.floor(xy).astype(int).T[::-1])]
    world = (np.column_stack([xy, np.ones(len(xy))]) @ back[a][:, :3].T) * depth[:, None]
    off = np.linalg.norm(project(P[b], world + back[a][:, 3])[0] - other.xy[pairs[:, 1]], axis=1)
    assert len(pairs) > 30
    assert np.mean(off < 1.5) > 0.85
    assert np.median(off) < 0.5  # pixel centres at 0.5 on both sides


def test_tracks_never_hold_two_features_of_one_picture() -> None:
    # 0a–1a–2a is one point; 2b would join picture 0's other feature to it through 1a.
    pairs = [(0, 1), (1, 2), (0, 2)]
    matches = [np.array([[0, 0]]), np.array([[0, 0]]), np.array([[1, 0]])]
    tracks = join_tracks(np.array([0, 2, 3]), pairs, matches)
    pictures = [[0, 0, 1, 2][node] for track in tracks for node in track]
    assert all(len({[0, 0, 1, 2][n] for n in track}) == len(track) for track in tracks)
    assert sorted(pictures) in ([0, 1, 2], [0, 1, 0, 2], [0, 2])
    assert max(len(track) for track in tracks) >= 2


def test_a_plane_sweep_finds_the_depth(room: tuple) -> None:
    cameras, images, depths = room
    greys = np.stack([image.mean(-1) for image in images]).astype(np.float32) / 255
    known = np.random.default_rng(5).uniform(-1, 1, (400, 3))
    known[np.arange(400), np.arange(400) % 3] = np.sign(known[np.arange(400), np.arange(400) % 3])
    inverse = sweep_depths(greys, cameras, known * HALF)
    found = inverse > 0
    off = np.abs(inverse * depths - 1)[found]
    assert found.mean() > 0.3
    assert np.median(off) < 0.02
    xyz, count = agreement(inverse, projections(cameras))
    sure = count >= 3
    assert sure.sum() > 1000
    assert np.median(off_walls(xyz[sure])) < 0.03


def test_dense_points_lie_on_the_walls(room: tuple) -> None:
    cameras, images, depths = room
    greys = np.stack([image.mean(-1) for image in images]).astype(np.float32) / 255
    known = np.random.default_rng(6).uniform(-1, 1, (400, 3))
    known[np.arange(400), np.arange(400) % 3] = np.sign(known[np.arange(400), np.arange(400) % 3])
    xyz, inverse = dense_points(greys, cameras, known * HALF)
    assert len(xyz) > 5000
    assert np.quantile(off_walls(xyz), 0.8) < 0.06
    filled = inverse > 0
    assert filled.mean() > 0.6
    assert np.median(np.abs(inverse * depths - 1)[filled]) < 0.02


def test_neighbours_are_those_beside() -> None:
    ranks = rank_neighbours(rig(12))
    assert {int(k) for k in ranks[0, :2]} == {1, 11}
    assert int(ranks[0, -1]) == 6


def test_lonely_points_are_left_out() -> None:
    xyz = np.random.default_rng(7).uniform(0, 1, (200, 3))
    xyz[13] = [9.0, 9, 9]
    kept = sociable(xyz)
    assert 13 not in kept and len(kept) > 190


def test_the_hull_of_a_ball_is_the_ball() -> None:
    cameras = rig(16)
    P, centre, size = projections(cameras), PATH[1], 0.05
    masks = np.stack([picture(cameras, i, centre)[0][..., 3] for i in range(16)])
    hull = visual_hull(masks, P, centre - 1.0, centre + 1.0, size=size, least=4)
    radius = np.linalg.norm(hull - centre, axis=1)
    assert len(hull) > 0.3 * 4 * np.pi * (BALL / size) ** 2
    assert np.median(np.abs(radius - BALL)) < size
    assert radius.min() > BALL - 2 * size  # the inside is empty
    # A ring of cameras leaves a cap at both poles.
    assert radius.max() < 1.4 * BALL
    nearest = splat_depths(hull, P, HEIGHT, WIDTH, size=2 * size)
    depth = picture(cameras, 0, centre)[1]
    inner = (masks[0] > 127) & np.isfinite(nearest[0])
    assert inner.sum() > 0.95 * (masks[0] > 127).sum()
    assert np.median(np.abs(nearest[0] - depth)[inner]) < 1.5 * size


@pytest.fixture(scope="module")
def points(video: Views) -> Points:
    """The video's points, made on one thread."""
    numba.set_num_threads(1)
    return triangulate_points(video, moments=3, limit=6000)


def test_a_video_gives_the_room_and_the_ball(points: Points) -> None:
    still = points.times.isnan()
    xyz, rgb = points.xyz.numpy().astype(float), points.rgb.numpy()
    walls = xyz[still]
    assert 1500 < len(walls) <= 6000
    assert np.quantile(off_walls(walls), 0.8) < 0.06
    assert np.median(np.abs(rgb[still] - texture(walls))) < 0.04
    for time, centre in zip((0.0, 0.5, 1.0), PATH):
        ball = xyz[points.times == time]
        assert 100 < len(ball) <= 3000
        assert np.median(np.abs(np.linalg.norm(ball - centre, axis=1) - BALL)) < 0.08
        assert (rgb[points.times == time][:, 0] > 0.6).mean() > 0.95
    assert len(points.at(0.6)) == int(still.sum()) + int((points.times == 0.5).sum())


def test_points_have_the_same_bits_at_any_number_of_threads(video: Views, points: Points) -> None:
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    again = triangulate_points(video, moments=3, limit=6000)
    assert torch.equal(points.xyz, again.xyz) and torch.equal(points.rgb, again.rgb)
    assert torch.equal(points.times.nan_to_num(-1.0), again.times.nan_to_num(-1.0))


def test_pictures_that_show_nothing_are_refused() -> None:
    blank = Views(rig(4), list("abcd"), lambda i: np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    with pytest.raises(ValueError, match="expected some. Check the poses"):
        triangulate_points(blank)


def test_what_no_point_covers_is_filled_at_the_depth_beside_it() -> None:
    """A wall 3 m away of which one camera's right half has no points yet."""
    one = Cameras(
        torch.eye(4)[None], torch.tensor([[[64.0, 0, 32], [0, 64, 24], [0, 0, 1]]]), 64, 48,
        torch.zeros(1),
    )  # fmt: skip
    y, x = (k.ravel() for k in np.mgrid[-1.2:1.2:0.03, -1.6:1.6:0.03])
    wall = np.stack([x, y, np.full_like(x, 3.0)], 1)
    P = projections(one)
    filled = fill_empty(wall[x < 0], P, 48, 64)
    assert np.allclose(filled[:, 2], 3.0)
    assert filled[:, 0].min() > -0.05 and filled[:, 0].max() > 1.3
    assert len(filled) > 0.8 * (32 * 48) / 9
    assert not len(fill_empty(wall, P, 48, 64))
    assert not len(fill_empty(-wall, P, 48, 64))  # nothing before the camera: no depth to go by
