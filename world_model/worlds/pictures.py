"""Pictures and masks of a simulated scene, by PyBullet's software renderer and a floor of our own.

TinyRenderer draws the bodies (no GL, no GPU); the floor is intersected exactly, and shadows come from one
depth map per frame seen from the sun. Pictures are drawn larger and averaged, so edges are smooth;
a pixel's mask is the object that most of its samples show.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.spec import FixedCamera, SceneSpec
from clay4d.world_model.worlds.shading import MAP, REACH, SUN, shade_picture
from clay4d.world_model.worlds.shapes import shape_mesh

NEAR, FAR = 0.2, 30.0
"""Depths that can be drawn, metres."""
AMBIENT, DIFFUSE, SPECULAR = 0.6, 0.45, 0.1
FADE = (3.0, 7.0)
"""Distances from the middle over which the floor becomes the background, metres."""
TILE = 0.4
"""Edge of the floor's checks, metres."""


def camera_matrices(camera: FixedCamera) -> tuple[Float[np.ndarray, "4 4"], Float[np.ndarray, "3 3"]]:  # fmt: skip
    """World to camera in OpenCV axes, and intrinsics in pixels.

    >>> V, K = camera_matrices(FixedCamera(name="c", position=(0, -2, 0), width=64, height=64))
    >>> (V @ [0, 0, 1, 1]).round(6).tolist(), float(K[0, 2])
    ([0.0, -1.0, 2.0, 1.0], 32.0)
    """
    eye, to = np.array(camera.position, float), np.array(camera.look_at, float)
    forward = (to - eye) / np.linalg.norm(to - eye)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right = right / np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    V = np.eye(4)
    V[:3, :3], V[:3, 3] = R, -R @ eye
    f = 0.5 * camera.height / math.tan(math.radians(camera.fov) / 2)
    return V, np.array([[f, 0, camera.width / 2], [0, f, camera.height / 2], [0, 0, 1.0]])


def draw_scene(
    scene: SceneSpec, path: Trajectory, *, supersample: int = 2
) -> tuple[UInt8[np.ndarray, "T C H W 3"], UInt8[np.ndarray, "T C H W"]]:
    """Pictures and masks of all frames from all cameras, which must be fixed and of one size.

    Raises:
        ImportError: PyBullet is not installed.
    """
    import pybullet

    client = pybullet.connect(pybullet.DIRECT)
    try:
        stage = _Stage(pybullet, client, scene, path, supersample)
        frames = [stage.draw(t) for t in range(len(path.times))]
    finally:
        pybullet.disconnect(client)
    return np.stack([f[0] for f in frames]), np.stack([f[1] for f in frames])


