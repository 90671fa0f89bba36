"""Judges a planned scene: what stands where by its geometry, what happens by simulating it.

The simulation is written here, plainly, with MuJoCo's rigid bodies, and not taken from the package's
engines: the planner is judged by something that does not share its code. Cloth and soft bodies are
judged by their start only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from clay4d.physics_baseline import spec as s
from clay4d.physics_baseline.spec import SceneSpec

COLOURS = {
    "red": (0.9, 0.1, 0.1), "green": (0.1, 0.6, 0.2), "blue": (0.1, 0.3, 0.9),
    "yellow": (0.95, 0.85, 0.1), "orange": (0.95, 0.5, 0.1), "purple": (0.5, 0.2, 0.65),
    "pink": (0.95, 0.6, 0.7), "black": (0.05, 0.05, 0.05), "white": (1.0, 1.0, 1.0),
    "grey": (0.5, 0.5, 0.5), "brown": (0.4, 0.25, 0.1), "cyan": (0.1, 0.8, 0.9),
}  # fmt: skip


def colour_name(rgb: tuple[float, float, float]) -> str:
    return min(COLOURS, key=lambda n: sum((a - b) ** 2 for a, b in zip(COLOURS[n], rgb)))


def matrix(quat: Any) -> np.ndarray:
    w, x, y, z = np.asarray(quat, float) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def corners(body: Any) -> np.ndarray:
    """Points whose box bounds the body in the world, metres."""
    R, centre = matrix(body.quat), np.array(body.position)
    if body.kind == "sphere":
        return centre + body.radius * np.array([[1, 1, 1], [-1, -1, -1]])
    if body.kind == "capsule":
        tip = R @ [0, 0, body.height / 2]
        return np.concatenate([centre + e + body.radius * np.array([[1, 1, 1], [-1, -1, -1]]) for e in (tip, -tip)])  # fmt: skip
    if body.kind == "mesh":
        return centre + np.array(body.vertices) @ R.T
    if body.kind == "cylinder":
        a = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        ring = np.stack([body.radius * np.cos(a), body.radius * np.sin(a), 0 * a], 1)
        local = np.concatenate([ring + [0, 0, h] for h in (body.height / 2, -body.height / 2)])
        return centre + local @ R.T
    size = (*body.size, body.thickness) if body.kind == "cloth" else body.size
    half = np.array(size) / 2
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    return centre + (signs * half) @ R.T


def bounds(body: Any) -> tuple[np.ndarray, np.ndarray]:
    points = corners(body)
    return points.min(0), points.max(0)


@dataclass
class Run:
    """What happened: paths of bodies [T,3], and pairs of names that touched."""

    paths: dict[str, np.ndarray]
    touched: set[frozenset[str]] = field(default_factory=set)
    deepest_start: float = 0.0
    start_pair: tuple[str, str] = ("", "")


def geom(body: Any) -> str:
    if body.kind == "sphere":
        return f'type="sphere" size="{body.radius}"'
    if body.kind == "box":
        return 'type="box" size="{} {} {}"'.format(*(e / 2 for e in body.size))
    if body.kind in ("cylinder", "capsule"):
        return f'type="{body.kind}" size="{body.radius} {body.height / 2}"'
    return f'type="mesh" mesh="{body.name}"'


def xml(scene: SceneSpec) -> str:
    rigid = [b for b in scene.bodies if b.kind not in ("cloth", "soft")]
    gravity = np.sum(
        [f.acceleration for f in scene.fields if f.kind == "gravity"] or [(0, 0, 0)], 0
    )
    wind = np.sum([f.velocity for f in scene.fields if f.kind == "wind"] or [(0, 0, 0)], 0)
    air = [f.air_density for f in scene.fields if f.kind == "drag"]
    out = ['<mujoco><compiler angle="radian"/>']
    out.append(
        '<option timestep="0.001" integrator="implicitfast" gravity="{} {} {}" wind="{} {} {}" density="{}"/>'.format(
            *gravity, *wind, air[0] if air else 0
        )
    )
    out.append("<asset>")
    for b in rigid:
        if b.kind == "mesh":
            flat = " ".join(str(c) for v in b.vertices for c in v)
            faces = " ".join(str(c) for f in b.faces for c in f)
            out.append(f'<mesh name="{b.name}" vertex="{flat}" face="{faces}"/>')
    out.append("</asset><worldbody>")
    if scene.floor:
        out.append(
            f'<geom name="floor" type="plane" size="50 50 1" pos="0 0 {scene.floor.height}"/>'
        )
    for b in rigid:
        pos, quat = ("{} {} {}".format(*b.position), "{} {} {} {}".format(*b.quat))
        joint = "" if b.motion == "fixed" else f'<freejoint name="{b.name}"/>'
        inner = f'<geom name="{b.name}" {geom(b)} mass="{s.body_mass(b)}"/>'
        out.append(f'<body name="{b.name}" pos="{pos}" quat="{quat}">{joint}{inner}</body>')
    out.append("</worldbody><contact>")
    everything = [*rigid, *([scene.floor] if scene.floor else [])]
    if len(everything) <= 16:
        for i, a in enumerate(everything):
            for b in everything[i + 1 :]:
                names = [getattr(x, "name", "floor") for x in (a, b)]
                mu = math.sqrt(a.material.friction * b.material.friction)
                bounce = math.sqrt(a.material.restitution * b.material.restitution)
                ratio = max(0.05, -math.log(max(bounce, 0.02)) / math.hypot(math.pi, math.log(max(bounce, 0.02))))  # fmt: skip
                out.append(
                    f'<pair geom1="{names[0]}" geom2="{names[1]}" condim="4" solref="0.01 {ratio}" '
                    f'friction="{max(mu, 1e-4)} {max(mu, 1e-4)} 0.002 0.0001 0.0001"/>'
                )
    out.append("</contact><equality>")
    for j in scene.joints:
        body = scene.body(j.child)
        anchor = j.anchor if j.kind == "socket" else j.parent_anchor
        local = matrix(body.quat).T @ (np.array(anchor) - body.position)
        out.append('<connect body1="{}" body2="world" anchor="{} {} {}"/>'.format(j.child, *local))
    out.append("</equality></mujoco>")
    return "".join(out)


def simulate(scene: SceneSpec, seconds: float | None = None) -> Run:
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_string(xml(scene))
    data = mujoco.MjData(model)
    rigid = [b for b in scene.bodies if b.kind not in ("cloth", "soft")]
    free = [b for b in rigid if b.motion != "fixed"]
    held_until = {b.name: math.inf for b in rigid if b.motion == "held"}
    for event in scene.events:
        if event.kind == "release":
            held_until[event.target] = event.time
    for b in free:
        data.joint(b.name).qvel[:] = [*b.velocity, *(matrix(b.quat).T @ b.angular_velocity)]
    mujoco.mj_forward(model, data)
    names = [model.geom(g).name for g in range(model.ngeom)]
    run = Run({b.name: [] for b in rigid})  # type: ignore[misc]
    for c in range(data.ncon):
        contact = data.contact[c]
        if contact.dist < run.deepest_start:
            run.deepest_start = float(contact.dist)
            run.start_pair = (names[contact.geom1], names[contact.geom2])
    hits = sorted((e for e in scene.events if e.kind == "impulse"), key=lambda e: e.time)
    start = data.qpos.copy()
    for step in range(int((seconds or scene.duration) / model.opt.timestep)):
        now = step * model.opt.timestep
        while hits and hits[0].time <= now:
            event = hits.pop(0)
            R = data.body(event.body).xmat.reshape(3, 3)
            turn = np.cross(event.offset, event.impulse) + event.angular_impulse
            joint = data.joint(event.body)
            dof = model.joint(event.body).dofadr[0]
            M = np.zeros((model.nv, model.nv))
            mujoco.mj_fullM(model, data, M)
            block = M[dof : dof + 6, dof : dof + 6]
            joint.qvel[:] += np.linalg.solve(block, [*event.impulse, *(R.T @ turn)])
        mujoco.mj_step(model, data)
        for name, until in held_until.items():
            if now < until:
                adr = model.joint(name).qposadr[0]
                data.qpos[adr : adr + 7] = start[adr : adr + 7]
                data.joint(name).qvel[:] = 0
        for c in range(data.ncon):
            contact = data.contact[c]
            if contact.dist <= 0:
                run.touched.add(frozenset((names[contact.geom1], names[contact.geom2])))
        if step % 5 == 0:
            for b in rigid:
                run.paths[b.name].append(data.body(b.name).xpos.copy())  # type: ignore[attr-defined]
    run.paths = {name: np.array(path) for name, path in run.paths.items()}
    return run


def chosen(scene: SceneSpec, selector: str) -> list[Any]:
    """Bodies of a selector such as `red_sphere`, `mesh`."""
    *colour, kind = selector.split("_")
    found = [b for b in scene.bodies if b.kind == kind]
    if colour:
        found = [b for b in found if colour_name(b.material.colour) == colour[0]]
    return found


def over(a: Any, b: Any) -> bool:
    (a0, a1), (b0, b1) = bounds(a), bounds(b)
    return bool((a0[:2] < b1[:2]).all() and (b0[:2] < a1[:2]).all())


class Judge:
    """Checks expectations of prompts/*.yaml against a scene; `failures` lists what does not hold."""

    simulate = staticmethod(simulate)
    corners = staticmethod(corners)

    def __init__(self, scene: SceneSpec) -> None:
        self.scene = scene
        self._run: Run | None = None

    @property
    def run(self) -> Run:
        if self._run is None:
            self._run = simulate(self.scene)
        return self._run

    def failures(self, expected: dict[str, Any]) -> list[str]:
        wrong = []
        taken: list[str] = []
        for entry in expected["bodies"]:
            number, *words = entry.split()
            fixed = words[-1] == "fixed"
            words = words[:-1] if fixed else words
            kind = words[-1]
            found = [
                b for b in chosen(self.scene, "_".join(words))
                if (b.motion == "fixed") == fixed and b.name not in taken
            ]  # fmt: skip
            if len(words) == 1:  # Leave what another entry names by its colour.
                coloured = [e.split() for e in expected["bodies"] if kind in e.split()]
                others = {w[1] for w in coloured if len(w) > 2 and w[1] in COLOURS}
                found = [b for b in found if colour_name(b.material.colour) not in others] or found
            if len(found) != int(number):
                wrong.append(f"bodies {entry}: {len(found)}")
            taken += [b.name for b in found]
        extra = [b.name for b in self.scene.bodies if b.name not in taken]
        if extra:
            wrong.append(f"more bodies: {extra}")
        for key, got in (
            ("joints", len(self.scene.joints)), ("cameras", len(self.scene.cameras)),
            ("events", len(self.scene.events)), ("duration", self.scene.duration),
        ):  # fmt: skip
            if key in expected and got != expected[key]:
                wrong.append(f"{key}: {got}")
        if "camera" in expected and not self.camera(expected["camera"]):
            wrong.append(f"camera {self.scene.cameras[0].kind}")
        for check in expected.get("checks", []):
            name, *arguments = check.split()
            try:
                good = getattr(self, f"check_{name}")(*arguments)
            except (IndexError, ValueError) as error:
                good, check = False, f"{check} ({error})"
            if not good:
                wrong.append(check)
        return wrong

    def camera(self, kind: str) -> bool:
        camera = self.scene.cameras[0]
        if kind == "above":
            up = np.array(camera.position) - camera.look_at
            return bool(up[2] > 3 * np.hypot(up[0], up[1]))
        return camera.kind == kind

    def all(self, selector: str) -> list[Any]:
        if selector == "floor":
            return [self.scene.floor]
        found = chosen(self.scene, selector)
        if not found:
            raise ValueError(f"no {selector}")
        return found

    def check_above(self, a: str, b: str) -> bool:
        for body in self.all(a):
            low = bounds(body)[0][2]
            if b == "floor":
                if low < 0.05:
                    return False
            elif not any(
                over(body, other) and low > bounds(other)[0][2] + 1e-6 for other in self.all(b)
            ):
                return False
        return True

    def check_rests(self, a: str, b: str) -> bool:
        for body in self.all(a):
            low = bounds(body)[0][2]
            if b == "floor":
                if abs(low) > 2e-3:
                    return False
            elif not any(
                other is not body and over(body, other) and abs(low - bounds(other)[1][2]) < 2e-3
                for other in self.all(b)
            ):
                return False
        return True

    def check_height(self, a: str, metres: str) -> bool:
        """The gap below it, to the floor or to what lies under it, is as high as said."""
        body = self.all(a)[0]
        low = bounds(body)[0][2]
        under = [bounds(b)[1][2] for b in self.scene.bodies if b is not body and over(b, body)]
        return abs(low - max([0.0, *under]) - float(metres)) < 0.15

    def check_stacked(self, a: str) -> bool:
        bodies = sorted(self.all(a), key=lambda b: b.position[2])
        return all(
            over(x, y) and abs(bounds(y)[0][2] - bounds(x)[1][2]) < 2e-3
            for x, y in zip(bodies, bodies[1:])
        )

    def check_inline(self, a: str) -> bool:
        points = np.array([b.position for b in self.all(a)])
        return bool(np.linalg.svd(points - points.mean(0))[1][1] < 1e-3)

    def check_left_of(self, a: str, b: str) -> bool:
        return max(x.position[0] for x in self.all(a)) < min(x.position[0] for x in self.all(b))

    def check_behind(self, a: str, b: str) -> bool:
        return min(x.position[1] for x in self.all(a)) > max(x.position[1] for x in self.all(b))

    def check_between(self, a: str, b: str) -> bool:
        x = [body.position[0] for body in self.all(b)]
        return all(min(x) < body.position[0] < max(x) for body in self.all(a))

    def check_still(self, a: str) -> bool:
        return all(not any(b.velocity) for b in self.all(a))

    def check_moving(self, a: str) -> bool:
        return all(any(b.velocity) for b in self.all(a)) or all(
            any(e.kind == "impulse" and e.body == b.name for e in self.scene.events)
            for b in self.all(a)
        )

    def check_spinning(self, a: str) -> bool:
        return all(any(b.angular_velocity) for b in self.all(a))

    def check_speed(self, a: str, metres: str) -> bool:
        return all(abs(np.linalg.norm(b.velocity) - float(metres)) < 1e-6 for b in self.all(a))

    def check_size(self, a: str, metres: str) -> bool:
        sizes = [2 * b.radius if b.kind == "sphere" else max(b.size) for b in self.all(a)]
        return all(abs(size - float(metres)) < 1e-6 for size in sizes)

    def check_gravity(self, metres: str) -> bool:
        total = sum(f.acceleration[2] for f in self.scene.fields if f.kind == "gravity")
        return bool(abs(total + float(metres)) < 0.02)

    def check_windy(self, way: str) -> bool:
        total = np.sum(
            [f.velocity for f in self.scene.fields if f.kind == "wind"] or [(0, 0, 0)], 0
        )
        return bool(np.linalg.norm(total) > 1 and (way == "any" or total[0] > 1))

    def check_slippery(self, a: str) -> bool:
        return bool(self.scene.floor and self.scene.floor.material.friction < 0.1)

    def check_pinned(self, a: str) -> bool:
        return all(len(b.pins) >= 2 for b in self.all(a))

    def check_colourful(self, a: str) -> bool:
        bodies = self.all(a)
        return len({b.material.colour for b in bodies}) == len(bodies)

    def check_hits(self, a: str, b: str) -> bool:
        """Every body of either side touches one of the other within the scene's time."""
        first = {x.name for x in self.all(a)}
        second = {"floor"} if b == "floor" else {x.name for x in self.all(b)}
        touched = [t for t in self.run.touched if len(t) == 2]
        if a == b:
            return all(any(n in t and t <= first for t in touched) for n in first)
        pairs = [t for t in touched if t & first and t & second and len(t) == 2]
        return (
            all(
                any(n in t for t in pairs)
                for n in (
                    first if b == "floor" else {next(iter(first))} if len(first) == 1 else first
                )
            )
            and bool(pairs)
            and (  # fmt: skip
                len(first) > 1 or b == "floor" or self._struck(second, pairs)
            )
        )

    def _struck(self, second: set[str], pairs: list[frozenset[str]]) -> bool:
        """A group is struck if one of it is; two or three that stand side by side all are."""
        reached = {n for n in second if any(n in t for t in pairs)}
        groups = len(second) > 3 or any(
            frozenset((m, n)) in self.run.touched for m in second for n in second if m < n
        )
        return bool(reached) if groups else reached == second

    def check_travels(self, a: str, metres: str) -> bool:
        return all(
            float(np.linalg.norm(self.run.paths[b.name] - b.position, axis=1).max()) > float(metres)
            for b in self.all(a)
        )

    def check_clears(self, a: str, b: str) -> bool:
        """It passes above the other without touching it, to the far side."""
        for body in self.all(a):
            path = self.run.paths[body.name]
            for other in self.all(b):
                if frozenset((body.name, other.name)) in self.run.touched:
                    return False
                low, high = bounds(other)
                if path[0][0] > low[0] or path[:, 0].max() < high[0]:
                    return False
        return True


@pytest.fixture(scope="session")
def judge() -> type[Judge]:
    return Judge
