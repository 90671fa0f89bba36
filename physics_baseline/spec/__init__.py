"""SceneSpec and its parts: a simulated scene as frozen, checked dataclasses that are also JSON.

World: metres, kilograms, seconds, z up; quaternions wxyz, body to world.
"""

from clay4d.physics_baseline.spec.bodies import (
    Body,
    Box,
    Capsule,
    Cloth,
    Cylinder,
    Material,
    Mesh,
    Rigid,
    Soft,
    Sphere,
    body_mass,
)
from clay4d.physics_baseline.spec.fields import (
    Buoyancy,
    Drag,
    Event,
    ForceField,
    Gravity,
    Hinge,
    Impulse,
    Joint,
    Magnus,
    Release,
    Rope,
    Slider,
    Socket,
    Tether,
    Weld,
    Wind,
)
from clay4d.physics_baseline.spec.scene import Floor, SceneSpec, scene_schema
from clay4d.physics_baseline.spec.units import SpecError
from clay4d.physics_baseline.spec.views import (
    AmbientLight,
    Camera,
    FixedCamera,
    FollowCamera,
    Keyframe,
    Light,
    OrbitCamera,
    PathCamera,
    PointLight,
    SunLight,
)

__all__ = [
    "AmbientLight", "Body", "Box", "Buoyancy", "Camera", "Capsule", "Cloth", "Cylinder", "Drag",
    "Event", "FixedCamera", "Floor", "FollowCamera", "ForceField", "Gravity", "Hinge", "Impulse",
    "Joint", "Keyframe", "Light", "Magnus", "Material", "Mesh", "OrbitCamera", "PathCamera",
    "PointLight", "Release", "Rigid", "Rope", "SceneSpec", "Slider", "Socket", "Soft", "SpecError",
    "Sphere", "SunLight", "Tether", "Weld", "Wind", "body_mass", "scene_schema",
]  # fmt: skip
