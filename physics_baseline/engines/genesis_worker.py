"""Run by the Python that has `genesis`, never imported: one scene comes in as JSON, its frames go out as an NPZ.

The only argument is the job's file (see `genesis_engine.scene_job`). Only JSON is read; the one file that is
written is the one that the job names. Progress goes to the output, one share of 1 a line; Genesis' own chatter
to the error output.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import genesis as gs  # type: ignore[import-not-found]
import numpy as np


def main() -> None:
    """Simulate the scene of the job and write its frames."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    gs.init(backend=gs.cpu, precision="64", seed=0, logging_level="error")
    scene = gs.Scene(show_viewer=False, **options(job))
    links: dict[int, int] = {}
    if job["floor"] is not None:
        floor = scene.add_entity(
            gs.morphs.Plane(pos=(0, 0, job["floor"]["height"])), material=material(job["floor"])
        )
        links[floor.link_start] = 0
    made = [scene.add_entity(morph(b), material=material(b)) for b in job["bodies"]]
    scene.build()
    for k, (entity, body) in enumerate(zip(made, job["bodies"])):
        if body["kind"] == "soft":
            continue
        links[entity.link_start] = k + 1
        if not body["fixed"]:
            # The turning speeds are about the body's own axes.
            entity.set_dofs_velocity(np.array([*body["velocity"], *body["spin"]]))
    arrays = run(scene, made, links, job, told)
    np.savez(job["out"], version=np.array(gs.__version__), **arrays)


def options(job: dict[str, Any]) -> dict[str, Any]:
    """Steps and gravity, and with liquids their grid."""
    water = job["water"]
    if water is None:
        sim = gs.options.SimOptions(dt=job["step"], gravity=tuple(job["gravity"]))
        return {"sim_options": sim}
    sim = gs.options.SimOptions(
        dt=job["step"], gravity=tuple(job["gravity"]), substeps=water["substeps"]
    )
    grid = gs.options.MPMOptions(
        lower_bound=tuple(water["low"]),
        upper_bound=tuple(water["high"]),
        grid_density=water["density"],
    )
    return {"sim_options": sim, "mpm_options": grid}


def morph(body: dict[str, Any]) -> Any:
    """A body's shape and pose."""
    common = {"pos": tuple(body["position"]), "quat": tuple(body["quat"]), "fixed": body["fixed"]}
    kind, size = body["kind"], body["size"]
    if kind == "soft":
        common.pop("fixed")
        kind = "sphere" if len(size) == 1 else "box"
    if kind == "sphere":
        return gs.morphs.Sphere(radius=size[0], **common)
    if kind == "box":
        return gs.morphs.Box(size=tuple(size), **common)
    if kind == "cylinder":
        return gs.morphs.Cylinder(radius=size[0], height=size[1], **common)
    return gs.morphs.Mesh(file=body["file"], convexify=True, align=False, **common)


def material(body: dict[str, Any]) -> Any:
    """What a body is made of; Genesis' rigid contacts have no restitution."""
    if body.get("kind") == "soft":
        return gs.materials.MPM.Liquid(rho=body["density"], sampler="regular")
    return gs.materials.Rigid(rho=body["density"], friction=min(max(body["friction"], 0.01), 5.0))


def run(
    scene: Any, made: list[Any], links: dict[int, int], job: dict[str, Any], told: Any
) -> dict[str, Any]:
    """All frames' states, and the contact points of every step."""
    states, points = [], []
    kinds = [b["kind"] for b in job["bodies"]]
    rigid = [e for e, kind in zip(made, kinds) if kind != "soft"]
    liquids = {f"liquid{k}": made[k] for k, kind in enumerate(kinds) if kind == "soft"}
    flows: dict[str, list[Any]] = {name: [] for name in liquids}
    for frame in range(job["frames"]):
        states.append([state(e) for e in rigid])
        for name, entity in liquids.items():
            flows[name].append(np.asarray(entity.get_particles_pos().cpu(), float).reshape(-1, 3))
        if frame == job["frames"] - 1:
            break
        for k in range(job["substeps"]):
            scene.step()
            time = (frame * job["substeps"] + k + 1) * job["step"]
            points += touching(scene, links, time)
        told.write(f"{(frame + 1) / max(job['frames'] - 1, 1)}\n")
        told.flush()
    table = np.array(points, float).reshape(-1, 10)
    arrays = {name: np.array(path) for name, path in flows.items()}
    shape = (job["frames"], len(rigid), 13)
    return arrays | {"states": np.array(states, float).reshape(shape), "contacts": table}


def state(entity: Any) -> np.ndarray:
    """Position, quaternion wxyz, velocity and spin in the world's axes."""
    parts = (entity.get_pos(), entity.get_quat(), entity.get_vel(), entity.get_ang())
    return np.concatenate([np.asarray(p.cpu(), float).ravel() for p in parts])


def touching(scene: Any, links: dict[int, int], time: float) -> list[list[float]]:
    """Contact points of the last step: time, two things, place, normal from first to second, force.

    Genesis' normals go from its second link to its first.
    """
    found = scene.rigid_solver.collider.get_contacts(as_tensor=False, to_torch=False)
    rows = []
    for a, b, place, normal, force in zip(
        *(np.asarray(found[k]) for k in ("link_a", "link_b", "position", "normal", "force"))
    ):
        pair = [links.get(int(a), -1), links.get(int(b), -1)]
        rows.append([time, *pair, *place, *-normal, abs(float(np.dot(force, normal)))])
    return rows


if __name__ == "__main__":
    main()
