"""The world model: encoder, dynamics with a reasoner, decoder."""

from clay4d.world_model.model.dynamics import Dynamics, DynamicsSize, Segment
from clay4d.world_model.model.world_model import Thinking, WorldModel

__all__ = ["Dynamics", "DynamicsSize", "Segment", "Thinking", "WorldModel"]
