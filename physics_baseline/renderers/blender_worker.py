"""Run by the Python that has `bpy`, never imported: scenes and poses come in as lines of JSON, pictures go out.

The first line is a scene (see `blender.scene_job`), each further one a picture to draw; each is answered by
one line. Only JSON and arrays of numbers are read (NPZ without pickles), and the only files that are written
are those whose paths the other side names. Blender's own chatter goes to the error output.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import bpy  # type: ignore[import-not-found]
import numpy as np


def main() -> None:
    """Answer line after line until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    bodies: dict[str, Any] = {}
    for line in sys.stdin:
        job = json.loads(line)
        if "bodies" in job:
            bodies = build(job)
        else:
            draw(job, bodies)
        answers.write("done\n")
        answers.flush()


def build(job: dict[str, Any]) -> dict[str, Any]:
    """The bodies, floor, lights and settings of a scene."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = job["samples"]
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = job["denoise"]
    scene.cycles.seed = 0
    scene.cycles.max_bounces = 4
    scene.render.threads_mode = "FIXED"
    scene.render.threads = job["threads"]
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.use_persistent_data = True
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    light_world(scene.world, job)
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    arrays = np.load(job["arrays"], allow_pickle=False)
    bodies = {}
    for k, body in enumerate(job["bodies"]):
        mesh = bpy.data.meshes.new(body["name"])
        corners, faces = arrays[f"vertices{k}"], arrays[f"faces{k}"]
        mesh.from_pydata(corners.tolist(), [], faces.tolist())
        mesh.polygons.foreach_set("use_smooth", [bool(body["smooth"])] * len(mesh.polygons))
        mesh.update()
        if body["smooth"] and hasattr(mesh, "set_sharp_from_angle"):
            mesh.set_sharp_from_angle(angle=0.6)
        thing = bpy.data.objects.new(body["name"], mesh)
        thing.rotation_mode = "QUATERNION"
        thing.data.materials.append(material(body["name"], body["material"]))
        scene.collection.objects.link(thing)
        bodies[body["name"]] = thing
    for k, lamp in enumerate(job["lights"]):
        add_lamp(scene, k, lamp)
    return bodies


def light_world(world: Any, job: dict[str, Any]) -> None:
    """What the camera sees behind everything, and the even light that bodies get."""
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    seen, given = nodes.new("ShaderNodeBackground"), nodes.new("ShaderNodeBackground")
    seen.inputs[0].default_value = (*job["background"], 1)
    given.inputs[0].default_value = (*job["ambient"], 1)
    mix, path = nodes.new("ShaderNodeMixShader"), nodes.new("ShaderNodeLightPath")
    links.new(path.outputs["Is Camera Ray"], mix.inputs[0])
    links.new(given.outputs[0], mix.inputs[1])
    links.new(seen.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], nodes.new("ShaderNodeOutputWorld").inputs[0])


def add_lamp(scene: Any, k: int, lamp: dict[str, Any]) -> None:
    """A sun or a lamp."""
    kind = "SUN" if lamp["kind"] == "sun" else "POINT"
    data = bpy.data.lights.new(f"light{k}", kind)
    data.color = lamp["colour"]
    thing = bpy.data.objects.new(f"light{k}", data)
    # A white surface that faces the lamp has brightness 1 for an irradiance of pi.
    if kind == "SUN":
        data.energy = np.pi * lamp["intensity"]
        data.angle = 0.03
        thing.rotation_mode = "QUATERNION"
        thing.rotation_quaternion = lamp["quat"]
    else:
        data.energy = 4 * np.pi**2 * lamp["intensity"]
        data.shadow_soft_size = 0.05
        thing.location = lamp["position"]
    scene.collection.objects.link(thing)


def material(name: str, look: dict[str, Any]) -> Any:
    """What a body looks like."""
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    surface = nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*look["colour"], 1)
    surface.inputs["Roughness"].default_value = look["roughness"]
    surface.inputs["Metallic"].default_value = look["metallic"]
    if look["opacity"] < 1:
        surface.inputs["Alpha"].default_value = look["opacity"]
    if look["texture"] != "plain":
        links.new(pattern(nodes, links, look), surface.inputs["Base Color"])
    return made


def pattern(nodes: Any, links: Any, look: dict[str, Any]) -> Any:
    """Two colours over the surface, in the body's own axes."""
    place = nodes.new("ShaderNodeTexCoord").outputs["Object"]
    first, second = ((*look[key], 1) for key in ("colour", "texture_colour"))
    cell = max(look["cell"], 1e-4)
    if look["texture"] == "checker":
        board, shift = nodes.new("ShaderNodeTexChecker"), nodes.new("ShaderNodeVectorMath")
        # Cells must not end where flat faces lie, or rounding would decide their colour.
        shift.inputs[1].default_value = (0.013 * cell,) * 3
        links.new(place, shift.inputs[0])
        links.new(shift.outputs[0], board.inputs["Vector"])
        board.inputs["Scale"].default_value = 1 / cell
        board.inputs["Color1"].default_value = first
        board.inputs["Color2"].default_value = second
        return board.outputs["Color"]
    ramp = nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.interpolation = "LINEAR" if look["texture"] == "noise" else "CONSTANT"
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = first, second
    if look["texture"] == "stripes":
        wave = nodes.new("ShaderNodeTexWave")
        wave.bands_direction = "Z"
        # A wave's period is 2 pi / 20 at scale 1.
        wave.inputs["Scale"].default_value = np.pi / 20 / cell
        links.new(place, wave.inputs["Vector"])
        ramp.color_ramp.elements[1].position = 0.5
        links.new(wave.outputs["Fac"], ramp.inputs[0])
    elif look["texture"] == "dots":
        dots = nodes.new("ShaderNodeTexVoronoi")
        dots.inputs["Scale"].default_value = 1 / cell
        dots.inputs["Randomness"].default_value = 0.0
        ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = second, first
        ramp.color_ramp.elements[1].position = 0.35
        links.new(place, dots.inputs["Vector"])
        links.new(dots.outputs["Distance"], ramp.inputs[0])
    else:
        noise = nodes.new("ShaderNodeTexNoise")
        noise.inputs["Scale"].default_value = 1 / cell
        links.new(place, noise.inputs["Vector"])
        links.new(noise.outputs["Fac"], ramp.inputs[0])
    return ramp.outputs["Color"]


def draw(job: dict[str, Any], bodies: dict[str, Any]) -> None:
    """One picture: bodies and camera put where they are, and the file written."""
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = job["width"], job["height"]
    eye = scene.camera
    eye.matrix_world = np.array(job["camera"]).T.tolist()
    eye.data.sensor_fit = "HORIZONTAL"
    eye.data.sensor_width = 36.0
    eye.data.lens = job["lens"]
    eye.data.shift_x, eye.data.shift_y = job["shift"]
    eye.data.clip_start, eye.data.clip_end = 0.01, 1000.0
    for name, (place, quat) in job["poses"].items():
        bodies[name].location = place
        bodies[name].rotation_quaternion = quat
    if job.get("arrays"):
        arrays = np.load(job["arrays"], allow_pickle=False)
        for name in arrays.files:
            bodies[name].data.vertices.foreach_set("co", arrays[name].ravel().astype(np.float32))
            bodies[name].data.update()
    scene.render.filepath = job["file"]
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main()
