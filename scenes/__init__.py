"""What a scene is: Gaussians, cameras, data sets, and everything that moves them."""

from clay4d.scenes.cameras import Cameras
from clay4d.scenes.dataset import Dataset, Frame, Views
from clay4d.scenes.gaussians import Gaussians
from clay4d.scenes.scene import Scene

__all__ = ["Cameras", "Dataset", "Frame", "Gaussians", "Scene", "Views"]
