"""Real tosses of a cube (Pfrommer, Halm and Posa, CoRL 2020): loading, the protocol, the errors.

The protocol: tosses with an even place in the file are for fitting, those with an odd one are held out.
A prediction starts from the first frame alone and runs to the last; its error is the mean over all
frames of the distance of the centres, in per cent of the cube's width, and of the angle of rotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from clay4d.physics_baseline.identify.fit import Experiment
from clay4d.physics_baseline.identify.tracks import Track, rotation_between
from clay4d.physics_baseline.spec import Box, Floor, Gravity, Material, SceneSpec
from clay4d.scenes.loaders.images import read_npz

WIDTH_NOISE = 0.12
"""Shares of the width and radians that count as much as each other when fitting: what the untouched
engines err by."""
ANGLE_NOISE = np.radians(16.0)


@dataclass(frozen=True)
class Tosses:
    """N recorded tosses one after another, F frames in all."""

    states: Float[np.ndarray, "F 13"]
    """Position (m), quaternion wxyz, velocity (m/s, of half a frame ago), spin (rad/s, body's axes)."""
    lengths: Int[np.ndarray, " N"]
    dt: float
    """Seconds between frames."""
    width: float
    """Of the cube, metres."""

    def __len__(self) -> int:
        return len(self.lengths)

    def choose(self, which: Int[np.ndarray, " M"]) -> Tosses:
        """Some of the tosses."""
        ends = np.cumsum(self.lengths)
        rows = [self.states[ends[k] - self.lengths[k] : ends[k]] for k in which]
        return Tosses(np.concatenate(rows), self.lengths[which], self.dt, self.width)

    def split(self) -> tuple[Tosses, Tosses]:
        """Those for fitting (even places in the file) and those held out (odd ones)."""
        every = np.arange(len(self))
        return self.choose(every[::2]), self.choose(every[1::2])

    def starts(self, gravity: float = 9.81) -> Float[np.ndarray, "N 13"]:
        """First frames: velocities brought half a frame forward, spins in world axes."""
        starts: Float[np.ndarray, "N 13"] = self.states[
            np.cumsum(self.lengths) - self.lengths
        ].copy()
        starts[:, 9] -= 0.5 * self.dt * gravity
        turns = Rotation.from_quat(starts[:, 3:7], scalar_first=True)
        starts[:, 10:] = turns.apply(starts[:, 10:])
        return starts

    def smoothed_starts(
        self,
        frames: int,
        gravity: Float[np.ndarray, " 3"],
        mass_centre: Float[np.ndarray, " 3"],
    ) -> Float[np.ndarray, "N 13"]:
        """Starts estimated from the first frames, which must be free flight: a longer look than one frame.

        The centre of mass is put on its parabola and the spin is that of the whole turn, in least squares.
        """
        starts = self.starts(-float(gravity[2]))
        times = np.arange(frames) * self.dt
        design = np.stack([np.ones(frames), times], 1)
        for n, first in enumerate(np.cumsum(self.lengths) - self.lengths):
            seen = self.states[first : first + frames]
            turns = Rotation.from_quat(seen[:, 3:7], scalar_first=True)
            centres = seen[:, :3] + turns.apply(mass_centre)
            centres = centres - 0.5 * np.outer(times**2, gravity)
            place, velocity = np.linalg.lstsq(design, centres, rcond=None)[0]
            vectors = (turns * turns[0].inv()).as_rotvec()
            off, spin = np.linalg.lstsq(design, vectors, rcond=None)[0]
            start = Rotation.from_rotvec(off) * turns[0]
            arm = start.apply(mass_centre)
            starts[n, :3], starts[n, 3:7] = place - arm, start.as_quat(scalar_first=True)
            starts[n, 7:10], starts[n, 10:] = velocity - np.cross(spin, arm), spin
        return starts

    def errors(self, poses: Float[np.ndarray, "F 7"]) -> Float[np.ndarray, "N 2"]:
        """Of predicted poses, for each toss: per cent of the width, and degrees."""
        place = np.linalg.norm(poses[:, :3] - self.states[:, :3], axis=1) / self.width * 100
        angle = np.linalg.norm(rotation_between(self.states[:, 3:7], poses[:, 3:]), axis=1)
        first = np.cumsum(self.lengths) - self.lengths
        sums = np.add.reduceat(np.stack([place, np.degrees(angle)], 1), first)
        means: Float[np.ndarray, "N 2"] = sums / self.lengths[:, None]
        return means

    def flight(self, *, clear: float = 6e-3) -> tuple[np.ndarray, np.ndarray]:
        """Centre of mass (m, cube's axes) and gravity (m/s²) by free flight alone, and their deviations.

        Before any corner is `clear` metres from the floor, the centre p + R·c of each toss is a
        parabola: linear least squares over all tosses, each with its own place and velocity. The
        deviations are a bootstrap's over the tosses. Both of shape [4].

        Raises:
            ValueError: no toss flies for ten frames.
        """
        normal, right = [], []
        for first, length in zip(np.cumsum(self.lengths) - self.lengths, self.lengths):
            seen = self.states[first : first + length]
            R = Rotation.from_quat(seen[:, 3:7], scalar_first=True).as_matrix()
            low = seen[:, 2] - self.width / 2 * np.abs(R[:, 2]).sum(1)
            n = int(np.argmax(low < clear)) if (low < clear).any() else len(low)
            if n < 10:
                continue
            times = np.arange(n) * self.dt
            basis = np.linalg.qr(np.stack([np.ones(n), times], 1))[0]
            M = np.zeros((3, n, 4))
            M[:, :, :3] = -R[:n].transpose(1, 0, 2)
            M[2, :, 3] = -0.5 * times**2
            M -= np.einsum("tb,sb,ksj->ktj", basis, basis, M)
            y = seen[:n, :3].T - seen[:n, :3].T @ basis @ basis.T
            normal.append(np.einsum("ktj,ktl->jl", M, M))
            right.append(np.einsum("ktj,kt->j", M, y))
        if not normal:
            raise ValueError("tosses got none that flies for ten frames; expected one at least.")
        A, b = np.array(normal), np.array(right)
        picks = np.random.default_rng(0).integers(0, len(A), (200, len(A)))
        again = [np.linalg.solve(A[p].sum(0), b[p].sum(0)) for p in picks]
        return np.linalg.solve(A.sum(0), b.sum(0)), np.std(again, 0)

    def corners(self) -> Float[np.ndarray, "8 3"]:
        """Of the cube, its axes, metres."""
        h = self.width / 2
        return np.array([(x, y, z) for x in (-h, h) for y in (-h, h) for z in (-h, h)])


def load_tosses(folder: str | Path) -> Tosses:
    """The tosses of a folder with tosses.npz, in metres.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its arrays do not agree.
    """
    path = Path(folder) / "tosses.npz"
    if not path.is_file():
        raise FileNotFoundError(f"folder got {str(folder)!r}; expected one with tosses.npz.")
    state, length, step, width = read_npz(path, "state", "length", "dt", "half_width_m")
    states, lengths = state.astype(np.float64), length.astype(np.int64)
    dt, half = float(step), float(width)
    if states.ndim != 2 or states.shape[1] != 13 or len(states) != lengths.sum():
        raise ValueError(
            f"tosses.npz got states of shape {list(states.shape)} for {lengths.sum()} frames; "
            "expected [frames, 13]."
        )
    states[:, :3] *= half
    states[:, 7:10] *= half
    return Tosses(states, lengths, dt, 2 * half)


def toss_experiments(
    tosses: Tosses,
    *,
    material: Material | None = None,
    inertia_factor: float = 1.0,
    g: float = 9.81,
) -> list[Experiment]:
    """Each toss as a scene for the engines, and its track; `material` is the cube's and the floor's."""
    made, first = [], 0
    material = material or Material(friction=0.18, restitution=0.125)
    for start, length in zip(tosses.starts(g), tosses.lengths):
        seen = tosses.states[first : first + length]
        first += length
        x, y, z, a, b, c, d, u, v, w, p, q, r = (float(value) for value in start)
        cube = Box(
            name="cube", size=(tosses.width,) * 3, position=(x, y, z), quat=(a, b, c, d),
            velocity=(u, v, w), angular_velocity=(p, q, r), mass=0.37, material=material,
            inertia_factor=inertia_factor,
        )  # fmt: skip
        scene = SceneSpec(
            bodies=(cube,), floor=Floor(material=material), duration=float(length * tosses.dt),
            fps=1 / tosses.dt, fields=(Gravity(acceleration=(0, 0, -g)),),
        )  # fmt: skip
        track = Track(
            "cube", np.array(scene.times), seen[:, :3], seen[:, 3:7],
            position_noise=WIDTH_NOISE * tosses.width, angle_noise=float(ANGLE_NOISE),
        )  # fmt: skip
        made.append(Experiment(scene, (track,)))
    return made
