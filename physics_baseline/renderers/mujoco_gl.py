"""MuJoCo's OpenGL renderer: colours of rigid scenes; the rest by rays.

The pictures depend on the OpenGL driver, so they are the same again on the same machine only. Depth,
segmentation, normals and flow are the ray caster's, whose geometry is the same and exact, and which is
quicker than a second pass through OpenGL in software. Lights: the sun and lamps throw hard-edged
shadows; gloss is Blinn's; textures other than the checker are plain. The floor is a mesh, fine in the
middle and coarse far away: MuJoCo's endless plane takes three times as long in software.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np

from clay4d.physics_baseline.engines.mjcf import geom_xml, mesh_xml
from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.engines.tree import SOFT_KINDS, rigid_bodies
from clay4d.physics_baseline.renderers.gl_platform import make_context
from clay4d.physics_baseline.renderers.pictures import Pictures
from clay4d.physics_baseline.renderers.raycast import Raycaster
from clay4d.physics_baseline.renderers.region import region
from clay4d.physics_baseline.spec import SceneSpec

NEAR, FAR = 0.02, 200.0
"""Of what is drawn, metres."""
FLOOR_LINES = 33
"""Of the floor's grid each way: OpenGL lights its corners, and the faces by what lies between."""


class MujocoGL:
    """Draws the frames of a simulated scene with OpenGL.

    Raises:
        ValueError: the scene has cloth or soft bodies.
        ImportError: no OpenGL works here; the message says what helps.
    """

    name = "mujoco-gl"

    def __init__(self, scene: SceneSpec, trajectory: Trajectory) -> None:
        soft = [b.name for b in scene.bodies if b.kind in SOFT_KINDS]
        if soft:
            raise ValueError(
                f"{soft[0]} got a body that bends; expected rigid ones in mujoco-gl. Use raycast."
            )
        self.scene, self.trajectory = scene, trajectory
        self.rays = Raycaster(scene, trajectory)
        self.cameras = self.rays.cameras
        width = max((c.width for c in scene.cameras), default=256)
        height = max((c.height for c in scene.cameras), default=256)
        self.context = make_context(width, height)
        self.model = mujoco.MjModel.from_xml_string(
            visual_xml(scene, width, height, *region(scene, trajectory))
        )
        self.data = mujoco.MjData(self.model)
        self.view = mujoco.MjvScene(self.model, maxgeom=4 * len(scene.bodies) + 100)
        self.gl = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self.gl)

    def draw(self, camera: str, frames: Sequence[int]) -> Pictures:
        """Pictures of one of the scene's cameras at some frames.

        Raises:
            ValueError: no such camera, or no such frame.
        """
        exact = self.rays.draw_geometry(camera, frames)
        cameras = self.cameras[camera]
        self.context.make_current()
        images = np.empty((len(frames), cameras.height, cameras.width, 3), np.uint8)
        for k, frame in enumerate(frames):
            self._place(frame)
            self._aim(cameras, frame)
            images[k] = self._read(cameras)
        return replace(exact, images=images)

    def _place(self, frame: int) -> None:
        t, data = self.trajectory, self.data
        for i, body in enumerate(self.scene.bodies):
            at = self.model.body(body.name).mocapid[0]
            data.mocap_pos[at], data.mocap_quat[at] = t.positions[frame, i], t.quats[frame, i]
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)
        mujoco.mjv_updateScene(
            self.model, data, mujoco.MjvOption(), None, mujoco.MjvCamera(),
            mujoco.mjtCatBit.mjCAT_ALL, self.view,
        )  # fmt: skip

    def _aim(self, cameras: Any, frame: int) -> None:
        view, K = cameras.viewmats[frame].double().numpy(), cameras.Ks[frame].double().numpy()
        top = NEAR * cameras.height / 2 / K[1, 1]
        for gl in self.view.camera:
            gl.pos[:] = -view[:3, :3].T @ view[:3, 3]
            gl.up[:], gl.forward[:] = -view[1, :3], view[2, :3]
            gl.frustum_near, gl.frustum_far = NEAR, FAR
            gl.frustum_bottom, gl.frustum_top = -top, top
            gl.frustum_center, gl.frustum_width = 0.0, NEAR * cameras.width / 2 / K[0, 0]

    def _read(self, cameras: Any) -> Any:
        rectangle = mujoco.MjrRect(0, 0, cameras.width, cameras.height)
        mujoco.mjr_render(rectangle, self.view, self.gl)
        pixels = np.empty((cameras.height, cameras.width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, rectangle, self.gl)
        return pixels[::-1]  # OpenGL's first row is the lowest


def visual_xml(scene: SceneSpec, width: int, height: int, centre: Any, radius: float) -> str:
    """The scene's look as MuJoCo's XML; every body is moved by hand.

    Shadows are cast within `radius` metres of `centre`.
    """
    bodies = rigid_bodies(scene)
    middle = " ".join(f"{c:.4f}" for c in centre)
    sky = " ".join(str(c) for c in scene.background)
    out = [
        f'<mujoco><visual><global offwidth="{width}" offheight="{height}"/>'
        f'<quality shadowsize="{shadow_size(width, height)}" offsamples="4"/><map znear="{NEAR / radius}" '
        f'zfar="{FAR / radius}" shadowclip="1.5"/>',
        _headlight(scene), f'</visual><statistic extent="{radius}" center="{middle}"/><asset>',
        f'<texture type="skybox" builtin="flat" rgb1="{sky}" rgb2="{sky}" width="8" height="48"/>',
        *[mesh_xml(b) for b in bodies if b.kind == "mesh"],
        *[_material(b.name, b.material, cube=True) for b in bodies],
    ]  # fmt: skip
    if scene.floor is not None:
        out += [_material("floor", scene.floor.material, cube=False), floor_mesh(centre, radius)]
    out.append("</asset><worldbody>")
    if scene.floor is not None:
        out.append(
            f'<geom name="floor" type="mesh" mesh="~floor" pos="0 0 {scene.floor.height}" '
            'material="~floor" contype="0" conaffinity="0"/>'
        )
    for light in scene.lights:
        out.append(_light(light, centre, radius))
    for b in bodies:
        geom = geom_xml(b).replace("<geom ", f'<geom material="~{b.name}" ', 1)
        out.append(f'<body name="{b.name}" mocap="true">{geom}</body>')
    return "".join(out) + "</worldbody></mujoco>"


def shadow_size(width: int, height: int) -> int:
    """Pixels of the shadows' map each way: twice the picture's, so that it costs no more than that.

    >>> shadow_size(128, 96), shadow_size(1920, 1080), shadow_size(16, 16)
    (256, 2048, 256)
    """
    return int(min(2048, max(256, 2 ** np.ceil(np.log2(2 * max(width, height))))))


def floor_mesh(centre: Any, radius: float) -> str:
    """A square of `FAR` metres to each side of `centre`, whose lines are near each other about it.

    The texture repeats every metre from the world's origin.
    """
    u = np.linspace(-1, 1, FLOOR_LINES)
    sharp = np.arcsinh(FAR / radius)
    lines = radius * np.sinh(sharp * u)
    x, y = np.meshgrid(lines + centre[0], lines + centre[1], indexing="ij")
    corners = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    first = np.arange(FLOOR_LINES**2).reshape(FLOOR_LINES, -1)[:-1, :-1].ravel()
    right, up = first + FLOOR_LINES, first + 1
    faces = np.stack([first, right, right + 1, first, right + 1, up], -1)
    words = [" ".join(f"{v:.6g}" for v in a.ravel()) for a in (corners, corners[:, :2])]
    return (
        f'<mesh name="~floor" inertia="shell" vertex="{words[0]}" texcoord="{words[1]}" '
        f'face="{" ".join(map(str, faces.ravel()))}"/>'
    )


def _headlight(scene: SceneSpec) -> str:
    ambient = sum(
        (np.array(x.colour) * x.intensity for x in scene.lights if x.kind == "ambient"), np.zeros(3)
    )
    words = " ".join(f"{c:.4f}" for c in np.minimum(ambient, 1))
    return f'<headlight ambient="{words}" diffuse="0 0 0" specular="0 0 0"/>'


def _material(name: str, material: Any, *, cube: bool) -> str:
    colour = " ".join(str(c) for c in material.colour)
    gloss = (
        f'shininess="{1 - material.roughness:.3f}" specular="{0.6 * (1 - material.roughness):.3f}"'
    )
    if material.texture != "checker":
        return f'<material name="~{name}" rgba="{colour} {material.opacity}" {gloss}/>'
    second = " ".join(str(c) for c in material.texture_colour)
    kind = 'type="cube" width="64" height="64"' if cube else 'type="2d" width="256" height="256"'
    return (
        f'<texture name="~{name}" {kind} builtin="checker" rgb1="{colour}" rgb2="{second}"/>'
        f'<material name="~{name}" texture="~{name}" rgba="1 1 1 {material.opacity}" {gloss}/>'
    )


def _light(light: Any, centre: Any, radius: float) -> str:
    if light.kind == "ambient":
        return ""
    diffuse = " ".join(f"{min(1.0, c * light.intensity):.4f}" for c in light.colour)
    common = f'diffuse="{diffuse}" specular="0.3 0.3 0.3" ambient="0 0 0" castshadow="true"'
    if light.kind == "sun":
        direction = np.array(light.direction) / np.linalg.norm(light.direction)
        place = " ".join(f"{c:.4f}" for c in centre - 6 * radius * direction)
        way = " ".join(f"{c:.6f}" for c in direction)
        return f'<light type="directional" pos="{place}" dir="{way}" {common}/>'
    place = " ".join(str(c) for c in light.position)
    return f'<light pos="{place}" dir="0 0 -1" cutoff="90" attenuation="0 0 1" {common}/>'
