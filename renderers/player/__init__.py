"""The HTML player: scenes that move, in one file that any browser plays."""

from clay4d.renderers.player.page import write_player
from clay4d.renderers.player.reading import read_player

__all__ = ["read_player", "write_player"]