class _Stage:
    """A scene's bodies in one Bullet world that only draws, and what stays the same all the time."""

    def __init__(self, api: Any, client: int, scene: SceneSpec, path: Trajectory, more: int) -> None:  # fmt: skip
        self.api, self.client, self.path, self.more = api, client, path, more
        sun = next(light for light in scene.lights if light.kind == "sun")
        self.sun = -np.array(sun.direction) / np.linalg.norm(sun.direction)
        self.background = np.array(scene.background)
        self.bodies = [self._add(body) for body in scene.bodies]
        self.ids = np.zeros(max(self.bodies, default=0) + 2, np.uint8)  # The last, -1, is nothing.
        self.ids[self.bodies] = np.arange(1, len(self.bodies) + 1)
        self.views = [_View(camera, scene, more, self.background) for camera in scene.cameras]
        self.sun_view = _look(self.sun * SUN)
        self.sun_range = (SUN - 4, SUN + 8)
        slope = SUN / REACH
        self.sun_projection = _projection(slope, slope, MAP, MAP, *self.sun_range)

    def _add(self, body: Any) -> int:
        api = self.api
        vertices, normals, faces = shape_mesh(body)
        made = api.createVisualShape(
            api.GEOM_MESH, vertices=vertices.tolist(), indices=faces.reshape(-1).tolist(),
            normals=normals.tolist(), rgbaColor=[*body.material.colour, 1.0],
            specularColor=[SPECULAR] * 3, physicsClientId=self.client,
        )  # fmt: skip
        return int(api.createMultiBody(0, -1, made, physicsClientId=self.client))

    def draw(self, t: int) -> tuple[Any, Any]:
        """Pictures and masks of frame t, all cameras."""
        for body, place, q in zip(self.bodies, self.path.positions[t], self.path.quats[t]):
            self.api.resetBasePositionAndOrientation(
                body, place.tolist(), [q[1], q[2], q[3], q[0]], physicsClientId=self.client
            )
        depth = self._shot(_gl(self.sun_view), self.sun_projection, MAP, MAP)[1]
        shadow = _metres(depth, *self.sun_range)
        drawn = [self._picture(view, shadow) for view in self.views]
        return np.stack([d[0] for d in drawn]), np.stack([d[1] for d in drawn])

    def _shot(self, view: Any, projection: Any, width: int, height: int) -> tuple[Any, Any, Any]:
        _, _, rgb, depth, ids = self.api.getCameraImage(
            width, height, view, projection, lightDirection=(3 * self.sun).tolist(), shadow=0,
            lightAmbientCoeff=AMBIENT, lightDiffuseCoeff=DIFFUSE, lightSpecularCoeff=SPECULAR,
            renderer=self.api.ER_TINY_RENDERER, physicsClientId=self.client,
        )  # fmt: skip
        rgb = np.asarray(rgb, np.uint8).reshape(height, width, 4)[..., :3]
        shape = (height, width)
        return rgb, np.asarray(depth).reshape(shape), np.asarray(ids).reshape(shape)

    def _picture(self, view: _View, shadow: Any) -> tuple[Any, Any]:
        rgb, depth, ids = self._shot(view.gl, view.projection, view.width, view.height)
        picture = np.empty((view.height // self.more, view.width // self.more, 3), np.uint8)
        mask = np.empty(picture.shape[:2], np.uint8)
        shade_picture(
            rgb, _metres(depth, NEAR, FAR), self.ids[ids], view.rays, view.eye, view.floor,
            view.floor_depth, view.fade, self.background, self.sun_view[:3], shadow, self.more,
            picture, mask,
        )  # fmt: skip
        return picture, mask


class _View:
    """A camera at the size it is drawn with, and the empty floor that it sees."""

    def __init__(self, camera: Any, scene: SceneSpec, more: int, background: Any) -> None:
        V, K = camera_matrices(camera)
        self.width, self.height = camera.width * more, camera.height * more
        self.gl = _gl(V)
        fx, fy = 2 * K[0, 0] / camera.width, 2 * K[1, 1] / camera.height
        self.projection = _projection(fx, fy, self.width, self.height, NEAR, FAR)
        self.eye = np.array(camera.position, float)
        y, x = np.mgrid[0 : self.height, 0 : self.width] + 0.5
        rays = np.stack([(x / more - K[0, 2]) / K[0, 0], (y / more - K[1, 2]) / K[1, 1], np.ones_like(x)], -1)  # fmt: skip
        self.rays = rays @ V[:3, :3]
        floor = scene.floor
        down = self.rays[..., 2] < -1e-6
        height = floor.height if floor is not None else -1e6
        self.floor_depth = np.where(down, (height - self.eye[2]) / np.where(down, self.rays[..., 2], 1), 1e6)  # fmt: skip
        points = self.eye + self.rays * np.minimum(self.floor_depth, 1e3)[..., None]
        far = np.hypot(points[..., 0], points[..., 1])
        self.fade = np.where(down, np.clip((far - FADE[0]) / (FADE[1] - FADE[0]), 0, 1), 1.0)
        odd = (np.floor(points[..., 0] / TILE) + np.floor(points[..., 1] / TILE)) % 2
        self.floor = np.zeros((*far.shape, 3)) + background
        if floor is not None:
            light = min(1.0, AMBIENT + DIFFUSE)
            one, other = np.array(floor.material.colour), np.array(floor.material.texture_colour)
            self.floor = np.where(odd[..., None] > 0, other, one) * light


def _look(eye: Any) -> Any:
    camera = FixedCamera(name="sun", position=(float(eye[0]), float(eye[1]), float(eye[2])))
    return camera_matrices(camera)[0]


def _gl(V: Any) -> list[float]:
    """OpenGL's view matrix, column by column: x right, y up, z back."""
    return [float(v) for v in (np.diag([1.0, -1.0, -1.0, 1.0]) @ V).T.reshape(-1)]


def _projection(fx: float, fy: float, width: int, height: int, near: float, far: float) -> Any:
    """OpenGL's perspective, column by column, moved by the half pixel that TinyRenderer is off."""
    a, b = (far + near) / (far - near), 2 * far * near / (far - near)
    return [fx, 0, 0, 0, 0, fy, 0, 0, 1 / width, 1 / height, -a, -1, 0, 0, -b, 0]


def _metres(depth: Any, near: float, far: float) -> Any:
    """Distance along the view's axis of a depth in OpenGL's buffer."""
    return far * near / (far - (far - near) * depth)
