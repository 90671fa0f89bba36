"""Motion models: how canonical Gaussians get to a moment. One file each, behind one protocol."""

from clay4d.scenes.motion.base import Motion, Moved
from clay4d.scenes.motion.control_nodes import ControlNodes
from clay4d.scenes.motion.deformation import Deformation
from clay4d.scenes.motion.hexplane import HexPlane
from clay4d.scenes.motion.motion_bases import MotionBases
from clay4d.scenes.motion.polynomial import Polynomial
from clay4d.scenes.motion.rigid_paths import RigidPaths
from clay4d.scenes.motion.space_time import SpaceTime
from clay4d.scenes.motion.static import Static

__all__ = [
    "ControlNodes",
    "Deformation",
    "HexPlane",
    "Motion",
    "MotionBases",
    "Moved",
    "Polynomial",
    "RigidPaths",
    "SpaceTime",
    "Static",
]
