"""Real motion: tossed cubes and a thrown ball; and what sees and predicts them, against closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from clay4d.physics_baseline.identify import ball, toss_models
from clay4d.physics_baseline.identify.sightings import blobs, coloured, masked, track_from_views
from clay4d.physics_baseline.identify.smooth_contact import SmoothContact, roll_out
from clay4d.physics_baseline.identify.tosses import Tosses, load_tosses, toss_experiments
from clay4d.scenes import Cameras, Views

CUBE = 0.05 * np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


def start(position: tuple[float, ...], velocity: tuple[float, ...], spin: tuple[float, ...]) -> np.ndarray:  # fmt: skip
    return np.array([[*position, 1, 0, 0, 0, *velocity, *spin]], float)


# The smooth contact


def test_smooth_contact_flies_about_its_centre_of_mass() -> None:
    contact = SmoothContact(mass_centre=(0.0, 0.0, 0.02), floor=-100.0)
    poses = roll_out(contact, CUBE, start((0, 0, 1), (1, 0, 2), (0, 5, 0)), np.array([61]), 0.01, substeps=200)  # fmt: skip
    times = np.arange(61) * 0.01
    turns = Rotation.from_quat(poses[:, 3:], scalar_first=True)
    centres = poses[:, :3] + turns.apply([0, 0, 0.02])
    expected = np.stack([1.1 * times, 0 * times, 1.02 + 2 * times - 0.5 * 9.81 * times**2], 1)
    assert np.abs(centres - expected).max() < 5e-4
    assert np.allclose(turns.as_rotvec()[:, 1], 5 * times, atol=1e-9)


def test_smooth_contact_slides_by_coulombs_law() -> None:
    contact = SmoothContact(friction=0.3, slip=1e-4)
    # At rest the springs of four corners bear the weight.
    depth = 9.81 / (4 * contact.rate**2)
    poses = roll_out(contact, CUBE, start((0, 0, 0.05 - depth), (1, 0, 0), (0, 0, 0)), np.array([61]), 0.01, substeps=100)  # fmt: skip
    assert poses[-1, 0] == pytest.approx(1 / (2 * 0.3 * 9.81), rel=0.01)
    assert abs(poses[:, 2] - 0.05).max() < 1e-3


def test_smooth_contact_does_not_depend_on_what_is_beside_it() -> None:
    generator = np.random.default_rng(0)
    starts = np.concatenate(
        [start((0, 0, 0.2), tuple(generator.normal(size=3)), tuple(5 * generator.normal(size=3))) for _ in range(4)]
    )  # fmt: skip
    together = roll_out(SmoothContact(), CUBE, starts, np.full(4, 50), 1 / 148)
    alone = roll_out(SmoothContact(), CUBE, starts[2:3], np.array([50]), 1 / 148)
    assert together[100:150].tobytes() == alone.tobytes()


# The tosses


@pytest.fixture
def tosses(shared_data: Path) -> Tosses:
    return load_tosses(shared_data / "cube_tosses")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected one with tosses.npz"):
        load_tosses(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected one with ball_track.npz"):
        ball.load_ball(tmp_path)


def test_the_cubes_centre_of_mass_shows_in_free_flight(tosses: Tosses) -> None:
    fitting, held = tosses.split()
    assert (len(fitting), len(held)) == (225, 225)
    for half in (fitting, held):  # Two halves that share no toss say the same.
        found, deviation = half.flight()
        assert abs(found[2] - 0.0064) < 3 * deviation[2] < 0.004
        assert (np.abs(found[:2]) < 3 * deviation[:2]).all()
        assert found[3] == pytest.approx(9.60, abs=0.03)


def test_tosses_repeat_what_was_recorded(tosses: Tosses) -> None:
    few = tosses.choose(np.arange(3))
    assert few.errors(few.states[:, :7]).max() < 1e-5
    other = few.states[:, :7] + [few.width, 0, 0, 0, 0, 0, 0]
    assert few.errors(other)[:, 0] == pytest.approx(100, rel=1e-6)
    experiment = toss_experiments(few)[1]
    assert experiment.scene.frames == few.lengths[1]
    # Positions step by velocity: the start's velocity is the first frame's own, not a half frame old.
    seen = experiment.tracks[0]
    step = (seen.positions[1] - seen.positions[0]) * 148
    ahead = np.array(experiment.scene.bodies[0].velocity) - [0, 0, 0.5 * 9.81 / 148]
    assert np.abs(step - ahead).max() < 0.03


def test_a_fit_to_some_tosses_predicts_others(tosses: Tosses) -> None:
    fitting, held = tosses.split()
    some, others = fitting.choose(np.arange(0, 225, 5)), held.choose(np.arange(0, 225, 3))
    names = ["friction", "gyration"]
    shell = toss_models.SHELL * tosses.width**2 / 6
    before = others.errors(toss_models.smooth_poses(others, toss_models.smooth_of([0.18, shell], names)))  # fmt: skip
    found = toss_models.fit_smooth(some, toss_models.SMOOTH_UNKNOWNS, evaluations=400)
    after = others.errors(toss_models.smooth_poses(others, toss_models.smooth_of(found.values.tolist())))  # fmt: skip
    assert after.mean(0)[0] < 11.5 < before.mean(0)[0]
    assert after.mean(0)[1] < 12.5 < before.mean(0)[1]
    low, high = found.interval("mass_centre.2")
    assert 0.003 < low < high < 0.0101


def test_the_engines_predict_a_toss(tosses: Tosses) -> None:
    few = tosses.choose(np.arange(1, 30, 10))
    engine = toss_models._engine("mujoco", few)
    errors = toss_models.engine_errors(engine, toss_experiments(few), few, {})
    assert errors.mean(0)[0] < 40 and np.isfinite(errors).all()


# The ball


def test_the_ball_is_foretold_to_a_centimetre_and_a_half(shared_data: Path) -> None:
    truth = ball.load_ball(shared_data / "panoptic_basketball")
    bare = ball.throw(truth, truth, air=False)
    aired = ball.throw(truth, truth)
    assert bare.errors[-1] == pytest.approx(0.039, abs=0.002)
    assert aired.errors[-1] < 0.016
    assert aired.errors.mean() < 0.6 * bare.errors.mean()
    found, (low, high) = ball.drag_of_flight(truth)
    assert 0.2 < low < found.values[-1] < high < 1.0, "a ball's is about a half"


def test_the_ball_is_foretold_from_pictures_alone(shared_data: Path) -> None:
    folder = shared_data / "panoptic_basketball"
    track, truth = ball.ball_from_pictures(folder), ball.load_ball(folder)
    assert np.linalg.norm(track.positions - truth.positions[: ball.SEEN], axis=1).max() < 0.012
    made = ball.throw(track, truth)
    assert made.errors.mean() < 0.02 and made.errors[-1] < 0.03


# Sightings


def ring(count: int, size: int) -> Cameras:
    views = []
    for k in range(count):
        angle = 2 * np.pi * k / count
        eye = torch.tensor([3 * np.cos(angle), 3 * np.sin(angle), 0.5]).float()
        forward = -eye / eye.norm()
        right = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0]))
        right = right / right.norm()
        R = torch.stack([right, torch.linalg.cross(forward, right), forward])
        view = torch.eye(4)
        view[:3, :3], view[:3, 3] = R, -R @ eye
        views.append(view)
    K = torch.tensor([[1.2 * size, 0, size / 2], [0, 1.2 * size, size / 2], [0, 0, 1]])
    return Cameras(torch.stack(views), K.expand(count, 3, 3), size, size, torch.zeros(count))


def pictures(cameras: Cameras, centre: np.ndarray, *, mask: bool) -> Views:
    """A red disc where the ball is, and a larger red spot somewhere else in every second picture."""
    made = []
    y, x = np.mgrid[: cameras.height, : cameras.width] + 0.5
    for k in range(len(cameras)):
        at = cameras.viewmats[k, :3, :3].numpy() @ centre + cameras.viewmats[k, :3, 3].numpy()
        u, v = (cameras.Ks[k].numpy() @ at)[:2] / at[2]
        picture = np.full((cameras.height, cameras.width, 3), 120, np.uint8)
        disc = (x - u) ** 2 + (y - v) ** 2 < (0.1 * 1.2 * cameras.width / at[2]) ** 2
        picture[disc] = (190, 30, 30)
        if k % 2:
            picture[5 : 25 + k, 8:40] = (190, 30, 30)
        if mask:
            grey = ((picture[..., 0] > 150) * 255).astype(np.uint8)
            picture = np.concatenate([picture, grey[..., None]], 2)
        made.append(picture)
    return Views(cameras, [str(k) for k in range(len(made))], lambda i: made[i])


@pytest.mark.parametrize("mask", [False, True])
def test_a_body_is_found_among_false_spots(mask: bool) -> None:
    centre = np.array([0.3, -0.2, 0.4])
    views = pictures(ring(8, 160), centre, mask=mask)
    spots = masked() if mask else coloured((0.75, 0.12, 0.12))
    track = track_from_views(views, spots, "ball", times=[0.0])
    assert np.linalg.norm(track.positions[0] - centre) < 2e-3
    nothing = track_from_views(views, coloured((0.1, 0.9, 0.1)), "ball", times=[0.0])
    assert not nothing.seen.any()
    with pytest.raises(ValueError, match="of which there are 0 pictures"):
        track_from_views(views, spots, "ball", times=[1.0])


def test_pictures_without_masks_say_so() -> None:
    with pytest.raises(ValueError, match="expected a fourth channel"):
        masked()(np.zeros((4, 4, 3), np.uint8))


def test_small_spots_do_not_count() -> None:
    chosen = np.zeros((20, 20), bool)
    chosen[2:4, 2:4] = chosen[10:16, 10:14] = True
    assert blobs(chosen, least=5).tolist() == [[12.0, 13.0, 24.0]]
