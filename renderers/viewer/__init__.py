"""A viewer of moving scenes in the browser."""

from clay4d.renderers.viewer.viewer import Viewer

__all__ = ["Viewer"]
