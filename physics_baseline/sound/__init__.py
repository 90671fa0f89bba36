"""Sound of simulated scenes: bodies that ring where they are struck, and hiss where they rub."""

from __future__ import annotations

from clay4d.physics_baseline.sound.modes import Modes, body_modes
from clay4d.physics_baseline.sound.synthesis import RATE, synthesize

__all__ = ["RATE", "Modes", "body_modes", "synthesize"]
