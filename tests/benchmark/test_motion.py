"""Measures of motion against closed forms and against references written another way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.spatial.transform import Rotation
from scipy.stats import norm

from clay4d.benchmark.motion import (
    FLOOR,
    best_of_k,
    collision_time_error,
    crps,
    energy_drift,
    energy_score,
    first_touches,
    momentum_drift,
    penetration,
    permanence,
    position_error,
    rotation_error,
    velocities,
    velocity_error,
)

RNG = np.random.default_rng(5)


def test_angles_are_scipys_also_small_ones() -> None:
    a = Rotation.random(200, rng=1)
    turn = RNG.normal(size=(200, 3)) * 10.0 ** RNG.uniform(-9, 0.4, (200, 1))
    b = a * Rotation.from_rotvec(turn)
    sign = RNG.choice([-2.0, 1.0], (200, 1))
    found = rotation_error(a.as_quat(scalar_first=True), sign * b.as_quat(scalar_first=True))
    angle = np.degrees(np.linalg.norm(turn, axis=1)) % 360
    assert np.allclose(found, np.minimum(angle, 360 - angle), rtol=1e-4, atol=1e-12)
    assert found.min() < 1e-6


def test_distances_are_pythagoras() -> None:
    a, b = RNG.normal(size=(2, 4, 3, 3))
    expected = [
        [sum((a[t, k, i] - b[t, k, i]) ** 2 for i in range(3)) ** 0.5 for k in range(3)]
        for t in range(4)
    ]
    assert np.allclose(position_error(a, b), expected)
    with pytest.raises(ValueError, match=r"got shape \[4, 3\]; expected the truth's, \[4, 3, 3\]"):
        position_error(a[:, 0], b)


def test_velocities_are_exact_under_an_even_acceleration() -> None:
    t = np.sort(RNG.uniform(0, 2, 9))  # uneven moments
    v, g = np.array([1.0, -2, 3]), np.array([0, 0.5, -9.81])
    path = np.outer(t, v) + 0.5 * np.outer(t**2, g)
    assert np.allclose(velocities(path, t), v + np.outer(t, g))
    other = path + np.outer(t, [0.3, 0.4, 0])
    assert np.allclose(velocity_error(other[:, None], path[:, None], t), 0.5)
    with pytest.raises(ValueError, match="three or more that rise"):
        velocities(path, t[::-1])


def test_balls_touch_when_the_quadratic_says() -> None:
    # Relative motion from (3, 0.3, 0) at −2 m/s along x, radii 0.25 each: x² = 0.25 − 0.09.
    t = np.linspace(0, 2, 41)
    still = np.zeros((41, 3))
    moving = np.stack([3 - 2 * t, 0 * t + 0.3, 0 * t], -1)
    path = np.stack([still, moving], 1)
    found = first_touches(path, np.array([0.25, 0.25]), t)
    assert found == {(0, 1): pytest.approx((3 - 0.4) / 2)}
    # Between two far moments they pass through each other and are still seen.
    coarse = first_touches(path[[0, 40]], np.array([0.25, 0.25]), t[[0, 40]])
    assert coarse == {(0, 1): pytest.approx(1.3)}
    assert not first_touches(path, np.array([0.1, 0.1]), t)
    fall = np.stack([0 * t, 0 * t, 1.0 - t], -1)[:, None]
    assert first_touches(fall, np.array([0.2]), t, floor=-0.1) == {(FLOOR, 0): pytest.approx(0.9)}
    assert not first_touches(
        fall[30:], np.array([0.2]), t[30:], floor=0.0
    )  # it lies in it at first


def test_missed_and_made_up_collisions_count_up_to_the_end() -> None:
    truth, said = {(0, 1): 0.4, (1, 2): 0.6}, {(0, 1): 0.5, (0, 2): 1.5}
    assert collision_time_error(said, truth, end=2.0) == pytest.approx((0.1 + 1.4 + 0.5) / 3)
    assert collision_time_error({}, {}, end=2.0) is None


def test_permanence_is_a_share() -> None:
    expected = RNG.random((20, 3)) < 0.7
    there = expected & (RNG.random((20, 3)) < 0.5)
    assert permanence(there, expected) == pytest.approx(there.sum() / expected.sum())
    assert permanence(~expected, expected) == 0
    assert permanence(there, np.zeros((20, 3), bool)) == 1


def two_bodies(bounce: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two masses in free fall that meet half way, between two moments far from both."""
    t, m = np.arange(40) / 20, np.array([2.0, 0.5])
    v = np.array([[1.0, 0, 0], [-2.0, 0, 0]])
    centre = m @ v / m.sum()
    after = centre - bounce * (v - centre)
    late = (t > 0.975)[:, None, None]
    path = np.where(late, v * 0.975 + after * (t[:, None, None] - 0.975), v * t[:, None, None])
    path[..., 2] += 50 - 4.905 * t[:, None] ** 2
    return path, t, m


