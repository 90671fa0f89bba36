"""Worlds: short simulated scenes with pictures, words and truth, on disk and in memory."""

from clay4d.world_model.worlds.batch import WorldBatch, stack_worlds
from clay4d.world_model.worlds.format import (
    HIDDEN,
    ROLES,
    SPLITS,
    Hidden,
    Question,
    Tracks,
    World,
    WorldEvent,
    WorldObject,
)
from clay4d.world_model.worlds.store import (
    WorldSet,
    check_worlds,
    open_worlds,
    read_shard,
    write_index,
    write_shard,
)

__all__ = [
    "HIDDEN", "ROLES", "SPLITS", "Hidden", "Question", "Tracks", "World", "WorldBatch", "WorldEvent",
    "WorldObject", "WorldSet", "check_worlds", "open_worlds", "read_shard", "stack_worlds",
    "write_index", "write_shard",
]  # fmt: skip
