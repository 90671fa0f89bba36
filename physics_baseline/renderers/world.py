"""A simulated scene as flat arrays for the ray caster's kernels."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.engines.tree import rotations
from clay4d.physics_baseline.renderers.bvh import Tree, build_tree, refit
from clay4d.physics_baseline.spec import Material, SceneSpec
from clay4d.physics_baseline.surfaces import vertex_normals
from clay4d.scenes.colours import linear

SPHERE, BOX, CYLINDER, CAPSULE, MESH = 0, 1, 2, 3, 4
PLAIN, CHECKER, STRIPES, DOTS, NOISE = 0, 1, 2, 3, 4
SUN, POINT = 0, 1
SUN_RADIUS = 0.025
"""Half the sun's width as a slope: five times the real one's, for soft edges of shadows."""
LAMP_RADIUS = 0.08
"""Of a point light, metres."""
_TEXTURES = {"plain": PLAIN, "checker": CHECKER, "stripes": STRIPES, "dots": DOTS, "noise": NOISE}


class World(NamedTuple):
    """N objects over T frames, and what lights them; colours are linear light."""

    kinds: Any
    """[N]"""
    sizes: Any
    """[N, 3] radius and half height, or half edges, metres."""
    places: Any
    """[T, N, 3] origins, metres."""
    turns: Any
    """[T, N, 9] body to world."""
    spheres: Any
    """[T, N, 4] bounding spheres, metres."""
    blockers: Any
    """[N] radius of the ball of an object's volume, for soft contact shade; 0: too long for it."""
    looks: Any
    """[N + 1, 11] of each object and, last, of the floor: colour, second colour, texture, its cell in
    metres, roughness, metallic, opacity."""
    floor: Any
    """[2] whether there is one, and its height in metres."""
    fade: Any
    """[2] distances from which the floor fades into the background and where it is gone, metres."""
    background: Any
    """[3]"""
    ambient: Any
    """[3]"""
    lights: Any
    """[L, 7] kind, place or direction towards it, colour."""
    meshes: Any
    """[N, 4] first node, nodes per frame, first vertex, vertices per frame; the latter 0 if rigid."""
    boxes: Any
    """[nodes, 6] lowest and highest corners."""
    links: Any
    """[nodes, 3] where to go on past the subtree, first triangle, how many of a leaf, else 0."""
    vertices: Any
    """[vertices, 3] in body axes, or in the world's if they move."""
    triangles: Any
    """[triangles, 3] of vertices, counted from the mesh's first."""
    smooth: Any
    """[vertices, 3] normals, zero where the mesh is faceted."""


def make_world(scene: SceneSpec, trajectory: Trajectory) -> World:
    """Arrays of a scene and its trajectory."""
    bodies = scene.bodies
    frames, n = len(trajectory.times), len(bodies)
    kinds, sizes = np.zeros(n, np.int64), np.zeros((n, 3))
    places, turns = trajectory.positions.copy(), rotations(trajectory.quats).reshape(frames, n, 9)
    spheres = np.zeros((frames, n, 4))
    blockers, looks = np.zeros(n), np.zeros((n + 1, 11))
    meshes = _Meshes(n)
    for i, body in enumerate(bodies):
        kinds[i], sizes[i] = _shape(body)
        centre = np.zeros(3)
        if body.kind == "mesh":
            corners = np.array(body.vertices, float)
            centre = (corners.min(0) + corners.max(0)) / 2
            meshes.add(i, corners[None], np.array(body.faces), smooth=False)
            radius = float(np.linalg.norm(corners - centre, axis=1).max())
        elif body.kind in ("cloth", "soft"):
            moving = trajectory.vertices[body.name]
            meshes.add(i, moving, trajectory.faces[body.name], smooth=True)
            places[:, i], turns[:, i] = 0, np.eye(3).ravel()
            centres = (moving.min(1) + moving.max(1)) / 2
            spheres[:, i, :3] = centres
            spheres[:, i, 3] = np.linalg.norm(moving - centres[:, None], axis=2).max(1)
            radius = float(spheres[:, i, 3].max())
        else:
            radius = _reach(body)
        if body.kind not in ("cloth", "soft"):
            spheres[:, i, :3] = places[:, i] + turns[:, i].reshape(-1, 3, 3) @ centre
            spheres[:, i, 3] = radius
        ball = (3 * body.volume / (4 * math.pi)) ** (1 / 3)
        blockers[i] = ball if radius < 2.2 * ball else 0.0
        share = 0.25 if body.material.texture == "stripes" else 0.45
        looks[i] = _look(body.material, share * radius)
    floor = np.array([scene.floor is not None, scene.floor.height if scene.floor else 0.0], float)
    looks[n] = _look(scene.floor.material if scene.floor else Material(), 0.5)
    # As wide as what moves or stands on it, so that its edge is never where things happen.
    spread = spheres[:, :, :3].reshape(-1, 3)
    extent = float(np.ptp(spread, axis=0).max()) if n else 1.0
    reach = 12.0 + 4 * min(extent, 50.0)
    ambient, lights = _lights(scene)
    return World(
        kinds, sizes, places, turns, spheres, blockers, looks, floor, np.array([0.5 * reach, 3 * reach]),
        linear(scene.background), ambient, lights, *meshes.arrays(),
    )  # fmt: skip