def test_what_bodies_do_to_each_other_leaves_momentum_and_takes_energy() -> None:
    path, t, m = two_bodies(0.5)
    assert momentum_drift(path, t, m).max() < 1e-9
    whole = np.r_[0:18, 22:40]  # the blow's own frames have no velocity
    speed = (velocities(path, t) ** 2).sum(-1)
    energy = ((0.5 * speed + 9.81 * path[..., 2]) * m).sum(1)[whole]
    lost = 0.5 * (2 * 0.5 / 2.5) * 3**2 * (1 - 0.25)
    assert energy[0] - energy[-1] == pytest.approx(lost)
    assert energy_drift(path[:18], t[:18], m) < 1e-9
    gained, t2, m2 = two_bodies(1.5)
    assert energy_drift(gained, t2, m2) == pytest.approx(0.5 * 0.4 * 9 * 1.25, rel=0.7)
    # A push of 0.3 m/s² along y on one of both: 0.5 kg · 0.3 · t.
    path[:, 1, 1] += 0.15 * t**2
    assert np.allclose(momentum_drift(path, t, m), 0.15 * t)


def test_penetration_is_how_deep_balls_are() -> None:
    radii = np.array([0.3, 0.2, 0.1])
    path = RNG.uniform(-0.4, 0.6, (30, 3, 3))
    found = penetration(path, radii, floor=0.0)
    for t in range(30):
        deep = [0.0]
        for a in range(3):
            deep.append(radii[a] - path[t, a, 2])
            for b in range(a):
                square = sum((path[t, a, i] - path[t, b, i]) ** 2 for i in range(3))
                deep.append(radii[a] + radii[b] - square**0.5)
        assert found[t] == pytest.approx(max(deep))
    assert penetration(path + [0, 0, 5], radii * 0.0, floor=0.0).max() == 0


def test_crps_is_the_integral_of_squared_differences_of_distributions() -> None:
    samples, truth = RNG.normal(1, 2, 7), 0.7

    def squared(x: float) -> float:
        return (float((samples <= x).mean()) - float(x >= truth)) ** 2

    points = sorted([*samples, truth])
    expected = sum(quad(squared, a, b)[0] for a, b in zip(points, points[1:]))
    assert crps(samples, np.array(truth)) == pytest.approx(expected)
    assert crps(samples[:1], np.array(truth)) == pytest.approx(abs(samples[0] - truth))


def test_crps_of_many_draws_is_the_normal_distributions() -> None:
    draws = norm.ppf((np.arange(4000) + 0.5) / 4000)[:, None] * 1.5 + [0.2, -1.0]
    truth = np.array([0.9, -1.4])
    z = (truth - [0.2, -1.0]) / 1.5
    closed = 1.5 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert np.allclose(crps(draws, truth), closed, atol=1e-3)


def test_energy_score_is_crps_along_a_line() -> None:
    samples, truth = RNG.normal(size=(9, 4)), RNG.normal(size=4)
    line = np.array([2.0, -1, 2]) / 3
    found = energy_score(samples[..., None] * line, truth[..., None] * line)
    assert np.allclose(found, crps(samples, truth))


def test_best_of_k_is_of_whole_futures() -> None:
    truth = np.zeros((2, 1, 3))
    samples = np.array([[[[0.0, 0, 0]], [[1.0, 0, 0]]], [[[0.6, 0, 0]], [[0.0, 0, 0]]]])
    assert best_of_k(samples, truth) == pytest.approx(0.3)  # not 0, which mixes both
