"""A simulated scene as USD: meshes with time samples, UsdPreviewSurface, textures, cameras, lights.

Patterns are pictures: in NAME_textures beside NAME.usda and NAME.usdc, inside a .usdz.

Lights follow UsdLux's definitions (`normalize` on), so that a white surface that faces a light of
intensity 1 is white: a sun's is π, a lamp's 4π, the sky's 1.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from clay4d.physics_baseline.engines.trajectory import Trajectory
from clay4d.physics_baseline.exchange.gltf_scene import camera_path, sun_turn
from clay4d.physics_baseline.exchange.shapes import Thing, things
from clay4d.physics_baseline.renderers.world import LAMP_RADIUS, SUN_RADIUS
from clay4d.physics_baseline.spec import SceneSpec
from clay4d.scenes.colours import linear
from clay4d.scenes.exchange.usd_file import pxr, set_pose, usd_name, write_stage


def write_usd_scene(scene: SceneSpec, trajectory: Trajectory, path: str | Path) -> None:
    """Write a simulated scene to .usda, .usdc or .usdz, whole or not at all.

    Raises:
        ValueError: another suffix.
        ImportError: the extra `export` is missing.
    """
    codes = list(range(len(trajectory.times)))
    path = Path(path)
    folder = "textures" if path.suffix.lower() == ".usdz" else f"{path.stem}_textures"
    pictures: dict[str, bytes] = {}

    def fill(stage: Any) -> None:
        p, taken = pxr(), set[str]()
        for group in ("bodies", "looks", "cameras", "lights"):
            p.UsdGeom.Scope.Define(stage, f"/World/{group}")
        for thing in things(scene, trajectory):
            name = usd_name(thing.name, taken)
            picture = ""
            if thing.uvs is not None:
                picture = f"{folder}/{name}.png"
                pictures[picture] = thing.png
            _add_thing(stage, thing, name, codes, picture)
        for spec in scene.cameras:
            _add_camera(stage, scene, trajectory, spec, usd_name(spec.name, taken), codes)
        for k, light in enumerate(scene.lights):
            _add_light(stage, light, f"/World/lights/{light.kind}_{k}")

    write_stage(path, scene.fps, len(codes), fill, pictures)


def _add_thing(stage: Any, thing: Thing, name: str, codes: list[int], picture: str) -> None:
    p = pxr()
    form = p.UsdGeom.Xform.Define(stage, f"/World/bodies/{name}")
    set_pose(form.GetPrim(), thing.positions, thing.quats, codes)
    mesh = p.UsdGeom.Mesh.Define(stage, f"/World/bodies/{name}/mesh")
    mesh.CreateFaceVertexCountsAttr([3] * len(thing.faces))
    mesh.CreateFaceVertexIndicesAttr(p.Vt.IntArray.FromNumpy(thing.faces.ravel().astype(np.int32)))
    mesh.CreateSubdivisionSchemeAttr("none")
    mesh.CreateDoubleSidedAttr(thing.thin)
    mesh.SetNormalsInterpolation("vertex")
    for k, (v, n) in enumerate(zip(thing.vertices, thing.normals)):
        at = p.Usd.TimeCode(codes[k]) if len(thing.vertices) > 1 else p.Usd.TimeCode.Default()
        points = v.astype(np.float32)
        mesh.CreatePointsAttr().Set(p.Vt.Vec3fArray.FromNumpy(points), at)
        mesh.CreateNormalsAttr().Set(p.Vt.Vec3fArray.FromNumpy(n.astype(np.float32)), at)
        box = np.stack([points.min(0), points.max(0)])
        mesh.CreateExtentAttr().Set(p.Vt.Vec3fArray.FromNumpy(box), at)
    _add_look(stage, mesh, thing, name, picture)


def _add_look(stage: Any, mesh: Any, thing: Thing, name: str, picture: str) -> None:
    """The material of a mesh; its pattern is a texture beside the file, or in it if that is .usdz."""
    p = pxr()
    m = thing.material
    material = p.UsdShade.Material.Define(stage, f"/World/looks/{name}")
    shader = p.UsdShade.Shader.Define(stage, f"/World/looks/{name}/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    colour = p.Gf.Vec3f(*linear(m.colour).tolist())
    types = p.Sdf.ValueTypeNames
    diffuse = shader.CreateInput("diffuseColor", types.Color3f)
    if thing.uvs is None:
        diffuse.Set(colour)
    else:
        diffuse.ConnectToSource(
            _texture(stage, mesh, thing, f"/World/looks/{name}", picture), "rgb"
        )
    for key in ("metallic", "roughness", "opacity"):
        shader.CreateInput(key, types.Float).Set(float(getattr(m, key)))
    material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
    p.UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)


def _texture(stage: Any, mesh: Any, thing: Thing, path: str, picture: str) -> Any:
    """A picture read by the mesh's coordinates; USD counts them from the lower left corner."""
    p = pxr()
    types, uvs = p.Sdf.ValueTypeNames, np.array(thing.uvs, np.float32)
    uvs[:, 1] = 1 - uvs[:, 1]
    st = p.UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", types.TexCoord2fArray, "vertex")
    st.Set(p.Vt.Vec2fArray.FromNumpy(uvs))
    reader = p.UsdShade.Shader.Define(stage, f"{path}/place")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    reader.CreateOutput("result", types.Float2)
    texture = p.UsdShade.Shader.Define(stage, f"{path}/pattern")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", types.Asset).Set(p.Sdf.AssetPath(f"./{picture}"))
    texture.CreateInput("st", types.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
    for wrap in ("wrapS", "wrapT"):
        texture.CreateInput(wrap, types.Token).Set("repeat")
    texture.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    texture.CreateOutput("rgb", types.Float3)
    return texture.ConnectableAPI()


def _add_camera(
    stage: Any, scene: SceneSpec, trajectory: Trajectory, spec: Any, name: str, codes: list[int]
) -> None:
    p = pxr()
    camera = p.UsdGeom.Camera.Define(stage, f"/World/cameras/{name}")
    set_pose(camera.GetPrim(), *camera_path(scene, trajectory, spec.name), codes)
    high = 24.0
    camera.CreateVerticalApertureAttr(high)
    camera.CreateHorizontalApertureAttr(high * spec.width / spec.height)
    camera.CreateFocalLengthAttr(high / 2 / math.tan(math.radians(spec.fov) / 2))
    camera.CreateClippingRangeAttr(p.Gf.Vec2f(0.01, 1000.0))


def _add_light(stage: Any, light: Any, path: str) -> None:
    p = pxr()
    still = np.array([[1.0, 0, 0, 0]])
    if light.kind == "ambient":
        made, strength = p.UsdLux.DomeLight.Define(stage, path), light.intensity
    elif light.kind == "sun":
        made, strength = p.UsdLux.DistantLight.Define(stage, path), math.pi * light.intensity
        made.CreateAngleAttr(2 * math.degrees(math.atan(SUN_RADIUS)))
        set_pose(made.GetPrim(), np.zeros((1, 3)), sun_turn(light.direction)[None], [0])
    else:
        made, strength = p.UsdLux.SphereLight.Define(stage, path), 4 * math.pi * light.intensity
        made.CreateRadiusAttr(LAMP_RADIUS)
        set_pose(made.GetPrim(), np.array([light.position]), still, [0])
    if light.kind != "ambient":
        made.CreateNormalizeAttr(True)
    made.CreateIntensityAttr(float(strength))
    made.CreateColorAttr(p.Gf.Vec3f(*linear(light.colour).tolist()))
