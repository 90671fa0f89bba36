"""From raw video or pictures to a data set: frames, masks of what moves, camera poses."""

from clay4d.scenes.prepare.prepare import Prepared, prepare

__all__ = ["Prepared", "prepare"]
