"""Everything that turns a scene into pictures."""

from clay4d.renderers.rasterization import rasterization
from clay4d.renderers.render import Rendering, render
from clay4d.renderers.settings import Blending

__all__ = ["Blending", "Rendering", "rasterization", "render"]