def _shape(body: Any) -> tuple[int, tuple[float, float, float]]:
    if body.kind == "sphere":
        return SPHERE, (body.radius, 0.0, 0.0)
    if body.kind == "box":
        return BOX, (body.size[0] / 2, body.size[1] / 2, body.size[2] / 2)
    if body.kind in ("cylinder", "capsule"):
        kind = CYLINDER if body.kind == "cylinder" else CAPSULE
        return kind, (body.radius, body.height / 2, 0.0)
    return MESH, (0.0, 0.0, 0.0)


def _reach(body: Any) -> float:
    """Of the farthest point from the origin, metres."""
    if body.kind == "sphere":
        return float(body.radius)
    if body.kind == "box":
        return float(np.linalg.norm(body.size) / 2)
    if body.kind == "cylinder":
        return math.hypot(body.radius, body.height / 2)
    return float(body.radius + body.height / 2)


def _look(material: Any, cell: float) -> Any:
    return np.array(
        [
            *linear(material.colour), *linear(material.texture_colour), _TEXTURES[material.texture],
            cell, material.roughness, material.metallic, material.opacity,
        ]
    )  # fmt: skip


def _lights(scene: SceneSpec) -> tuple[Any, Any]:
    ambient, rows = np.zeros(3), [np.zeros((0, 7))]
    for light in scene.lights:
        colour = linear(light.colour) * light.intensity
        if light.kind == "ambient":
            ambient += colour
        elif light.kind == "sun":
            towards = -np.array(light.direction) / np.linalg.norm(light.direction)
            rows.append(np.array([[SUN, *towards, *colour]]))
        else:
            rows.append(np.array([[POINT, *light.position, *colour]]))
    return ambient, np.concatenate(rows)


class _Meshes:
    """Puts the meshes' triangles and trees one after another."""

    def __init__(self, n: int) -> None:
        self.table = np.zeros((n, 4), np.int64)
        self.parts: list[tuple[Any, ...]] = []
        self.nodes = self.corners = self.faces = 0

    def add(self, i: int, vertices: Any, faces: Any, *, smooth: bool) -> None:
        """Object i's vertices [frames or 1, V, 3] and faces [F, 3]."""
        tree: Tree = build_tree(vertices[0], faces)
        boxes = refit(tree, vertices, faces)
        frames, count = vertices.shape[:2]
        self.table[i] = (
            self.nodes, len(tree.links) if frames > 1 else 0, self.corners, count if frames > 1 else 0,
        )  # fmt: skip
        links = tree.links.copy()
        links[:, 1] += self.faces
        normals = vertex_normals(vertices, faces) if smooth else np.zeros_like(vertices)
        self.parts.append(
            (
                boxes.reshape(-1, 6), np.tile(links, (len(boxes), 1)), vertices.reshape(-1, 3),
                faces[tree.order], normals.reshape(-1, 3),
            )
        )  # fmt: skip
        self.nodes += boxes.shape[0] * boxes.shape[1]
        self.corners += frames * count
        self.faces += len(faces)

    def arrays(self) -> tuple[Any, ...]:
        """The last fields of a `World`."""
        empty = (
            np.zeros((0, 6)), np.zeros((0, 3), np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.int64),
            np.zeros((0, 3)),
        )  # fmt: skip
        joined = [
            np.ascontiguousarray(np.concatenate([e, *(p[k] for p in self.parts)]))
            for k, e in enumerate(empty)
        ]
        return self.table, *joined
